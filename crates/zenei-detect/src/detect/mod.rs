//! The detectors: a closed list. Each says which parameters it takes, in which unit and range; rules give the values.
//! `Detector` passes to each what it asks for. Called by the engine.
use crate::anomaly::Findings;
use crate::batch::Row;
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::{Lock, Operation, RecordRef};
use crate::rules::Rule;
use crate::symptom::Symptom;
use drift::Measure;
use zenei_wire::{Body, EngineTime, EventKind};

pub mod clock;
pub mod drain;
pub mod drift;
pub mod firmware_errors;
mod lanes;
pub mod leak;
pub mod lock_errors;
pub mod loss;
pub mod parameters;
pub mod profile;
pub mod reboots;
mod report;
pub mod schema;
pub mod silence;
mod trail;
pub mod trouble;

pub use parameters::ParameterSpec;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Slow falls, and what no longer comes, are judged every few hours.
const FALL_EVERY_MS: i64 = 2 * HOUR_MS;

/// Which detector a rule drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectorKind {
    /// Trend of the battery's internal resistance.
    BatteryResistance,
    /// Charge that is lost faster than a lock uses it.
    BatteryDrain,
    /// Drift of the motor's effort.
    MotorEffort,
    /// Shape of the motor's current profile.
    ProfileShape,
    /// Share of operations that fail or need more than one attempt.
    OperationTrouble,
    /// Error rate of a firmware version against matched locks of the others.
    FirmwareErrors,
    /// Rate of an error code on one lock.
    LockErrors,
    /// Restarts that nobody asked for.
    Reboots,
    /// Free memory that shrinks within a boot.
    MemoryLeak,
    /// A lock that is no longer heard; a gateway behind which none is.
    Silence,
    /// The error of a lock's clock.
    ClockError,
    /// Records that are missing.
    RecordLoss,
    /// Fields or heartbeats that no longer come.
    SchemaDrift,
}

impl DetectorKind {
    /// Every detector.
    pub const ALL: [Self; 13] = [
        Self::BatteryResistance,
        Self::BatteryDrain,
        Self::MotorEffort,
        Self::ProfileShape,
        Self::OperationTrouble,
        Self::FirmwareErrors,
        Self::LockErrors,
        Self::Reboots,
        Self::MemoryLeak,
        Self::Silence,
        Self::ClockError,
        Self::RecordLoss,
        Self::SchemaDrift,
    ];

    /// The word in a rule file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BatteryResistance => "battery_resistance",
            Self::BatteryDrain => "battery_drain",
            Self::MotorEffort => "motor_effort",
            Self::ProfileShape => "profile_shape",
            Self::OperationTrouble => "operation_trouble",
            Self::FirmwareErrors => "firmware_errors",
            Self::LockErrors => "lock_errors",
            Self::Reboots => "reboots",
            Self::MemoryLeak => "memory_leak",
            Self::Silence => "silence",
            Self::ClockError => "clock_error",
            Self::RecordLoss => "record_loss",
            Self::SchemaDrift => "schema_drift",
        }
    }

    /// The detector of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What it takes.
    pub const fn parameters(self) -> &'static [ParameterSpec] {
        parameters::of(self)
    }

    /// What it is a symptom of.
    pub const fn symptom(self) -> Symptom {
        match self {
            Self::BatteryResistance => Symptom::Resistance,
            Self::BatteryDrain => Symptom::Drain,
            Self::MotorEffort => Symptom::Effort,
            Self::ProfileShape => Symptom::Shape,
            Self::OperationTrouble => Symptom::Trouble,
            Self::FirmwareErrors | Self::LockErrors | Self::Reboots => Symptom::Errors,
            Self::MemoryLeak => Symptom::Memory,
            Self::Silence => Symptom::Silence,
            Self::ClockError => Symptom::Clock,
            Self::RecordLoss => Symptom::Loss,
            Self::SchemaDrift => Symptom::Schema,
        }
    }
}

/// One record as the detectors see it, with what is known of its lock by now.
pub struct Glance<'a> {
    /// The lock.
    pub device: DeviceIx,
    /// What is known of it, this record included.
    pub lock: &'a Lock,
    /// The record.
    pub row: &'a Row,
    /// The completed motor operation, where the record is one and its conditions are known.
    pub operation: Option<&'a Operation>,
    /// The error code, where the record reports one.
    pub code: Sym,
    /// How many records before it are missing.
    pub missing: u32,
    /// Its reference.
    pub record: RecordRef,
    /// The engine's time, ms.
    pub now_ms: i64,
}

/// A detector with its state, driven by one rule.
pub(crate) enum Detector {
    Drift(drift::Drift),
    Drain(drain::Drain),
    Trouble(trouble::Trouble),
    FirmwareErrors(firmware_errors::FirmwareErrors),
    LockErrors(lock_errors::LockErrors),
    Reboots(reboots::Reboots),
    Leak(leak::Leak),
    Silence(silence::Silence),
    Clock(clock::Clock),
    Loss(loss::Loss),
    Schema(schema::Schema),
}

/// One expression for whichever detector it is.
macro_rules! each {
    ($detector:expr, $it:ident => $does:expr) => {
        match $detector {
            Detector::Drift($it) => $does,
            Detector::Drain($it) => $does,
            Detector::Trouble($it) => $does,
            Detector::FirmwareErrors($it) => $does,
            Detector::LockErrors($it) => $does,
            Detector::Reboots($it) => $does,
            Detector::Leak($it) => $does,
            Detector::Silence($it) => $does,
            Detector::Clock($it) => $does,
            Detector::Loss($it) => $does,
            Detector::Schema($it) => $does,
        }
    };
}

impl Detector {
    /// The detector of a rule, without history.
    pub(crate) fn new(rule: &Rule) -> Self {
        match rule.detector {
            DetectorKind::BatteryResistance => Self::Drift(drift::Drift::new(rule, Measure::Resistance)),
            DetectorKind::BatteryDrain => Self::Drain(drain::Drain::new(rule)),
            DetectorKind::MotorEffort => Self::Drift(drift::Drift::new(rule, Measure::Effort)),
            DetectorKind::ProfileShape => Self::Drift(drift::Drift::new(rule, Measure::Shape)),
            DetectorKind::OperationTrouble => Self::Trouble(trouble::Trouble::new(rule)),
            DetectorKind::FirmwareErrors => Self::FirmwareErrors(firmware_errors::FirmwareErrors::new(rule)),
            DetectorKind::LockErrors => Self::LockErrors(lock_errors::LockErrors::new(rule)),
            DetectorKind::Reboots => Self::Reboots(reboots::Reboots::new(rule)),
            DetectorKind::MemoryLeak => Self::Leak(leak::Leak::new(rule)),
            DetectorKind::Silence => Self::Silence(silence::Silence::new(rule)),
            DetectorKind::ClockError => Self::Clock(clock::Clock::new(rule)),
            DetectorKind::RecordLoss => Self::Loss(loss::Loss::new(rule)),
            DetectorKind::SchemaDrift => Self::Schema(schema::Schema::new(rule)),
        }
    }

    pub(crate) fn rule(&self) -> &Rule {
        each!(self, it => it.rule())
    }

    /// Takes a record that is not late.
    pub(crate) fn row(&mut self, glance: &Glance<'_>) {
        match self {
            Self::Drift(drift) => {
                if let Some(operation) = glance.operation {
                    drift.operation(glance.device, glance.lock, operation, glance.record, glance.now_ms);
                }
            }
            Self::FirmwareErrors(firmware) => {
                firmware.heard(glance.device, glance.lock, glance.now_ms);
                if matches!(glance.row.body, Body::Error(_)) {
                    firmware.error(glance.device, glance.code, glance.record, glance.now_ms);
                }
            }
            Self::Drain(drain) => drain.row(glance),
            Self::Trouble(trouble) => trouble.row(glance),
            Self::LockErrors(errors) => errors.row(glance),
            Self::Reboots(reboots) => reboots.row(glance),
            Self::Leak(leak) => leak.row(glance),
            Self::Silence(silence) => silence.row(glance),
            Self::Clock(clock) => clock.row(glance),
            Self::Loss(loss) => loss.row(glance),
            Self::Schema(schema) => schema.row(glance),
        }
    }

    /// Takes an error report that came late: it counts where only the number counts.
    pub(crate) fn late_error(&mut self, device: DeviceIx, code: Sym, record: RecordRef, now_ms: i64) {
        if let Self::FirmwareErrors(firmware) = self {
            firmware.error(device, code, record, now_ms);
        }
    }

    /// A record of this lock was heard that can't be read: it is there, and nothing was lost.
    pub(crate) fn unreadable(&mut self, device: DeviceIx, now: EngineTime) {
        match self {
            Self::Loss(loss) => loss.unreadable(device, now),
            Self::Silence(silence) => silence.unreadable(device, now),
            Self::Schema(schema) => schema.unreadable(device, now),
            Self::Drift(_)
            | Self::Drain(_)
            | Self::Trouble(_)
            | Self::FirmwareErrors(_)
            | Self::LockErrors(_)
            | Self::Reboots(_)
            | Self::Leak(_)
            | Self::Clock(_) => {}
        }
    }

    /// What happened to a lock makes some of what was learned of it void (telemetry contract).
    pub(crate) fn event(&mut self, event: EventKind, device: DeviceIx) {
        let resets = match event {
            EventKind::Installed => true,
            EventKind::BatteryReplaced => match self {
                Self::Drift(drift) => drift.measure() == Measure::Resistance,
                Self::Drain(_) => true,
                Self::Trouble(_)
                | Self::FirmwareErrors(_)
                | Self::LockErrors(_)
                | Self::Reboots(_)
                | Self::Leak(_)
                | Self::Silence(_)
                | Self::Clock(_)
                | Self::Loss(_)
                | Self::Schema(_) => false,
            },
            EventKind::Moved => match self {
                Self::Drift(drift) => drift.measure() != Measure::Resistance,
                Self::Trouble(_) => true,
                Self::Drain(_)
                | Self::FirmwareErrors(_)
                | Self::LockErrors(_)
                | Self::Reboots(_)
                | Self::Leak(_)
                | Self::Silence(_)
                | Self::Clock(_)
                | Self::Loss(_)
                | Self::Schema(_) => false,
            },
            EventKind::MaintenanceStart | EventKind::MaintenanceEnd | EventKind::OtaStarted | EventKind::OtaDone => {
                false
            }
        };
        if resets {
            each!(self, it => it.reset(device));
        }
    }

    /// Ends an hour, and a day where it is one.
    pub(crate) fn close(&mut self, now: EngineTime, locks: &[Lock], fleet: &Fleet, findings: &mut Findings) {
        let ends = |every_ms: i64| now.ms().rem_euclid(every_ms) == 0;
        match self {
            Self::Drift(drift) => {
                if ends(DAY_MS) {
                    drift.close_day(now, locks, fleet, findings);
                }
            }
            Self::FirmwareErrors(firmware) => {
                firmware.close_hour(now, fleet, findings);
                if ends(DAY_MS) {
                    firmware.close_day(now, locks);
                }
            }
            Self::LockErrors(errors) => {
                errors.close(now, locks, fleet, findings);
                if ends(DAY_MS) {
                    errors.close_day(now, locks);
                }
            }
            Self::Drain(drain) => {
                if ends(FALL_EVERY_MS) {
                    drain.close(now, locks, fleet, findings);
                }
            }
            Self::Leak(leak) => {
                if ends(FALL_EVERY_MS) {
                    leak.close(now, locks, fleet, findings);
                }
            }
            Self::Trouble(trouble) => trouble.close(now, locks, fleet, findings),
            Self::Reboots(reboots) => {
                reboots.close(now, locks, fleet, findings);
                if ends(DAY_MS) {
                    reboots.close_day(locks);
                }
            }
            Self::Silence(silence) => silence.close(now, locks, fleet, findings),
            Self::Clock(clock) => clock.close(now, locks, fleet, findings),
            Self::Loss(loss) => loss.close(now, locks, fleet, findings),
            Self::Schema(schema) => {
                if ends(FALL_EVERY_MS) {
                    schema.close(now, locks, fleet, findings);
                }
            }
        }
    }

    /// Its state as bytes; equal states give equal bytes.
    pub(crate) fn state(&self) -> Result<Vec<u8>, postcard::Error> {
        each!(self, it => postcard::to_stdvec(it.state()))
    }

    /// Goes on from a state of the same rule.
    pub(crate) fn restore(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        each!(self, it => it.restore(postcard::from_bytes(bytes)?));
        Ok(())
    }
}
