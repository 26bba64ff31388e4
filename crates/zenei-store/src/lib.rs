//! The data that zenei stores, and how it survives a crash.
//!
//! This crate answers which bytes were acknowledged (the spool), which of them are in a store (Parquet, checkpoint),
//! which findings and decisions exist (the control database), and what remains after a power cut. It must not know
//! where records come from, how anomalies are found, or how people are notified. Called by the gateway's and the desk's
//! drivers, by the commands, and by the lab.

pub mod backup;
mod causes;
pub mod clickhouse;
pub mod clock;
mod columns;
pub mod control;
pub mod dead_letter;
pub mod decode;
pub mod disk;
pub mod forget;
pub mod history;
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
