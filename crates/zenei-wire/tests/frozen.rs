//! The bytes of released versions, and what each of them must mean for ever. Files under `frozen/v1` are added, never edited: a case is a
//! payload `NAME.json`, `NAME.cbor` or both, and `NAME.expected`. That has the topic on its first line, then one line for each record:
//! `record {…}` (the record as JSON, with ` unknown N` where N fields are not known) or `refused REASON`; or instead of records one line
//! `message refused REASON`, `topic refused REASON` or `no record`. The CBOR files come from another encoder than ours.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use zenei_wire::{Heading, Reason, Topic, decode, json};

/// What a decoder says, in the words of an `.expected` file.
fn outcome(topic: &str, payload: &[u8], reasons: &mut BTreeSet<Reason>) -> String {
    let topic = match Topic::parse(topic) {
        Ok(Heading::Record(topic)) => topic,
        Ok(Heading::Online | Heading::Foreign) => return "no record\n".into(),
        Err(refusal) => {
            reasons.insert(refusal.reason);
            return format!("topic refused {}\n", refusal.reason);
        }
    };
    let records = match decode(&topic, payload) {
        Ok(records) => records,
        Err(refusal) => {
            reasons.insert(refusal.reason);
            return format!("message refused {}\n", refusal.reason);
        }
    };
    let mut lines = String::new();
    for decoded in records {
        match decoded.record {
            Ok(record) => {
                let mut text = Vec::new();
                json::encode(&topic, &record, &mut text);
                lines.push_str("record ");
                lines.push_str(std::str::from_utf8(&text).expect("JSON is UTF-8"));
                if record.unknown_fields > 0 {
                    write!(lines, " unknown {}", record.unknown_fields).expect("a text takes everything");
                }
                lines.push('\n');
            }
            Err(refusal) => {
                reasons.insert(refusal.reason);
                writeln!(lines, "refused {}", refusal.reason).expect("a text takes everything");
            }
        }
    }
    lines
}

#[test]
fn frozen_bytes_mean_what_they_meant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1");
    let (mut payloads, mut reasons, mut wrong) = (0, BTreeSet::new(), String::new());
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    for case in cases.iter().filter(|path| path.extension().is_some_and(|extension| extension == "expected")) {
        let text = std::fs::read_to_string(case).unwrap();
        let (topic, expected) = text.split_once('\n').unwrap();
        for codec in ["json", "cbor"] {
            let Ok(payload) = std::fs::read(case.with_extension(codec)) else {
                continue;
            };
            payloads += 1;
            let found = outcome(topic, &payload, &mut reasons);
            if found != expected {
                writeln!(wrong, "{} ({codec})\nexpected {expected}found    {found}", case.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(cases.len() - payloads, cases.iter().filter(|path| path.extension().unwrap() == "expected").count());
    assert!(payloads > 200, "only {payloads} payloads were found");
    // What a decoder can't give: who may speak, and what a store takes.
    let elsewhere = [Reason::Unauthenticated, Reason::RefusedByStore];
    let missing: Vec<_> =
        Reason::ALL.iter().filter(|reason| !reasons.contains(reason) && !elsewhere.contains(reason)).collect();
    assert!(missing.is_empty(), "no case gives {missing:?}");
}
