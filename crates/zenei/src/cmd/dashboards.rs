//! `zenei dashboards`: writes the dashboards and alert rules that are embedded in the program. Must not know what they
//! ask; `dashboards/` in the repository holds them. Called by `cmd`.
use crate::cli::dashboards::{DashboardKind, Dashboards, Export};
use crate::exit::Failure;
use crate::output::{Colour, Output};
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

/// Each file's path below the folder, with its text.
macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../dashboards/", $path)))),+]
    };
}

/// Every file of `dashboards/`; a test of the repository compares them with the folder.
const FILES: &[(&str, &str)] = files![
    "grafana/cohorts.json",
    "grafana/fleet.json",
    "grafana/gateways.json",
    "grafana/incidents.json",
    "grafana/lock.json",
    "grafana/zenei.json",
    "grafana/provisioning/alerting/zenei.yaml",
    "grafana/provisioning/dashboards/zenei.yaml",
    "grafana/provisioning/datasources/zenei.yaml",
    "prometheus/zenei.rules.test.yml",
    "prometheus/zenei.rules.yml",
];

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Written,
    Replaced,
    Unchanged,
}

impl Fate {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Runs `dashboards export`.
///
/// # Errors
/// A file that differs without `--force`, in which case nothing is written; a folder that can't be written.
pub(crate) fn run(command: Dashboards, out: &mut Output<'_>) -> Result<(), Failure> {
    let Dashboards::Export(arguments) = command;
    let mut planned = Vec::new();
    for (path, text) in FILES.iter().filter(|(path, _)| is_of(arguments.kind, path)) {
        let target = arguments.dir.join(path);
        let fate = fate(&target, text)?;
        planned.push((target, *text, fate));
    }
    refuse_differing(&planned, &arguments)?;
    for (target, text, fate) in &planned {
        if *fate != Fate::Unchanged {
            write(target, text)
                .map_err(|error| Failure::broken(format!("{} can't be written", target.display()), error))?;
        }
        if arguments.json {
            out.json(&json!({"version": 1, "file": target, "state": fate.as_str()}))?;
        } else {
            let mark = out.paint(Colour::Green, fate.as_str());
            out.line(format!("{mark}: {}", target.display()))?;
        }
    }
    Ok(())
}

fn is_of(kind: Option<DashboardKind>, path: &str) -> bool {
    match kind {
        None => true,
        Some(DashboardKind::Grafana) => path.starts_with("grafana/"),
        Some(DashboardKind::Prometheus) => path.starts_with("prometheus/"),
    }
}

fn fate(target: &Path, text: &str) -> Result<Fate, Failure> {
    match std::fs::read(target) {
        Ok(found) if found == text.as_bytes() => Ok(Fate::Unchanged),
        Ok(_) => Ok(Fate::Replaced),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Fate::Written),
        Err(error) => Err(Failure::broken(format!("{} can't be read", target.display()), error)),
    }
}

fn refuse_differing(planned: &[(PathBuf, &str, Fate)], arguments: &Export) -> Result<(), Failure> {
    let differing: Vec<String> = planned
        .iter()
        .filter(|(_, _, fate)| *fate == Fate::Replaced)
        .map(|(path, ..)| path.display().to_string())
        .collect();
    if differing.is_empty() || arguments.force {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "nothing is written: {} is there and differs from this version's; --force replaces it",
        differing.join(", ")
    )))
}

fn write(target: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(target, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the command prints, or its error's text.
    fn export(dir: &Path, kind: Option<DashboardKind>, force: bool) -> Result<String, String> {
        let mut printed = Vec::new();
        let command = Dashboards::Export(Export { dir: dir.to_owned(), kind, force, json: false });
        let ended = run(command, &mut Output::to(&mut printed)).map_err(|failure| failure.to_string());
        ended.map(|()| String::from_utf8(printed).unwrap())
    }

    #[test]
    fn every_file_of_the_repositorys_folder_is_exported_byte_for_byte() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(export(dir.path(), None, false).unwrap().matches("written: ").count(), FILES.len());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dashboards");
        let mut folders = vec![source.clone()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let target = dir.path().join(path.strip_prefix(&source).unwrap());
                assert_eq!(std::fs::read(&target).ok(), Some(std::fs::read(&path).unwrap()), "{}", path.display());
                seen += 1;
            }
        }
        assert_eq!(seen, FILES.len());
    }

    #[test]
    fn a_file_that_somebody_changed_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let kind = Some(DashboardKind::Prometheus);
        let printed = export(dir.path(), kind, false).unwrap();
        assert!(!printed.contains("grafana") && !dir.path().join("grafana").exists(), "{printed}");
        assert_eq!(export(dir.path(), kind, false).unwrap().matches("unchanged: ").count(), 2);
        let rules = dir.path().join("prometheus/zenei.rules.yml");
        std::fs::write(&rules, "groups: []\n").unwrap();
        std::fs::remove_file(dir.path().join("prometheus/zenei.rules.test.yml")).unwrap();
        let refused = export(dir.path(), kind, false).unwrap_err();
        assert!(refused.starts_with("nothing is written: ") && refused.contains("zenei.rules.yml"), "{refused}");
        assert!(!dir.path().join("prometheus/zenei.rules.test.yml").exists(), "all or nothing");
        assert_eq!(std::fs::read_to_string(&rules).unwrap(), "groups: []\n");
        let printed = export(dir.path(), kind, true).unwrap();
        assert!(printed.contains("replaced: ") && printed.contains("written: "), "{printed}");
    }
}
