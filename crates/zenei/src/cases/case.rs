//! A test case of a rule, read: a small stream of made-up records (or a recording), and the incidents that must result. Answers what a case file may say
//! and what is wrong with one: file, line, key. Knows no rule and no detector. Called by `test`; `stream` makes the records.
use super::formula::Formula;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::{Spanned, Value};
use zenei_detect::{Component, Domain, ScopeKind};

/// Fields of records that hold words; every other field holds a number.
const TEXTS: [&str; 10] =
    ["op", "source", "result", "lock_state", "reset_reason", "code", "detail", "event", "client_version", "gateway_id"];
/// What describes a lock, by the contract, and its site.
pub(crate) const LABELS: [&str; 8] = ["site", "model", "hw_rev", "lot", "fw", "service", "gw", "client_version"];
/// What a formula may name beside signals.
pub(crate) const KNOWN: [&str; 7] = ["day", "hour", "lock", "since", "uptime_h", "x", "absent"];

/// A case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Case {
    /// What it shows, for people.
    pub(crate) why: String,
    /// Whether the rule runs without the others: what they say of missing records is their matter.
    pub(crate) alone: bool,
    /// Where the records come from.
    pub(crate) input: Input,
    /// The incidents that must result, and no other.
    pub(crate) expect: Vec<Expected>,
}

/// Where a case's records come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// They are made.
    Made(Box<Stream>),
    /// A recording; the path is relative to the case's file.
    Recording(String),
}

/// A stream to make.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stream {
    /// Chooses every random number.
    pub(crate) seed: u64,
    /// How long, days.
    pub(crate) days: f64,
    /// How many locks: `L00`, `L01`, …
    pub(crate) locks: usize,
    /// What describes them, each list in turn by lock.
    pub(crate) labels: BTreeMap<String, Vec<String>>,
    /// Numbers that formulas name.
    pub(crate) signals: BTreeMap<String, Formula>,
    /// What the locks say, and when.
    pub(crate) records: Vec<RecordKind>,
    /// What is otherwise for some locks during some time.
    pub(crate) changes: Vec<Change>,
    /// Events at a time.
    pub(crate) events: Vec<Event>,
    /// Restarts of the firmware.
    pub(crate) restarts: Vec<Restart>,
    /// What is not heard, or late.
    pub(crate) gaps: Vec<Gap>,
}

/// One kind of record that each lock sends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordKind {
    /// The topic's last level.
    pub(crate) kind: String,
    /// When.
    pub(crate) when: When,
    /// Its numbers.
    pub(crate) numbers: BTreeMap<String, Formula>,
    /// Its words.
    pub(crate) words: BTreeMap<String, Words>,
    /// Its current profile: how many samples, and their formula over `x` from 0 to 1.
    pub(crate) profile: Option<(usize, Formula)>,
}

/// How often a record is sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// Every so many hours, each lock at its own minute.
    Every(f64),
    /// At random, so many a day (Poisson).
    PerDay(Formula),
}

/// Which word a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Words {
    /// These in turn.
    InTurn(Vec<String>),
    /// Each with a probability; the last one else.
    ByChance(Vec<(String, Formula)>, String),
}

/// Locks and a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// Their names; `None` means all.
    pub(crate) locks: Option<Vec<String>>,
    /// Only each so-many-th.
    pub(crate) every: Option<usize>,
    /// Only of this site.
    pub(crate) site: Option<String>,
    /// From which day.
    pub(crate) from_day: f64,
    /// Up to which day.
    pub(crate) to_day: f64,
}

/// What is otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// For whom and when.
    pub(crate) part: Part,
    /// Signals with another formula.
    pub(crate) signals: BTreeMap<String, Formula>,
    /// Labels with another value.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Something that happens to a lock, at the beginning of its part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// For whom and when.
    pub(crate) part: Part,
    /// The contract's word.
    pub(crate) event: String,
}

/// Restarts of a lock's firmware: so many a day at random, or one at the beginning of its part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Restart {
    /// For whom and when.
    pub(crate) part: Part,
    /// So many a day; `None` means one.
    pub(crate) per_day: Option<Formula>,
    /// The contract's word.
    pub(crate) reset_reason: String,
}

/// A gap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gap {
    /// For whom and when.
    pub(crate) part: Part,
    /// Which kind.
    pub(crate) kind: GapKind,
    /// Of which share of the records, 0 to 1.
    pub(crate) share: f64,
}

/// What becomes of records in a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GapKind {
    /// The lock says nothing: its numbers go on without a hole.
    Silent,
    /// It speaks and nobody hears: a hole in its numbers.
    Lost,
    /// It is heard at the end of the gap, all at once and in order.
    Backlog,
    /// It is heard twice: no gap, but the link's doing as well.
    Twice,
}

/// An incident that must result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    /// The rule that opened it.
    pub(crate) rule: String,
    /// Scope kind.
    pub(crate) scope_kind: ScopeKind,
    /// Scope value.
    pub(crate) scope_value: String,
    /// Its domain.
    pub(crate) domain: Domain,
    /// Its component.
    pub(crate) component: Component,
    /// Opened within these days of the stream's start.
    pub(crate) days: (f64, f64),
}

/// What is wrong with a case file, one line each: file, line, key, problem.
pub(crate) type Problems = Vec<String>;

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        let mut place = Place { file, text, problems: Vec::new() };
        let parsed: CaseFile = toml::from_str(text).map_err(|error| {
            place.tell(&error.span().unwrap_or(0..0), "case", error.message().to_owned());
            core::mem::take(&mut place.problems)
        })?;
        let expect = parsed.expect.iter().filter_map(|expected| place.expected(expected)).collect();
        let input = match &parsed.recording {
            Some(recording) => Input::Recording(recording.clone()),
            None => Input::Made(Box::new(place.stream(&parsed))),
        };
        if parsed.why.get_ref().trim().is_empty() {
            place.tell(&parsed.why.span(), "why", "is empty; say what the case shows".to_owned());
        }
        if place.problems.is_empty() {
            Ok(Self { why: parsed.why.into_inner(), alone: parsed.alone, input, expect })
        } else {
            Err(place.problems)
        }
    }

    /// Whether it makes a gap. A recording may hold one; nobody can tell beforehand.
    pub(crate) fn may_have_gap(&self) -> bool {
        match &self.input {
            Input::Made(stream) => stream.gaps.iter().any(|gap| gap.kind != GapKind::Twice),
            Input::Recording(_) => true,
        }
    }
}

impl Part {
    /// Whether it speaks of this lock.
    pub(crate) fn has(&self, lock: usize, name: &str, site: &str) -> bool {
        self.locks.as_ref().is_none_or(|locks| locks.iter().any(|known| known == name))
            && self.every.is_none_or(|every| lock.is_multiple_of(every))
            && self.site.as_ref().is_none_or(|known| known == site)
    }

    /// Whether it speaks of this day.
    pub(crate) fn lasts(&self, day: f64) -> bool {
        (self.from_day..self.to_day).contains(&day)
    }
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

struct Place<'a> {
    file: &'a str,
    text: &'a str,
    problems: Problems,
}

impl Place<'_> {
    fn tell(&mut self, span: &Range<usize>, key: &str, problem: String) {
        let line = 1 + self.text.bytes().take(span.start).filter(|&byte| byte == b'\n').count();
        self.problems.push(format!("{}:{line}: {key}: {problem}", self.file));
    }

    fn stream(&mut self, parsed: &CaseFile) -> Stream {
        let mut stream = Stream { seed: parsed.seed, days: parsed.days.unwrap_or(0.0), ..Stream::default() };
        if !(1.0..=400.0).contains(&stream.days) {
            self.tell(&parsed.why.span(), "days", format!("is {}; allowed is 1 to 400", stream.days));
        }
        self.fleet(&parsed.fleet, &mut stream);
        stream.signals = self.formulas("signal", &parsed.signal);
        let last = stream.days;
        for record in &parsed.record {
            stream.records.extend(self.record(record));
        }
        for of in &parsed.change {
            let part = part(&of.locks, of.every, &of.site, of.from_day, of.to_day.unwrap_or(last));
            for label in of.label.keys().filter(|label| !LABELS.contains(&label.get_ref().as_str())) {
                self.tell(&label.span(), label.get_ref(), format!("is no label; allowed are {}", LABELS.join(", ")));
            }
            let labels = of.label.iter().map(|(name, value)| (name.get_ref().clone(), value.clone())).collect();
            stream.changes.push(Change { part, signals: self.formulas("change.signal", &of.signal), labels });
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
            let per_day = of.per_day.as_ref().and_then(|per_day| self.formula("restart.per_day", per_day));
            if of.day.is_some() == of.per_day.is_some() {
                let problem = "needs one of day (one restart) and per_day (restarts at random)".to_owned();
                self.tell(&of.reset_reason.span(), "restart", problem);
            }
            stream.restarts.push(Restart { part, per_day, reset_reason: of.reset_reason.get_ref().clone() });
        }
        stream.gaps.extend(parsed.gap.iter().map(|of| Gap {
            part: part(&of.locks, of.every, &of.site, of.from_day, of.to_day.unwrap_or(last)),
            kind: of.kind,
            share: of.share,
        }));
        self.names(parsed, &stream);
        self.locks(parsed, &stream);
        stream
    }

    /// A part must name locks that there are.
    fn locks(&mut self, parsed: &CaseFile, stream: &Stream) {
        let parts = stream.changes.iter().map(|change| &change.part);
        let parts = parts.chain(stream.events.iter().map(|event| &event.part));
        let parts = parts.chain(stream.restarts.iter().map(|restart| &restart.part));
        let parts = parts.chain(stream.gaps.iter().map(|gap| &gap.part));
        let known: Vec<String> = (0..stream.locks).map(lock_name).collect();
        let named = parts.flat_map(|part| part.locks.iter().flatten());
        let unknown: Vec<&String> = named.filter(|name| !known.contains(name)).collect();
        for name in unknown {
            let start = parsed.why.span().end;
            let at = start + self.text[start..].find(name.as_str()).unwrap_or(0);
            let last = known.last().map_or("", String::as_str);
            self.tell(&(at..at), "locks", format!("there is no lock {name:?}; there are L00 to {last}"));
        }
    }

    fn fleet(&mut self, found: &Values, stream: &mut Stream) {
        for (name, value) in found {
            let key = format!("fleet.{}", name.get_ref());
            match (name.get_ref().as_str(), value.get_ref()) {
                ("locks", Value::Integer(locks @ 1..=1_000)) => {
                    stream.locks = usize::try_from(*locks).unwrap_or(1);
                }
                ("locks", other) => self.tell(&value.span(), &key, format!("found {other}; allowed is 1 to 1000")),
                (label, other) if LABELS.contains(&label) => match texts(other) {
                    Some(texts) => _ = stream.labels.insert(label.to_owned(), texts),
                    None => {
                        self.tell(&value.span(), &key, format!("found {other}; a text or a list of texts is allowed"))
                    }
                },
                _ => self.tell(&name.span(), &key, format!("is not known; allowed are locks, {}", LABELS.join(", "))),
            }
        }
        stream.locks = stream.locks.max(1);
    }

    fn record(&mut self, found: &RecordFile) -> Option<RecordKind> {
        let kind = found.kind.get_ref().clone();
        let when = match (found.every_h, &found.per_day) {
            (Some(hours), None) if hours > 0.0 => Some(When::Every(hours)),
            (None, Some(per_day)) => self.formula("record.per_day", per_day).map(When::PerDay),
            _ => {
                let problem = "needs one of every_h (above 0) and per_day".to_owned();
                self.tell(&found.kind.span(), "record", problem);
                None
            }
        };
        let (mut numbers, mut words, mut profile) = (BTreeMap::new(), BTreeMap::new(), None);
        for (name, value) in &found.set {
            let key = format!("record.set.{}", name.get_ref());
            if TEXTS.contains(&name.get_ref().as_str()) {
                if let Some(found) = self.words(&key, value) {
                    words.insert(name.get_ref().clone(), found);
                }
            } else if let Some(formula) = self.formula(&key, value) {
                if name.get_ref() == "current_ma" {
                    profile = Some((found.samples.unwrap_or(16), formula));
                } else {
                    numbers.insert(name.get_ref().clone(), formula);
                }
            }
        }
        Some(RecordKind { kind, when: when?, numbers, words, profile })
    }

    fn words(&mut self, key: &str, value: &Spanned<Value>) -> Option<Words> {
        if let Some(texts) = texts(value.get_ref()) {
            return Some(Words::InTurn(texts));
        }
        let wanted =
            "a word, a list of words in turn, or words with their probability: { jam = \"0.1\", else = \"ok\" }";
        let Value::Table(table) = value.get_ref() else {
            self.tell(&value.span(), key, format!("found {}; allowed is {wanted}", value.get_ref()));
            return None;
        };
        let mut chances = Vec::new();
        for (word, chance) in table.iter().filter(|(word, _)| *word != "else") {
            chances.push((word.clone(), self.formula_of(&value.span(), key, chance)?));
        }
        let Some(Value::String(otherwise)) = table.get("else") else {
            self.tell(&value.span(), key, format!("has no else; allowed is {wanted}"));
            return None;
        };
        Some(Words::ByChance(chances, otherwise.clone()))
    }

    fn formulas(&mut self, key: &str, found: &Values) -> BTreeMap<String, Formula> {
        let mut formulas = BTreeMap::new();
        for (name, value) in found {
            if let Some(formula) = self.formula(&format!("{key}.{}", name.get_ref()), value) {
                formulas.insert(name.get_ref().clone(), formula);
            }
        }
        formulas
    }

    fn formula(&mut self, key: &str, value: &Spanned<Value>) -> Option<Formula> {
        self.formula_of(&value.span(), key, value.get_ref())
    }

    fn formula_of(&mut self, span: &Range<usize>, key: &str, value: &Value) -> Option<Formula> {
        let formula = match value {
            Value::Integer(number) => Ok(Formula::Number(*number as f64)),
            Value::Float(number) => Ok(Formula::Number(*number)),
            Value::String(text) => Formula::parse(text),
            Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                Err(format!("found {value}; a number or a formula is allowed"))
            }
        };
        formula.map_err(|problem| self.tell(span, key, problem)).ok()
    }

    /// Every name that a formula uses must stand for something.
    fn names(&mut self, parsed: &CaseFile, stream: &Stream) {
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
        let all =
            formulas.chain(of_records).chain(stream.restarts.iter().filter_map(|restart| restart.per_day.as_ref()));
        let signals: Vec<&str> = parsed.signal.keys().map(|name| name.get_ref().as_str()).collect();
        let mut unknown: Vec<&str> =
            all.flat_map(Formula::names).filter(|name| !KNOWN.contains(name) && !signals.contains(name)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        let known = signals.iter().copied().chain(KNOWN).collect::<Vec<_>>().join(", ");
        for name in unknown {
            let at = parsed.why.span().end + self.text[parsed.why.span().end..].find(name).unwrap_or(0);
            self.tell(&(at..at), "signal", format!("a formula names {name:?}; there are {known}"));
        }
        for change in &stream.changes {
            for name in change.signals.keys().filter(|name| !signals.contains(&name.as_str())) {
                self.tell(&parsed.why.span(), "change.signal", format!("changes {name:?}, which is no signal"));
            }
        }
    }

    fn expected(&mut self, found: &ExpectFile) -> Option<Expected> {
        let domain = Domain::parse(found.domain.get_ref());
        if domain.is_none() {
            self.tell(&found.domain.span(), "expect.domain", format!("found {:?}", found.domain.get_ref()));
        }
        let component = Component::parse(found.component.get_ref());
        if component.is_none() {
            self.tell(&found.component.span(), "expect.component", format!("found {:?}", found.component.get_ref()));
        }
        let (kind, value) = found.scope.get_ref().split_once(' ').unwrap_or((found.scope.get_ref(), ""));
        let scope_kind = ScopeKind::parse(kind).filter(|_| !value.is_empty());
        if scope_kind.is_none() {
            let problem =
                format!("found {:?}; a kind and a value are allowed, as \"device L07\"", found.scope.get_ref());
            self.tell(&found.scope.span(), "expect.scope", problem);
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
}

fn part(locks: &Option<Vec<String>>, every: Option<usize>, site: &Option<String>, from_day: f64, to_day: f64) -> Part {
    Part { locks: locks.clone(), every: every.filter(|&every| every > 0), site: site.clone(), from_day, to_day }
}

/// The name of a made lock.
pub(crate) fn lock_name(lock: usize) -> String {
    format!("L{lock:02}")
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
