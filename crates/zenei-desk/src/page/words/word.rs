//! What a text of a page is. Must not know any. Called by the tables of texts.

/// A text: its key, in English, in Japanese.
pub(crate) type Word = (&'static str, &'static str, &'static str);
