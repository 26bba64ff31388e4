//! What does a route need? Must not know a request. Read by the gate, and by whoever walks the list of routes.
use super::caller::Role;
use axum::http::Method;

/// The longest body of a request whose route names no limit, bytes; a guess, a hundred times the longest note.
pub(super) const BODY_MAX_BYTES: usize = 1 << 18;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// Nothing, ever: health, assets, the login, and what checks its sender by itself.
    Open,
    /// Somebody who may read.
    View,
    /// Somebody who may change something.
    Operate,
    /// Somebody who may see who changed what.
    Administer,
}

impl Need {
    /// The least role; `None` where none is needed.
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Open => None,
            Self::View => Some(Role::Viewer),
            Self::Operate => Some(Role::Operator),
            Self::Administer => Some(Role::Admin),
        }
    }
}

/// A route and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method; a route of GET answers HEAD too.
    pub method: Method,
    /// The path, with `{…}` for what varies.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
    /// The longest body, bytes.
    pub body_max_bytes: usize,
    /// Whether its answer goes on until somebody hangs up, so that it has no time limit.
    pub is_stream: bool,
}

impl Route {
    /// Whether it changes something: a POST that only judges what is sent needs no more than to read.
    pub fn changes(&self) -> bool {
        self.method != Method::GET && self.need >= Need::Operate
    }

    /// A route with the usual limits.
    pub fn new(method: Method, path: &'static str, need: Need) -> Self {
        Self { method, path, need, body_max_bytes: BODY_MAX_BYTES, is_stream: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_a_least_role_or_nothing() {
        assert_eq!(Need::Administer.role(), Some(Role::Admin));
        assert_eq!(Need::Open.role(), None);
    }
}
