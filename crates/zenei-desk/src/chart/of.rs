//! Charts of the history: what a lock measured, what a cohort did, and the values behind a finding. Must not know SVG.
//! Called by the page, the API and the documents.
use super::words::{Word, word};
use super::{Chart, Level, LevelKind, Mark, MarkKind, Point, Series};
use std::collections::BTreeMap;
use zenei_detect::Anomaly;
use zenei_detect::anomaly::{Component, ScopeKind};
use zenei_incident::message::Lang;
use zenei_store::history::{
    Bucket, CohortBucket, CohortHistory, Dimension, History, HistoryError, LockHistory, POINTS_MAX, Profile, Span,
};

const DAY_MS: i64 = 86_400_000;
/// How much of the past the chart of a finding shows at least, ms. A guess: a month shows what is normal.
const EVIDENCE_MS: i64 = 30 * DAY_MS;

/// What a chart of a lock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measured {
    /// Percent that the lock reports.
    BatteryPct,
    /// Voltage at rest and under load.
    Battery,
    /// Internal resistance.
    Resistance,
    /// Peak current of the motor.
    Peak,
    /// Charge that the motor takes for an operation.
    Effort,
    /// Temperature of the board.
    Temperature,
    /// Signal strength.
    Signal,
    /// Operations a day, all and failed.
    Operations,
    /// Errors a day, a line each code.
    Errors,
}

impl Measured {
    /// All of them, in the order of a page.
    pub const ALL: [Self; 9] = [
        Self::BatteryPct,
        Self::Battery,
        Self::Resistance,
        Self::Peak,
        Self::Effort,
        Self::Temperature,
        Self::Signal,
        Self::Operations,
        Self::Errors,
    ];

    /// Its word, as in a link.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BatteryPct => "battery_pct",
            Self::Battery => "battery_mv",
            Self::Resistance => "resistance_mohm",
            Self::Peak => "peak_ma",
            Self::Effort => "effort_mc",
            Self::Temperature => "temp_c",
            Self::Signal => "rssi_dbm",
            Self::Operations => "operations",
            Self::Errors => "errors",
        }
    }

    /// What a word asks for; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measured| measured.as_str() == word)
    }

    const fn words(self) -> (Word, &'static str) {
        match self {
            Self::BatteryPct => (Word::BatteryPct, "%"),
            Self::Battery => (Word::Battery, "mV"),
            Self::Resistance => (Word::Resistance, "mΩ"),
            Self::Peak => (Word::Peak, "mA"),
            Self::Effort => (Word::Effort, "mC"),
            Self::Temperature => (Word::Temperature, "°C"),
            Self::Signal => (Word::Signal, "dBm"),
            Self::Operations => (Word::Operations, ""),
            Self::Errors => (Word::Errors, ""),
        }
    }
}

/// A chart of what a lock measured, from `from_ms` to `to_ms`, with its changes of firmware.
pub fn of_lock(measured: Measured, lock: &LockHistory, (from_ms, to_ms): (i64, i64), lang: Lang) -> Chart {
    let (title, unit) = measured.words();
    let title = word(title, lang);
    let one = |name: &str, value: fn(&Bucket) -> Option<Span>| vec![series(name, unit, &lock.buckets, value)];
    let (series, unit) = match measured {
        Measured::BatteryPct => (one(title, |bucket| bucket.battery_pct), unit.to_owned()),
        Measured::Battery => {
            let rest = series(word(Word::AtRest, lang), unit, &lock.buckets, |bucket| bucket.battery_mv);
            let load = series(word(Word::UnderLoad, lang), unit, &lock.buckets, |bucket| bucket.load_mv);
            (vec![rest, load], unit.to_owned())
        }
        Measured::Resistance => (one(title, |bucket| bucket.resistance_mohm), unit.to_owned()),
        Measured::Peak => (one(title, |bucket| bucket.peak_ma), unit.to_owned()),
        Measured::Effort => (one(title, |bucket| bucket.effort_mc), unit.to_owned()),
        Measured::Temperature => (one(title, |bucket| bucket.temp_c), unit.to_owned()),
        Measured::Signal => (one(title, |bucket| bucket.rssi_dbm), unit.to_owned()),
        Measured::Operations => {
            let all = rate(title, lang, &lock.buckets, |bucket| bucket.operations);
            let failed = rate(word(Word::Failed, lang), lang, &lock.buckets, |bucket| bucket.failed);
            (vec![all, failed], per_day(lang))
        }
        Measured::Errors => (errors(&lock.buckets, lang), per_day(lang)),
    };
    let series = series.into_iter().filter(|series| !series.points.is_empty()).collect();
    let firmware = |change: &zenei_store::history::Firmware| Mark {
        at_ms: change.at_ms,
        kind: MarkKind::Firmware,
        label: format!("{} → {}", change.from, change.to),
        value: None,
    };
    let marks = lock.firmware.iter().map(firmware).collect();
    let about = format!("{title}, {}", lock.now.device_id);
    Chart { title: title.to_owned(), about, unit, from_ms, to_ms, series, levels: Vec::new(), marks }
}

/// Charts of what a cohort did: failed operations, errors a lock and day, resistance, peak current.
pub fn of_cohort(name: &str, cohort: &CohortHistory, (from_ms, to_ms): (i64, i64), lang: Lang) -> Vec<Chart> {
    let chart = |title: Word, unit: &str, value: &dyn Fn(&CohortBucket) -> Option<Span>| Chart {
        title: word(title, lang).to_owned(),
        about: format!("{}, {name}", word(title, lang)),
        unit: unit.to_owned(),
        from_ms,
        to_ms,
        series: vec![Series { name: name.to_owned(), unit: unit.to_owned(), points: points(&cohort.buckets, value) }],
        ..Chart::default()
    };
    let failed = |bucket: &CohortBucket| {
        (bucket.operations > 0).then(|| exact(bucket.failed as f64 / bucket.operations as f64 * 100.0))
    };
    let rate = |bucket: &CohortBucket| lock_day_rate(bucket, bucket.errors.values().sum());
    vec![
        chart(Word::FailedShare, "%", &failed),
        chart(Word::ErrorRate, &per_lock_day(lang), &rate),
        chart(Word::Resistance, "mΩ", &|bucket| bucket.resistance_mohm),
        chart(Word::Peak, "mA", &|bucket| bucket.peak_ma),
    ]
}

/// The motor's current of the latest operations over each other, the newest first. They show no time of day.
pub fn of_profiles(profiles: &[Profile], lang: Lang) -> Chart {
    let line = |profile: &Profile| {
        let step_ms = i64::from(profile.step_ms.max(1));
        let point = |(at, &ma): (usize, &u16)| Point {
            at_ms: at as i64 * step_ms,
            min: ma.into(),
            mean: ma.into(),
            max: ma.into(),
        };
        let points = profile.current_ma.iter().enumerate().map(point).collect();
        Series { name: format!("{} {}", profile.kind, profile.result), unit: "mA".to_owned(), points }
    };
    let series: Vec<Series> = profiles.iter().map(line).collect();
    let to_ms = series.iter().filter_map(|series| series.points.last()).map(|point| point.at_ms).max();
    let title = word(Word::Profiles, lang).to_owned();
    Chart { about: title.clone(), title, unit: "mA".to_owned(), to_ms: to_ms.unwrap_or(1), series, ..Chart::default() }
}

/// The values behind a finding, with its baseline, its threshold and the finding itself; `None` where the history has
/// no such values.
///
/// # Errors
/// [`HistoryError`].
pub fn evidence(history: &History, anomaly: &Anomaly, lang: Lang) -> Result<Option<Chart>, HistoryError> {
    let at_ms = anomaly.at.ms();
    let span = (at_ms - anomaly.window_ms.saturating_mul(3).clamp(EVIDENCE_MS, 90 * DAY_MS), at_ms + DAY_MS);
    let found = match dimension(anomaly.scope.kind) {
        Some(dimension) => of_group(history, dimension, anomaly, span, lang)?,
        None => of_device(history, anomaly, span, lang)?,
    };
    let Some((mut chart, is_same_unit)) = found.filter(|(chart, _)| !chart.is_empty()) else { return Ok(None) };
    if is_same_unit {
        chart.levels = vec![
            Level { kind: LevelKind::Baseline, value: anomaly.baseline },
            Level { kind: LevelKind::Threshold, value: anomaly.threshold },
        ];
    }
    let value = is_same_unit.then_some(anomaly.value);
    let label = if anomaly.title.is_empty() { anomaly.rule.clone() } else { anomaly.title.clone() };
    chart.marks.push(Mark { at_ms, kind: MarkKind::Anomaly, label, value });
    Ok(Some(chart))
}

/// The chart of a finding about one lock, and whether its values have the finding's unit.
fn of_device(
    history: &History,
    anomaly: &Anomaly,
    span: (i64, i64),
    lang: Lang,
) -> Result<Option<(Chart, bool)>, HistoryError> {
    let first = anomaly.evidence.first().map(|evidence| &evidence.device_id);
    let Some(device) = anomaly.device_id.as_ref().or(first) else { return Ok(None) };
    let Some(lock) = history.lock(device, span.0, span.1, POINTS_MAX)? else { return Ok(None) };
    let (measured, is_same_unit) = match (anomaly.unit.as_str(), anomaly.component) {
        ("mohm", _) => (Measured::Resistance, true),
        ("mC", _) => (Measured::Effort, true),
        ("mV", _) => (Measured::Battery, true),
        ("percent", Component::Battery) => (Measured::BatteryPct, true),
        ("percent", Component::Motor | Component::Gear | Component::Thumbturn | Component::Holder) => {
            (Measured::Operations, false)
        }
        // Rates of reports and restarts have other units than a count of errors a day.
        (_, _) => (Measured::Errors, false),
    };
    Ok(Some((of_lock(measured, &lock, span, lang), is_same_unit)))
}

/// The chart of a finding about a group: the rate of its code where it names one, else of all errors.
fn of_group(
    history: &History,
    dimension: Dimension,
    anomaly: &Anomaly,
    span: (i64, i64),
    lang: Lang,
) -> Result<Option<(Chart, bool)>, HistoryError> {
    let cohort = history.cohort(dimension, &anomaly.scope.value, span.0, span.1, POINTS_MAX)?;
    let code = anomaly.unit.strip_suffix("/lock-day");
    let rate = |bucket: &CohortBucket| {
        let count = match code {
            Some(code) => bucket.errors.get(code).copied().unwrap_or(0),
            None => bucket.errors.values().sum(),
        };
        lock_day_rate(bucket, count)
    };
    let (title, name) = (word(Word::ErrorRate, lang), code.unwrap_or(&anomaly.scope.value));
    let chart = Chart {
        title: format!("{title}: {name}"),
        about: format!("{title}, {}", anomaly.scope.value),
        unit: per_lock_day(lang),
        from_ms: span.0,
        to_ms: span.1,
        series: vec![Series {
            name: name.to_owned(),
            unit: per_lock_day(lang),
            points: points(&cohort.buckets, &rate),
        }],
        ..Chart::default()
    };
    Ok(Some((chart, code.is_some())))
}

/// The dimension of a scope; `None` for a single lock, and for what the history has no cohorts of.
const fn dimension(scope: ScopeKind) -> Option<Dimension> {
    match scope {
        ScopeKind::Gateway => Some(Dimension::Gateway),
        ScopeKind::Site => Some(Dimension::Site),
        ScopeKind::Fw => Some(Dimension::Fw),
        ScopeKind::Lot => Some(Dimension::Lot),
        ScopeKind::HwRev => Some(Dimension::HwRev),
        ScopeKind::Model => Some(Dimension::Model),
        ScopeKind::Service => Some(Dimension::Service),
        ScopeKind::FwHw => Some(Dimension::FwHw),
        ScopeKind::Device | ScopeKind::ClientVersion => None,
    }
}

/// A span of time with values.
trait Timed {
    fn start_and_length(&self) -> (i64, i64);
}

impl Timed for Bucket {
    fn start_and_length(&self) -> (i64, i64) {
        (self.start_ms, self.length_ms)
    }
}

impl Timed for CohortBucket {
    fn start_and_length(&self) -> (i64, i64) {
        (self.start_ms, self.length_ms)
    }
}

fn points<T: Timed>(buckets: &[T], value: &dyn Fn(&T) -> Option<Span>) -> Vec<Point> {
    let point = |bucket: &T| {
        let ((start_ms, length_ms), span) = (bucket.start_and_length(), value(bucket)?);
        Some(Point { at_ms: start_ms + length_ms / 2, min: span.min, mean: span.mean, max: span.max })
    };
    buckets.iter().filter_map(point).collect()
}

fn series(name: &str, unit: &str, buckets: &[Bucket], value: fn(&Bucket) -> Option<Span>) -> Series {
    Series { name: name.to_owned(), unit: unit.to_owned(), points: points(buckets, &value) }
}

/// A count of each day, from buckets of whatever length: those of a day together, a longer one as its mean.
fn rate(name: &str, lang: Lang, buckets: &[Bucket], count: impl Fn(&Bucket) -> u64) -> Series {
    let mut days: BTreeMap<i64, (u64, i64)> = BTreeMap::new();
    for bucket in buckets {
        let day = days.entry(bucket.start_ms.div_euclid(DAY_MS)).or_insert((0, DAY_MS));
        day.0 += count(bucket);
        day.1 = day.1.max(bucket.length_ms);
    }
    let point = |(day, (count, length_ms)): (i64, (u64, i64))| {
        let a_day = count as f64 * DAY_MS as f64 / length_ms as f64;
        Point { at_ms: day * DAY_MS + DAY_MS / 2, min: a_day, mean: a_day, max: a_day }
    };
    Series { name: name.to_owned(), unit: per_day(lang), points: days.into_iter().map(point).collect() }
}

/// A line each code; the four most frequent.
fn errors(buckets: &[Bucket], lang: Lang) -> Vec<Series> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for (code, count) in buckets.iter().flat_map(|bucket| &bucket.errors) {
        *totals.entry(code).or_default() += count;
    }
    let mut codes: Vec<(&str, u64)> = totals.into_iter().collect();
    codes.sort_by_key(|&(code, count)| (std::cmp::Reverse(count), code));
    codes.truncate(4);
    let line =
        |(code, _): (&str, u64)| rate(code, lang, buckets, |bucket| bucket.errors.get(code).copied().unwrap_or(0));
    codes.into_iter().map(line).collect()
}

fn lock_day_rate(bucket: &CohortBucket, count: u64) -> Option<Span> {
    let days = bucket.length_ms as f64 / DAY_MS as f64;
    (bucket.locks > 0).then(|| exact(count as f64 / bucket.locks as f64 / days))
}

const fn exact(value: f64) -> Span {
    Span { min: value, mean: value, max: value, count: 1 }
}

fn per_day(lang: Lang) -> String {
    word(Word::PerDay, lang).to_owned()
}

fn per_lock_day(lang: Lang) -> String {
    word(Word::PerLockDay, lang).to_owned()
}
