//! Numbers that JSON has. It would write any other as null, and what is written must read back as it was. Called by whoever writes findings or
//! decisions down: the casebook, the documents and the desk's driver.
use zenei_detect::{Anomaly, Decision};

/// The same finding with finite numbers: what is no number becomes 0, infinity the largest number; the confidence is within 0 to 1.
pub fn finite(anomaly: &Anomaly) -> Anomaly {
    Anomaly {
        value: number(anomaly.value),
        baseline: number(anomaly.baseline),
        threshold: number(anomaly.threshold),
        confidence: number(anomaly.confidence).clamp(0.0, 1.0),
        ..anomaly.clone()
    }
}

/// The same decision with finite numbers, by the same rule.
pub fn finite_decision(decision: &Decision) -> Decision {
    Decision { value: number(decision.value), threshold: number(decision.threshold), ..decision.clone() }
}

fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}
