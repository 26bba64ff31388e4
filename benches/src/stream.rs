//! A simulated fleet's records, decoded and put in order as a gateway does it, in a state directory of sealed ranges.
//! Must not know ClickHouse. Called by the benches that ship them.
use firmware_sim::{Fleet, Message, Scenario};
use std::path::Path;
use std::sync::Arc;
use zenei_detect::{Batch, Findings, Pipeline};
use zenei_store::disk::RealDisk;
use zenei_store::{Checkpoint, Control, Layout, ParquetStore, SealPlan, Sealed, Source, StoredMessage, decode};
use zenei_wire::GatewayTime;
use zenei_wire::bthome::Keyring;

/// Rows of a sealed range: as on a gateway; fewer for a short stream.
const RANGE_ROWS: usize = 50_000;
/// Simulated time of one step.
const STEP_MS: i64 = 3_600_000;
/// The gateway that received them.
pub const GATEWAY: &str = "gw-bench";

/// A state directory with the records of a fleet.
#[derive(Debug)]
pub struct Stream {
    /// The directory; removed with this value.
    pub state: tempfile::TempDir,
    /// How far it is sealed.
    pub sealed: Sealed,
    /// Number of records in it, each once.
    pub records: u64,
    /// Days that they cover.
    pub days: f64,
}

impl Stream {
    /// Simulates this many locks until they have sent about this many records, and seals those.
    pub fn simulate(locks: usize, records: u64, seed: u64) -> Self {
        let mut scenario = Scenario::fleet().expect("the embedded scenario is good");
        scenario.locks = locks;
        let mut fleet = Fleet::new(&scenario, seed).expect("the embedded scenario can be simulated");
        let state = tempfile::tempdir().expect("a folder can be made");
        let mut sealing = Sealing::start(state.path(), RANGE_ROWS.min(records as usize / 3));
        let (start_ms, mut now_ms, mut said) = (fleet.start_ms(), fleet.start_ms(), Vec::new());
        while sealing.records + (sealing.batch.rows.len() as u64) < records && now_ms < fleet.end_ms() {
            now_ms += STEP_MS;
            said.clear();
            fleet.advance(now_ms, &mut said);
            sealing.hear(&said);
        }
        sealing.seal();
        Self {
            state,
            sealed: sealing.sealed,
            records: sealing.records,
            days: (now_ms - start_ms) as f64 / 86_400_000.0,
        }
    }

    /// The directory's paths.
    pub fn layout(&self) -> Layout {
        Layout::new(self.state.path())
    }
}

/// Intake before a store.
struct Sealing {
    pipeline: Pipeline,
    store: ParquetStore,
    control: Control,
    batch: Batch,
    messages: u64,
    sealed: Sealed,
    records: u64,
    range_rows: usize,
}

impl Sealing {
    fn start(state: &Path, range_rows: usize) -> Self {
        let layout = Layout::new(state);
        Self {
            pipeline: Pipeline::new(None),
            store: ParquetStore::open(Arc::new(RealDisk), &layout.parquet()).expect("a store can be made"),
            control: Control::open(&layout.control()).expect("a control database can be made"),
            batch: Batch::default(),
            messages: 0,
            sealed: Sealed::default(),
            records: 0,
            range_rows,
        }
    }

    fn hear(&mut self, said: &[Message]) {
        let stored: Vec<StoredMessage> = said.iter().zip(self.messages..).map(stored).collect();
        self.messages += stored.len() as u64;
        let keys = Keyring::default();
        self.pipeline.take(decode(&stored, &keys).portion(), &mut self.batch, &mut Findings::default());
        if self.batch.rows.len() >= self.range_rows {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let plan = SealPlan {
            from: self.sealed.offset,
            to: Sealed { offset: self.messages, advanced_to: self.pipeline.now() },
        };
        let Batch { rows, gaps, .. } = &self.batch;
        self.store.seal(&plan, self.pipeline.fleet(), rows, gaps, &[], GATEWAY).expect("a range can be sealed");
        self.records += rows.len() as u64;
        self.sealed = plan.to;
        let txn = self.control.begin().expect("the control database takes transactions");
        txn.checkpoint(&Checkpoint { sealed: plan.to, ..Checkpoint::default() }).expect("a checkpoint can be written");
        txn.commit().expect("a transaction can be committed");
        self.batch.clear();
    }
}

/// A simulated message as a gateway stores it.
fn stored((message, offset): (&Message, u64)) -> StoredMessage {
    StoredMessage {
        offset,
        heard_at: GatewayTime(message.at_ms),
        source: Source::Recording,
        authenticated: true,
        topic: message.topic.clone(),
        payload: message.payload.clone().into(),
    }
}
