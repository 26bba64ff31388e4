//! Reads the objects of an advertisement into the fields of the telemetry contract, and writes them back, in the two
//! sets in which a lock sends them. Must not know keys; the counter and the signal strength come from the caller.
//! Called by `open`, by `listener`, by `scan` and by simulators.
use super::format::{OpenError, Payload};
use super::object::Objects;
use crate::record::{Adv, LockState};
use crate::units::{CentiCelsius, Milliamps, Millivolts, Percent};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

const PACKET_ID: u8 = 0x00;
const BATTERY: u8 = 0x01;
const TEMPERATURE: u8 = 0x02;
const VOLTAGE: u8 = 0x0C;
const LOCK: u8 = 0x1F;
const PROBLEM: u8 = 0x26;
const COUNT: u8 = 0x3D;
const CURRENT: u8 = 0x43;
const TEMPERATURE_TENTHS: u8 = 0x45;
const VOLTAGE_TENTHS: u8 = 0x4A;
const TEMPERATURE_WHOLE: u8 = 0x57;
const TEMPERATURE_COARSE: u8 = 0x58;
const FIRMWARE_4: u8 = 0xF1;
const FIRMWARE_3: u8 = 0xF2;

/// The content of one advertisement. A field that is `None` is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The fields of a record of kind `adv`; `counter` and `rssi_dbm` are never in the objects.
    pub adv: Adv,
    /// Firmware version.
    pub firmware: Option<Firmware>,
    /// How many objects the contract does not name. After an id that the standard does not define either, nothing can
    /// be read.
    pub unknown: u16,
}

/// The two sets of objects that a lock sends in turn, because one advertisement has no room for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Set {
    /// Battery, voltage, lock, problem, current.
    A,
    /// Temperature, head of the log, firmware.
    B,
}

/// A firmware version as BTHome sends it: 3 or 4 numbers from 0 to 255.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Firmware {
    /// Most significant first; of a version of 3 numbers the last one here is 0.
    numbers: [u8; 4],
    len: u8,
}

/// A text that is no version of 3 or 4 numbers from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a firmware version of an advertisement is 3 or 4 numbers from 0 to 255 with dots between them")]
pub struct NotFirmware;

impl Reading {
    /// Reads these objects. A value that its type does not allow counts as absent; of an object that comes twice, the
    /// first counts.
    ///
    /// # Errors
    /// [`OpenError::Cut`].
    pub(super) fn of(payload: &[u8]) -> Result<Self, OpenError> {
        let mut reading = Self::default();
        let mut objects = Objects::of(payload);
        for object in objects.by_ref() {
            let object = object?;
            if !reading.take(object.id, object.value) {
                reading.unknown = reading.unknown.saturating_add(1);
            }
        }
        reading.unknown = reading.unknown.saturating_add(u16::from(objects.unknown().is_some()));
        Ok(reading)
    }

    /// Takes an object; false if the contract does not name it.
    fn take(&mut self, id: u8, value: &[u8]) -> bool {
        let adv = &mut self.adv;
        match (id, value) {
            (PACKET_ID, &[id]) => first(&mut adv.packet_id, Some(id)),
            (BATTERY, &[percent]) => first(&mut adv.battery_pct, (percent <= 100).then_some(Percent(percent))),
            (TEMPERATURE, &[low, high]) => first(&mut adv.temp_c, Some(CentiCelsius(i16::from_le_bytes([low, high])))),
            (TEMPERATURE_TENTHS, &[low, high]) => first(&mut adv.temp_c, celsius(i16::from_le_bytes([low, high]), 10)),
            (TEMPERATURE_WHOLE, &[degrees]) => first(&mut adv.temp_c, celsius(degrees.cast_signed().into(), 100)),
            (TEMPERATURE_COARSE, &[steps]) => first(&mut adv.temp_c, celsius(steps.cast_signed().into(), 35)),
            (VOLTAGE, &[low, high]) => first(&mut adv.battery_mv, Some(Millivolts(u16::from_le_bytes([low, high])))),
            (VOLTAGE_TENTHS, &[low, high]) => {
                let millivolts = u16::from_le_bytes([low, high]).checked_mul(100);
                first(&mut adv.battery_mv, millivolts.map(Millivolts));
            }
            (LOCK, &[0]) => first(&mut adv.lock_state, Some(LockState::Locked)),
            (LOCK, &[1]) => first(&mut adv.lock_state, Some(LockState::Unlocked)),
            (PROBLEM, &[flag @ (0 | 1)]) => first(&mut adv.problem, Some(flag == 1)),
            (CURRENT, &[low, high]) => first(&mut adv.peak_ma, Some(Milliamps(u16::from_le_bytes([low, high])))),
            (COUNT, &[low, high]) => first(&mut adv.seq_low, Some(u16::from_le_bytes([low, high]))),
            (FIRMWARE_3, &[patch, minor, major]) => {
                first(&mut self.firmware, Some(Firmware { numbers: [major, minor, patch, 0], len: 3 }));
            }
            (FIRMWARE_4, &[build, patch, minor, major]) => {
                first(&mut self.firmware, Some(Firmware { numbers: [major, minor, patch, build], len: 4 }));
            }
            _ => return false,
        }
        true
    }

    /// The set to which it belongs: A if it has any field of A.
    pub fn set(&self) -> Set {
        let Adv { battery_mv, battery_pct, lock_state, problem, peak_ma, .. } = self.adv;
        let has_a = battery_mv.is_some()
            || battery_pct.is_some()
            || lock_state.is_some()
            || problem.is_some()
            || peak_ma.is_some();
        if has_a { Set::A } else { Set::B }
    }

    /// Whether it has both sets, as another maker's sensor may: then there is nothing to wait for.
    pub fn is_whole(&self) -> bool {
        self.set() == Set::A && self.has_b()
    }

    pub(super) fn has_b(&self) -> bool {
        self.adv.temp_c.is_some() || self.adv.seq_low.is_some() || self.firmware.is_some()
    }

    /// The objects of one set, in ascending order of their ids. A lock state that is neither locked nor unlocked is
    /// left out.
    pub fn objects(&self, set: Set) -> Payload {
        let mut payload = Payload::new();
        let adv = &self.adv;
        let mut put = |id: u8, value: Option<&[u8]>| {
            if let Some(value) = value {
                payload.push(id);
                payload.extend_from_slice(value);
            }
        };
        put(PACKET_ID, adv.packet_id.map(|id| [id]).as_ref().map(<[u8; 1]>::as_slice));
        match set {
            Set::A => {
                put(BATTERY, adv.battery_pct.map(|percent| [percent.0]).as_ref().map(<[u8; 1]>::as_slice));
                put(VOLTAGE, adv.battery_mv.map(|voltage| voltage.0.to_le_bytes()).as_ref().map(<[u8; 2]>::as_slice));
                put(LOCK, lock(adv.lock_state).map(|state| [state]).as_ref().map(<[u8; 1]>::as_slice));
                put(PROBLEM, adv.problem.map(|problem| [u8::from(problem)]).as_ref().map(<[u8; 1]>::as_slice));
                put(CURRENT, adv.peak_ma.map(|current| current.0.to_le_bytes()).as_ref().map(<[u8; 2]>::as_slice));
            }
            Set::B => {
                put(TEMPERATURE, adv.temp_c.map(|temp| temp.0.to_le_bytes()).as_ref().map(<[u8; 2]>::as_slice));
                put(COUNT, adv.seq_low.map(u16::to_le_bytes).as_ref().map(<[u8; 2]>::as_slice));
                if let Some(Firmware { numbers: [major, minor, patch, build], len }) = self.firmware {
                    if len == 3 {
                        put(FIRMWARE_3, Some(&[patch, minor, major]));
                    } else {
                        put(FIRMWARE_4, Some(&[build, patch, minor, major]));
                    }
                }
            }
        }
        payload
    }
}

fn first<T>(field: &mut Option<T>, value: Option<T>) {
    if field.is_none() {
        *field = value;
    }
}

/// A temperature in steps of so many hundredths.
fn celsius(steps: i16, hundredths: i16) -> Option<CentiCelsius> {
    steps.checked_mul(hundredths).map(CentiCelsius)
}

fn lock(state: Option<LockState>) -> Option<u8> {
    match state? {
        LockState::Locked => Some(0),
        LockState::Unlocked => Some(1),
        LockState::Jammed | LockState::Moving | LockState::Unknown => None,
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, build] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if self.len == 4 { write!(f, ".{build}") } else { Ok(()) }
    }
}

impl fmt::Debug for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Firmware {
    type Err = NotFirmware;

    fn from_str(text: &str) -> Result<Self, NotFirmware> {
        let (mut numbers, mut len) = ([0; 4], 0);
        for part in text.split('.') {
            let number = numbers.get_mut(usize::from(len)).ok_or(NotFirmware)?;
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            // `007` is not written so, and would not read back.
            let is_short = part.len() == 1 || !part.starts_with('0');
            *number = part.parse().ok().filter(|_| is_number && is_short).ok_or(NotFirmware)?;
            len += 1;
        }
        if len < 3 { Err(NotFirmware) } else { Ok(Self { numbers, len }) }
    }
}
