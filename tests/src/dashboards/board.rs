//! Reads the dashboards and alert rules of the repository, and expands a query as Grafana and its ClickHouse plugin do
//! (`pkg/macros` of grafana/clickhouse-datasource 4.20). Must not know what a query asks. Called by the tests of the
//! dashboards.
use super::Values;
use serde_json::Value;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How many points a panel draws; Grafana's interval is the range by the panel's width.
const POINTS: u64 = 600;

/// A dashboard.
#[derive(Clone)]
pub(super) struct Board {
    pub(super) name: String,
    pub(super) json: Value,
    pub(super) is_clickhouse: bool,
    pub(super) panels: Vec<Panel>,
    pub(super) variables: Vec<Variable>,
}

/// A panel that asks something.
#[derive(Clone)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) kind: String,
    pub(super) interval_s: u64,
    pub(super) targets: Vec<Target>,
}

/// A query of a panel.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) sql: String,
    /// Whether its rows are points in time.
    pub(super) is_series: bool,
}

/// A variable that people choose, but for the data source.
#[derive(Clone)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) current: String,
    /// What it offers, where it asks for that.
    pub(super) query: Option<String>,
    pub(super) is_multi: bool,
}

/// An alert rule over ClickHouse.
pub(super) struct Rule {
    pub(super) uid: String,
    pub(super) sql: String,
    pub(super) threshold: f64,
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards")
}

/// Every dashboard, by name.
pub(super) fn boards() -> Vec<Board> {
    let entries = std::fs::read_dir(folder().join("grafana")).expect("dashboards/grafana is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
    paths.sort();
    assert!(paths.len() >= 6, "{paths:?}");
    paths.iter().map(|path| Board::read(path)).collect()
}

impl Board {
    fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a dashboard can be read");
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let variables = list(&json["templating"]["list"]);
        let is_clickhouse = variables[0]["query"] == "grafana-clickhouse-datasource";
        let variables = variables[1..].iter().map(|variable| Variable {
            name: word(&variable["name"]),
            current: variable["current"]["value"].as_str().unwrap_or_default().to_owned(),
            query: (variable["type"] == "query").then(|| variable["query"].as_str().unwrap_or_default().to_owned()),
            is_multi: variable["multi"] == true,
        });
        let panels = list(&json["panels"]).iter().filter(|panel| panel["type"] != "row").map(panel);
        Self { name, is_clickhouse, panels: panels.collect(), variables: variables.collect(), json: json.clone() }
    }

    /// The time that the board shows at first, if now is `until_s`; s since 1970.
    pub(super) fn range(&self, until_s: u64) -> Range<u64> {
        let from = word(&self.json["time"]["from"]);
        let days = from.strip_prefix("now-").and_then(|from| from.strip_suffix('d')).and_then(|days| days.parse().ok());
        let days: u64 = days.unwrap_or_else(|| panic!("{}: {from} is not now-…d", self.name));
        until_s - days * 86_400..until_s
    }
}

fn panel(panel: &Value) -> Panel {
    let interval_s = match panel["interval"].as_str() {
        None => 0,
        Some("1h") => 3_600,
        Some("6h") => 21_600,
        Some("1d") => 86_400,
        Some(other) => panic!("{}: the interval {other} is not known here", panel["title"]),
    };
    let targets = list(&panel["targets"]).iter().map(|target| Target {
        sql: target["rawSql"].as_str().or(target["expr"].as_str()).unwrap_or_default().to_owned(),
        is_series: target["queryType"] == "timeseries",
    });
    Panel { title: word(&panel["title"]), kind: word(&panel["type"]), interval_s, targets: targets.collect() }
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The query as the server receives it. What is left of a `$` is a mistake.
pub(super) fn expand(sql: &str, values: &Values, range: Range<u64>, interval_min_s: u64) -> String {
    let mut sql = sql.to_owned();
    for (name, chosen) in values {
        let quoted: Vec<String> = chosen.iter().map(|value| format!("'{}'", value.replace('\'', "\\'"))).collect();
        sql = sql.replace(&format!("${{{name}:singlequote}}"), &quoted.join(","));
    }
    let (from, to) = (format!("toDateTime({})", range.start), format!("toDateTime({})", range.end));
    let step_s = ((range.end - range.start) / POINTS).max(interval_min_s).max(1);
    sql = with_argument(&sql, "$__timeFilter", |column| format!("{column} >= {from} AND {column} <= {to}"));
    sql = with_argument(&sql, "$__timeInterval", |column| {
        format!("toStartOfInterval(toDateTime({column}), INTERVAL {step_s} second)")
    });
    for (name, value) in [("$__fromTime", &from), ("$__toTime", &to), ("$__interval_s", &step_s.to_string())] {
        sql = sql.replace(name, value);
    }
    assert!(!sql.contains('$'), "a variable or a macro is not known: {sql}");
    in_database(&sql)
}

fn with_argument(sql: &str, name: &str, expanded: impl Fn(&str) -> String) -> String {
    let begin = format!("{name}(");
    let mut parts = sql.split(&begin);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (argument, rest) = part.split_once(')').unwrap_or_else(|| panic!("{name} is not closed: {sql}"));
        out.push_str(&expanded(argument));
        out.push_str(rest);
    }
    out
}

/// The data source names the database; the client of these tests names none.
fn in_database(sql: &str) -> String {
    let tables = ["record", "operation", "motor_profile", "dead_letter", "gap", "anomaly", "decision"];
    let more = ["incident_event", "registry", "cohort_hour", "shipment"];
    tables.iter().chain(&more).fold(sql.to_owned(), |sql, table| {
        let words = ["\n", " ", ")"];
        words
            .iter()
            .fold(sql, |sql, end| sql.replace(&format!("FROM {table}{end}"), &format!("FROM zenei.{table}{end}")))
    })
}

/// Every alert rule over ClickHouse. The file is plain: a rule begins at `- uid: `, its query is the block behind
/// `rawSql: |`, its threshold the number behind `params:`.
pub(super) fn rules() -> Vec<Rule> {
    let path = folder().join("grafana/provisioning/alerting/zenei.yaml");
    let text = std::fs::read_to_string(path).expect("the alert rules can be read");
    assert!(!text.contains('$'), "Grafana takes a dollar sign in this file for a variable of its environment");
    let rules = text.split("      - uid: ").skip(1).map(|rule| {
        let uid = rule.lines().next().unwrap_or_default().to_owned();
        let (_, query) = rule.split_once("rawSql: |\n").unwrap_or_else(|| panic!("{uid} has no query"));
        let is_in_block = |line: &&str| line.starts_with("                ");
        let sql: Vec<&str> = query.lines().take_while(is_in_block).map(str::trim_end).collect();
        let (_, params) = rule.split_once("params:\n").unwrap_or_else(|| panic!("{uid} has no threshold"));
        let number = params.lines().next().and_then(|line| line.trim().strip_prefix("- ")?.parse().ok());
        let threshold = number.unwrap_or_else(|| panic!("{uid} has no number as its threshold"));
        Rule { sql: in_database(&format!("{}\n", sql.join("\n"))), uid, threshold }
    });
    let rules: Vec<Rule> = rules.collect();
    assert!(!rules.is_empty(), "no alert rule was found");
    rules
}

#[test]
fn macros_and_variables_are_expanded_as_the_plugin_does() {
    let sql = "SELECT $__timeInterval(hour) AS time FROM record WHERE $__timeFilter(hour) AND site IN (${site:singlequote}) AND x < $__toTime";
    let values = Values::from([("site".to_owned(), vec!["a".to_owned(), "it's".to_owned()])]);
    let expected = "SELECT toStartOfInterval(toDateTime(hour), INTERVAL 60 second) AS time FROM zenei.record \
        WHERE hour >= toDateTime(1000) AND hour <= toDateTime(7000) AND site IN ('a','it\\'s') AND x < toDateTime(7000)";
    assert_eq!(expand(sql, &values, 1_000..7_000, 60), expected);
}
