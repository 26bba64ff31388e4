//! Which bytes are a topic name? Those that MQTT allows, checked once, at the source; and how is a name kept that MQTT
//! does not allow, where its message must be kept? Must not know what a topic means: `zenei_wire` parses that. Called
//! by every source, and by the appender, which writes topics to the spool.
use bytes::Bytes;

/// The longest name that the spool takes, in bytes, and the longest that MQTT has.
const MAX_NAME_BYTES: usize = u16::MAX as usize;

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

    /// A name as it can be stored, whatever its bytes: of a message that a broker holds and would send for ever. Text
    /// stays as it is. In what is no text, or has U+0000, each byte that is none becomes `\xNN`, U+0000 `\x00`, and a
    /// backslash two of them, so that the bytes can be told from it; it is cut at 65,535 bytes.
    pub(crate) fn of_any(name: Bytes) -> Self {
        if str::from_utf8(&name).is_ok_and(|text| !text.contains('\0')) {
            return Self(name);
        }
        let mut text = String::with_capacity(name.len() + 16);
        let pieces = name.utf8_chunks().flat_map(|chunk| {
            let bytes = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            chunk.valid().chars().map(written).chain(bytes)
        });
        for piece in pieces {
            if text.len() + piece.len() > MAX_NAME_BYTES {
                break;
            }
            text.push_str(&piece);
        }
        Self(Bytes::from(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A character within a name that is not all text.
fn written(character: char) -> String {
    match character {
        '\\' => r"\\".to_owned(),
        '\0' => r"\x00".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &[u8]) -> String {
        TopicName::of_any(Bytes::copy_from_slice(name)).as_str().to_owned()
    }

    #[test]
    fn a_name_that_is_text_stays_and_one_that_is_none_shows_each_of_its_bytes() {
        for (name, expected) in [
            (&b"bitlock/v1/s/d/state"[..], "bitlock/v1/s/d/state"),
            ("錠/\\x".as_bytes(), "錠/\\x"),
            (b"a/+/#", "a/+/#"),
            (b"", ""),
            (b"\xe6/\xe9\x8c\xa0\\", "\\xe6/錠\\\\"),
            (b"a\0b", "a\\x00b"),
        ] {
            assert_eq!(kept(name), expected, "{name:?}");
        }
    }

    #[test]
    fn the_longest_name_without_text_fits_into_the_spool() {
        let text = kept(&[0xff; 65_535]);
        assert!(text.len() <= MAX_NAME_BYTES && text.starts_with("\\xff"), "{}", text.len());
        assert_eq!(kept(&[b'x'; 65_535]).len(), MAX_NAME_BYTES);
    }
}
