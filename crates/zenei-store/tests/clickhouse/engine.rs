//! Finds a ClickHouse for the tests: the server of `ZENEI_CLICKHOUSE_URL`, else a `zenei-engine` binary beside the
//! running test, started once for all tests. Cargo does not build it for them: this crate does not depend on that
//! package. Called by the ground and the shards.
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Its URL; `None`, with a line on standard error, where there is none.
///
/// # Panics
/// There is none, and `CI` or `ZENEI_REQUIRE_ENGINE` is set.
pub(crate) fn url() -> Option<String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    match FOUND.get_or_init(find) {
        Ok(url) => Some(url.clone()),
        Err(why) => {
            let required = ["CI", "ZENEI_REQUIRE_ENGINE"].into_iter().any(|name| std::env::var_os(name).is_some());
            assert!(!required, "{why}");
            None
        }
    }
}

/// The URL of another engine, which ends with this process; `None` if [`url`] is none or `zenei-engine` is not built.
pub(crate) fn another() -> Option<String> {
    url()?;
    start().ok()
}

fn find() -> Result<String, String> {
    if let Some(url) = std::env::var("ZENEI_CLICKHOUSE_URL").ok().filter(|url| !url.is_empty()) {
        return Ok(url);
    }
    let started = start();
    if let Err(why) = &started {
        use std::io::Write as _;
        // Written past the test harness, which hides the output of a passing test.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "skipped: what needs a ClickHouse engine: {why}").unwrap();
    }
    started
}

fn start() -> Result<String, String> {
    let test = std::env::current_exe().unwrap();
    let beside = test.parent().and_then(|deps| deps.parent()).map(|folder| folder.join("zenei-engine"));
    let program = beside.filter(|path: &PathBuf| path.is_file());
    let program = program.ok_or("zenei-engine is not built: cargo build -p zenei-engine")?;
    let mut engine = Command::new(program)
        .args(["--listen", "127.0.0.1:0", "--with-parent"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("zenei-engine can't be started: {error}"))?;
    let mut line = String::new();
    BufReader::new(engine.stdout.take().unwrap()).read_line(&mut line).unwrap();
    match line.trim().split_once("listening: ") {
        Some((_, url)) => {
            // This process holds the engine's standard input: the engine ends with it, however it ends.
            std::mem::forget(engine.stdin.take());
            Ok(url.to_owned())
        }
        None => {
            Err(format!("zenei-engine ended ({}); tests/engine/install installs its library", engine.wait().unwrap()))
        }
    }
}
