//! The connector against the stand-in of Waroom, with its quirks switched and faults by seed.
use super::*;
use crate::notify::trial::{Trial, portal};
use crate::notify::waroom_text::mark;
use remote_sim::{ChangeBy, Fault, Faults, Server, WaroomQuirks};
use zenei_detect::Urgency;
use zenei_incident::event::Completed;

async fn server(quirks: WaroomQuirks, faults: Faults) -> Server<remote_sim::Waroom> {
    let keys = [("canary-ik-home", "homehub"), ("canary-ik-device", "device")];
    Server::start(remote_sim::Waroom::new(quirks, &keys, "canary-api"), faults).await.unwrap()
}

fn waroom(base: &str, has_api: bool) -> Waroom {
    Waroom {
        base: base.to_owned(),
        key: None,
        service_keys: BTreeMap::from([
            ("homehub".to_owned(), Secret::from("canary-ik-home")),
            ("device".to_owned(), Secret::from("canary-ik-device")),
        ]),
        api: has_api.then(|| Secret::from("canary-api")),
        with_slack_channel: true,
    }
}

fn http() -> Http {
    Http::new(true).unwrap()
}

fn quirks(number: u64) -> WaroomQuirks {
    WaroomQuirks {
        localised: number.is_multiple_of(2),
        change_by: [ChangeBy::Both, ChangeBy::Put, ChangeBy::Patch][(number % 3) as usize],
        refused: if number.is_multiple_of(5) { 404 } else { 405 },
        kept: if number.is_multiple_of(7) { 201 } else { 200 },
        overwrites: !number.is_multiple_of(3),
        gives_incident_uuid: !number.is_multiple_of(4),
        opens_after_close: number.is_multiple_of(2),
        key_of_service: !number.is_multiple_of(11),
    }
}

/// Carries one incident to its end and returns it.
async fn carried(waroom: &Waroom, http: &Http, forgets: bool) -> Trial {
    let mut trial = Trial { forgets, ..Trial::new(Urgency::High, "Motor effort rises") };
    trial.send(async |delivery| waroom.send(http, delivery).await).await.unwrap();
    for status in [Status::Investigating, Status::Fixing, Status::Resolved] {
        trial.status(status).send(async |delivery| waroom.send(http, delivery).await).await.unwrap();
    }
    let completed = Completed { by: "sato".into() };
    trial.then(completed).send(async |delivery| waroom.send(http, delivery).await).await.unwrap();
    trial
}

#[tokio::test]
async fn after_each_of_240_fault_schedules_there_is_one_incident_with_the_status_of_ours() {
    let http = http();
    let mut disturbed = 0;
    for seed in 0..240 {
        let has_api = seed % 4 != 3;
        let server = server(quirks(seed), Faults { retry_after_s: 0, ..Faults::mixed(seed) }).await;
        let trial = carried(&waroom(server.base_url(), has_api), &http, seed % 5 == 0).await;
        let key = format!("zenei-{}", trial.incident.id);
        let found: Vec<(String, String)> =
            server.with(|kept| kept.of_key(&key).iter().map(|one| (one.service.clone(), one.status.clone())).collect());
        let expected = match (has_api, quirks(seed).overwrites) {
            (true, _) => "close",
            // Without API v0 nothing is closed, and what an event can't overwrite stays.
            (false, true) => "resolved",
            (false, false) => "detected",
        };
        assert_eq!(found, [("device".to_owned(), expected.to_owned())], "seed {seed}");
        disturbed += server.requests();
    }
    assert!(disturbed > 240 * 10, "{disturbed} requests: the faults were not drawn");
}

#[tokio::test]
async fn with_each_quirk_on_and_off_there_is_one_incident_with_our_status_also_when_its_service_changes() {
    let plain = WaroomQuirks::default;
    let each = [
        ("none", plain()),
        ("localised", WaroomQuirks { localised: true, ..plain() }),
        ("PUT alone, 405", WaroomQuirks { change_by: ChangeBy::Put, ..plain() }),
        ("PATCH alone, 405", WaroomQuirks { change_by: ChangeBy::Patch, ..plain() }),
        ("PATCH alone, 404", WaroomQuirks { change_by: ChangeBy::Patch, refused: 404, ..plain() }),
        ("201", WaroomQuirks { kept: 201, ..plain() }),
        ("events overwrite nothing", WaroomQuirks { overwrites: false, ..plain() }),
        ("the uuid is the event's", WaroomQuirks { gives_incident_uuid: false, ..plain() }),
        ("a closed key opens again", WaroomQuirks { opens_after_close: true, ..plain() }),
        ("a key counts over all services", WaroomQuirks { key_of_service: false, ..plain() }),
    ];
    let http = http();
    let http = &http;
    let carried = async |quirks: WaroomQuirks, has_api: bool, forgets_service: bool| {
        let server = server(quirks, Faults::none()).await;
        let waroom = waroom(server.base_url(), has_api);
        let mut trial = Trial::new(Urgency::High, "Motor effort rises");
        trial.send(async |delivery| waroom.send(http, delivery).await).await.unwrap();
        // The service of a lock may change; the incident stays with the key that opened it.
        trial.service = "homehub".into();
        if forgets_service {
            trial.remote.remove("service");
        }
        for status in [Status::Investigating, Status::Fixing] {
            trial.status(status).send(async |delivery| waroom.send(http, delivery).await).await.unwrap();
        }
        let completed = Completed { by: "sato".into() };
        trial.then(completed).send(async |delivery| waroom.send(http, delivery).await).await.unwrap();
        server
            .with(|kept| kept.incidents.iter().map(|one| (one.service.clone(), one.status.clone())).collect::<Vec<_>>())
    };
    for (name, quirks) in each {
        let without_api = if quirks.overwrites { "resolved" } else { "detected" };
        for (has_api, status) in [(true, "close"), (false, without_api)] {
            let found = carried(quirks.clone(), has_api, false).await;
            assert_eq!(found, [("device".to_owned(), status.to_owned())], "{name}, API v0: {has_api}");
        }
    }
    // The control: a sender that forgets which key it used opens another, if a key is bound to its service.
    assert_eq!(carried(plain(), false, true).await.len(), 2);
    assert_eq!(carried(WaroomQuirks { key_of_service: false, ..plain() }, false, true).await.len(), 1);
}

#[tokio::test]
async fn without_the_key_the_same_faults_leave_duplicates() {
    // The negative control: a sender that gives each attempt a key of its own.
    let server = server(WaroomQuirks::default(), Faults::none()).await;
    server.then([Fault::Dropped, Fault::None]);
    let (http, waroom) = (http(), waroom(server.base_url(), false));
    let key = Secret::from("canary-ik-device");
    for attempt in 0..2 {
        let event =
            json!({"title": "t", "aggregation_key": format!("k{attempt}"), "severity": "low", "status": "detected"});
        let answer = waroom.post_event(&http, &key, &event).await;
        assert_eq!(answer.is_ok(), attempt == 1);
    }
    assert_eq!(server.with(|kept| kept.incidents.len()), 2);
}

#[tokio::test]
async fn what_people_change_there_comes_back_once_and_our_own_changes_do_not() {
    for localised in [false, true] {
        let server = server(WaroomQuirks { localised, ..WaroomQuirks::default() }, Faults::none()).await;
        let (http, waroom) = (http(), waroom(server.base_url(), true));
        let mut trial = Trial::new(Urgency::High, "Motor effort rises");
        trial.incident.opened = EngineTime(server.with(|kept| kept.now_ms));
        trial.send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
        trial.status(Status::Investigating).send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
        let round = async |trial: &mut Trial| {
            let watched = Watched { incident: trial.incident.clone(), remote: trial.remote.clone() };
            let seen = waroom.round(&http, &[watched]).await.unwrap();
            trial.remote.extend(seen.iter().flat_map(|one| one.remember.clone()));
            seen.into_iter().flat_map(|one| one.events).collect::<Vec<What>>()
        };
        assert_eq!(round(&mut trial).await, []);
        server.with(|kept| {
            kept.incidents[0].status = "fixing".into();
            kept.incidents[0].severity = "critical".into();
        });
        let back = round(&mut trial).await;
        let [What::StatusChanged(status), What::UrgencyChanged(urgency)] = back.as_slice() else { panic!("{back:?}") };
        assert_eq!((status.to, status.by.as_str(), urgency.to), (Status::Fixing, "waroom", Urgency::Highest));
        trial.incident.status = Status::Fixing;
        assert_eq!(round(&mut trial).await, []);
        // Closing there resolves here; completion has conditions.
        server.with(|kept| kept.incidents[0].status = "close".into());
        let words: Vec<String> = round(&mut trial).await.iter().map(|what| what.word().to_owned()).collect();
        assert_eq!(words, ["note", "status_changed"]);
        trial.incident.status = Status::Resolved;
        assert_eq!(round(&mut trial).await, []);
        // The control: without the memory of what was seen, each round would note it again.
        trial.remote.remove("status");
        assert_eq!(round(&mut trial).await.len(), 1);
    }
}

#[tokio::test]
async fn a_change_there_wins_over_an_older_one_of_ours_that_was_on_its_way() {
    let server = server(WaroomQuirks::default(), Faults::none()).await;
    let (http, waroom) = (http(), waroom(server.base_url(), true));
    let mut trial = Trial::new(Urgency::High, "Motor effort rises");
    trial.incident.opened = EngineTime(server.with(|kept| kept.now_ms));
    trial.send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    server.with(|kept| kept.incidents[0].status = "fixing".into());
    let watched = Watched { incident: trial.incident.clone(), remote: trial.remote.clone() };
    let seen = waroom.round(&http, &[watched]).await.unwrap().remove(0);
    trial.remote.extend(seen.remember);
    let older = StatusChanged { to: Status::Investigating, by: "sato".into() };
    trial.then(older).send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    assert_eq!(server.with(|kept| kept.incidents[0].status.clone()), "investigating");
    let theirs = seen.events.into_iter().next().unwrap();
    let theirs = Event { what: theirs, ..trial.last.clone() };
    assert!(wants(&theirs));
    trial.then(theirs.what).send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    assert_eq!(server.with(|kept| kept.incidents[0].status.clone()), "fixing");
}

#[tokio::test]
async fn what_people_set_first_does_not_undo_what_they_set_later() {
    let server = server(WaroomQuirks::default(), Faults::none()).await;
    let (http, waroom) = (http(), waroom(server.base_url(), true));
    let mut trial = Trial::new(Urgency::High, "Motor effort rises");
    trial.incident.opened = EngineTime(server.with(|kept| kept.now_ms));
    trial.send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    let mut theirs = Vec::new();
    for status in ["investigating", "fixing"] {
        server.with(|kept| kept.incidents[0].status = status.into());
        let watched = Watched { incident: trial.incident.clone(), remote: trial.remote.clone() };
        let seen = waroom.round(&http, &[watched]).await.unwrap().remove(0);
        trial.remote.extend(seen.remember);
        theirs.extend(seen.events);
    }
    // The messages about both are sent only now.
    for what in theirs {
        trial.then(what).send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
        assert_eq!(server.with(|kept| kept.incidents[0].status.clone()), "fixing");
    }
}

#[tokio::test]
async fn our_incident_is_found_behind_pages_of_others_and_not_by_a_title_that_quotes_it() {
    let server = server(WaroomQuirks { gives_incident_uuid: false, ..WaroomQuirks::default() }, Faults::none()).await;
    let (http, waroom) = (http(), waroom(server.base_url(), true));
    let mut trial = Trial::new(Urgency::High, "Motor effort rises");
    trial.send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    let uuid = server.with(|kept| kept.incidents[0].uuid.clone());
    assert_eq!(trial.remote.get("uuid"), Some(&uuid));
    trial.remote.remove("uuid");
    server.with(|kept| {
        for at in 0..250 {
            let mut other = kept.incidents[0].clone();
            other.uuid = format!("other-{at}");
            other.title = format!("about [{}]", mark(trial.incident.id));
            other.created_ms += 60_000;
            kept.incidents.push(other);
        }
    });
    trial.status(Status::Fixing).send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    assert_eq!(server.with(|kept| kept.incidents[0].status.clone()), "fixing");
    assert_eq!(trial.remote.get("uuid"), Some(&uuid));
}

#[tokio::test]
async fn a_service_without_a_key_and_a_wrong_key_are_refused_for_good_and_no_key_is_shown() {
    let server = server(WaroomQuirks::default(), Faults::none()).await;
    let http = http();
    let mut without = waroom(server.base_url(), true);
    let mut trial = Trial { service: "workhub".into(), ..Trial::new(Urgency::Low, "t") };
    let missing = trial.send(async |delivery| without.send(&http, delivery).await).await.unwrap_err();
    assert!(missing.to_string().contains("\"workhub\""), "{missing}");
    without.key = Some(Secret::from("canary-wrong"));
    let refused = trial.send(async |delivery| without.send(&http, delivery).await).await.unwrap_err();
    assert!(matches!(refused, SendError::Never { .. }), "{refused:?}");
    without.api = Some(Secret::from("canary-wrong"));
    let checked = without.check(&http).await.unwrap_err();
    assert!(!format!("{missing:?}{refused:?}{refused}{checked:?}{without:?}").contains("canary"));
}

#[tokio::test]
async fn a_check_opens_nothing_and_a_test_opens_one_marked_incident() {
    let server = server(WaroomQuirks::default(), Faults::none()).await;
    let (http, waroom) = (http(), waroom(server.base_url(), true));
    waroom.check(&http).await.unwrap();
    assert!(server.with(|kept| kept.incidents.is_empty()));
    for _ in 0..3 {
        waroom.test(&http, EngineTime(0)).await.unwrap();
    }
    let kept = server.with(|kept| kept.incidents.clone());
    assert_eq!(kept.len(), 2, "one for each key");
    assert!(kept.iter().all(|one| one.title.starts_with("[zenei test]") && one.status == "resolved"));
    let mut other = waroom;
    other.service_keys.insert("workhub".into(), Secret::from("k"));
    assert!(other.check(&http).await.unwrap_err().to_string().contains("workhub"));
}

#[tokio::test]
async fn hostile_text_is_inert_there_and_in_the_slack_that_it_is_shown_in() {
    let server = server(WaroomQuirks::default(), Faults::none()).await;
    let (http, waroom) = (http(), waroom(server.base_url(), true));
    let mut trial = Trial::new(Urgency::Highest, "<!here> @channel [a](http://b) `x`\u{202e}\u{0}\r\n=1+1 <@U1>");
    trial.send(async |delivery| waroom.send(&http, delivery).await).await.unwrap();
    let incident = server.with(|kept| kept.incidents[0].clone());
    assert!(incident.with_slack_channel && incident.severity == "critical");
    let after_mark = incident.title.split_once("] ").unwrap().1.to_owned();
    for text in [after_mark, incident.description] {
        let is_active = |c: char| "<>@[]`\u{202e}\u{0}\r".contains(c);
        assert!(!text.contains(is_active), "{text:?}");
    }
}

#[tokio::test]
async fn what_is_not_an_answer_of_waroom_is_no_success() {
    for says in ["<html>log in</html>", r#"{"ok":"maybe"}"#] {
        let waroom = waroom(&portal(says).await, true);
        for refused in [waroom.test(&http(), EngineTime(1)).await, waroom.check(&http()).await] {
            assert!(matches!(&refused, Err(SendError::Again { why, .. }) if why.contains("JSON with")), "{refused:?}");
        }
    }
    let waroom = waroom(&portal(r#"{"incident_id":1,"services":[{"name":"device"}]}"#).await, true);
    assert!(waroom.test(&http(), EngineTime(1)).await.is_ok());
}
