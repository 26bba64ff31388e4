//! What the schema promises as text: one golden script for a server, one for a cluster.
use super::*;
use expect_test::expect_file;

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
        for template in MIGRATIONS.iter().map(|migration| migration.text).chain([RETENTION, ACCESS]) {
            for statement in statements(&form, template) {
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
