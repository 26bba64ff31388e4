//! The large size of the benchmark of pages and API: `cargo build --release -p zenei && cargo bench -p zenei-benches
//! --bench pages`. `ZENEI_BENCH_LOCKS` is the number of locks, 100,000 by default, `ZENEI_BENCH_DAYS` how many days
//! of them are heard before anybody asks, 1 by default, and `ZENEI_BENCH_LIVE_S` for how long people listen, 300 by
//! default.
use zenei_benches::pages::{self, Size};

fn main() {
    let size = Size {
        locks: number("ZENEI_BENCH_LOCKS", 100_000.0) as usize,
        days: number("ZENEI_BENCH_DAYS", 1.0),
        incidents: 200,
        turns: 100,
        listeners: 50,
        deaf: 20,
        live_s: number("ZENEI_BENCH_LIVE_S", 300.0),
        per_second: 1_000,
    };
    pages::print(&size, &pages::measure(size));
}

fn number(variable: &str, usual: f64) -> f64 {
    let text = std::env::var(variable).ok();
    text.map_or(usual, |text| text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}
