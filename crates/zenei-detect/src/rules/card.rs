//! A rule's promotion card: what the rule was measured to do, on which fleets, and for which version of the rule. Only
//! a measured run writes a card; a live rule needs a card of exactly this rule that is within its budget. Answers what
//! a card contains and why it is not sufficient. Must not know where cards are stored. Called by `rules check`, `rules
//! explain` and the commands that load a configuration (`run`, `config`, `doctor`, `forget`), which read cards, and by
//! the fleet benchmark, which writes them.
use super::{Rule, RuleState, Rules};
use crate::toml_place::{Reader, TomlError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use toml::Spanned;
use zenei_wire::Id;

/// What a rule was measured to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The rule's id.
    pub rule: String,
    /// The rule's version.
    pub rule_version: u32,
    /// The rule's digest ([`Rule::digest`]): a rule with another one was not measured.
    pub rule_digest: Id,
    /// Which program measured, with its version.
    pub measured_by: String,
    /// The corpus, as a text for people.
    pub corpus: String,
    /// A digest of everything that makes the corpus: equal digests are equal fleets.
    pub corpus_digest: Id,
    /// Locks times years.
    pub device_years: f64,
    /// False incidents that this rule opened.
    pub false_incidents: u64,
    /// The one-sided 95 % upper bound of their rate per device-year.
    pub per_device_year_bound: f64,
    /// What the rule said falsely in the world where it was worst; `None` where no worlds were measured.
    pub worst_world: Option<WorstWorld>,
    /// For each family of labelled faults: how many this rule was the first to find, of how many.
    pub found: BTreeMap<String, Hits>,
    /// From opening to the customer, days: median and 10 % quantile; `None` where no customer noticed any.
    pub lead_days: Option<[f64; 2]>,
    /// From detectable to opening, hours: median and 90 % quantile; `None` where nothing was found.
    pub delay_hours: Option<[f64; 2]>,
}

/// What a rule said falsely in the world, of several whose structure was drawn at random, where it was worst.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstWorld {
    /// Its number.
    pub world: u64,
    /// Of how many worlds.
    pub of: u64,
    /// Locks times years there.
    pub device_years: f64,
    /// False incidents that the rule opened there.
    pub incidents: u64,
    /// The one-sided 95 % lower bound of their rate per device-year: 0 where there was none.
    pub per_device_year_low: f64,
}

/// Found of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hits {
    /// Found first by this rule.
    pub first: u64,
    /// Faults of the family.
    pub of: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CardFile {
    rule: String,
    rule_version: u32,
    rule_digest: Spanned<String>,
    measured_by: String,
    corpus: CorpusFile,
    falsely: FalselyFile,
    worst_world: Option<Spanned<WorstWorld>>,
    #[serde(default)]
    found: BTreeMap<String, Hits>,
    lead_days: Option<[f64; 2]>,
    delay_hours: Option<[f64; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CorpusFile {
    name: String,
    digest: Spanned<String>,
    device_years: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FalselyFile {
    incidents: u64,
    per_device_year_bound: Spanned<f64>,
}

/// A card as read, with the positions that an error names.
struct Read<'a> {
    toml: Reader<'a>,
    card: Card,
    digest_span: Range<usize>,
    bound_span: Range<usize>,
    worst_span: Option<Range<usize>>,
}

impl Card {
    /// Reads a card.
    ///
    /// # Errors
    /// The first error found, with file, line and key.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<TomlError>> {
        read(file, text).map(|read| read.card)
    }

    /// False incidents per device-year.
    pub fn per_device_year(&self) -> f64 {
        self.false_incidents as f64 / self.device_years
    }

    /// The card as a file; [`Card::parse`] reads it back.
    pub fn to_toml(&self) -> String {
        let mut text =
            String::from("# Written by the fleet benchmark (zenei bench fleet --cards DIR), never by hand.\n");
        // A String never fails to take a text.
        let _ = write!(
            text,
            "rule = {:?}\nrule_version = {}\nrule_digest = \"{}\"\nmeasured_by = {:?}\n",
            self.rule, self.rule_version, self.rule_digest, self.measured_by
        );
        for (key, pair) in [("lead_days", self.lead_days), ("delay_hours", self.delay_hours)] {
            if let Some([one, other]) = pair {
                let _ = writeln!(text, "{key} = [{one:?}, {other:?}]");
            }
        }
        let _ = write!(
            text,
            "\n[corpus]\nname = {:?}\ndigest = \"{}\"\ndevice_years = {:?}\n\n\
             [falsely]\nincidents = {}\nper_device_year_bound = {:?}\n",
            self.corpus, self.corpus_digest, self.device_years, self.false_incidents, self.per_device_year_bound
        );
        if let Some(WorstWorld { world, of, device_years, incidents, per_device_year_low }) = self.worst_world {
            let _ = write!(
                text,
                "\n[worst_world]\nworld = {world}\nof = {of}\ndevice_years = {device_years:?}\nincidents = {incidents}\n\
                 per_device_year_low = {per_device_year_low:?}\n"
            );
        }
        for (family, hits) in &self.found {
            let _ = write!(text, "\n[found.{family}]\nfirst = {}\nof = {}\n", hits.first, hits.of);
        }
        text
    }
}

/// The reasons why live rules must not be live: a card that is missing, of another rule, or over budget. `cards` are
/// file and text; `is_excused` selects the rules that need no card here.
pub fn judge<'a>(
    rules: &Rules,
    cards: impl IntoIterator<Item = (&'a str, &'a str)>,
    is_excused: impl Fn(&Rule) -> bool,
) -> Vec<TomlError> {
    let mut errors = Vec::new();
    let mut known: BTreeMap<String, Read<'_>> = BTreeMap::new();
    for (file, text) in cards {
        match read(file, text) {
            Ok(read) => _ = known.insert(read.card.rule.clone(), read),
            Err(found) => errors.extend(found),
        }
    }
    for rule in rules.iter().filter(|rule| rule.state == RuleState::Live) {
        match known.get_mut(&rule.id) {
            Some(read) => read.compare(rule),
            None if is_excused(rule) => {}
            None => errors.push(TomlError {
                file: rule.origin.file.clone(),
                line: rule.origin.state_line,
                key: "state".to_owned(),
                problem: format!(
                    "is live, and the rule has no card; measure it (zenei bench fleet --rules DIR --cards DIR), or let \
                     it be shadow or canary; the card belongs in {}/card.toml below the folder of rules",
                    rule.id
                ),
            }),
        }
    }
    errors.extend(known.into_values().flat_map(|read| read.toml.errors()));
    errors.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    errors
}

impl Read<'_> {
    /// Adds the reasons why this card is not sufficient for its rule.
    fn compare(&mut self, rule: &Rule) {
        let card = &self.card;
        if card.rule_digest != rule.digest() || card.rule_version != rule.version {
            let problem = format!(
                "was measured of {} version {} with the digest {}; the rule in {} has version {} and {}: measure \
                 anew, or let the rule be shadow or canary",
                card.rule,
                card.rule_version,
                card.rule_digest,
                rule.origin.file,
                rule.version,
                rule.digest()
            );
            self.toml.error(&self.digest_span, "rule_digest", problem);
        } else if card.per_device_year_bound > rule.budget_per_device_year {
            let problem = format!(
                "found {} (95 % bound, {} false incidents in {:.0} device-years); the budget of the rule allows {}: a \
                 live rule stays within it",
                card.per_device_year_bound, card.false_incidents, card.device_years, rule.budget_per_device_year
            );
            self.toml.error(&self.bound_span, "falsely.per_device_year_bound", problem);
        } else if let Some((span, worst)) = self.worst_span.as_ref().zip(card.worst_world)
            && worst.per_device_year_low > rule.budget_per_device_year
        {
            let problem = format!(
                "found {} (95 % bound from below, {} false incidents in {:.0} device-years of world {}, the worst of \
                 {}); the budget of the rule allows {}: a live rule stays within it in every world",
                worst.per_device_year_low,
                worst.incidents,
                worst.device_years,
                worst.world,
                worst.of,
                rule.budget_per_device_year
            );
            self.toml.error(span, "worst_world", problem);
        }
    }
}

fn read<'a>(file: &'a str, text: &'a str) -> Result<Read<'a>, Vec<TomlError>> {
    let mut toml = Reader::new(file, text);
    let Some(parsed) = toml.parse::<CardFile>("card") else { return Err(toml.errors()) };
    let (digest_span, bound_span) = (parsed.rule_digest.span(), parsed.falsely.per_device_year_bound.span());
    let worst_span = parsed.worst_world.as_ref().map(Spanned::span);
    match card(&mut toml, parsed) {
        Some(card) => Ok(Read { toml, card, digest_span, bound_span, worst_span }),
        None => Err(toml.errors()),
    }
}

/// The card; adds the first error found otherwise.
fn card(toml: &mut Reader<'_>, parsed: CardFile) -> Option<Card> {
    let years = &parsed.corpus.device_years;
    if !(*years.get_ref() > 0.0 && years.get_ref().is_finite()) {
        let problem = format!("found {}; more than 0 is allowed", years.get_ref());
        toml.error(&years.span(), "corpus.device_years", problem);
        return None;
    }
    let bound = &parsed.falsely.per_device_year_bound;
    let rate = parsed.falsely.incidents as f64 / years.get_ref();
    // A bound at or below the rate that it bounds was not measured.
    if !(*bound.get_ref() > rate && bound.get_ref().is_finite()) {
        let problem = format!("found {}; a bound above the rate {rate} is allowed", bound.get_ref());
        toml.error(&bound.span(), "falsely.per_device_year_bound", problem);
        return None;
    }
    Some(Card {
        rule_digest: id(toml, "rule_digest", &parsed.rule_digest)?,
        corpus_digest: id(toml, "corpus.digest", &parsed.corpus.digest)?,
        device_years: *years.get_ref(),
        per_device_year_bound: *bound.get_ref(),
        rule: parsed.rule,
        rule_version: parsed.rule_version,
        measured_by: parsed.measured_by,
        corpus: parsed.corpus.name,
        false_incidents: parsed.falsely.incidents,
        worst_world: parsed.worst_world.map(Spanned::into_inner),
        found: parsed.found,
        lead_days: parsed.lead_days,
        delay_hours: parsed.delay_hours,
    })
}

fn id(toml: &mut Reader<'_>, key: &str, found: &Spanned<String>) -> Option<Id> {
    let id = Id::parse(found.get_ref());
    if id.is_none() {
        let problem = format!("found {:?}; 32 lower-case hex digits are allowed", found.get_ref());
        toml.error(&found.span(), key, problem);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOTOR: &str = include_str!("../../rules/motor-effort/rule.toml");

    fn rules(text: &str) -> Rules {
        Rules::parse([("motor.toml", text)]).unwrap()
    }

    fn card(rules: &Rules) -> Card {
        let rule = rules.get("motor-effort").unwrap();
        Card {
            rule: rule.id.clone(),
            rule_version: rule.version,
            rule_digest: rule.digest(),
            measured_by: "a \"test\"".into(),
            corpus: "made up".into(),
            corpus_digest: Id(5),
            device_years: 12_320.5,
            false_incidents: 2,
            per_device_year_bound: 0.000_511,
            worst_world: None,
            found: BTreeMap::from([("H1".into(), Hits { first: 3, of: 4 })]),
            lead_days: Some([20.5, 3.0]),
            delay_hours: None,
        }
    }

    fn told(rules: &Rules, card: &str) -> Vec<String> {
        judge(rules, [("cards/motor.toml", card)], |_| false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_card_reads_back() {
        let card = card(&rules(MOTOR));
        assert_eq!(Card::parse("a.toml", &card.to_toml()), Ok(card.clone()));
        assert!((card.per_device_year() - 0.000_162_3).abs() < 1e-7);
    }

    #[test]
    fn a_live_rule_needs_a_card_and_others_do_not() {
        let live = rules(MOTOR);
        let errors = judge(&live, [], |_| false);
        assert_eq!((errors.len(), errors[0].file.as_str(), errors[0].line), (1, "motor.toml", 9));
        assert!(errors[0].problem.starts_with("is live, and the rule has no card"), "{}", errors[0]);
        assert_eq!(judge(&live, [], |_| true), []);
        assert_eq!(told(&live, &card(&live).to_toml()), [""; 0]);
        let shadow = rules(&MOTOR.replace("state = \"live\"", "state = \"shadow\""));
        assert_eq!(judge(&shadow, [], |_| false), []);
    }

    #[test]
    fn a_card_of_other_numbers_is_stale_and_words_for_people_make_none_stale() {
        let measured = card(&rules(MOTOR)).to_toml();
        let changed = told(&rules(&MOTOR.replace("value = 27.0", "value = 9.0")), &measured);
        assert!(
            changed[0].starts_with("cards/motor.toml:4: rule_digest: was measured of motor-effort version 3"),
            "{changed:?}"
        );
        let raised = told(&rules(&MOTOR.replace("version = 3", "version = 4")), &measured);
        assert!(raised[0].contains("in motor.toml has version 4"), "{raised:?}");
        assert_eq!(told(&rules(&MOTOR.replace("Motor effort is", "The effort is")), &measured), [""; 0]);
    }

    #[test]
    fn a_card_over_budget_is_told_at_its_bound() {
        let strict = format!("{MOTOR}\n[budget]\nper_device_year = 0.0005\nsource = \"agreed\"\n");
        let rules = rules(&strict);
        assert_eq!(
            told(&rules, &card(&rules).to_toml()),
            ["cards/motor.toml:15: falsely.per_device_year_bound: found 0.000511 (95 % bound, 2 false incidents in \
                 12320 device-years); the budget of the rule allows 0.0005: a live rule stays within it"]
        );
    }

    #[test]
    fn a_rule_that_is_surely_over_its_budget_in_one_world_is_not_live() {
        let rules = rules(&format!("{MOTOR}\n[budget]\nper_device_year = 0.01\nsource = \"agreed\"\n"));
        let worst = WorstWorld { world: 6, of: 9, device_years: 49.3, incidents: 2, per_device_year_low: 0.007_2 };
        let mut card = Card { worst_world: Some(worst), ..card(&rules) };
        assert_eq!(Card::parse("a.toml", &card.to_toml()), Ok(card.clone()));
        assert_eq!(told(&rules, &card.to_toml()), [""; 0]);
        card.worst_world = Some(WorstWorld { incidents: 9, per_device_year_low: 0.095, ..worst });
        let errors = told(&rules, &card.to_toml());
        assert!(errors.len() == 1 && errors[0].contains("worst_world: found 0.095"), "{errors:?}");
    }

    #[test]
    fn a_card_that_nobody_measured_is_refused() {
        let live = rules(MOTOR);
        let text = card(&live).to_toml();
        for (from, to, problem) in [
            ("12320.5", "0.0", "cards/motor.toml:11: corpus.device_years: found 0; more than 0 is allowed"),
            ("0.000511", "0.0", "cards/motor.toml:15: falsely.per_device_year_bound: found 0; a bound above the rate"),
            ("rule_digest = \"", "rule_digest = \"x", "cards/motor.toml:4: rule_digest: found \"x"),
            ("[falsely]", "[false]", "unknown field"),
        ] {
            let told = told(&live, &text.replace(from, to));
            assert!(told[0].contains(problem), "{told:?}");
        }
    }
}
