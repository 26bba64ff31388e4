//! Offline work on detection: how good are the rules, measured on fleets whose faults are known.
//!
//! It answers: what would these rules have opened, about what, how early, and what of it was false ([`fleet`]); and how
//! the product's estimators do on a public benchmark of streams ([`nab`]); and what rules would have opened on records
//! that a store kept (`backtest`). It must not know where records are heard or whom an incident is told. Its commands
//! are those of `zenei bench` and `zenei backtest`; its own binary has them too, without the rest of the product.
#[cfg(feature = "backtest")]
pub mod backtest;
pub mod cli;
mod course;
mod cpu;
mod error;
pub mod fleet;
pub mod interval;
pub mod kept;
pub mod nab;
pub mod opened;
mod run;
mod table;

pub use error::LabError;
pub use run::run;
