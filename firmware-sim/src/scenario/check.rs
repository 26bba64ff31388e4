//! Whether a scenario can be simulated: every name that it refers to exists, and every number is in its range. Called
//! by `scenario`, `world`, `jitter` and the lab.
use super::{Density, Drift, ErrorRate, Fault, Field, Growth, Scenario, ScenarioError, Single};
use crate::calendar;
use zenei_wire::Name;

/// Keys whose numbers may be below zero: temperatures, signal strengths, the time zone; a strength has its own check.
const SIGNED: [&str; 6] = ["mean_c", "rssi_dbm", "utc_offset_h", "indoor_c", "mv_per_k", "strength"];

impl Scenario {
    /// Checks names and ranges; [`crate::Fleet::new`] does the same, for scenarios that were changed in memory.
    ///
    /// # Errors
    /// See [`ScenarioError`].
    pub fn check(&self) -> Result<(), ScenarioError> {
        check(self)
    }
}

fn check(scenario: &Scenario) -> Result<(), ScenarioError> {
    let every =
        toml::Table::try_from(scenario).map_err(|error| out_of_range("the scenario", error, "what TOML can write"))?;
    numbers("", "", &toml::Value::Table(every))?;
    run(scenario)?;
    labels(scenario)?;
    shares(scenario)?;
    batteries(scenario)?;
    references(scenario)?;
    failures(scenario)?;
    scenario.field.as_ref().map_or(Ok(()), |found| field(scenario, found))?;
    scenario.fault.iter().enumerate().try_for_each(|(at, fault)| one_fault(scenario, at, fault))?;
    scenario.faults.as_ref().map_or(Ok(()), density)
}

/// Checks that every number is finite, and none below zero except those that may be.
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
    within("radio.loss_share", scenario.radio.loss_share, 0.0, 0.01, "0 to 0.01")?;
    within("report.profile_share", scenario.report.profile_share, 0.0, 1.0, "0 to 1")?;
    within("control.retries", scenario.control.retries as f64, 0.0, 3.0, "0 to 3")?;
    within("noise.step_mv", scenario.noise.step_mv, 0.01, 100.0, "0.01 to 100")?;
    within("noise.step_c", scenario.noise.step_c, 0.01, 5.0, "0.01 to 5")?;
    within("drive_reserve", scenario.drive_reserve.unwrap_or(1.0), 1.0, 10.0, "1 to 10")
}

fn failures(scenario: &Scenario) -> Result<(), ScenarioError> {
    within("failure.rub_from", scenario.failure.rub_from, 0.0, 1.0, "0 to 1")?;
    within("failure.teeth", scenario.failure.teeth as f64, 1.0, 12.0, "1 to 12")?;
    let reports = scenario.gateway_report.as_ref();
    reports.map_or(Ok(()), |reports| within("gateway_report.every_min", reports.every_min, 1.0, 360.0, "1 to 360"))
}

fn field(scenario: &Scenario, field: &Field) -> Result<(), ScenarioError> {
    if field.told.len() != scenario.model.len() {
        return Err(out_of_range("field.told", field.told.len(), "one for each model"));
    }
    for told in &field.told {
        within("field.told.percent_step", told.percent_step, 1.0, 50.0, "1 to 50")?;
    }
    for rename in &field.rename {
        let versions = scenario.firmware.iter().map(|firmware| firmware.version.as_str());
        borne("field.rename", "firmware", &rename.version, versions)?;
        borne("field.rename", "error code", &rename.from, scenario.errors.keys().map(String::as_str))?;
    }
    let (loss, nuisance, carriage) = (&field.loss, &field.nuisance, &field.carriage);
    let shares = [
        ("ties", field.ties),
        ("eager", field.eager),
        ("loss.chronic_share", loss.chronic_share),
        ("loss.chronic_loss", loss.chronic_loss),
        ("loss.burst_loss", loss.burst_loss),
        ("loss.doubled", loss.doubled),
        ("nuisance.stiff_share", nuisance.stiff_share),
        ("nuisance.jam_share", nuisance.jam_share),
        ("nuisance.restart_share", nuisance.restart_share),
        ("nuisance.error_share", nuisance.error_share),
        ("carriage.phone_share", carriage.phone_share),
        ("carriage.batch_share", carriage.batch_share),
        ("carriage.slow_share", carriage.slow_share),
        ("carriage.doubling", carriage.doubling),
    ];
    shares.into_iter().try_for_each(|(name, share)| within(&format!("field.{name}"), share, 0.0, 1.0, "0 to 1"))
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
    if let Some((kind, growth)) = fault.single() {
        return single(scenario, &place, kind, &growth);
    }
    if let Some(version) = fault.version() {
        let versions = scenario.rollout.iter().map(|rollout| rollout.version.as_str());
        borne(&place, "rolled out firmware", version, versions)?;
    }
    match fault {
        Fault::F1(drain) => within(&format!("{place} factor"), drain.factor, 1.0, 1000.0, "1 to 1,000"),
        Fault::F2(reboots) => within(&format!("{place} per_day"), reboots.per_day, 0.001, 1000.0, "0.001 to 1,000"),
        Fault::F3(bug) => error_rate(scenario, &place, bug),
        Fault::F5(bug) => {
            let found = bug.hw_rev.as_deref().unwrap_or("");
            borne(&place, "hw_rev", found, scenario.hw_rev.iter().map(|hw_rev| hw_rev.name.as_str()))?;
            error_rate(scenario, &place, bug)
        }
        Fault::F4(leak) => within(&format!("{place} b_per_day"), leak.b_per_day, 1.0, 1e9, "1 to 1,000,000,000"),
        Fault::S2(cloud) => {
            client(scenario, &place, &cloud.client)?;
            borne(&place, "error code", &cloud.code, scenario.errors.keys().map(String::as_str))?;
            within(&format!("{place} share"), cloud.share, 0.0, 1.0, "0 to 1")
        }
        Fault::S3(drift) => drifts(scenario, &place, drift),
        Fault::H7(snap) => {
            borne(&place, "region", &snap.region, scenario.region.iter().map(|region| region.name.as_str()))
        }
        Fault::C1(holiday) => within(&format!("{place} ops"), holiday.ops, 0.0, 10.0, "0 to 10"),
        Fault::H1(_)
        | Fault::H2(_)
        | Fault::H3(_)
        | Fault::H4(_)
        | Fault::H5(_)
        | Fault::H6(_)
        | Fault::H8(_)
        | Fault::S1(_)
        | Fault::S4(_)
        | Fault::S5(_)
        | Fault::S6(_)
        | Fault::C2(_)
        | Fault::C3(_)
        | Fault::C5(_) => Ok(()),
    }
}

fn single(scenario: &Scenario, place: &str, kind: Single, growth: &Growth) -> Result<(), ScenarioError> {
    strength(&format!("{place} strength"), kind, growth.strength)?;
    let (count, what) = match kind {
        Single::S1 => (scenario.site.iter().map(|site| site.gateways).sum(), "1 to the gateways"),
        Single::H1
        | Single::H2
        | Single::H3
        | Single::H4
        | Single::H5
        | Single::H6
        | Single::H8
        | Single::S4
        | Single::S5
        | Single::S6
        | Single::C2
        | Single::C3
        | Single::C5 => (scenario.locks, "1 to the locks"),
    };
    within(&format!("{place} count"), growth.count as f64, 1.0, count as f64, what)?;
    let last = count.saturating_sub(1) as f64;
    growth.lock.map_or(Ok(()), |lock| within(&format!("{place} lock"), lock as f64, 0.0, last, "below their number"))
}

/// The allowed strength of a family: shares up to 1, steps of clock and friction below zero too.
fn strength(place: &str, kind: Single, found: f64) -> Result<(), ScenarioError> {
    match kind {
        Single::H3 | Single::H6 => within(place, found, 0.0, 1.0, "0 to 1"),
        Single::S5 => within(place, found, 0.0, 0.5, "0 to 0.5"),
        Single::C3 => within(place, found, -0.5, 0.5, "-0.5 to 0.5"),
        Single::S4 => within(place, found, -1e6, 1e6, "-1,000,000 to 1,000,000"),
        Single::H1
        | Single::H2
        | Single::H4
        | Single::H5
        | Single::H8
        | Single::S1
        | Single::S6
        | Single::C2
        | Single::C5 => within(place, found, 0.0, 1000.0, "0 to 1,000"),
    }
}

fn error_rate(scenario: &Scenario, place: &str, bug: &ErrorRate) -> Result<(), ScenarioError> {
    borne(place, "error code", &bug.code, scenario.errors.keys().map(String::as_str))?;
    within(&format!("{place} factor"), bug.factor, 0.0, 1000.0, "0 to 1,000")
}

fn drifts(scenario: &Scenario, place: &str, drift: &Drift) -> Result<(), ScenarioError> {
    match (&drift.version, &drift.client) {
        (Some(_), None) => Ok(()),
        (None, Some(name)) => client(scenario, place, name),
        (Some(_), Some(_)) => Err(out_of_range(place, "both version and client", "one of version and client")),
        (None, None) => Err(out_of_range(place, "neither version nor client", "one of version and client")),
    }
}

fn client(scenario: &Scenario, place: &str, name: &str) -> Result<(), ScenarioError> {
    borne(place, "client", name, scenario.client.iter().map(|client| client.version.as_str()))
}

fn density(density: &Density) -> Result<(), ScenarioError> {
    within("faults.rate", density.rate, 0.0, 100.0, "0 to 100 per lock-year")?;
    let [from, to] = density.window;
    within("faults.window", from, 0.0, to, "0 to its end")?;
    within("faults.window", to, from, 1.0, "its begin to 1")?;
    for (at, drawn) in density.family.iter().enumerate() {
        for bound in drawn.strength {
            strength(&format!("faults.family {at} strength"), drawn.family, bound)?;
        }
        within(&format!("faults.family {at} rate"), drawn.rate.unwrap_or(0.0), 0.0, 100.0, "0 to 100 per lock-year")?;
    }
    let shared = density.family.iter().filter(|drawn| drawn.rate.is_none()).map(|drawn| drawn.weight);
    if shared.clone().next().is_none() { Ok(()) } else { weights("faults.family", shared) }
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
