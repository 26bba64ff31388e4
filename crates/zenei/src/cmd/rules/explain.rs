//! `zenei rules explain`: one rule for people and for programs: the field it reads, its parameters with unit and
//! source, its state, the measurements of its promotion card, and what it spent of its budget. Called by `rules`.
mod spent;

use crate::cli::RulesExplain;
use crate::daemon::contents;
use crate::exit::Failure;
use crate::output::{Output, table};
use serde_json::{Map, Value, json};
use zenei_detect::rules::card::Card;
use zenei_detect::rules::{Canary, shipped};
use zenei_detect::toml_place::shown;
use zenei_detect::{Rule, Rules};

/// Runs `rules explain`.
///
/// # Errors
/// [`Failure::Usage`] where there is no such rule, [`Failure::Rules`] where rules or cards are bad.
pub(crate) fn run(arguments: &RulesExplain, out: &mut Output<'_>) -> Result<(), Failure> {
    let folder = arguments.place.rules.as_deref();
    let rules = contents::rules(folder).map_err(Failure::Rules)?;
    let Some(rule) = rules.get(&arguments.rule) else {
        let known = rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("there is no rule {:?}; there are {known}", arguments.rule)));
    };
    let own = contents::cards(folder).map_err(Failure::Rules)?;
    let own = own.iter().map(|card| (card.file.as_str(), card.text.as_str()));
    let card = find(rule, own)?.or(find_embedded(rule)?);
    let spent = arguments.state_dir.as_deref().map(|dir| spent::read(dir, &rules, rule)).transpose()?;
    if arguments.place.json {
        let mut whole = json(rule, card.as_ref());
        if let (Value::Object(whole), Some(spent)) = (&mut whole, &spent) {
            whole.insert("spent".to_owned(), spent.to_json());
        }
        return out.json(&whole);
    }
    tell(rule, card.as_ref(), out)?;
    spent.map_or(Ok(()), |spent| spent.tell(out))
}

fn find<'a>(rule: &Rule, cards: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Option<Card>, Failure> {
    for (file, text) in cards {
        let card = Card::parse(file, text).map_err(|errors| Failure::Rules(shown(&errors)))?;
        if card.rule == rule.id {
            return Ok(Some(card));
        }
    }
    Ok(None)
}

/// The program's card, where the rule is as the program's.
fn find_embedded(rule: &Rule) -> Result<Option<Card>, Failure> {
    let embedded = Rules::embedded().map_err(|error| Failure::Rules(error.to_string()))?;
    if embedded.get(&rule.id).is_none_or(|known| known.digest() != rule.digest()) {
        return Ok(None);
    }
    find(rule, shipped::cards())
}

fn tell(rule: &Rule, card: Option<&Card>, out: &mut Output<'_>) -> Result<(), Failure> {
    out.line(format!("{} version {}: {}", rule.id, rule.version, rule.title))?;
    out.line(format!("  looks at   {}", rule.detector.looks_at))?;
    out.line(format!("  says       {}, {}, urgency {}", rule.domain, rule.component, rule.urgency))?;
    out.line(format!("  state      {}", state(rule)))?;
    out.line(format!("  owner      {}", rule.owner))?;
    out.line(format!("  runbook    {}", rule.runbook))?;
    let field = rule.field.map(|field| format!(" on {field} ({})", field.unit())).unwrap_or_default();
    out.line(format!("  detector   {}{field}, with", rule.detector.word))?;
    let row = |spec: &zenei_detect::Parameter| {
        let source = rule.sources.get(spec.name).cloned().unwrap_or_default();
        vec![
            format!("    {}", spec.name),
            rule.parameters.get(spec.name).map(f64::to_string).unwrap_or_default(),
            spec.unit.to_owned(),
            format!("{}; source: {source}", spec.meaning),
        ]
    };
    let rows: Vec<Vec<String>> = rule.detector.parameters.iter().map(row).collect();
    table(&["    parameter", "value", "unit", "meaning"], &rows).iter().try_for_each(|line| out.line(line))?;
    match card {
        Some(card) => tell_card(rule, card, out),
        None => out.line("  measured   never: there is no card (zenei bench fleet --cards DIR writes one)"),
    }
}

fn state(rule: &Rule) -> String {
    match &rule.canary {
        None => rule.state.as_str().to_owned(),
        Some(Canary::Share(share)) => format!("{} on {} % of the scopes", rule.state.as_str(), share * 100.0),
        Some(Canary::Sites(sites)) => format!("{} at {}", rule.state.as_str(), sites.join(", ")),
    }
}

fn tell_card(rule: &Rule, card: &Card, out: &mut Output<'_>) -> Result<(), Failure> {
    out.line(format!("  measured   by {} on {} ({})", card.measured_by, card.corpus, card.corpus_digest))?;
    if card.rule_digest != rule.digest() {
        out.line(format!("    of another rule than this one: {} is not {}", card.rule_digest, rule.digest()))?;
    }
    out.line(format!(
        "    alarms   {:.6} a device-year, below {} with 95 %: {} false incidents in {:.0} device-years; budget {}",
        card.per_device_year(),
        card.per_device_year_bound,
        card.false_incidents,
        card.device_years,
        rule.budget_per_device_year
    ))?;
    if let Some([middle, short]) = card.lead_days {
        out.line(format!(
            "    lead     {middle} days before the customer in the median, {short} days in the worst tenth"
        ))?;
    }
    if let Some([middle, long]) = card.delay_hours {
        out.line(format!(
            "    delay    {middle} hours after detectable in the median, {long} hours in the worst tenth"
        ))?;
    }
    let hits =
        |(family, hits): (&String, &zenei_detect::rules::card::Hits)| format!("{family} {} of {}", hits.first, hits.of);
    let found: Vec<String> = card.found.iter().map(hits).collect();
    let found = if found.is_empty() { "no labelled fault".to_owned() } else { found.join(", ") };
    out.line(format!("    found    first of all rules: {found}"))
}

fn json(rule: &Rule, card: Option<&Card>) -> Value {
    let parameter = |spec: &zenei_detect::Parameter| {
        let of = json!({
            "value": rule.parameters.get(spec.name), "unit": spec.unit,
            "min": spec.range.start(), "max": spec.range.end(),
            "meaning": spec.meaning, "source": rule.sources.get(spec.name),
        });
        (spec.name.to_owned(), of)
    };
    let mut whole = to_json(rule);
    let more = json!({
        "version": 1, "looks_at": rule.detector.looks_at, "digest": rule.digest(),
        "budget_per_device_year": rule.budget_per_device_year, "canary": rule.canary.as_ref().map(canary),
        "parameters": rule.detector.parameters.iter().map(parameter).collect::<Map<_, _>>(),
        "card": card.map(|card| card_json(rule, card)),
    });
    if let (Value::Object(whole), Value::Object(more)) = (&mut whole, more) {
        whole.extend(more);
        whole.extend(rule.field.map(|field| ("field".to_owned(), field.to_string().into())));
    }
    whole
}

fn canary(canary: &Canary) -> Value {
    match canary {
        Canary::Share(share) => json!({"share": share}),
        Canary::Sites(sites) => json!({"sites": sites}),
    }
}

fn card_json(rule: &Rule, card: &Card) -> Value {
    let found = card.found.iter().map(|(family, hits)| (family.clone(), json!({"first": hits.first, "of": hits.of})));
    json!({
        "is_of_this_rule": card.rule_digest == rule.digest(), "rule_digest": card.rule_digest,
        "measured_by": card.measured_by,
        "corpus": card.corpus, "corpus_digest": card.corpus_digest, "device_years": card.device_years,
        "false_incidents": card.false_incidents, "per_device_year": card.per_device_year(),
        "per_device_year_bound": card.per_device_year_bound, "lead_days": card.lead_days,
        "delay_hours": card.delay_hours,
        "found": found.collect::<Map<_, _>>(),
    })
}

/// A rule for programs.
pub(super) fn to_json(rule: &Rule) -> Value {
    json!({
        "rule": rule.id, "rule_version": rule.version, "title": rule.title, "state": rule.state.as_str(),
        "domain": rule.domain, "component": rule.component, "urgency": rule.urgency, "owner": rule.owner,
        "runbook": rule.runbook, "detector": rule.detector.word, "parameters": rule.parameters,
    })
}
