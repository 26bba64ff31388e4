//! `zenei customers`: which customers are at risk of leaving (解約リスク), by the urgent incidents at their doors. Reads
//! the control database, also while a daemon runs; must not write. Called by `cmd`.
use crate::cli::customers::Customers;
use crate::config;
use crate::daemon::{contents, control};
use crate::exit::Failure;
use crate::output::{Colour, Output, escaped, table};
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_desk::{DeskClock, IncidentLog};
use zenei_incident::risk::{self, AT_RISK_FROM, Customer, HIGHEST_WEIGHS, Heat, Owned, WINDOWS_DAYS};
use zenei_store::control::RegisteredSpan;
use zenei_store::{Clock, Control, Registration};
use zenei_wire::EngineTime;

/// How many doors of a customer a table names; `--json` names all.
const DOORS_SHOWN: usize = 4;

/// Runs `customers`.
///
/// # Errors
/// Where the control database or the registry can't be read.
pub(crate) fn run(arguments: &Customers, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.common.file.config, &config::variables()).map_err(Failure::Config)?;
    let database = control::open(&loaded.config.state_dir)?;
    let broken = |error| Failure::broken("can't read the incidents", error);
    let log = IncidentLog::read(&database, Arc::default()).map_err(broken)?;
    let file = loaded.config.registry.as_ref().map(|registry| &*registry.file);
    let lines = contents::registry(file, None).map_err(Failure::Failed)?.lines;
    let spans = spans(&database, log.book.incidents().flat_map(|incident| &incident.devices))?;
    let present: BTreeMap<&str, &Registration> = lines.iter().map(|line| (line.device_id.as_str(), line)).collect();
    let owned = |lock: &str, at: EngineTime| {
        let then = spans.get(lock).and_then(|spans| line_at(spans, at));
        then.or_else(|| present.get(lock).copied()).map(owned_of)
    };
    let now = DeskClock::new(Clock::System).now();
    let found = risk::customers(log.book.incidents(), owned, now);
    let days = if arguments.days == "90" { WINDOWS_DAYS[1] } else { WINDOWS_DAYS[0] };
    let mut customers: Vec<&Customer> = found.customers.iter().filter(|one| one.over(days).heat > 0).collect();
    customers.sort_by_key(|one| std::cmp::Reverse(one.over(days).heat));
    if arguments.common.json {
        return customers.iter().try_for_each(|one| out.json(one));
    }
    if customers.is_empty() {
        out.line(format!("no customer has an urgent incident of the last {days} days"))?;
    } else {
        let rows: Vec<Vec<String>> = customers.iter().map(|one| row(one)).collect();
        let head = ["customer", "risk", "最高/高 30 d", "heat", "最高/高 90 d", "heat", "open", "doors"];
        table(&head, &rows).iter().try_for_each(|line| out.line(line))?;
    }
    source(&found, out)
}

/// Where the figures come from, and which of them are guesses.
fn source(found: &risk::Customers, out: &mut Output<'_>) -> Result<(), Failure> {
    let (days, count) = (WINDOWS_DAYS[1], found.incidents);
    out.line(format!(
        "from {count} urgent faults of {days} days in the incident log, and the registry; inquiries are not counted"
    ))?;
    let what = format!(
        "guesses: 最高 weighs {HIGHEST_WEIGHS}, 高 weighs 1, at risk from a heat of {AT_RISK_FROM} over {} days",
        WINDOWS_DAYS[0]
    );
    out.line(what)?;
    if found.unknown.is_empty() {
        return Ok(());
    }
    let warning = out.paint(Colour::Yellow, "not counted");
    let locks = found.unknown.iter().take(DOORS_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let rest = found.unknown.len().saturating_sub(DOORS_SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    out.line(format!("{warning}: the registry names no customer of {}{more}", escaped(&locks)))
}

fn row(one: &Customer) -> Vec<String> {
    let counts = |heat: Heat| format!("{}/{}", heat.highest, heat.high);
    let door = |door: &risk::Door| match (door.site.is_empty(), door.door.is_empty()) {
        (_, true) => door.device.clone(),
        (true, false) => format!("{} ({})", door.door, door.device),
        (false, false) => format!("{} {} ({})", door.site, door.door, door.device),
    };
    let mut doors: Vec<String> = one.doors.iter().take(DOORS_SHOWN).map(door).collect();
    if one.doors.len() > DOORS_SHOWN {
        doors.push(format!("and {} more", one.doors.len() - DOORS_SHOWN));
    }
    vec![
        escaped(&one.customer),
        if one.at_risk { "at risk" } else { "-" }.to_owned(),
        counts(one.days_30),
        one.days_30.heat.to_string(),
        counts(one.days_90),
        one.days_90.heat.to_string(),
        one.open.to_string(),
        escaped(&doors.join("; ")),
    ]
}

/// The registry's history of these locks.
fn spans<'a>(
    database: &Control,
    locks: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Vec<RegisteredSpan>>, Failure> {
    let mut all = BTreeMap::new();
    for lock in locks {
        if !all.contains_key(lock) {
            let spans = database.registry_of(lock);
            all.insert(lock.clone(), spans.map_err(|error| Failure::broken("can't read the registry", error))?);
        }
    }
    Ok(all)
}

/// The line that held at this time; before the first that was kept, the first.
fn line_at(spans: &[RegisteredSpan], at: EngineTime) -> Option<&Registration> {
    let held = |span: &&RegisteredSpan| span.valid_from_ms <= at.ms();
    spans.iter().rfind(held).or_else(|| spans.first()).map(|span| &span.registration)
}

fn owned_of(line: &Registration) -> Owned {
    Owned { customer: line.customer.clone(), site: line.site.clone(), door: line.door.clone() }
}
