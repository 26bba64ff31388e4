//! The targets of a configuration: which incidents each is told of, and the senders that tell them. Must not know a
//! target's kind. Called by `run`, and by `ask` for the routes.
use crate::config::Config;
use crate::exit::Failure;
use std::sync::Arc;
use tokio::sync::watch;
use zenei_desk::notify::{Sender, Target};
use zenei_desk::{DeskClock, Route, SharedDesk};
use zenei_incident::message::Lang;

/// Which events go to which target, for the desk.
pub(crate) fn routes(config: &Config) -> Vec<Route> {
    config.notify.iter().map(|(name, target)| target.route(name)).collect()
}

/// The targets, with their secrets read; no connection is opened.
///
/// # Errors
/// The first target whose secret can't be read or has a wrong form.
pub(crate) fn targets(config: &Config) -> Result<Vec<Target>, Failure> {
    let opened = config.notify.iter().map(|(name, target)| Target::open(name, target));
    opened.collect::<Result<_, _>>().map_err(|error| Failure::Failed(error.to_string()))
}

/// Starts a sender a target, which tells in this language unless the target has its own; each ends when `stop` says so,
/// and what it has not sent stays in the outbox.
pub(crate) fn tell(
    desk: &SharedDesk,
    clock: &DeskClock,
    targets: Vec<Target>,
    language: Lang,
    stop: &watch::Receiver<bool>,
) {
    for target in targets {
        let language = target.common.lang.unwrap_or(language);
        let clock = clock.clone();
        let sender = Sender::new(desk.clone(), Arc::new(target), language, move || clock.now());
        tokio::spawn(sender.run(stop.clone()));
    }
}
