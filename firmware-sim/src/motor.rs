//! What one attempt of the motor measures: how long it lasts, its current, how low the supply falls, and whether the
//! bolt arrives. A brushed DC motor on a battery: the current follows the load torque (given here as the current that
//! it takes), the speed follows from the voltage that is left for the back EMF, and the start adds a decaying peak
//! towards the blocked-rotor current. Must not know the time of day, noise or retries. Called by `operation` and
//! `jitter`.
use crate::scenario::{Control, Model};

/// Equal parts of the travel, each with its own friction.
pub(crate) const SEGMENTS: usize = 24;
/// Temperature coefficient of copper at 20 °C, per K.
const COPPER_PER_K: f64 = 0.00393;

/// What the motor works with and against during one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Load<'a> {
    /// Supply without load, mV.
    pub(crate) emf_mv: f64,
    /// The battery's resistance, Ω.
    pub(crate) battery_ohm: f64,
    /// The winding's resistance at 20 °C, Ω.
    pub(crate) motor_ohm: f64,
    /// Temperature, °C.
    pub(crate) temp_c: f64,
    /// Factor of the gear's friction.
    pub(crate) gear: f64,
    /// Factor of the bolt's friction.
    pub(crate) bolt: f64,
    /// Friction along the travel, mean 1.
    pub(crate) shape: &'a [f64; SEGMENTS],
    /// From this segment on something blocks the bolt: the factor there.
    pub(crate) obstacle: Option<(usize, f64)>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At the end stop.
    Done,
    /// Current at its limit.
    Jam,
    /// No speed left.
    Stall,
    /// Longer than allowed.
    Timeout,
    /// The supply fell below what the board needs.
    Brownout,
}

/// One attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// Motor on time, ms.
    pub(crate) duration_ms: f64,
    /// Highest current, mA.
    pub(crate) peak_ma: f64,
    /// Mean current, mA.
    pub(crate) mean_ma: f64,
    /// Lowest supply, mV.
    pub(crate) supply_min_mv: f64,
    /// Travel that is missing, degrees.
    pub(crate) missing_deg: f64,
    start_ma: f64,
    start_ms: f64,
    reached: usize,
    until_ms: [f64; SEGMENTS],
    /// Running current along the travel, mA; 0 where the bolt did not come.
    pub(crate) load_ma: [f64; SEGMENTS],
}

/// Drives the bolt once over its travel.
pub(crate) fn drive(model: &Model, control: &Control, load: &Load<'_>) -> Attempt {
    let winding_ohm = load.motor_ohm * (1.0 + COPPER_PER_K * (load.temp_c - 20.0));
    let total_ohm = load.battery_ohm + winding_ohm + model.driver_ohm;
    let start_ma = (load.emf_mv / total_ohm * model.start_share).max(0.0);
    let gear_ma = model.gear_ma * load.gear * (model.gear_cold_per_k * (20.0 - load.temp_c)).exp();
    let mut attempt = Attempt {
        outcome: Outcome::Done,
        duration_ms: model.start_ms,
        peak_ma: start_ma,
        mean_ma: 0.0,
        supply_min_mv: 0.0,
        missing_deg: 0.0,
        start_ma,
        start_ms: model.start_ms,
        reached: 0,
        until_ms: [0.0; SEGMENTS],
        load_ma: [0.0; SEGMENTS],
    };
    let segment_deg = model.travel_deg / SEGMENTS as f64;
    let mut charge_ma_ms = 0.0;
    if load.emf_mv - start_ma * load.battery_ohm < control.brownout_mv {
        attempt.outcome = Outcome::Brownout;
    }
    while attempt.outcome == Outcome::Done && attempt.reached < SEGMENTS {
        let at = attempt.reached;
        let blocked = load.obstacle.map_or(1.0, |(from, factor)| if at >= from { factor } else { 1.0 });
        let wanted_ma = gear_ma + model.bolt_ma * load.bolt * load.shape[at] * blocked;
        let speed_deg_s = (load.emf_mv - wanted_ma * total_ohm) / model.back_emf_mv_s;
        let drawn_ma = wanted_ma.min(load.emf_mv / total_ohm);
        let (spent_ms, load_ma) = if drawn_ma > control.jam_ma {
            attempt.outcome = Outcome::Jam;
            (control.block_ms, drawn_ma)
        } else if speed_deg_s < control.stall_deg_s {
            attempt.outcome = Outcome::Stall;
            (control.block_ms, drawn_ma)
        } else {
            (segment_deg / speed_deg_s * 1000.0, wanted_ma)
        };
        attempt.duration_ms += spent_ms;
        attempt.until_ms[at] = attempt.duration_ms;
        attempt.load_ma[at] = load_ma;
        attempt.peak_ma = attempt.peak_ma.max(load_ma);
        attempt.reached += 1;
        charge_ma_ms += load_ma * spent_ms;
        if attempt.outcome == Outcome::Done && attempt.duration_ms > control.attempt_ms_max {
            attempt.outcome = Outcome::Timeout;
        }
    }
    let arrived = if attempt.outcome == Outcome::Done { attempt.reached } else { attempt.reached.saturating_sub(1) };
    attempt.missing_deg = (SEGMENTS - arrived) as f64 * segment_deg;
    // The start lasts one time constant beyond the first load; its excess integrates to (start - load) times the
    // constant.
    let first_ma = attempt.load_ma[0].min(start_ma);
    charge_ma_ms += first_ma * model.start_ms + (start_ma - first_ma) * model.start_ms;
    attempt.mean_ma = charge_ma_ms / attempt.duration_ms;
    attempt.supply_min_mv = load.emf_mv - attempt.peak_ma * load.battery_ohm;
    attempt
}

impl Attempt {
    /// The charge that the attempt took, mAh.
    pub(crate) fn charge_mah(&self) -> f64 {
        self.mean_ma * self.duration_ms / 3_600_000.0
    }

    /// The current at a time after the start, mA.
    pub(crate) fn current_ma(&self, at_ms: f64) -> f64 {
        let segment = self.until_ms[..self.reached].partition_point(|&until_ms| until_ms <= at_ms);
        let load_ma = self.load_ma[segment.min(self.reached.saturating_sub(1))];
        load_ma + (self.start_ma - load_ma).max(0.0) * (-at_ms / self.start_ms).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn attempt(change: impl FnOnce(&mut Load<'_>)) -> Attempt {
        let demo = Scenario::demo().unwrap();
        let shape = [1.0; SEGMENTS];
        let mut load = Load {
            emf_mv: 2900.0,
            battery_ohm: 0.4,
            motor_ohm: demo.model[0].motor_ohm,
            temp_c: 20.0,
            gear: 1.0,
            bolt: 1.0,
            shape: &shape,
            obstacle: None,
        };
        change(&mut load);
        drive(&demo.model[0], &demo.control, &load)
    }

    #[test]
    fn a_sound_lock_looks_like_its_datasheet() {
        let sound = attempt(|_| {});
        assert_eq!(sound.outcome, Outcome::Done);
        assert!((500.0..900.0).contains(&sound.duration_ms), "{}", sound.duration_ms);
        assert!((500.0..700.0).contains(&sound.peak_ma), "{}", sound.peak_ma);
        assert!((250.0..350.0).contains(&sound.mean_ma), "{}", sound.mean_ma);
        assert_eq!(sound.supply_min_mv, 2900.0 - 0.4 * sound.peak_ma);
    }

    #[test]
    fn friction_costs_current_and_time_until_it_jams() {
        let (sound, stiff, stuck) = (attempt(|_| {}), attempt(|load| load.bolt = 1.5), attempt(|load| load.bolt = 2.6));
        assert!(stiff.mean_ma > sound.mean_ma && stiff.duration_ms > 1.2 * sound.duration_ms);
        assert_eq!((stiff.outcome, stuck.outcome), (Outcome::Done, Outcome::Jam));
        assert!(stuck.missing_deg > 0.0);
    }

    #[test]
    fn a_weak_battery_slows_then_stalls_or_browns_out() {
        let slow = attempt(|load| load.battery_ohm = 1.5);
        assert!(slow.outcome == Outcome::Done && slow.duration_ms > attempt(|_| {}).duration_ms);
        assert_eq!(attempt(|load| load.battery_ohm = 4.0).outcome, Outcome::Brownout);
        assert_eq!(attempt(|load| (load.bolt, load.motor_ohm) = (1.6, 8.0)).outcome, Outcome::Stall);
    }

    #[test]
    fn cold_stiffens_the_gear() {
        assert!(attempt(|load| load.temp_c = -10.0).mean_ma > attempt(|_| {}).mean_ma);
    }

    #[test]
    fn an_obstacle_jams_where_it_is() {
        let ajar = attempt(|load| load.obstacle = Some((18, 6.0)));
        assert_eq!(ajar.outcome, Outcome::Jam);
        assert_eq!(ajar.missing_deg, 90.0 * 6.0 / 24.0);
    }

    #[test]
    fn the_profile_starts_at_the_peak_and_ends_at_the_load() {
        let sound = attempt(|_| {});
        assert!((sound.current_ma(0.0) - sound.peak_ma).abs() < 1.0);
        assert!((sound.current_ma(sound.duration_ms) - 280.0).abs() < 1.0);
    }
}
