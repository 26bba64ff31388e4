//! How long a test may wait: conditions with a time limit, measured without reading a clock. Must not know the
//! conditions. Called by the end-to-end tests and by `program`.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Time between two checks of a condition; short beside what processes take to start and to answer.
const LOOK: Duration = Duration::from_millis(10);

/// A time limit that can be polled.
pub struct Deadline {
    over: Arc<AtomicBool>,
    /// Ends the thread that waits, once dropped.
    _running: Sender<()>,
}

impl Deadline {
    /// A limit of this length from now on.
    pub fn after(bound: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (running, stopped) = mpsc::channel::<()>();
        let passed = Arc::clone(&over);
        std::thread::spawn(move || {
            if stopped.recv_timeout(bound) == Err(RecvTimeoutError::Timeout) {
                passed.store(true, Ordering::SeqCst);
            }
        });
        Self { over, _running: running }
    }

    /// Whether the limit has passed.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// Lets other threads and processes run before the next check.
pub fn look_again() {
    std::thread::park_timeout(LOOK);
}

/// Polls until there is a value, at most for `bound`; one last check is made after it.
pub fn within<T>(bound: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(bound);
    loop {
        let was_over = deadline.is_over();
        let found = look();
        if found.is_some() || was_over {
            return found;
        }
        look_again();
    }
}

#[test]
fn what_becomes_true_is_found_and_what_does_not_ends_the_wait() {
    let mut looks = 0;
    let third = within(Duration::from_secs(60), || {
        looks += 1;
        (looks == 3).then_some(looks)
    });
    assert_eq!(third, Some(3));
    assert_eq!(within(Duration::from_millis(30), || None::<()>), None);
}
