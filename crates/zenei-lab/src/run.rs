//! Which command was given: passes its arguments to the module that runs it. Called by `zenei` and by the lab's own
//! binary.
#[cfg(feature = "backtest")]
use crate::backtest;
use crate::cli::{Bench, Command};
use crate::error::LabError;
use crate::{fleet, nab};
use std::io::Write;

/// Runs a command; its result goes to `out`.
///
/// # Errors
/// See [`LabError`].
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), LabError> {
    match command {
        Command::Bench(Bench::Fleet(arguments)) => fleet::bench(arguments, out),
        Command::Bench(Bench::Nab(arguments)) => nab::bench(arguments, out),
        #[cfg(feature = "backtest")]
        Command::Backtest(arguments) => backtest::run(arguments, out),
    }
}
