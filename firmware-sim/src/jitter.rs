//! A scenario with every physical parameter changed at random by a bounded share, for tests of robustness.
//!
//! Changed are the numbers of climates, habits (operations a day), drives, batteries, error rates, motor firmware,
//! radio, noise, spread and failures. Not changed: shares, names and versions, the shape of curves and of days, lots
//! and revisions (they are factors near 1), the steps of converters, what the mechanics fix (travel, teeth), and the
//! supply that the electronics need. A drawn scenario in which a stiff lock does not work in the cold is drawn again,
//! so that sound locks work in every one. Called by `firmware-sim run` and by the lab.
use crate::battery::Pack;
use crate::motor::{self, Load, Outcome, SEGMENTS};
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::{Scenario, ScenarioError};
use toml::Value;

/// The tables that are changed.
const MOVED: [&str; 10] =
    ["region", "service", "model", "battery", "errors", "control", "radio", "noise", "spread", "failure"];
/// The keys in them that are not changed.
const FIXED: [&str; 19] = [
    "share",
    "weekday_hours",
    "weekend_hours",
    "weekend",
    "sources",
    "travel_deg",
    "curve",
    "capacity_mah",
    "brownout_mv",
    "low_battery_pct",
    "retries",
    "step_mv",
    "step_c",
    "soc_min",
    "soc_max",
    "outdoor_min",
    "outdoor_max",
    "rub_from",
    "teeth",
];
/// How many draws are tried before giving up; half the draws of 30 % are good.
const DRAWS_MAX: u64 = 200;
/// The stiff lock: this many standard deviations of friction between locks; of ten thousand two are stiffer. At 2 sigma
/// eighty of ten thousand jammed from their first day on in one world, which no factory would ship.
const STIFF_SIGMAS: f64 = 3.5;
/// The same for operations.
const HARD_SIGMAS: f64 = 2.0;
/// Board temperature at which it must work, °C: outdoors -10, indoors 20, at the largest share of the outdoor.
const COLD_C: f64 = 5.0;

/// The range in the error where no draw works.
const NONE_WORKS: &str = "a share with which a sound lock works, found within 200 draws";

impl Scenario {
    /// This scenario with every physical parameter changed by up to `share` (0 to 0.9) of it, uniformly; the same seed
    /// gives the same changes.
    ///
    /// # Errors
    /// Where the share is out of range, or no drawn scenario has locks that work.
    pub fn jittered(&self, share: f64, seed: u64) -> Result<Self, ScenarioError> {
        let refused = |allowed| ScenarioError::OutOfRange { place: "jitter".into(), found: share.to_string(), allowed };
        if !(0.0..=0.9).contains(&share) {
            return Err(refused("0 to 0.9"));
        }
        let mut worlds = (0..DRAWS_MAX).filter_map(|number| moved(self, share, seed, number));
        worlds.find(works).ok_or_else(|| refused(NONE_WORKS))
    }
}

/// One drawn scenario; `None` where a number leaves its range.
fn moved(scenario: &Scenario, share: f64, seed: u64, number: u64) -> Option<Scenario> {
    let mut draws = Draws::new(seed, FLEET, Purpose::Jitter, number);
    let mut table = toml::Table::try_from(scenario).ok()?;
    for name in MOVED {
        if let Some(value) = table.get_mut(name) {
            shift(value, share, &mut draws);
        }
    }
    let mut moved: Scenario = table.try_into().ok()?;
    for model in &mut moved.model {
        model.start_share = model.start_share.min(1.0);
    }
    moved.check().ok()?;
    Some(moved)
}

fn shift(value: &mut Value, share: f64, draws: &mut Draws) {
    match value {
        Value::Float(number) => *number *= 1.0 + share * draws.between(-1.0, 1.0),
        Value::Array(values) => values.iter_mut().for_each(|value| shift(value, share, draws)),
        Value::Table(table) => {
            for (_, value) in table.iter_mut().filter(|(key, _)| !FIXED.contains(&key.as_str())) {
                shift(value, share, draws);
            }
        }
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// Whether a stiff but sound lock of every model, with the lowest charge at the start, works in the cold at the first
/// attempt.
fn works(scenario: &Scenario) -> bool {
    let spread = &scenario.spread;
    scenario.model.iter().all(|model| {
        let Some(battery) = scenario.battery.iter().find(|battery| battery.name == model.battery) else { return false };
        let pack = Pack::with_charge(spread.soc_min);
        let stiff = 1.0 + STIFF_SIGMAS * spread.friction;
        // The strike's bump reaches 1.35 of the mean friction where the drawn shapes are highest.
        let shape = std::array::from_fn::<f64, SEGMENTS, _>(|at| if at == SEGMENTS * 3 / 4 { 1.35 } else { 0.985 });
        let load = Load {
            emf_mv: pack.emf_mv(battery, COLD_C),
            battery_ohm: pack.ohm(battery, COLD_C, 1.0 + HARD_SIGMAS * spread.battery_ohm),
            motor_ohm: model.motor_ohm,
            temp_c: COLD_C,
            gear: stiff,
            bolt: stiff * (1.0 + HARD_SIGMAS * spread.op_friction),
            shape: &shape,
            obstacle: None,
        };
        motor::drive(model, &scenario.control, &load).outcome == Outcome::Done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_lock_works_in_the_known_world_and_in_moved_ones() {
        assert!(works(&Scenario::demo().unwrap()));
        for seed in 0..20 {
            let moved = Scenario::demo().unwrap().jittered(0.3, seed).unwrap();
            assert!(works(&moved), "seed {seed}");
        }
    }

    #[test]
    fn every_moved_number_stays_within_its_share_and_the_seed_says_where() {
        let demo = Scenario::demo().unwrap();
        let (one, same, other) =
            (demo.jittered(0.3, 1).unwrap(), demo.jittered(0.3, 1).unwrap(), demo.jittered(0.3, 2).unwrap());
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(demo.jittered(0.0, 1).unwrap(), demo);
        let ratio = one.model[0].bolt_ma / demo.model[0].bolt_ma;
        assert!((0.7..=1.3).contains(&ratio) && ratio != 1.0, "{ratio}");
        assert_eq!((one.site.clone(), one.firmware.clone(), one.lot), (demo.site, demo.firmware, demo.lot));
    }

    #[test]
    fn a_share_beyond_reason_is_refused() {
        let text = Scenario::demo().unwrap().jittered(1.5, 1).unwrap_err().to_string();
        assert_eq!(text, "jitter is 1.5; allowed is 0 to 0.9");
    }
}
