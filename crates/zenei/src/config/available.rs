//! Can the daemon do what a well-formed configuration asks for? Mistakes, which no version would take (a target that
//! can't be told), are errors of `config check` and of `run` alike. What this version lacks, and a configuration
//! without a source, which other commands can use, `run` refuses and `config check` and `doctor` report beforehand.
//! Must not open a socket. Called by `run`, `config check` and `doctor`.
use super::{Config, DetectSource, Loaded, Problems};
use zenei_desk::notify::{Target, TargetConfig};

/// Finds the targets that can't be told: secrets of a wrong form, addresses that are not allowed, a section that they
/// need and that is absent. Reads the targets' secrets.
///
/// # Errors
/// Each of them, at its key.
pub(crate) fn usable(loaded: &Loaded) -> Result<(), Problems> {
    let found = mistaken(&loaded.config);
    if found.is_empty() { Ok(()) } else { Err(loaded.problems(found)) }
}

/// Refuses what this version does not support, and a daemon without any source.
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
    let tails = config.desk.enabled && config.detect.source == DetectSource::ClickHouse;
    if !config.hears() && !tails {
        let text =
            "nothing is heard; [mqtt] (a broker), [ingress] (hubs that publish here) or [ble] (a radio) is needed"
                .to_owned();
        found.push(("", text));
    }
    found
}

fn mistaken(config: &Config) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if !config.notify.is_empty() && !config.desk.enabled {
        let text = "`notify`: nobody can be told without `desk.enabled = true`: no incident is opened here";
        found.push(("notify".to_owned(), text.to_owned()));
    }
    for (name, target) in &config.notify {
        if let (None, Some((key, whose))) = (&config.http, over_http(target)) {
            let key = format!("notify.{name}.{key}");
            let text = format!("`{key}` takes {whose} over HTTP, which is off; add [http] with `listen`, or remove it");
            found.push((key, text));
        }
        if let Err(error) = Target::checked(name, target) {
            found.push((error.place(), error.to_string()));
        }
    }
    found
}

/// The key by which a target asks for what needs the HTTP server, and what that is.
fn over_http(target: &TargetConfig) -> Option<(&'static str, &'static str)> {
    match target {
        TargetConfig::Slack(slack) => {
            slack.signing_secret_file.as_ref().map(|_| ("signing_secret_file", "commands from Slack"))
        }
        TargetConfig::Alertmanager(am) => {
            am.webhook_token_file.as_ref().map(|_| ("webhook_token_file", "Alertmanager's webhook"))
        }
        TargetConfig::Webhook(_) | TargetConfig::PagerDuty(_) | TargetConfig::Waroom(_) => None,
    }
}
