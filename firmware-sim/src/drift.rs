//! How one field of an encoded record breaks the contract: another type, unit or name, or a field that is not in the
//! contract. Works on the bytes, because the contract's own writer can't write such a record. Called by `message`.
use crate::fault::Altered;
use crate::scenario::DriftKind;

/// The name of a field that is not in the contract.
const ADDED: &str = "build_id";
/// The prefix of a renamed field.
const PREFIX: &str = "raw_";

/// Alters the field where the record has it.
pub(crate) fn alter(payload: &mut Vec<u8>, cbor: bool, altered: &Altered) {
    let name = altered.field.as_str();
    let found = if cbor { find_cbor(payload, name) } else { find_json(payload, name) };
    let Some(found) = found else { return };
    let (name, value) = match altered.how {
        DriftKind::Text => (name.to_owned(), Value::Text(found.number.to_string())),
        DriftKind::Tenths => (name.to_owned(), Value::Number(found.number * 10)),
        DriftKind::Renamed => (format!("{PREFIX}{name}"), Value::Number(found.number)),
        DriftKind::Added => (name.to_owned(), Value::Number(found.number)),
    };
    let mut field = write(cbor, &name, &value);
    let added = altered.how == DriftKind::Added;
    if added {
        if !cbor {
            field.push(b',');
        }
        field.extend(write(cbor, ADDED, &Value::Text("r7".into())));
    }
    let _ = payload.splice(found.from..found.to, field);
    if added && cbor {
        count_one_more(payload);
    }
}

/// A field in a payload: where its name begins, where its number ends.
struct Found {
    from: usize,
    to: usize,
    number: u64,
}

enum Value {
    Number(u64),
    Text(String),
}

fn find(payload: &[u8], needle: &[u8]) -> Option<usize> {
    payload.windows(needle.len()).position(|window| window == needle)
}

fn find_json(payload: &[u8], name: &str) -> Option<Found> {
    let needle = format!("\"{name}\":");
    let from = find(payload, needle.as_bytes())?;
    let start = from + needle.len();
    let digits = payload[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&payload[start..start + digits]).ok()?.parse().ok()?;
    Some(Found { from, to: start + digits, number })
}

fn find_cbor(payload: &[u8], name: &str) -> Option<Found> {
    let needle = cbor_text(name);
    let from = find(payload, &needle)?;
    let start = from + needle.len();
    let number = |from: usize, bytes: usize| {
        let bytes = payload.get(from..from + bytes)?;
        Some(bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    // RFC 8949, 3.1: major type 0, an argument of 0, 1, 2 or 4 bytes.
    let (size, number) = match *payload.get(start)? {
        small @ 0..24 => (0, u64::from(small)),
        24 => (1, number(start + 1, 1)?),
        25 => (2, number(start + 1, 2)?),
        26 => (4, number(start + 1, 4)?),
        27.. => return None,
    };
    Some(Found { from, to: start + 1 + size, number })
}

fn write(cbor: bool, name: &str, value: &Value) -> Vec<u8> {
    match (cbor, value) {
        (false, Value::Number(number)) => format!("\"{name}\":{number}").into_bytes(),
        (false, Value::Text(text)) => format!("\"{name}\":\"{text}\"").into_bytes(),
        (true, Value::Number(number)) => {
            let mut field = cbor_text(name);
            field.push(26);
            field.extend(u32::try_from(*number).unwrap_or(u32::MAX).to_be_bytes());
            field
        }
        (true, Value::Text(text)) => [cbor_text(name), cbor_text(text)].concat(),
    }
}

/// A text of less than 24 bytes: only such texts are written here.
fn cbor_text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x60 | text.len() as u8];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The map at the start has one more field; its head is of one or two bytes.
fn count_one_more(payload: &mut Vec<u8>) {
    match payload.first().copied() {
        Some(0xB7) => drop(payload.splice(0..1, [0xB8, 24])),
        Some(head @ 0xA0..0xB7) => payload[0] = head + 1,
        Some(0xB8) if payload.len() > 1 => payload[1] = payload[1].saturating_add(1),
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Alterer;
    use crate::scenario::DriftField;
    use zenei_wire::{Body, DeviceTime, Kind, Millivolts, Name, Reason, Record, State, Topic};

    fn topic() -> Topic<'static> {
        Topic { site: Name::new("s").unwrap(), device: Name::new("d").unwrap(), kind: Kind::State }
    }

    /// What a reader gets from an altered record: unknown fields and voltage, or why it is refused.
    fn read(cbor: bool, how: DriftKind) -> Result<(u16, Option<u16>), Reason> {
        let state = State { battery_mv: Some(Millivolts(2874)), ..State::default() };
        let record = Record {
            ts: DeviceTime(5),
            boot: Some(1),
            seq: Some(2),
            model: None,
            hw_rev: None,
            lot: None,
            fw: None,
            service: None,
            gw: None,
            client_version: None,
            uptime_s: None,
            body: Body::State(state),
            unknown_fields: 0,
        };
        let mut payload = Vec::new();
        if cbor {
            zenei_wire::cbor::encode(&topic(), &record, &mut payload);
        } else {
            zenei_wire::json::encode(&topic(), &record, &mut payload);
        }
        alter(&mut payload, cbor, &Altered { by: Alterer::Version(0), field: DriftField::BatteryMv, how });
        let decoded = zenei_wire::decode(&topic(), &payload).unwrap().into_iter().next().unwrap();
        let record = decoded.record.map_err(|refusal| refusal.reason)?;
        let Body::State(state) = record.body else { panic!("no state") };
        Ok((record.unknown_fields, state.battery_mv.map(|voltage| voltage.0)))
    }

    #[test]
    fn each_drift_is_what_a_reader_takes_it_for_in_both_encodings() {
        for cbor in [false, true] {
            assert_eq!(read(cbor, DriftKind::Text), Err(Reason::WrongType));
            assert_eq!(read(cbor, DriftKind::Tenths), Ok((0, Some(28740))));
            assert_eq!(read(cbor, DriftKind::Renamed), Ok((1, None)));
            assert_eq!(read(cbor, DriftKind::Added), Ok((1, Some(2874))));
        }
    }
}
