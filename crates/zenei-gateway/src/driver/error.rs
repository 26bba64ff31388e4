//! Why does a driver stop? The step that failed, and whether a retry may succeed. Called by the driver; `processing`
//! logs the error, and `running` returns it.
use zenei_detect::{DeskError, RestoreError};
use zenei_store::parquet;
use zenei_store::snapshot::SnapshotError;
use zenei_store::{ControlError, SpoolError};

/// Why the driver stopped. What is durable stays durable; the next start continues from the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The spool can't be read.
    #[error("the spool can't be read")]
    Spool(#[from] SpoolError),
    /// The desk did not accept findings.
    #[error("the findings could not be handed over")]
    Desk(#[source] DeskError),
    /// The store did not accept a range.
    #[error("the range {from} to {to} could not be sealed")]
    Seal {
        /// First offset.
        from: u64,
        /// Offset behind the last one.
        to: u64,
        /// What failed.
        #[source]
        source: SealError,
    },
}

/// Why a range is not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The control database.
    #[error("the plan or the checkpoint could not be committed")]
    Control(#[from] ControlError),
    /// The files of the range.
    #[error("the files could not be written")]
    Store(#[from] parquet::SealError),
    /// The state of intake and engine, as bytes.
    #[error("the state could not be put into bytes")]
    State(#[from] RestoreError),
    /// The state's file.
    #[error("the state could not be written")]
    Snapshot(#[from] SnapshotError),
}

impl SealError {
    /// Whether a retry may succeed: a disk that is full or away for a while, but not rows that cannot be written as a
    /// file.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Control(ControlError::Sqlite(_))
            | Self::Store(parquet::SealError::Disk { .. })
            | Self::Snapshot(SnapshotError::Disk { .. }) => true,
            Self::Control(
                ControlError::Newer { .. }
                | ControlError::Foreign { .. }
                | ControlError::BadRow { .. }
                | ControlError::TooLarge { .. }
                | ControlError::Broken { .. }
                | ControlError::OpenAlready { .. },
            )
            | Self::Store(parquet::SealError::Parquet(_) | parquet::SealError::Columns(_))
            | Self::Snapshot(SnapshotError::Damaged { .. })
            | Self::State(_) => false,
        }
    }
}
