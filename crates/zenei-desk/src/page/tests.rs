//! The pages as a reader gets them, over a desk whose every text is hostile.
use super::*;
use crate::{DeskClock, DeskDriver, SharedDesk};
use axum::extract::{Query, State};
use std::sync::Arc;
use zenei_detect::{Anomaly, Decision, DecisionReason, Findings, Rules, Scope, ScopeKind};
use zenei_incident::message::Lang;
use zenei_store::{Clock, Control};
use zenei_wire::{EngineTime, Id};

/// Markup that would run, leave an attribute or an element, or turn the text around.
pub(super) const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}{{ 7*7 }}";

fn hostile_finding(at_s: i64) -> Anomaly {
    let bad = || HOSTILE.to_owned();
    Anomaly {
        unit: bad(),
        why: bad(),
        title: bad(),
        title_ja: bad(),
        owner: bad(),
        runbook: bad(),
        runbook_ja: bad(),
        ..zenei_kit::anomaly(HOSTILE, HOSTILE, at_s)
    }
}

/// Pages over a desk with one incident, and a decision, of hostile texts.
pub(super) fn shown() -> (Shown, Id) {
    let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
    let finding = hostile_finding(1);
    let decision = Decision {
        at: EngineTime(2),
        rule: HOSTILE.into(),
        rule_version: 1,
        scope: Scope { kind: ScopeKind::Site, value: HOSTILE.into() },
        reason: DecisionReason::Unconfirmed,
        value: 1.0,
        threshold: 2.0,
        unit: HOSTILE.into(),
        why: HOSTILE.into(),
    };
    let findings = Findings { anomalies: vec![finding], decisions: vec![decision], ..Findings::default() };
    let id = desk.take(EngineTime(1_000), &findings).unwrap().opened[0];
    let clock = DeskClock::new(Clock::System);
    let rules = Arc::new(Rules::embedded().unwrap());
    let handles = Handles { desk: Some(desk.clone()), ..Handles::of(desk.incidents(), clock, rules) };
    let pages = Pages::new(Lang::En, handles.zone.clone(), HOSTILE).unwrap();
    (Shown { pages, handles, customers: customers::Customers::default() }, id)
}

pub(super) fn look(lang: Lang) -> Look {
    Look { lang: Some(lang), path: "/".into(), ..Look::default() }
}

pub(super) async fn text(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 4 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What of a page could run or mislead; `None` where nothing can.
pub(super) fn danger(page: &str) -> Option<&str> {
    let marks = ["<script>alert", "<img src=x", "onerror=alert(1)>\u{202e}", "\u{202e}", "\"'>", "\u{fffd}49"];
    marks.into_iter().find(|mark| page.contains(mark))
}

#[test]
fn an_unescaped_text_is_found_by_the_search_for_one() {
    assert!(danger(HOSTILE).is_some());
    assert_eq!(danger("&quot;&#x27;&gt;&lt;script&gt;"), None);
}

#[tokio::test]
async fn what_locks_and_people_wrote_is_inert_on_the_board_and_the_list() {
    for lang in [Lang::En, Lang::Ja] {
        let (shown, id) = shown();
        let (status, page) = text(board::show(State(shown.clone()), look(lang)).await).await;
        assert_eq!((status, danger(&page)), (StatusCode::OK, None), "{page}");
        assert!(page.contains(&format!("/incidents/{id}")) && page.contains("&lt;script&gt;alert"), "{page}");
        let (status, page) = text(list::show(State(shown), look(lang), Ok(Query(Default::default()))).await).await;
        assert_eq!((status, danger(&page)), (StatusCode::OK, None), "{page}");
        assert!(page.contains(&format!("/incidents/{id}")), "{page}");
    }
}

#[tokio::test]
async fn a_list_shows_what_its_filter_asks_for() {
    let (shown, id) = shown();
    let ask = async |query: &str| {
        let query = Query::try_from_uri(&format!("/incidents?{query}").parse().unwrap());
        text(list::show(State(shown.clone()), look(Lang::En), query).await).await.1
    };
    let link = format!("/incidents/{id}");
    assert!(ask("status=open&domain=hardware&urgency=").await.contains(&link));
    assert!(!ask("status=ended").await.contains(&link));
    assert!(!ask("domain=firmware").await.contains(&link));
    assert!(!ask("page=2").await.contains(&link));
}
