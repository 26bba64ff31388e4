//! `zenei triage`: how urgent something is and whether it opens an incident, by the same tables as the detector's
//! findings. Reads facts from options or standard input; must not open the store. Called by `cmd`.
use crate::cli::triage::Triage;
use crate::config;
use crate::daemon::{contents, policy};
use crate::exit::Failure;
use crate::output::{Output, escaped};
use std::io::Read as _;
use zenei_detect::{Component, Domain, ScopeKind, Urgency};
use zenei_incident::Policy;
use zenei_incident::places::Places;
use zenei_incident::urgency::{Facts, Symptom};

/// The largest facts on standard input, bytes; a guess, a hundred times the usual.
const FACTS_MAX_BYTES: u64 = 1 << 16;

/// Runs `triage`.
///
/// # Errors
/// A word that is not allowed, facts that are no JSON of this form, or bad tables.
pub(crate) fn run(arguments: &Triage, out: &mut Output<'_>) -> Result<(), Failure> {
    let (policy, places) = match config::given_or_here(arguments.config.as_deref()) {
        Some(file) => {
            let config = config::load(&file, &config::variables()).map_err(Failure::Config)?.config;
            let policy = policy::read(&config.desk).map_err(|errors| Failure::Rules(errors.join("\n")))?;
            let registry = config.registry.as_ref().map(|registry| &*registry.file);
            (policy, contents::registry(registry, Some(&config.gateway.site)).map_err(Failure::Rules)?.places())
        }
        None => (Policy::default(), Places::default()),
    };
    let (facts, from) = if arguments.stdin { (from_stdin()?, "standard input: ") } else { (facts(arguments)?, "--") };
    let judged = policy.asked(&facts, &places).map_err(|text| Failure::Usage(format!("{from}{text}")))?;
    if arguments.json {
        return out.json(&judged);
    }
    let (urgency, opening) = (&judged.urgency, &judged.opening);
    out.line(format!("urgency   {}", urgency.level))?;
    out.line(format!("rule      {} (urgency table version {})", escaped(&urgency.rule), judged.table_version))?;
    out.line(format!("ground    {}", escaped(&urgency.reason)))?;
    out.line(format!("根拠      {}", escaped(&urgency.reason_ja)))?;
    let channel = if opening.channel { ", with a channel" } else { "" };
    out.line(format!("opening   {}{channel} (opening table version {})", opening.follows, opening.table_version))?;
    out.line(format!("ground    {}", escaped(&opening.why)))?;
    out.line(format!("根拠      {}", escaped(&opening.why_ja)))
}

fn from_stdin() -> Result<Facts, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(FACTS_MAX_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::broken("can't read standard input", error))?;
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("standard input: these are no facts: {error}")))
}

fn facts(arguments: &Triage) -> Result<Facts, Failure> {
    let symptoms = arguments.symptom.iter();
    let symptoms = symptoms.map(|word| one("--symptom", word, Symptom::parse, Symptom::WORDS));
    Ok(Facts {
        hint: optional("--hint", arguments.hint.as_ref(), Urgency::parse, Urgency::WORDS)?,
        symptoms: symptoms.collect::<Result<_, _>>()?,
        scope: optional("--scope", arguments.scope.as_ref(), ScopeKind::parse, ScopeKind::WORDS)?,
        locks: arguments.locks,
        customers: arguments.customers,
        share: arguments.share,
        growth: arguments.growth,
        domain: optional("--domain", arguments.domain.as_ref(), Domain::parse, Domain::WORDS)?,
        component: optional("--component", arguments.component.as_ref(), Component::parse, Component::WORDS)?,
        service: arguments.service.clone(),
        records: arguments.records,
        observed_ms: i64::from(arguments.observed_min) * 60_000,
    })
}

fn optional<T>(
    option: &str,
    word: Option<&String>,
    parse: fn(&str) -> Option<T>,
    allowed: &[&str],
) -> Result<Option<T>, Failure> {
    word.map(|word| one(option, word, parse, allowed)).transpose()
}

fn one<T>(option: &str, word: &str, parse: fn(&str) -> Option<T>, allowed: &[&str]) -> Result<T, Failure> {
    parse(word)
        .ok_or_else(|| Failure::Usage(format!("{option} is {}; allowed are {}", escaped(word), allowed.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        triage: Triage,
    }

    fn told(arguments: &[&str]) -> Result<String, String> {
        let line = Line::try_parse_from(std::iter::once(&"triage").chain(arguments)).unwrap();
        let mut bytes = Vec::new();
        run(&line.triage, &mut Output::to(&mut bytes)).map_err(|failure| failure.text().unwrap_or_default())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_answer_names_level_rule_ground_version_and_opening() {
        let text = told(&["--symptom", "locked_out"]).unwrap();
        let wanted = [
            "highest",
            "locked-out (urgency table version 1)",
            "people are locked out",
            "締め出しが発生",
            "open, with a channel",
        ];
        for part in wanted {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn a_word_that_is_not_allowed_is_answered_with_those_that_are() {
        let text = told(&["--symptom", "rain"]).unwrap_err();
        assert!(text.starts_with("--symptom is rain; allowed are locked_out, "), "{text}");
    }

    #[test]
    fn a_figure_that_cannot_be_true_and_an_unknown_service_are_refused() {
        let refused = [
            (["--share", "5"], "--share is 5; 0 to 1 is allowed"),
            (["--share", "nan"], "--share is NaN; 0 to 1 is allowed"),
            (["--growth", "inf"], "--growth is inf; "),
            (["--locks", "0"], "--locks is 0; at least 1 is wanted"),
            (["--records", "0"], "--records is 0; "),
            (["--service", "nowhere"], "--service is \"nowhere\", which no lock is of; "),
        ];
        for (arguments, text) in refused {
            assert!(told(&arguments).unwrap_err().starts_with(text), "{arguments:?}");
        }
        told(&["--share", "1", "--growth", "0"]).unwrap();
    }

    #[test]
    fn facts_come_from_one_place() {
        for more in [["--symptom", "locked_out"], ["--locks", "1"], ["--observed-min", "0"], ["--service", "a"]] {
            let line = ["triage", "--stdin"].into_iter().chain(more);
            assert!(Line::try_parse_from(line).is_err(), "{more:?}");
        }
        Line::try_parse_from(["triage", "--stdin", "--json"]).unwrap();
    }

    #[test]
    fn facts_that_json_leaves_out_are_those_that_options_leave_out() {
        let line = Line::try_parse_from(["triage", "--symptom", "locked_out"]).unwrap();
        assert_eq!(facts(&line.triage).unwrap(), serde_json::from_str(r#"{"symptoms":["locked_out"]}"#).unwrap());
    }

    #[test]
    fn a_medium_report_alone_is_watched() {
        let text = told(&["--hint", "medium"]).unwrap();
        assert!(text.contains("opening   watch"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&told(&["--hint", "medium", "--json"]).unwrap()).unwrap();
        assert_eq!((&json["opening"]["follows"], &json["urgency"]["level"]), (&"watch".into(), &"medium".into()));
    }
}
