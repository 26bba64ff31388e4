//! The CPU time and memory that this process has used: the only figures of a replay that differ between runs. Called
//! by `replay`.
use rustix::time::{ClockId, clock_gettime};

/// CPU time that all threads of this process have used, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    // Both parts are small numbers; a float holds them exactly enough.
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// The most memory that this process ever held, in bytes; `None` where the system has no `/proc/self/status`.
pub(crate) fn peak_rss_bytes() -> Option<u64> {
    status("VmHWM:")
}

/// The memory that this process holds now, in bytes; `None` where the system has no `/proc/self/status`.
pub(crate) fn rss_bytes() -> Option<u64> {
    status("VmRSS:")
}

fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let before = cpu_seconds();
        let mut sum = 0_u64;
        while cpu_seconds() <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        if cfg!(target_os = "linux") {
            // The kernel brings both up to date when it likes, so that they can't be compared with one another.
            assert!(rss_bytes() > Some(1 << 16));
            assert!(peak_rss_bytes() > Some(1 << 16));
        }
    }
}
