//! How soon a person must act, and why (根拠): one table for the detector and for people who triage an inquiry. Pure
//! arithmetic over facts. Must not know incidents. Called by [`crate::policy`].
//!
//! The level is the highest that any rule of the table gives; of equal levels the first rule counts. The table in the
//! program (`defaults/urgency.toml`) is our default, and its figures are guesses: no maker has published theirs.
use crate::table;
use crate::wording::count;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use toml::Spanned;
use zenei_detect::toml_place::{Reader, TomlError};
use zenei_detect::{Component, Domain, ScopeKind, Urgency};

zenei_wire::words! {
    /// What a person sees, or a customer reports.
    Symptom {
        /// Somebody can't get in or out.
        LockedOut = "locked_out",
        /// A door unlocked that nobody unlocked.
        UnlockedUnintended = "unlocked_unintended",
        /// A door or an account may be open to strangers.
        Security = "security",
        /// The function fails now.
        FailingNow = "failing_now",
        /// The function is expected to fail within 72 hours.
        LossSoon = "loss_soon",
        /// The function is degraded, and there is a workaround.
        Degraded = "degraded",
    }
}

/// The facts from which an urgency and an opening follow. What is unknown is absent or 0. A JSON form that leaves facts
/// out is the report of one lock: see [`Facts::one_report`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default = "Facts::one_report")]
pub struct Facts {
    /// The urgency of the detector's rule; absent for what a person reports.
    pub hint: Option<Urgency>,
    /// What is seen.
    pub symptoms: BTreeSet<Symptom>,
    /// What the affected locks share.
    pub scope: Option<ScopeKind>,
    /// How many locks are affected.
    pub locks: usize,
    /// How many customers are affected.
    pub customers: u64,
    /// The share of a firmware's locks that is affected, 0 to 1.
    pub share: f64,
    /// By which factor more are affected than 24 hours ago.
    pub growth: f64,
    /// Where the cause probably lies.
    pub domain: Option<Domain>,
    /// The component.
    pub component: Option<Component>,
    /// The service.
    pub service: Option<String>,
    /// How many records or reports are behind it.
    pub records: usize,
    /// For how long it was observed, ms.
    pub observed_ms: i64,
}

impl Facts {
    /// What counts where a person who asks says no more: one record or report, of one lock of one customer.
    pub fn one_report() -> Self {
        Self { locks: 1, customers: 1, records: 1, ..Self::default() }
    }

    /// Refuses figures that can't be true.
    ///
    /// # Errors
    /// The first such figure, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.locks == 0 {
            return Err("locks is 0; at least 1 is wanted".to_owned());
        }
        if self.records == 0 {
            return Err("records is 0; at least 1 is wanted".to_owned());
        }
        if !(0.0..=1.0).contains(&self.share) {
            return Err(format!("share is {}; 0 to 1 is allowed", self.share));
        }
        if !(self.growth.is_finite() && self.growth >= 0.0) {
            return Err(format!("growth is {}; a factor of 0 or more is wanted", self.growth));
        }
        if self.observed_ms < 0 {
            return Err(format!("observed_ms is {}; 0 or more is wanted", self.observed_ms));
        }
        Ok(())
    }
}

/// A level with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// How soon a person must act.
    pub level: Urgency,
    /// The id of the rule that gave it.
    pub rule: String,
    /// Why (根拠), in English.
    pub reason: String,
    /// Why, in Japanese.
    pub reason_ja: String,
}

/// The level that a rule gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    Level(Urgency),
    /// So many levels above the detector's.
    AboveHint(u8),
}

/// A rule: all its conditions must hold; an absent one holds.
#[derive(Clone, Debug, PartialEq)]
struct UrgencyRule {
    id: String,
    gives: Gives,
    ground_en: String,
    ground_ja: String,
    is_hinted: bool,
    symptom: Option<Symptom>,
    hints: Vec<Urgency>,
    scopes: Vec<ScopeKind>,
    domains: Vec<Domain>,
    components: Vec<Component>,
    services: Vec<String>,
    locks_min: Option<usize>,
    customers_min: Option<u64>,
    share_min: Option<f64>,
    growth_min: Option<f64>,
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UrgencyTable {
    /// Its version.
    pub version: u32,
    /// Whose it is.
    pub label: String,
    rules: Vec<UrgencyRule>,
}

#[derive(Deserialize)]
struct File {
    version: Spanned<u32>,
    label: Spanned<String>,
    #[serde(default)]
    rule: Vec<RuleFile>,
}

#[derive(Deserialize)]
struct RuleFile {
    id: Spanned<String>,
    level: Spanned<String>,
    ground_en: Spanned<String>,
    ground_ja: Spanned<String>,
    #[serde(default)]
    hinted: bool,
    symptom: Option<Spanned<String>>,
    #[serde(default)]
    hints: Vec<Spanned<String>>,
    #[serde(default)]
    scopes: Vec<Spanned<String>>,
    #[serde(default)]
    domains: Vec<Spanned<String>>,
    #[serde(default)]
    components: Vec<Spanned<String>>,
    #[serde(default)]
    services: Vec<String>,
    locks_min: Option<usize>,
    customers_min: Option<u64>,
    share_min: Option<Spanned<f64>>,
    growth_min: Option<Spanned<f64>>,
}

const KEYS: &table::Keys = &[
    ("", &["version", "label", "rule"]),
    (
        "rule",
        &[
            "id",
            "level",
            "ground_en",
            "ground_ja",
            "hinted",
            "symptom",
            "hints",
            "scopes",
            "domains",
            "components",
            "services",
            "locks_min",
            "customers_min",
            "share_min",
            "growth_min",
        ],
    ),
];

impl UrgencyTable {
    /// The table of a file; `file` is its name for people.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<TomlError>> {
        let mut toml = Reader::new(file, text);
        let table = table::parse(&mut toml, KEYS).map(|file| checked(&mut toml, &file));
        toml.finish(table)
    }

    /// The highest level that a rule gives these facts.
    pub fn assess(&self, facts: &Facts) -> Assessment {
        let mut best: Option<(Urgency, &UrgencyRule)> = None;
        for rule in &self.rules {
            if let Some(level) = rule.level(facts)
                && best.is_none_or(|(found, _)| level > found)
            {
                best = Some((level, rule));
            }
        }
        let Some((level, rule)) = best else {
            let (rule, reason) = ("none".into(), "no rule of the urgency table holds".into());
            return Assessment {
                level: Urgency::Low, rule, reason, reason_ja: "緊急度表に該当する規則なし".into()
            };
        };
        let (reason, reason_ja) = (filled(&rule.ground_en, facts), filled(&rule.ground_ja, facts));
        Assessment { level, rule: rule.id.clone(), reason, reason_ja }
    }
}

impl UrgencyRule {
    fn level(&self, facts: &Facts) -> Option<Urgency> {
        let is_met = (!self.is_hinted || facts.hint.is_some())
            && self.symptom.is_none_or(|symptom| facts.symptoms.contains(&symptom))
            && among(&self.hints, facts.hint.as_ref())
            && among(&self.scopes, facts.scope.as_ref())
            && among(&self.domains, facts.domain.as_ref())
            && among(&self.components, facts.component.as_ref())
            && among(&self.services, facts.service.as_ref())
            && self.locks_min.is_none_or(|least| facts.locks >= least)
            && self.customers_min.is_none_or(|least| facts.customers >= least)
            && self.share_min.is_none_or(|least| facts.share >= least)
            && self.growth_min.is_none_or(|least| facts.growth >= least);
        match self.gives {
            _ if !is_met => None,
            Gives::Level(level) => Some(level),
            Gives::AboveHint(steps) => facts.hint.map(|hint| (0..steps).fold(hint, |level, _| above(level))),
        }
    }
}

fn among<T: PartialEq>(allowed: &[T], found: Option<&T>) -> bool {
    allowed.is_empty() || found.is_some_and(|found| allowed.contains(found))
}

fn above(level: Urgency) -> Urgency {
    match level {
        Urgency::Low => Urgency::Medium,
        Urgency::Medium => Urgency::High,
        Urgency::High | Urgency::Highest => Urgency::Highest,
    }
}

/// A ground with the facts filled in.
fn filled(ground: &str, facts: &Facts) -> String {
    let hint = facts.hint.unwrap_or(Urgency::Low);
    ground
        .replace("{hint}", hint.as_str())
        .replace("{hint_ja}", table::level_ja(hint))
        .replace("{locks}", &count(facts.locks, "lock"))
        .replace("{locks_n}", &facts.locks.to_string())
        .replace("{customers}", &facts.customers.to_string())
        .replace("{share_pct}", &format!("{:.1}", facts.share * 100.0))
}

fn checked(toml: &mut Reader<'_>, file: &File) -> UrgencyTable {
    let mut ids = BTreeSet::new();
    let mut rules = Vec::new();
    for rule in &file.rule {
        table::id(toml, "rule.id", &rule.id.span(), rule.id.get_ref(), &mut ids);
        rules.extend(checked_rule(toml, rule));
    }
    if file.rule.is_empty() {
        toml.error(&file.version.span(), "rule", "is missing; at least one [[rule]] is needed".to_owned());
    }
    let label = toml.words("label", &file.label);
    UrgencyTable { version: table::version(toml, &file.version), label, rules }
}

fn checked_rule(toml: &mut Reader<'_>, rule: &RuleFile) -> Option<UrgencyRule> {
    let words = table::levels().chain(["hint", "hint+1", "hint+2"]);
    let gives = toml.word("rule.level", &rule.level, gives, words);
    if let Some(Gives::AboveHint(_)) = gives
        && !rule.hinted
    {
        let problem = "is relative to the detector's level; such a rule needs hinted = true".to_owned();
        toml.error(&rule.level.span(), "rule.level", problem);
    }
    let symptom = rule
        .symptom
        .as_ref()
        .and_then(|found| toml.word("rule.symptom", found, Symptom::parse, Symptom::WORDS.iter().copied()));
    Some(UrgencyRule {
        id: rule.id.get_ref().clone(),
        ground_en: toml.words("rule.ground_en", &rule.ground_en),
        ground_ja: toml.words("rule.ground_ja", &rule.ground_ja),
        is_hinted: rule.hinted,
        symptom,
        hints: table::each(toml, "rule.hints", &rule.hints, table::level, Urgency::WORDS),
        scopes: table::each(toml, "rule.scopes", &rule.scopes, ScopeKind::parse, ScopeKind::WORDS),
        domains: table::each(toml, "rule.domains", &rule.domains, Domain::parse, Domain::WORDS),
        components: table::each(toml, "rule.components", &rule.components, Component::parse, Component::WORDS),
        services: rule.services.clone(),
        locks_min: rule.locks_min,
        customers_min: rule.customers_min,
        share_min: rule.share_min.as_ref().map(|share| toml.number("rule.share_min", share, (0.0, 1.0))),
        growth_min: rule.growth_min.as_ref().map(|growth| toml.number("rule.growth_min", growth, (1.0, 1e6))),
        gives: gives?,
    })
}

fn gives(text: &str) -> Option<Gives> {
    match text {
        "hint" => Some(Gives::AboveHint(0)),
        "hint+1" => Some(Gives::AboveHint(1)),
        "hint+2" => Some(Gives::AboveHint(2)),
        other => table::level(other).map(Gives::Level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> UrgencyTable {
        UrgencyTable::read("urgency.toml", include_str!("../defaults/urgency.toml")).unwrap()
    }

    fn facts(hint: Urgency, scope: ScopeKind, locks: usize) -> Facts {
        Facts { hint: Some(hint), scope: Some(scope), locks, ..Facts::default() }
    }

    fn check(hint: Urgency, scope: ScopeKind, locks: usize, expected: &str) {
        let found = ours().assess(&facts(hint, scope, locks));
        assert_eq!(format!("{}: {}", found.level, found.reason), expected);
    }

    #[test]
    fn every_level_has_a_reason() {
        use ScopeKind::{Device, Fw, Site};
        check(Urgency::Low, Device, 1, "low: the rule says low; 1 lock affected");
        check(Urgency::Medium, Fw, 9, "medium: the rule says medium; 9 locks affected");
        check(Urgency::Medium, Fw, 10, "high: 10 locks affected, 10 or more: one level above medium");
        check(Urgency::Low, Fw, 100, "high: 100 locks affected, 100 or more: two levels above low");
        check(Urgency::Low, Site, 3, "high: a whole site is affected (3 locks with evidence)");
        check(Urgency::Highest, Fw, 500, "highest: the rule says highest; 500 locks affected");
    }

    #[test]
    fn more_locks_never_lower_the_level() {
        let table = ours();
        for &hint in Urgency::ALL {
            let levels =
                [1, 9, 10, 99, 100, 10_000].map(|locks| table.assess(&facts(hint, ScopeKind::Fw, locks)).level);
            assert!(levels.is_sorted());
            assert!(levels[0] == hint);
        }
    }

    #[test]
    fn a_customer_who_is_locked_out_is_of_the_highest_urgency() {
        let found = Facts { symptoms: [Symptom::LockedOut].into(), customers: 1, ..Facts::default() };
        let found = ours().assess(&found);
        assert_eq!((found.level, found.rule.as_str()), (Urgency::Highest, "locked-out"));
        assert_eq!(found.reason_ja, "締め出しが発生している");
    }

    #[test]
    fn every_error_of_a_table_is_named_with_its_place() {
        let unknown = "version = 1\nlabel = 'x'\n[[rule]]\nid = 'a'\nlevle = 'high'\nlocks_mn = 3\n";
        let errors = UrgencyTable::read("u.toml", unknown).unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        let first = errors[0].to_string();
        assert!(first.starts_with("u.toml:5: rule.levle: is no key here; did you mean `level`? "), "{first}");
        assert!(errors[1].to_string().contains("u.toml:6: rule.locks_mn: is no key here; did you mean `locks_min`?"));
        let values = "version = 0\nlabel = ' '\n[[rule]]\nid = 'A'\nlevel = 'hint'\nground_en = ''\nground_ja = 'x'\n\
                      symptom = 'rain'\nshare_min = 3.0\nscopes = ['town']\n";
        let errors = UrgencyTable::read("u.toml", values).unwrap_err();
        let keys: BTreeSet<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        let expected = ["label", "rule.ground_en", "rule.id", "rule.level", "rule.scopes", "rule.share_min"];
        assert_eq!(keys, expected.into_iter().chain(["rule.symptom", "version"]).collect());
        let missing = UrgencyTable::read("u.toml", "version = 1\nlabel = 'x'\n[[rule]]\nid = 'a'\n").unwrap_err();
        assert_eq!(missing[0].to_string(), "u.toml:3: level: is missing; the table needs it");
    }

    #[test]
    fn a_level_may_be_written_in_japanese() {
        let text = "version = 2\nlabel = 'x'\n[[rule]]\nid = 'a'\nlevel = '中'\nground_en = 'e'\nground_ja = 'j'\n";
        let table = UrgencyTable::read("u.toml", text).unwrap();
        assert_eq!(table.assess(&Facts::default()).level, Urgency::Medium);
    }
}
