//! The stand-ins that a killed desk tells: Waroom, PagerDuty, Alertmanager, Slack by its API, Slack by an incoming
//! webhook, and a receiver of webhooks. They live in the parent and fail by seed. Must not know the child. Called by
//! the parent.
use remote_sim::{Alertmanager, Faults, PagerDuty, Receiver, Server, Slack, Waroom, WaroomQuirks};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use zenei_desk::notify::TargetConfig;

/// A routing key has 32 characters.
const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";
const SIGNING_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The path of the incoming webhook.
pub(super) const HOOK: &str = "services/T0/B0/secret";
/// The channel of inquiries.
pub(super) const INQUIRIES: &str = "inquiries";

/// The targets, in the order of their marks.
pub(super) const TARGETS: [&str; 6] = ["alertmanager", "hook", "pagerduty", "slack", "waroom", "webhook"];

/// All of them.
pub(super) struct Remotes {
    runtime: tokio::runtime::Runtime,
    pub(super) waroom: Server<Waroom>,
    pub(super) pagerduty: Server<PagerDuty>,
    pub(super) slack: Server<Slack>,
    pub(super) hook: Server<Slack>,
    pub(super) webhook: Server<Receiver>,
    pub(super) alertmanager: Server<Alertmanager>,
}

impl Remotes {
    /// Starts them with these faults.
    pub(super) fn start(faults: impl Fn(u64) -> Faults) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let with_hook = Slack { hooks: [HOOK.to_owned()].into(), ..Slack::default() };
        let waroom = Waroom::new(WaroomQuirks::default(), &[("waroom-key", "device")], "api-key");
        let (waroom, pagerduty, slack, hook, webhook, alertmanager) = runtime.block_on(async {
            (
                Server::start(waroom, faults(1)).await.expect("a port"),
                Server::start(PagerDuty::new(ROUTING_KEY), faults(2)).await.expect("a port"),
                Server::start(Slack::new("xoxb-token", &[INQUIRIES]), faults(3)).await.expect("a port"),
                Server::start(with_hook, faults(4)).await.expect("a port"),
                Server::start(Receiver::new(SIGNING_SECRET), faults(5)).await.expect("a port"),
                Server::start(Alertmanager::default(), faults(6)).await.expect("a port"),
            )
        });
        Self { runtime, waroom, pagerduty, slack, hook, webhook, alertmanager }
    }

    /// How many requests came to all of them.
    pub(super) fn requests(&self) -> u64 {
        self.waroom.requests() + self.slack.requests() + self.hook.requests() + self.calls()
    }

    fn calls(&self) -> u64 {
        self.pagerduty.requests() + self.webhook.requests() + self.alertmanager.requests()
    }

    /// The targets as a configuration describes them, with their secrets in files of the folder.
    pub(super) fn targets(&self, folder: &Path) -> BTreeMap<String, TargetConfig> {
        let secret = |name: &str, text: &str| -> Value {
            let file = folder.join(name);
            std::fs::write(&file, text).expect("a folder that can be written");
            json!(file)
        };
        let hook_url = format!("{}/{HOOK}", self.hook.base_url());
        let all = json!({
            "alertmanager": {"kind": "alertmanager", "url": self.alertmanager.base_url(), "allow_private": true},
            "waroom": {"kind": "waroom", "base_url": self.waroom.base_url(), "allow_private": true,
                "integration_key_file": secret("waroom.key", "waroom-key")},
            "pagerduty": {"kind": "pagerduty", "base_url": self.pagerduty.base_url(), "allow_private": true,
                "routing_key_file": secret("pagerduty.key", ROUTING_KEY)},
            "slack": {"kind": "slack", "base_url": self.slack.base_url(), "allow_private": true,
                "token_file": secret("slack.token", "xoxb-token"), "inquiry_channel": format!("#{INQUIRIES}")},
            "hook": {"kind": "slack", "allow_private": true, "webhook_url_file": secret("hook.url", &hook_url)},
            "webhook": {"kind": "webhook", "allow_private": true, "url": format!("{}/", self.webhook.base_url()),
                "secret_file": secret("webhook.secret", SIGNING_SECRET)},
        });
        let all: BTreeMap<String, TargetConfig> = serde_json::from_value(all).expect("a configuration");
        assert!(all.keys().eq(TARGETS), "the marks have the order of the names");
        all
    }

    /// Ends them.
    pub(super) fn end(self) {
        let Self { runtime, .. } = self;
        runtime.shutdown_timeout(Duration::from_secs(20));
    }
}

/// The mixture: 5 % each of 500 before and after the request was carried out, 2 % slow by 20 ms, 30 % dropped after
/// they were carried out, and so many per mille refused by 429 with `Retry-After`, which stops the target for 1 s.
pub(super) fn mixed(seed: u64, limited: u16) -> Faults {
    Faults {
        seed,
        failed: 50,
        failed_late: 50,
        limited,
        slow: 20,
        dropped: 300,
        retry_after_s: 1,
        slow_for: Duration::from_millis(20),
    }
}
