//! The large sizes of the benchmarks of ClickHouse: `cargo bench -p zenei-benches --bench clickhouse`; `-- codecs`, `--
//! formats` or `-- questions` for one of them. `ZENEI_BENCH_RECORDS` is the size of the simulated stream, 1,000,000 by
//! default; `ZENEI_BENCH_ROWS` is the number of records that the queries read, 10,000,000 by default.
use zenei_benches::clickhouse::{codecs, formats, questions};
use zenei_benches::stream::Stream;

/// Locks of the simulated fleet: some three weeks of them are a million records.
const LOCKS: usize = 2_000;
/// Locks that the queries read: with ten million rows, eleven records a day of each.
const ASKED_LOCKS: u64 = 10_000;
/// How often each format is measured.
const TURNS: usize = 5;
/// How often each query runs.
const TIMES: u64 = 200;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if wants("codecs") || wants("formats") {
        let stream = Stream::simulate(LOCKS, number("ZENEI_BENCH_RECORDS", 1_000_000), 1);
        if wants("codecs") {
            let tables = codecs::measure(&stream);
            tables.iter().for_each(|tables| codecs::print(&stream, tables));
        }
        if wants("formats") {
            let found = formats::measure(&stream, TURNS);
            found.iter().for_each(|found| formats::print(found));
        }
    }
    if wants("questions") {
        let asked = questions::measure(ASKED_LOCKS, number("ZENEI_BENCH_ROWS", 10_000_000), TIMES);
        asked.iter().for_each(|(rows, asked)| questions::print(*rows, asked));
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(usual, |text| text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}
