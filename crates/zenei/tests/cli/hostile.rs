//! Hostile text in every field that a device or a person can set is inert in what the commands print.
use crate::steps::CONFIG;
use crate::support::{Folder, zenei};
use zenei_desk::DeskDriver;
use zenei_detect::{Findings, Scope, ScopeKind};
use zenei_kit::anomaly;
use zenei_kit::hostile::{disturbs, texts};
use zenei_kit::program::Ended;
use zenei_store::{Control, Layout};
use zenei_wire::EngineTime;

const START_S: i64 = 1_777_626_000;

/// A state directory with an incident for each text, each of whose texts is that one; and their ids.
fn with_incidents(all: &[String]) -> (Folder, Vec<String>) {
    let folder = Folder::new();
    folder.write("zenei.toml", CONFIG);
    let layout = Layout::new(&folder.path().join("state"));
    std::fs::create_dir_all(layout.root()).unwrap();
    let mut desk = DeskDriver::open(Control::open(&layout.control()).unwrap(), Vec::new()).unwrap();
    let mut ids = Vec::new();
    for (text, at_s) in all.iter().zip(START_S..) {
        let mut found = anomaly("motor-effort", "A", at_s);
        found.device_id = Some(text.clone());
        found.scope = Scope { kind: ScopeKind::Device, value: text.clone() };
        found.evidence.iter_mut().for_each(|record| record.device_id.clone_from(text));
        for field in [&mut found.unit, &mut found.why, &mut found.title, &mut found.owner, &mut found.runbook] {
            field.clone_from(text);
        }
        let findings = Findings { anomalies: vec![found], ..Findings::default() };
        let opened = desk.take(EngineTime(at_s * 1_000), &findings).unwrap().opened;
        ids.extend(opened.iter().map(ToString::to_string));
    }
    assert_eq!(ids.len(), all.len());
    (folder, ids)
}

/// The lines that a command printed for people.
fn lines(folder: &Folder, arguments: &[&str]) -> usize {
    let Ended { code, stdout, stderr } = zenei(arguments).in_folder(folder).run();
    for (place, text) in [("stdout", &stdout), ("stderr", &stderr)] {
        assert_eq!(disturbs(text, true), None, "{arguments:?}: {place}: {text:?}");
    }
    assert!((code == 0 || code == 1 || code == 2) && (code == 0 || stdout.is_empty()), "{code}: {stderr}");
    stdout.lines().count()
}

#[test]
fn hostile_text_is_inert_in_every_table_and_in_every_refusal() {
    // An argument can't hold a NUL; the texts that a device sends can.
    let all = texts();
    let (folder, ids) = with_incidents(&all);
    assert_eq!(lines(&folder, &["incident", "list"]), all.len() + 1, "a line each, and the head");
    for (id, text) in ids.iter().zip(&all) {
        let before = lines(&folder, &["incident", "show", id]);
        let said: String = text.replace('\0', " ").chars().take(200).collect();
        let said = format!("x{said}");
        // A name with control characters, or a long one, is refused; what is left of it is taken.
        let name: String = said.chars().filter(|c| !c.is_control()).take(100).collect();
        for by in [&said, &name] {
            for step in [&["note", id, by][..], &["owner", id, by], &["postmortem", id, "--role", by]] {
                lines(&folder, &[&["incident"], step, &["--by", by]].concat());
            }
        }
        let after = lines(&folder, &["incident", "show", id]);
        assert!(after > before && after <= before + 7, "{before} lines, then {after}: {text:?}");
        lines(&folder, &["incident", "show", &said]);
        lines(&folder, &["incident", "status", id, &said, "--by", "sato"]);
        lines(&folder, &["silence", "preview", "--device", &said]);
        let silence = ["silence", "add", "--device", &said, "--for", "2h", "--reason", &said, "--by", &said];
        lines(&folder, &silence);
        lines(&folder, &["silence", "list"]);
    }
}

#[test]
fn the_same_check_finds_the_raw_text() {
    assert!(texts().iter().filter(|text| disturbs(text, true).is_some()).count() >= 8);
}
