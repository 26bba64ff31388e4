//! V2 インシデントchの立ち上げ率: for how many urgent inquiries was a channel opened? Must not know who opens one. Called
//! by the desk's HTTP API.
use super::inquiries::latest;
use super::month::Month;
use super::share::Share;
use crate::incident::Incident;
use crate::inquiry::Inquiry;
use serde::Serialize;
use std::collections::BTreeSet;
use zenei_detect::Urgency;
use zenei_wire::EngineTime;

/// The urgent inquiries of one month; the part has a link to an incident with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelMonth {
    /// The month of the customer's contact.
    pub month: Month,
    /// Those of urgency 最高.
    pub highest: Share,
    /// Those of urgency 高.
    pub high: Share,
}

/// The figure over the month of `now` and `months - 1` before it, oldest first. A link that was removed does not count.
pub fn channel_rate<'a>(
    rows: &[Inquiry],
    incidents: impl IntoIterator<Item = &'a Incident>,
    months: u32,
    now: EngineTime,
) -> Vec<ChannelMonth> {
    let with_channel = incidents.into_iter().filter(|incident| !incident.channels.is_empty());
    let linked: BTreeSet<&str> =
        with_channel.flat_map(|incident| incident.inquiries.keys()).map(String::as_str).collect();
    let empty = |month| ChannelMonth { month, highest: Share::default(), high: Share::default() };
    let mut found: Vec<ChannelMonth> = Month::up_to(now, months).into_iter().map(empty).collect();
    for (id, row) in latest(rows) {
        let month = Month::of_ms(row.received_ms);
        let Some(of) = found.iter_mut().find(|of| of.month == month) else { continue };
        match row.urgency {
            Some(Urgency::Highest) => of.highest.count(linked.contains(id)),
            Some(Urgency::High) => of.high.count(linked.contains(id)),
            Some(Urgency::Medium | Urgency::Low) | None => {}
        }
    }
    found
}
