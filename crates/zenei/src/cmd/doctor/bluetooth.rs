//! The radio: asks BlueZ over D-Bus whether the adapter is there and on, and reads from `/metrics` of a running zenei
//! which steps kept the scan alive. Must not change anything: it starts no scan and switches no power. Called by
//! `doctor`.
use super::look::{Look, PATIENCE};
use crate::config::Ble;
use crate::daemon::own_http;
use crate::daemon::radio::{SCANNING, STEPS};
use crate::daemon::start::runtime;
use std::error::Error as _;
use std::net::SocketAddr;
use zenei_gateway::source::ble::{self, RadioError};

const WHAT: &str = "bluetooth";

/// Checks the radio. Where it is not configured, its absence is only a warning.
pub(super) fn look(ble: &Ble, http: Option<SocketAddr>, is_configured: bool) -> Look {
    let Ok(runtime) = runtime() else {
        return Look::warn(WHAT, "can't be asked: the system gives no threads", "end what holds them");
    };
    let asked = async { tokio::time::timeout(PATIENCE, ble::look(Some(&ble.adapter))).await };
    let found = runtime.block_on(asked).unwrap_or(Err(RadioError::TimedOut));
    let steps = http.and_then(metrics).map(|metrics| history(&metrics)).unwrap_or_default();
    match found {
        Ok(found) if found.is_powered => Look::ok(WHAT, format!("{} is there and on{steps}", found.adapter)),
        Ok(found) => {
            let remedy = "zenei switches it on when it starts; where it can't, look at `rfkill`";
            Look::warn(WHAT, format!("{} is there, but off{steps}", found.adapter), remedy)
        }
        Err(error) => {
            let text = error.to_string();
            let (what, remedy) = text.split_once("; ").unwrap_or((&text, "look at the log of bluetoothd"));
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            let what = format!("{what}{cause}{steps}");
            if is_configured { Look::fail(WHAT, what, remedy) } else { Look::warn(WHAT, what, remedy) }
        }
    }
}

/// The radio's state and steps in `/metrics`, in words; empty where the daemon has no radio.
fn history(metrics: &str) -> String {
    let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i64>().ok());
    let Some(scanning) = value(SCANNING) else { return String::new() };
    let state = if scanning == 1 { "scans" } else { "does not scan" };
    let prefix = format!("{STEPS}_total{{step=\"");
    let steps = metrics.lines().filter_map(|line| {
        let (step, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
        (count != "0").then(|| format!("{step} {count}"))
    });
    let steps: Vec<String> = steps.collect();
    let steps = if steps.is_empty() { "nothing done yet".to_owned() } else { steps.join(", ") };
    format!("; the zenei that runs {state} ({steps})")
}

fn metrics(http: SocketAddr) -> Option<String> {
    let (status, text) = own_http::get(http, "/metrics", None).ok()?;
    (status == 200).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_has_done_is_told_in_words() {
        let metrics = "# TYPE zenei_ble_scanning gauge\nzenei_ble_scanning 1\nzenei_ble_steps_total{step=\"opened\"} 3\n\
                       zenei_ble_steps_total{step=\"exit\"} 0\nzenei_ble_steps_total{step=\"lost\"} 2\n";
        assert_eq!(history(metrics), "; the zenei that runs scans (opened 3, lost 2)");
        assert_eq!(history("zenei_stored_total 4\n"), "");
        assert_eq!(history("zenei_ble_scanning 0\n"), "; the zenei that runs does not scan (nothing done yet)");
    }
}
