//! A place in a list of locks: what a page says of the next one. Must not know SQL. Called by both sources.
use super::error::HistoryError;
use super::types::{LOCKS_MAX, LockSort};

/// How many locks a page has where nobody says.
const LIMIT: usize = 50;

/// The last lock of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Its value in the order; `None` where it has none, or the order is by id.
    pub(super) key: Option<i64>,
    pub(super) device_id: String,
}

impl Cursor {
    /// As a text that is sent out.
    pub(super) fn text(&self, sort: LockSort) -> String {
        let key = self.key.map_or(String::new(), |key| key.to_string());
        format!("{}.{key}.{}", sort.as_str(), self.device_id)
    }

    /// The place of a text; it must be of this order.
    pub(super) fn parse(text: &str, sort: LockSort) -> Result<Self, HistoryError> {
        let bad = || HistoryError::Cursor { found: text.chars().take(80).flat_map(char::escape_default).collect() };
        let mut parts = text.splitn(3, '.');
        let (order, key, device_id) =
            parts.next().zip(parts.next()).zip(parts.next()).map(|((a, b), c)| (a, b, c)).ok_or_else(bad)?;
        if order != sort.as_str() {
            return Err(bad());
        }
        let key = if key.is_empty() { None } else { Some(key.parse().map_err(|_| bad())?) };
        Ok(Self { key, device_id: device_id.to_owned() })
    }
}

/// How many locks a page has.
pub(super) fn page_limit(asked: usize) -> usize {
    if asked == 0 { LIMIT } else { asked.min(LOCKS_MAX) }
}
