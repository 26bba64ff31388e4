//! The latest voltage at rest of each lock's battery, from its heartbeats and authenticated advertisements. It follows
//! the detectors' own rules ([`RestVoltage`]), so that `rest_mv` in ClickHouse is the value that the detectors used.
//! With the lowest voltage under load it gives sag and resistance, which the server's views can't compute: they see one
//! inserted block. Must not know servers. Called while a range is loaded.
use crate::parquet::{ReadError, StoredBatch};
use std::collections::HashMap;
use zenei_detect::{Heard, RestVoltage};
use zenei_wire::{Body, EventKind, Millivolts};

/// The most locks whose voltage is stored; further locks have no sag. A guess: one gateway has some ten thousand; about
/// 150 bytes each.
const MAX_LOCKS: usize = 1 << 20;
/// The first bytes of a stored list. The former form began with the length of a lock's id, which is not 0, and had no
/// times: it is not read, and the list is rebuilt from the sealed files.
const FORM: [u8; 2] = [0, 2];

/// Each lock's voltage at rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RestVoltages(HashMap<Box<str>, RestVoltage>);

impl RestVoltages {
    /// Takes a row in the order of release; for an operation it returns the voltage at rest before it.
    pub(super) fn see(&mut self, heard: &Heard<'_>, late: bool) -> Option<Millivolts> {
        if late {
            return None;
        }
        let (device, ts) = (heard.device.as_str(), heard.record.ts.ms());
        match &heard.record.body {
            Body::Op(_) => return self.0.get(device)?.at(ts),
            Body::State(state) => self.told(device, state.battery_mv, ts, RestVoltage::heartbeat),
            // Anyone can advertise in a lock's name.
            Body::Adv(adv) if heard.authenticated => self.told(device, adv.battery_mv, ts, RestVoltage::advertised),
            Body::Event(event) => match event.event {
                // The voltage of the new battery, or of the new lock, is unknown.
                EventKind::BatteryReplaced | EventKind::Installed => {
                    self.0.remove(device);
                }
                EventKind::OtaStarted
                | EventKind::OtaDone
                | EventKind::Moved
                | EventKind::MaintenanceStart
                | EventKind::MaintenanceEnd => {}
            },
            Body::Error(_) | Body::Gateway(_) | Body::Adv(_) => {}
        }
        None
    }

    fn told(
        &mut self,
        device: &str,
        battery: Option<Millivolts>,
        at_ms: i64,
        tell: fn(&mut RestVoltage, Option<Millivolts>, i64),
    ) {
        if let Some(known) = self.0.get_mut(device) {
            tell(known, battery, at_ms);
        } else if battery.is_some() && self.0.len() < MAX_LOCKS {
            tell(self.0.entry(device.into()).or_default(), battery, at_ms);
        }
    }

    /// The stored voltages as bytes: two bytes of the form, then the list in postcard's encoding.
    ///
    /// # Errors
    /// Never: a list in memory has nothing that postcard can't hold.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(&self.0, FORM.to_vec())
    }

    /// Reads [`Self::to_bytes`]; `None` if the bytes are not such a list.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes.strip_prefix(&FORM)?).ok().map(Self)
    }

    /// Takes the rows of a batch for their effect on later ones.
    pub(super) fn learn_all(&mut self, batch: &StoredBatch) -> Result<(), ReadError> {
        for at in 0..batch.len() {
            self.see(&batch.heard(at)?, batch.late(at));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::{Adv, DeviceTime, Event, GatewayTime, Name, Op, OpKind, OpResult, Record, State};

    const HOUR_MS: i64 = 3_600_000;

    fn record(ts: i64, body: Body<'static>) -> Record<'static> {
        Record {
            ts: DeviceTime(ts),
            boot: Some(1),
            seq: None,
            model: None,
            hw_rev: None,
            lot: None,
            fw: None,
            service: None,
            gw: None,
            client_version: None,
            uptime_s: None,
            body,
            unknown_fields: 0,
        }
    }

    fn see(rest: &mut RestVoltages, at_hour: i64, body: Body<'static>) -> Option<u16> {
        let heard = Heard {
            site: Name::new("tokyo-01").unwrap(),
            device: Name::new("BL1").unwrap(),
            record: record(at_hour * HOUR_MS, body),
            identity: 0,
            heard_at: GatewayTime(at_hour * HOUR_MS),
            offset: 0,
            index: 0,
            authenticated: true,
        };
        rest.see(&heard, false).map(|rest| rest.0)
    }

    fn heartbeat(battery_mv: u16) -> Body<'static> {
        Body::State(State { battery_mv: Some(Millivolts(battery_mv)), ..State::default() })
    }

    fn operation() -> Body<'static> {
        Body::Op(Op::of(OpKind::Lock, OpResult::Ok))
    }

    #[test]
    fn a_voltage_that_is_old_or_impossible_or_of_another_battery_is_none() {
        let mut rest = RestVoltages::default();
        assert_eq!(see(&mut rest, 0, operation()), None);
        see(&mut rest, 0, heartbeat(2_900));
        assert_eq!(see(&mut rest, 12, operation()), Some(2_900));
        assert_eq!(see(&mut rest, 13, operation()), None, "older than the detectors allow");
        see(&mut rest, 13, heartbeat(u16::MAX));
        assert_eq!(see(&mut rest, 12, operation()), Some(2_900), "no battery has 65.5 V");
        let event = Event { event: EventKind::BatteryReplaced, fw_from: None, fw_to: None };
        see(&mut rest, 12, Body::Event(event));
        assert_eq!(see(&mut rest, 12, operation()), None, "another battery");
        see(&mut rest, 12, Body::Adv(Adv { battery_mv: Some(Millivolts(3_000)), ..Adv::default() }));
        assert_eq!(see(&mut rest, 11, operation()), Some(3_000), "clocks of gateway and lock may differ");
    }

    #[test]
    fn what_is_remembered_comes_back_and_a_cut_or_former_list_is_none() {
        let mut rest = RestVoltages::default();
        see(&mut rest, 1, heartbeat(2_900));
        let bytes = rest.to_bytes().unwrap();
        assert_eq!(RestVoltages::from_bytes(&bytes), Some(rest));
        assert_eq!(
            RestVoltages::from_bytes(&RestVoltages::default().to_bytes().unwrap()),
            Some(RestVoltages::default())
        );
        for length in 0..bytes.len() {
            assert_eq!(RestVoltages::from_bytes(&bytes[..length]), None);
        }
        assert_eq!(RestVoltages::from_bytes(b"\x03BL1\x54\x0b"), None, "as a former version kept it");
    }
}
