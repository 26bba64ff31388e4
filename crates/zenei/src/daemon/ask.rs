//! Hands a request to the desk of a state directory: to the daemon that runs there, or, where none runs, to a desk of
//! this process, which holds the directory's lock meanwhile. Must not know what a request means. Called by the commands
//! that change incidents.
use super::{contents, control, notify};
use crate::config::Loaded;
use crate::exit::Failure;
use serde_json::Value as Json;
use std::time::Duration;
use zenei_desk::{DeskClock, DeskDriver, LocalError, Request, SharedDesk};
use zenei_store::layout::{LockError, StateLock};
use zenei_store::{Clock, Control, Layout};

/// How long a command waits for another command that writes, or for a daemon that starts; a guess: a step takes less
/// than a second.
const LOCK_WAIT_S: u32 = 5;
/// How often it looks again, a second.
const LOOKS_PER_SECOND: u32 = 10;

/// The desk's answer to a request.
///
/// # Errors
/// What the desk refused and why; where no desk can be asked.
pub(crate) fn desk(loaded: &Loaded, request: &Request) -> Result<Json, Failure> {
    let layout = Layout::new(&loaded.config.state_dir);
    // Nobody wakes it: no condition that this process could wait on tells that the other has ended.
    let pause = || std::thread::park_timeout(Duration::from_secs(1) / LOOKS_PER_SECOND);
    match daemon_or_lock(&layout, loaded, request, pause)? {
        Reached::Daemon(done) => Ok(done),
        Reached::Nobody(lock) => alone(&layout, loaded, request, lock),
    }
}

/// Who carries a request out.
enum Reached {
    /// The daemon did.
    Daemon(Json),
    /// Nobody else writes: this process is to.
    Nobody(StateLock),
}

fn daemon_or_lock(
    layout: &Layout,
    loaded: &Loaded,
    request: &Request,
    mut pause: impl FnMut(),
) -> Result<Reached, Failure> {
    for _ in 0..LOCK_WAIT_S * LOOKS_PER_SECOND {
        if let Some(done) = daemon(layout, request)? {
            return Ok(Reached::Daemon(done));
        }
        drop(control::open(&loaded.config.state_dir)?);
        match layout.lock() {
            Ok(lock) => return Ok(Reached::Nobody(lock)),
            Err(LockError::Taken { .. }) => pause(),
            Err(error @ LockError::Disk { .. }) => {
                return Err(Failure::broken("can't lock the state directory", error));
            }
        }
    }
    Err(Failure::Failed(format!(
        "another zenei writes to {} and takes no requests for {LOCK_WAIT_S} s: it is starting, its desk is off, or it \
         is another command; one writer at a time is allowed",
        layout.root().display()
    )))
}

/// The daemon's answer; `None` where no daemon listens.
fn daemon(layout: &Layout, request: &Request) -> Result<Option<Json>, Failure> {
    match zenei_desk::local::ask(&layout.desk_socket(), request) {
        Ok(done) => Ok(Some(done)),
        Err(LocalError::Refused(refused)) => Err(Failure::Failed(refused.text)),
        Err(error @ LocalError::Silent { .. }) => Err(silent(&error)),
        Err(LocalError::Failed { .. }) if !layout.desk_socket().exists() => Ok(None),
        Err(error @ LocalError::Failed { .. }) => Err(Failure::broken("can't ask the daemon's desk", error)),
        Err(LocalError::Nobody { .. }) => Ok(None),
    }
}

fn silent(error: &LocalError) -> Failure {
    Failure::Unreachable(format!("zenei runs and does not answer: {error}: look with `zenei incident show`"))
}

fn alone(layout: &Layout, loaded: &Loaded, request: &Request, _lock: StateLock) -> Result<Json, Failure> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        control::broken(&loaded.config.state_dir, "can't open the incidents", error)
    };
    let control = Control::open(&layout.control()).map_err(|error| broken(error.into()))?;
    let contents = contents::read(loaded).map_err(Failure::Config)?;
    // What follows is sent by the next daemon.
    let driver = DeskDriver::open_with(control, notify::routes(&loaded.config), contents.policy)
        .map_err(|error| broken(error.into()))?
        .with_places(contents.registry.places());
    let done = request.carry_out(&SharedDesk::new(driver), DeskClock::new(Clock::System).now());
    done.map_err(|refused| Failure::Failed(refused.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn note() -> Request {
        Request::Step { incident: "1".into(), kind: "note".into(), by: "sato".into(), body: serde_json::Map::new() }
    }

    fn folder() -> (tempfile::TempDir, Loaded) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        let file = folder.path().join("zenei.toml");
        std::fs::write(&file, "state_dir = 'state'\n").unwrap();
        let loaded = crate::config::load(&file, &std::collections::BTreeMap::new()).unwrap();
        drop(Control::open(&Layout::new(&loaded.config.state_dir).control()).unwrap());
        (folder, loaded)
    }

    #[test]
    fn a_command_waits_for_another_that_writes() {
        let (_folder, loaded) = folder();
        let layout = Layout::new(&loaded.config.state_dir);
        let (mut other, mut looks) = (Some(layout.lock().unwrap()), 0);
        let pause = || {
            looks += 1;
            if looks == 3 {
                other = None;
            }
        };
        let reached = daemon_or_lock(&layout, &loaded, &note(), pause);
        assert!(matches!(reached, Ok(Reached::Nobody(_))) && looks == 3, "{looks}");
    }

    #[test]
    fn a_command_waits_for_another_no_longer_than_the_limit() {
        let (_folder, loaded) = folder();
        let layout = Layout::new(&loaded.config.state_dir);
        let _other = layout.lock().unwrap();
        let mut looks = 0;
        let refused = daemon_or_lock(&layout, &loaded, &note(), || looks += 1).err().unwrap();
        assert!(refused.to_string().contains("one writer at a time is allowed"), "{refused}");
        assert_eq!(looks, LOCK_WAIT_S * LOOKS_PER_SECOND);
    }

    #[test]
    fn a_daemon_that_does_not_answer_can_not_be_reached_and_the_step_may_have_been_taken() {
        let failure = silent(&LocalError::Silent { path: "desk.sock".into() });
        assert_eq!(failure.exit(), Exit::Unreachable);
        assert!(failure.to_string().contains("the step may have been taken"), "{failure}");
    }
}
