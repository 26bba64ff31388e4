//! What a lock does and sends: operations, heartbeats, errors, restarts, updates, visits by a person, a new battery.
//! Called by `Lock::step` when the action is due.
use super::Lock;
use super::at::At;
use crate::ailment::Remote;
use crate::battery::{self, Pack};
use crate::calendar::{DAY_MS, HOUR_MS, MINUTE_MS};
use crate::message::{Beat, Labels, Listener};
use crate::motor::Outcome;
use crate::operation::{self, Conditions, Observed};
use crate::rng::{Draws, Purpose};
use crate::scenario::{Quantity, Single};
use crate::told;
use crate::wander::Course;
use zenei_wire::{
    Body, Bytes, CentiCelsius, DbMilliwatts, ErrorReport, Event, EventKind, LockState, Millivolts, OpSource, Percent,
    ResetReason, State,
};

/// Time from the start of an update to the new version's first message, ms; guess.
const OTA_MS: i64 = 3 * MINUTE_MS;
/// Relative jitter of heartbeats; guess.
const STATE_JITTER: f64 = 0.01;
/// Current of a radio burst, mA (nRF52832 at +4 dBm with its converter, and the board around it).
const RADIO_MA: f64 = 15.0;

impl Lock {
    pub(super) fn operate<L: Listener>(&mut self, at: &mut At<'_, L>) {
        self.plan.pop();
        self.settle(at);
        let number = self.ops;
        self.ops += 1;
        let temp_c = self.temp_c(at);
        let conditions = Conditions {
            number,
            at_ms: at.at_ms,
            emf_mv: self.emf_mv(at, temp_c),
            battery_ohm: self.battery_ohm(at, temp_c),
            temp_c,
            friction: self.ailments.friction(at.at_ms) * self.weathered(at),
            drive: self.ailments.drive(at.world, at.at_ms),
            held_up: self.held_up(at),
            deaf_ms: (self.deaf_until_ms.saturating_sub(at.at_ms)).max(0) as f64,
            congested_ms: if self.remote() == Remote::Late { at.world.scenario.failure.congested_ms } else { 0.0 },
            without: self.ailments.without(),
        };
        let done = operation::perform(at.world, &self.kinds, &self.one, &conditions, self.number);
        if self.is_dead(at, &conditions) || self.is_out_of_reach(at, done.op.source) {
            at.listener.operation(&Observed { good: false, measured: false, ..done.observed });
            return;
        }
        at.listener.operation(&done.observed);
        let battery = self.battery(at).clone();
        self.pack.take(&battery, done.charge_mah);
        if done.outcome == Outcome::Brownout {
            self.restart(at, ResetReason::Brownout);
        }
        let client = done.client.map(|client| at.world.scenario.client[client].version.as_str());
        self.client = done.client.unwrap_or(self.client);
        let told = told::of(&at.world.scenario, &self.kinds);
        let client = client.filter(|_| !told.is_some_and(|told| told.hides(Quantity::ClientOfOp)));
        let source = done.op.source;
        self.say(at, done.delay_ms, false, client, Body::Op(told.map_or(done.op, |told| told.op(done.op))));
        if let Some((code, _)) = done.cloud_code.and_then(|code| at.world.codes.get(code)) {
            let body = Body::Error(ErrorReport { code: code.into(), count: 1, detail: None });
            self.say(at, done.delay_ms, false, client, body);
        }
        let (bolt, code) = match (done.outcome, number.is_multiple_of(2)) {
            (Outcome::Done, true) => (LockState::Unlocked, None),
            (Outcome::Done, false) => (LockState::Locked, None),
            (Outcome::Jam, _) => (LockState::Jammed, Some("jam")),
            (Outcome::Stall | Outcome::Timeout, _) => (LockState::Jammed, Some("motor_stall")),
            (Outcome::Brownout, _) => (LockState::Unknown, Some("battery_cutoff")),
        };
        self.bolt = bolt;
        if let Some(code) = code {
            self.say_error(at, done.delay_ms, code);
        }
        if done.outcome == Outcome::Brownout {
            self.say_state(at);
        }
        self.after_use(at, source);
    }

    pub(super) fn beat<L: Listener>(&mut self, at: &mut At<'_, L>) {
        self.settle(at);
        if !L::MESSAGES {
            at.listener.beat(&self.really(at));
        }
        let mut draws = Draws::new(at.world.seed, self.number, Purpose::Heartbeat, self.states);
        self.states += 1;
        let every_ms = self.state_every_ms(at) * (1.0 + STATE_JITTER * draws.normal());
        self.state_ms = self.awake(at, self.state_ms + every_ms.max(1000.0) as i64);
        self.beat_ms = at.at_ms;
        if self.pack.charge > 0.0 {
            self.say_state_by(at, draws);
        }
    }

    /// A clock is due: an error code, or a spontaneous reset.
    pub(super) fn strike<L: Listener>(&mut self, at: &mut At<'_, L>) {
        let Some(kind) = self.clocks.iter().position(|clock| clock.due_ms() == at.at_ms) else {
            self.find_clock();
            return;
        };
        self.clocks[kind].wind(at.world.seed, self.number, at.at_ms);
        self.find_clock();
        self.settle(at);
        if self.pack.charge <= 0.0 {
            return;
        }
        let index = (kind as u64) << 32 | self.clocks[kind].struck();
        let mut draws = Draws::new(at.world.seed, self.number, Purpose::Occurrence, index);
        let delay_ms = operation::delay_ms(&at.world.scenario, &mut draws);
        match at.world.codes.get(kind) {
            Some((code, _)) => self.say_clump(at, delay_ms, code, &mut draws),
            None if kind > at.world.codes.len() => self.crash(at, draws.chance(0.7)),
            None => {
                // Half watchdog, a third requested by the firmware, the rest hard faults; guess.
                let (reason, code) = match draws.below(6) {
                    0..3 => (ResetReason::Watchdog, Some("watchdog_reset")),
                    3..5 => (ResetReason::Software, None),
                    _ => (ResetReason::HardFault, Some("hard_fault")),
                };
                self.restart(at, reason);
                self.say_state(at);
                if let Some(code) = code {
                    self.say_error(at, 0, code);
                }
            }
        }
    }

    /// A bug restarts the lock: watchdog or hard fault.
    fn crash<L: Listener>(&mut self, at: &mut At<'_, L>, watchdog: bool) {
        let (_, boot_ms) = self.ailments.reboots(at.world, self.version);
        let (reason, code) =
            if watchdog { (ResetReason::Watchdog, "watchdog_reset") } else { (ResetReason::HardFault, "hard_fault") };
        self.deaf_until_ms = at.at_ms + boot_ms;
        self.restart(at, reason);
        self.say_state(at);
        self.say_error(at, 0, code);
    }

    pub(super) fn run_out_of_heap<L: Listener>(&mut self, at: &mut At<'_, L>) {
        let (_, boot_ms) = self.ailments.heap(at.world, self.version);
        self.settle(at);
        self.deaf_until_ms = at.at_ms + boot_ms;
        self.restart(at, ResetReason::HardFault);
        if self.pack.charge > 0.0 {
            self.say_state(at);
            self.say_error(at, 0, "assert_failed");
        }
    }

    /// Sends the held records, unless something else keeps the lock offline.
    pub(super) fn come_back<L: Listener>(&mut self, at: &mut At<'_, L>) {
        if !(self.away || self.cut || self.kinds.phone) {
            self.speech.back(at.identity, at.at_ms, at.listener);
        }
    }

    /// A person comes to the lock.
    pub(super) fn visit<L: Listener>(&mut self, at: &mut At<'_, L>) {
        match self.ailments.end_visit() {
            Some(Single::C2) => self.replace_battery(at),
            Some(
                Single::H1
                | Single::H2
                | Single::H3
                | Single::H4
                | Single::H5
                | Single::H6
                | Single::H8
                | Single::S1
                | Single::S4
                | Single::S5
                | Single::S6
                | Single::C3
                | Single::C5,
            )
            | None => {
                self.settle(at);
                self.say_event(at, EventKind::Moved, None);
                self.say_state(at);
            }
        }
    }

    /// An update starts, where it applies to the lock's version; while the lock is offline, it waits.
    pub(super) fn start_update<L: Listener>(&mut self, at: &mut At<'_, L>) {
        let Some((_, number)) = self.rollouts.pop() else { return };
        let scenario = &at.world.scenario;
        let rollout = &scenario.rollout[number];
        let present = &scenario.firmware[self.version].version;
        if *present == rollout.version || !(rollout.from.is_empty() || rollout.from.contains(present)) {
            return;
        }
        if self.speech.offline && !self.kinds.phone {
            let own_ms = if self.away { self.offline_ms.1 } else { at.at_ms };
            let cut_ms = self.ailments.next_cut().filter(|_| self.cut).map_or(at.at_ms, |cut| cut.until_ms);
            self.rollouts.push((own_ms.max(cut_ms) + MINUTE_MS, number));
            return;
        }
        let version = crate::plan::place(scenario.firmware.iter().map(|firmware| &firmware.version), &rollout.version);
        self.ota = Some((at.at_ms + OTA_MS, version));
        self.say_event(at, EventKind::OtaStarted, Some((self.version, version)));
    }

    pub(super) fn finish_update<L: Listener>(&mut self, at: &mut At<'_, L>) {
        let Some((_, version)) = self.ota.take() else { return };
        self.settle(at);
        let before = std::mem::replace(&mut self.version, version);
        self.version_since_ms = at.at_ms;
        for kind in 0..self.clocks.len() {
            let per_day = self.rate(at.world, kind);
            self.clocks[kind].change(at.at_ms, per_day);
        }
        self.find_clock();
        self.restart(at, ResetReason::Ota);
        at.listener.runs_version(at.at_ms, version);
        self.say_event(at, EventKind::OtaDone, Some((before, version)));
        self.say_state(at);
    }

    fn replace_battery<L: Listener>(&mut self, at: &mut At<'_, L>) {
        self.settle(at);
        // New cells are sold a little below full; guess.
        self.pack = Pack::with_charge(0.98);
        self.restart(at, ResetReason::PowerOn);
        self.say_event(at, EventKind::BatteryReplaced, None);
        self.say_state(at);
    }

    fn restart<L: Listener>(&mut self, at: &At<'_, L>, reason: ResetReason) {
        self.speech.restart(at.at_ms);
        self.reset_reason = reason;
        self.find_heap_out(at.world);
    }

    /// Lets the battery rest until now.
    fn settle<L: Listener>(&mut self, at: &At<'_, L>) {
        let scenario = &at.world.scenario;
        let factor = scenario.hw_rev[self.kinds.hw_rev].sleep * scenario.firmware[self.version].sleep;
        let awake = self.ailments.sleep(at.world, self.version);
        let sleep_ua = scenario.model[self.kinds.model].sleep_ua * factor * awake + self.ailments.leak_ua(at.at_ms);
        let hours = (at.at_ms - self.settled_ms) as f64 / HOUR_MS as f64;
        self.pack.rest(&scenario.battery[self.kinds.battery], hours, sleep_ua);
        self.settled_ms = at.at_ms;
    }

    fn battery<'a, L: Listener>(&self, at: &At<'a, L>) -> &'a crate::scenario::Battery {
        &at.world.scenario.battery[self.kinds.battery]
    }

    fn battery_ohm<L: Listener>(&self, at: &At<'_, L>, temp_c: f64) -> f64 {
        let ageing = self.ailments.resistance(at.world, at.at_ms);
        self.pack.ohm(self.battery(at), temp_c, ageing * self.one.battery_ohm)
    }

    fn temp_c<L: Listener>(&self, at: &At<'_, L>) -> f64 {
        let outdoor_c = at.world.weather.outdoor_c(self.kinds.region, at.at_ms);
        self.one.outdoor * outdoor_c + (1.0 - self.one.outdoor) * at.world.scenario.spread.indoor_c
    }

    /// Whether the supply fails under a radio burst alone: the battery is dead.
    fn is_dead<L: Listener>(&self, at: &At<'_, L>, now: &Conditions) -> bool {
        self.pack.charge <= 0.0 || now.emf_mv - RADIO_MA * now.battery_ohm < at.world.scenario.control.brownout_mv
    }

    /// The share of operations that a bug of this version now delays, and for how long.
    fn held_up<L: Listener>(&self, at: &At<'_, L>) -> (f64, f64) {
        let up_ms = at.at_ms - self.speech.booted_ms.max(self.version_since_ms);
        self.ailments.held_up(at.world, &self.kinds, self.version, up_ms, self.free_heap_b(at))
    }

    fn emf_mv<L: Listener>(&self, at: &At<'_, L>, temp_c: f64) -> f64 {
        self.pack.emf_mv(self.battery(at), temp_c) - self.ailments.cell_mv(at.world, at.at_ms)
    }

    fn free_heap_b<L: Listener>(&self, at: &At<'_, L>) -> f64 {
        let (b_per_day, _) = self.ailments.heap(at.world, self.version);
        let up_days = (at.at_ms - self.speech.booted_ms) as f64 / DAY_MS as f64;
        self.fresh_heap_b(at.world) - b_per_day * up_days
    }

    /// What now happens to requests through the gateway.
    fn remote(&self) -> Remote {
        self.ailments.next_cut().filter(|_| self.cut).map_or(Remote::Served, |cut| cut.remote)
    }

    /// Whether a request from this source does not reach the lock.
    fn is_out_of_reach<L: Listener>(&self, at: &At<'_, L>, source: Option<OpSource>) -> bool {
        let mute = self.ailments.is_mute(at.at_ms);
        match source {
            Some(OpSource::Remote | OpSource::Schedule) => mute || self.remote() == Remote::Lost,
            Some(OpSource::App) => mute,
            Some(OpSource::Keypad | OpSource::Nfc | OpSource::Auto | OpSource::Manual) | None => false,
        }
    }

    /// This heartbeat without observation noise, and the noise.
    fn really<L: Listener>(&self, at: &At<'_, L>) -> Beat {
        let noise = &at.world.scenario.noise;
        // An evenly distributed rounding error has the standard deviation step / √12.
        let rest_noise_mv = noise.rest_mv.hypot(noise.step_mv / 12.0_f64.sqrt());
        Beat {
            number: self.states,
            at_ms: at.at_ms,
            rest_mv: [self.emf_mv(at, self.temp_c(at)), self.rest_noise_mv(at, rest_noise_mv)],
            heap_b: [self.free_heap_b(at), self.heap_noise_b(at, noise.heap_b)],
        }
    }

    fn extra_draws<L: Listener>(&mut self, at: &At<'_, L>) -> Draws {
        self.extra += 1;
        Draws::new(at.world.seed, self.number, Purpose::Report, self.extra)
    }

    fn say_state<L: Listener>(&mut self, at: &mut At<'_, L>) {
        let draws = self.extra_draws(at);
        self.say_state_by(at, draws);
    }

    fn say_state_by<L: Listener>(&mut self, at: &mut At<'_, L>, mut draws: Draws) {
        if !L::MESSAGES {
            let manner = self.manner(at);
            self.speech.pass(&manner, zenei_wire::Kind::State, at.at_ms, at.listener);
            return;
        }
        let scenario = &at.world.scenario;
        let (noise, radio) = (&scenario.noise, &scenario.radio);
        let delay_ms = operation::delay_ms(scenario, &mut draws);
        let (temp_c, told) = (self.temp_c(at), told::of(scenario, &self.kinds));
        let emf_mv = self.emf_mv(at, temp_c) + self.wander(at, Course::Rest, |wander| wander.rest_mv);
        let volts = operation::volts(noise, &self.one, emf_mv, noise.rest_mv * draws.normal());
        let volts = told
            .map_or(volts, |told| Millivolts(operation::whole(self.gauges[1].read(f64::from(volts.0), told.dead_mv))));
        let pct = 100.0 * battery::charge_at(self.battery(at), f64::from(volts.0));
        let read_c = temp_c + self.one.temp_offset_c + noise.temp_c * draws.normal();
        let read_c = told.map_or(read_c, |told| self.gauges[0].read(read_c, told.dead_c));
        let free_b = self.free_heap_b(at) + noise.heap_b * draws.normal() - self.working_b(at);
        let rssi_dbm = self.one.rssi_dbm + self.signal_db(at) + radio.rssi_noise_db * draws.normal();
        let state = State {
            battery_mv: Some(volts),
            battery_pct: Some(Percent(pct.round() as u8)),
            temp_c: Some(CentiCelsius(((read_c / noise.step_c).round() * noise.step_c * 100.0).round() as i16)),
            rssi_dbm: Some(DbMilliwatts(rssi_dbm.round().clamp(-110.0, -20.0) as i8)),
            lock_state: Some(self.bolt),
            reset_reason: Some(self.reset_reason),
            // Allocators hand out memory in steps of 8 bytes.
            free_heap_b: Some(Bytes((free_b.max(0.0) as u32) & !7)),
        };
        let client = scenario.client[self.client].version.as_str();
        let client = Some(client).filter(|_| !told.is_some_and(|told| told.hides(Quantity::ClientOfState)));
        let state = told.map_or(state, |told| told.state(state));
        self.say(at, delay_ms, true, client, Body::State(state));
        let day = (at.at_ms - at.world.start_ms).div_euclid(DAY_MS);
        if pct <= scenario.control.low_battery_pct && day != self.low_battery_day {
            self.low_battery_day = day;
            self.say_error(at, delay_ms, "low_battery");
        }
    }

    fn say_error<L: Listener>(&mut self, at: &mut At<'_, L>, delay_ms: i64, code: &str) {
        self.say_errors(at, delay_ms, code, 1);
    }

    fn say_event<L: Listener>(&mut self, at: &mut At<'_, L>, event: EventKind, fw: Option<(usize, usize)>) {
        let versions = &at.world.scenario.firmware;
        let name = |version: usize| versions[version].version.as_str().into();
        let (from, to) = (fw.map(|(from, _)| name(from)), fw.map(|(_, to)| name(to)));
        self.say(at, 0, true, None, Body::Event(Event { event, fw_from: from, fw_to: to }));
    }

    pub(super) fn say<L: Listener>(
        &mut self,
        at: &mut At<'_, L>,
        delay_ms: i64,
        all: bool,
        client: Option<&str>,
        body: Body<'_>,
    ) {
        let told = told::of(&at.world.scenario, &self.kinds);
        let seldom = !all && told.is_some_and(|told| told.hides(Quantity::FwOfOp));
        let firmware = (!seldom).then_some(at.world.scenario.firmware[self.version].version.as_str());
        let manner = self.manner(at);
        let labels = Labels { firmware, client, all, manner };
        self.speech.say(at.identity, &labels, at.at_ms, delay_ms, body, at.listener);
    }
}
