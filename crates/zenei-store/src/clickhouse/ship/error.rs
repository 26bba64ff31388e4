//! The reasons why a round of shipping ends early. No record is lost by it. Must not know how a step retries. Called by
//! all steps of shipping.
use crate::control::ControlError;
use crate::parquet::{ReadError, SealError};
use crate::snapshot::SnapshotError;
use arrow_schema::ArrowError;

/// Why a round of shipping ended early. Nothing is lost by it; the next round continues with the same range.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The control database.
    #[error("how far was shipped can't be read or kept")]
    Control(#[from] ControlError),
    /// A sealed file can't be read now.
    #[error("a sealed range can't be read")]
    Read(#[from] ReadError),
    /// Rows that make no columns: a fault in this program.
    #[error("the rows can't be made into columns")]
    Columns(#[from] ArrowError),
    /// Files of shipped ranges could not be removed.
    #[error("shipped files could not be removed")]
    LetGo(#[from] SealError),
    /// The number of shards changed while a range was on its way: its rows would go to other shards, and those that
    /// were taken would double.
    #[error(
        "a range is on its way to {found} shards, and there are {given} now; ship it with the former ones first, and change them while nothing waits \
         (zenei_ship_lag_records is 0)"
    )]
    Shards {
        /// When the range was begun.
        found: u64,
        /// Now.
        given: usize,
    },
    /// The state that a restart needs could not be stored.
    #[error("the batteries at rest can't be kept")]
    Memory(#[from] SnapshotError),
    /// The state that a restart needs can't be serialized: a fault in this program.
    #[error("the batteries at rest can't be written as bytes")]
    Bytes(#[from] postcard::Error),
}
