//! N1 lead time: how long before the first customer's contact was an incident opened? Must not know how a link was
//! made. Called by the desk's HTTP API.
use super::month::Month;
use crate::incident::Incident;
use crate::inquiry::{Inquiries, first_inquiry};
use serde::Serialize;
use std::cmp::Reverse;
use zenei_wire::{EngineTime, Id};

/// The lead of the incidents that were opened in these months.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeadTime {
    /// By the month of the opening, oldest first.
    pub months: Vec<LeadMonth>,
    /// Those with an inquiry, the latest opening first.
    pub incidents: Vec<Lead>,
}

/// The incidents that were opened in one month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LeadMonth {
    /// The month.
    pub month: Month,
    /// How many were opened.
    pub opened: u64,
    /// How many of them a customer asked about.
    pub asked: u64,
    /// How many of those were opened before the customer's contact.
    pub ahead: u64,
    /// The median lead of those that a customer asked about, ms; below 0 the customer was first. Of an even number, the
    /// lower of the two in the middle.
    pub median_ms: Option<i64>,
}

/// The lead of one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lead {
    /// The incident.
    pub incident: Id,
    /// When it was opened, ms since 1970.
    pub opened_ms: i64,
    /// The first contact, ms since 1970.
    pub first_inquiry_ms: i64,
    /// The first contact minus the opening, ms; below 0 the customer was first.
    pub lead_ms: i64,
}

/// The figure over the month of `now` and `months - 1` before it.
pub fn lead_time<'a>(
    incidents: impl IntoIterator<Item = &'a Incident>,
    rows: &Inquiries,
    months: u32,
    now: EngineTime,
) -> LeadTime {
    let months = Month::up_to(now, months);
    let mut opened = vec![0; months.len()];
    let mut leads: Vec<Vec<i64>> = vec![Vec::new(); months.len()];
    let mut found = LeadTime::default();
    for incident in incidents {
        let Ok(at) = months.binary_search(&Month::of_ms(incident.opened.ms())) else { continue };
        opened[at] += 1;
        let Some(first) = first_inquiry(incident, rows) else { continue };
        let (opened_ms, lead_ms) = (incident.opened.ms(), first.saturating_sub(incident.opened.ms()));
        leads[at].push(lead_ms);
        found.incidents.push(Lead { incident: incident.id, opened_ms, first_inquiry_ms: first, lead_ms });
    }
    found.incidents.sort_by_key(|lead| (Reverse(lead.opened_ms), lead.incident));
    let of_month = |((month, opened), mut leads): ((Month, u64), Vec<i64>)| {
        leads.sort_unstable();
        let ahead = leads.iter().filter(|&&lead| lead > 0).count();
        let median_ms = leads.get(leads.len().saturating_sub(1) / 2).copied();
        LeadMonth { month, opened, asked: leads.len() as u64, ahead: ahead as u64, median_ms }
    };
    found.months = months.into_iter().zip(opened).zip(leads).map(of_month).collect();
    found
}
