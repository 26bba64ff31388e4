//! What every dashboard and rule must have, whatever it asks: fixed and unique uids, the variable data source, units,
//! descriptions, known variables and macros, panels that do not overlap, links that lead somewhere. Needs no engine.
use super::board::{self, Board, boards, list, word};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Units of Grafana (`@grafana/data`, valueFormats) that the panels use.
const UNITS: [&str; 18] = [
    "short",
    "percent",
    "percentunit",
    "s",
    "ms",
    "d",
    "bytes",
    "cps",
    "reqps",
    "mvolt",
    "mamp",
    "mohm",
    "celsius",
    "dBm",
    "suffix: mC",
    "none",
    "locale",
    "bool",
];
/// The macros of the ClickHouse plugin that the tests expand.
const MACROS: [&str; 5] = ["timeFilter", "timeInterval", "fromTime", "toTime", "interval_s"];

fn targets(board: &Board) -> Vec<(&Value, &Value)> {
    let panels = list(&board.json["panels"]).iter();
    panels.flat_map(|panel| list(&panel["targets"]).iter().map(move |target| (panel, target))).collect()
}

/// Everything that is wrong with a board.
fn faults(board: &Board) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("{}: {what}", board.name));
    let kind = if board.is_clickhouse { "grafana-clickhouse-datasource" } else { "prometheus" };
    let is_variable = |source: &Value| source["uid"] == "${ds}" && source["type"] == kind;
    let mut ids = BTreeSet::new();
    for panel in list(&board.json["panels"]) {
        let title = panel["title"].as_str().unwrap_or_default();
        if !ids.insert(panel["id"].as_u64()) {
            fault(format!("{title:?} has the id of another panel"));
        }
        if panel["type"] == "row" {
            continue;
        }
        if title.is_empty() || !panel["description"].as_str().unwrap_or_default().ends_with(['.', '?']) {
            fault(format!("{title:?} does not say in a sentence what it answers"));
        }
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
        let others = list(&panel["fieldConfig"]["overrides"]).iter().flat_map(|of| list(&of["properties"]));
        let others =
            others.filter(|property| property["id"] == "unit").filter_map(|property| property["value"].as_str());
        for unit in others.chain([unit]).filter(|unit| !UNITS.contains(unit)) {
            fault(format!("{title:?} has the unit {unit:?}"));
        }
        if !is_variable(&panel["datasource"]) || list(&panel["targets"]).is_empty() {
            fault(format!("{title:?} has another data source than ${{ds}}, or asks nothing"));
        }
    }
    for (panel, target) in targets(board) {
        if !is_variable(&target["datasource"]) {
            fault(format!("{} asks another data source than ${{ds}}", panel["title"]));
        }
        let Some(sql) = target["rawSql"].as_str() else { continue };
        if !sql.contains("$__timeFilter(") && !sql.contains("$__toTime") {
            fault(format!("{} asks without the time range", panel["title"]));
        }
        let in_place = (target["queryType"] == "timeseries", target["format"].as_u64());
        if !matches!(in_place, (true, Some(0)) | (false, Some(1))) {
            fault(format!("{}: queryType and format differ", panel["title"]));
        }
        unknown(sql, board).into_iter().for_each(|what| fault(format!("{}: {what}", panel["title"])));
    }
    for variable in list(&board.json["templating"]["list"]).iter().skip(1) {
        let is_asked = variable["type"] == "query";
        if is_asked && !is_variable(&variable["datasource"]) || variable["description"].as_str().is_none() {
            fault(format!("the variable {} has another data source, or no description", variable["name"]));
        }
        let query = variable["query"].as_str().unwrap_or_default();
        unknown(query, board).into_iter().for_each(&mut fault);
        if is_asked && board.is_clickhouse && !query.contains("[^0-9A-Za-z._+ -]") {
            fault(format!("{} offers values that may hold a quote, which become part of a query", variable["name"]));
        }
    }
    faults
}

/// Macros and variables of a query that the plugin, or the board, does not know. A variable must be quoted.
fn unknown(sql: &str, board: &Board) -> Vec<String> {
    let names: BTreeSet<&str> = board.variables.iter().map(|variable| variable.name.as_str()).collect();
    let mut found = Vec::new();
    for part in sql.split('$').skip(1) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let known = if let Some(name) = part.strip_prefix("__") {
            MACROS.contains(&&name[..name.find(|c| !is_word(c)).unwrap_or(name.len())])
        } else if let Some(named) = part.strip_prefix('{') {
            named.split_once(":singlequote}").is_some_and(|(name, _)| names.contains(name))
        } else {
            !board.is_clickhouse && names.contains(&part[..part.find(|c| !is_word(c)).unwrap_or(part.len())])
        };
        if !known {
            found.push(format!("${} is no macro and no quoted variable", part.chars().take(24).collect::<String>()));
        }
    }
    found
}

/// Panels that share a place, or stand beyond the width of 24.
fn overlaps(board: &Board) -> Vec<String> {
    let place =
        |panel: &Value| ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place is a number"));
    let panels: Vec<(String, [u64; 4])> =
        list(&board.json["panels"]).iter().map(|panel| (word(&panel["title"]), place(panel))).collect();
    let mut found = Vec::new();
    for (at, (title, [x, y, w, h])) in panels.iter().enumerate() {
        let meets = |[a, b, c, d]: &[u64; 4]| x < &(a + c) && a < &(x + w) && y < &(b + d) && b < &(y + h);
        let others = panels[at + 1..].iter().filter(|(_, other)| meets(other)).map(|(other, _)| other.clone());
        found.extend(
            others.chain((x + w > 24).then(|| "the edge".to_owned())).map(|other| format!("{title} and {other}")),
        );
    }
    found
}

#[test]
fn every_board_has_what_it_needs_and_nothing_unknown() {
    let boards = boards();
    let mut uids = BTreeMap::new();
    for board in &boards {
        assert_eq!(faults(board), [""; 0]);
        assert_eq!(overlaps(board), [""; 0], "{}", board.name);
        let uid = word(&board.json["uid"]);
        assert!(uid.starts_with("zenei-"), "{uid}");
        assert_eq!(uids.insert(uid, &board.name), None, "{} has the uid of another board", board.name);
    }
    for board in &boards {
        for link in board.json.to_string().split("/d/").skip(1) {
            let uid: String = link.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            assert!(uids.contains_key(&uid), "{}: a link to {uid}", board.name);
        }
    }
}

#[test]
fn a_spoilt_board_is_seen() {
    let fleet = boards().into_iter().find(|board| board.name == "fleet.json").expect("there is the fleet's board");
    let spoilt = |pointer: &str, value: Value| {
        let mut board = fleet.clone();
        *board.json.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
        [faults(&board), overlaps(&board)].concat().join("\n")
    };
    assert_eq!(spoilt("/panels/0/title", "Locks".into()), "");
    for (pointer, value, told) in [
        ("/panels/0/datasource/uid", "abc", "another data source"),
        ("/panels/1/targets/0/datasource/uid", "abc", "asks another data source"),
        ("/panels/0/fieldConfig/defaults/unit", "furlong", "furlong"),
        ("/panels/0/description", "", "does not say"),
        ("/panels/0/targets/0/rawSql", "SELECT 1", "without the time range"),
        ("/panels/0/targets/0/rawSql", "SELECT 1 WHERE $__timeFiltr(a) AND a < $__toTime", "$__timeFiltr"),
        ("/panels/0/targets/0/rawSql", "SELECT '$site' WHERE a < $__toTime", "$site"),
    ] {
        let found = spoilt(pointer, value.into());
        assert!(found.contains(told), "{pointer}: {found}");
    }
    assert!(spoilt("/panels/1/gridPos/x", 2.into()).contains("Locks heard and "));
    assert!(spoilt("/panels/1/id", 1.into()).contains("the id of another panel"));
}

#[test]
fn alert_rules_and_data_sources_have_the_uids_that_the_boards_expect() {
    let read = |path: &str| {
        std::fs::read_to_string(board::folder().join("grafana/provisioning").join(path)).expect("it is there")
    };
    let (sources, alerts) = (read("datasources/zenei.yaml"), read("alerting/zenei.yaml"));
    for board in boards() {
        let uid = board.json["templating"]["list"][0]["current"]["value"].as_str().unwrap_or_default().to_owned();
        assert!(sources.contains(&format!("\n    uid: {uid}\n")), "{}: {uid}", board.name);
    }
    let used = alerts.lines().filter_map(|line| line.trim().strip_prefix("datasourceUid: "));
    assert_eq!(used.collect::<BTreeSet<_>>(), BTreeSet::from(["__expr__", "zenei-clickhouse"]));
    let rules = board::rules();
    let uids: BTreeSet<&str> = rules.iter().map(|rule| rule.uid.as_str()).collect();
    assert_eq!(uids.len(), rules.len());
    assert_eq!(alerts.matches("        condition: B\n").count(), rules.len());
}
