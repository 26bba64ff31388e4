//! The address of a Bluetooth LE device: six bytes in the order in which people write them. Must not know the registry.
//! Called by the keyring, the cipher and the spool's messages, by the gateway's radio, by `scan`, and by the reader of
//! the registry's keys.
use crate::ids::DeviceId;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// A device's address (public or random), most significant byte first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 6]);

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{found}' is no Bluetooth address; six pairs of hex digits are, like C0:FF:EE:00:00:01 (also with - or nothing between them)"
)]
pub struct AddressError {
    /// The text's beginning, escaped.
    pub found: String,
}

impl Address {
    /// The device id of an address that is in no registry: `ble-` and the twelve digits.
    pub fn stranger(self) -> Option<DeviceId> {
        DeviceId::new(&self.stranger_name()).ok()
    }

    pub(crate) fn stranger_name(self) -> String {
        let mut name = String::from(STRANGER);
        self.0.iter().for_each(|byte| name.push_str(&format!("{byte:02X}")));
        name
    }
}

/// The prefix of the device id of a device that is in no registry.
pub(crate) const STRANGER: &str = "ble-";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text.as_bytes()).ok_or_else(|| AddressError { found: crate::value::excerpt(text) })
    }
}

fn parse(text: &[u8]) -> Option<Address> {
    let between = match text.len() {
        12 => None,
        17 => Some(text[2]).filter(|byte| matches!(byte, b':' | b'-')),
        _ => return None,
    };
    let step = match (text.len(), between) {
        (12, None) => 2,
        (17, Some(_)) => 3,
        _ => return None,
    };
    let mut address = [0; 6];
    for (at, byte) in address.iter_mut().enumerate() {
        let place = at * step;
        if at > 0 && between.is_some_and(|between| text[place - 1] != between) {
            return None;
        }
        *byte = hex(text[place])? << 4 | hex(text[place + 1])?;
    }
    Some(Address(address))
}

/// The value of a hex digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
