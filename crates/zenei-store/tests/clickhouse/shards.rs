//! Tests of rows written straight to the shards of a cluster: two engines stand for two shards. The statements for a
//! cluster are parsed, not run: an engine alone has neither a keeper nor another server.
use super::engine;
use super::ground::{FOR_EVER, Ground, NOON_MS};
use super::rows::{fleet, op, state};
use serde::Deserialize;
use zenei_detect::{DeviceIx, Gap, Row};
use zenei_store::DeadLetter;
use zenei_store::clickhouse::{Ended, Go};
use zenei_store::schema::{Form, print};
use zenei_wire::{EngineTime, GatewayTime, OpResult, Reason, Refusal};

const TABLES: [&str; 6] = ["record", "operation", "motor_profile", "dead_letter", "gap", "feed"];

/// A shard's tables under the names of a cluster.
fn shard(url: String) -> Ground {
    let mut ground = Ground::empty_at(url, "shards");
    ground.apply();
    for table in TABLES {
        let sql = format!("CREATE TABLE {{db}}.{table}_local AS {{db}}.{table}");
        ground.server.execute(&sql.replace("{db}", ground.form.database()), &[]).unwrap();
    }
    ground.form = Form::new(ground.form.database(), Some("main"), FOR_EVER).unwrap();
    ground
}

fn counts(shards: &[Ground; 2]) -> Vec<[u64; 2]> {
    let of = |table: &str| [0, 1].map(|shard: usize| shards[shard].count(&format!("{{db}}.{table}_local")));
    TABLES.iter().map(|table| of(table)).collect()
}

#[test]
fn a_row_lies_on_the_shard_that_the_cluster_would_choose_also_when_it_is_sent_again() {
    let (Some(first), Some(second)) = (engine::url(), engine::another()) else { return };
    let mut shards = [shard(first), shard(second)];
    let mut rows: Vec<Row> = (0..5).map(|lock| state(lock, lock, 2900)).collect();
    rows.extend((0..5).map(|lock| op(lock, 10 + lock, 600, 2600, OpResult::Ok)));
    let gaps: Vec<Gap> = (0..5)
        .map(|lock| Gap { device: DeviceIx(lock), boot: 2, from_seq: 3, to_seq: 9, at: EngineTime(NOON_MS) })
        .collect();
    let dead = DeadLetter::new(Refusal::new(Reason::BadJson, "no"), "t", b"{", GatewayTime(NOON_MS), 9, 2);
    shards[0].seal(&fleet(), &rows, &gaps, &[dead]);
    let mut found = Vec::new();
    for _ in 0..3 {
        let servers = shards.iter().map(Ground::another_server).collect();
        let mut shipper = shards[0].shipper(0).over_shards(servers);
        assert_eq!(shipper.ship(&mut |_| Go::Stop).unwrap(), Ended::Done);
        assert_eq!(shipper.shipped().unwrap().records, 10);
        found.push(counts(&shards));
    }
    assert_eq!(found[0], found[2], "what is sent again hits the same shard, where its token is known");
    let totals: Vec<u64> = found[0].iter().map(|[first, second]| first + second).collect();
    assert_eq!(totals, [5, 5, 5, 1, 5, 10]);
    assert!(found[0][0].iter().all(|&rows| rows > 0), "both shards have some: {found:?}");
    for (number, shard) in shards.iter().enumerate() {
        for table in ["record", "operation", "motor_profile", "gap"] {
            let elsewhere = format!("{{db}}.{table}_local WHERE cityHash64(device_id) % 2 != {number}");
            assert_eq!(shard.count(&elsewhere), 0, "{table} on shard {number}");
        }
        for table in ["dead_letter", "feed"] {
            let elsewhere = format!("{{db}}.{table}_local WHERE cityHash64(gateway) % 2 != {number}");
            assert_eq!(shard.count(&elsewhere), 0, "{table} on shard {number}");
        }
    }
}

#[derive(Deserialize)]
struct Parsed {
    text: String,
}

#[test]
fn every_statement_for_a_cluster_and_for_roles_is_parsed_but_not_run() {
    let Some(ground) = Ground::empty("parsed") else { return };
    let script = print(&Form::new("zenei", Some("main"), FOR_EVER).unwrap());
    let is_said = |statement: &&str| statement.lines().any(|line| !line.trim().is_empty() && !line.starts_with("--"));
    let mut parsed = 0;
    for statement in script.split(";\n\n").filter(is_said) {
        let sql = "SELECT formatQuerySingleLine({statement:String}) AS text";
        let answer = ground.server.lines::<Parsed>(sql, &[("statement", statement.trim_end_matches(";\n"))]);
        let text = &answer.unwrap_or_else(|error| panic!("{error}: {statement}"))[0].text;
        assert!(text.contains("ON CLUSTER main"), "{text}");
        parsed += 1;
    }
    assert!(parsed > 35, "{parsed}");
    println!("{parsed} statements for a cluster, with its roles, are parsed; not run: an engine alone has no keeper");
    let broken = ground.server.lines::<Parsed>("SELECT formatQuerySingleLine('CREATE TABLE x (') AS text", &[]);
    assert!(broken.is_err(), "what is no statement is seen");
}
