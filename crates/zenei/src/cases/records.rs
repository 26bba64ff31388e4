//! The messages of a test case's stream. Each lock is simulated alone, with random numbers that depend only on the
//! case's seed and the lock, so that adding or removing a lock changes nothing for the others. Evaluates the case's
//! formulas; must not know a rule, a detector or a lock's physics. Called by `cases`.
use super::case::{Case, GapKind, Input, LABELS, RecordKind, Stream, When, Words, lock_name};
use super::formula::{Formula, Scope, gauss};
use bytes::Bytes;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use zenei_store::{Source, StoredMessage};
use zenei_wire::fields::{self, Field};
use zenei_wire::{GatewayTime, Id};

/// The first moment: Monday 2026-01-05 00:00 UTC, so that day 5 is a Saturday.
pub(crate) const START_MS: i64 = 1_767_571_200_000;
const DAY_MS: f64 = 86_400_000.0;
/// Time advances in these steps; a record may lie anywhere in one.
const STEP_MS: f64 = 900_000.0;
/// From sending by the lock to reception by the gateway. A guess.
const WAY_MS: i64 = 300;
/// Until a message that arrives twice arrives for the second time. A guess.
const AGAIN_MS: i64 = 5_000;
/// How deep signals may refer to signals; a cycle ends here with NaN.
const MAX_NESTED: usize = 32;

/// The messages of a generated stream in the order of receipt.
pub(crate) fn messages(stream: &Stream) -> Vec<StoredMessage> {
    let mut said: Vec<Said> = (0..stream.locks).flat_map(|lock| Lock::new(stream, lock).live()).collect();
    said.sort_by_key(|said| said.heard_ms);
    let message = |(offset, said): (usize, Said)| StoredMessage {
        offset: offset as u64,
        heard_at: GatewayTime(said.heard_ms),
        source: Source::Mqtt,
        authenticated: true,
        topic: said.topic,
        payload: said.payload,
    };
    said.into_iter().enumerate().map(message).collect()
}

/// When a generated stream ends; `None` for a recording.
pub(crate) fn end_ms(case: &Case) -> Option<i64> {
    match &case.input {
        Input::Made(stream) => Some(START_MS + (stream.days * DAY_MS) as i64),
        Input::Recording(_) => None,
    }
}

struct Said {
    heard_ms: i64,
    topic: String,
    payload: Bytes,
}

/// Random numbers (Knuth's multiplier, high bits).
struct Dice(u64);

impl Dice {
    fn of(parts: &[&str]) -> Self {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        Self((Id::of(&parts).0 >> 64) as u64)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// How many events where `mean` are expected (Poisson; Knuth's product of uniforms).
    fn poisson(&mut self, mean: f64) -> usize {
        let (mut count, mut product) = (0, self.uniform());
        let limit = (-mean.clamp(0.0, 100.0)).exp();
        while product > limit {
            count += 1;
            product *= self.uniform();
        }
        count
    }
}

/// One lock during the days of the stream.
struct Lock<'a> {
    stream: &'a Stream,
    lock: usize,
    name: String,
    dice: Dice,
    boot: u32,
    seq: u32,
    boot_ms: f64,
    reset_reason: String,
    /// How many records of each kind it has sent, for words in turn.
    sent: Vec<usize>,
    said: Vec<Said>,
}

/// An action that is due in a step.
enum Due<'a> {
    Record(usize),
    Event(&'a str),
    Restart(&'a str),
}

impl<'a> Lock<'a> {
    fn new(stream: &'a Stream, lock: usize) -> Self {
        let name = lock_name(lock);
        let dice = Dice::of(&["zenei-case-1", &stream.seed.to_string(), &name]);
        Self {
            stream,
            lock,
            name,
            dice,
            boot: 1,
            seq: 0,
            boot_ms: 0.0,
            reset_reason: "power_on".to_owned(),
            sent: vec![0; stream.records.len()],
            said: Vec::new(),
        }
    }

    fn live(mut self) -> Vec<Said> {
        let steps = (self.stream.days * DAY_MS / STEP_MS) as usize;
        let phases: Vec<f64> = self.stream.records.iter().map(|_| self.dice.uniform()).collect();
        for step in 0..steps {
            let start = step as f64 * STEP_MS;
            for (at, due) in self.due(start, &phases) {
                match due {
                    Due::Record(record) => self.record(record, at),
                    Due::Event(event) => self.say("event", Map::from_iter([("event".into(), event.into())]), at),
                    Due::Restart(reason) => self.restart(reason, at),
                }
            }
        }
        self.said
    }

    /// The actions due in the step from `start`, by time.
    fn due(&mut self, start: f64, phases: &[f64]) -> Vec<(f64, Due<'a>)> {
        let (stream, day) = (self.stream, start / DAY_MS);
        let mut due = Vec::new();
        for (index, record) in stream.records.iter().enumerate() {
            match &record.when {
                When::Every(hours) => {
                    let every = hours * 3_600_000.0;
                    let mut at = (start / every - phases[index]).ceil().max(0.0) * every + phases[index] * every;
                    while at < start + STEP_MS {
                        due.push((at, Due::Record(index)));
                        at += every;
                    }
                }
                When::PerDay(formula) => {
                    for _ in 0..self.count(formula, day) {
                        due.push((start + self.dice.uniform() * STEP_MS, Due::Record(index)));
                    }
                }
            }
        }
        let site = self.label("site", day);
        for event in &stream.events {
            let at = event.part.from_day * DAY_MS;
            if (start..start + STEP_MS).contains(&at) && event.part.has(self.lock, &self.name, &site) {
                due.push((at, Due::Event(&event.event)));
            }
        }
        for restart in &stream.restarts {
            if !restart.part.has(self.lock, &self.name, &site) {
                continue;
            }
            let at = restart.part.from_day * DAY_MS;
            match &restart.per_day {
                None if (start..start + STEP_MS).contains(&at) => due.push((at, Due::Restart(&restart.reset_reason))),
                Some(per_day) if restart.part.lasts(day) => {
                    for _ in 0..self.count(per_day, day) {
                        due.push((start + self.dice.uniform() * STEP_MS, Due::Restart(&restart.reset_reason)));
                    }
                }
                None | Some(_) => {}
            }
        }
        due.sort_by(|a, b| a.0.total_cmp(&b.0));
        due
    }

    /// How many events of a daily rate fall into a step.
    fn count(&mut self, per_day: &Formula, day: f64) -> usize {
        let rate = per_day.evaluate(&mut Moment::new(self, day));
        self.dice.poisson(rate * STEP_MS / DAY_MS)
    }

    fn restart(&mut self, reason: &str, at: f64) {
        self.boot += 1;
        (self.seq, self.boot_ms) = (0, at);
        reason.clone_into(&mut self.reset_reason);
        // A lock sends its state after a start.
        if let Some(state) = self.stream.records.iter().position(|record| record.kind == "state") {
            self.record(state, at + 1_000.0);
        }
    }

    fn record(&mut self, index: usize, at: f64) {
        let record: &RecordKind = &self.stream.records[index];
        let turn = self.sent[index];
        self.sent[index] += 1;
        let mut fields = Map::new();
        let mut moment = Moment::new(self, at / DAY_MS);
        for (name, words) in &record.words {
            let word = match words {
                Words::InTurn(words) => &words[turn % words.len()],
                Words::ByChance(chances, otherwise) => {
                    let (dice, mut reached) = (moment.uniform(), 0.0);
                    let hit = |reached: &mut f64, chance: f64| {
                        *reached += chance;
                        dice < *reached
                    };
                    let found = chances.iter().find(|(_, chance)| hit(&mut reached, chance.evaluate(&mut moment)));
                    found.map_or(otherwise, |(word, _)| word)
                }
            };
            fields.insert(name.clone(), word.as_str().into());
        }
        for (name, formula) in &record.numbers {
            if let Some(number) = number(name, formula.evaluate(&mut moment)) {
                fields.insert(name.clone(), number);
            }
        }
        if let Some((samples, formula)) = &record.profile {
            let last = samples.saturating_sub(1).max(1) as f64;
            let sample = |at: usize| {
                moment.x = at as f64 / last;
                number("current_ma", formula.evaluate(&mut moment).max(0.0)).unwrap_or(Value::from(0))
            };
            fields.insert("current_ma".into(), (0..*samples).map(sample).collect());
        }
        if record.kind == "state" && !fields.contains_key("reset_reason") {
            fields.insert("reset_reason".into(), self.reset_reason.as_str().into());
        }
        let kind = record.kind.clone();
        self.say(&kind, fields, at);
    }

    /// Sends a record, unless a gap prevents it.
    fn say(&mut self, kind: &str, mut fields: Map<String, Value>, at: f64) {
        let day = at / DAY_MS;
        let site = self.label("site", day);
        let (mut heard_ms, mut twice) = (START_MS + at as i64 + WAY_MS, false);
        let gaps: Vec<_> = self.stream.gaps.iter().filter(|gap| gap.part.lasts(day)).collect();
        for gap in gaps {
            if !gap.part.has(self.lock, &self.name, &site) || self.dice.uniform() >= gap.share {
                continue;
            }
            match gap.kind {
                GapKind::Silent => return,
                GapKind::Lost => {
                    self.seq += 1;
                    return;
                }
                GapKind::Twice => twice = true,
                GapKind::Backlog => heard_ms = START_MS + (gap.part.to_day * DAY_MS) as i64 + WAY_MS,
            }
        }
        let off_s = Moment::new(self, day).value("clock_s").unwrap_or(0.0);
        let ts_ms = START_MS + at as i64 + (off_s * 1_000.0) as i64;
        fields.insert("ts".into(), ts_ms.into());
        fields.insert("boot".into(), self.boot.into());
        fields.insert("seq".into(), self.seq.into());
        fields.insert("uptime_s".into(), (((at - self.boot_ms) / 1_000.0) as u32).into());
        for label in LABELS.into_iter().filter(|label| *label != "site") {
            let value = self.label(label, day);
            if !value.is_empty() && !fields.contains_key(label) {
                fields.insert(label.into(), value.into());
            }
        }
        self.seq += 1;
        let site = if site.is_empty() { "site-1".to_owned() } else { site };
        let topic = format!("bitlock/v1/{site}/{}/{kind}", self.name);
        let payload = Bytes::from(Value::Object(fields).to_string());
        if twice {
            self.said.push(Said { heard_ms: heard_ms + AGAIN_MS, topic: topic.clone(), payload: payload.clone() });
        }
        self.said.push(Said { heard_ms, topic, payload });
    }

    /// The label of the lock on this day; empty where the case sets none.
    fn label(&self, label: &str, day: f64) -> String {
        let site = |name: &str| self.turn(name);
        let changes = self.stream.changes.iter().rev();
        let changed = changes.filter(|change| {
            change.part.lasts(day) && change.part.has(self.lock, &self.name, site("site").unwrap_or(""))
        });
        let changed = changed.filter_map(|change| change.labels.get(label)).next();
        changed.map(String::as_str).or_else(|| site(label)).unwrap_or("").to_owned()
    }

    fn turn(&self, label: &str) -> Option<&str> {
        let list = self.stream.labels.get(label)?;
        list.get(self.lock % list.len()).map(String::as_str)
    }
}

/// A field's value in the contract's type; `None` where the number is not finite.
fn number(name: &str, value: f64) -> Option<Value> {
    if !value.is_finite() {
        return None;
    }
    match fields::find(name).map_or(0, Field::decimals) {
        0 => Some(Value::from(value.round() as i64)),
        decimals => {
            let steps = 10_f64.powi(decimals.into());
            Number::from_f64((value * steps).round() / steps).map(Value::Number)
        }
    }
}

/// A lock at one moment: each signal has one value in it.
struct Moment<'m> {
    stream: &'m Stream,
    lock: usize,
    name: String,
    site: String,
    dice: &'m mut Dice,
    day: f64,
    boot_ms: f64,
    since: f64,
    x: f64,
    nested: usize,
    known: BTreeMap<&'m str, f64>,
}

impl<'m> Moment<'m> {
    fn new<'l: 'm>(lock: &'m mut Lock<'l>, day: f64) -> Self {
        let site = lock.label("site", day);
        let (stream, number, name, boot_ms) = (lock.stream, lock.lock, lock.name.clone(), lock.boot_ms);
        let (since, x, nested, known) = (0.0, f64::NAN, 0, BTreeMap::new());
        Self { stream, lock: number, name, site, dice: &mut lock.dice, day, boot_ms, since, x, nested, known }
    }
}

impl Scope for Moment<'_> {
    fn value(&mut self, name: &str) -> Option<f64> {
        match name {
            "day" => return Some(self.day),
            "hour" => return Some(self.day.fract() * 24.0),
            "lock" => return Some(self.lock as f64),
            "since" => return Some(self.since),
            "uptime_h" => return Some((self.day * DAY_MS - self.boot_ms) / 3_600_000.0),
            "x" => return Some(self.x),
            "absent" => return Some(f64::NAN),
            _ => {}
        }
        if let Some(&known) = self.known.get(name) {
            return Some(known);
        }
        let stream = self.stream;
        let (name, usual) = stream.signals.get_key_value(name)?;
        let mut changes = stream.changes.iter().rev();
        let change = changes.find(|change| {
            change.signals.contains_key(name)
                && change.part.lasts(self.day)
                && change.part.has(self.lock, &self.name, &self.site)
        });
        let (formula, since) = change.map_or((usual, 0.0), |change| {
            (change.signals.get(name).unwrap_or(usual), self.day - change.part.from_day)
        });
        if self.nested >= MAX_NESTED {
            return Some(f64::NAN);
        }
        self.nested += 1;
        let outer = core::mem::replace(&mut self.since, since);
        let value = formula.evaluate(self);
        self.since = outer;
        self.nested -= 1;
        self.known.insert(name, value);
        Some(value)
    }

    fn uniform(&mut self) -> f64 {
        self.dice.uniform()
    }

    fn own(&mut self, place: usize) -> f64 {
        let seed = self.stream.seed.to_string();
        let mut dice = Dice::of(&["zenei-case-own-1", &seed, &self.name, &place.to_string()]);
        gauss(dice.uniform(), dice.uniform())
    }
}
