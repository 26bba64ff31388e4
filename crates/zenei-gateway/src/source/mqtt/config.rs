//! Which broker, as whom, with which topics? Must not know a socket. Filled in by the binary and by tests; read by the
//! gateway's start and the subscriber.

/// The longest text of an MQTT packet, in bytes: its length has 16 bits.
const MAX_TEXT_BYTES: usize = u16::MAX as usize;

/// The broker and its topics.
#[derive(Clone)]
pub struct MqttConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Stable over restarts; under it the broker stores the messages that this gateway missed. Not empty.
    pub client_id: String,
    /// Topic filters, at least one.
    pub topics: Vec<String>,
    /// User name and password.
    pub login: Option<(String, String)>,
}

impl std::fmt::Debug for MqttConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, client_id, topics, login } = self;
        let user = login.as_ref().map(|(user, _)| user);
        let mut shown = f.debug_struct("MqttConfig");
        shown.field("host", host).field("port", port).field("client_id", client_id);
        shown.field("topics", topics).field("user", &user).finish_non_exhaustive()
    }
}

/// Why a broker can't be used as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MqttConfigError {
    /// An empty client id.
    #[error("the client id is empty; one that stays the same over restarts is needed")]
    NoClientId,
    /// No filter, or one that MQTT does not allow.
    #[error("the topic filter '{filter}' is not allowed; at least one filter such as 'bitlock/v1/#' is needed")]
    Filter {
        /// The refused filter; empty where there is none.
        filter: String,
    },
    /// A text that no MQTT packet can carry.
    #[error("the {what} has {found} bytes; at most {MAX_TEXT_BYTES} are allowed")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length.
        found: usize,
    },
}

impl MqttConfig {
    /// Whether the client id, the filters and the login can be used.
    ///
    /// # Errors
    /// See [`MqttConfigError`].
    pub fn check(&self) -> Result<(), MqttConfigError> {
        if self.client_id.is_empty() {
            return Err(MqttConfigError::NoClientId);
        }
        let (user, password) = self.login.as_ref().map_or((0, 0), |(user, password)| (user.len(), password.len()));
        for (what, found) in [("client id", self.client_id.len()), ("user name", user), ("password", password)] {
            if found > MAX_TEXT_BYTES {
                return Err(MqttConfigError::TooLong { what, found });
            }
        }
        match self.topics.iter().find(|filter| !is_filter(filter)) {
            Some(filter) => Err(MqttConfigError::Filter { filter: filter.clone() }),
            None if self.topics.is_empty() => Err(MqttConfigError::Filter { filter: String::new() }),
            None => Ok(()),
        }
    }
}

/// Whether MQTT 3.1.1 allows this topic filter (section 4.7): wildcards stand alone in their level, # in the last one.
fn is_filter(text: &str) -> bool {
    let is_alone = |level: &str| level.len() == 1 || !level.contains(['+', '#']);
    let is_last = text.find('#').is_none_or(|at| at + 1 == text.len());
    let is_text = !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains('\0');
    is_text && is_last && text.split('/').all(is_alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MqttConfig {
        let login = Some(("gateway".to_owned(), "canary".to_owned()));
        MqttConfig { host: "h".into(), port: 1, client_id: "c".into(), topics: vec!["#".into()], login }
    }

    #[test]
    fn a_password_is_never_shown() {
        let shown = format!("{:?}", config());
        assert!(shown.contains("gateway") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn what_no_packet_can_carry_is_refused_before_a_connection_is_made() {
        assert_eq!(config().check(), Ok(()));
        let nobody = MqttConfig { client_id: String::new(), ..config() };
        assert_eq!(nobody.check(), Err(MqttConfigError::NoClientId));
        let long = MqttConfig { login: Some(("u".into(), "x".repeat(70_000))), ..config() };
        assert_eq!(long.check(), Err(MqttConfigError::TooLong { what: "password", found: 70_000 }));
        let none = MqttConfig { topics: Vec::new(), ..config() };
        assert_eq!(none.check(), Err(MqttConfigError::Filter { filter: String::new() }));
    }

    #[test]
    fn a_filter_has_its_wildcards_alone_in_their_level_and_hash_last() {
        for good in ["#", "+", "a/#", "+/b/+", "a", "/", "a//b", "$share/g/bitlock/v1/#"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a/b+", "+a/b", "##", "a/++", "a\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
