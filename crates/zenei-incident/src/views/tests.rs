//! The figures against a slow computation of their own: text months from a calendar of their own, every pair compared.
use super::*;
use crate::event::{ActionKind, ActionStatus, Event, StatusChanged, TempFixDone, Verdict, What};
use crate::incident::{ActionItem, Channel, Incident};
use crate::inquiry::{Inquiries, Inquiry};
use crate::{Casebook, Policy, Status};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::Urgency;
use zenei_kit::anomaly;
use zenei_wire::{EngineTime, Id};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
/// 2026-11-30 00:00 in Japan.
const NOW: EngineTime = EngineTime(1_795_964_400_000);

/// The month of an instant in Japan, by counting years and months; independent of the calendar that the product uses.
fn month_of(ms: i64) -> String {
    let mut days = (ms + 9 * HOUR_MS).div_euclid(DAY_MS);
    let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut year = 1970;
    while days < 0 {
        year -= 1;
        days += 365 + i64::from(is_leap(year));
    }
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}")
}

/// The months up to [`NOW`], found by walking back a day at a time.
fn months_before(count: usize) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut at = NOW.ms();
    while found.len() < count {
        let month = month_of(at);
        if found.last() != Some(&month) {
            found.push(month);
        }
        at -= DAY_MS;
    }
    found.reverse();
    found
}

fn inquiry(id: u8, days: f64, customer: u8, urgency: Option<Urgency>) -> Inquiry {
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred days")]
    let received_ms = NOW.ms() - (days * 86_400_000.0) as i64;
    let (customer, device_id) = (format!("customer {customer}"), None);
    Inquiry { id: format!("q{id}"), received_ms, customer, device_id, urgency, text: String::new() }
}

fn an_inquiry() -> impl Strategy<Value = Inquiry> {
    let urgency = prop_oneof![
        Just(None),
        Just(Some(Urgency::Low)),
        Just(Some(Urgency::Medium)),
        Just(Some(Urgency::High)),
        Just(Some(Urgency::Highest))
    ];
    // Ids come again: a fifth of the rows are later versions of others.
    (0..60_u8, 0.0..200.0, 0..4_u8, urgency)
        .prop_map(|(id, days, customer, urgency)| inquiry(id, days, customer, urgency))
}

/// An incident of this id, opened so many hours before [`NOW`].
fn opened(id: u64, hours: i64) -> Incident {
    let mut book = Casebook::default();
    let mut draft = book.draft();
    draft.decide(&anomaly("motor_effort", "A", 5)).unwrap();
    let changes = draft.into_changes();
    book.absorb(changes);
    let mut incident = book.incidents().next().unwrap().clone();
    (incident.id, incident.opened) = (Id(u128::from(id)), EngineTime(NOW.ms() - hours * HOUR_MS));
    incident
}

#[derive(Clone, Debug)]
struct Told {
    opened_h: i64,
    fixed_h: Option<i64>,
    held_after_h: Option<i64>,
    is_false: bool,
    has_channel: bool,
    links: BTreeSet<u8>,
    items: Vec<(u8, u8, Option<i64>)>,
}

fn told() -> impl Strategy<Value = Told> {
    let item = (0..5_u8, 0..3_u8, prop::option::of(-50..50_i64));
    (
        0..5_000_i64,
        prop::option::of(0..3_000_i64),
        prop::option::of(-100..600_i64),
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::collection::btree_set(0..60_u8, 0..4),
        prop::collection::vec(item, 0..5),
    )
        .prop_map(|(opened_h, fixed_h, held_after_h, is_false, has_channel, links, items)| Told {
            opened_h,
            fixed_h,
            held_after_h,
            is_false,
            has_channel,
            links,
            items,
        })
}

fn incident(at: usize, told: &Told, rows: &[Inquiry]) -> Incident {
    let mut incident = opened(at as u64, told.opened_h);
    let time = |told: i64| EngineTime(NOW.ms() - told * HOUR_MS);
    incident.verdict = told.is_false.then_some(Verdict::FalsePositive);
    let held = told.fixed_h.zip(told.held_after_h).map(|(fixed, after)| time(fixed - after));
    incident.postmortem_held = held;
    if told.has_channel {
        let channel = Channel { channel: "C1".into(), url: String::new() };
        incident.channels.insert("room".into(), channel);
    }
    for link in &told.links {
        let id = format!("q{link}");
        if let Some(row) = rows.iter().rfind(|row| row.id == id) {
            incident.inquiries.insert(id, row.received_ms);
        }
    }
    for (at, &(kind, status, due_d)) in told.items.iter().enumerate() {
        let kind = ActionKind::at(kind).unwrap();
        let due_ms = due_d.map(|days| NOW.ms() + days * DAY_MS);
        let status = ActionStatus::at(status).unwrap();
        incident
            .action_items
            .insert(at.to_string(), ActionItem { text: "x".into(), kind, owner: None, due_ms, status });
    }
    incident
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_trend_of_inquiries_equals_a_count_over_every_row(rows in prop::collection::vec(an_inquiry(), 0..80)) {
        let found = inquiries(&rows, 4, NOW);
        let months = months_before(4);
        let shown: Vec<String> = found.months.iter().map(Month::to_string).collect();
        prop_assert_eq!(&shown, &months);
        let is_last = |at: usize| rows[at + 1..].iter().all(|later| later.id != rows[at].id);
        let count = |customer: &str, month: &str, urgency: Urgency| {
            (0..rows.len()).filter(|&at| is_last(at) && rows[at].customer == customer && month_of(rows[at].received_ms) == month
                && rows[at].urgency == Some(urgency)).count() as u64
        };
        for customer in ["customer 0", "customer 1", "customer 2", "customer 3"] {
            let row = found.customers.iter().find(|row| row.customer == customer);
            let mut sum = 0;
            for (at, month) in months.iter().enumerate() {
                let wanted = (count(customer, month, Urgency::Highest), count(customer, month, Urgency::High));
                let shown = row.map_or((0, 0), |row| (row.by_month[at].highest, row.by_month[at].high));
                prop_assert_eq!(shown, wanted, "{} in {}", customer, month);
                sum += wanted.0 + wanted.1;
            }
            prop_assert_eq!(row.map_or(0, |row| row.highest + row.high), sum);
        }
        let in_window = |at: &usize| months.contains(&month_of(rows[*at].received_ms));
        let untriaged = (0..rows.len()).filter(|&at| is_last(at) && rows[at].urgency.is_none()).filter(in_window).count();
        prop_assert_eq!(found.untriaged, untriaged as u64);
    }

    #[test]
    fn the_channel_rate_equals_a_comparison_of_every_pair(
        rows in prop::collection::vec(an_inquiry(), 0..60), all in prop::collection::vec(told(), 0..20),
    ) {
        let incidents: Vec<Incident> = all.iter().enumerate().map(|(at, told)| incident(at, told, &rows)).collect();
        let found = channel_rate(&rows, &incidents, 6, NOW);
        let last: Vec<&Inquiry> =
            (0..rows.len()).filter(|&at| rows[at + 1..].iter().all(|later| later.id != rows[at].id)).map(|at| &rows[at]).collect();
        for (month, of) in months_before(6).iter().zip(&found) {
            for (urgency, shown) in [(Urgency::Highest, of.highest), (Urgency::High, of.high)] {
                let asked: Vec<&&Inquiry> = last
                    .iter()
                    .filter(|row| row.urgency == Some(urgency) && month_of(row.received_ms) == *month)
                    .collect();
                let with = asked
                    .iter()
                    .filter(|row| {
                        all.iter().any(|told| told.has_channel && told.links.iter().any(|link| format!("q{link}") == row.id))
                    })
                    .count();
                prop_assert_eq!(shown, Share { part: with as u64, of: asked.len() as u64 });
            }
        }
    }

    #[test]
    fn the_postmortem_rate_equals_a_count_by_hours(all in prop::collection::vec(told(), 0..40)) {
        let incidents: Vec<Incident> = all.iter().enumerate().map(|(at, told)| incident(at, told, &[])).collect();
        let events: Vec<Option<Event>> = all.iter().enumerate().map(|(at, told)| told.fixed_h.map(|fixed| Event {
            incident: Id(at as u128), seq: 1, at: EngineTime(NOW.ms() - fixed * HOUR_MS), what: TempFixDone { by: "a".into() }.into(),
        })).collect();
        let cases = incidents.iter().zip(&events).map(|(incident, event)| Case::of(incident, event));
        let found = postmortem_rate(cases, 5, NOW);
        for (month, shown) in months_before(5).iter().zip(&found) {
            prop_assert_eq!(month, &shown.month.to_string());
            let (mut held, mut of, mut immature) = (0, 0, 0);
            for told in &all {
                let Some(fixed_h) = told.fixed_h else { continue };
                if told.is_false || month_of(NOW.ms() - fixed_h * HOUR_MS) != *month {
                    continue;
                }
                match fixed_h >= 14 * 24 {
                    true => (held, of) = (held + u64::from(told.held_after_h.is_some_and(|after| after <= 14 * 24)), of + 1),
                    false => immature += 1,
                }
            }
            prop_assert_eq!((shown.held.part, shown.held.of, shown.immature), (held, of, immature));
        }
    }

    #[test]
    fn the_action_rate_equals_a_count_of_every_item(all in prop::collection::vec(told(), 0..40)) {
        let incidents: Vec<Incident> = all.iter().enumerate().map(|(at, told)| incident(at, told, &[])).collect();
        let items = || all.iter().flat_map(|told| &told.items);
        for (place, shown) in (0_u8..).zip(action_rate(&incidents, NOW)) {
            let of = |status: u8| items().filter(|item| item.0 == place && item.1 == status).count() as u64;
            let late = items().filter(|item| item.0 == place && item.1 == 0 && item.2.is_some_and(|days| days < 0)).count();
            prop_assert_eq!(shown.closed, Share { part: of(1), of: of(0) + of(1) });
            prop_assert_eq!((shown.skipped, shown.overdue), (of(2), late as u64));
        }
    }

    #[test]
    fn the_lead_time_equals_a_search_over_every_pair(
        rows in prop::collection::vec(an_inquiry(), 0..60), all in prop::collection::vec(told(), 0..30),
    ) {
        let incidents: Vec<Incident> = all.iter().enumerate().map(|(at, told)| incident(at, told, &rows)).collect();
        let found = lead_time(&incidents, &Inquiries::default(), 8, NOW);
        for (month, shown) in months_before(8).iter().zip(&found.months) {
            let of_month: Vec<&Incident> = incidents.iter().filter(|one| month_of(one.opened.ms()) == *month).collect();
            let mut leads: Vec<i64> = of_month
                .iter()
                .filter_map(|one| one.inquiries.values().min().map(|first| first - one.opened.ms()))
                .collect();
            leads.sort_by(|one, other| other.cmp(one));
            let ahead = leads.iter().filter(|lead| **lead > 0).count() as u64;
            prop_assert_eq!((shown.opened, shown.asked, shown.ahead), (of_month.len() as u64, leads.len() as u64, ahead));
            prop_assert_eq!(shown.median_ms, leads.get(leads.len() / 2).copied());
        }
        let opened: Vec<i64> = found.incidents.iter().map(|lead| lead.opened_ms).collect();
        prop_assert!(opened.is_sorted_by(|one, other| one >= other));
    }
}

#[test]
fn a_month_begins_at_midnight_in_japan() {
    // 2026-11-01 00:00 in Japan is 15:00 of the day before in UTC.
    let midnight = 1_793_458_800_000;
    assert_eq!(Month::of_ms(midnight).to_string(), "2026-11");
    assert_eq!(Month::of_ms(midnight - 1).to_string(), "2026-10");
    assert_eq!((Month::of_ms(i64::MIN).month(), Month::of_ms(i64::MAX).month()), (1, 12));
    let months: Vec<String> = Month::up_to(EngineTime(midnight), 12).iter().map(Month::to_string).collect();
    assert_eq!((months.first().unwrap().as_str(), months.len()), ("2025-12", 12));
}

#[test]
fn the_progress_says_how_long_an_incident_waits_and_where() {
    let mut calm = opened(1, 48);
    calm.urgency = Urgency::Low;
    let mut urgent = opened(2, 24);
    (urgent.urgency, urgent.owner) = (Urgency::Highest, Some("mori".into()));
    let done = Incident { status: Status::Close, ..opened(3, 2) };
    let changed = StatusChanged { to: Status::Fixing, by: "a".into() };
    let event = |at: i64, what: What| Event { incident: Id(2), seq: 1, at: EngineTime(NOW.ms() - at), what };
    let note = crate::event::Note { text: "x".into(), by: "a".into() };
    let events = [event(7 * HOUR_MS, changed.into()), event(2 * HOUR_MS, note.into())];
    let cases = [Case::of(&calm, []), Case::of(&urgent, &events), Case::of(&done, [])];
    let waiting = BTreeMap::from([(Id(1), NOW.ms() - 5_000)]);
    let found = progress(cases, &Policy::default(), &waiting, NOW);
    assert_eq!(found.iter().map(|row| row.incident).collect::<Vec<_>>(), [Id(2), Id(1)]);
    assert_eq!((found[0].age_ms, found[0].in_status_ms), (24 * HOUR_MS, 7 * HOUR_MS));
    assert_eq!((found[0].last_note_age_ms, found[0].sync_lag_ms), (Some(2 * HOUR_MS), None));
    assert_eq!((found[1].in_status_ms, found[1].sync_lag_ms), (48 * HOUR_MS, Some(5_000)));
    assert_eq!(found[0].owner.as_deref(), Some("mori"));
}

#[test]
fn a_share_of_nothing_is_no_fraction() {
    assert_eq!(Share::default().fraction(), None);
    assert_eq!(Share { part: 1, of: 4 }.fraction(), Some(0.25));
}
