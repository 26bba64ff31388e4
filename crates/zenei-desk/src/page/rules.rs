//! The rules in use: the list, and one rule with all that `zenei rules explain` says, its cases, what it opened and
//! what it did not, and its budget of false alarms. Must not know a detector. Called by the router.
use super::budget::{Budget, budgets};
use super::concerns;
use super::{Look, Shown, link, past, words};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use zenei_detect::rules::card::{Card, Hits};
use zenei_detect::rules::{Canary, folder, shipped};
use zenei_detect::{DecisionReason, Parameter, Rule, Rules};
use zenei_incident::message::Lang;
use zenei_store::history::LockFilter;
use zenei_wire::EngineTime;

/// The window of all counts on these pages.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;
/// The most decisions that are counted, the latest of all rules. A guess: what is read in some ten milliseconds.
const DECISIONS_MAX: u32 = 20_000;

/// The rules that are part of the program.
static EMBEDDED: LazyLock<Option<Rules>> = LazyLock::new(|| Rules::embedded().ok());

/// How many candidates of each rule were not opened, by reason.
type Refused = BTreeMap<String, BTreeMap<DecisionReason, u64>>;

/// What rules did in the window.
struct Done {
    /// `None` where this process has no desk.
    refused: Option<Refused>,
    locks: u64,
    from_ms: i64,
    now_ms: i64,
}

/// `GET /rules`.
pub(super) async fn list(State(shown): State<Shown>, look: Look) -> Response {
    let Some(done) = done(&shown).await else { return past::unreadable(&shown, &look) };
    let lang = shown.pages.lang(&look);
    let (hits, budgets) = counted(&shown, &done, lang);
    let row = |rule: &Rule| {
        let budget = budgets.iter().find(|budget| budget.rule == rule.id);
        head(rule, hits.get(&rule.id).copied().unwrap_or(0), budget, &done, lang)
    };
    let rules: Vec<Value> = shown.handles.rules.iter().map(row).collect();
    shown.pages.page("rules.html", &look, context! { rules, days => DAYS })
}

/// `GET /rules/{id}`.
pub(super) async fn show(State(shown): State<Shown>, Path(id): Path<String>, look: Look) -> Response {
    let lang = shown.pages.lang(&look);
    let rules = shown.handles.rules.clone();
    let Some(rule) = rules.get(&id) else {
        let text = words::find("rules_missing", lang).unwrap_or_default();
        return shown.pages.error(StatusCode::NOT_FOUND, &look, text);
    };
    let Some(done) = done(&shown).await else { return past::unreadable(&shown, &look) };
    let reasons = done.refused.as_ref().map(|refused| {
        let of = refused.get(&rule.id).into_iter().flatten();
        of.map(|(reason, count)| context! { reason => reason.as_str(), count }).collect::<Vec<_>>()
    });
    let concerns = concerns::of(&shown.handles.incidents, lang, |incident| incident.rules.contains(&rule.id));
    let is_embedded =
        EMBEDDED.as_ref().and_then(|known| known.get(&rule.id)).is_some_and(|known| known.digest() == rule.digest());
    let (hits, budgets) = counted(&shown, &done, lang);
    let budget = budgets.iter().find(|budget| budget.rule == rule.id);
    let context = context! {
        rule => head(rule, hits.get(&rule.id).copied().unwrap_or(0), budget, &done, lang),
        days => DAYS,
        now => done.now_ms,
        parameters => rule.detector.parameters.iter().map(|spec| parameter(rule, spec)).collect::<Vec<_>>(),
        card => is_embedded.then(|| card_of(rule)).flatten().map(|card| card_context(rule, &card, lang)),
        cases => if is_embedded { cases(rule) } else { Vec::new() },
        reasons,
        concerns => Serde(&concerns),
    };
    shown.pages.page("rule.html", &look, context)
}

/// What happened in the window; `None` where the past can't be read.
async fn done(shown: &Shown) -> Option<Done> {
    let now_ms = shown.handles.clock.now().ms();
    let from_ms = now_ms - DAYS * DAY_MS;
    let desk = shown.handles.desk.clone();
    let locks = past::ask(shown, |history| {
        let one = LockFilter { limit: 1, ..LockFilter::default() };
        Ok(history.locks(&one)?.total)
    });
    let locks = locks.await?;
    let counted = tokio::task::spawn_blocking(move || {
        desk.map(|desk| desk.lock().control().count_decisions(DECISIONS_MAX, from_ms))
    });
    let refused = match counted.await {
        Ok(None) => None,
        Ok(Some(Ok(counts))) => {
            let mut refused = Refused::new();
            for (rule, reason, count) in counts {
                refused.entry(rule).or_default().insert(reason, count);
            }
            Some(refused)
        }
        Ok(Some(Err(error))) => {
            tracing::warn!(error = %zenei_store::with_causes(&error), "a page can't count the decisions");
            return None;
        }
        Err(error) => {
            tracing::error!(%error, "counting the decisions panicked");
            return None;
        }
    };
    Some(Done { refused, locks, from_ms, now_ms })
}

/// A rule as both pages show it.
fn head(rule: &Rule, hits: u64, budget: Option<&Budget>, done: &Done, lang: Lang) -> Value {
    let refused = done.refused.as_ref().map(|refused| refused.get(&rule.id).map_or(0, |by| by.values().sum::<u64>()));
    let either = |ja: &str, en: &str| if lang == Lang::Ja && !ja.is_empty() { ja.to_owned() } else { en.to_owned() };
    context! {
        id => rule.id.as_str(),
        href => link::rule(&rule.id),
        title => either(&rule.title_ja, &rule.title),
        runbook => either(&rule.runbook_ja, &rule.runbook),
        state => rule.state.as_str(),
        canary => canary(rule, lang),
        domain => rule.domain.as_str(),
        component => rule.component.as_str(),
        urgency => rule.urgency.as_str(),
        owner => rule.owner.as_str(),
        version => rule.version,
        looks_at => rule.detector.looks_at,
        field => rule.field.map(|field| format!("{field} ({})", field.unit())),
        file => rule.origin.file.as_str(),
        hits, refused,
        budget => budget.map(|budget| budget_context(rule, budget, done.locks)),
    }
}

/// How many incidents each rule opened in the window, and its budget.
fn counted(shown: &Shown, done: &Done, lang: Lang) -> (BTreeMap<String, u64>, Vec<Budget>) {
    let book = shown.handles.incidents.read();
    let mut hits: BTreeMap<String, u64> = BTreeMap::new();
    for incident in book.incidents().filter(|incident| incident.opened.ms() >= done.from_ms) {
        *hits.entry(incident.rule.clone()).or_default() += 1;
    }
    (hits, budgets(&book, &shown.handles.rules, done.locks, EngineTime(done.now_ms), lang))
}

fn budget_context(rule: &Rule, budget: &Budget, locks: u64) -> Value {
    context! {
        rate => rule.budget_per_device_year.to_string(),
        locks,
        allowed => budget.allowed,
        spent => budget.spent,
        left => budget.left.max(0.0),
        unjudged => budget.unjudged,
        is_over => budget.is_overspent(),
    }
}

fn canary(rule: &Rule, lang: Lang) -> Option<String> {
    Some(match rule.canary.as_ref()? {
        Canary::Share(share) => words::filled("rules_canary_share", lang, &[("share", (share * 100.0).to_string())]),
        Canary::Sites(sites) => words::filled("rules_canary_sites", lang, &[("sites", sites.join(", "))]),
    })
}

fn parameter(rule: &Rule, spec: &Parameter) -> Value {
    context! {
        name => spec.name,
        value => rule.parameters.get(spec.name).map(f64::to_string).unwrap_or_default(),
        unit => spec.unit,
        allowed => format!("{} – {}", spec.range.start(), spec.range.end()),
        meaning => spec.meaning,
        source => rule.sources.get(spec.name).map(String::as_str).unwrap_or_default(),
    }
}

/// The program's card of this very rule.
fn card_of(rule: &Rule) -> Option<Card> {
    let cards = shipped::cards().filter_map(|(file, text)| Card::parse(file, text).ok());
    cards.into_iter().find(|card| card.rule == rule.id && card.rule_digest == rule.digest())
}

fn card_context(rule: &Rule, card: &Card, lang: Lang) -> Value {
    let alarms = [
        ("rate", format!("{:.6}", card.per_device_year())),
        ("bound", card.per_device_year_bound.to_string()),
        ("count", card.false_incidents.to_string()),
        ("years", format!("{:.0}", card.device_years)),
        ("budget", rule.budget_per_device_year.to_string()),
    ];
    let two = |key, values: Option<[f64; 2]>, second| {
        values.map(|[middle, other]| {
            words::filled(key, lang, &[("middle", middle.to_string()), (second, other.to_string())])
        })
    };
    let found = |(family, hits): (&String, &Hits)| {
        let values = [("first", hits.first.to_string()), ("of", hits.of.to_string()), ("family", family.clone())];
        words::filled("rules_card_found_about", lang, &values)
    };
    context! {
        alarms => words::filled("rules_card_alarms_about", lang, &alarms),
        lead => two("rules_card_lead_about", card.lead_days, "short"),
        delay => two("rules_card_delay_about", card.delay_hours, "long"),
        found => card.found.iter().map(found).collect::<Vec<_>>(),
        by => card.measured_by.as_str(),
        corpus => card.corpus.as_str(),
        corpus_digest => card.corpus_digest.to_string(),
    }
}

/// The program's cases of this rule: name, kind, why.
fn cases(rule: &Rule) -> Vec<Value> {
    let piece = |(path, text): (&'static str, &'static str)| {
        let piece = folder::piece(path).filter(|piece| piece.rule == rule.id)?;
        let kind = folder::kind(piece.name).unwrap_or("other");
        Some(context! { name => piece.name, kind, why => why(text) })
    };
    shipped::cases().filter_map(piece).collect()
}

/// The line `why = "…"` of a case.
fn why(text: &str) -> &str {
    let line = text.lines().find_map(|line| line.strip_prefix("why = \""));
    line.and_then(|line| line.strip_suffix('"')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_rule_shows_its_cases_and_every_live_one_its_card() {
        for rule in Rules::embedded().unwrap().iter() {
            assert!(cases(rule).len() >= 3, "{}", rule.id);
            let is_live = rule.state == zenei_detect::rules::RuleState::Live;
            assert!(!is_live || card_of(rule).is_some(), "{}", rule.id);
        }
        assert!(shipped::cases().all(|(_, text)| !why(text).is_empty()));
    }

    #[test]
    fn every_reason_and_state_has_its_words() {
        for reason in DecisionReason::ALL {
            assert!(words::find(&format!("reason_{reason}"), Lang::Ja).is_some(), "{reason}");
        }
        for state in zenei_detect::rules::RuleState::ALL {
            assert!(words::find(&format!("state_{}", state.as_str()), Lang::Ja).is_some());
        }
    }
}
