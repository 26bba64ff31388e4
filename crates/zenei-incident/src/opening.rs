//! Decides whether facts may open an incident (起票条件): one condition per urgency. It looks at one finding or report
//! alone and stores no state that a restart could lose; the rule itself confirms over time, in the engine. Must not
//! know incidents. Called by [`crate::policy`].
//!
//! The table in the program (`defaults/opening.toml`) is our default, and its figures are guesses.
use crate::flap::{CYCLES_MAX, Flapping};
use crate::inhibit::Inhibition;
use crate::table;
use crate::urgency::Facts;
use crate::wording::{count, length, length_ja};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use zenei_detect::toml_place::{Reader, TomlError};
use zenei_detect::{Component, ScopeKind, Urgency};

/// The condition that confirms a finding; any one of its minimums is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// So many records behind it.
    pub records_min: usize,
    /// So many locks behind it.
    pub locks_min: usize,
    /// Observed for so long: the rule's window, or from the first to the last record, ms.
    pub observed_ms_min: i64,
    /// Whether a channel is opened for it.
    pub channel: bool,
    /// Whether it opens at all.
    pub opens: bool,
    ground_en: String,
    ground_ja: String,
}

/// One condition per urgency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpeningTable {
    /// Its version.
    pub version: u32,
    /// Whose it is.
    pub label: String,
    low: Condition,
    medium: Condition,
    high: Condition,
    highest: Condition,
    /// When a fault flaps, and how seldom people are then told.
    pub flapping: Flapping,
    /// For how long after its end an incident is the one before a new one of the same fingerprint, ms.
    pub recurrence_ms: i64,
    /// Which incidents explain which others.
    pub inhibitions: Vec<Inhibition>,
}

zenei_wire::words! {
    /// What follows from facts.
    Follows {
        /// An incident.
        Open = "open",
        /// Not confirmed yet: more evidence opens it.
        Watch = "watch",
        /// The table opens nothing of this urgency, or there is no evidence.
        Ignore = "ignore",
    }
}

/// Whether facts open an incident, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenDecision {
    /// What follows.
    pub follows: Follows,
    /// Whether a channel is opened.
    pub channel: bool,
    /// Why, in English.
    pub why: String,
    /// Why, in Japanese.
    pub why_ja: String,
    /// The version of the table.
    pub table_version: u32,
}

#[derive(Deserialize)]
struct File {
    version: Spanned<u32>,
    label: Spanned<String>,
    low: ConditionFile,
    medium: ConditionFile,
    high: ConditionFile,
    highest: ConditionFile,
    #[serde(default)]
    flapping: FlappingFile,
    #[serde(default)]
    recurrence: RecurrenceFile,
    inhibit: Option<Vec<InhibitFile>>,
}

#[derive(Default, Deserialize)]
struct FlappingFile {
    cycles: Option<Spanned<u32>>,
    window_hours: Option<Spanned<f64>>,
    interval_hours: Option<Spanned<f64>>,
}

#[derive(Default, Deserialize)]
struct RecurrenceFile {
    days: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
struct InhibitFile {
    cause: Spanned<String>,
    scope: Spanned<String>,
    explains: Vec<Spanned<String>>,
    hours: Spanned<f64>,
}

#[derive(Deserialize)]
struct ConditionFile {
    records_min: usize,
    locks_min: usize,
    observed_min: Spanned<f64>,
    channel: bool,
    #[serde(default = "yes")]
    opens: bool,
    ground_en: Spanned<String>,
    ground_ja: Spanned<String>,
}

const fn yes() -> bool {
    true
}

const LEVEL: &[&str] = &["records_min", "locks_min", "observed_min", "channel", "opens", "ground_en", "ground_ja"];
const KEYS: &table::Keys = &[
    ("", &["version", "label", "low", "medium", "high", "highest", "flapping", "recurrence", "inhibit"]),
    ("flapping", &["cycles", "window_hours", "interval_hours"]),
    ("recurrence", &["days"]),
    ("inhibit", &["cause", "scope", "explains", "hours"]),
    ("low", LEVEL),
    ("medium", LEVEL),
    ("high", LEVEL),
    ("highest", LEVEL),
];

/// The longest observation that a condition may ask for, minutes: a year.
const OBSERVED_MAX_MIN: f64 = 366.0 * 24.0 * 60.0;

const HOUR_MS: f64 = 3_600_000.0;
/// Our default: after 30 days the same fault counts as another one. A guess.
const RECURRENCE_DAYS: f64 = 30.0;
/// The days that a recurrence may be after its incident: at least one, so that two incidents of a fingerprint that are
/// not linked never begin at the same time; at most ten years.
const DAYS: (f64, f64) = (1.0, 3650.0);
/// The hours that flapping may be counted or kept quiet for; up to 30 days.
const FLAP_HOURS: (f64, f64) = (0.25, 720.0);
/// The hours for which an incident may mute another; up to 30 days, so that none is muted for ever.
const INHIBIT_HOURS: (f64, f64) = (0.25, 720.0);

impl OpeningTable {
    /// The table of a file; `file` is its name for people.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<TomlError>> {
        let mut toml = Reader::new(file, text);
        let table = table::parse::<File>(&mut toml, KEYS).map(|file| Self {
            version: table::version(&mut toml, &file.version),
            label: toml.words("label", &file.label),
            low: checked(&mut toml, "low", &file.low),
            medium: checked(&mut toml, "medium", &file.medium),
            high: checked(&mut toml, "high", &file.high),
            highest: checked(&mut toml, "highest", &file.highest),
            flapping: flapping(&mut toml, &file.flapping),
            recurrence_ms: recurrence(&mut toml, &file.recurrence),
            inhibitions: match &file.inhibit {
                Some(rules) => rules.iter().map(|rule| inhibition(&mut toml, rule)).collect(),
                None => vec![Inhibition::gateway()],
            },
        });
        toml.finish(table)
    }

    /// The condition of this urgency.
    pub fn condition(&self, urgency: Urgency) -> &Condition {
        match urgency {
            Urgency::Low => &self.low,
            Urgency::Medium => &self.medium,
            Urgency::High => &self.high,
            Urgency::Highest => &self.highest,
        }
    }

    /// Whether these facts open an incident of this urgency, and why.
    pub fn decide(&self, facts: &Facts, urgency: Urgency) -> OpenDecision {
        let wanted = self.condition(urgency);
        let (records, locks, observed_ms) = (facts.records, facts.locks, facts.observed_ms);
        let is_met =
            records >= wanted.records_min || locks >= wanted.locks_min || observed_ms >= wanted.observed_ms_min;
        let of = |follows, why, why_ja| {
            let opens = follows == Follows::Open;
            OpenDecision { follows, channel: opens && wanted.channel, why, why_ja, table_version: self.version }
        };
        if !wanted.opens {
            let why = format!("the opening table opens nothing of urgency {urgency}");
            return of(Follows::Ignore, why, format!("起票条件表: 緊急度{}は起票しない", table::level_ja(urgency)));
        }
        if is_met && records > 0 {
            return of(Follows::Open, wanted.ground_en.clone(), wanted.ground_ja.clone());
        }
        let why = format!(
            "not confirmed for urgency {urgency}: {} of {} over {}; wanted are {} or {} or {}",
            count(records, "record"),
            count(locks, "lock"),
            length(observed_ms),
            count(wanted.records_min, "record"),
            count(wanted.locks_min, "lock"),
            length(wanted.observed_ms_min),
        );
        let why_ja = format!(
            "緊急度{}として未確認: 記録{records}件、錠{locks}台、{}。必要: 記録{}件、錠{}台、または{}",
            table::level_ja(urgency),
            length_ja(observed_ms),
            wanted.records_min,
            wanted.locks_min,
            length_ja(wanted.observed_ms_min),
        );
        of(if records > 0 { Follows::Watch } else { Follows::Ignore }, why, why_ja)
    }
}

fn checked(toml: &mut Reader<'_>, level: &str, file: &ConditionFile) -> Condition {
    let minutes = toml.number(&format!("{level}.observed_min"), &file.observed_min, (0.0, OBSERVED_MAX_MIN));
    Condition {
        records_min: file.records_min,
        locks_min: file.locks_min,
        observed_ms_min: ms_of(minutes, 60_000.0),
        channel: file.channel,
        opens: file.opens,
        ground_en: toml.words(&format!("{level}.ground_en"), &file.ground_en),
        ground_ja: toml.words(&format!("{level}.ground_ja"), &file.ground_ja),
    }
}

fn flapping(toml: &mut Reader<'_>, file: &FlappingFile) -> Flapping {
    let ours = Flapping::default();
    let cycles = file.cycles.as_ref().map_or(ours.cycles, |found| {
        if !(2..=CYCLES_MAX).contains(&(*found.get_ref() as usize)) {
            let problem = format!("found {}; allowed is 2 to {CYCLES_MAX}", found.get_ref());
            toml.error(&found.span(), "flapping.cycles", problem);
        }
        *found.get_ref()
    });
    let mut hours = |key: &str, found: &Option<Spanned<f64>>, ours_ms: i64| {
        let key = format!("flapping.{key}");
        found.as_ref().map_or(ours_ms, |found| ms_of(toml.number(&key, found, FLAP_HOURS), HOUR_MS))
    };
    Flapping {
        cycles,
        window_ms: hours("window_hours", &file.window_hours, ours.window_ms),
        interval_ms: hours("interval_hours", &file.interval_hours, ours.interval_ms),
    }
}

fn recurrence(toml: &mut Reader<'_>, file: &RecurrenceFile) -> i64 {
    let days = file.days.as_ref().map_or(RECURRENCE_DAYS, |found| toml.number("recurrence.days", found, DAYS));
    ms_of(days, 24.0 * HOUR_MS)
}

fn inhibition(toml: &mut Reader<'_>, file: &InhibitFile) -> Inhibition {
    let cause = toml.word("inhibit.cause", &file.cause, Component::parse, Component::WORDS.iter().copied());
    let place = |word: &str| {
        let kind = ScopeKind::parse(word)?;
        matches!(kind, ScopeKind::Gateway | ScopeKind::Site | ScopeKind::Service).then_some(kind)
    };
    let scope = toml.word("inhibit.scope", &file.scope, place, ["gateway", "site", "service"].into_iter());
    Inhibition {
        cause: cause.unwrap_or(Component::Gateway),
        cause_scope: scope.unwrap_or(ScopeKind::Gateway),
        explains: table::each(toml, "inhibit.explains", &file.explains, Component::parse, Component::WORDS),
        most_ms: ms_of(toml.number("inhibit.hours", &file.hours, INHIBIT_HOURS), HOUR_MS),
    }
}

/// The part of the integer that fits; the callers' bounds, a few years, are far below its end.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the callers")]
fn ms_of(value: f64, unit_ms: f64) -> i64 {
    (value * unit_ms) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> OpeningTable {
        OpeningTable::read("opening.toml", include_str!("../defaults/opening.toml")).unwrap()
    }

    fn check(urgency: Urgency, records: usize, observed_ms: i64, expected: Result<(), &str>) {
        let facts = Facts { records, locks: 1, observed_ms, ..Facts::default() };
        let found = ours().decide(&facts, urgency);
        let opened = if found.follows == Follows::Open { Ok(()) } else { Err(found.why) };
        assert_eq!(opened, expected.map_err(str::to_owned));
    }

    #[test]
    fn each_urgency_opens_by_its_own_condition() {
        check(Urgency::Highest, 1, 0, Ok(()));
        check(Urgency::Low, 1, 0, Ok(()));
        check(Urgency::High, 2, 0, Ok(()));
        check(Urgency::High, 1, 1_800_000, Ok(()));
        check(Urgency::Medium, 1, 86_400_000, Ok(()));
        check(
            Urgency::High,
            1,
            60_000,
            Err(
                "not confirmed for urgency high: 1 record of 1 lock over 60 s; wanted are 2 records or 2 locks or 30 min",
            ),
        );
    }

    #[test]
    fn facts_without_a_record_never_open() {
        for &urgency in Urgency::ALL {
            let facts = Facts { locks: 5, observed_ms: i64::MAX, ..Facts::default() };
            assert_eq!(ours().decide(&facts, urgency).follows, Follows::Ignore);
        }
    }

    #[test]
    fn only_the_urgent_get_a_channel() {
        let facts = Facts { records: 9, locks: 9, ..Facts::default() };
        let opening = ours();
        let channels = Urgency::ALL.iter().map(|&urgency| opening.decide(&facts, urgency).channel);
        assert_eq!(channels.collect::<Vec<_>>(), [false, false, true, true]);
    }

    #[test]
    fn what_a_table_leaves_out_is_our_default() {
        let text = include_str!("../defaults/opening.toml");
        let short = OpeningTable::read("o.toml", &text[..text.find("[flapping]").unwrap()]).unwrap();
        assert_eq!(short, ours());
        let none = format!("inhibit = []\n{}", &text[..text.find("[flapping]").unwrap()]);
        assert!(OpeningTable::read("o.toml", &none).unwrap().inhibitions.is_empty());
    }

    #[test]
    fn every_error_of_the_conditions_is_named_with_its_place() {
        let text = include_str!("../defaults/opening.toml");
        let broken =
            text.replace("= 1440 ", "= -1 ").replace("cycles = 3", "cycles = 1").replace("days = 30", "days = 0");
        let broken = broken.replace("scope = \"gateway\"", "scope = \"fw\"");
        let errors = OpeningTable::read("o.toml", &broken).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["medium.observed_min", "flapping.cycles", "recurrence.days", "inhibit.scope"]);
        let unknown = OpeningTable::read("o.toml", &text.replace("[low]", "[lwo]")).unwrap_err();
        assert!(unknown[0].to_string().contains("lwo: is no key here; did you mean `low`?"), "{unknown:?}");
    }
}
