//! Which customers are at risk of leaving, for the board. The figures walk every lock of the urgent incidents and look
//! each up in the registry's history: they are made anew at most once a minute, beside the pages, and a page shows the
//! last ones with their time. Must not know a page.
use crate::SharedDesk;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use zenei_incident::Incident;
use zenei_incident::risk::{self, Owned, WINDOWS_DAYS};
use zenei_store::control::{ControlError, RegisteredSpan};
use zenei_wire::EngineTime;

/// How old the figures may be before they are made anew, ms. A guess: they change with incidents, by the hour.
const AGE_MAX_MS: i64 = 60_000;
/// The most locks that are looked up; a fault of the whole fleet has more, and then the figures say so. A guess: about
/// a second of look-ups.
const LOCKS_MAX: usize = 20_000;
/// The most customers that are shown.
const SHOWN_MAX: usize = 12;

/// The figures of a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct AtRisk {
    /// When they were made, ms since 1970.
    pub(crate) at_ms: i64,
    /// The hottest customers first, at most twelve.
    pub(crate) customers: Vec<CustomerRow>,
    /// How many customers have urgent incidents.
    pub(crate) total: usize,
    /// How many of them are at risk.
    pub(crate) at_risk: usize,
    /// Locks with urgent incidents whose customer the registry does not name.
    pub(crate) unknown: usize,
    /// Whether locks were left out, because there were too many.
    pub(crate) is_cut: bool,
}

/// A customer, as the board shows one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CustomerRow {
    pub(crate) customer: String,
    pub(crate) at_risk: bool,
    pub(crate) highest: u32,
    pub(crate) high: u32,
    pub(crate) heat: u32,
    pub(crate) heat_90: u32,
    pub(crate) open: u32,
    pub(crate) doors: usize,
}

/// The last figures; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Customers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: Option<Arc<AtRisk>>,
    is_counting: bool,
}

impl Customers {
    /// The figures, not older than a minute unless another caller is making them. Blocks while it makes them itself.
    ///
    /// # Errors
    /// Where the registry can't be read.
    pub(crate) fn figures(&self, desk: &SharedDesk, now: EngineTime) -> Result<Arc<AtRisk>, ControlError> {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = &state.last
                && (state.is_counting || now.ms().saturating_sub(last.at_ms) < AGE_MAX_MS)
            {
                return Ok(Arc::clone(last));
            }
            state.is_counting = true;
        }
        let made = count(desk, now).map(Arc::new);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_counting = false;
        if let Ok(made) = &made {
            state.last = Some(Arc::clone(made));
        }
        made
    }
}

fn count(desk: &SharedDesk, now: EngineTime) -> Result<AtRisk, ControlError> {
    let from = now.ms().saturating_sub(i64::from(WINDOWS_DAYS[1]) * 24 * 3_600_000);
    let mut left = LOCKS_MAX;
    let mut is_cut = false;
    let incidents: Vec<Incident> = {
        let incidents = desk.incidents();
        let book = incidents.read();
        let recent = book.incidents().filter(|incident| incident.opened.ms() >= from);
        let mut kept = Vec::new();
        for incident in recent {
            match left.checked_sub(incident.devices.len()) {
                Some(rest) => {
                    left = rest;
                    kept.push(incident.clone());
                }
                None => is_cut = true,
            }
        }
        kept
    };
    let mut spans: BTreeMap<&str, Vec<RegisteredSpan>> = BTreeMap::new();
    for lock in incidents.iter().flat_map(|incident| &incident.devices) {
        if !spans.contains_key(lock.as_str()) {
            // The driver is free again between two locks.
            spans.insert(lock, desk.lock().control().registry_of(lock)?);
        }
    }
    let owned = |lock: &str, at: EngineTime| {
        let all = spans.get(lock)?;
        let held = all.iter().rfind(|span| span.valid_from_ms <= at.ms()).or_else(|| all.first())?;
        let line = &held.registration;
        Some(Owned { customer: line.customer.clone(), site: line.site.clone(), door: line.door.clone() })
    };
    let found = risk::customers(incidents.iter(), owned, now);
    let row = |one: &risk::Customer| CustomerRow {
        customer: one.customer.clone(),
        at_risk: one.at_risk,
        highest: one.days_30.highest,
        high: one.days_30.high,
        heat: one.days_30.heat,
        heat_90: one.days_90.heat,
        open: one.open,
        doors: one.doors.len(),
    };
    Ok(AtRisk {
        at_ms: now.ms(),
        total: found.customers.len(),
        at_risk: found.customers.iter().filter(|one| one.at_risk).count(),
        customers: found.customers.iter().take(SHOWN_MAX).map(row).collect(),
        unknown: found.unknown.len(),
        is_cut,
    })
}
