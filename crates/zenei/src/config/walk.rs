//! Checks a tree against the schema of the configuration: reports unknown keys, wrong types, missing keys and bad
//! texts; expands variables and makes paths absolute. The schema is generated from the types in `config`, so that
//! there is one list of keys. Must not read a file. Called by `config::parse`.
use super::format;
use super::problem::{Place, Problem};
use super::tree::{Entry, Node, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::Path;
use zenei_detect::nearest::nearest;

/// Environment variables by name; a copy, so that nothing here reads the process.
pub(crate) type Variables = BTreeMap<String, String>;

/// The inputs of a walk and its results.
pub(crate) struct Walk<'a> {
    /// The schema of the whole configuration.
    pub(crate) schema: &'a Json,
    /// The variables that `${VAR}` may name.
    pub(crate) variables: &'a Variables,
    /// Where relative paths start.
    pub(crate) base: &'a Path,
    /// Everything that is wrong.
    pub(crate) problems: Vec<Problem>,
    /// The place of each key.
    pub(crate) places: BTreeMap<String, Place>,
}

impl Walk<'_> {
    /// The tree as JSON, which the types in `config` can read if no problem was found.
    pub(crate) fn run(&mut self, root: &Node) -> Json {
        self.node(self.schema, root, "")
    }

    fn node(&mut self, schema: &Json, node: &Node, key: &str) -> Json {
        let schema = plain(schema);
        self.places.insert(key.to_owned(), node.place.clone());
        let schema = match self.variant(schema, node, key) {
            Ok(schema) => schema,
            // What is wrong was said; the other keys can't be judged.
            Err(()) => return Json::Null,
        };
        match (&node.value, kind(schema)) {
            (Value::Table(table), Some("object")) => self.table(schema, table, node, key),
            (Value::Array(items), Some("array")) => {
                let of = schema.get("items").unwrap_or(&Json::Null);
                let item = |(at, item): (usize, &Node)| self.node(of, item, &format!("{key}[{at}]"));
                Json::Array(items.iter().enumerate().map(item).collect())
            }
            (Value::String(text), Some("string")) => self.text(schema, text, node, key),
            (Value::Integer(number), Some("integer")) => {
                self.integer(schema, *number, node, key);
                Json::from(*number)
            }
            (Value::Boolean(value), Some("boolean")) => Json::Bool(*value),
            (found, wanted) => {
                let allowed = described(schema, wanted.unwrap_or("another value"));
                self.problem(&node.place, format!("`{key}` is {}; {allowed} is allowed", found.described()));
                Json::Null
            }
        }
    }

    /// The schema of the table that this one's `kind` names, where `schema` is a choice of tables.
    fn variant<'s>(&mut self, schema: &'s Json, node: &Node, key: &str) -> Result<&'s Json, ()> {
        let kinds: Vec<&str> = variants(schema).filter_map(kind_of).collect();
        let Value::Table(table) = &node.value else {
            return Ok(schema);
        };
        if kinds.is_empty() {
            return Ok(schema);
        }
        let full = joined(key, "kind");
        let allowed = quoted(&kinds);
        let Some(entry) = table.get("kind") else {
            self.problem(&node.place, format!("`{full}` is missing; one of {allowed} is needed"));
            return Err(());
        };
        let Value::String(found) = &entry.node.value else {
            let found = entry.node.value.described();
            self.problem(&entry.node.place, format!("`{full}` is {found}; one of {allowed} is allowed"));
            return Err(());
        };
        if let Some(chosen) = variants(schema).find(|variant| kind_of(variant) == Some(found)) {
            return Ok(chosen);
        }
        let near = nearest(found, kinds.iter().copied()).map(|word| format!("; did you mean \"{word}\"?"));
        let (shown, near) = (format::shown(found), near.unwrap_or_else(|| ";".to_owned()));
        self.problem(&entry.node.place, format!("`{full}` is {shown:?}{near} allowed: {allowed}"));
        Err(())
    }

    fn table(&mut self, schema: &Json, table: &BTreeMap<String, Entry>, node: &Node, key: &str) -> Json {
        let mut found = Map::new();
        let mut meant = Vec::new();
        for (name, entry) in table {
            let full = joined(key, name);
            match member(schema, name) {
                Some(of) => {
                    found.insert(name.clone(), self.node(of, &entry.node, &full));
                }
                None => meant.extend(self.unknown(schema, name, &entry.key_place, key)),
            }
        }
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        // A misspelt key is reported once.
        for name in required.filter(|name| !table.contains_key(*name) && !meant.iter().any(|word| word == name)) {
            let of = member(schema, name).map_or(&Json::Null, plain);
            let allowed = described(of, kind(of).unwrap_or("value"));
            self.problem(&node.place, format!("`{}` is missing; {allowed} is needed", joined(key, name)));
        }
        Json::Object(found)
    }

    /// Reports an unknown key; returns the allowed one that was probably meant.
    fn unknown(&mut self, schema: &Json, name: &str, place: &Place, key: &str) -> Option<String> {
        let empty = Map::new();
        let allowed = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
        let names: Vec<&str> = allowed.keys().map(String::as_str).collect();
        let secret = format!("{name}_file");
        let near = nearest(name, names.iter().copied());
        let hint = if allowed.contains_key(&secret) {
            format!("; a secret stands in a file of its own: `{}`;", joined(key, &secret))
        } else if let Some(near) = near {
            format!("; did you mean `{}`?", joined(key, near))
        } else if let Some(elsewhere) = self.elsewhere(name) {
            format!("; did you mean `{elsewhere}`?")
        } else {
            ";".to_owned()
        };
        let text = format!("unknown key `{}`{hint} allowed here: {}", joined(key, name), names.join(", "));
        self.problem(place, text);
        near.map(str::to_owned)
    }

    /// The first key of this name in another section.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let sections = self.schema.get("properties")?.as_object()?;
        let holds = |schema: &Json| plain(schema).get("properties").is_some_and(|keys| keys.get(name).is_some());
        sections.iter().find(|(_, schema)| holds(schema)).map(|(section, _)| joined(section, name))
    }

    fn text(&mut self, schema: &Json, text: &str, node: &Node, key: &str) -> Json {
        let expanded = match &node.place {
            // A value from the environment is not expanded again.
            Place::Environment(_) => Ok(text.to_owned()),
            Place::File { .. } | Place::Whole => expand(text, self.variables),
        };
        let value = match expanded {
            Ok(value) => value,
            Err(what) => {
                self.problem(&node.place, format!("`{key}`: {what}"));
                return Json::Null;
            }
        };
        // The text of the file is shown, never the value that the environment put in its place.
        let shown = format::shown(text);
        let words = words(schema);
        if !words.is_empty() && !words.contains(&value.as_str()) {
            let near = nearest(&value, words.iter().copied()).map(|word| format!("; did you mean \"{word}\"?"));
            let allowed = quoted(&words);
            let near = near.unwrap_or_else(|| ";".to_owned());
            self.problem(&node.place, format!("`{key}` is {shown:?}{near} allowed: {allowed}"));
        }
        let format = schema.get("format").and_then(Json::as_str).unwrap_or("");
        match format::checked(format, &value, self.base) {
            Ok(value) => Json::String(value),
            Err(what) => {
                self.problem(&node.place, format!("`{key}` is {shown:?}: {what}"));
                Json::Null
            }
        }
    }

    fn integer(&mut self, schema: &Json, number: i64, node: &Node, key: &str) {
        let bound = |name: &str, default: i64| schema.get(name).and_then(Json::as_i64).unwrap_or(default);
        let (least, most) = (bound("minimum", i64::MIN), bound("maximum", i64::MAX));
        if number < least || number > most {
            self.problem(&node.place, format!("`{key}` is {number}; {least} to {most} are allowed"));
        }
    }

    fn problem(&mut self, place: &Place, text: String) {
        self.problems.push(Problem { place: place.clone(), text });
    }
}

/// The type of this key, in JSON Schema's words; `None` where there is no such key.
pub(crate) fn kind_at<'a>(schema: &'a Json, key: &[String]) -> Option<&'a str> {
    let found = key.iter().try_fold(schema, |schema, part| {
        let schema = plain(schema);
        member(schema, part).or_else(|| variants(schema).find_map(|variant| member(variant, part)))
    })?;
    kind(plain(found))
}

/// Replaces `${NAME}` by the variable's value; `$${` stands for `${`.
fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let end = after.find('}').ok_or("`${` is not closed by `}` (`$${` stands for a literal `${`)")?;
        let name = &after[..end];
        let value = variables.get(name).ok_or_else(|| format!("${{{name}}} is not set in the environment"))?;
        expanded.push_str(before);
        expanded.push_str(value);
        rest = &after[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The schema without the null that an optional key may also be.
fn plain(schema: &Json) -> &Json {
    let either = schema.get("anyOf").and_then(Json::as_array);
    let not_null = |schema: &&Json| schema.get("type").and_then(Json::as_str) != Some("null");
    either.and_then(|list| list.iter().find(not_null)).unwrap_or(schema)
}

fn kind(schema: &Json) -> Option<&str> {
    match schema.get("type") {
        Some(Json::String(kind)) => Some(kind),
        Some(Json::Array(kinds)) => kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null"),
        _ if !words(schema).is_empty() => Some("string"),
        _ => None,
    }
}

fn member<'a>(schema: &'a Json, name: &str) -> Option<&'a Json> {
    let named = schema.get("properties").and_then(|keys| keys.get(name));
    named.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
}

/// The tables of which one is chosen by its key `kind`.
fn variants(schema: &Json) -> impl Iterator<Item = &Json> {
    let each = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    each.filter(|variant| kind_of(variant).is_some())
}

/// The word by which a table of a choice is chosen.
fn kind_of(variant: &Json) -> Option<&str> {
    variant.get("properties")?.get("kind")?.get("const")?.as_str()
}

/// The words that a text is limited to; empty where it is free.
fn words(schema: &Json) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let each = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    listed.chain(each.filter_map(|one| one.get("const").and_then(Json::as_str))).collect()
}

fn described(schema: &Json, kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    let kind = if kind == "object" { "table" } else { kind };
    let article = if kind == "table" { "a" } else { article };
    let words = words(schema);
    if !words.is_empty() {
        return format!("one of {}", quoted(&words));
    }
    match schema.get("examples").and_then(|examples| examples.get(0)) {
        Some(example) => format!("{article} {kind} such as {example}"),
        None => format!("{article} {kind}"),
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}
