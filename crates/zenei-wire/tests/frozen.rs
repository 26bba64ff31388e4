//! The bytes of released versions, and the meaning that each of them must keep. Files under `frozen/v1` are added,
//! never edited: a case is a payload `NAME.json`, `NAME.cbor` or both, and `NAME.expected`. The latter has the topic on
//! its first line, then one line for each record: `record {…}` (the record as JSON, followed by ` unknown N` if it has
//! N unknown fields) or `refused REASON`; or instead of records one line `message refused REASON`, `topic refused
//! REASON` or `no record`. The CBOR files come from another encoder than ours. `advertisements.vectors` holds
//! advertisements, five lines each; the encrypted ones come from another cipher than ours.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use zenei_wire::bthome::{self, Address, BindKey, OpenError, Opened};
use zenei_wire::{Adv, Heading, Reason, Topic, decode, json};

/// A decoder's result, in the words of an `.expected` file.
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
    cases.retain(|path| path.extension().is_some_and(|extension| extension != "vectors"));
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
    // Reasons that a decoder can't give: authorization, and a store's refusal.
    let elsewhere = [Reason::Unauthenticated, Reason::RefusedByStore];
    let missing: Vec<_> =
        Reason::ALL.iter().filter(|reason| !reasons.contains(reason) && !elsewhere.contains(reason)).collect();
    assert!(missing.is_empty(), "no case gives {missing:?}");
}

/// The content of an advertisement, in the words of `advertisements.vectors`.
fn said(opened: Result<Opened, OpenError>) -> String {
    let opened = match opened {
        Ok(opened) => opened,
        Err(OpenError::Forged) => return "forged".into(),
        Err(OpenError::NoKey) => return "no_key".into(),
        Err(OpenError::Version { found }) => return format!("version {found}"),
        Err(OpenError::Length { found, .. }) => return format!("length {found}"),
        Err(OpenError::Cut { id, .. }) => return format!("cut {id:02x}"),
    };
    let Adv { battery_mv, battery_pct, temp_c, lock_state, peak_ma, problem, seq_low, packet_id, .. } =
        opened.reading.adv;
    let fields = [
        ("counter", opened.counter.map(|counter| counter.to_string())),
        ("packet_id", packet_id.map(|id| id.to_string())),
        ("battery_pct", battery_pct.map(|percent| percent.0.to_string())),
        ("battery_mv", battery_mv.map(|voltage| voltage.0.to_string())),
        ("lock_state", lock_state.map(|state| state.as_str().to_owned())),
        ("problem", problem.map(|problem| problem.to_string())),
        ("peak_ma", peak_ma.map(|current| current.0.to_string())),
        ("temp_centi_c", temp_c.map(|temp| temp.0.to_string())),
        ("seq_low", seq_low.map(|seq| seq.to_string())),
        ("fw", opened.reading.firmware.map(|firmware| firmware.to_string())),
        ("unknown", (opened.reading.unknown > 0).then(|| opened.reading.unknown.to_string())),
    ];
    let said: Vec<_> = fields.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect();
    if said.is_empty() { "nothing".into() } else { said.join(" ") }
}

#[test]
fn frozen_advertisements_mean_what_they_meant() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/v1/advertisements.vectors");
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut wrong = String::new();
    let (cases, rest) = lines.as_chunks::<5>();
    assert!(cases.len() >= 25 && rest.is_empty());
    for [name, address, key, data, expected] in cases {
        let value = |line: &str, word: &str| line.strip_prefix(word).unwrap().trim().to_owned();
        let address: Address = value(address, "address").parse().unwrap();
        let key: Option<BindKey> = value(key, "key").parse().ok();
        let hex = value(data, "data");
        let digits = if hex == "-" { "" } else { &hex };
        let bytes: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        let found = said(bthome::open(&bytes, address, key.as_ref()));
        let expected = value(expected, "reads");
        let order = |text: &str| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
        if order(&found) != order(&expected) {
            writeln!(wrong, "{name}: expected {expected}, found {found}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
