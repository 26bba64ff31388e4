//! For this crate's tests: a disk whose fsyncs can be held, and an ingress with its appender on a loopback port.
use crate::source::ingress::sessions::Sessions;
use crate::source::ingress::{Ingress, IngressLimits};
use crate::source::{Counters, Stop};
use crate::spool::{AckPolicy, Appender, DurableUpTo, Ignored, Inlet, Stamp, queue};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use zenei_kit::mqtt::Raw;
use zenei_store::clock::Clock;
use zenei_store::disk::{Disk, DiskFile, SimDisk};
use zenei_store::{Spool, SpoolOptions, SpoolReader, StoredMessage};
use zenei_wire::GatewayTime;

/// The longest that a test waits for anything.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// A disk whose syncs wait while it is held.
#[derive(Clone, Debug)]
pub(crate) struct HeldDisk {
    pub(crate) inner: SimDisk,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    held: bool,
    waiting: usize,
}

impl HeldDisk {
    pub(crate) fn new() -> Self {
        Self { inner: SimDisk::new(7), gate: Arc::new(Gate::default()) }
    }

    pub(crate) fn hold(&self, held: bool) {
        self.gate.state.lock().unwrap().held = held;
        self.gate.changed.notify_all();
    }

    /// Returns once a sync waits.
    pub(crate) fn wait_for_sync(&self) {
        let state = self.gate.state.lock().unwrap();
        let waited = self.gate.changed.wait_timeout_while(state, BOUND, |state| state.waiting == 0).unwrap();
        assert!(!waited.1.timed_out(), "no sync was asked for");
    }
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let (mut state, waited) = self.changed.wait_timeout_while(state, BOUND, |state| state.held).unwrap();
        state.waiting -= 1;
        assert!(!waited.timed_out(), "a sync was held for ever");
    }
}

#[derive(Debug)]
struct HeldFile {
    inner: Box<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl DiskFile for HeldFile {
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(at, bytes)
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(at, into)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.inner.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}

impl Disk for HeldDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir(dir)
    }
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.inner.create(path, len)?;
        Ok(Box::new(HeldFile { inner, gate: Arc::clone(&self.gate) }))
    }
    fn open(&self, path: &Path, writable: bool) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.inner.open(path, writable)?;
        Ok(Box::new(HeldFile { inner, gate: Arc::clone(&self.gate) }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
}

/// The settings of a bench.
pub(crate) struct Setup {
    pub(crate) clock: Clock,
    pub(crate) policy: AckPolicy,
    pub(crate) limits: IngressLimits,
    pub(crate) spool: SpoolOptions,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            clock: Clock::simulated(GatewayTime(1_000)),
            policy: AckPolicy::AfterDurable,
            limits: IngressLimits::default(),
            spool: SpoolOptions { segment_bytes: 1 << 20, ..SpoolOptions::default() },
        }
    }
}

/// An ingress and an appender over a held disk.
pub(crate) struct Bench {
    pub(crate) disk: HeldDisk,
    pub(crate) address: SocketAddr,
    pub(crate) inlet: Inlet,
    pub(crate) durable: Arc<DurableUpTo>,
    pub(crate) ignored: Arc<Ignored>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) runtime: Runtime,
    stop: watch::Sender<bool>,
    appender: JoinHandle<()>,
    ingress: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn start(setup: Setup) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let disk = HeldDisk::new();
        let (spool, _) = Spool::open(Arc::new(disk.clone()), Path::new("/spool"), setup.spool).unwrap();
        let (inlet, commands) = queue();
        let durable = Arc::new(DurableUpTo::new(0, GatewayTime(0)));
        let ignored = Arc::new(Ignored::default());
        let stamp = Stamp::new(setup.clock, GatewayTime(0));
        let appender = Appender::new(spool, stamp, setup.policy, Arc::clone(&durable), Arc::clone(&ignored));
        let appender = std::thread::spawn(move || appender.run(&commands));
        let folder = tempfile::tempdir().unwrap();
        let (stop, stopped) = watch::channel(false);
        let counters = Arc::new(Counters::default());
        let ingress = Ingress {
            inlet: inlet.clone(),
            sessions: Arc::new(Sessions::open(&folder.path().join("sessions")).unwrap()),
            counters: Arc::clone(&counters),
            limits: setup.limits,
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let ingress = runtime.spawn(ingress.listen(listener, Stop::new(stopped)));
        Self { disk, address, inlet, durable, ignored, counters, runtime, stop, appender, ingress, _folder: folder }
    }

    pub(crate) fn client(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// Stops everything and returns the durable messages.
    pub(crate) fn finish(self) -> Vec<StoredMessage> {
        self.stop.send_replace(true);
        self.runtime.block_on(async { tokio::time::timeout(BOUND, self.ingress).await }).unwrap().unwrap();
        self.inlet.close();
        self.appender.join().unwrap();
        stored(&self.disk)
    }
}

/// Everything that the spool of this disk holds.
pub(crate) fn stored(disk: &HeldDisk) -> Vec<StoredMessage> {
    let mut reader = SpoolReader::open(Arc::new(disk.clone()), Path::new("/spool")).unwrap();
    let end = reader.durable_end().unwrap();
    let mut messages = Vec::new();
    reader.read_from(0, end, usize::MAX, &mut messages).unwrap();
    messages
}
