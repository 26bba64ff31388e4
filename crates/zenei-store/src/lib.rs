//! What is kept, and how it survives.
//!
//! This crate answers: which bytes were acknowledged (the spool), what of them is in a store (Parquet, checkpoint),
//! what was found and decided (the control database), and what is still there after the power went. It must not know
//! where records come from, how anomalies are found, or how people are told. Called by the gateway's and the desk's
//! drivers, and by the commands that read a state directory.

mod causes;
pub mod clickhouse;
pub mod clock;
mod columns;
pub mod control;
pub mod dead_letter;
pub mod decode;
pub mod disk;
pub mod forget;
pub mod keys;
pub mod layout;
pub mod ledger;
pub mod parquet;
pub mod registry;
pub mod rule_folder;
pub mod schema;
pub mod snapshot;
pub mod spool;

pub use causes::with_causes;
pub use clock::Clock;
pub use control::{Checkpoint, Control, ControlError, EventRow, OutboxRow, SealPlan, Sealed, Txn};
pub use dead_letter::DeadLetter;
pub use decode::{Decoded, decode};
pub use keys::{KeysError, keyring};
pub use layout::Layout;
pub use ledger::{DropReason, Imbalance, Ledger};
pub use parquet::{Numbering, ParquetStore, Rows, StoredBatch, StoredRecord};
pub use registry::Registration;
pub use rule_folder::{RuleFolder, RuleFolderError, RuleText};
pub use snapshot::PipelineMaker;
pub use spool::{Source, Spool, SpoolError, SpoolMessage, SpoolOptions, SpoolReader, StoredMessage};
