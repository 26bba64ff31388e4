//! The pages as a reader gets them, over a desk whose every text is hostile.
use super::*;
use crate::http::gate::{Caller, How, Role};
use crate::{DeskClock, DeskDriver, SharedDesk};
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
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
        part_of: None,
    };
    let findings = Findings { anomalies: vec![finding], decisions: vec![decision], ..Findings::default() };
    let id = desk.take(EngineTime(1_000), &findings).unwrap().opened[0];
    let clock = DeskClock::new(Clock::System);
    let rules = Arc::new(Rules::embedded().unwrap());
    let handles = Handles { desk: Some(desk.clone()), ..Handles::of(desk.incidents(), clock, rules) };
    let pages = Pages::new(Lang::En, handles.zone.clone(), HOSTILE).unwrap();
    (Shown { pages, handles, customers: customers::Customers::default(), offered: Default::default() }, id)
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

fn operator(lang: Lang) -> Look {
    let caller = Caller { name: HOSTILE.into(), role: Role::Operator, residents: false, how: How::Session };
    Look { caller: Some(caller), ..look(lang) }
}

fn form(pairs: &[(&str, &str)]) -> Result<Form<step::Fields>, FormRejection> {
    Ok(Form(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
}

#[tokio::test]
async fn what_locks_and_people_wrote_is_inert_on_an_incident_and_the_silences() {
    for lang in [Lang::En, Lang::Ja] {
        let (shown, id) = shown();
        for look in [look(lang), operator(lang)] {
            let page = incident::show(State(shown.clone()), look.clone(), Path(id.to_string())).await;
            let (status, page) = text(page).await;
            assert_eq!((status, danger(&page)), (StatusCode::OK, None), "{page}");
            assert!(page.contains("412.3") && page.contains("&lt;script&gt;alert"), "{page}");
            let asked = login::Asked::of(HOSTILE);
            let (_, page) = text(login::show(State(shown.clone()), look.clone(), Ok(Query(asked))).await).await;
            assert_eq!(danger(&page), None, "{page}");
            let query = form(&[("rule", HOSTILE), ("scope_value", HOSTILE), ("reason", HOSTILE)]).unwrap().0;
            let (status, page) = text(silence::list(State(shown.clone()), look, Ok(Query(query))).await).await;
            assert_eq!((status, danger(&page)), (StatusCode::OK, None), "{page}");
        }
    }
}

#[tokio::test]
async fn a_silence_is_previewed_set_and_ended_and_each_page_is_inert() {
    let (shown, id) = shown();
    let wanted = [("kind", "silence"), ("rule", HOSTILE), ("hours", "4"), ("reason", HOSTILE)];
    let (status, page) = text(silence::preview(State(shown.clone()), operator(Lang::En), form(&wanted)).await).await;
    assert_eq!((status, danger(&page)), (StatusCode::OK, None), "{page}");
    assert!(page.contains(&format!("/incidents/{id}")) && page.contains("1 open incident, 1 lock"), "{page}");
    // The caller's name has control characters of no one-line text: the silence's own rules take any.
    let (status, _) = text(silence::add(State(shown.clone()), operator(Lang::En), form(&wanted)).await).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let list = async || {
        text(silence::list(State(shown.clone()), operator(Lang::Ja), Ok(Query(Default::default()))).await).await.1
    };
    let page = list().await;
    assert_eq!(danger(&page), None, "{page}");
    let silence = shown.handles.incidents.read().silences().iter().next().unwrap().id.to_string();
    assert!(page.contains(&format!("/silences/{silence}/end")), "{page}");
    let ended = silence::end(State(shown.clone()), operator(Lang::En), Path(silence.clone())).await;
    assert_eq!(text(ended).await.0, StatusCode::SEE_OTHER);
    assert!(!list().await.contains(&format!("/silences/{silence}/end")));
}

#[tokio::test]
async fn a_silence_of_everything_or_without_end_is_refused_before_its_preview() {
    let (shown, _) = shown();
    for (pairs, missing) in [
        ([("kind", "silence"), ("rule", ""), ("hours", "4"), ("reason", "works")], "match"),
        ([("kind", "silence"), ("rule", "a"), ("hours", "0"), ("reason", "works")], "1 to 720"),
        ([("kind", "wish"), ("rule", "a"), ("hours", "1"), ("reason", "works")], "wish"),
    ] {
        let (status, page) = text(silence::preview(State(shown.clone()), operator(Lang::En), form(&pairs)).await).await;
        assert!(status == StatusCode::CONFLICT && page.contains(missing), "{pairs:?} {page}");
    }
}

#[tokio::test]
async fn an_incident_that_there_is_not_has_a_page_that_says_so() {
    let (shown, id) = shown();
    for wanted in ["ffff0000", HOSTILE, ""] {
        let page = incident::show(State(shown.clone()), look(Lang::En), Path(wanted.to_owned())).await;
        let (status, page) = text(page).await;
        assert_eq!((status, danger(&page)), (StatusCode::NOT_FOUND, None), "{page}");
    }
    let digits: String = id.to_string().chars().take(8).collect();
    let page = incident::show(State(shown), look(Lang::En), Path(format!("zenei-{digits}"))).await;
    assert_eq!(page.status(), StatusCode::OK);
}
