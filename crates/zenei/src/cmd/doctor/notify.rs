//! Can the targets be told? Their secrets are read, and each is asked for what opens nothing there. Must not know a
//! target's kind. Called by `doctor`.
use super::look::Look;
use crate::config::Config;
use crate::daemon::start::runtime;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zenei_desk::notify::{SendError, Target, TargetConfig};

/// One line a target, in the order of their names; the targets are asked at the same time.
pub(super) fn looks(config: &Config) -> Vec<Look> {
    if config.notify.is_empty() {
        return Vec::new();
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(failure) => {
            return vec![Look::fail("notify", failure.to_string(), "end what holds this machine's threads")];
        }
    };
    let asked: Vec<_> = config
        .notify
        .iter()
        .map(|(name, target)| (name, target, Target::open(name, target)))
        .map(|(name, config, opened)| {
            let asked = opened.map(|target| runtime.spawn(async move { target.check().await }));
            (name, config, asked)
        })
        .collect();
    let answered = asked.into_iter().map(|(name, config, asked)| match asked {
        Err(error) => {
            let remedy = "put the secret into the file, or mend the configuration";
            Look::fail("notify", error.to_string(), remedy)
        }
        Ok(asked) => match runtime.block_on(asked) {
            Ok(answer) => judged(name, config, answer),
            Err(_) => Look::fail("notify", format!("{name}: the check broke off"), "run `zenei notify test`"),
        },
    });
    answered.collect()
}

fn judged(name: &str, config: &TargetConfig, answer: Result<String, SendError>) -> Look {
    let open: Vec<String> = config.secret_files().into_iter().filter_map(readable_by_others).collect();
    let said = |what: &str| format!("{name} ({}): {what}", config.kind());
    match answer {
        Ok(what) if open.is_empty() => Look::ok("notify", said(&what)),
        Ok(what) => {
            let files = open.join(" ");
            let found = said(&format!("{what}; others on this machine can read {files}"));
            Look::warn("notify", found, format!("chmod 600 {files}"))
        }
        Err(SendError::Never { why }) => {
            Look::fail("notify", said(&why), "mend its address or its key; docs/connectors.md says what it needs")
        }
        Err(SendError::Again { why, .. }) => {
            Look::fail("notify", said(&why), "start it, or mend its address; messages wait until it answers")
        }
    }
}

fn readable_by_others(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| file.display().to_string())
}
