//! Tests of the tables: migrations are applied once, a changed migration is refused, retention is applied, and a server
//! that doubles an insert is refused.
use super::ground::{FOR_EVER, Ground};
use super::rows::{fleet, op, state};
use zenei_store::clickhouse::{SelfTestError, self_test};
use zenei_store::schema::{Applied, ApplyError, Form, MIGRATIONS, Retention, apply};
use zenei_wire::OpResult;

#[test]
fn migrations_applied_twice_are_applied_once() {
    let Some(ground) = Ground::empty("twice") else { return };
    let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    let first = ground.apply();
    assert_eq!((first.migrations, first.retention), (versions, true));
    let tables = |ground: &Ground| {
        ground.ask::<serde_json::Value>(
            "SELECT name, create_table_query FROM system.tables WHERE database = '{db}' ORDER BY name",
        )
    };
    let before = tables(&ground);
    let second = ground.apply();
    assert_eq!((second.migrations, second.retention), (Vec::new(), false));
    assert_eq!(tables(&ground), before);
    assert_eq!(ground.count("{db}.zenei_migration"), MIGRATIONS.len() as u64 + 1);
}

#[test]
fn a_migration_that_was_broken_off_is_gone_on_with() {
    let Some(ground) = Ground::new("broken_off") else { return };
    for lost in ["DROP TABLE {db}.cohort_of_operation", "DELETE FROM {db}.zenei_migration WHERE version = 3"] {
        ground.server.execute(&lost.replace("{db}", ground.form.database()), &[]).unwrap();
    }
    assert_eq!(ground.apply().migrations, [3]);
    assert_eq!(ground.count("system.tables WHERE database = '{db}' AND name = 'cohort_of_operation'"), 1);
}

#[test]
fn a_changed_or_newer_migration_is_refused_and_changes_nothing() {
    let Some(ground) = Ground::new("changed") else { return };
    let insert = |version: u32, digest: &str| {
        let table = ground.form.table("zenei_migration");
        let sql =
            format!("INSERT INTO {table} (version, name, digest, at) SELECT {version}, 'x', '{digest}', now64(3) + 60");
        ground.server.execute(&sql, &[]).unwrap();
    };
    insert(2, "00");
    let refused = apply(&ground.server, &ground.form).unwrap_err();
    assert!(matches!(refused, ApplyError::Changed { version: 2, name: "findings", .. }), "{refused}");
    insert(9, "00");
    let refused = apply(&ground.server, &ground.form).unwrap_err();
    assert!(matches!(refused, ApplyError::Newer { found: 9, allowed } if allowed == MIGRATIONS.len()), "{refused}");
}

#[test]
fn other_days_are_applied_to_tables_that_are_there() {
    let Some(ground) = Ground::new("days") else { return };
    let keep = Retention { operation: 7, ..FOR_EVER };
    let form = Form::new(ground.form.database(), None, keep).unwrap();
    let applied = apply(&ground.server, &form).unwrap();
    assert_eq!((applied.migrations, applied.retention), (Vec::new(), true));
    let with_days = "system.tables WHERE database = '{db}' AND name = 'operation' AND create_table_query LIKE '%TTL%toIntervalDay(7)%'";
    assert_eq!(ground.count(with_days), 1);
    assert_eq!(Applied { no_roles: None, ..apply(&ground.server, &form).unwrap() }, Applied::default());
}

#[test]
fn operations_go_after_their_days_and_records_stay() {
    let Some(mut ground) = Ground::new("lifetimes") else { return };
    ground.seal(&fleet(), &[state(0, 1, 2900), op(0, 2, 600, 2600, OpResult::Ok)], &[], &[]);
    ground.ship();
    // The records were received more than seven days ago.
    let keep = Retention { operation: 7, motor_profile: 7, ..FOR_EVER };
    apply(&ground.server, &Form::new(ground.form.database(), None, keep).unwrap()).unwrap();
    let left = ["record", "operation", "motor_profile"].map(|table| {
        let sql = format!("OPTIMIZE TABLE {} FINAL", ground.form.table(table));
        ground.server.execute(&sql, &[]).unwrap();
        ground.count(&format!("{{db}}.{table}"))
    });
    assert_eq!(left, [1, 0, 0]);
}

#[test]
fn a_server_that_counts_a_doubled_insert_twice_is_refused() {
    let Some(ground) = Ground::new("self_test") else { return };
    self_test(&ground.server, &ground.form, "gw-1").unwrap();
    self_test(&ground.server, &ground.form, "gw-1").unwrap();
    let table = ground.form.table("dedup_probe");
    let sql = format!("ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 0");
    ground.server.execute(&sql, &[]).unwrap();
    let refused = self_test(&ground.server, &ground.form, "gw-1").unwrap_err();
    assert!(matches!(refused, SelfTestError::Doubled { found: 2, .. }), "{refused}");
    ground.server.execute(&format!("DROP TABLE {table}"), &[]).unwrap();
    assert!(matches!(self_test(&ground.server, &ground.form, "gw-1").unwrap_err(), SelfTestError::Server(_)));
}
