//! Measures the decoding time of one record: `cargo run --release -p zenei-wire --example decode_speed`. It prints
//! nanoseconds per record, the best of several rounds, for the contract's own examples in JSON and in CBOR, alone and
//! in an array of 100.
#![expect(clippy::print_stdout, reason = "printing the figures is what it is for")]
use std::hint::black_box;
use std::time::Instant;
use zenei_wire::{Heading, Record, Topic, cbor, decode, json};

const STATE: (&str, &str) = (
    "bitlock/v1/tokyo-01/BL0000123/state",
    r#"{"ts":"2026-05-01T09:00:00.000Z","boot":7,"seq":1201,"model":"bitlock-mini","hw_rev":"C2","lot":"2025W31","fw":"3.2.1","service":"homehub","uptime_s":864000,"battery_mv":2874,"battery_pct":71,"temp_c":18.5,"rssi_dbm":-67,"lock_state":"locked","reset_reason":"power_on"}"#,
);
const OP: (&str, &str) = (
    "bitlock/v1/tokyo-01/BL0000123/op",
    r#"{"ts":1777626000123,"boot":7,"seq":1202,"fw":"3.2.1","op":"unlock","source":"app","client_version":"ios-5.4.0","result":"ok","latency_ms":1430,"duration_ms":820,"peak_ma":612,"mean_ma":310,"battery_min_mv":2610,"angle_err_deg":1.2}"#,
);
/// 156 bytes, the size that other readers were measured with.
const SMALL: (&str, &str) = (
    "bitlock/v1/tokyo-01/BL0000123/state",
    r#"{"ts":1777626000123,"boot":7,"seq":1201,"fw":"3.2.1","uptime_s":864000,"battery_mv":2874,"battery_pct":71,"temp_c":18.5,"rssi_dbm":-67,"lock_state":"locked"}"#,
);
const ERROR: (&str, &str) = (
    "bitlock/v1/tokyo-01/BL0000123/error",
    r#"{"ts":1777626005000,"boot":7,"seq":1203,"fw":"3.2.1","code":"motor_stall","count":1}"#,
);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:<16} {:>6} {:>10}", "message", "bytes", "ns/record");
    for (name, (topic, text)) in [("state", STATE), ("op", OP), ("small state", SMALL), ("error", ERROR)] {
        let Heading::Record(topic) = Topic::parse(topic)? else {
            return Err("the topic is no record's".into());
        };
        let records = decode(&topic, text.as_bytes())?;
        let record = records[0].record.clone()?;
        let (mut packed, mut json_array, mut cbor_array) = (Vec::new(), Vec::new(), Vec::new());
        let backlog: Vec<Record<'_>> = vec![record; 100];
        cbor::encode(&topic, &backlog[0], &mut packed);
        json::encode_array(&topic, &backlog, &mut json_array);
        cbor::encode_array(&topic, &backlog, &mut cbor_array);
        measure(&format!("{name} json"), &topic, text.as_bytes());
        measure(&format!("{name} cbor"), &topic, &packed);
        measure(&format!("{name} json/100"), &topic, &json_array);
        measure(&format!("{name} cbor/100"), &topic, &cbor_array);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a measurement of time")]
fn measure(name: &str, topic: &Topic<'_>, payload: &[u8]) {
    const ROUNDS: usize = 20;
    const RECORDS: usize = 50_000;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (start, mut records) = (Instant::now(), 0);
        while records < RECORDS {
            let decoded = decode(black_box(topic), black_box(payload));
            records += black_box(&decoded).as_ref().map_or(RECORDS, |decoded| decoded.len());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / records as f64);
    }
    println!("{name:<16} {:>6} {best:>10.0}", payload.len());
}
