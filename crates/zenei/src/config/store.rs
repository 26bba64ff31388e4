//! Where records are stored: the keys of `[store]` and `[store.clickhouse]`. Must not know rows or servers. Read with
//! the rest of the configuration.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use zenei_gateway::SealLimits;
use zenei_store::schema::Retention;

/// Where records are kept.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Store {
    /// What keeps them.
    pub(crate) kind: StoreKind,
    /// Records that make a sealed range, whichever comes first: what is sealed is shipped, and a range is one insert
    /// per table.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub(crate) seal_rows: u32,
    /// Seconds after which records are sealed however few they are.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) seal_s: u16,
    /// The ClickHouse server or cluster, where kind is clickhouse or detection reads from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clickhouse: Option<ClickHouse>,
}

/// How long a gateway that hears nothing keeps that to itself; a desk that reads many gateways' records waits for it. A
/// guess.
const IDLE_MS: i64 = 30_000;

impl Default for Store {
    /// The gateway's own limits.
    fn default() -> Self {
        let SealLimits { rows, age, .. } = SealLimits::default();
        let seal_rows = u32::try_from(rows).unwrap_or(u32::MAX);
        let seal_s = u16::try_from(age.as_secs()).unwrap_or(u16::MAX);
        Self { kind: StoreKind::default(), seal_rows, seal_s, clickhouse: None }
    }
}

impl Store {
    /// When what was processed is sealed.
    pub(crate) fn seal_limits(&self) -> SealLimits {
        let rows = usize::try_from(self.seal_rows).unwrap_or(usize::MAX);
        let idle_ms = (self.kind == StoreKind::ClickHouse).then_some(IDLE_MS);
        SealLimits { rows, age: Duration::from_secs(self.seal_s.into()), idle_ms, ..SealLimits::default() }
    }
}

/// What keeps records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// Parquet files in state_dir.
    #[default]
    Parquet,
    /// A ClickHouse server or cluster.
    ClickHouse,
}

/// A ClickHouse server or cluster.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClickHouse {
    /// Its HTTP interface.
    #[schemars(extend("format" = "http-url", "examples" = ["http://127.0.0.1:8123"]))]
    pub(crate) url: String,
    /// The database, made where it is missing.
    #[serde(default = "database")]
    #[schemars(extend("format" = "identifier", "examples" = ["zenei"]))]
    pub(crate) database: String,
    /// The user.
    #[serde(default = "user")]
    pub(crate) user: String,
    /// File that holds the password.
    #[schemars(extend("format" = "file", "examples" = ["clickhouse.pw"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// Name of the cluster; empty on a single server.
    #[serde(default)]
    pub(crate) cluster: String,
    /// Of a cluster of several shards: the HTTP interface of one server of each, in the order in which the cluster
    /// numbers them. Rows are written straight to the shard of their lock; an empty list writes to `url`. Change it
    /// only while nothing waits to be shipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("items" = {"type": "string", "format": "http-url", "examples": ["http://127.0.0.1:8123"]}, "examples" = [["http://ch-1:8123", "http://ch-2:8123"]]))]
    pub(crate) shards: Vec<String>,
    /// Whether records also go to the feed, for some days, from which a desk with detect.source = "clickhouse" reads;
    /// false saves a second insert.
    #[serde(default = "on")]
    pub(crate) feed: bool,
    /// How many days rows stay, table by table.
    #[serde(default)]
    pub(crate) keep_days: KeepDays,
}

fn on() -> bool {
    true
}

/// How many days rows stay, table by table. 20,000 keep what is heard until 2051 before the end of ClickHouse's 32-bit
/// time, 2106: beyond it an end wraps, and rows go at once.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeepDays {
    /// Heartbeats, errors and events.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) record: u16,
    /// Operations: who opened which door when.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) operation: u16,
    /// Motor current profiles.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) motor_profile: u16,
    /// Dead letters.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) dead_letter: u16,
    /// Gaps.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) gap: u16,
    /// Decisions not to open an incident.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) decision: u16,
    /// Hourly states of cohorts.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) cohort_hour: u16,
    /// The feed that a desk with detect.source = "clickhouse" reads, from when it came.
    #[schemars(range(min = 1, max = 20_000))]
    pub(crate) feed: u16,
}

impl Default for KeepDays {
    /// The schema's own days.
    fn default() -> Self {
        let Retention { record, operation, motor_profile, dead_letter, gap, decision, cohort_hour, feed } =
            Retention::default();
        Self { record, operation, motor_profile, dead_letter, gap, decision, cohort_hour, feed }
    }
}

impl From<KeepDays> for Retention {
    fn from(days: KeepDays) -> Self {
        let KeepDays { record, operation, motor_profile, dead_letter, gap, decision, cohort_hour, feed } = days;
        Self { record, operation, motor_profile, dead_letter, gap, decision, cohort_hour, feed }
    }
}

fn database() -> String {
    "zenei".to_owned()
}

fn user() -> String {
    "default".to_owned()
}
