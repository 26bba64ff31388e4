//! An anomaly: what departed from which normal value, by which rule, with the records behind it; and a decision not to
//! open an incident. Field names are those of the interface contract. Must not know a detector. The detectors and
//! `attribution` make anomalies; the engine, incidents, stores and `replay` read them.
use serde::{Deserialize, Serialize, Serializer};
use zenei_wire::{EngineTime, Id, words};

words!(
    /// Where the cause lies.
    Domain { Hardware = "hardware", Firmware = "firmware", Software = "software" }
);
words!(
    /// The part of the product.
    Component {
        Cover = "cover", BatteryBox = "battery_box", Battery = "battery", Gear = "gear", Motor = "motor",
        Thumbturn = "thumbturn", Holder = "holder", PowerBoard = "power_board", CommBoard = "comm_board",
        Sensor = "sensor", FwImage = "fw_image", BleLink = "ble_link", Gateway = "gateway", App = "app",
        Cloud = "cloud", Unknown = "unknown",
    }
);
words!(
    /// What the affected locks share.
    ScopeKind {
        Device = "device", Gateway = "gateway", Site = "site", Fw = "fw", Lot = "lot", HwRev = "hw_rev",
        Model = "model", ClientVersion = "client_version", Service = "service", FwHw = "fw_hw",
    }
);
words!(
    /// How soon a person must act. Ordered: `Low` is the least.
    Urgency { Low = "low", Medium = "medium", High = "high", Highest = "highest" }
);

/// The locks that an anomaly or an incident is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// What they share.
    pub kind: ScopeKind,
    /// The bare value; of `device` the device id, of `fw_hw` `3.2.1+C2`.
    pub value: String,
}

/// A record behind a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// The lock.
    pub device_id: String,
    /// Restart counter; 0 for a device that has none.
    pub boot: u32,
    /// Record counter; 0 for a device that has none.
    pub seq: u32,
    /// The device's clock, ms since 1970.
    pub ts_ms: i64,
}

/// The most records in the evidence of a finding about several locks, one a lock.
pub const EVIDENCE_MAX: usize = 64;

/// A departure from what is normal, by one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// [`Id::of`] rule, version (decimal), scope kind, scope value, and the first evidence (device id, boot, seq, ts,
    /// decimal).
    pub id: Id,
    /// When the engine found it.
    #[serde(rename = "at_ms")]
    pub at: EngineTime,
    /// The lock; `None` where the scope is no device.
    pub device_id: Option<String>,
    /// The rule's id.
    pub rule: String,
    /// The rule's version.
    pub rule_version: u32,
    /// Where the cause is likely to lie.
    pub domain: Domain,
    /// The likely part.
    pub component: Component,
    /// What was observed, in `unit`.
    #[serde(serialize_with = "write_finite")]
    pub value: f64,
    /// What was normal, in `unit`.
    #[serde(serialize_with = "write_finite")]
    pub baseline: f64,
    /// The threshold of the rule, in `unit`.
    #[serde(serialize_with = "write_finite")]
    pub threshold: f64,
    /// Unit of the three.
    pub unit: String,
    /// The time that the observation covers.
    pub window_ms: i64,
    /// The locks that it is about.
    pub scope: Scope,
    /// The records behind it, at least one.
    pub evidence: Vec<Evidence>,
    /// How soon a person must act, by the rule.
    pub urgency: Urgency,
    /// Confidence, 0 to 1.
    #[serde(serialize_with = "write_finite")]
    pub confidence: f64,
    /// One sentence for people: what was seen against what was normal.
    pub why: String,
    /// The rule's title; empty in an anomaly that was stored before there was one.
    #[serde(default)]
    pub title: String,
    /// Who is responsible for the rule; empty as the title is.
    #[serde(default)]
    pub owner: String,
    /// What to do first, by the rule; empty as the title is.
    #[serde(default)]
    pub runbook: String,
    /// The title in Japanese; empty where the rule has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title_ja: String,
    /// What to do first in Japanese; empty where the rule has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub runbook_ja: String,
}

/// A number that JSON can represent: NaN becomes 0, an infinity the largest number of its sign.
pub fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}

/// Writes a number as [`finite`] makes it: the JSON writer would write any other as null, and the output must be
/// readable again.
///
/// # Errors
/// Those of the writer.
pub fn write_finite<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(finite(*value))
}

impl Anomaly {
    /// The same finding as a decision not to open.
    pub fn refused(mut self, reason: DecisionReason) -> Decision {
        let why = core::mem::take(&mut self.why);
        self.decision(reason, why)
    }

    /// The decision not to open for this finding; `why` is one sentence for people.
    pub fn decision(&self, reason: DecisionReason, why: String) -> Decision {
        Decision {
            at: self.at,
            rule: self.rule.clone(),
            rule_version: self.rule_version,
            scope: self.scope.clone(),
            reason,
            value: self.value,
            threshold: self.threshold,
            unit: self.unit.clone(),
            why,
            part_of: None,
        }
    }

    /// What another finding is part of where it is part of this one.
    pub fn whole(&self) -> PartOf {
        let (domain, component, rule) = (self.domain, self.component, Some(self.rule.clone()));
        PartOf { scope: self.scope.clone(), domain, component, rule, incident: None }
    }

    /// The decision not to open for this finding, because it is part of another one; `why` is one sentence for people.
    pub fn part(self, of: PartOf, why: String) -> Decision {
        Decision { part_of: Some(of), ..self.decision(DecisionReason::PartOfWider, why) }
    }

    /// A finding of no rule about a lock.
    #[cfg(test)]
    pub(crate) fn of_lock(device_id: &str, at_ms: i64) -> Self {
        let scope = Scope { kind: ScopeKind::Device, value: device_id.to_owned() };
        let first = Evidence { device_id: device_id.to_owned(), boot: 1, seq: 1, ts_ms: at_ms };
        Self {
            id: Self::identify("rule", 1, &scope, &first),
            at: EngineTime(at_ms),
            device_id: Some(device_id.to_owned()),
            rule: "rule".to_owned(),
            rule_version: 1,
            domain: Domain::Hardware,
            component: Component::Unknown,
            value: 2.0,
            baseline: 1.0,
            threshold: 1.5,
            unit: "1".to_owned(),
            window_ms: 1,
            scope,
            evidence: vec![first],
            urgency: Urgency::Low,
            confidence: 0.9,
            why: "it departs".to_owned(),
            title: String::new(),
            owner: String::new(),
            runbook: String::new(),
            title_ja: String::new(),
            runbook_ja: String::new(),
        }
    }

    /// The id by the encoding that [`Anomaly::id`] documents.
    pub fn identify(rule: &str, rule_version: u32, scope: &Scope, first: &Evidence) -> Id {
        Id::of(&[
            rule.as_bytes(),
            rule_version.to_string().as_bytes(),
            scope.kind.as_str().as_bytes(),
            scope.value.as_bytes(),
            first.device_id.as_bytes(),
            first.boot.to_string().as_bytes(),
            first.seq.to_string().as_bytes(),
            first.ts_ms.to_string().as_bytes(),
        ])
    }
}

words!(
    /// Why a candidate opened no incident.
    DecisionReason {
        Unconfirmed = "unconfirmed", CohortMoved = "cohort_moved", TooFewMatched = "too_few_matched", Maintenance = "maintenance",
        Untrusted = "untrusted", AlreadyOpen = "already_open", PartOfWider = "part_of_wider", BelowEffect = "below_effect",
        BudgetSpent = "budget_spent", RuleNotLive = "rule_not_live", OutsideCanary = "outside_canary", LowUrgency = "low_urgency",
    }
);

/// A candidate that did not open, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was taken.
    #[serde(rename = "at_ms")]
    pub at: EngineTime,
    /// The rule's id.
    pub rule: String,
    /// The rule's version.
    pub rule_version: u32,
    /// The locks that it is about.
    pub scope: Scope,
    /// Why nothing was opened.
    pub reason: DecisionReason,
    /// What was observed.
    #[serde(serialize_with = "write_finite")]
    pub value: f64,
    /// The threshold of the rule.
    #[serde(serialize_with = "write_finite")]
    pub threshold: f64,
    /// Unit of both.
    pub unit: String,
    /// One sentence for people.
    pub why: String,
    /// For [`DecisionReason::PartOfWider`] of the engine: the finding that it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<PartOf>,
}

impl Decision {
    /// The sentence for people, with the incident that it is part of where that is known.
    pub fn told(&self) -> String {
        match self.part_of.as_ref().and_then(|part_of| part_of.incident) {
            Some(incident) => format!("{} (incident {incident})", self.why),
            None => self.why.clone(),
        }
    }
}

/// The finding that another one is part of: what locks share, or what ails the lock itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// The locks that it is about.
    pub scope: Scope,
    /// Where it says the cause lies.
    pub domain: Domain,
    /// The part that it names.
    pub component: Component,
    /// The rule that found it; `None` where it may be one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The incident that was open for it; the engine knows none, who stores the decision names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Id>,
}

/// What a rule reported has ended, and the records show it: a lock or a gateway is heard again. That a rule finds
/// nothing any more is no such thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    /// When.
    pub at: EngineTime,
    /// The rule that reported it.
    pub rule: String,
    /// Where that rule says the cause lies.
    pub domain: Domain,
    /// The part that it named.
    pub component: Component,
    /// The lock or the gateway.
    pub scope: Scope,
    /// One sentence for people.
    pub why: String,
}

/// What the engine found, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Departures from what is normal.
    pub anomalies: Vec<Anomaly>,
    /// Candidates that became no anomaly, with the reason.
    pub decisions: Vec<Decision>,
    /// What has ended of it.
    pub recoveries: Vec<Recovery>,
}

impl Findings {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.anomalies.is_empty() && self.decisions.is_empty() && self.recoveries.is_empty()
    }

    /// Empties it, keeping the memory.
    pub fn clear(&mut self) {
        self.anomalies.clear();
        self.decisions.clear();
        self.recoveries.clear();
    }
}
