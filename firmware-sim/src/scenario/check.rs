//! Whether a scenario can be simulated: every name is borne by something, every number is in its range.
use super::{Fault, Scenario, ScenarioError};
use crate::calendar;
use zenei_wire::Name;

/// Keys whose numbers may be below zero: temperatures, signal strengths, the time zone.
const SIGNED: [&str; 5] = ["mean_c", "rssi_dbm", "utc_offset_h", "indoor_c", "mv_per_k"];

pub(super) fn check(scenario: &Scenario) -> Result<(), ScenarioError> {
    let every =
        toml::Table::try_from(scenario).map_err(|error| out_of_range("the scenario", error, "what TOML can write"))?;
    numbers("", "", &toml::Value::Table(every))?;
    run(scenario)?;
    labels(scenario)?;
    shares(scenario)?;
    batteries(scenario)?;
    references(scenario)?;
    scenario.fault.iter().enumerate().try_for_each(|(at, fault)| one_fault(scenario, at, fault))
}

/// Every number is finite, and none below zero but for those that may be.
fn numbers(place: &str, key: &str, value: &toml::Value) -> Result<(), ScenarioError> {
    let below = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        toml::Value::Table(table) => table.iter().try_for_each(|(key, value)| numbers(&below(key), key, value)),
        toml::Value::Array(values) => {
            values.iter().enumerate().try_for_each(|(at, value)| numbers(&below(&at.to_string()), key, value))
        }
        toml::Value::Float(number) if !number.is_finite() => Err(out_of_range(place, number, "a finite number")),
        toml::Value::Float(number) if *number < 0.0 && !SIGNED.contains(&key) => {
            Err(out_of_range(place, number, "0 or above"))
        }
        toml::Value::Float(_)
        | toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => Ok(()),
    }
}

fn run(scenario: &Scenario) -> Result<(), ScenarioError> {
    if calendar::parse_date(&scenario.start).is_none() {
        return Err(out_of_range("start", &scenario.start, "a date from 1970 to 2200 like 2026-01-12"));
    }
    within("utc_offset_h", scenario.utc_offset_h, -14.0, 14.0, "-14 to 14")?;
    within("days", scenario.days, 0.001, 3660.0, "above 0, at most 3,660")?;
    within("locks", scenario.locks as f64, 1.0, 1e7, "1 to 10,000,000")?;
    within("report.profile_samples", scenario.report.profile_samples as f64, 2.0, 64.0, "2 to 64")?;
    within("report.profile_share", scenario.report.profile_share, 0.0, 1.0, "0 to 1")?;
    within("control.retries", scenario.control.retries as f64, 0.0, 3.0, "0 to 3")?;
    within("noise.step_mv", scenario.noise.step_mv, 0.01, 100.0, "0.01 to 100")?;
    within("noise.step_c", scenario.noise.step_c, 0.01, 5.0, "0.01 to 5")
}

fn labels(scenario: &Scenario) -> Result<(), ScenarioError> {
    for site in &scenario.site {
        if let Err(error) = Name::new(&site.name) {
            return Err(out_of_range("site.name", format!("'{}', which {error}", site.name), "a name of the contract"));
        }
        within("site.gateways", site.gateways as f64, 1.0, 10_000.0, "1 to 10,000")?;
    }
    for code in scenario.errors.keys() {
        let mut bytes = code.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !first || code.len() > 48 || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(out_of_range("errors", format!("the code '{code}'"), "a code like ble_disconnect"));
        }
    }
    Ok(())
}

fn shares(scenario: &Scenario) -> Result<(), ScenarioError> {
    weights("site", scenario.site.iter().map(|site| site.share))?;
    weights("service", scenario.service.iter().map(|service| service.share))?;
    weights("model", scenario.model.iter().map(|model| model.share))?;
    weights("hw_rev", scenario.hw_rev.iter().map(|hw_rev| hw_rev.share))?;
    weights("lot", scenario.lot.iter().map(|lot| lot.share))?;
    weights("firmware", scenario.firmware.iter().map(|firmware| firmware.share))?;
    weights("client with hub = true", scenario.client.iter().filter(|c| c.hub).map(|c| c.share))?;
    weights("client with hub = false", scenario.client.iter().filter(|c| !c.hub).map(|c| c.share))?;
    for service in &scenario.service {
        weights("service.weekday_hours", service.weekday_hours.iter().copied())?;
        weights("service.weekend_hours", service.weekend_hours.iter().copied())?;
        within("service.ops_per_day", service.ops_per_day, 0.0, 50.0, "0 to 50")?;
    }
    for model in &scenario.model {
        within("model.state_every_min", model.state_every_min, 1.0, 360.0, "1 to 360")?;
        within("model.back_emf_mv_s", model.back_emf_mv_s, 0.1, 1000.0, "0.1 to 1,000")?;
        within("model.travel_deg", model.travel_deg, 1.0, 3600.0, "1 to 3,600")?;
    }
    Ok(())
}

fn batteries(scenario: &Scenario) -> Result<(), ScenarioError> {
    for battery in &scenario.battery {
        let falls = battery.curve.windows(2).all(|pair| pair[0][0] > pair[1][0]);
        let spans = battery.curve.first().is_some_and(|point| point[0] == 1.0)
            && battery.curve.last().is_some_and(|point| point[0] == 0.0);
        if !falls || !spans {
            let found = format!("{:?}", battery.curve);
            return Err(out_of_range(
                &format!("battery '{}' curve", battery.name),
                found,
                "charge falling from 1 to 0",
            ));
        }
        within("battery.capacity_mah", battery.capacity_mah, 1.0, 1e6, "1 to 1,000,000")?;
        within("battery.knee_width", battery.knee_width, 0.001, 1.0, "0.001 to 1")?;
        within("battery.recovery_min", battery.recovery_min, 0.01, 10_000.0, "0.01 to 10,000")?;
    }
    Ok(())
}

fn references(scenario: &Scenario) -> Result<(), ScenarioError> {
    for site in &scenario.site {
        let regions = scenario.region.iter().map(|region| region.name.as_str());
        borne(&format!("site '{}'", site.name), "region", &site.region, regions)?;
    }
    for model in &scenario.model {
        let batteries = scenario.battery.iter().map(|battery| battery.name.as_str());
        borne(&format!("model '{}'", model.name), "battery", &model.battery, batteries)?;
    }
    for (at, rollout) in scenario.rollout.iter().enumerate() {
        let place = format!("rollout {at}");
        for version in rollout.from.iter().chain([&rollout.version]) {
            borne(&place, "firmware", version, scenario.firmware.iter().map(|firmware| firmware.version.as_str()))?;
        }
        within(&format!("{place} share"), rollout.share, 0.0, 1.0, "0 to 1")?;
        within(&format!("{place} days"), rollout.days, 0.0, 3660.0, "0 to 3,660")?;
    }
    Ok(())
}

fn one_fault(scenario: &Scenario, at: usize, fault: &Fault) -> Result<(), ScenarioError> {
    let place = format!("fault {at}");
    match fault {
        Fault::H1(growth) | Fault::H5(growth) => {
            within(&format!("{place} strength"), growth.strength, 0.0, 1000.0, "0 to 1,000")?;
            within(&format!("{place} count"), growth.count as f64, 1.0, scenario.locks as f64, "1 to the locks")?;
            let last = scenario.locks.saturating_sub(1) as f64;
            growth.lock.map_or(Ok(()), |lock| within(&format!("{place} lock"), lock as f64, 0.0, last, "below locks"))
        }
        Fault::F3(bug) => {
            let versions = scenario.rollout.iter().map(|rollout| rollout.version.as_str());
            borne(&place, "rolled out firmware", &bug.version, versions)?;
            borne(&place, "error code", &bug.code, scenario.errors.keys().map(String::as_str))?;
            within(&format!("{place} factor"), bug.factor, 0.0, 1000.0, "0 to 1,000")
        }
        Fault::H7(snap) => {
            borne(&place, "region", &snap.region, scenario.region.iter().map(|region| region.name.as_str()))
        }
        Fault::C2(replacement) => {
            within(&format!("{place} count"), replacement.count as f64, 1.0, scenario.locks as f64, "1 to the locks")
        }
    }
}

fn weights(place: &str, weights: impl Iterator<Item = f64> + Clone) -> Result<(), ScenarioError> {
    let total: f64 = weights.clone().sum();
    if weights.clone().all(|weight| weight >= 0.0) && total > 0.0 && total.is_finite() {
        return Ok(());
    }
    let found = format!("{:?}", weights.collect::<Vec<_>>());
    Err(out_of_range(&format!("the shares of {place}"), found, "at least one above 0, none below"))
}

fn within(place: &str, found: f64, low: f64, high: f64, allowed: &'static str) -> Result<(), ScenarioError> {
    if (low..=high).contains(&found) { Ok(()) } else { Err(out_of_range(place, found, allowed)) }
}

fn out_of_range(place: &str, found: impl ToString, allowed: &'static str) -> ScenarioError {
    ScenarioError::OutOfRange { place: place.into(), found: found.to_string(), allowed }
}

fn borne<'a>(
    place: &str,
    what: &'static str,
    found: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), ScenarioError> {
    if names.clone().any(|name| name == found) {
        return Ok(());
    }
    let allowed = names.collect::<Vec<_>>().join(", ");
    Err(ScenarioError::UnknownName { place: place.into(), what, found: found.into(), allowed })
}
