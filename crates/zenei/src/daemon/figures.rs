//! What the daemon shows in `/metrics` of its own parts: the radio, the broker, room on the disk, messages to people,
//! how far the history is. Each is read at the scrape. Must not know how metrics are written. Called by `run`.
use super::{broker, radio};
use crate::config::Config;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zenei_desk::{Metric, MetricValue, OwnMetrics};
use zenei_gateway::Running;
use zenei_store::control::Sent;
use zenei_store::history::History;
use zenei_store::{Control, ControlError, Layout};

/// The metrics of a daemon's parts. `is_followed`: it keeps a history of its own.
pub(crate) fn of(config: &Config, gateway: &Running, is_followed: bool) -> Vec<OwnMetrics> {
    let layout = Layout::new(&config.state_dir);
    let mut own: Vec<OwnMetrics> = gateway.radio().map(radio::figures).into_iter().collect();
    own.extend(config.mqtt.as_ref().map(|_| broker::figures(gateway.counters())));
    own.push(disk(&config.state_dir));
    if config.desk.enabled {
        own.push(outbox(layout.control(), config.notify.keys().cloned().collect()));
    }
    if is_followed {
        own.push(history(History::local(&layout.history())));
    }
    own
}

/// The room on the disk of a folder; nothing where the system does not say.
fn disk(folder: &Path) -> OwnMetrics {
    let folder = folder.to_owned();
    OwnMetrics::new(move || {
        let Ok(room) = rustix::fs::statvfs(&folder) else { return Vec::new() };
        let bytes = |blocks: u64| level(blocks.saturating_mul(room.f_frsize));
        vec![
            Metric {
                name: "zenei_disk_free_bytes",
                help: "Room that is left for zenei on the disk of its state folder",
                value: bytes(room.f_bavail),
            },
            Metric {
                name: "zenei_disk_size_bytes",
                help: "Size of the disk of zenei's state folder",
                value: bytes(room.f_blocks),
            },
        ]
    })
}

/// The messages of these targets, from the control database at `path`; nothing while it can't be read.
fn outbox(path: PathBuf, targets: Vec<String>) -> OwnMetrics {
    let opened = Mutex::new(None);
    OwnMetrics::new(move || {
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&mut opened, &path) {
            Ok(sent) => messages(&targets, &sent),
            Err(error) => {
                tracing::debug!(%error, "the outbox can't be counted");
                *opened = None;
                Vec::new()
            }
        }
    })
}

fn read(opened: &mut Option<Control>, path: &Path) -> Result<Vec<Sent>, ControlError> {
    match opened {
        Some(control) => control.sent(),
        None => opened.insert(Control::open_read_only(path)?).sent(),
    }
}

/// Every target is shown, also at 0 and also one that left the configuration with messages in the outbox.
fn messages(targets: &[String], sent: &[Sent]) -> Vec<Metric> {
    let mut by_target: BTreeMap<&str, Sent> = targets.iter().map(|name| (name.as_str(), Sent::default())).collect();
    by_target.extend(sent.iter().map(|sent| (sent.target.as_str(), sent.clone())));
    let levels = |of: fn(&Sent) -> u64| MetricValue::Levels {
        label: "target",
        levels: by_target.iter().map(|(name, sent)| ((*name).to_owned(), signed(of(sent)))).collect(),
    };
    let ended = by_target.iter().flat_map(|(name, sent)| {
        let by_outcome = [("delivered", sent.delivered), ("given_up", sent.given_up)];
        by_outcome.map(|(outcome, count)| ([(*name).to_owned(), outcome.to_owned()], count))
    });
    vec![
        Metric {
            name: "zenei_outbox_waiting",
            help: "Messages about incidents that are not sent yet",
            value: levels(|sent| sent.waiting),
        },
        Metric {
            name: "zenei_outbox_failing",
            help: "Of the waiting messages those that failed at least once",
            value: levels(|sent| sent.failing),
        },
        Metric {
            name: "zenei_outbox_ended",
            help: "Messages about incidents that were delivered, or given up after a day",
            value: MetricValue::CountsByTwo { labels: ["target", "outcome"], counts: ended.collect() },
        },
    ]
}

/// How far the history of this machine is; nothing while it is empty or can't be read.
fn history(history: History) -> OwnMetrics {
    OwnMetrics::new(move || match history.up_to_ms() {
        Ok(up_to_ms) if up_to_ms > 0 => vec![Metric {
            name: "zenei_history_up_to_seconds",
            help: "When the newest record was heard that pages and charts show, seconds since 1970",
            value: MetricValue::Level(up_to_ms / 1_000),
        }],
        Ok(_) | Err(_) => Vec::new(),
    })
}

fn level(value: u64) -> MetricValue {
    MetricValue::Level(signed(value))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_a_message_is_shown_at_0_and_one_that_left_keeps_its_count() {
        let sent = Sent { target: "old".into(), waiting: 3, failing: 2, delivered: 7, given_up: 1 };
        let [waiting, failing, ended] = &messages(&["room".to_owned()], &[sent])[..] else { panic!("three metrics") };
        let levels = |levels: [(&str, i64); 2]| MetricValue::Levels {
            label: "target",
            levels: levels.map(|(name, level)| (name.to_owned(), level)).to_vec(),
        };
        assert_eq!(waiting.value, levels([("old", 3), ("room", 0)]));
        assert_eq!(failing.value, levels([("old", 2), ("room", 0)]));
        let MetricValue::CountsByTwo { counts, .. } = &ended.value else { panic!("{ended:?}") };
        let found: Vec<(&str, &str, u64)> = counts.iter().map(|([a, b], n)| (a.as_str(), b.as_str(), *n)).collect();
        let expected =
            [("old", "delivered", 7), ("old", "given_up", 1), ("room", "delivered", 0), ("room", "given_up", 0)];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_outbox_that_is_not_there_shows_nothing_and_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{:?}", outbox(folder.path().join("control.db"), vec!["room".to_owned()]));
        assert_eq!(text, "OwnMetrics");
        assert!(read(&mut None, &folder.path().join("control.db")).is_err());
    }
}
