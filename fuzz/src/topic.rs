//! Any text as a topic: a record's topic is written as it was read, every other text is distinguished from it, never a
//! panic; a refusal is short and escaped. Called by libFuzzer and by `smoke`.
use zenei_wire::topic::PREFIX;
use zenei_wire::{Heading, Refusal, Topic};

/// The reader that is checked.
type Parse = for<'a> fn(&'a str) -> Result<Heading<'a>, Refusal>;

/// The longest text of a refusal, bytes: it quotes at most 32 characters, and an escaped one has at most ten bytes.
const MAX_DETAIL_BYTES: usize = 450;

/// Checks one topic.
///
/// # Panics
/// Where a promise is broken.
pub fn check(input: &[u8]) {
    check_with(input, |topic| Topic::parse(topic));
}

fn check_with(input: &[u8], parse: Parse) {
    let text = String::from_utf8_lossy(input);
    check_text(&text, parse);
    // Most texts are foreign; these reach further.
    check_text(&format!("{PREFIX}{text}"), parse);
    check_text(&format!("{PREFIX}tokyo-01/{text}/state"), parse);
}

fn check_text(text: &str, parse: Parse) {
    let is_ours = text.starts_with(PREFIX);
    match parse(text) {
        Ok(Heading::Record(topic)) => {
            assert!(is_ours && topic.kind.has_topic());
            assert_eq!(topic.to_text(), text, "a topic is written as it was read");
        }
        Ok(Heading::Online) => assert!(is_ours && text.ends_with("/online")),
        Ok(Heading::Foreign) => assert!(!is_ours, "{text} is one of ours"),
        Err(refusal) => {
            assert!(is_ours, "{text} is none of ours");
            assert!(!refusal.detail.contains(char::is_control), "what is quoted is escaped: {}", refusal.detail);
            assert!(refusal.detail.len() <= MAX_DETAIL_BYTES, "a refusal is short: {}", refusal.detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::{find, smoke};

    #[test]
    fn the_promises_hold_over_corpus_and_mutations() {
        smoke("topic", check);
    }

    /// Accepts a topic with an additional empty level at its end.
    fn lenient(text: &str) -> Result<Heading<'_>, Refusal> {
        Topic::parse(text.trim_end_matches('/'))
    }

    #[test]
    fn a_reader_that_takes_an_empty_last_level_is_caught() {
        assert!(find("topic", |input| check_with(input, lenient)).is_some());
    }
}
