//! What the telemetry contract's catalogue says of an error code: its likely cause, whether it names a part that wears,
//! and whether the lock itself brings it about. Must not know locks or rules. Called by `lock_errors`,
//! `firmware_errors` and `requests`.
use crate::anomaly::{Component, Domain};

/// The first guess of the telemetry contract's catalogue; of an unknown code the firmware, which made the word up.
pub(super) fn cause(code: &str) -> (Domain, Component) {
    match code {
        "motor_stall" | "motor_overcurrent" | "jam" => (Domain::Hardware, Component::Motor),
        "battery_cutoff" => (Domain::Hardware, Component::Battery),
        "thumbturn_slip" => (Domain::Hardware, Component::Thumbturn),
        "sensor_fault" => (Domain::Hardware, Component::Sensor),
        "rtc_fault" => (Domain::Hardware, Component::CommBoard),
        "cloud_timeout" | "api_error" | "sync_failed" => (Domain::Software, Component::Cloud),
        "auth_rejected" | "token_expired" | "command_rejected" => (Domain::Software, Component::App),
        "clock_unsynced" => (Domain::Software, Component::Cloud),
        _ => (Domain::Firmware, Component::FwImage),
    }
}

/// Whether the code names a part that wears or a battery that empties, by the telemetry contract's catalogue.
pub(super) fn wears(code: &str) -> bool {
    matches!(
        code,
        "motor_stall"
            | "motor_overcurrent"
            | "jam"
            | "sensor_fault"
            | "low_battery"
            | "battery_cutoff"
            | "rtc_fault"
            | "thumbturn_slip"
    )
}

/// Whether the code names the lock's drive, sensors, battery, clock, radio or firmware: no request met it outside of
/// its lock. An unknown code may be anybody's: those who ask decide, where it comes with their requests.
pub(super) fn is_of_lock(code: &str) -> bool {
    wears(code)
        || matches!(
            code,
            "watchdog_reset"
                | "hard_fault"
                | "assert_failed"
                | "flash_crc"
                | "stack_overflow"
                | "ota_failed"
                | "ble_stack_reset"
                | "config_lost"
                | "clock_unsynced"
                | "ble_disconnect"
        )
}
