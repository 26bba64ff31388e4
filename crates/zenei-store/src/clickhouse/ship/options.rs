//! The options and the progress of a shipper. Must not know how it ships. Called by the thread that ships, by
//! `/metrics`, and by all steps.
use crate::control::Sealed;
use std::path::PathBuf;

/// How far shipping has come, and what it counted, since the state directory was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shipped {
    /// Everything sealed up to here is shipped.
    pub to: Sealed,
    /// Records that ClickHouse took.
    pub records: u64,
    /// Records that it refused for their values; each is a dead letter `refused_by_store` there.
    pub refused: u64,
    /// Ranges that were skipped because their files are damaged; the files stay.
    pub damaged_ranges: u64,
}

/// The options of a shipper.
#[derive(Clone, Debug)]
pub struct ShipOptions {
    /// The gateway whose records these are. It must stay the same while anything is unshipped: it is part of every
    /// token.
    pub gateway_id: String,
    /// How long shipped files stay, by the time up to which they were sealed, ms.
    pub keep_ms: i64,
    /// The most records that go together where several ranges wait.
    pub max_rows: usize,
    /// Directory for the state that a restart would otherwise read from the ranges shipped last; `None`: it reads
    /// those.
    pub memory: Option<PathBuf>,
    /// Whether rows also go to the feed, for a desk that detects on what many gateways shipped.
    pub feed: bool,
    /// Whether it looks at what a single server has after an attempt whose outcome was unknown, and mends what is
    /// wrong.
    pub mends: bool,
}

/// Whether to continue after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    On,
    /// No: the process ends.
    Stop,
}

/// How a round of shipping ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that is sealed is shipped.
    Done,
    /// A wait returned [`Go::Stop`]; the next round continues.
    Stopped,
}
