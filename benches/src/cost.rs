//! What a piece of work cost: wall time, and CPU time of this process or of another; and quantiles of such figures.
//! Called by the benches.
use rustix::time::{ClockId, clock_gettime};

/// Readings of the clocks, of which a difference is taken.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    wall_s: f64,
    own_cpu_s: f64,
    other_cpu_s: f64,
}

/// The difference between two readings, s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Wall time.
    pub wall_s: f64,
    /// CPU time of this process, all threads.
    pub own_cpu_s: f64,
    /// CPU time of the other process.
    pub other_cpu_s: f64,
}

impl Marks {
    /// Reads the clocks. `other`: the process id of another process whose CPU time counts as well.
    pub fn now(other: Option<u32>) -> Self {
        Self {
            wall_s: seconds(ClockId::Monotonic),
            own_cpu_s: seconds(ClockId::ProcessCPUTime),
            other_cpu_s: other.map_or(0.0, cpu_seconds_of),
        }
    }

    /// The cost since an earlier reading.
    pub fn since(self, earlier: Self) -> Cost {
        Cost {
            wall_s: self.wall_s - earlier.wall_s,
            own_cpu_s: self.own_cpu_s - earlier.own_cpu_s,
            other_cpu_s: self.other_cpu_s - earlier.other_cpu_s,
        }
    }
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU time of a process, user and system, in steps of 10 ms (proc(5): `utime` and `stime` in clock ticks, of which
/// Linux shows 100 a second).
fn cpu_seconds_of(process_id: u32) -> f64 {
    let path = format!("/proc/{process_id}/stat");
    let stat = std::fs::read_to_string(&path).expect("the other process runs");
    // The name stands in brackets and may contain any character; the fields behind it are numbers, the first one the
    // state.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name in brackets").1.split_whitespace().collect();
    let ticks = [fields[11], fields[12]].map(|field| field.parse::<f64>().expect("ticks are numbers"));
    ticks.iter().sum::<f64>() / 100.0
}

/// The value below which a share of the values lies: 0.5 is the median.
///
/// # Panics
/// Where there are no values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
