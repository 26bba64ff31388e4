//! A TOML text as a tree in which every value has its place, with the environment's overrides applied. Must not know
//! which keys exist. Called by `config::parse`, which passes the tree to `walk`.
use super::problem::{Place, Problem};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zenei_detect::toml_place::{Lines, Position};

/// The prefix of environment variables that override keys: `ZENEI__MQTT__URL` is `mqtt.url`.
pub(crate) const OVERRIDE_PREFIX: &str = "ZENEI__";

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// The place of the value; of a table, the place of its key.
    pub(crate) place: Place,
}

/// A TOML value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// Any other number, as it was written.
    Float(String),
    /// True or false.
    Boolean(bool),
    /// A date or time, as it was written.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// Keys and values.
    Table(BTreeMap<String, Entry>),
}

/// A value with its key's place.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The key's place.
    pub(crate) key_place: Place,
    /// The value.
    pub(crate) node: Node,
}

impl Value {
    /// The value described for people: `the integer 5`.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::String(text) => format!("the string {text:?}"),
            Self::Integer(number) => format!("the integer {number}"),
            Self::Float(text) => format!("the number {text}"),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Datetime(text) => format!("the date {text}"),
            Self::Array(_) => "an array".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

/// Reads a text.
///
/// # Errors
/// Every place where it is no TOML.
pub(crate) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let value = Value::Table(entries(table.into_inner(), &lines));
        return Ok(Node { value, place: Place::File { line: 1, column: 1 } });
    }
    let problem = |error: &toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let key = key_near(text, start).map(|key| format!(" at `{key}`")).unwrap_or_default();
        Problem { place: place(&lines, start), text: format!("no TOML{key}: {}", error.message().trim()) }
    };
    Err(errors.iter().map(problem).collect())
}

/// The place behind the last character of a text that is whole.
pub(crate) fn end_of(text: &[u8]) -> Place {
    let text = String::from_utf8_lossy(text);
    place(&Lines::of(&text), text.len())
}

/// The key or section of the line around this offset, where one can be recognized.
fn key_near(text: &str, offset: usize) -> Option<String> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(start..)?.lines().next()?.trim();
    let is_key = |key: &&str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let section = |line: &str| {
        let inside = line.trim().strip_prefix('[')?;
        let name = inside.split(']').next().unwrap_or("").trim();
        Some(name).filter(is_key).map(str::to_owned)
    };
    if line.starts_with('[') {
        return section(line);
    }
    let key = line.split('=').next().map(str::trim).filter(is_key)?;
    match text[..start].lines().rev().find_map(section) {
        Some(section) => Some(format!("{section}.{key}")),
        None => Some(key.to_owned()),
    }
}

/// Puts one environment variable's value at its key: `name` is `ZENEI__SECTION__KEY`. The value's type follows from the
/// key's type in the schema (`wanted`, in JSON Schema's words).
pub(crate) fn put_override(root: &mut Node, name: &str, text: &str, wanted: Option<&str>) {
    let place = Place::Environment(name.to_owned());
    let mut node = root;
    for part in override_key(name) {
        if !matches!(node.value, Value::Table(_)) {
            *node = Node { value: Value::Table(BTreeMap::new()), place: place.clone() };
        }
        let Value::Table(table) = &mut node.value else { return };
        let entry = table.entry(part).or_insert_with(|| Entry {
            key_place: place.clone(),
            node: Node { value: Value::Table(BTreeMap::new()), place: place.clone() },
        });
        node = &mut entry.node;
    }
    *node = Node { value: override_value(text, wanted, &place), place };
}

/// The parts of the key that an environment variable overrides: lower-case, split at double underscores.
pub(crate) fn override_key(name: &str) -> Vec<String> {
    let rest = name.strip_prefix(OVERRIDE_PREFIX).unwrap_or(name);
    rest.split("__").map(str::to_lowercase).collect()
}

fn override_value(text: &str, wanted: Option<&str>, place: &Place) -> Value {
    let node = |text: &str| Node { value: Value::String(text.trim().to_owned()), place: place.clone() };
    match wanted {
        Some("integer") => text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer),
        Some("boolean") => text.trim().parse().map_or_else(|_| Value::String(text.to_owned()), Value::Boolean),
        Some("array") => Value::Array(text.split(',').map(node).collect()),
        _ => Value::String(text.to_owned()),
    }
}

fn place(lines: &Lines<'_>, offset: usize) -> Place {
    let Position { line, column } = lines.position(offset);
    Place::File { line, column }
}

fn entries(table: DeTable<'_>, lines: &Lines<'_>) -> BTreeMap<String, Entry> {
    let entry = |(key, value): (Spanned<std::borrow::Cow<'_, str>>, Spanned<DeValue<'_>>)| {
        let key_place = place(lines, key.span().start);
        let node = node(value, lines, &key_place);
        (key.into_inner().into_owned(), Entry { key_place, node })
    };
    table.into_iter().map(entry).collect()
}

fn node(value: Spanned<DeValue<'_>>, lines: &Lines<'_>, key_place: &Place) -> Node {
    let place = place(lines, value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Float(number.as_str().to_owned()), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(time) => Value::Datetime(time.to_string()),
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| node(item, lines, &place)).collect()),
        DeValue::Table(table) => {
            return Node { value: Value::Table(entries(table, lines)), place: key_place.clone() };
        }
    };
    Node { value, place }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_not_bytes() {
        let tree = parse("名 = 1").unwrap_err();
        assert_eq!(tree[0].place, Place::File { line: 1, column: 1 });
        let tree = parse("# 前衛\nid = \"é\" # x\nb = 'y'").unwrap();
        let Value::Table(table) = tree.value else { panic!("a document is a table") };
        assert_eq!(table["b"].node.place, Place::File { line: 3, column: 5 });
    }

    #[test]
    fn an_override_makes_the_tables_on_its_way() {
        let mut tree = parse("state_dir = 'a'").unwrap();
        put_override(&mut tree, "ZENEI__DESK__ENABLED", "true", Some("boolean"));
        let Value::Table(table) = tree.value else { panic!("a document is a table") };
        let Value::Table(desk) = &table["desk"].node.value else { panic!("a section is a table") };
        assert!(matches!(desk["enabled"].node.value, Value::Boolean(true)));
    }
}
