//! Which runbook applies, and how the errors of a file read.
use super::*;

const BOOK: &str = r#"
id = "battery"
version = 2
label = "ours"
title_en = "Batteries"
title_ja = "電池"
invite = ["sato", "@support"]
match = { service = "device", component = "battery" }
[[step]]
id = "confirm"
text_en = "Look."
text_ja = "確認"
on_done = { status = "investigating" }
[[step]]
id = "swap"
text_en = "Swap."
text_ja = "交換"
on_done = { event = "temp_fix_done", status = "resolved" }
[[step]]
id = "tell"
text_en = "Tell."
text_ja = "連絡"
after = []
[[auto]]
id = "calm"
when = "telemetry_recovered"
for_hours = 6
do = { note = "自動回復を確認" }
"#;

const PEOPLE: &str = r#"
[[person]]
id = "sato"
name = "佐藤"
roles = ["support"]
"#;

fn services() -> Services {
    Services::read("s.toml", &(include_str!("../defaults/services.toml").to_owned() + PEOPLE)).unwrap()
}

fn read(text: &str) -> Result<Runbooks, Vec<String>> {
    Runbooks::read([("b.toml", text)], &services())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The errors of the runbook with each first text replaced by the second.
fn errors(changes: &[(&str, &str)]) -> Vec<String> {
    let mut text = BOOK.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    read(&text).unwrap_err()
}

#[test]
fn a_good_runbook_has_its_steps_in_order() {
    let books = read(BOOK).unwrap();
    let book = books.get("battery").unwrap();
    let next = |done: &[&str]| {
        let done = done.iter().map(|id| (*id).to_owned()).collect();
        book.next(&done).map(|step| step.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(next(&[]), ["confirm", "tell"]);
    assert_eq!(next(&["confirm", "tell"]), ["swap"]);
    assert_eq!(book.matches(), "service device, component battery");
}

#[test]
fn of_the_runbooks_that_match_the_most_special_one_applies() {
    let named = |id: &str, matches: &str| {
        BOOK.replace("id = \"battery\"", &format!("id = \"{id}\""))
            .replace("match = { service = \"device\", component = \"battery\" }", &format!("match = {{ {matches} }}"))
    };
    let (a, b) = (named("a", "domain = \"hardware\""), named("b", "domain = \"hardware\", rule = \"battery-*\""));
    let c = named("c", "component = \"battery\"");
    let files = [("a.toml", a.as_str()), ("b.toml", b.as_str()), ("c.toml", c.as_str())];
    let books = Runbooks::read(files, &services()).unwrap();
    let of = |component, rule: &str| books.of(None, Domain::Hardware, component, rule).map(|book| book.id.as_str());
    assert_eq!(of(Component::Battery, "battery-drain"), Some("b"));
    assert_eq!(of(Component::Battery, "other"), Some("a"), "of equal ones the first by id");
    assert_eq!(books.of(None, Domain::Software, Component::App, "schema-drift"), None);
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, fits) in [
        ("battery-*", "battery-drain", true),
        ("battery-*", "lock-errors", false),
        ("*-errors", "lock-errors", true),
        ("*o*k*", "lock-errors", true),
        ("battery", "battery-drain", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(fits_glob(pattern, text), fits, "{pattern} {text}");
    }
}

#[test]
fn nothing_but_a_person_completes() {
    let completes = "nothing completes an incident, or says what people did, but a person";
    let line = errors(&[("status = \"resolved\"", "status = \"close\"")]);
    assert_eq!(
        line,
        [format!(
            "b.toml:18: step.on_done.status: found \"close\"; {completes}; allowed are investigating, fixing, resolved"
        )]
    );
    let line = errors(&[("temp_fix_done", "completed")]);
    assert_eq!(
        line,
        [format!(
            "b.toml:18: step.on_done.event: found \"completed\"; {completes} by the step of that name; allowed is temp_fix_done"
        )]
    );
    for event in ["completed", "postmortem_held", "temp_fix_done"] {
        let line = errors(&[("note = \"自動回復を確認\"", &format!("event = \"{event}\""))]);
        assert_eq!(line, [format!("b.toml:28: auto.do.event: found \"{event}\"; {completes}")]);
    }
    let line = errors(&[("note = \"自動回復を確認\"", "status = \"resolved\"")]);
    assert!(line[0].contains("takes no more evidence"), "{line:?}");
}

#[test]
fn a_status_that_cannot_be_reached_is_an_error() {
    let line = errors(&[("status = \"investigating\"", "status = \"resolved\"")]);
    assert_eq!(
        line,
        [
            "b.toml:18: step.on_done.status: found \"resolved\", which can't be reached: the step \"confirm\" before it sets the same"
        ]
    );
    let line = errors(&[
        ("status = \"investigating\"", "status = \"fixing\""),
        ("status = \"resolved\"", "status = \"investigating\""),
    ]);
    assert_eq!(
        line,
        [
            "b.toml:18: step.on_done.status: found \"investigating\", which can't be reached: the step \"confirm\" before it sets fixing, and no step leads back"
        ]
    );
    let line = errors(&[("status = \"investigating\"", "status = \"detected\"")]);
    assert!(line[0].contains("no step leads back to the status of the opening"), "{line:?}");
}

#[test]
fn steps_in_a_circle_are_errors() {
    let line = errors(&[("text_ja = \"確認\"", "text_ja = \"確認\"\nafter = [\"swap\"]")]);
    let circle = |id: &str, at: u32| {
        format!(
            "b.toml:{at}: step.after: the step \"{id}\" comes after itself; the steps in that circle can never be done"
        )
    };
    assert_eq!(line, [circle("confirm", 10), circle("swap", 16)]);
    let line = errors(&[("after = []", "after = [\"swop\"]")]);
    assert_eq!(line, ["b.toml:23: step.after: found \"swop\"; allowed are the steps confirm, swap, tell"]);
}

#[test]
fn unknown_people_services_and_facts_are_errors_with_what_is_allowed() {
    let line = errors(&[("\"sato\", \"@support\"", "\"mori\", \"@quality\"")]);
    assert_eq!(
        line,
        [
            "b.toml:7: invite: found \"mori\"; allowed are @support, sato",
            "b.toml:7: invite: found \"@quality\"; allowed are @support, sato"
        ]
    );
    let line = errors(&[("\"device\"", "\"devise\"")]);
    assert_eq!(line, ["b.toml:8: match.service: found \"devise\"; allowed are device, homehub, workhub"]);
    let line = errors(&[("\"telemetry_recovered\"", "\"telemetry_recovered and affected==0\"")]);
    assert!(line[0].starts_with("b.toml:26: auto.when: found \"telemetry_recovered and affected==0\"; allowed are "));
    let line = errors(&[("\"telemetry_recovered\"", "\"acknowledged\"")]);
    assert_eq!(line, ["b.toml:27: auto.for_hours: only `telemetry_recovered` lasts; remove it, or wait for that"]);
    let line = errors(&[("service = \"device\", component = \"battery\"", "")]);
    assert!(line[0].contains("matches at least one of"), "{line:?}");
    let line = errors(&[("invite", "invites")]);
    assert!(line[0].contains("did you mean `invite`?"), "{line:?}");
}

#[test]
fn a_runbook_that_another_hides_is_an_error() {
    let other = BOOK.replace("id = \"battery\"", "id = \"cells\"");
    let found = Runbooks::read([("a.toml", BOOK), ("b.toml", &other)], &services()).unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "b.toml:8: match: the runbook \"battery\" matches the same incidents; this one never applies"
    );
    let found = Runbooks::read([("a.toml", BOOK), ("b.toml", BOOK)], &services()).unwrap_err();
    assert!(found[0].to_string().starts_with("b.toml:2: id: the runbook \"battery\" stands in another file too"));
}
