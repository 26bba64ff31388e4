//! `zenei man`: the manual pages, made from the command line itself. Must not know a command. Called by `cmd`.
use crate::cli::{Cli, Man};
use crate::exit::Failure;
use crate::output::Output;
use clap::CommandFactory as _;
use std::path::Path;

/// Runs `man`.
///
/// # Errors
/// Where a page can't be written.
pub(crate) fn run(arguments: &Man, out: &mut Output<'_>) -> Result<(), Failure> {
    let Some(folder) = &arguments.folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map_err(|error| Failure::broken("can't write the manual page", error))?;
        return out.line(String::from_utf8_lossy(&page).trim_end());
    };
    let written = write(folder)
        .map_err(|error| Failure::broken(format!("can't write the manual pages into {}", folder.display()), error))?;
    out.line(format!("{written} manual pages in {}", folder.display()))
}

/// Writes a page for each command that a person can see; returns how many.
fn write(folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    page(&cli, folder)
}

fn page(command: &clap::Command, folder: &Path) -> std::io::Result<usize> {
    let man = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    man.render(&mut text)?;
    std::fs::write(folder.join(man.get_filename()), text)?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).map(|below| page(below, folder));
    below.sum::<std::io::Result<usize>>().map(|written| written + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_example() {
        let folder = tempfile::tempdir().unwrap();
        let written = write(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), written);
        let page = std::fs::read_to_string(folder.path().join("zenei-incident-ack.1")).unwrap();
        assert!(page.contains(r"zenei incident ack 9361a8acc"), "{page}");
        assert!(folder.path().join("zenei.1").is_file());
    }
}
