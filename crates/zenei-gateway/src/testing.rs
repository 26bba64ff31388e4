//! For this crate's tests: a disk whose syncs can be held, and an ingress with its appender on a loopback port.
use crate::source::ingress::sessions::Sessions;
use crate::source::ingress::{Ingress, IngressLimits};
use crate::source::{Counters, Stop};
use crate::spool::{AckPolicy, Appender, DurableUpTo, Ignored, Inlet, Stamp, queue};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use zenei_store::clock::Clock;
use zenei_store::disk::{Disk, DiskFile, SimDisk};
use zenei_store::{Spool, SpoolOptions, SpoolReader, StoredMessage};
use zenei_wire::GatewayTime;

/// The longest that a test waits for anything.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// Long enough for an answer that must not come to come, if it came.
const NOTHING_WITHIN: Duration = Duration::from_millis(60);

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

/// What a bench is made with.
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

    pub(crate) fn client(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// Stops everything and returns what is durable.
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

/// A client that writes bytes as it is told.
pub(crate) struct RawClient(TcpStream);

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from_socket(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn from_socket(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(BOUND)).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Exactly so many bytes of answer.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// A packet of less than 128 bytes.
    pub(crate) fn read_packet(&mut self) -> Vec<u8> {
        let mut packet = self.read(2);
        assert!(packet[1] < 0x80);
        packet.extend(self.read(usize::from(packet[1])));
        packet
    }

    /// Whatever comes until the server closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Ok(_) => {}
            // Closed with bytes of ours unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server did not close: {error}"),
        }
        bytes
    }

    /// Up to so many bytes, fewer where the server closes before.
    pub(crate) fn read_to_end_or(&mut self, count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = (&mut self.0).take(count).read_to_end(&mut bytes) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        bytes
    }

    pub(crate) fn assert_silent(&mut self) {
        self.0.set_read_timeout(Some(NOTHING_WITHIN)).unwrap();
        let mut byte = [0];
        let read = self.0.read(&mut byte);
        assert!(read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock), "{read:?}");
        self.0.set_read_timeout(Some(BOUND)).unwrap();
    }

    /// CONNECT with a clean session, and its CONNACK.
    pub(crate) fn greet(&mut self, client_id: &str) {
        self.send(&connect(client_id, 2, 60));
        assert_eq!(self.read(4), [0x20, 2, 0, 0]);
    }
}

pub(crate) fn connect(client_id: &str, flags: u8, keep_alive_s: u16) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags];
    body.extend_from_slice(&keep_alive_s.to_be_bytes());
    body.extend_from_slice(&u16::try_from(client_id.len()).unwrap().to_be_bytes());
    body.extend_from_slice(client_id.as_bytes());
    packet(0x10, &body)
}

pub(crate) fn publish(topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend_from_slice(payload);
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length & 0x7f).unwrap();
        length >>= 7;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}
