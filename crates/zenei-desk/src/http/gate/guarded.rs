//! Routes with what each needs: the one way in which a route is declared, so that none is without a guard and the whole
//! list can be walked. Must not know a handler's work. Called by each module that has routes; turned into a router by
//! the server.
use super::guard::{Guard, guard};
use super::need::{Need, Route};
use super::place::Gate;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};

/// Routes, each with its need.
#[derive(Debug)]
pub struct Guarded<S = ()> {
    routes: Vec<(Route, MethodRouter<S>)>,
    /// Routes that check their sender by themselves, and the router that serves them.
    open: (Vec<Route>, Vec<Router>),
}

impl<S> Default for Guarded<S> {
    fn default() -> Self {
        Self { routes: Vec::new(), open: (Vec::new(), Vec::new()) }
    }
}

impl<S: Clone + Send + Sync + 'static> Guarded<S> {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A route that reads.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, path: &'static str, need: Need, handler: H) -> Self {
        self.with(Route::new(Method::GET, path, need), get(handler))
    }

    /// A route that reads, whose answer goes on until somebody hangs up.
    #[must_use]
    pub fn stream<H: Handler<T, S>, T: 'static>(self, path: &'static str, need: Need, handler: H) -> Self {
        let route = Route { is_stream: true, ..Route::new(Method::GET, path, need) };
        self.with(route, get(handler))
    }

    /// A route that changes something, or judges what is sent.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, path: &'static str, need: Need, handler: H) -> Self {
        self.with(Route::new(Method::POST, path, need), post(handler))
    }

    /// A route that removes something.
    #[must_use]
    pub fn delete<H: Handler<T, S>, T: 'static>(self, path: &'static str, need: Need, handler: H) -> Self {
        self.with(Route::new(Method::DELETE, path, need), delete(handler))
    }

    /// Sets the longest body of all routes so far, in bytes.
    #[must_use]
    pub fn body_max(mut self, bytes: usize) -> Self {
        for (route, _) in &mut self.routes {
            route.body_max_bytes = bytes;
        }
        self
    }

    /// These routes and those of `other`.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.open.0.extend(other.open.0);
        self.open.1.extend(other.open.1);
        self
    }

    /// The routes, with the state that their handlers need.
    pub fn with_state(self, state: S) -> Guarded {
        let with = |(route, handler): (Route, MethodRouter<S>)| (route, handler.with_state(state.clone()));
        Guarded { routes: self.routes.into_iter().map(with).collect(), open: self.open }
    }

    /// Every route, in the order of declaration.
    pub fn routes(&self) -> Vec<Route> {
        self.routes.iter().map(|(route, _)| route).chain(&self.open.0).cloned().collect()
    }

    fn with(mut self, route: Route, handler: MethodRouter<S>) -> Self {
        self.routes.push((route, handler));
        self
    }
}

impl Guarded {
    /// Adds a router that checks by itself who sends, with the list of its routes.
    #[must_use]
    pub(crate) fn checked_by_itself(mut self, routes: Vec<Route>, router: Router) -> Self {
        self.open.0.extend(routes);
        self.open.1.push(router);
        self
    }

    /// The router, each route behind the gate.
    pub fn into_router(self, gate: &Gate) -> Router {
        let mut router = Router::new();
        for (route, handler) in self.routes {
            let limit = DefaultBodyLimit::max(route.body_max_bytes);
            let path = route.path;
            let guarded = Guard { gate: gate.clone(), route };
            let handler = handler.route_layer(limit).route_layer(from_fn_with_state(guarded, guard));
            router = router.route(path, handler);
        }
        self.open.1.into_iter().fold(router, Router::merge)
    }
}

#[cfg(test)]
mod tests {
    use super::super::need::BODY_MAX_BYTES;
    use super::*;
    use axum::extract::State;

    #[test]
    fn each_route_is_in_the_list_with_its_need() {
        let counted = Guarded::<u8>::new().get("/count", Need::View, async |State(_): State<u8>| "1");
        let all = Guarded::new()
            .post("/note", Need::Operate, async || "done")
            .body_max(9)
            .merge(counted.with_state(1))
            .stream("/stream", Need::View, async || "on")
            .checked_by_itself(vec![Route::new(Method::POST, "/hook", Need::Open)], Router::new());
        let found: Vec<_> =
            all.routes().into_iter().map(|it| (it.path, it.need, it.body_max_bytes, it.is_stream)).collect();
        let usual = BODY_MAX_BYTES;
        let expected = [
            ("/note", Need::Operate, 9, false),
            ("/count", Need::View, usual, false),
            ("/stream", Need::View, usual, true),
            ("/hook", Need::Open, usual, false),
        ];
        assert_eq!(found, expected);
    }
}
