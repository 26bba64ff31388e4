//! The pages of locks, the fleet, rules and what is heard: nothing that comes from outside is markup on them, each says
//! what is missing where nothing is there, in both languages, and the times of operations stay private.
use super::*;
use crate::http::gate::{Caller, How, Role};
use crate::{DeskClock, Incidents, Metric, MetricValue};
use axum::body::to_bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use lock_figures::Window;
use minijinja::{Value, context};
use std::collections::BTreeMap;
use std::sync::Arc;
use zenei_detect::Rules;
use zenei_incident::message::Lang;
use zenei_store::Clock;
use zenei_store::history::*;

/// Markup, an attribute's end, a template's syntax, an escape of a terminal, a mark of direction.
const HOSTILE: &str = "<script>x</script>\"'{{t.nav}}\u{1b}[31m\u{202e}&lt;";

fn shown() -> Shown {
    let clock = DeskClock::new(Clock::simulated(zenei_wire::GatewayTime(1_796_040_000_000)));
    let rules = Arc::new(Rules::embedded().unwrap());
    let handles = Handles::of(Incidents::default(), clock, rules);
    let pages = Pages::new(Lang::En, TimeZone::get("Asia/Tokyo").unwrap(), "gw-1").unwrap();
    Shown { pages, handles, customers: customers::Customers::default(), offered: Default::default() }
}

fn look(lang: Lang, residents: bool) -> Look {
    let caller = Caller { name: "ada".into(), role: Role::Viewer, residents, how: How::Token };
    Look { lang: Some(lang), caller: Some(caller), ..Look::default() }
}

fn query(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn body(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 22).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

fn span(mean: f64) -> Option<Span> {
    Some(Span { min: mean - 1.0, mean, max: mean + 1.0, count: 4 })
}

fn hostile() -> String {
    HOSTILE.to_owned()
}

fn lock_now() -> LockNow {
    LockNow {
        device_id: hostile(),
        site: hostile(),
        gateway: hostile(),
        model: hostile(),
        hw_rev: hostile(),
        lot: hostile(),
        fw: hostile(),
        service: hostile(),
        heard_ms: 1_796_030_000_000,
        battery_pct: Some(40),
        battery_mv: Some(2_870),
        rssi_dbm: Some(-70),
        records: 9,
        errors_7d: 2,
        authenticated: false,
        battery_due: Some(Due { early_days: 3.0, likely_days: 9.0, late_days: 30.0 }),
    }
}

fn lock_history() -> LockHistory {
    let bucket = Bucket {
        start_ms: 1_796_000_000_000,
        length_ms: 21_600_000,
        battery_mv: span(2_900.0),
        battery_pct: span(41.0),
        temp_c: span(11.0),
        operations: 3,
        failed: 1,
        errors: BTreeMap::from([(hostile(), 2)]),
        ..Bucket::default()
    };
    let profile = Profile {
        at_ms: 1_796_030_123_000,
        kind: hostile(),
        result: hostile(),
        current_ma: vec![100, 300, 200],
        step_ms: 20,
    };
    LockHistory {
        now: lock_now(),
        buckets: vec![bucket],
        firmware: vec![Firmware { at_ms: 1_796_010_000_000, from: hostile(), to: hostile() }],
        profiles: vec![profile.clone(), profile],
    }
}

fn concern() -> concerns::Concern {
    concerns::Concern {
        id: zenei_wire::Id::of(&[b"1"]),
        href: "/incidents/1".to_owned(),
        title: hostile(),
        urgency: "highest",
        status: "investigating",
        opened_ms: 1_796_000_000_000,
        ended_ms: None,
        is_failing_battery: false,
    }
}

fn lock_page(lock: &LockHistory, shows_operations: bool, lang: Lang) -> Value {
    let zone = TimeZone::get("Asia/Tokyo").unwrap();
    let window = Window { from_ms: 1_795_000_000_000, to_ms: 1_796_040_000_000, zone };
    lock::Page { lock, window, days: 30, shows_operations, concerns: vec![concern()], lang }.context()
}

#[test]
fn an_estimate_gives_way_to_an_open_incident_about_the_battery() {
    let now = LockNow { device_id: "BL1".to_owned(), ..LockNow::default() };
    let lock = LockHistory { now, ..LockHistory::default() };
    let told = words::find("lock_due_failing", Lang::En).unwrap();
    let shown = shown();
    for is_failing_battery in [true, false] {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        let window = Window { from_ms: 1_795_000_000_000, to_ms: 1_796_040_000_000, zone };
        let concerns = vec![concerns::Concern { is_failing_battery, ..concern() }];
        let page = lock::Page { lock: &lock, window, days: 30, shows_operations: false, concerns, lang: Lang::En };
        let text = shown.pages.text("lock.html", &look(Lang::En, false), page.context()).unwrap();
        assert_eq!(text.contains(told), is_failing_battery);
    }
}

/// Every page of this file with hostile values everywhere.
fn hostile_pages(lang: Lang) -> Vec<(&'static str, Value)> {
    let page = LockPage { locks: vec![lock_now()], total: 1, next: Some(hostile()) };
    let counts = vec![(hostile(), 7), (hostile(), 3)];
    let values = BTreeMap::from([(Dimension::Fw, counts.clone())]);
    let past = fleet::Past { page: page.clone(), values: Arc::new(values), up_to_ms: 0 };
    let asked = fleet::Asked::read(&query(&[("site", HOSTILE), ("text", HOSTILE), ("battery_below", HOSTILE)]));
    let shown = shown();
    let seen = gateways::Seen {
        gateways: vec![GatewayNow { id: hostile(), site: hostile(), version: hostile(), ..GatewayNow::default() }],
        incidents: BTreeMap::from([(hostile(), "/incidents/0".to_owned())]),
        ..gateways::Seen::default()
    };
    let reception = Reception { device_id: hostile(), gateway: hostile(), ..Reception::default() };
    let metric = Metric {
        name: "zenei_ble_x",
        help: "Heard",
        value: MetricValue::Levels { label: "l", levels: vec![(hostile(), 1)] },
    };
    let letter = DeadLetterShown {
        reason: hostile(),
        detail: hostile(),
        topic: hostile(),
        bytes: HOSTILE.as_bytes().to_vec(),
        length: 9_000,
        ..DeadLetterShown::default()
    };
    let hits = [
        Hit { kind: HitKind::Lock, value: hostile(), locks: 1 },
        Hit { kind: HitKind::Cohort(Dimension::Site), value: hostile(), locks: 4 },
    ];
    let pair = compare::Pair::read(&query(&[("a", HOSTILE), ("b", "other")]));
    let interval = Some(Interval { low: 0.1, value: 0.2, high: 0.3 });
    let row = ComparedRow { what: Measure::FailedShare, unit: "1", a: interval, b: interval, difference: interval };
    let group = |value: &str| Group { value: value.to_owned(), locks: 3, read: 2, ..Group::default() };
    let compared = Compared { a: group(HOSTILE), b: group(HOSTILE), rows: vec![row] };
    let bucket = CohortBucket { operations: 4, failed: 1, locks: 2, length_ms: 1, ..CohortBucket::default() };
    let cohort = CohortHistory { buckets: vec![bucket] };
    let figures = pair.figures(&shown.handles.zone, 1_796_040_000_000, [&cohort, &cohort]);
    let no_rows: Vec<Value> = Vec::new();
    vec![
        ("lock.html", lock_page(&lock_history(), true, lang)),
        ("fleet.html", fleet::view(&asked, &past, 1_796_040_000_000, lang)),
        ("batteries.html", batteries::view(&page, 30, 1_796_040_000_000)),
        ("compare.html", context! { ..pair.form(&counts), ..pair.context(&compared, &figures, lang) }),
        ("gateways.html", context! { here => gateways::here(&shown, 1_796_040_000_000), ..gateways::view(&seen) }),
        ("ble.html", ble::view(vec![reception], &[metric])),
        ("dead_letters.html", dead_letters::view(&[letter], [(HOSTILE, 3)].into_iter(), Some(HOSTILE))),
        (
            "search.html",
            context! { is_asked => true, concerns => no_rows.clone(), rules => no_rows, now => 0, ..search::view(HOSTILE, &hits) },
        ),
    ]
}

#[test]
fn what_comes_from_outside_is_text_on_every_page() {
    let shown = shown();
    for lang in [Lang::En, Lang::Ja] {
        for (template, context) in hostile_pages(lang) {
            let text = shown.pages.text(template, &look(lang, true), context).unwrap();
            assert!(text.contains("&lt;script&gt;x&lt;"), "{template} does not show the value at all");
            for forbidden in ["<script>x", "\"'{{", "\u{1b}", "\u{202e}", "'{{t.nav}}\u{1b}"] {
                assert!(!text.contains(forbidden), "{template} has {forbidden:?}");
            }
        }
    }
}

#[test]
fn a_page_is_in_one_language_to_its_last_part() {
    let shown = shown();
    for (template, context) in hostile_pages(Lang::Ja) {
        let text = shown.pages.text(template, &look(Lang::Ja, true), context).unwrap();
        let text = text.replace("Bluetooth", "");
        for english in [
            "not authenticated",
            "Last heard",
            "operations over each other",
            "silent",
            "highest<",
            "investigating",
            "Gateway<",
        ] {
            assert!(!text.contains(english), "{template} says {english:?} in Japanese");
        }
    }
}

#[test]
fn when_a_door_was_opened_is_told_to_those_who_may_see_it_only() {
    let shown = shown();
    let page = |residents| {
        let context = lock_page(&lock_history(), residents, Lang::En);
        shown.pages.text("lock.html", &look(Lang::En, residents), context).unwrap()
    };
    // 2026-11-30 18:15:23 JST, and the same for machines.
    assert!(page(true).contains("18:15"));
    let without = page(false);
    assert!(!without.contains("18:15") && !without.contains("T09:15:23"), "the time of an operation is shown");
    assert!(without.contains("tell when residents come and go"));
}

#[tokio::test]
async fn a_page_without_anything_to_show_says_what_is_missing() {
    let shown = shown();
    let at = || State(shown.clone());
    let none = || Query(BTreeMap::new());
    let en = || look(Lang::En, false);
    let found = [
        (body(fleet::show(at(), none(), en()).await).await, "No lock has been heard yet"),
        (body(batteries::show(at(), none(), en()).await).await, "No battery is likely due within 30 days"),
        (body(compare::show(at(), none(), en()).await).await, "Choose what the locks of each group share"),
        (body(compare::show(at(), Query(query(&[("a", "1"), ("b", "2")])), en()).await).await, "Neither group"),
        (body(gateways::show(at(), en()).await).await, "No gateway or hub has been heard yet"),
        (body(ble::show(at(), en()).await).await, "No radio here"),
        (body(dead_letters::show(at(), none(), en()).await).await, "every message so far could be read"),
        (body(search::show(at(), none(), en()).await).await, "Type at least two characters"),
        (body(search::show(at(), Query(query(&[("q", "zzz")])), en()).await).await, "Nothing is called"),
        (body(rules::list(at(), en()).await).await, "Motor effort is rising"),
    ];
    for ((status, text), wanted) in found {
        assert_eq!(status, StatusCode::OK, "{wanted}: {text}");
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let (status, text) = body(lock::show(at(), Path("L-1".into()), none(), en()).await).await;
    assert!(status == StatusCode::NOT_FOUND && text.contains("No record of a lock with this id"), "{text}");
}

#[tokio::test]
async fn every_rule_has_a_page_in_both_languages() {
    let shown = shown();
    for rule in shown.handles.rules.clone().iter() {
        for lang in [Lang::En, Lang::Ja] {
            let page = rules::show(State(shown.clone()), Path(rule.id.clone()), look(lang, false)).await;
            let (status, text) = body(page).await;
            assert_eq!(status, StatusCode::OK, "{}: {text}", rule.id);
            assert!(text.contains(rule.detector.parameters[0].name), "{}", rule.id);
        }
    }
    let missing = rules::show(State(shown), Path("wish".into()), look(Lang::En, false)).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_exact_name_leads_to_its_place() {
    let found = search::show(State(shown()), Query(query(&[("q", "motor-effort")])), look(Lang::En, false)).await;
    assert_eq!(found.status(), StatusCode::SEE_OTHER);
    assert_eq!(found.headers()["location"], "/rules/motor-effort");
}
