//! The parts that make a detector: its description ([`Spec`]), its reaction to records and windows ([`Detect`]), and
//! what all detectors have in common ([`Running`]: rule, parameters, state). Must not know a particular detector. Each
//! detector implements it; the engine drives them through [`Detector`].
use crate::anomaly::{Component, Findings};
use crate::batch::{Row, Succession};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::kind::DetectorKind;
use crate::lock::{Lock, Operation, RecordRef};
use crate::rule::{MissingParameter, Rule};
use crate::symptom::Symptom;
use crate::time::DAY_MS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zenei_wire::{EngineTime, EventKind};

/// A detector's description.
pub struct Spec {
    /// Its description for rules.
    pub kind: DetectorKind,
    /// Which events reset what it learned of a lock (telemetry contract).
    pub reset_by: &'static [EventKind],
    /// How often it judges, ms: a number of whole hours by which a day can be divided.
    pub every_ms: i64,
    /// Whether records that come late count.
    pub counts_late: bool,
    /// Whether records that can't be read count.
    pub counts_unreadable: bool,
    /// Starts it; see [`Spec::start`].
    pub(crate) make: fn(&'static Spec, &Rule) -> Started,
}

impl Spec {
    /// The detector of a rule, without history.
    ///
    /// # Errors
    /// The rule lacks a parameter that the detector reads.
    pub fn start(&'static self, rule: &Rule) -> Started {
        (self.make)(self, rule)
    }
}

/// A detector that has started, or the parameter that it lacks.
pub type Started = Result<Box<dyn Detector>, MissingParameter>;

/// One record as the detectors receive it, with the present state of its lock.
pub struct Glance<'a> {
    /// The lock.
    pub device: DeviceIx,
    /// The state of the lock, this record included.
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

/// A record that is not in its lock's order, as the detectors receive it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Late {
    /// The lock.
    pub device: DeviceIx,
    /// The error code, where the record reports one.
    pub code: Sym,
    /// Its reference.
    pub record: RecordRef,
    /// How its numbers relate to those before.
    pub succession: Succession,
    /// The engine's time, ms.
    pub now_ms: i64,
}

/// The fleet at the end of a window.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    /// The end of the window.
    pub now: EngineTime,
    /// All locks, by number.
    pub locks: &'a [Lock],
    /// Their names.
    pub fleet: &'a Fleet,
}

/// How a detector reacts to records and windows. A detector leaves out the methods that it does not need.
pub trait Detect {
    /// Takes a record that is not late.
    fn row(&mut self, glance: &Glance<'_>);

    /// Takes a record that came late; a detector counts it where order does not matter.
    fn late(&mut self, _late: &Late) {}

    /// Takes an unreadable record of this lock: the lock is alive, and nothing was lost.
    fn unreadable(&mut self, _device: DeviceIx, _now: EngineTime) {}

    /// Takes what a gateway reports of itself.
    fn gateway(&mut self, _row: &Row) {}

    /// Takes a record of this lock that arrived once more.
    fn repeated(&mut self, _device: DeviceIx, _record: RecordRef, _now: EngineTime) {}

    /// Takes the time of an advertisement of this lock that was refused: it was heard, and nothing of it is known.
    fn refused(&mut self, _device: DeviceIx, _now: EngineTime) {}

    /// Removes what it learned of a lock.
    fn reset(&mut self, device: DeviceIx);

    /// Judges the window that ends.
    fn close(&mut self, _moment: Window<'_>, _findings: &mut Findings) {}

    /// Ends a day, after the day's last window.
    fn close_day(&mut self, _moment: Window<'_>) {}

    /// The symptom of a finding about this part, where it is not [`DetectorKind::symptom`]: an error code may name a
    /// part.
    fn symptom_of(&self, _component: Component) -> Option<Symptom> {
        None
    }
}

/// A detector with its rule, its parameters and its state.
pub struct Running<P, S> {
    spec: &'static Spec,
    pub(crate) rule: Rule,
    pub(crate) params: P,
    pub(crate) state: S,
}

impl<P, S> Running<P, S>
where
    P: Send + Sync + 'static,
    S: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
    Self: Detect,
{
    /// The detector of a rule, without history.
    pub(crate) fn start(spec: &'static Spec, rule: &Rule, params: Result<P, MissingParameter>) -> Started {
        Ok(Box::new(Self { spec, rule: rule.clone(), params: params?, state: S::default() }))
    }
}

/// A detector as the engine drives it.
pub trait Detector: Detect + Send + Sync {
    /// Its description.
    fn spec(&self) -> &'static Spec;

    /// The rule that it runs.
    fn rule(&self) -> &Rule;

    /// Its state as bytes; equal states give equal bytes.
    ///
    /// # Errors
    /// No case is known: a state is plain numbers and texts.
    fn state(&self) -> Result<Vec<u8>, postcard::Error>;

    /// Goes on from a state of the same rule.
    ///
    /// # Errors
    /// Bytes that are no state of this detector.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), postcard::Error>;

    /// Takes an event of a lock; resets the lock where the detector declares it (`Spec::reset_by`).
    fn happened(&mut self, event: EventKind, device: DeviceIx) {
        if self.spec().reset_by.contains(&event) {
            self.reset(device);
        }
    }

    /// Ends an hour, and the day where the hour is its last.
    fn end_hour(&mut self, window: Window<'_>, findings: &mut Findings) {
        let ends = |every_ms: i64| window.now.ms().rem_euclid(every_ms) == 0;
        if ends(self.spec().every_ms) {
            self.close(window, findings);
        }
        if ends(DAY_MS) {
            self.close_day(window);
        }
    }
}

impl<P, S> Detector for Running<P, S>
where
    P: Send + Sync,
    S: Serialize + DeserializeOwned + Send + Sync,
    Self: Detect,
{
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn state(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&self.state)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        self.state = postcard::from_bytes(bytes)?;
        Ok(())
    }
}
