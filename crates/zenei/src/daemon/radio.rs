//! The radio's counters under the names in `/metrics`. Called by `run`, which publishes them, and by `doctor`, which
//! reads two of the names.
use std::sync::atomic::Ordering;
use zenei_desk::{Metric, MetricValue, OwnMetrics};
use zenei_gateway::source::ble::{BleHandle, Hearing, Steps};

/// Whether the scan runs.
pub(crate) const SCANNING: &str = "zenei_ble_scanning";
/// The steps that the supervisor has taken.
pub(crate) const STEPS: &str = "zenei_ble_steps";

/// The figures of a radio.
pub(crate) fn figures(radio: BleHandle) -> OwnMetrics {
    OwnMetrics::new(move || {
        let status = radio.status.borrow().clone();
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &radio.counters;
        let heard = vec![
            ("all", count(&counters.heard)),
            ("valid", count(&counters.valid)),
            ("repeated", count(&counters.repeated)),
            ("dropped", count(&counters.dropped)),
            ("too_long", count(&counters.too_long)),
        ];
        let steps = steps(&status.steps).to_vec();
        vec![
            Metric {
                name: SCANNING,
                help: "Whether the Bluetooth LE scan runs, as far as the system says",
                value: MetricValue::Level(i64::from(status.hearing == Hearing::Scanning)),
            },
            Metric {
                name: "zenei_ble_heard",
                help: "Bluetooth LE advertisements heard",
                value: MetricValue::Counts { label: "what", counts: heard },
            },
            Metric {
                name: STEPS,
                help: "What was done to keep the Bluetooth LE scan alive",
                value: MetricValue::Counts { label: "step", counts: steps },
            },
        ]
    })
}

fn steps(steps: &Steps) -> [(&'static str, u64); 11] {
    let Steps {
        opened,
        failed,
        timed_out,
        lost,
        powered_on,
        ladders,
        scan_restarts,
        reconnects,
        power_cycles,
        exits,
        recoveries,
    } = *steps;
    [
        ("opened", opened),
        ("failed", failed),
        ("timed_out", timed_out),
        ("lost", lost),
        ("powered_on", powered_on),
        ("ladder", ladders),
        ("scan_restart", scan_restarts),
        ("reconnect", reconnects),
        ("power_cycle", power_cycles),
        ("exit", exits),
        ("recovery", recoveries),
    ]
}
