//! The tables of ClickHouse: numbered migrations, embedded as text, filled in for one server or for a cluster. Must not
//! know rows. `zenei schema` prints and applies them; the shippers, the readers and the erasure use the tables' names.
//!
//! A migration's text has placeholders: `{local:T}` the table that rows go to (on a cluster `T_local`, with a
//! `Distributed` table `T` above it), `{everywhere:T}` a table that every server has whole, `{engine:E}` and
//! `{engine_everywhere:E}` their engines (replicated on a cluster), `{distributed:T:KEY}` the table above (nothing on
//! one server), `{window}` how many inserts are remembered, `{on_cluster}`, `{db}`, `{days:T}`.
mod added;
mod apply;
mod cohorts;
mod target;

#[cfg(test)]
mod tests;

pub(crate) use added::sql_type;
pub use apply::{Applied, ApplyError, apply};
pub(crate) use cohorts::CohortView;
pub(crate) use target::Target;

use std::borrow::Cow;
use zenei_wire::Id;

/// How many inserted blocks a table remembers, to take each once. A guess: a hundred gateways that seal every ten
/// seconds make 600 blocks a minute, so a gateway may retry for a quarter of an hour; the server stores some 100 bytes
/// for each.
pub const WINDOW_BLOCKS: u32 = 10_000;

/// A change of the tables. A released migration never changes; a new change is a new migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1.
    pub version: u32,
    /// Its name.
    pub name: &'static str,
    /// Its action.
    pub step: Step,
}

/// The action of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A text with placeholders.
    Text(&'static str),
    /// Adds the columns of these fields of the contract (`zenei_wire::fields`) to the tables that have them.
    Fields(&'static [&'static str]),
}

impl Migration {
    /// Its text, with placeholders.
    fn text(&self) -> Cow<'static, str> {
        match self.step {
            Step::Text(text) => Cow::Borrowed(text),
            Step::Fields(names) => Cow::Owned(added::columns(names)),
        }
    }
}

/// All migrations, in order.
pub const MIGRATIONS: [Migration; 6] = [
    Migration { version: 1, name: "records", step: Step::Text(include_str!("../../migrations/0001_records.sql")) },
    Migration { version: 2, name: "findings", step: Step::Text(include_str!("../../migrations/0002_findings.sql")) },
    Migration { version: 3, name: "cohorts", step: Step::Text(include_str!("../../migrations/0003_cohorts.sql")) },
    Migration { version: 4, name: "feed", step: Step::Text(include_str!("../../migrations/0004_feed.sql")) },
    Migration {
        version: 5,
        name: "advertisements",
        step: Step::Text(include_str!("../../migrations/0005_advertisements.sql")),
    },
    Migration { version: 6, name: "lives", step: Step::Text(include_str!("../../migrations/0006_lives.sql")) },
];

const RETENTION: &str = include_str!("../../migrations/retention.sql");
const ACCESS: &str = include_str!("../../migrations/access.sql");

/// The retention of rows, in days. Guesses: a year and a month compare a season with the last one; who opened which
/// door is stored no longer than a complaint takes to come in; a profile is inspected while its incident is open; a
/// desk that was away for longer than a week reads its past from the other tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the tables' names")]
pub struct Retention {
    pub record: u16,
    pub operation: u16,
    pub motor_profile: u16,
    pub dead_letter: u16,
    pub gap: u16,
    pub decision: u16,
    pub cohort_hour: u16,
    pub feed: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            record: 400,
            operation: 90,
            motor_profile: 30,
            dead_letter: 30,
            gap: 400,
            decision: 400,
            cohort_hour: 1200,
            feed: 7,
        }
    }
}

/// Where the tables are: one server's database, or a cluster's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    database: String,
    cluster: Option<String>,
    keep: Retention,
}

/// A name that is not allowed in a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} is '{found}'; 1 to 64 of A-Z a-z 0-9 _ are allowed, the first no digit{more}")]
pub struct BadName {
    what: &'static str,
    found: String,
    more: &'static str,
}

impl Form {
    /// The tables of a database; with a `cluster`, replicated and distributed over it.
    ///
    /// # Errors
    /// [`BadName`]: names go into statements unquoted, so a name that needs quotes is refused.
    pub fn new(database: &str, cluster: Option<&str>, keep: Retention) -> Result<Self, BadName> {
        let shown = |text: &str| text.chars().take(80).flat_map(char::escape_default).collect();
        if !is_identifier(database, "") {
            return Err(BadName { what: "database", found: shown(database), more: "" });
        }
        match cluster {
            Some(cluster) if !is_identifier(cluster, "-.") => {
                Err(BadName { what: "cluster", found: shown(cluster), more: "; also - and ." })
            }
            cluster => Ok(Self { database: database.to_owned(), cluster: cluster.map(str::to_owned), keep }),
        }
    }

    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The table that is read: on a cluster the one above those of the shards.
    pub fn table(&self, name: &str) -> String {
        format!("{}.{name}", self.database)
    }

    /// The table into which a server's rows are inserted.
    pub fn local(&self, name: &str) -> String {
        let ending = if self.cluster.is_some() { "_local" } else { "" };
        format!("{}.{name}{ending}", self.database)
    }

    /// Whether it is one server, without replicas.
    pub(crate) fn is_single(&self) -> bool {
        self.cluster.is_none()
    }

    /// How long a row of a table of records stays by the time of its hearing, in days; `None` for other tables.
    pub(crate) fn keep_days(&self, target: Target) -> Option<u16> {
        match target {
            Target::Record => Some(self.keep.record),
            Target::Operation => Some(self.keep.operation),
            Target::MotorProfile => Some(self.keep.motor_profile),
            Target::DeadLetter => Some(self.keep.dead_letter),
            Target::Gap => Some(self.keep.gap),
            Target::Feed | Target::Shipment => None,
        }
    }

    /// The clause that runs a statement on every server of a cluster; empty for a single one.
    pub(crate) fn on_cluster(&self) -> String {
        self.cluster.as_ref().map_or(String::new(), |cluster| format!(" ON CLUSTER '{cluster}'"))
    }

    /// An engine with its arguments, replicated within each shard or over all servers.
    fn engine(&self, engine: &str, everywhere: bool) -> String {
        if self.cluster.is_none() {
            return engine.to_owned();
        }
        let (name, arguments) = match engine.split_once('(') {
            Some((name, arguments)) => (name, format!(", {}", arguments.trim_end_matches(')'))),
            None => (engine, String::new()),
        };
        // {shard}, {replica}, {database} and {table} are ClickHouse's macros.
        let (path, replica) = if everywhere { ("all", "{shard}-{replica}") } else { ("{shard}", "{replica}") };
        format!("Replicated{name}('/clickhouse/tables/{path}/{{database}}/{{table}}', '{replica}'{arguments})")
    }

    fn fill(&self, placeholder: &str) -> Option<String> {
        let mut parts = placeholder.splitn(3, ':');
        match (parts.next()?, parts.next(), parts.next()) {
            ("db", None, None) => Some(self.database.clone()),
            ("on_cluster", None, None) => Some(self.on_cluster()),
            ("window", None, None) => {
                let kind = if self.cluster.is_some() { "replicated" } else { "non_replicated" };
                Some(format!("{kind}_deduplication_window = {WINDOW_BLOCKS}"))
            }
            ("local", Some(table), None) => Some(self.local(table)),
            ("everywhere", Some(table), None) => Some(self.table(table)),
            ("engine", Some(engine), None) => Some(self.engine(engine, false)),
            ("engine_everywhere", Some(engine), None) => Some(self.engine(engine, true)),
            ("distributed", Some(table), Some(key)) => Some(self.distributed(table, key)),
            ("days", Some(table), None) => self.days(table),
            _ => None,
        }
    }

    fn distributed(&self, table: &str, key: &str) -> String {
        let Some(cluster) = &self.cluster else { return String::new() };
        let (above, local, on_cluster) = (self.table(table), self.local(table), self.on_cluster());
        let database = &self.database;
        format!(
            "CREATE TABLE IF NOT EXISTS {above}{on_cluster} AS {local}\n\
             ENGINE = Distributed('{cluster}', '{database}', '{table}_local', {key})"
        )
    }

    fn days(&self, table: &str) -> Option<String> {
        let keep = self.keep;
        let days = match table {
            "record" => keep.record,
            "operation" => keep.operation,
            "motor_profile" => keep.motor_profile,
            "dead_letter" => keep.dead_letter,
            "gap" => keep.gap,
            "decision" => keep.decision,
            "cohort_hour" => keep.cohort_hour,
            "feed" => keep.feed,
            _ => return None,
        };
        Some(days.to_string())
    }

    /// A text with its placeholders filled in; an unknown placeholder stays, and every server refuses it.
    fn text(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some(from) = rest.find('{') {
            filled.push_str(&rest[..from]);
            let end = rest[from..].find('}').map_or(rest.len(), |at| from + at + 1);
            let whole = &rest[from..end];
            let placeholder = whole.trim_start_matches('{').trim_end_matches('}');
            filled.push_str(&self.fill(placeholder).unwrap_or_else(|| whole.to_owned()));
            rest = &rest[end..];
        }
        filled.push_str(rest);
        filled
    }
}

/// The digest that identifies a migration: of its released text, with placeholders.
pub fn digest(migration: &Migration) -> Id {
    Id::of(&[migration.text().as_bytes()])
}

/// All statements that `apply` would run on an empty server, in order, as one script.
pub fn print(form: &Form) -> String {
    let heads = [("the database and the list of migrations".to_owned(), first_statements(form))];
    let migrations = MIGRATIONS.iter().map(|migration| {
        let Migration { version, name, .. } = migration;
        (format!("migration {version}: {name} (digest {})", digest(migration)), statements(form, &migration.text()))
    });
    let tails = [
        ("how long rows stay".to_owned(), statements(form, RETENTION)),
        ("roles".to_owned(), statements(form, ACCESS)),
    ];
    let mut script = String::new();
    for (head, statements) in heads.into_iter().chain(migrations).chain(tails) {
        script.push_str(&format!("-- {head}\n\n"));
        for statement in statements {
            script.push_str(&statement);
            script.push_str(";\n\n");
        }
    }
    script.truncate(script.trim_end().len());
    script.push('\n');
    script
}

/// The statements that create the database and the list of migrations.
fn first_statements(form: &Form) -> Vec<String> {
    let template = "\
CREATE DATABASE IF NOT EXISTS {db}{on_cluster};
-- Which migrations this database has; version 0 is how long rows stay.
CREATE TABLE IF NOT EXISTS {everywhere:zenei_migration}{on_cluster} (
    version UInt32,
    name String,
    digest String,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = {engine_everywhere:MergeTree}
ORDER BY (version, at);
";
    statements(form, template)
}

/// The statements of a text, filled in, without those that are only comment or space.
fn statements(form: &Form, template: &str) -> Vec<String> {
    let text = form.text(template);
    let is_said = |statement: &&str| statement.lines().any(|line| !line.trim().is_empty() && !line.starts_with("--"));
    text.split(";\n").map(str::trim).filter(is_said).map(str::to_owned).collect()
}

fn is_identifier(text: &str, also: &str) -> bool {
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    begins && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
}
