//! The large size of the replay benchmark:
//! `cargo build --release -p zenei && cargo bench -p zenei-benches --bench replay`.
use zenei_benches::replay;

/// Locks and days of the simulated fleet: 0.8 million records.
const SIZE: (usize, f64) = (1_000, 30.0);
/// How often each way is measured.
const TURNS: usize = 5;

fn main() {
    let (locks, days) = SIZE;
    replay::measure(locks, days, TURNS).iter().for_each(replay::print);
}
