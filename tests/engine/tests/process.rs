//! Tests that the process keeps its folder over a crash, shares it with no other process, and ends with its parent.
use clickhouse::Client;
use std::process::{Command, Stdio};
use zenei_engine::{Engine, StartError};

async fn execute(engine: &Engine, sql: &str) {
    Client::default().with_url(engine.url()).query(sql).execute().await.unwrap();
}

async fn count(engine: &Engine) -> u64 {
    Client::default().with_url(engine.url()).query("SELECT count() FROM kept.rows").fetch_one().await.unwrap()
}

async fn insert(engine: &Engine) {
    let client = Client::default().with_url(engine.url()).with_setting("insert_deduplication_token", "one");
    let mut insert = client.insert_formatted_with("INSERT INTO kept.rows FORMAT RowBinary");
    insert.send(vec![7; 40].into()).await.unwrap();
    insert.end().await.unwrap();
}

#[tokio::test]
async fn rows_and_tokens_survive_a_kill_and_a_clean_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::for_test_in(folder.path()) else { return };
    execute(&engine, "CREATE DATABASE kept").await;
    execute(
        &engine,
        "CREATE TABLE kept.rows (a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100",
    )
    .await;
    insert(&engine).await;
    engine.kill();
    let engine = Engine::start_in(folder.path()).unwrap();
    assert_eq!(count(&engine).await, 10);
    insert(&engine).await;
    drop(engine);
    let engine = Engine::start_in(folder.path()).unwrap();
    assert_eq!(count(&engine).await, 10, "the token of before the kill is known after it");
}

#[tokio::test]
async fn a_folder_has_one_engine_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::for_test_in(folder.path()) else { return };
    let second = Engine::start_in(folder.path());
    assert!(matches!(second, Err(StartError::Silent { .. })), "{second:?}");
    execute(&engine, "SELECT 1").await;
}

#[test]
fn a_folder_of_the_engine_s_own_is_gone_after_a_clean_end() {
    if Engine::for_test().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_zenei-engine"))
        .args(["--listen", "127.0.0.1:0", "--with-parent"])
        .env("TMPDIR", place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.starts_with("listening: http://127.0.0.1:"), "{line}");
    assert_eq!(place.path().read_dir().unwrap().count(), 1);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(place.path().read_dir().unwrap().count(), 0);
}

#[test]
fn an_address_that_others_can_reach_and_a_missing_library_are_refused() {
    let end = |command: &mut Command| command.stdin(Stdio::null()).output().unwrap();
    let program = || Command::new(env!("CARGO_BIN_EXE_zenei-engine"));
    let open = end(program().args(["--listen", "0.0.0.0:0"]));
    assert_eq!(open.status.code(), Some(2));
    let missing = end(program().args(["--listen", "127.0.0.1:0"]).env("ZENEI_LIBCHDB", "/nowhere/libchdb.so"));
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert_eq!(missing.status.code(), Some(69), "{said}");
    assert!(said.contains("bash tests/engine/install"), "{said}");
}
