//! Tests of what HTTP clients other than the `clickhouse` crate receive: the answers themselves, with their status and
//! headers.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use zenei_engine::Engine;

/// How long an answer may take on a busy machine. A guess.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

/// One request on a connection of its own, without compression.
fn ask(engine: &Engine, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let host = engine.url().trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let length = body.len();
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

#[test]
fn a_ping_is_answered() {
    let Some(engine) = Engine::for_test() else { return };
    let answer = ask(engine, "GET", "/ping", "", "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "Ok.\n"));
}

#[test]
fn a_query_by_url_reads_and_does_not_write() {
    let Some(engine) = Engine::for_test() else { return };
    let answer = ask(engine, "GET", "/?query=SELECT%201%2B1&query_id=zenei-http-1", "", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains('2'), "{}", answer.body);
    assert!(answer.head.contains("x-clickhouse-query-id: zenei-http-1"), "{}", answer.head);
    let answer = ask(engine, "GET", "/?query=CREATE+DATABASE+zenei_by_get", "", "");
    assert!(answer.head.contains("x-clickhouse-exception-code: 164"), "{}\n{}", answer.head, answer.body);
}

#[test]
fn an_error_has_the_status_and_the_code_of_a_server() {
    let Some(engine) = Engine::for_test() else { return };
    for (sql, status, code) in
        [("SELECT * FROM zenei_nowhere", 404, 60), ("SELEC 1", 400, 62), ("SELECT throwIf(1)", 500, 395)]
    {
        let answer = ask(engine, "POST", "/", "", sql);
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.head.contains(&format!("x-clickhouse-exception-code: {code}")), "{}", answer.head);
        assert!(answer.body.starts_with(&format!("Code: {code}. DB::Exception: ")), "{}", answer.body);
    }
}

#[test]
fn an_insert_in_one_text_keeps_its_lines_and_is_counted() {
    let Some(engine) = Engine::for_test() else { return };
    for sql in [
        "DROP DATABASE IF EXISTS zenei_text SYNC",
        "CREATE DATABASE zenei_text",
        "CREATE TABLE zenei_text.t (a UInt32, b String) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO zenei_text.t FORMAT TabSeparated\n1\tx;y\n2\t--\n",
        "INSERT INTO zenei_text.t VALUES (3, 'a;b'), (4, '')",
    ] {
        let answer = ask(engine, "POST", "/", "", sql);
        assert_eq!(answer.status, 200, "{sql}: {}", answer.body);
        if sql.starts_with("INSERT") {
            assert!(answer.head.contains(r#""written_rows":"2""#), "{sql}: {}", answer.head);
        }
    }
    let query = "/?query=SELECT+*+FROM+t+ORDER+BY+a&default_format=CSV";
    let answer = ask(engine, "POST", query, "X-ClickHouse-Database: zenei_text\r\n", "");
    assert!(answer.body.contains("1,\"x;y\"\n2,\"--\"\n3,\"a;b\"\n4,\"\"\n"), "{}", answer.body);
}
