//! Does this version of the daemon support all that a valid configuration asks for? Refuses options that are not
//! available yet, and a configuration without any source of records, so that no key is silently ignored. Called by
//! `run`, after the check, and by `config check` and `doctor`, which report it beforehand.
use super::{Config, DetectSource, Loaded, Problems};
use zenei_desk::notify::{Target, TargetConfig};

/// Refuses what this version does not support, and a daemon without any source, which is a mistake.
///
/// # Errors
/// Each key that asks for such a thing; the file where there is no source.
pub(crate) fn runnable(loaded: &Loaded) -> Result<(), Problems> {
    let found = asked(&loaded.config);
    if found.is_empty() { Ok(()) } else { Err(loaded.problems(found)) }
}

fn asked(config: &Config) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut refuse = |key: &'static str, asks: bool, what: &str| {
        if asks {
            found.push((key, format!("`{key}`: {what} in this version of zenei; remove it to run without")));
        }
    };
    let tls = "TLS is not available";
    if let Some(mqtt) = &config.mqtt {
        refuse("mqtt.url", mqtt.url.starts_with("mqtts:"), "mqtts:// is not available");
        refuse("mqtt.ca_file", mqtt.ca_file.is_some(), tls);
        refuse("mqtt.cert_file", mqtt.cert_file.is_some(), tls);
    }
    if let Some(ingress) = &config.ingress {
        refuse("ingress.cert_file", ingress.cert_file.is_some(), tls);
    }
    let elsewhere = config.ble.is_some() && !cfg!(target_os = "linux");
    refuse("ble", elsewhere, "hearing Bluetooth LE is available on Linux only");
    let token_file = config.http.as_ref().is_some_and(|http| http.token_file.is_some());
    refuse("http.token_file", token_file, "the API has no tokens");
    let silent = !config.notify.is_empty() && !config.desk.enabled;
    refuse("notify", silent, "nobody can be told without `desk.enabled = true`: no incident is opened here");
    let tails = config.desk.enabled && config.detect.source == DetectSource::ClickHouse;
    let commands =
        |target: &TargetConfig| matches!(target, TargetConfig::Slack(slack) if slack.signing_secret_file.is_some());
    let has_commands = config.notify.values().any(commands);
    if has_commands && config.http.is_none() {
        let text = "`notify`: `signing_secret_file` takes commands from Slack over HTTP, which is off; add [http] with \
                    `listen`, or remove it to run without";
        found.push(("notify", text.to_owned()));
    }
    let hears_back =
        |target: &TargetConfig| matches!(target, TargetConfig::Alertmanager(am) if am.webhook_token_file.is_some());
    if config.notify.values().any(hears_back) && config.http.is_none() {
        let text = "`notify`: `webhook_token_file` takes Alertmanager's webhook over HTTP, which is off; add [http] with \
                    `listen`, or remove it to run without";
        found.push(("notify", text.to_owned()));
    }
    for error in config.notify.iter().filter_map(|(name, target)| Target::open(name, target).err()) {
        found.push(("notify", error.to_string()));
    }
    if !config.hears() && !tails {
        let text =
            "nothing is heard; [mqtt] (a broker), [ingress] (hubs that publish here) or [ble] (a radio) is needed"
                .to_owned();
        found.push(("", text));
    }
    found
}
