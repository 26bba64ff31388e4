//! The electrical state of a battery pack: open-circuit voltage, internal resistance, polarisation and remaining
//! charge. A Thevenin model: EMF by charge and temperature, a resistance of contacts (constant) and cells (charge,
//! temperature, ageing), and one slow polarisation that a load builds up and that decays with time. Must not know the
//! motor or noise. Called by `lock` and `jitter`.
use crate::scenario::Battery;

/// The universal gas constant, J/(mol·K) (CODATA 2018).
const GAS_J_MOL_K: f64 = 8.314_462_618;
/// 0 °C in K.
const ZERO_C_K: f64 = 273.15;
/// The temperature to which all parameters refer, °C.
pub(crate) const REFERENCE_C: f64 = 20.0;
/// Hours of a year.
const YEAR_H: f64 = 8766.0;

/// The state of one pack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pack {
    /// State of charge, 1 full to 0 empty.
    pub(crate) charge: f64,
    /// The voltage that recent loads took off and that rest restores, mV.
    pub(crate) polarisation_mv: f64,
}

impl Pack {
    pub(crate) fn with_charge(charge: f64) -> Self {
        Self { charge, polarisation_mv: 0.0 }
    }

    /// Lets `hours` pass with a constant small current.
    pub(crate) fn rest(&mut self, battery: &Battery, hours: f64, current_ua: f64) {
        let drained = current_ua / 1000.0 / battery.capacity_mah + battery.self_discharge_year / YEAR_H;
        self.charge = (self.charge - hours * drained).max(0.0);
        self.polarisation_mv *= (-hours * 60.0 / battery.recovery_min).exp();
    }

    /// Takes a charge out within seconds.
    pub(crate) fn take(&mut self, battery: &Battery, charge_mah: f64) {
        self.charge = (self.charge - charge_mah / battery.capacity_mah).max(0.0);
        self.polarisation_mv += charge_mah * battery.polarisation_mv_mah;
    }

    /// Voltage without load, mV.
    pub(crate) fn emf_mv(&self, battery: &Battery, temp_c: f64) -> f64 {
        open_circuit_mv(battery, self.charge) + battery.mv_per_k * (temp_c - REFERENCE_C) - self.polarisation_mv
    }

    /// Internal resistance, Ω; `ageing` is a factor of the cells' part, 1 for sound ones.
    pub(crate) fn ohm(&self, battery: &Battery, temp_c: f64, ageing: f64) -> f64 {
        let used = 1.0 - self.charge;
        let by_charge =
            1.0 + battery.ohm_rise * used * used + battery.ohm_knee * (-self.charge / battery.knee_width).exp();
        battery.contact_ohm + battery.cell_ohm * by_charge * cold_factor(battery.activation_kj_mol, temp_c) * ageing
    }
}

/// Arrhenius factor of a resistance: 1 at the reference, above 1 in the cold.
fn cold_factor(activation_kj_mol: f64, temp_c: f64) -> f64 {
    let inverse_k = |celsius: f64| 1.0 / (celsius + ZERO_C_K);
    (activation_kj_mol * 1000.0 / GAS_J_MOL_K * (inverse_k(temp_c) - inverse_k(REFERENCE_C))).exp()
}

/// Open-circuit voltage at the reference temperature, mV: straight lines between the points of the curve.
fn open_circuit_mv(battery: &Battery, charge: f64) -> f64 {
    for pair in battery.curve.windows(2) {
        let ([high, high_mv], [low, low_mv]) = (pair[0], pair[1]);
        if charge >= low {
            return low_mv + (high_mv - low_mv) * ((charge.min(high) - low) / (high - low));
        }
    }
    battery.curve.last().map_or(0.0, |point| point[1])
}

/// The charge that the curve gives for a voltage, 1 to 0: the estimate of a firmware without temperature correction.
pub(crate) fn charge_at(battery: &Battery, voltage_mv: f64) -> f64 {
    for pair in battery.curve.windows(2) {
        let ([high, high_mv], [low, low_mv]) = (pair[0], pair[1]);
        if voltage_mv >= low_mv {
            return low + (high - low) * ((voltage_mv.min(high_mv) - low_mv) / (high_mv - low_mv).max(1e-9));
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn resistance_rises_in_the_cold_with_age_and_when_empty() {
        for battery in &Scenario::demo().unwrap().battery {
            let (full, low) = (Pack::with_charge(1.0), Pack::with_charge(0.05));
            let mut last = 0.0;
            for temp_c in [40.0, 20.0, 0.0, -10.0, -20.0] {
                let ohm = full.ohm(battery, temp_c, 1.0);
                assert!(ohm > last, "{} at {temp_c}", battery.name);
                last = ohm;
            }
            assert!(full.ohm(battery, 20.0, 2.0) > full.ohm(battery, 20.0, 1.0));
            assert!(low.ohm(battery, 20.0, 1.0) > 1.5 * full.ohm(battery, 20.0, 1.0));
            let ratio = full.ohm(battery, -10.0, 1.0) / full.ohm(battery, 20.0, 1.0);
            assert!((1.5..4.0).contains(&ratio), "{} cold ratio {ratio}", battery.name);
        }
    }

    #[test]
    fn the_voltage_falls_with_charge_and_the_curve_reads_back() {
        for battery in &Scenario::demo().unwrap().battery {
            let mut last = f64::INFINITY;
            for step in 0..=100 {
                let charge = 1.0 - f64::from(step) / 100.0;
                let voltage_mv = open_circuit_mv(battery, charge);
                assert!(voltage_mv < last, "{} at {charge}", battery.name);
                assert!((charge_at(battery, voltage_mv) - charge).abs() < 1e-9);
                last = voltage_mv;
            }
        }
    }

    #[test]
    fn polarisation_recovers_and_charge_does_not() {
        let battery = &Scenario::demo().unwrap().battery[0];
        let mut pack = Pack::with_charge(0.8);
        let before_mv = pack.emf_mv(battery, 20.0);
        pack.take(battery, 0.5);
        assert!(pack.emf_mv(battery, 20.0) < before_mv - 15.0);
        pack.rest(battery, 3.0, 0.0);
        assert!((pack.emf_mv(battery, 20.0) - before_mv).abs() < 0.2);
        assert!(pack.charge < 0.8);
    }
}
