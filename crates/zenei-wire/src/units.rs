//! Units of measure as types, so that millivolts can't be added to milliamps. Must not know records. Called by the
//! record's fields and by the code that reads or writes them.
use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($repr:ty), $suffix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $repr);
        impl From<$repr> for $name {
            fn from(number: $repr) -> Self {
                Self(number)
            }
        }
        impl From<$name> for $repr {
            fn from(quantity: $name) -> Self {
                quantity.0
            }
        }
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!("{} ", $suffix), self.0)
            }
        }
    };
}

unit!(
    /// Electric potential, 1 mV, 0 to 65,535.
    Millivolts(u16), "mV");
unit!(
    /// Electric current, 1 mA, 0 to 65,535.
    Milliamps(u16), "mA");
unit!(
    /// A length of time, 1 ms.
    Millis(u32), "ms");
unit!(
    /// A share of a whole, 0 to 100.
    Percent(u8), "%");
unit!(
    /// An amount of memory, 1 byte.
    Bytes(u32), "B");
unit!(
    /// Received signal strength, 1 dBm, -128 to 127.
    DbMilliwatts(i8), "dBm");
unit!(
    /// Temperature in hundredths of a degree Celsius, -327.68 °C to 327.67 °C. Fixed point: a hundredth is what BTHome
    /// sends, finer than a board's sensor, and integers compress better than floats.
    CentiCelsius(i16), "c°C");
unit!(
    /// An angle in hundredths of a degree, -327.68° to 327.67°.
    CentiDegrees(i16), "c°");

impl CentiCelsius {
    /// Degrees Celsius as a float, for arithmetic.
    pub fn celsius(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl CentiDegrees {
    /// Degrees as a float, for arithmetic.
    pub fn degrees(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}
