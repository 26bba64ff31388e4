//! Tests that each panel of the dashboards, and each alert rule over ClickHouse, gets an answer from the real engine:
//! macros and variables are expanded as Grafana and its ClickHouse plugin do, and a month of a simulated fleet with
//! seeded faults is in the tables. Negative controls: a misspelt column, and a panel that no row answers. Screenshots
//! or a running Grafana are no part of it. The folder's other files: [`board`] reads the files, [`shape`] checks what
//! needs no engine, [`month`] fills the tables, [`promtool`] checks `/metrics` and Prometheus' rules.
mod board;
mod month;
mod promtool;
mod shape;

use board::{Board, Panel, boards, rules};
use month::Month;
use serde_json::Value;
use std::collections::BTreeMap;

/// The values of variables, by name; more than one where a variable takes several.
type Values = BTreeMap<String, Vec<String>>;

/// What the rows of a panel must be; the error says what is wrong with which panel.
fn check(month: &Month, board: &Board, panel: &Panel, values: &Values) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{}, {:?}: {what}", board.name, panel.title));
    for target in &panel.targets {
        let sql = board::expand(&target.sql, values, board.range(month.until_s), panel.interval_s);
        let rows = match month.ask(&sql) {
            Ok(rows) => rows,
            Err(error) => return wrong(format!("{error}: {sql}")),
        };
        let Some(first) = rows.first() else { return wrong(format!("no row: {sql}")) };
        let columns = first.as_object().ok_or("a row is no object")?;
        let is_number = |value: &Value| value.is_number();
        let has_number = || rows.iter().any(|row| row.as_object().is_some_and(|row| row.values().any(is_number)));
        if target.is_series && !(columns.contains_key("time") && has_number()) {
            return wrong(format!("no time or no number in {first}"));
        }
        if panel.kind == "stat" && !has_number() {
            return wrong(format!("no number in {first}"));
        }
    }
    Ok(())
}

/// The variables of a board as Grafana would choose them: each query's first value, or all of them; the lock is the one
/// with a seeded fault.
fn chosen(month: &Month, board: &Board) -> Values {
    let mut values = Values::new();
    for variable in &board.variables {
        let mut found = vec![variable.current.clone()];
        if let Some(query) = &variable.query {
            let sql = board::expand(query, &values, board.range(month.until_s), 60);
            let rows = month.ask(&sql).unwrap_or_else(|error| panic!("{}, {}: {error}", board.name, variable.name));
            found =
                rows.iter().filter_map(|row| Some(row.as_object()?.values().next()?.as_str()?.to_owned())).collect();
            assert!(!found.is_empty(), "{}: nothing to choose for {}", board.name, variable.name);
            if variable.name == "device" {
                assert!(found.contains(&month.faulty), "{} is not offered: {found:?}", month.faulty);
                found = vec![month.faulty.clone()];
            }
            if !variable.is_multi {
                found.truncate(1);
            }
        }
        values.insert(variable.name.clone(), found);
    }
    values
}

/// The uids of the rules that would fire at this time, s since 1970.
fn firing(month: &Month, now_s: u64) -> Vec<String> {
    let mut firing = Vec::new();
    for rule in rules() {
        let sql = rule.sql.replace("now()", &format!("toDateTime({now_s})"));
        let rows = month.ask(&sql).unwrap_or_else(|error| panic!("{}: {error}: {sql}", rule.uid));
        let numbers = rows.iter().map(|row| {
            let numbers: Vec<f64> =
                row.as_object().into_iter().flat_map(|row| row.values()).filter_map(Value::as_f64).collect();
            assert_eq!(numbers.len(), 1, "{}: Grafana takes one number a row as the value: {row}", rule.uid);
            numbers[0]
        });
        if numbers.fold(f64::NEG_INFINITY, f64::max) > rule.threshold {
            firing.push(rule.uid);
        }
    }
    firing
}

#[test]
fn every_panel_and_every_alert_rule_is_answered_by_the_engine() {
    let Some(month) = Month::simulated() else { return };
    let mut checked = 0;
    let mut wrong = Vec::new();
    for board in boards().iter().filter(|board| board.is_clickhouse) {
        let values = chosen(&month, board);
        for panel in &board.panels {
            checked += 1;
            wrong.extend(check(&month, board, panel, &values).err());
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} panels: {}", wrong.len(), wrong.join("\n"));
    assert!(checked > 50, "only {checked} panels were found");

    // Negative controls: a misspelt column, and a panel that nothing answers.
    let fleet = boards().into_iter().find(|board| board.name == "fleet.json").expect("there is the fleet's board");
    let values = chosen(&month, &fleet);
    for (from, to, told) in
        [("failed_operations", "faild_operations", "faild_operations"), ("WHERE", "WHERE 0 AND", "no row")]
    {
        let mut spoilt = fleet.panels[6].clone();
        spoilt.targets[0].sql = spoilt.targets[0].sql.replace(from, to);
        let found = check(&month, &fleet, &spoilt, &values).expect_err("this test would not see a broken panel");
        assert!(found.contains(told), "{found}");
    }

    alert_rules(&month);
}

/// Each rule fires on what it is for, and none before the first fault.
fn alert_rules(month: &Month) {
    let hour = 3_600;
    assert_eq!(firing(month, month.began_s + 5 * 24 * hour), [""; 0], "before the first fault");
    let at_the_end = firing(month, month.until_s);
    assert_eq!(at_the_end, ["zenei-incident-waiting", "zenei-unreadable"]);
    assert!(firing(month, month.until_s + 30 * hour).contains(&"zenei-silent-locks".to_owned()));
    assert!(firing(month, month.shipped_s + hour).contains(&"zenei-gateway-silent".to_owned()));
    assert!(!firing(month, month.shipped_s + 60).contains(&"zenei-gateway-silent".to_owned()));
    month.jam(60);
    assert!(firing(month, month.until_s).contains(&"zenei-failed-operations".to_owned()));
}
