//! What remotes send to the desk over HTTP: one file a remote, each with its own check of who sends. Only what is
//! configured has an address. Must not know how a request is carried out ([`crate::request`] does). Made by `run`;
//! served by [`crate::http`].
pub mod alertmanager;
pub mod slack;

use super::Target;
use crate::shared::{DeskClock, SharedDesk};
use axum::Router;
use axum::extract::DefaultBodyLimit;

/// The longest request of a remote, in bytes; a guess: Slack sends a button's whole message along, some 100 kB at most.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// The addresses at which the configured remotes reach the desk.
#[derive(Clone, Debug, Default)]
pub struct Inward(Router);

impl Inward {
    /// Those of these targets; none where no target asks for one.
    pub fn new(targets: &[Target], desk: &SharedDesk, clock: &DeskClock) -> Self {
        let app = |target: &Target| {
            let signing_secret = target.signing_secret()?.clone();
            let base_url = target.common.base_url.clone();
            Some(slack::App { signing_secret, http: target.http.clone(), base_url })
        };
        let apps: Vec<_> = targets.iter().filter_map(app).collect();
        let mut router = Router::new();
        if !apps.is_empty() {
            router = router.merge(slack::routes(slack::SlackInward::new(apps, desk.clone(), clock.clone())));
        }
        let token = |target: &Target| Some((target.name.clone(), target.webhook_token()?.clone()));
        let tokens: Vec<_> = targets.iter().filter_map(token).collect();
        if !tokens.is_empty() {
            let (desk, clock) = (desk.clone(), clock.clone());
            router = router.merge(alertmanager::routes(alertmanager::AlertmanagerInward { tokens, desk, clock }));
        }
        Self(router.layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)))
    }

    /// Its routes.
    pub(crate) fn into_router(self) -> Router {
        self.0
    }
}
