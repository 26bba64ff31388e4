//! Parses a case file, and reports everything that is wrong in it with file, line and key. Must not know a rule or a
//! detector. Called by `rules test`.
use super::case::{
    Case, Change, Event, Expected, Gap, GapKind, Input, KNOWN, LABELS, Part, RecordKind, Restart, Stream, When, Words,
    lock_name,
};
use super::formula::Formula;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::{Spanned, Value};
use zenei_detect::toml_place::{Reader, TomlError};
use zenei_detect::{Component, Domain, ScopeKind};
use zenei_wire::fields::{self, Form};

/// Reads a case.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read(file: &str, text: &str) -> Result<Case, Vec<TomlError>> {
    let mut toml = Reader::new(file, text);
    let case = toml.parse("case").map(|parsed| case(&mut toml, parsed));
    toml.finish(case)
}

fn case(toml: &mut Reader<'_>, parsed: CaseFile) -> Case {
    let expect = parsed.expect.iter().filter_map(|found| expected(toml, found)).collect();
    let input = match &parsed.recording {
        Some(recording) => Input::Recording(recording.clone()),
        None => Input::Made(Box::new(stream(toml, &parsed))),
    };
    if parsed.why.get_ref().trim().is_empty() {
        toml.error(&parsed.why.span(), "why", "is empty; say what the case shows".to_owned());
    }
    Case { why: parsed.why.into_inner(), alone: parsed.alone, input, expect }
}

/// Whether the field of a record holds words; every other field holds a number.
fn holds_words(name: &str) -> bool {
    let form = fields::find(name).map(|field| &field.form);
    matches!(form, Some(Form::Word(_) | Form::Text(_))) || LABELS.contains(&name)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    why: Spanned<String>,
    #[serde(default)]
    alone: bool,
    recording: Option<String>,
    #[serde(default)]
    seed: u64,
    days: Option<f64>,
    #[serde(default)]
    fleet: BTreeMap<Spanned<String>, Spanned<Value>>,
    #[serde(default)]
    signal: Values,
    #[serde(default)]
    record: Vec<RecordFile>,
    #[serde(default)]
    change: Vec<ChangeFile>,
    #[serde(default)]
    event: Vec<EventFile>,
    #[serde(default)]
    restart: Vec<RestartFile>,
    #[serde(default)]
    gap: Vec<GapFile>,
    #[serde(default)]
    expect: Vec<ExpectFile>,
}

type Values = BTreeMap<Spanned<String>, Spanned<Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    kind: Spanned<String>,
    every_h: Option<f64>,
    per_day: Option<Spanned<Value>>,
    samples: Option<usize>,
    set: Values,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeFile {
    locks: Option<Vec<String>>,
    every: Option<usize>,
    site: Option<String>,
    from_day: f64,
    to_day: Option<f64>,
    #[serde(default)]
    signal: Values,
    #[serde(default)]
    label: BTreeMap<Spanned<String>, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventFile {
    locks: Option<Vec<String>>,
    every: Option<usize>,
    site: Option<String>,
    day: f64,
    event: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartFile {
    locks: Option<Vec<String>>,
    every: Option<usize>,
    site: Option<String>,
    day: Option<f64>,
    #[serde(default)]
    from_day: f64,
    to_day: Option<f64>,
    per_day: Option<Spanned<Value>>,
    reset_reason: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapFile {
    locks: Option<Vec<String>>,
    every: Option<usize>,
    site: Option<String>,
    #[serde(default)]
    from_day: f64,
    to_day: Option<f64>,
    kind: GapKind,
    #[serde(default = "whole")]
    share: f64,
}

fn whole() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFile {
    rule: String,
    scope: Spanned<String>,
    domain: Spanned<String>,
    component: Spanned<String>,
    opened_day: [f64; 2],
}

fn stream(toml: &mut Reader<'_>, parsed: &CaseFile) -> Stream {
    let mut stream = Stream { seed: parsed.seed, days: parsed.days.unwrap_or(0.0), ..Stream::default() };
    if !(1.0..=400.0).contains(&stream.days) {
        toml.error(&parsed.why.span(), "days", format!("is {}; allowed is 1 to 400", stream.days));
    }
    fleet(toml, &parsed.fleet, &mut stream);
    stream.signals = formulas(toml, "signal", &parsed.signal);
    let last = stream.days;
    for found in &parsed.record {
        stream.records.extend(record(toml, found));
    }
    for of in &parsed.change {
        let part = part(&of.locks, of.every, &of.site, of.from_day, of.to_day.unwrap_or(last));
        for label in of.label.keys().filter(|label| !LABELS.contains(&label.get_ref().as_str())) {
            toml.error(&label.span(), label.get_ref(), format!("is no label; allowed are {}", LABELS.join(", ")));
        }
        let labels = of.label.iter().map(|(name, value)| (name.get_ref().clone(), value.clone())).collect();
        stream.changes.push(Change { part, signals: formulas(toml, "change.signal", &of.signal), labels });
    }
    stream.events.extend(
        parsed
            .event
            .iter()
            .map(|of| Event { part: part(&of.locks, of.every, &of.site, of.day, last), event: of.event.clone() }),
    );
    for of in &parsed.restart {
        let from_day = of.day.unwrap_or(of.from_day);
        let part = part(&of.locks, of.every, &of.site, from_day, of.to_day.unwrap_or(last));
        let per_day = of.per_day.as_ref().and_then(|per_day| formula(toml, "restart.per_day", per_day));
        if of.day.is_some() == of.per_day.is_some() {
            let problem = "needs one of day (one restart) and per_day (restarts at random)".to_owned();
            toml.error(&of.reset_reason.span(), "restart", problem);
        }
        stream.restarts.push(Restart { part, per_day, reset_reason: of.reset_reason.get_ref().clone() });
    }
    stream.gaps.extend(parsed.gap.iter().map(|of| Gap {
        part: part(&of.locks, of.every, &of.site, of.from_day, of.to_day.unwrap_or(last)),
        kind: of.kind,
        share: of.share,
    }));
    names(toml, parsed, &stream);
    locks(toml, parsed, &stream);
    stream
}

/// A part may name existing locks only.
fn locks(toml: &mut Reader<'_>, parsed: &CaseFile, stream: &Stream) {
    let parts = stream.changes.iter().map(|change| &change.part);
    let parts = parts.chain(stream.events.iter().map(|event| &event.part));
    let parts = parts.chain(stream.restarts.iter().map(|restart| &restart.part));
    let parts = parts.chain(stream.gaps.iter().map(|gap| &gap.part));
    let known: Vec<String> = (0..stream.locks).map(lock_name).collect();
    let named = parts.flat_map(|part| part.locks.iter().flatten());
    let unknown: Vec<&String> = named.filter(|name| !known.contains(name)).collect();
    for name in unknown {
        let start = parsed.why.span().end;
        let at = start + toml.text()[start..].find(name.as_str()).unwrap_or(0);
        let last = known.last().map_or("", String::as_str);
        toml.error(&(at..at), "locks", format!("there is no lock {name:?}; there are L00 to {last}"));
    }
}

fn fleet(toml: &mut Reader<'_>, found: &Values, stream: &mut Stream) {
    for (name, value) in found {
        let key = format!("fleet.{}", name.get_ref());
        match (name.get_ref().as_str(), value.get_ref()) {
            ("locks", Value::Integer(locks @ 1..=1_000)) => {
                stream.locks = usize::try_from(*locks).unwrap_or(1);
            }
            ("locks", other) => toml.error(&value.span(), &key, format!("found {other}; allowed is 1 to 1000")),
            (label, other) if LABELS.contains(&label) => match texts(other) {
                Some(texts) => _ = stream.labels.insert(label.to_owned(), texts),
                None => toml.error(&value.span(), &key, format!("found {other}; a text or a list of texts is allowed")),
            },
            _ => toml.error(&name.span(), &key, format!("is not known; allowed are locks, {}", LABELS.join(", "))),
        }
    }
    stream.locks = stream.locks.max(1);
}

fn record(toml: &mut Reader<'_>, found: &RecordFile) -> Option<RecordKind> {
    let kind = found.kind.get_ref().clone();
    let when = match (found.every_h, &found.per_day) {
        (Some(hours), None) if hours > 0.0 => Some(When::Every(hours)),
        (None, Some(per_day)) => formula(toml, "record.per_day", per_day).map(When::PerDay),
        _ => {
            let problem = "needs one of every_h (above 0) and per_day".to_owned();
            toml.error(&found.kind.span(), "record", problem);
            None
        }
    };
    let (mut numbers, mut words, mut profile) = (BTreeMap::new(), BTreeMap::new(), None);
    for (name, value) in &found.set {
        let key = format!("record.set.{}", name.get_ref());
        if holds_words(name.get_ref()) {
            if let Some(found) = words_of(toml, &key, value) {
                words.insert(name.get_ref().clone(), found);
            }
        } else if let Some(formula) = formula(toml, &key, value) {
            if name.get_ref() == "current_ma" {
                profile = Some((found.samples.unwrap_or(16), formula));
            } else {
                numbers.insert(name.get_ref().clone(), formula);
            }
        }
    }
    Some(RecordKind { kind, when: when?, numbers, words, profile })
}

fn words_of(toml: &mut Reader<'_>, key: &str, value: &Spanned<Value>) -> Option<Words> {
    if let Some(texts) = texts(value.get_ref()) {
        return Some(Words::InTurn(texts));
    }
    let wanted = "a word, a list of words in turn, or words with their probability: { jam = \"0.1\", else = \"ok\" }";
    let Value::Table(table) = value.get_ref() else {
        toml.error(&value.span(), key, format!("found {}; allowed is {wanted}", value.get_ref()));
        return None;
    };
    let mut chances = Vec::new();
    for (word, chance) in table.iter().filter(|(word, _)| *word != "else") {
        chances.push((word.clone(), formula_of(toml, &value.span(), key, chance)?));
    }
    let Some(Value::String(otherwise)) = table.get("else") else {
        toml.error(&value.span(), key, format!("has no else; allowed is {wanted}"));
        return None;
    };
    Some(Words::ByChance(chances, otherwise.clone()))
}

fn formulas(toml: &mut Reader<'_>, key: &str, found: &Values) -> BTreeMap<String, Formula> {
    let mut formulas = BTreeMap::new();
    for (name, value) in found {
        if let Some(formula) = formula(toml, &format!("{key}.{}", name.get_ref()), value) {
            formulas.insert(name.get_ref().clone(), formula);
        }
    }
    formulas
}

fn formula(toml: &mut Reader<'_>, key: &str, value: &Spanned<Value>) -> Option<Formula> {
    formula_of(toml, &value.span(), key, value.get_ref())
}

fn formula_of(toml: &mut Reader<'_>, span: &Range<usize>, key: &str, value: &Value) -> Option<Formula> {
    let formula = match value {
        Value::Integer(number) => Ok(Formula::Number(*number as f64)),
        Value::Float(number) => Ok(Formula::Number(*number)),
        Value::String(text) => Formula::parse(text).map_err(|error| error.to_string()),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err(format!("found {value}; a number or a formula is allowed"))
        }
    };
    formula.map_err(|problem| toml.error(span, key, problem)).ok()
}

/// Every name in a formula must be known.
fn names(toml: &mut Reader<'_>, parsed: &CaseFile, stream: &Stream) {
    let formulas = stream.signals.values().chain(stream.changes.iter().flat_map(|change| change.signals.values()));
    let of_records = stream.records.iter().flat_map(|record| {
        let chances = record.words.values().flat_map(|words| match words {
            Words::InTurn(_) => Vec::new(),
            Words::ByChance(chances, _) => chances.iter().map(|(_, chance)| chance).collect(),
        });
        let per_day = match &record.when {
            When::Every(_) => None,
            When::PerDay(formula) => Some(formula),
        };
        let profile = record.profile.iter().map(|(_, formula)| formula);
        record.numbers.values().chain(chances).chain(per_day).chain(profile)
    });
    let all = formulas.chain(of_records).chain(stream.restarts.iter().filter_map(|restart| restart.per_day.as_ref()));
    let signals: Vec<&str> = parsed.signal.keys().map(|name| name.get_ref().as_str()).collect();
    let mut unknown: Vec<&str> =
        all.flat_map(Formula::names).filter(|name| !KNOWN.contains(name) && !signals.contains(name)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let known = signals.iter().copied().chain(KNOWN).collect::<Vec<_>>().join(", ");
    for name in unknown {
        let at = parsed.why.span().end + toml.text()[parsed.why.span().end..].find(name).unwrap_or(0);
        toml.error(&(at..at), "signal", format!("a formula names {name:?}; there are {known}"));
    }
    for change in &stream.changes {
        for name in change.signals.keys().filter(|name| !signals.contains(&name.as_str())) {
            toml.error(&parsed.why.span(), "change.signal", format!("changes {name:?}, which is no signal"));
        }
    }
}

fn expected(toml: &mut Reader<'_>, found: &ExpectFile) -> Option<Expected> {
    let domains = Domain::ALL.iter().map(|word| word.as_str());
    let components = Component::ALL.iter().map(|word| word.as_str());
    let domain = toml.word("expect.domain", &found.domain, Domain::parse, domains);
    let component = toml.word("expect.component", &found.component, Component::parse, components);
    let (kind, value) = found.scope.get_ref().split_once(' ').unwrap_or((found.scope.get_ref(), ""));
    let scope_kind = ScopeKind::parse(kind).filter(|_| !value.is_empty());
    if scope_kind.is_none() {
        let problem = format!("found {:?}; a kind and a value are allowed, as \"device L07\"", found.scope.get_ref());
        toml.error(&found.scope.span(), "expect.scope", problem);
    }
    Some(Expected {
        rule: found.rule.clone(),
        scope_kind: scope_kind?,
        scope_value: value.to_owned(),
        domain: domain?,
        component: component?,
        days: (found.opened_day[0], found.opened_day[1]),
    })
}

fn part(locks: &Option<Vec<String>>, every: Option<usize>, site: &Option<String>, from_day: f64, to_day: f64) -> Part {
    Part { locks: locks.clone(), every: every.filter(|&every| every > 0), site: site.clone(), from_day, to_day }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) if !list.is_empty() => list.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        Value::Array(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => None,
    }
}
