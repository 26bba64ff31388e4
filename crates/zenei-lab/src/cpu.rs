//! How much CPU time a piece of work took. These times go into reports only; no decision depends on them. Called by
//! `course`, `fleet` and `nab`.
use rustix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used, in seconds.
pub(crate) fn thread_seconds() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    // Both parts are small numbers; a float represents them exactly enough.
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// Does `work` and adds the CPU time that it took to `seconds`.
pub(crate) fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let before = thread_seconds();
    let done = work();
    *seconds += thread_seconds() - before;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time() {
        let mut seconds = 0.0;
        while seconds <= 0.0 {
            timed(&mut seconds, || std::hint::black_box((0..1_000_u64).sum::<u64>()));
        }
    }
}
