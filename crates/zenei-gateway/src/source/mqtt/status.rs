//! How does it stand with the broker: the connection, the login, the subscription? Three things that fail apart from
//! one another: a gateway that is connected and has no subscription hears nothing. Must not know a socket. Set by the
//! subscriber; read by `/readyz` and `/metrics` of the binary.
use std::sync::{Mutex, PoisonError};

/// How it stands with the broker now. Reasons are sentences without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// No connection: not yet, or not any more.
    Away {
        /// Why the last one ended, or could not be made.
        reason: String,
    },
    /// The broker answers, and refuses the login.
    LoginRefused {
        /// Its answer.
        reason: String,
    },
    /// The login is accepted; the subscription has no answer yet.
    Connected,
    /// The login is accepted; the subscription is not, or not all of it. It is asked for again.
    NotGranted {
        /// Which filters, with the broker's answer.
        reason: String,
    },
    /// Each filter is granted.
    Subscribed,
}

impl BrokerState {
    /// Whether a connection is up on which the broker has accepted the login.
    pub fn is_connected(&self) -> bool {
        match self {
            Self::Connected | Self::NotGranted { .. } | Self::Subscribed => true,
            Self::Away { .. } | Self::LoginRefused { .. } => false,
        }
    }

    /// Whether the broker has granted each filter to this connection or to the session that it goes on with.
    pub fn is_subscribed(&self) -> bool {
        match self {
            Self::Subscribed => true,
            Self::Away { .. } | Self::LoginRefused { .. } | Self::Connected | Self::NotGranted { .. } => false,
        }
    }
}

/// The state, shared between the subscriber and those who show it.
#[derive(Debug)]
pub struct BrokerStatus(Mutex<BrokerState>);

impl Default for BrokerStatus {
    fn default() -> Self {
        Self(Mutex::new(BrokerState::Away { reason: "the first attempt has not ended yet".to_owned() }))
    }
}

impl BrokerStatus {
    /// The state now.
    pub fn now(&self) -> BrokerState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, state: BrokerState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
