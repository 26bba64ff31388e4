//! The fleet's past and present, as people ask for it: a lock's 90 days, a page of locks, a cohort's 30 days, two
//! groups beside each other. One type over two sources, each with limits. Must not know HTTP, words of a language, or
//! how anything is drawn. Called by the page, the API and `lock show`; every method blocks, so call it off the runtime.
mod compare;
mod due;
mod error;
mod list;
pub mod local;
mod packed;
mod remote;
mod types;

pub use due::{DUE_PCT, Report, battery_due};
pub use error::HistoryError;
pub use packed::OTHER_CODES;
pub use types::{
    Bucket, CohortBucket, CohortHistory, Compared, ComparedRow, DeadLetterShown, Dimension, Due, Firmware, GatewayNow,
    Group, Hit, HitKind, Interval, LOCKS_MAX, LockFilter, LockHistory, LockNow, LockPage, LockSort, Measure,
    POINTS_MAX, PROFILES_MAX, Profile, ROWS_MAX, Reception, SHOWN_BYTES_MAX, Span,
};

use crate::clickhouse::Server;
use crate::schema::Form;
use local::Local;
use remote::Remote;
use std::path::Path;
use std::sync::Arc;

/// The history of a fleet; a clone is a handle to the same one.
#[derive(Clone, Debug)]
pub struct History {
    source: Source,
}

/// Where it is read from.
#[derive(Clone, Debug)]
enum Source {
    /// There is nothing.
    Empty,
    /// A file that is derived from this machine's store.
    Local(Arc<Local>),
    /// The tables that many gateways ship to.
    Remote(Arc<Remote>),
}

impl History {
    /// A history of no lock.
    pub const fn empty() -> Self {
        Self { source: Source::Empty }
    }

    /// The history in a file that a [`local::Follower`] writes; empty as long as there is none.
    pub fn local(path: &Path) -> Self {
        Self { source: Source::Local(Arc::new(Local::new(path))) }
    }

    /// The history in the tables of a ClickHouse. Nothing is sent yet.
    pub fn remote(server: Server, form: Form) -> Self {
        Self { source: Source::Remote(Arc::new(Remote::new(server, form))) }
    }

    /// A lock's past from `from_ms` (inclusive) to `to_ms` (exclusive), ms since 1970, in at most `points` buckets
    /// ([`POINTS_MAX`] at most); `None` for a lock without a record.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn lock(
        &self,
        device_id: &str,
        from_ms: i64,
        to_ms: i64,
        points: usize,
    ) -> Result<Option<LockHistory>, HistoryError> {
        match &self.source {
            Source::Local(local) => local.lock(device_id, from_ms, to_ms, points),
            Source::Remote(remote) => remote.lock(device_id, from_ms, to_ms, points),
            Source::Empty => Ok(None),
        }
    }

    /// A page of locks.
    ///
    /// # Errors
    /// [`HistoryError`]; [`HistoryError::Cursor`] where [`LockFilter::after`] is of another order.
    pub fn locks(&self, filter: &LockFilter) -> Result<LockPage, HistoryError> {
        match &self.source {
            Source::Local(local) => local.locks(filter),
            Source::Remote(remote) => remote.locks(filter),
            Source::Empty => Ok(LockPage::default()),
        }
    }

    /// The values of a dimension with how many locks have each now, most locks first; at most [`ROWS_MAX`].
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn values(&self, dimension: Dimension) -> Result<Vec<(String, u64)>, HistoryError> {
        match &self.source {
            Source::Local(local) => local.values(dimension),
            Source::Remote(remote) => remote.values(dimension),
            Source::Empty => Ok(Vec::new()),
        }
    }

    /// What the locks of a cohort did from `from_ms` to `to_ms`, in at most `points` buckets.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn cohort(
        &self,
        dimension: Dimension,
        value: &str,
        from_ms: i64,
        to_ms: i64,
        points: usize,
    ) -> Result<CohortHistory, HistoryError> {
        match &self.source {
            Source::Local(local) => local.cohort(dimension, value, from_ms, to_ms, points),
            Source::Remote(remote) => remote.cohort(dimension, value, from_ms, to_ms, points),
            Source::Empty => Ok(CohortHistory::default()),
        }
    }

    /// Two groups of locks beside each other, from `from_ms` to `to_ms`.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn compare(
        &self,
        dimension: Dimension,
        a: &str,
        b: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Compared, HistoryError> {
        let group = |value: &str| Group { value: value.to_owned(), ..Group::default() };
        match &self.source {
            Source::Local(local) => local.compare(dimension, a, b, from_ms, to_ms),
            Source::Remote(remote) => remote.compare(dimension, a, b, from_ms, to_ms),
            Source::Empty => Ok(Compared { a: group(a), b: group(b), rows: Vec::new() }),
        }
    }

    /// The gateways, hubs and services, by id; at most [`ROWS_MAX`].
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn gateways(&self) -> Result<Vec<GatewayNow>, HistoryError> {
        match &self.source {
            Source::Local(local) => local.gateways(),
            Source::Remote(remote) => remote.gateways(),
            Source::Empty => Ok(Vec::new()),
        }
    }

    /// How gateways hear the locks that advertise, the last heard first; at most `limit` and [`ROWS_MAX`].
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn receptions(&self, limit: usize) -> Result<Vec<Reception>, HistoryError> {
        match &self.source {
            Source::Local(local) => local.receptions(limit),
            Source::Remote(remote) => remote.receptions(limit),
            Source::Empty => Ok(Vec::new()),
        }
    }

    /// The dead letters, the newest first; at most `limit` and [`ROWS_MAX`].
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetterShown>, HistoryError> {
        match &self.source {
            Source::Local(local) => local.dead_letters(limit),
            Source::Remote(remote) => remote.dead_letters(limit),
            Source::Empty => Ok(Vec::new()),
        }
    }

    /// Locks and cohorts whose name contains a text; upper and lower case are the same. At most `limit` and
    /// [`ROWS_MAX`]; nothing for an empty text.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn search(&self, text: &str, limit: usize) -> Result<Vec<Hit>, HistoryError> {
        match &self.source {
            Source::Local(local) => local.search(text, limit),
            Source::Remote(remote) => remote.search(text, limit),
            Source::Empty => Ok(Vec::new()),
        }
    }

    /// When the newest record in it was received, ms since 1970; 0 if there is none.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn up_to_ms(&self) -> Result<i64, HistoryError> {
        match &self.source {
            Source::Local(local) => local.up_to_ms(),
            Source::Remote(remote) => remote.up_to_ms(),
            Source::Empty => Ok(0),
        }
    }
}
