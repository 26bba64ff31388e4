//! Offline work on detection: how good are the rules, measured on fleets whose faults are known.
//!
//! It answers: which incidents would these rules have opened, about what, how early, and which of them were false
//! ([`fleet`]); how do the product's estimators score on a public benchmark of streams ([`nab`]); and which incidents
//! would rules have opened on records that a store kept (`backtest`). It must not know how records are received or how
//! incidents are delivered. Its commands are those of `zenei bench` and `zenei backtest`; its own binary has them too,
//! without the rest of the product.
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
