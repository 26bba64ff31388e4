//! Tests of the schema as text: one golden script for a server, one for a cluster.
use super::*;
use expect_test::expect_file;
use std::collections::BTreeMap;
use zenei_wire::fields::FIELDS;

fn form(cluster: Option<&str>) -> Form {
    Form::new("zenei", cluster, Retention::default()).unwrap()
}

#[test]
fn the_script_for_one_server_is_this() {
    expect_file!["golden/single.sql"].assert_eq(&print(&form(None)));
}

#[test]
fn the_script_for_a_cluster_is_this() {
    expect_file!["golden/cluster.sql"].assert_eq(&print(&form(Some("main"))));
}

#[test]
fn every_placeholder_is_known_and_every_table_remembers_its_inserts() {
    for cluster in [None, Some("main")] {
        let form = form(cluster);
        for template in MIGRATIONS.iter().map(Migration::text).chain([RETENTION.into(), ACCESS.into()]) {
            for statement in statements(&form, &template) {
                let left = statement.replace("{shard}", "").replace("{replica}", "");
                let left = left.replace("{database}", "").replace("{table}", "");
                assert!(!left.contains('{'), "{statement}");
                let keeps_rows = statement.contains("MergeTree");
                let window = statement.contains(&format!("replicated_deduplication_window = {WINDOW_BLOCKS}"));
                assert_eq!(keeps_rows, window, "{statement}");
                assert_eq!(statement.contains("ON CLUSTER 'main'"), cluster.is_some(), "{statement}");
            }
        }
    }
}

#[test]
fn versions_are_numbered_from_one_without_holes() {
    for (version, migration) in (1..).zip(&MIGRATIONS) {
        assert_eq!(migration.version, version);
    }
}

#[test]
fn a_name_that_would_need_quoting_is_refused() {
    let refused = |database: &str, cluster: Option<&str>| {
        Form::new(database, cluster, Retention::default()).unwrap_err().to_string()
    };
    assert_eq!(refused("a b", None), "the database is 'a b'; 1 to 64 of A-Z a-z 0-9 _ are allowed, the first no digit");
    assert!(refused("", None).starts_with("the database is ''"));
    assert!(refused("zenei", Some("a'b")).ends_with("the first no digit; also - and ."));
    assert!(Form::new("zenei_2", Some("cluster-1.eu"), Retention::default()).is_ok());
}

/// Each table's columns and their types, as the migrations create them on one server.
fn tables() -> BTreeMap<String, BTreeMap<String, String>> {
    let form = form(None);
    let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for statement in MIGRATIONS.iter().flat_map(|migration| statements(&form, &migration.text())) {
        let mut lines = statement.lines().skip_while(|line| line.starts_with("--"));
        let first = lines.next().unwrap_or_default();
        let head = first.strip_prefix("CREATE TABLE IF NOT EXISTS zenei.").or(first.strip_prefix("ALTER TABLE zenei."));
        let Some(table) = head.and_then(|head| head.split([' ', '\n']).next()) else { continue };
        for line in lines.take_while(|line| !line.starts_with(')')) {
            let line = line.trim().trim_start_matches("ADD COLUMN IF NOT EXISTS ");
            let Some((name, rest)) = line.split_once(' ') else { continue };
            let end = [" CODEC(", " COMMENT ", " ALIAS ", " DEFAULT "].iter().filter_map(|word| rest.find(word)).min();
            let kept = rest[..end.unwrap_or(rest.len())].trim_end_matches([',', ';']);
            tables.entry(table.to_owned()).or_default().insert(name.to_owned(), kept.to_owned());
        }
    }
    tables
}

#[test]
fn every_table_has_a_column_of_the_right_type_for_every_field_of_the_contract() {
    let tables = tables();
    let bare = |kept: &str| kept.replace("LowCardinality(", "").replace(')', "");
    for target in Target::ALL {
        for field in FIELDS.iter().filter(|field| target.has(field)) {
            let (table, column, expected) = (target.as_str(), added::sql_name(field), sql_type(field));
            let found = tables[table].get(&column);
            assert_eq!(
                found.map(|kept| bare(kept)),
                Some(bare(expected)),
                "{table} lacks {column} {expected}: a migration adds it"
            );
        }
    }
    // Negative control: a table that lacks a column is detected.
    assert_eq!(tables["record"].get("latency_ms"), None);
}

#[test]
fn a_new_field_prints_the_statements_that_add_its_columns() {
    let step = Step::Fields(&["battery_min_mv", "temp_c", "fw_to"]);
    let migration = Migration { version: 6, name: "more", step };
    let expected = "\
ALTER TABLE zenei.record
    ADD COLUMN IF NOT EXISTS temp_centi_c Nullable(Int16) COMMENT 'hundredths of °C' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS fw_to LowCardinality(Nullable(String)) CODEC(ZSTD(1))";
    let printed = statements(&form(None), &migration.text());
    assert_eq!(printed.len(), 6, "three tables, each and the one above it: {printed:#?}");
    assert_eq!(printed[0], expected);
    assert!(
        printed[2]
            .starts_with("ALTER TABLE zenei.operation\n    ADD COLUMN IF NOT EXISTS battery_min_mv Nullable(UInt16)")
    );
    let cluster = statements(&form(Some("main")), &migration.text());
    assert!(cluster[4].starts_with("ALTER TABLE zenei.feed_local ON CLUSTER 'main'\n"), "{}", cluster[4]);
    assert!(cluster[5].starts_with("ALTER TABLE zenei.feed ON CLUSTER 'main'\n"), "{}", cluster[5]);
}
