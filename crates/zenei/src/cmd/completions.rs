//! `zenei completions`: the script with which a shell completes zenei's commands, made from the command line itself.
//! Must not know a command. Called by `cmd`.
use crate::cli::{Cli, Completions};
use crate::exit::Failure;
use crate::output::Output;
use clap::CommandFactory as _;

/// Runs `completions`.
///
/// # Errors
/// Where the script can't be written.
pub(crate) fn run(arguments: &Completions, out: &mut Output<'_>) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "zenei", &mut script);
    out.line(String::from_utf8_lossy(&script).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap_complete::Shell;

    #[test]
    fn every_shell_completes_commands_and_options() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let mut script = Vec::new();
            run(&Completions { shell }, &mut Output::to(&mut script)).unwrap();
            let script = String::from_utf8(script).unwrap();
            for word in ["replay", "temp-fix", "simulated-time"] {
                assert!(script.contains(word), "{shell} does not know {word}");
            }
        }
    }
}
