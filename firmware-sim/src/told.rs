//! What a model leaves out of its records, and in which steps it tells the rest. Changes nothing in a scenario without
//! a field. Must not know a detector. Called by `lock`, `operation` and `truth`.
use crate::identity::Kinds;
use crate::scenario::{Quantity, Scenario, Told};
use zenei_wire::{Op, Percent, State};

/// What a lock's model tells; `None` at home: everything.
pub(crate) fn of<'a>(scenario: &'a Scenario, kinds: &Kinds) -> Option<&'a Told> {
    scenario.field.as_ref().and_then(|field| field.told.get(kinds.model))
}

impl Told {
    pub(crate) fn hides(&self, quantity: Quantity) -> bool {
        self.hidden.contains(&quantity)
    }

    /// An operation as this model tells it.
    pub(crate) fn op(&self, mut op: Op) -> Op {
        for hidden in &self.hidden {
            match hidden {
                Quantity::BatteryMinMv => op.battery_min_mv = None,
                Quantity::PeakMa => op.peak_ma = None,
                Quantity::MeanMa => op.mean_ma = None,
                Quantity::CurrentMa => (op.current_ma, op.sample_ms) = (None, None),
                Quantity::DurationMs => op.duration_ms = None,
                Quantity::AngleErrDeg => op.angle_err_deg = None,
                Quantity::BatteryMv
                | Quantity::BatteryPct
                | Quantity::TempC
                | Quantity::RssiDbm
                | Quantity::FreeHeapB
                | Quantity::ResetReason
                | Quantity::ClientOfState
                | Quantity::ClientOfOp
                | Quantity::FwOfOp => {}
            }
        }
        op
    }

    /// A state as this model tells it.
    pub(crate) fn state(&self, mut state: State) -> State {
        for hidden in &self.hidden {
            match hidden {
                Quantity::BatteryMv => state.battery_mv = None,
                Quantity::BatteryPct => state.battery_pct = None,
                Quantity::TempC => state.temp_c = None,
                Quantity::RssiDbm => state.rssi_dbm = None,
                Quantity::FreeHeapB => state.free_heap_b = None,
                Quantity::ResetReason => state.reset_reason = None,
                Quantity::BatteryMinMv
                | Quantity::PeakMa
                | Quantity::MeanMa
                | Quantity::CurrentMa
                | Quantity::DurationMs
                | Quantity::AngleErrDeg
                | Quantity::ClientOfState
                | Quantity::ClientOfOp
                | Quantity::FwOfOp => {}
            }
        }
        let step = self.percent_step;
        state.battery_pct = state
            .battery_pct
            .map(|Percent(pct)| Percent(((f64::from(pct) / step).round() * step).round().clamp(0.0, 100.0) as u8));
        state
    }
}

/// A gauge that tells its last value until the true one has moved by more than its dead band.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauge(Option<f64>);

impl Gauge {
    pub(crate) fn read(&mut self, value: f64, dead: f64) -> f64 {
        let told = self.0.filter(|told| (told - value).abs() <= dead).unwrap_or(value);
        self.0 = Some(told);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sluggish_gauge_tells_its_last_value_until_it_must_move() {
        let mut gauge = Gauge::default();
        let told: Vec<f64> = [20.0, 20.9, 21.1, 20.2].map(|value| gauge.read(value, 1.0)).to_vec();
        assert_eq!(told, [20.0, 20.0, 21.1, 21.1]);
        let mut exact = Gauge::default();
        assert_eq!([exact.read(1.0, 0.0), exact.read(1.5, 0.0)], [1.0, 1.5]);
    }

    #[test]
    fn a_model_tells_its_charge_in_steps_and_leaves_out_what_it_hides() {
        let mut world = Scenario::fleet().unwrap().in_world(1).unwrap();
        let told = &mut world.field.as_mut().unwrap().told[0];
        (told.percent_step, told.hidden) = (25.0, vec![Quantity::BatteryMv]);
        let state = |pct| State {
            battery_pct: Some(Percent(pct)),
            battery_mv: Some(zenei_wire::Millivolts(2900)),
            ..State::default()
        };
        let steps = [100, 88, 62, 12].map(|pct| told.state(state(pct)).battery_pct.map(|Percent(pct)| pct));
        assert_eq!(steps, [Some(100), Some(100), Some(50), Some(0)]);
        assert_eq!(told.state(state(50)).battery_mv, None);
    }
}
