//! Hands a request to the desk of a state directory: to the daemon that runs there, or, where none runs, to a desk of
//! this process, which holds the directory's lock meanwhile. Must not know what a request means. Called by the commands
//! that change incidents.
use super::{contents, control, notify};
use crate::config::Loaded;
use crate::exit::Failure;
use serde_json::Value as Json;
use zenei_desk::{DeskClock, DeskDriver, LocalError, Request, SharedDesk};
use zenei_store::layout::LockError;
use zenei_store::{Clock, Control, Layout};

/// The desk's answer to a request.
///
/// # Errors
/// What the desk refused and why; where no desk can be asked.
pub(crate) fn desk(loaded: &Loaded, request: &Request) -> Result<Json, Failure> {
    let layout = Layout::new(&loaded.config.state_dir);
    match zenei_desk::local::ask(&layout.desk_socket(), request) {
        Ok(done) => return Ok(done),
        Err(LocalError::Refused(refused)) => return Err(Failure::Failed(refused.text)),
        Err(LocalError::Failed { .. }) if !layout.desk_socket().exists() => {}
        Err(error @ LocalError::Failed { .. }) => return Err(Failure::broken("can't ask the daemon's desk", error)),
        Err(LocalError::Nobody { .. }) => {}
    }
    drop(control::open(&loaded.config.state_dir)?);
    let _lock = layout.lock().map_err(|error| match error {
        LockError::Taken { path } => Failure::Failed(format!(
            "another zenei writes to {} and takes no requests: it is starting, its desk is off, or it is another \
             command; one writer at a time is allowed",
            path.display()
        )),
        LockError::Disk { .. } => Failure::broken("can't lock the state directory", error),
    })?;
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| Failure::broken("can't open the incidents", error);
    let control = Control::open(&layout.control()).map_err(|error| broken(error.into()))?;
    let contents = contents::read(loaded).map_err(Failure::Config)?;
    // What follows is sent by the next daemon.
    let driver = DeskDriver::open_with(control, notify::routes(&loaded.config), contents.policy)
        .map_err(|error| broken(error.into()))?
        .with_places(contents.registry.places());
    let done = request.carry_out(&SharedDesk::new(driver), DeskClock::new(Clock::System).now());
    done.map_err(|refused| Failure::Failed(refused.text))
}
