//! The board (全体把握): what is open, where and how urgent; what was seen and did not open; which customers are at risk;
//! what false alarms are left; how the records flow. Must not know how a page is drawn. Mounted by [`super::routes`].
use super::budget;
use super::look::Look;
use super::render::shape;
use super::row::IncidentRow;
use super::{Fault, Shown};
use crate::causes;
use axum::extract::State;
use axum::response::Response;
use minijinja::{Value, context};
use serde::Serialize;
use std::collections::BTreeMap;
use zenei_detect::{Decision, Domain, Urgency};
use zenei_incident::message::Lang;
use zenei_wire::EngineTime;

/// The most open incidents that the board lists; the list of incidents has all. A guess: two screens.
const OPEN_SHOWN: usize = 40;
/// How many of the latest decisions are grouped. A guess: more are a matter for the rules' pages.
const DECISIONS_READ: u32 = 500;
/// The most groups of decisions that are shown.
const GROUPS_SHOWN: usize = 12;

/// What the board counts of the open incidents.
#[derive(Clone, Debug, Default, Serialize)]
struct Open {
    total: usize,
    /// Not yet looked at by a person.
    unseen: usize,
    muted: usize,
    /// By domain, then urgency, each from the highest.
    domains: Vec<DomainRow>,
    /// The services that have an open incident, by name; `None`: the policy names none.
    services: Vec<Option<String>>,
    rows: Vec<IncidentRow>,
}

#[derive(Clone, Debug, Serialize)]
struct DomainRow {
    domain: &'static str,
    /// Counts by urgency over all services.
    all: Vec<Count>,
    /// The same for each of the services.
    cells: Vec<Vec<Count>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Count {
    urgency: &'static str,
    count: usize,
}

/// Decisions of one rule for one reason.
#[derive(Clone, Debug, Serialize)]
struct Candidates {
    rule: String,
    reason: &'static str,
    count: usize,
    latest_ms: i64,
    why: String,
    place: String,
}

/// Answers with the board.
pub(super) async fn show(State(shown): State<Shown>, look: Look) -> Response {
    shown.draw(look, make).await
}

fn make(shown: &Shown, look: &Look) -> Result<Response, Fault> {
    let (handles, lang) = (&shown.handles, shown.pages.lang(look));
    let now = handles.clock.now();
    let locks = handles.history.locks(&Default::default()).map_or(0, |page| page.total);
    let (open, mut budgets) = {
        let book = handles.incidents.read();
        let open = Open::of(book.incidents().filter(|incident| incident.is_open()), shown, lang);
        (open, budget::budgets(&book, &handles.rules, locks, now, lang))
    };
    budgets.retain(|one| one.opened > 0 || one.is_overspent());
    let desk = handles.desk.as_ref();
    let broken = |error: zenei_store::control::ControlError| Fault::broken(&error);
    let (candidates, doubts) = match desk {
        Some(desk) => {
            let desk = desk.lock();
            let decisions = desk.control().latest_decisions(DECISIONS_READ).map_err(broken)?;
            let doubts = causes::doubted(desk.control(), &handles.rules, now).map_err(broken)?;
            (grouped(&decisions, lang), doubts.into_iter().map(|doubt| doubt.why).collect())
        }
        None => (Vec::new(), Vec::<String>::new()),
    };
    let customers = desk.map(|desk| shown.customers.figures(desk, now)).transpose().map_err(broken)?;
    let waiting = desk.map_or_else(|| Ok(Vec::new()), |desk| desk.lock().control().waiting()).map_err(broken)?;
    let outbox: Vec<Value> = waiting
        .into_iter()
        .map(|one| {
            context! { target => one.target, waiting => one.waiting, failing => one.failing, remark => one.remark }
        })
        .collect();
    let context = context! {
        now_ms => now.ms(),
        is_desk => desk.is_some(),
        open => shape(&open),
        open_more => open.total.saturating_sub(open.rows.len()),
        candidates => shape(&candidates),
        doubts,
        customers => customers.as_deref().map(shape),
        budgets => shape(&budgets),
        locks,
        ingest => ingest(shown, now),
        outbox,
    };
    Ok(shown.pages.page("board.html", look, context))
}

impl Open {
    fn of<'a>(incidents: impl Iterator<Item = &'a zenei_incident::Incident>, shown: &Shown, lang: Lang) -> Self {
        let mut all: Vec<&zenei_incident::Incident> = incidents.collect();
        all.sort_by_key(|incident| (std::cmp::Reverse(incident.urgency), std::cmp::Reverse(incident.opened)));
        let mut services: Vec<Option<String>> = all.iter().map(|incident| incident.service.clone()).collect();
        services.sort();
        services.dedup();
        let counts = |fits: &dyn Fn(&zenei_incident::Incident) -> bool| {
            let count = |urgency: Urgency| Count {
                urgency: urgency.as_str(),
                count: all.iter().filter(|incident| incident.urgency == urgency && fits(incident)).count(),
            };
            Urgency::ALL.iter().rev().copied().map(count).collect::<Vec<_>>()
        };
        let row = |domain: &Domain| DomainRow {
            domain: domain.as_str(),
            all: counts(&|incident| incident.domain == *domain),
            cells: services
                .iter()
                .map(|service| counts(&|incident| incident.domain == *domain && incident.service == *service))
                .collect(),
        };
        Self {
            total: all.len(),
            unseen: all.iter().filter(|incident| incident.acknowledged_by.is_none()).count(),
            muted: all.iter().filter(|incident| incident.muted.is_some()).count(),
            domains: Domain::ALL.iter().map(row).collect(),
            rows: all.iter().take(OPEN_SHOWN).map(|one| IncidentRow::of(one, &shown.handles.policy, lang)).collect(),
            services,
        }
    }
}

/// Decisions by rule and reason, the most frequent first.
fn grouped(decisions: &[Decision], lang: Lang) -> Vec<Candidates> {
    let mut groups: BTreeMap<(&str, &'static str), Candidates> = BTreeMap::new();
    for decision in decisions {
        let reason = decision.reason.as_str();
        let group = groups.entry((&decision.rule, reason)).or_insert_with(|| Candidates {
            rule: decision.rule.clone(),
            reason,
            count: 0,
            latest_ms: decision.at.ms(),
            why: decision.told(),
            place: zenei_incident::message::place_word(&decision.scope, lang),
        });
        group.count += 1;
    }
    let mut groups: Vec<Candidates> = groups.into_values().collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.count), std::cmp::Reverse(group.latest_ms)));
    groups.truncate(GROUPS_SHOWN);
    groups
}

/// How the records flow, and what each part of the process says of itself.
fn ingest(shown: &Shown, now: EngineTime) -> Value {
    let handles = &shown.handles;
    let ledger = handles.ledger.borrow().clone();
    let parts: Vec<Value> = handles
        .readiness
        .parts()
        .into_iter()
        .map(|part| context! { name => part.name, is_ready => part.is_ready, why => part.why })
        .collect();
    let gateways = handles.history.gateways().map_or(0, |all| all.len());
    context! {
        received => ledger.received_total(),
        stored => ledger.stored,
        pending => ledger.pending,
        duplicate => ledger.duplicate,
        dead_letters => ledger.dead_letter_total(),
        dropped => ledger.dropped_total(),
        late => ledger.late,
        lag => handles.shipped.as_ref().map(|_| ledger.ship_lag_records),
        is_ready => *handles.ready.borrow() && handles.readiness.parts().iter().all(|part| part.is_ready),
        parts,
        gateways,
        up_ms => now.ms().saturating_sub(handles.started.ms()),
    }
}
