//! The texts of the pages in both languages, by key. A template writes `t.key`, or `word("prefix_" ~ value)` where the
//! key follows from a value. Must not know a page's values. Called by [`super::render`]; a test reads every template
//! and refuses a key that is not here.
mod board;
mod edge;
mod fleet;
mod frame;
mod incident;
mod lock;
mod rules;
mod word;

use minijinja::value::{Object, Value};
use std::sync::Arc;
use word::Word;
use zenei_incident::message::Lang;

/// All texts, a table each area.
const TABLES: &[&[Word]] =
    &[board::WORDS, edge::WORDS, fleet::WORDS, frame::WORDS, incident::WORDS, lock::WORDS, rules::WORDS];

/// The texts of one language, as templates see them.
#[derive(Debug)]
pub(crate) struct Words(pub(crate) Lang);

impl Object for Words {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        find(key.as_str()?, self.0).map(Value::from)
    }
}

/// The text of this key.
pub(crate) fn find(key: &str, lang: Lang) -> Option<&'static str> {
    let (_, en, ja) = TABLES.iter().flat_map(|table| table.iter()).find(|word| word.0 == key)?;
    Some(match lang {
        Lang::En => en,
        Lang::Ja => ja,
    })
}

/// The text of this key with its fields filled in; the key where there is no such text.
pub(crate) fn filled(key: &str, lang: Lang, values: &[(&str, String)]) -> String {
    let text = find(key, lang).unwrap_or(key).to_owned();
    values.iter().fold(text, |text, (name, value)| fill(&text, name, value))
}

/// The text with one field filled in: `{n}` becomes the value, `{n?lock:locks}` the first word where the value is 1
/// and the second one otherwise.
pub(crate) fn fill(text: &str, name: &str, value: &str) -> String {
    let counted = format!("{{{name}?");
    let mut parts = text.split(&*counted);
    let mut chosen = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (forms, rest) = part.split_once('}').unwrap_or((part, ""));
        let (one, many) = forms.split_once(':').unwrap_or((forms, forms));
        chosen.push_str(if value == "1" { one } else { many });
        chosen.push_str(rest);
    }
    chosen.replace(&format!("{{{name}}}"), value)
}

/// The word of a language in addresses, cookies and markup.
pub(crate) fn lang_word(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "en",
        Lang::Ja => "ja",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_text_has_both_languages_and_one_key() {
        let mut seen = BTreeSet::new();
        for (key, en, ja) in TABLES.iter().flat_map(|table| table.iter()) {
            assert!(!en.is_empty() && !ja.is_empty() && seen.insert(*key), "{key}");
            let fields = |text: &str| -> BTreeSet<String> {
                text.split('{').skip(1).filter_map(|rest| Some(rest.split(['}', '?']).next()?.to_owned())).collect()
            };
            assert_eq!(fields(en), fields(ja), "{key}");
        }
    }

    #[test]
    fn a_word_of_number_follows_its_count() {
        let text = "{n} {n?lock:locks}, {m} {m?item:items}";
        assert_eq!(fill(&fill(text, "n", "1"), "m", "2"), "1 lock, 2 items");
        assert_eq!(fill(&fill(text, "n", "0"), "m", "1"), "0 locks, 1 item");
        assert_eq!(fill("{n?cut", "n", "1"), "cut");
    }

    /// The keys that a template names.
    fn keys(template: &str) -> Vec<String> {
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let starts = template.match_indices("t.").filter(|(at, _)| {
            template[..*at].chars().next_back().is_none_or(|before| ends(before) && before != '.' && before != '/')
        });
        starts.map(|(at, _)| template[at + 2..].split(ends).next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn every_key_that_a_template_names_has_a_text() {
        assert_eq!(keys("{{ t.a_b }} at.c {{t.d|x}} /t.js"), ["a_b", "d"]);
        let mut unknown = Vec::new();
        for (name, text) in super::super::render::TEMPLATES {
            let missing = keys(text).into_iter().filter(|key| find(key, Lang::En).is_none());
            unknown.extend(missing.map(|key| format!("{name}: {key}")));
        }
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
