//! Which bytes are a topic name? Those that MQTT allows, checked once, at the source. Must not know what a topic
//! means: `zenei_wire` parses that. Called by every source, and by the appender, which writes topics to the spool.
use bytes::Bytes;

/// A checked topic name; it holds the bytes that it was made of, without a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicName(Bytes);

/// Why bytes are no topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTopicName {
    /// They are no UTF-8.
    #[error("the topic is no valid text")]
    Utf8,
    /// The name is empty, or contains a wildcard or U+0000.
    #[error("the topic is empty or has a character that topics may not have (+, #, U+0000)")]
    Characters,
}

impl TopicName {
    /// Checks a topic name.
    ///
    /// # Errors
    /// See [`BadTopicName`].
    pub fn new(name: Bytes) -> Result<Self, BadTopicName> {
        let text = str::from_utf8(&name).map_err(|_| BadTopicName::Utf8)?;
        if text.is_empty() || text.contains(['+', '#', '\0']) {
            return Err(BadTopicName::Characters);
        }
        Ok(Self(name))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}
