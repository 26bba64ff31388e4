//! Tests of what the `clickhouse` crate needs: tables, typed rows in and out, Arrow, parameters, errors, and inserts
//! that count once.
use arrow_array::cast::AsArray as _;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use clickhouse::error::Error;
use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use zenei_engine::Engine;

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Reading {
    device: String,
    seq: u32,
    temp_dc: Option<i16>,
    current_ma: Vec<u16>,
}

/// A row whose sequence number has another type than the table's.
#[derive(Row, Serialize)]
struct Mistyped {
    device: String,
    seq: String,
    temp_dc: Option<i16>,
    current_ma: Vec<u16>,
}

fn reading(seq: u32) -> Reading {
    // 10 and 59 as low bytes are a line feed and a semicolon: the end of a statement in text is data here.
    let temp_dc = (!seq.is_multiple_of(3)).then_some(seq as i16);
    Reading { device: format!("BL'{seq};\n"), seq, temp_dc, current_ma: vec![10, 59, seq as u16] }
}

/// A client of a fresh database with this name.
async fn fresh(engine: &Engine, database: &str) -> Client {
    let client = Client::default().with_url(engine.url());
    client.query(&format!("DROP DATABASE IF EXISTS {database} SYNC")).execute().await.unwrap();
    client.query(&format!("CREATE DATABASE {database}")).execute().await.unwrap();
    client.with_database(database)
}

async fn table(client: &Client, name: &str, settings: &str) {
    let ddl = format!(
        "CREATE TABLE {name} (device String, seq UInt32, temp_dc Nullable(Int16), current_ma Array(UInt16))
         ENGINE = MergeTree ORDER BY (device, seq) {settings}"
    );
    client.query(&ddl).execute().await.unwrap();
}

async fn count(client: &Client, name: &str) -> u64 {
    client.query(&format!("SELECT count() FROM {name}")).fetch_one().await.unwrap()
}

/// The code of the server's refusal.
#[track_caller]
fn code<T>(result: Result<T, Error>) -> u32 {
    let Err(Error::BadResponse(text)) = result else { panic!("it was not refused by the server: {:?}", result.err()) };
    let code = text.strip_prefix("Code: ").and_then(|rest| rest.split_once('.'));
    code.and_then(|(code, _)| code.parse().ok()).unwrap_or_else(|| panic!("no code in: {text}"))
}

#[tokio::test]
async fn typed_rows_come_back_as_they_were_inserted() {
    let Some(engine) = Engine::for_test() else { return };
    for (compression, database) in [(Compression::Lz4, "zenei_typed_lz4"), (Compression::None, "zenei_typed_plain")] {
        let client = fresh(engine, database).await.with_compression(compression);
        table(&client, "readings", "").await;
        let written: Vec<Reading> = (0..2_000).map(reading).collect();
        let mut insert = client.insert::<Reading>("readings").await.unwrap();
        for row in &written {
            insert.write(row).await.unwrap();
        }
        insert.end().await.unwrap();
        let read: Vec<Reading> = client.query("SELECT ?fields FROM readings ORDER BY seq").fetch_all().await.unwrap();
        assert_eq!(read, written);
    }
}

#[tokio::test]
async fn a_row_of_another_shape_is_refused_before_it_is_sent() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_validation").await;
    table(&client, "readings", "").await;
    let row = Mistyped { device: String::new(), seq: "1".to_owned(), temp_dc: None, current_ma: Vec::new() };
    let refused = match client.insert::<Mistyped>("readings").await {
        Ok(mut insert) => insert.write(&row).await,
        Err(error) => Err(error),
    };
    assert!(matches!(refused, Err(Error::SchemaMismatch(_))), "{refused:?}");
    assert_eq!(count(&client, "readings").await, 0);
}

#[tokio::test]
async fn an_inserter_sends_a_batch_whenever_one_is_full() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_inserter").await;
    table(&client, "readings", "").await;
    let mut inserter = client.inserter::<Reading>("readings").with_max_rows(400);
    let mut batches = Vec::new();
    for seq in 0..1_000 {
        inserter.write(&reading(seq)).await.unwrap();
        batches.push(inserter.commit().await.unwrap().rows);
    }
    batches.push(inserter.end().await.unwrap().rows);
    batches.retain(|rows| *rows > 0);
    assert_eq!(batches, [400, 400, 200]);
    assert_eq!(count(&client, "readings").await, 1_000);
}

/// Readings as an Arrow stream with compressed buffers, `from` inclusive.
fn arrow_stream(from: u32, rows: u32) -> Vec<u8> {
    let seq = UInt32Array::from_iter_values(from..from + rows);
    let device = StringArray::from_iter_values((from..from + rows).map(|seq| format!("BL{seq}")));
    let columns: [(&str, ArrayRef); 2] = [("device", Arc::new(device)), ("seq", Arc::new(seq))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

async fn insert_arrow(client: &Client, sql: &str, stream: Vec<u8>) -> Result<(), Error> {
    let mut insert = client.insert_formatted_with(sql);
    insert.send(stream.into()).await?;
    insert.end().await
}

const ARROW_INSERT: &str = "INSERT INTO readings (device, seq) FORMAT ArrowStream";

#[tokio::test]
async fn arrow_goes_in_and_comes_out() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_arrow").await;
    table(&client, "readings", "").await;
    insert_arrow(&client, ARROW_INSERT, arrow_stream(0, 10_000)).await.unwrap();
    let query = "SELECT seq, temp_dc FROM readings ORDER BY seq";
    let bytes = client.query(query).fetch_bytes("ArrowStream").unwrap().collect().await.unwrap();
    let batches: Vec<RecordBatch> = StreamReader::try_new(bytes.as_ref(), None).unwrap().map(Result::unwrap).collect();
    let seqs: Vec<u32> =
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt32Type>().values().to_vec()).collect();
    assert_eq!(seqs, (0..10_000).collect::<Vec<u32>>());
    let absent: usize = batches.iter().map(|batch| batch.column(1).null_count()).sum();
    assert_eq!(absent, 10_000, "what was not sent is null, never zero");
}

#[tokio::test]
async fn arrow_of_another_type_or_cut_off_is_an_error_and_leaves_no_row() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_arrow_bad").await;
    table(&client, "readings", "").await;
    let mut cut = arrow_stream(0, 1_000);
    cut.truncate(cut.len() / 2);
    code(insert_arrow(&client, ARROW_INSERT, cut).await);
    let columns: [(&str, ArrayRef); 1] = [("unheard_of", Arc::new(Int32Array::from(vec![1])))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let other = writer.into_inner().unwrap();
    let strict = client.clone().with_setting("input_format_skip_unknown_fields", "0");
    code(insert_arrow(&strict, "INSERT INTO readings (unheard_of) FORMAT ArrowStream", other).await);
    assert_eq!(count(&client, "readings").await, 0);
}

#[tokio::test]
async fn an_insert_that_is_given_up_leaves_no_row() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_given_up").await;
    table(&client, "readings", "").await;
    let mut insert = client.insert_formatted_with(ARROW_INSERT);
    insert.send(arrow_stream(0, 1_000).into()).await.unwrap();
    drop(insert);
    // The whole stream was sent, except its end marker.
    insert_arrow(&client, ARROW_INSERT, arrow_stream(5_000, 10)).await.unwrap();
    assert_eq!(count(&client, "readings").await, 10);
}

#[tokio::test]
async fn parameters_are_values_and_never_sql() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_parameters").await;
    table(&client, "readings", "").await;
    let mut insert = client.insert::<Reading>("readings").await.unwrap();
    for seq in 0..20 {
        insert.write(&reading(seq)).await.unwrap();
    }
    insert.end().await.unwrap();
    let query = "SELECT seq FROM readings WHERE device = {device: String} AND seq IN {seqs: Array(UInt32)}";
    let query = |device: &str| client.query(query).param("device", device).param("seqs", vec![3_u32, 7, 11]);
    let found: Vec<u32> = query(&reading(7).device).fetch_all().await.unwrap();
    assert_eq!(found, [7]);
    let found: Vec<u32> = query("' OR 1=1 --").fetch_all().await.unwrap();
    assert!(found.is_empty(), "{found:?}");
    let absent = client.query("SELECT {unset: UInt8}").fetch_one::<u8>().await;
    assert_eq!(code(absent), 456);
    let bound: u32 =
        client.query("SELECT seq FROM readings WHERE device = ?").bind(reading(9).device).fetch_one().await.unwrap();
    assert_eq!(bound, 9);
}

#[tokio::test]
async fn errors_come_with_their_code() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_errors").await;
    assert_eq!(code(client.query("SELECT * FROM nowhere").execute().await), 60);
    assert_eq!(code(client.query("SELEC 1").execute().await), 62);
    assert_eq!(code(client.query("SELECT 1; SELECT 2").execute().await), 62);
    assert_eq!(code(client.query(" ").execute().await), 62);
    assert_eq!(code(client.query("SELECT throwIf(number = 3) FROM numbers(5)").fetch_all::<u8>().await), 395);
    assert_eq!(code(client.query("SELECT 1").with_setting("no_such_setting", "1").execute().await), 115);
    assert_eq!(code(client.clone().with_database("zenei_nowhere").query("SELECT 1").execute().await), 81);
    let mut insert = client.clone().with_validation(false).insert::<Reading>("nowhere").await.unwrap();
    let written = insert.write(&reading(1)).await;
    assert_eq!(code(written.and(insert.end().await)), 60);
}

#[tokio::test]
async fn settings_hold_for_one_request_only() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_settings").await;
    let shown = || client.query("SELECT toUInt64(getSetting('max_block_size'))");
    let usual: u64 = shown().fetch_one().await.unwrap();
    let set: u64 = shown().with_setting("max_block_size", "1234").fetch_one().await.unwrap();
    let after: u64 = shown().fetch_one().await.unwrap();
    assert_eq!((set, after), (1234, usual));
    let database: String = client.query("SELECT currentDatabase()").fetch_one().await.unwrap();
    assert_eq!(database, "zenei_settings");
}

/// A block is sent, sent again with the same token, and another one with another token; returns the number of rows.
async fn rows_after_a_retry(engine: &Engine, database: &str, settings: &str) -> u64 {
    let client = fresh(engine, database).await.with_setting("async_insert", "0");
    table(&client, "readings", settings).await;
    for (token, from) in [("a", 0), ("a", 0), ("b", 1_000)] {
        let client = client.clone().with_setting("insert_deduplication_token", token);
        insert_arrow(&client, ARROW_INSERT, arrow_stream(from, 1_000)).await.unwrap();
    }
    count(&client, "readings").await
}

#[tokio::test]
async fn a_retried_block_counts_once_within_the_window_and_twice_without_one() {
    let Some(engine) = Engine::for_test() else { return };
    let window = "SETTINGS non_replicated_deduplication_window = 1000";
    assert_eq!(rows_after_a_retry(engine, "zenei_window", window).await, 2_000);
    assert_eq!(rows_after_a_retry(engine, "zenei_no_window", "").await, 3_000);
}

#[tokio::test]
async fn a_view_behind_a_table_needs_a_window_of_its_own() {
    let Some(engine) = Engine::for_test() else { return };
    for (settings, expected) in [("", 6), ("SETTINGS non_replicated_deduplication_window = 1000", 3)] {
        let client = fresh(engine, "zenei_view").await.with_setting("async_insert", "0");
        table(&client, "readings", "SETTINGS non_replicated_deduplication_window = 1000").await;
        let target = format!("CREATE TABLE seen (seq UInt32) ENGINE = MergeTree ORDER BY seq {settings}");
        client.query(&target).execute().await.unwrap();
        client.query("CREATE MATERIALIZED VIEW to_seen TO seen AS SELECT seq FROM readings").execute().await.unwrap();
        let client = client.with_setting("insert_deduplication_token", "a");
        for _ in 0..2 {
            insert_arrow(&client, ARROW_INSERT, arrow_stream(0, 3)).await.unwrap();
        }
        assert_eq!((count(&client, "readings").await, count(&client, "seen").await), (3, expected), "{settings}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_do_not_disturb_each_other() {
    let Some(engine) = Engine::for_test() else { return };
    let client = fresh(engine, "zenei_many").await;
    table(&client, "readings", "").await;
    let tasks: Vec<_> = (0..24_u32)
        .map(|at| {
            let client = client.clone().with_setting("max_block_size", (1_000 + at).to_string());
            tokio::spawn(async move {
                insert_arrow(&client, ARROW_INSERT, arrow_stream(at * 100, 100)).await.unwrap();
                let query =
                    "SELECT toUInt64(getSetting('max_block_size')), count() FROM readings WHERE seq >= {from: UInt32}";
                let (setting, rows): (u64, u64) =
                    client.query(query).param("from", at * 100).fetch_one().await.unwrap();
                assert_eq!(setting, u64::from(1_000 + at));
                assert!(rows >= 100, "{rows}");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(count(&client, "readings").await, 2_400);
}
