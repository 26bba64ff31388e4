//! What is measured of a lock over time, as the API names it. Must not know a route. Used by the routes on locks and
//! by their description.
use zenei_store::history::{Bucket, Span};

zenei_wire::words! {
    /// What is measured of a lock over time.
    Field {
        /// Battery at rest, mV.
        BatteryMv = "battery_mv",
        /// Battery under load, mV.
        LoadMv = "load_mv",
        /// Battery, percent.
        BatteryPct = "battery_pct",
        /// Sag of the battery by the peak current, mΩ.
        ResistanceMohm = "resistance_mohm",
        /// The motor's peak current, mA.
        PeakMa = "peak_ma",
        /// The charge that the motor takes for an operation, mC.
        EffortMc = "effort_mc",
        /// Temperature, °C.
        TempC = "temp_c",
        /// Signal strength, dBm.
        RssiDbm = "rssi_dbm",
    }
}

impl Field {
    /// Its span in a bucket.
    pub(super) fn of(self, bucket: &Bucket) -> Option<Span> {
        match self {
            Self::BatteryMv => bucket.battery_mv,
            Self::LoadMv => bucket.load_mv,
            Self::BatteryPct => bucket.battery_pct,
            Self::ResistanceMohm => bucket.resistance_mohm,
            Self::PeakMa => bucket.peak_ma,
            Self::EffortMc => bucket.effort_mc,
            Self::TempC => bucket.temp_c,
            Self::RssiDbm => bucket.rssi_dbm,
        }
    }

    /// Its unit.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::BatteryMv | Self::LoadMv => "mV",
            Self::BatteryPct => "%",
            Self::ResistanceMohm => "mΩ",
            Self::PeakMa => "mA",
            Self::EffortMc => "mC",
            Self::TempC => "°C",
            Self::RssiDbm => "dBm",
        }
    }
}
