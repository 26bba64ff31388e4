//! One operation: who requests it, how the motor does, and what the firmware measures of it. All random draws of an
//! operation come from its own stream, in a fixed order and before the physics decides, so that the same operation of a
//! faulty lock and of its sound twin differ by physics alone. Must not know the calendar or messages. Called by `lock`.
use crate::fault::Cloud;
use crate::identity::Kinds;
use crate::individual::Individual;
use crate::motor::{self, Attempt, Load, Outcome, SEGMENTS};
use crate::rng::{Draws, Purpose};
use crate::scenario::{Noise, Quantity, Scenario};
use crate::told;
use crate::world::World;
use zenei_wire::{CentiDegrees, Milliamps, Millis, Millivolts, Op, OpKind, OpResult, OpSource, Profile};

/// The latency from which an operation counts as late for a person, ms (fleet benchmark's definition).
const LATE_MS: f64 = 3000.0;
/// The order of [`crate::scenario::Sources`].
const SOURCES: [OpSource; 7] = [
    OpSource::App,
    OpSource::Remote,
    OpSource::Keypad,
    OpSource::Nfc,
    OpSource::Auto,
    OpSource::Manual,
    OpSource::Schedule,
];
/// How much wider the scatter of an operation of the tails is.
const TAIL: f64 = 3.0;
/// How many attempts have their random numbers drawn in advance; the scenario allows 3 retries.
const ATTEMPTS_MAX: usize = 4;

/// What really happened, beside the report, for the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Observed {
    /// Its number; equal in a twin.
    pub(crate) number: u64,
    pub(crate) at_ms: i64,
    /// Whether a person requested it.
    pub(crate) person: bool,
    /// Whether it ended ok within 3 s.
    pub(crate) good: bool,
    /// Whether the record carries measurements.
    pub(crate) measured: bool,
    /// Mean current without observation noise, mA, and the noise of one observation; of a model that does not tell it,
    /// the motor's time, ms.
    pub(crate) mean_ma: [f64; 2],
    /// The last attempt's running current along the travel likewise, mA, and the noise of one sample.
    pub(crate) loads_ma: [f32; SEGMENTS],
    pub(crate) load_noise_ma: f64,
    /// Whether the record carries a current profile.
    pub(crate) profile: bool,
    /// The probability that an attempt fails.
    pub(crate) failing: f64,
    /// The requesting app or hub.
    pub(crate) client: Option<usize>,
    /// The battery's resistance as sag over peak would give it, Ω, and the noise of one observation.
    pub(crate) ohm: [f64; 2],
}

/// The conditions of the operation.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    pub(crate) number: u64,
    pub(crate) at_ms: i64,
    pub(crate) emf_mv: f64,
    pub(crate) battery_ohm: f64,
    pub(crate) temp_c: f64,
    /// Factor of all friction from faults.
    pub(crate) friction: f64,
    pub(crate) drive: Drive,
    /// A firmware bug: the share of app and remote operations that it delays, and by how much, ms.
    pub(crate) held_up: (f64, f64),
    /// How long the lock does not answer from now on because it has just restarted, ms.
    pub(crate) deaf_ms: f64,
    /// How much later remote requests come through a late gateway, ms.
    pub(crate) congested_ms: f64,
    /// The planned fault that this run of the lock leaves out.
    pub(crate) without: Option<usize>,
}

/// The drive's ailments beside friction; all 0 for a sound one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Drive {
    /// Relative rise of the bolt's friction at the strike.
    pub(crate) rub: f64,
    /// Height of a worn tooth's bump over the bolt's friction.
    pub(crate) tooth: f64,
    /// Share of attempts in which a brush has no contact.
    pub(crate) no_contact: f64,
    /// How far the bolt ends from its place, degrees.
    pub(crate) angle_deg: f64,
}

/// The result of the operation.
pub(crate) struct Performed {
    pub(crate) op: Op,
    /// Index of the requesting app or hub in the scenario's clients.
    pub(crate) client: Option<usize>,
    /// The index of the code that the request met in the cloud.
    pub(crate) cloud_code: Option<usize>,
    pub(crate) outcome: Outcome,
    pub(crate) charge_mah: f64,
    pub(crate) delay_ms: i64,
    pub(crate) observed: Observed,
}

/// The random draws of one operation.
struct Chances {
    draws: Draws,
    source: OpSource,
    overhead_ms: f64,
    scatter: [f64; ATTEMPTS_MAX],
    lean: f64,
    obstacle: Option<(usize, f64)>,
    held_up: f64,
    profile: bool,
    delay_ms: i64,
    peak: f64,
    mean: f64,
    low: f64,
    duration: f64,
    angle: f64,
}

/// Performs one operation.
pub(crate) fn perform(world: &World, kinds: &Kinds, one: &Individual, now: &Conditions, lock: usize) -> Performed {
    let scenario = &world.scenario;
    let mut chances = chances(scenario, kinds, one, Draws::new(world.seed, lock, Purpose::Operation, now.number));
    let kind = if now.number.is_multiple_of(2) { OpKind::Unlock } else { OpKind::Lock };
    let attempts = attempts(world, kinds, one, now, &chances, (kind, lock));
    let motor_ms: f64 = attempts.iter().map(|attempt| attempt.duration_ms).sum();
    let charge_mah: f64 = attempts.iter().map(Attempt::charge_mah).sum();
    let mean_ma = charge_mah * 3_600_000.0 / motor_ms;
    let peak_ma = attempts.iter().map(|attempt| attempt.peak_ma).fold(0.0, f64::max);
    let low_mv = attempts.iter().map(|attempt| attempt.supply_min_mv).fold(f64::INFINITY, f64::min);
    let asked = matches!(chances.source, OpSource::App | OpSource::Remote);
    let held_up_ms = if asked && chances.held_up < now.held_up.0 { now.held_up.1 } else { 0.0 };
    let client = match chances.source {
        OpSource::App => Some(kinds.app),
        OpSource::Remote | OpSource::Schedule => kinds.hub,
        OpSource::Keypad | OpSource::Nfc | OpSource::Auto | OpSource::Manual => None,
    };
    let cloud = client.and_then(|client| cloud_error(world, now, lock, client));
    let congested_ms = if chances.source == OpSource::Remote { now.congested_ms } else { 0.0 };
    let outside_ms = cloud.map_or(0.0, |cloud| cloud.late.ms) + congested_ms + now.deaf_ms;
    let pauses_ms = scenario.control.backoff_ms * (attempts.len() - 1) as f64;
    let latency_ms = chances.overhead_ms + held_up_ms + motor_ms + pauses_ms + outside_ms;
    let last = &attempts[attempts.len() - 1];
    let measured = last.outcome != Outcome::Brownout;
    let noise = &scenario.noise;
    let current = |value_ma: f64, normal: f64| whole(current_ma(noise, one, value_ma, normal));
    let angle_deg = one.angle_deg + noise.angle_deg * chances.angle + last.missing_deg + now.drive.angle_deg;
    let op = Op {
        source: Some(chances.source),
        latency_ms: measured.then(|| Millis(latency_ms.round() as u32)),
        duration_ms: measured.then(|| whole(motor_ms + noise.duration_ms * chances.duration)),
        peak_ma: measured.then(|| Milliamps(current(peak_ma, chances.peak))),
        mean_ma: measured.then(|| Milliamps(current(mean_ma, chances.mean))),
        battery_min_mv: measured.then(|| volts(noise, one, low_mv, noise.load_mv * chances.low)),
        angle_err_deg: measured.then(|| CentiDegrees((angle_deg * 10.0).round() as i16 * 10)),
        ..Op::of(kind, result(last.outcome))
    };
    let told = told::of(scenario, kinds);
    let hides = |quantity| told.is_some_and(|told| told.hides(quantity));
    let blind = hides(Quantity::BatteryMinMv) || hides(Quantity::PeakMa) && hides(Quantity::MeanMa);
    let observed = Observed {
        number: now.number,
        at_ms: now.at_ms,
        person: is_person(chances.source),
        good: last.outcome == Outcome::Done && latency_ms <= LATE_MS,
        measured,
        mean_ma: effort(world, kinds, one, now, [mean_ma, motor_ms]),
        loads_ma: last.load_ma.map(|load_ma| load_ma as f32),
        load_noise_ma: mean_noise_ma(scenario, kinds, mean_ma),
        profile: chances.profile && last.outcome == Outcome::Done && !hides(Quantity::CurrentMa),
        failing: now.drive.no_contact,
        client,
        ohm: [now.battery_ohm, if blind { f64::INFINITY } else { ohm_noise(noise, now.battery_ohm, peak_ma) }],
    };
    let (outcome, delay_ms) = (last.outcome, chances.delay_ms);
    let op = if measured && chances.profile { with_profile(scenario, one, last, op, &mut chances.draws) } else { op };
    Performed { op, client, cloud_code: cloud.map(|cloud| cloud.code), outcome, charge_mah, delay_ms, observed }
}

fn chances(scenario: &Scenario, kinds: &Kinds, one: &Individual, mut draws: Draws) -> Chances {
    let (control, spread) = (&scenario.control, &scenario.spread);
    let shares = &scenario.service[kinds.service].sources;
    let weights = [shares.app, shares.remote, shares.keypad, shares.nfc, shares.auto, shares.manual, shares.schedule];
    let source = SOURCES[draws.pick(weights.into_iter())];
    let networked = matches!(source, OpSource::App | OpSource::Remote | OpSource::Schedule);
    let median_ms = if networked { control.secure_ms } else { control.local_ms };
    let mut overhead_ms = median_ms * draws.factor(control.overhead_sigma);
    let (slow, slow_ms) = (draws.chance(control.slow_share), 1000.0 + control.slow_ms * draws.exponential());
    if slow && source == OpSource::Remote {
        overhead_ms += slow_ms;
    }
    let is_wide = scenario.field.as_ref().is_some_and(|field| draws.chance(field.wander.tails));
    let sigma = if is_wide { TAIL * spread.op_friction } else { spread.op_friction };
    let scatter = std::array::from_fn(|_| draws.factor(sigma));
    let (leans, lean) = (draws.chance(spread.lean_share), spread.lean_friction * draws.exponential());
    let (ajar, ajar_at) = (draws.chance(spread.ajar_share + one.traits.jam), draws.between(0.5, 0.9));
    Chances {
        source,
        overhead_ms,
        scatter,
        lean: if leans { 1.0 + lean } else { 1.0 },
        // The bolt meets wood or steel: no multiple of its friction would move it.
        obstacle: ajar.then_some(((ajar_at * SEGMENTS as f64) as usize, 10.0)),
        held_up: draws.uniform(),
        profile: draws.chance(scenario.report.profile_share),
        delay_ms: delay_ms(scenario, &mut draws),
        peak: draws.normal(),
        mean: draws.normal(),
        low: draws.normal(),
        duration: draws.normal(),
        angle: draws.normal(),
        draws,
    }
}

/// The cloud error that a request of this client now meets.
fn cloud_error<'a>(world: &'a World, now: &Conditions, lock: usize, client: usize) -> Option<&'a Cloud> {
    let cloud = world.clouds(now.at_ms, now.without).find(|cloud| cloud.client == client)?;
    Draws::new(world.seed, lock, Purpose::Cloud, now.number).chance(cloud.late.share).then_some(cloud)
}

fn attempts(
    world: &World,
    kinds: &Kinds,
    one: &Individual,
    now: &Conditions,
    chances: &Chances,
    (kind, lock): (OpKind, usize),
) -> Vec<Attempt> {
    let (scenario, control) = (&world.scenario, &world.scenario.control);
    let worn = (now.drive.rub != 0.0 || now.drive.tooth != 0.0).then(|| worn_shape(scenario, one, &now.drive));
    let mut contact = (now.drive.no_contact > 0.0).then(|| Draws::new(world.seed, lock, Purpose::Contact, now.number));
    let way = if kind == OpKind::Unlock { one.unlock } else { 1.0 };
    let friction = one.friction * now.friction;
    let mut attempts = Vec::with_capacity(1);
    let mut eased = 1.0;
    for scatter in chances.scatter.iter().take(control.retries + 1) {
        let lost = contact.as_mut().is_some_and(|draws| draws.chance(now.drive.no_contact));
        let brush_ohm = if lost { scenario.failure.brush_ohm } else { 0.0 };
        let load = Load {
            emf_mv: now.emf_mv,
            battery_ohm: now.battery_ohm,
            motor_ohm: one.motor_ohm + brush_ohm,
            temp_c: now.temp_c,
            gear: friction,
            bolt: friction * way * chances.lean * scatter * eased,
            shape: worn.as_ref().unwrap_or(&one.shape),
            obstacle: chances.obstacle.filter(|_| kind == OpKind::Lock),
        };
        let attempt = motor::drive(&scenario.model[kinds.model], control, &load);
        let done = matches!(attempt.outcome, Outcome::Done | Outcome::Brownout);
        attempts.push(attempt);
        if done {
            break;
        }
        eased *= control.retry_friction;
    }
    attempts
}

/// Friction along the travel with a rub at the strike and worn teeth: each a bump where the tooth climbs, then a dip
/// where it drops into its neighbour's backlash, so that the mean stays.
fn worn_shape(scenario: &Scenario, one: &Individual, drive: &Drive) -> [f64; SEGMENTS] {
    let (failure, mut shape) = (&scenario.failure, one.shape);
    let from = (failure.rub_from * SEGMENTS as f64) as usize;
    shape.iter_mut().skip(from).for_each(|friction| *friction *= 1.0 + drive.rub);
    for tooth in 0..failure.teeth {
        let at = SEGMENTS * (2 * tooth + 1) / (2 * failure.teeth);
        shape[at - 1] += drive.tooth;
        shape[at] = (shape[at] - drive.tooth).max(0.0);
    }
    shape
}

/// Adds the last attempt's current profile, as finely spaced as its number of samples allows.
fn with_profile(scenario: &Scenario, one: &Individual, last: &Attempt, op: Op, draws: &mut Draws) -> Op {
    let report = &scenario.report;
    let steps = (last.duration_ms / report.profile_samples as f64 / report.profile_step_ms).ceil().max(1.0);
    let step_ms = steps * report.profile_step_ms;
    let mut profile = Profile::EMPTY;
    let mut at_ms = 0.0;
    while at_ms < last.duration_ms && profile.samples().len() < report.profile_samples {
        profile.push(whole(current_ma(&scenario.noise, one, last.current_ma(at_ms), draws.normal())));
        at_ms += step_ms;
    }
    Op { current_ma: Some(profile), sample_ms: Some(step_ms as u16), ..op }
}

/// How long a record takes from the lock to the receiver, ms.
pub(crate) fn delay_ms(scenario: &Scenario, draws: &mut Draws) -> i64 {
    (scenario.radio.delay_ms * draws.factor(scenario.radio.delay_sigma)) as i64
}

fn current_ma(noise: &Noise, one: &Individual, value_ma: f64, normal: f64) -> f64 {
    value_ma * one.current_gain + normal * (noise.current_share * value_ma).hypot(noise.current_ma)
}

/// A measured voltage: gain, noise, the converter's step.
pub(crate) fn volts(noise: &Noise, one: &Individual, value_mv: f64, error_mv: f64) -> Millivolts {
    Millivolts(whole(((value_mv * one.voltage_gain + error_mv) / noise.step_mv).round() * noise.step_mv))
}

/// Nearest whole number in 0 to 65,535.
pub(crate) fn whole(value: f64) -> u16 {
    value.round().clamp(0.0, f64::from(u16::MAX)) as u16
}

/// Noise of one observed mean current, mA: what differs between operations of a sound lock, and the measurement.
fn mean_noise_ma(scenario: &Scenario, kinds: &Kinds, mean_ma: f64) -> f64 {
    let noise = &scenario.noise;
    let scatter_ma = scenario.spread.op_friction * scenario.model[kinds.model].bolt_ma;
    scatter_ma.hypot(noise.current_share * mean_ma).hypot(noise.current_ma)
}

/// The told measure of the effort of an operation, and its noise: the mean current, or the motor's time.
fn effort(world: &World, kinds: &Kinds, one: &Individual, now: &Conditions, [mean_ma, motor_ms]: [f64; 2]) -> [f64; 2] {
    let scenario = &world.scenario;
    let noise_ma = mean_noise_ma(scenario, kinds, mean_ma);
    let Some(field) = &scenario.field else { return [mean_ma, noise_ma] };
    // Noise that holds for days is worth one observation in half that time.
    let lasts = (scenario.service[kinds.service].ops_per_day * one.ops * field.wander.days / 2.0).max(1.0);
    let noise_ma = noise_ma.hypot(field.wander.friction * mean_ma * lasts.sqrt());
    if !told::of(scenario, kinds).is_some_and(|told| told.hides(Quantity::MeanMa)) {
        return [mean_ma, noise_ma];
    }
    // The motor turns in proportion to what the current leaves of the voltage.
    let ohm = now.battery_ohm + one.motor_ohm + scenario.model[kinds.model].driver_ohm;
    let left_mv = (now.emf_mv - mean_ma * ohm).max(0.1 * now.emf_mv);
    [motor_ms, scenario.noise.duration_ms.hypot(motor_ms * noise_ma * ohm / left_mv)]
}

/// Noise of one resistance observed as sag over peak, Ω.
fn ohm_noise(noise: &Noise, ohm: f64, peak_ma: f64) -> f64 {
    (noise.rest_mv.hypot(noise.load_mv) / peak_ma.max(1.0)).hypot(ohm * noise.current_share)
}

fn is_person(source: OpSource) -> bool {
    match source {
        OpSource::App | OpSource::Remote | OpSource::Keypad | OpSource::Nfc | OpSource::Manual => true,
        OpSource::Auto | OpSource::Schedule => false,
    }
}

fn result(outcome: Outcome) -> OpResult {
    match outcome {
        Outcome::Done => OpResult::Ok,
        Outcome::Jam => OpResult::Jam,
        Outcome::Stall => OpResult::Stall,
        Outcome::Timeout => OpResult::Timeout,
        Outcome::Brownout => OpResult::Aborted,
    }
}
