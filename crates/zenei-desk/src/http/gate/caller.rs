//! Who asks? Must not know a request. Read by every handler that shows or changes something for some people only.
use serde::{Deserialize, Serialize};

/// What a person or a machine may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything but single operations of residents.
    Viewer,
    /// Also carries incidents on and silences.
    Operator,
    /// Also reads who changed what.
    Admin,
}

impl Role {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// The name of a caller without a token; no token has it.
pub(super) const LOOPBACK: &str = "loopback";

/// How a caller showed who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// It did not: it asked from this machine.
    Loopback,
    /// By a bearer token.
    Token,
    /// By the cookie of a session.
    Session,
}

/// Who asks: an extension of every request that the gate let through to a route that needs a role, and of one to an
/// open route where it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; `loopback` for one without.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may see who opened which door when.
    pub residents: bool,
    /// How it showed who it is.
    pub how: How,
}

impl Caller {
    /// One that asks from this machine and shows nothing.
    pub fn loopback(role: Role) -> Self {
        Self { name: LOOPBACK.to_owned(), role, residents: false, how: How::Loopback }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_by_its_word_and_each_may_do_what_the_former_may() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.word()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
