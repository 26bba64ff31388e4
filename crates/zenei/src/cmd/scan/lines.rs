//! Advertisements as lines for programs: one line for each decoded advertisement, not merged, with every field of the
//! interface contract. Called by `scan --json`.
use super::ongoing::Step;
use crate::exit::Failure;
use crate::output::Output;
use serde::Serialize;
use zenei_wire::Adv;

/// One line, in the contract's order; an absent field is null.
#[derive(Debug, Serialize)]
struct Line<'a> {
    heard_at: i64,
    address: String,
    device_id: &'a str,
    rssi_dbm: Option<i8>,
    /// Encrypted with the lock's key, and no replayed old one.
    trusted: bool,
    battery_pct: Option<u8>,
    battery_mv: Option<u16>,
    temp_c: Option<f64>,
    peak_ma: Option<u16>,
    lock_state: Option<&'static str>,
    problem: Option<bool>,
    fw: Option<String>,
    packet_id: Option<u8>,
}

/// Where the lines go.
pub(super) struct Lines<'o, 'a> {
    out: &'o mut Output<'a>,
}

impl<'o, 'a> Lines<'o, 'a> {
    pub(super) fn new(out: &'o mut Output<'a>) -> Self {
        Self { out }
    }

    /// Writes the line of a decoded advertisement at once, because its reader waits for it.
    pub(super) fn step(&mut self, step: &Step<'_>) -> Result<(), Failure> {
        let Some(read) = &step.read else { return Ok(()) };
        let Adv { battery_mv, battery_pct, temp_c, rssi_dbm, lock_state, peak_ma, problem, packet_id, .. } = read.adv;
        let line = Line {
            heard_at: step.message.heard_at.ms(),
            address: read.address.to_string(),
            device_id: &read.device,
            rssi_dbm: rssi_dbm.map(|strength| strength.0),
            trusted: read.is_trusted,
            battery_pct: battery_pct.map(|share| share.0),
            battery_mv: battery_mv.map(|voltage| voltage.0),
            temp_c: temp_c.map(zenei_wire::CentiCelsius::celsius),
            peak_ma: peak_ma.map(|current| current.0),
            lock_state: lock_state.map(zenei_wire::LockState::as_str),
            problem,
            fw: read.firmware.map(|firmware| firmware.to_string()),
            packet_id,
        };
        self.out.json(&line)?;
        self.out.flush()
    }
}
