//! `zenei bench` and `zenei backtest`: the lab's commands, in a build with the feature `lab`. Must not know what they
//! measure. Called by `cmd`.
use crate::exit::Failure;
use crate::output::Output;
use zenei_lab::LabError;
use zenei_lab::cli::Command;

/// Runs a command of the lab.
///
/// # Errors
/// As the lab has it, with the lab's exit code.
pub(crate) fn run(command: &Command, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut text = Vec::new();
    let ended = zenei_lab::run(command, &mut text);
    let text = String::from_utf8_lossy(&text);
    if !text.is_empty() {
        out.line(text.trim_end())?;
    }
    ended.map_err(|error| match error {
        LabError::Usage(what) => Failure::Usage(what),
        LabError::Config { what, source } => Failure::ConfigInEffect { what, source },
        LabError::Failed { what, source } => Failure::Broken { what, source },
        LabError::Output(source) => Failure::broken("the result can't be written", source),
    })
}
