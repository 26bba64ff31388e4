//! How the policy's files are read: every unknown key is refused with the nearest that is allowed, and levels are
//! accepted in English and Japanese. Must not know what a table means. Called by the readers of urgency and opening.
use serde::de::DeserializeOwned;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zenei_detect::Urgency;
use zenei_detect::nearest::nearest;
use zenei_detect::toml_place::Reader;

/// The keys that a table may have: its path (names joined by dots; an array's tables share it), and its keys. `*` as a
/// key allows any.
pub(crate) type Keys = [(&'static str, &'static [&'static str])];

/// The file as this type, or `None` with every unknown key, or the first value of a wrong shape, among the errors.
pub(crate) fn parse<T: DeserializeOwned>(toml: &mut Reader<'_>, keys: &Keys) -> Option<T> {
    if let Ok(whole) = DeTable::parse(toml.text()) {
        let before = toml.clone().errors().len();
        walk(toml, whole.get_ref(), "", keys);
        if toml.clone().errors().len() > before {
            return None;
        }
    }
    let error = match toml::from_str(toml.text()) {
        Ok(parsed) => return Some(parsed),
        Err(error) => error,
    };
    let span = error.span().unwrap_or(0..0);
    if let Some(key) = error.message().strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        toml.error(&span, key, "is missing; the table needs it".to_owned());
    } else {
        let found = toml.text().get(span.clone()).unwrap_or("").lines().next().unwrap_or("").trim().to_owned();
        let key = if found.is_empty() { "file" } else { &found };
        toml.error(&span, key, error.message().to_owned());
    }
    None
}

fn walk(toml: &mut Reader<'_>, table: &DeTable<'_>, path: &str, keys: &Keys) {
    let Some((_, allowed)) = keys.iter().find(|(known, _)| *known == path) else { return };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if !allowed.contains(&name) && !allowed.contains(&"*") {
            let near = nearest(name, allowed.iter().copied()).map(|near| format!("did you mean `{near}`? "));
            let allowed = allowed.join(", ");
            let whole = joined(path, name);
            toml.error(
                &key.span(),
                &whole,
                format!("is no key here; {}allowed are {allowed}", near.unwrap_or_default()),
            );
            continue;
        }
        let below = joined(path, if allowed.contains(&name) { name } else { "*" });
        match value.get_ref() {
            DeValue::Table(inner) => walk(toml, inner, &below, keys),
            DeValue::Array(list) => {
                for item in list {
                    if let DeValue::Table(inner) = item.get_ref() {
                        walk(toml, inner, &below, keys);
                    }
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A level, by its word or in Japanese.
pub(crate) fn level(text: &str) -> Option<Urgency> {
    match text {
        "最高" => Some(Urgency::Highest),
        "高" => Some(Urgency::High),
        "中" => Some(Urgency::Medium),
        "低" => Some(Urgency::Low),
        other => Urgency::parse(other),
    }
}

/// A level in Japanese.
pub fn level_ja(level: Urgency) -> &'static str {
    match level {
        Urgency::Highest => "最高",
        Urgency::High => "高",
        Urgency::Medium => "中",
        Urgency::Low => "低",
    }
}

/// The levels that a file may name.
pub(crate) fn levels() -> impl Iterator<Item = &'static str> {
    ["highest", "high", "medium", "low", "最高", "高", "中", "低"].into_iter()
}

/// Each of a list of words; those that are none of the allowed are errors.
pub(crate) fn each<T>(
    toml: &mut Reader<'_>,
    key: &str,
    found: &[Spanned<String>],
    parse: fn(&str) -> Option<T>,
    allowed: &'static [&'static str],
) -> Vec<T> {
    found.iter().filter_map(|word| toml.word(key, word, parse, allowed.iter().copied())).collect()
}

/// A version from 1; an error otherwise.
pub(crate) fn version(toml: &mut Reader<'_>, found: &Spanned<u32>) -> u32 {
    if *found.get_ref() == 0 {
        toml.error(&found.span(), "version", "found 0; versions start at 1".to_owned());
    }
    *found.get_ref()
}

/// An id: a-z, 0-9, - and _; an error otherwise, and where it is in the list already.
pub(crate) fn id<'a>(
    toml: &mut Reader<'_>,
    key: &str,
    span: &Range<usize>,
    found: &'a str,
    taken: &mut std::collections::BTreeSet<&'a str>,
) {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if found.is_empty() || !found.bytes().all(is_allowed) {
        toml.error(span, key, format!("found {found:?}; allowed are a-z 0-9 - and _, at least one"));
    } else if !taken.insert(found) {
        toml.error(span, key, format!("found {found:?} a second time; each is allowed once"));
    }
}
