//! Random locks, each with its own faults, and what an engine would pass to a detector: records with the state of their
//! lock, resets, late and unreadable records, and the ends of hours. Values are drawn at random, not simulated: what
//! matters here is that the fast and the slow version get the same input. Must not know a detector. Called by `stream`.
mod character;

use super::stream::{Moment, Said, Stream};
use character::{Character, Common, comes_and_goes};
use std::borrow::Cow;
use zenei_detect::batch::{Labels, Row, Succession};
use zenei_detect::detect::profile::Profiles;
use zenei_detect::detect::running::Late;
use zenei_detect::fleet::{DeviceIx, Fleet, Sym};
use zenei_detect::lock::{Lock, Operation, RecordRef};
use zenei_kit::Dice;
use zenei_wire::{
    Adv, Body, Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, DeviceTime, EngineTime, ErrorReport, Event, EventKind,
    GatewayTime, LockState, Milliamps, Millivolts, Op, OpKind, OpResult, OpSource, Percent, Profile, ResetReason,
    State,
};

const HOUR_MS: i64 = 3_600_000;
/// The first stream begins at the start of a day, far from 0.
const START_MS: i64 = 20_000 * 24 * HOUR_MS;

/// The locks of a stream, and when it begins.
#[derive(Clone, Copy)]
pub(super) struct Life {
    start_ms: i64,
    /// What each lock's id begins with.
    ids: char,
    /// What model, board, firmware, gateway and site end with.
    mark: &'static str,
}

impl Life {
    /// The locks' first life.
    pub(super) const FIRST: Self = Self { start_ms: START_MS, ids: 'L', mark: "" };

    /// The life that follows a first life of this plan: other locks, of other models, at other sites, with ids that
    /// begin like this.
    pub(super) fn after(plan: Plan, ids: char) -> Self {
        Self { start_ms: START_MS + plan.days * 24 * HOUR_MS, ids, mark: "-2" }
    }
}

/// How large a stream is.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    locks: usize,
    days: i64,
    /// Heartbeats an hour.
    beats: f64,
    /// Operations an hour.
    operations: f64,
}

impl Plan {
    /// A few locks that send much.
    pub(super) const FEW: Self = Self { locks: 12, days: 26, beats: 0.5, operations: 0.4 };
    /// Many locks that send little but errors.
    pub(super) const MANY: Self = Self { locks: 40, days: 30, beats: 0.15, operations: 0.0 };
}

/// A stream of locks in their first life.
pub(super) fn stream(seed: u64, plan: Plan) -> Stream {
    stream_of(seed, plan, Life::FIRST, Fleet::new())
}

/// A stream of locks in this life, of a fleet that has these names.
pub(super) fn stream_of(seed: u64, plan: Plan, life: Life, fleet: Fleet) -> Stream {
    let mut dice = Dice(seed);
    let common = Common::draw(&mut dice);
    let mut made = Making::new(life, fleet);
    let mut locks: Vec<OneLock> = (0..plan.locks).map(|at| OneLock::new(at, life, common, &mut dice)).collect();
    for hour in 0..plan.days * 24 {
        // An event that affects every lock in this hour: the cloud is unreachable.
        let together = dice.is(0.004) || common.is_cloud_away(hour as f64 / 24.0);
        for lock in &mut locks {
            lock.hour(hour, plan, together, &mut dice, &mut made);
        }
        made.close(EngineTime(life.start_ms + (hour + 1) * HOUR_MS));
    }
    Stream { fleet: made.fleet, moments: made.moments }
}

struct OneLock {
    at: usize,
    life: Life,
    common: Common,
    of: Character,
    boot: u32,
    seq: u32,
    boot_hour: i64,
    reset: ResetReason,
    moved: usize,
    /// The lock is under maintenance until this hour.
    worked_on: Option<i64>,
    /// An error report that is delayed, and the hour in which it arrives.
    late: Option<(i64, &'static str, u32)>,
    /// Whether the records of this hour arrive at its end.
    backlog: bool,
}

impl OneLock {
    fn new(at: usize, life: Life, common: Common, dice: &mut Dice) -> Self {
        let of = Character::draw(dice);
        let (boot, seq, boot_hour, reset) = (1, 0, -100, ResetReason::PowerOn);
        Self {
            at,
            life,
            common,
            of,
            boot,
            seq,
            boot_hour,
            reset,
            moved: 0,
            worked_on: None,
            late: None,
            backlog: false,
        }
    }

    fn hour(&mut self, hour: i64, plan: Plan, together: bool, dice: &mut Dice, made: &mut Making) {
        let day = hour as f64 / 24.0;
        let silent = (self.of.falls_silent..self.of.falls_silent + 4.0).contains(&day) || dice.is(0.02);
        if dice.is(if comes_and_goes(self.of.restarts, day) { 0.1 } else { 0.002 }) {
            (self.boot, self.seq, self.boot_hour) = (self.boot + 1, 0, hour);
            self.reset = match dice.one_of(4) {
                0 => ResetReason::Brownout,
                1 => ResetReason::Unknown,
                _ => ResetReason::Watchdog,
            };
        }
        if silent || self.common.is_dark(self.at, day) {
            return;
        }
        self.backlog = dice.is(0.04);
        self.events(hour, dice, made);
        // The records of some locks are unreadable for a while.
        let is_garbled = self.at.is_multiple_of(3) && (4.0..9.0).contains(&(day - self.of.unreadable));
        let unreadable = if day >= self.of.unreadable { 0.1 } else { 0.001 };
        if dice.is(if is_garbled { 0.4 } else { unreadable }) {
            self.seq += 1;
            // A lock that never sent a readable record has no number.
            let known = made.fleet.find(&self.name());
            made.moments.extend(known.map(|device| Moment::Refused(device, EngineTime(self.at_ms(hour, 2)))));
        }
        if is_garbled {
            return;
        }
        let beats = if day >= self.of.unreadable + 3.0 { 0.0 } else { plan.beats };
        if dice.is(beats) {
            let body = self.state(hour, day, dice);
            self.say(hour, 5, body, dice, made);
        }
        if dice.is(0.05) {
            let battery_mv = dice.is(0.7).then(|| self.rest_mv(day, 19.0, dice));
            let adv = Adv { battery_mv, temp_c: Some(CentiCelsius(1_900)), ..Adv::default() };
            self.say(hour, 12, Body::Adv(adv), dice, made);
        }
        // After a failed operation a person tries again.
        let mut went_wrong = false;
        for minute in [19, 20, 26, 34] {
            if dice.is(if went_wrong { 0.7 } else { plan.operations / 4.0 }) {
                let body = self.op(hour, day, dice);
                went_wrong = matches!(&body, Body::Op(op) if op.result != OpResult::Ok);
                self.say(hour, minute, body, dice, made);
            }
        }
        self.errors(hour, day, together, dice, made);
    }

    fn events(&mut self, hour: i64, dice: &mut Dice, made: &mut Making) {
        if self.worked_on.is_some_and(|until| hour >= until) {
            self.worked_on = None;
            self.happens(hour, EventKind::MaintenanceEnd, dice, made);
        }
        let is_day = |day: f64| (day * 24.0) as i64 == hour;
        let event = match () {
            () if is_day(self.of.battery) => EventKind::BatteryReplaced,
            () if is_day(self.of.door) => EventKind::Moved,
            () if is_day(self.of.replaced) => EventKind::Installed,
            () if dice.is(0.003) => EventKind::MaintenanceStart,
            () => return,
        };
        match event {
            EventKind::MaintenanceStart => self.worked_on = Some(hour + 1 + dice.one_of(60) as i64),
            EventKind::Installed => (self.boot, self.seq, self.boot_hour) = (1, 0, hour),
            EventKind::Moved => self.moved += 1,
            EventKind::BatteryReplaced | EventKind::MaintenanceEnd | EventKind::OtaStarted | EventKind::OtaDone => {}
        }
        self.happens(hour, event, dice, made);
    }

    fn happens(&mut self, hour: i64, event: EventKind, dice: &mut Dice, made: &mut Making) {
        self.say(hour, 1, Body::Event(Event { event, fw_from: None, fw_to: None }), dice, made);
    }

    fn errors(&mut self, hour: i64, day: f64, together: bool, dice: &mut Dice, made: &mut Making) {
        if let Some((_, code, seq)) = self.late.take_if(|late| hour >= late.0) {
            let (device, code) = (made.fleet.number(&self.name()), made.fleet.intern(code));
            let record = RecordRef { boot: self.boot, seq, ts: self.heard_ms(hour, 35) - 2 * HOUR_MS };
            // Some locks use a number a second time now and then.
            let is_reused = self.at.is_multiple_of(5) && seq.is_multiple_of(2);
            let succession = if is_reused { Succession::Reused } else { Succession::Usual };
            made.moments.push(Moment::Late(Late { device, code, record, succession, now_ms: self.heard_ms(hour, 35) }));
            made.moved = true;
        }
        let is_buggy =
            self.common.buggy && self.of.fw(day) == "2.0" && (!self.common.buggy_board || self.hw_rev() == "C2");
        let errs = if comes_and_goes(self.of.errs, day) { 0.25 } else { 0.01 } * if is_buggy { 6.0 } else { 1.0 };
        for minute in [40, 41] {
            if !dice.is(errs) {
                continue;
            }
            let own = ["sensor_fault", "rtc_fault", "motor_overcurrent"][self.at % 3];
            let is_own = comes_and_goes(self.of.errs, day) && dice.is(0.5);
            let common = ["motor_stall", "ble_disconnect", "ble_disconnect", "low_battery"][dice.one_of(4)];
            let code = if is_own { own } else { common };
            if dice.is(0.08) && self.late.is_none() {
                self.late = Some((hour + 2, code, self.seq));
                self.seq += 1;
            } else {
                self.say(hour, minute, error(code.to_owned()), dice, made);
            }
        }
        if together && dice.is(0.9) {
            self.say(hour, 46, error("cloud_timeout".to_owned()), dice, made);
        }
        if self.common.babbles && self.at % 13 == 3 && dice.is(0.3) {
            // Most codes are its own.
            let code = if dice.is(0.05) { "odd".to_owned() } else { format!("odd_{}_{}", self.at, dice.one_of(60)) };
            self.say(hour, 50, error(code), dice, made);
        }
    }

    /// Percentage points of charge that it lost beyond the allowance.
    fn drained(&self, day: f64) -> f64 {
        let is_hungry = self.common.hungry && self.of.fw(day) == "2.0";
        let since = if is_hungry { self.of.updated.min(self.of.drains) } else { self.of.drains };
        // Some battery replacements are not reported.
        3.0 * (day - if day >= self.of.refreshed { since.max(self.of.refreshed) } else { since }).max(0.0)
    }

    fn rest_mv(&self, day: f64, temp: f64, dice: &mut Dice) -> Millivolts {
        Millivolts((2_950.0 - 1.2 * day - 4.0 * self.drained(day) + 0.8 * (temp - 20.0) + 2.0 * dice.gauss()) as u16)
    }

    fn state(&self, hour: i64, day: f64, dice: &mut Dice) -> Body<'static> {
        let drained = self.drained(day);
        let temp = 18.0 + 5.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let leaked = if day >= self.of.leaks { 60.0 * (hour - self.boot_hour) as f64 } else { 0.0 };
        // In some streams memory fills for two days and a half and is given back.
        let cycles = hour as f64 / 60.0 + self.at as f64 / 7.0;
        let filled = if self.common.hungry { 4_000.0 * cycles.fract() } else { 0.0 };
        let rest_mv = self.rest_mv(day, temp, dice);
        let has_field = day < self.of.lacks_field;
        // Some firmwares estimate no percentage.
        let has_percent = self.at % 5 != 4;
        let scatter = if self.at % 7 == 3 { 8.0 } else { 0.3 };
        Body::State(State {
            battery_mv: Some(if has_field || self.at % 4 != 1 { rest_mv } else { Millivolts(u16::MAX) }),
            battery_pct: has_percent
                .then(|| Percent((85.0 - 0.2 * day - drained + scatter * dice.gauss()).clamp(0.0, 100.0) as u8)),
            temp_c: (has_field || self.at % 4 == 1).then_some(CentiCelsius((temp * 100.0) as i16)),
            rssi_dbm: comes_and_goes(-5.0 * self.at as f64, day).then_some(DbMilliwatts(self.strength_dbm(day))),
            lock_state: dice.is(0.8).then_some(LockState::Locked),
            free_heap_b: Some(Bytes((40_000.0 - leaked - filled + 150.0 * dice.gauss()).max(100.0) as u32)),
            reset_reason: Some(self.reset),
        })
    }

    /// The strength of the radio link, dBm: it differs between locks and moves by the day; the first lock's falls by
    /// 20.
    fn strength_dbm(&self, day: f64) -> i8 {
        let fallen = if self.at == 0 && day > 20.0 { 20 } else { 0 };
        -55 - (self.at % 7) as i8 - (day as i64 % 3) as i8 - fallen
    }

    fn op(&self, hour: i64, day: f64, dice: &mut Dice) -> Body<'static> {
        let temp = 18.0 + 5.0 * (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
        let load =
            (1.0 + 0.05 * (day - self.of.rubs).max(0.0)) * (-0.007 * (temp - 20.0)).exp() * (0.04 * dice.gauss()).exp();
        let ohm = 0.9
            * (1.0 + 0.06 * (day - self.of.ages).max(0.0))
            * (-0.02 * (temp - 20.0)).exp()
            * (0.04 * dice.gauss()).exp();
        let tooth = 10.0 * (day - self.of.wears).clamp(0.0, 9.0);
        let peak = 600.0 * (0.04 * dice.gauss()).exp();
        let bad = dice.is(if comes_and_goes(self.of.jams, day) { 0.25 } else { 0.01 });
        let bad_ms = if dice.is(0.7) { 1_900.0 } else { 760.0 + 100.0 * dice.uniform() };
        // A second attempt, or just a slightly longer run; no two take the same time.
        let on_ms = if bad { bad_ms } else { 710.0 };
        let bump = |at: usize| if (9..12).contains(&at) { tooth } else { 0.0 };
        let samples: Vec<u16> = (0..18)
            .map(|at| ((280.0 + 300.0 * (-(at as f64)).exp() + bump(at)) * load * (0.01 * dice.gauss()).exp()) as u16)
            .collect();
        let ends = [OpResult::Jam, OpResult::Stall, OpResult::Timeout, OpResult::Ok, OpResult::Ok, OpResult::Aborted];
        let op = [OpKind::Lock, OpKind::Unlock, OpKind::Lock, OpKind::Unlock, OpKind::Calibrate][dice.one_of(5)];
        let result = if bad { ends[dice.one_of(ends.len())] } else { OpResult::Ok };
        // Dice of its own: who asked, and where the bolt ended, change nothing else in the stream.
        let mut own = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((hour as u64) << 8 | self.at as u64 | 1));
        let sunk = if comes_and_goes(self.of.jams + 0.5, day) { 2.5 + (self.at % 3) as f64 } else { 0.0 };
        let angle = (self.at % 5) as f64 - 2.0 + sunk + own.gauss() * if self.at.is_multiple_of(4) { 1.5 } else { 0.5 };
        let source = [None, Some(OpSource::App), Some(OpSource::Keypad), Some(OpSource::Manual)][own.one_of(4)];
        // Some locks tell no current, some no run time, or only by the profiles of a few operations.
        let (current, run) = (self.at % 6 != 5, self.at % 6 != 4);
        let profile = current && (run || own.is(0.15));
        Body::Op(Op {
            source,
            angle_err_deg: own.is(0.9).then_some(CentiDegrees((100.0 * angle) as i16)),
            latency_ms: Some(zenei_wire::Millis(if own.is(self.late_share(hour)) { 9_000 } else { 1_200 })),
            duration_ms: Some((on_ms * (0.01 * dice.gauss()).exp()) as u16).filter(|_| run),
            peak_ma: Some(Milliamps(peak as u16)),
            mean_ma: dice.is(0.95).then_some(Milliamps((300.0 * load) as u16)).filter(|_| current),
            current_ma: Profile::new(&samples).filter(|_| profile),
            // Each version has its own sampling step.
            sample_ms: Some(self.of.sample_ms(day)),
            battery_min_mv: Some(Millivolts((2_950.0 - peak * ohm).max(0.0) as u16)),
            ..Op::of(op, result)
        })
    }

    /// The share of requests that end late: in each stream one client's, or one service's, for eight days.
    fn late_share(&self, hour: i64) -> f64 {
        let is_theirs = if self.common.buggy { self.client(hour) == "ios-5.4" } else { self.service() == "workhub" };
        if is_theirs && (9 * 24..17 * 24).contains(&hour) { 0.4 } else { 0.01 }
    }

    /// Who asks in this hour.
    fn client(&self, hour: i64) -> &'static str {
        ["android-5.6", "ios-5.3", "ios-5.4"][(self.at + hour as usize) % 3]
    }

    /// Both services have locks at both gateways.
    fn service(&self) -> &'static str {
        ["homehub", "workhub"][self.at / 2 % 2]
    }

    fn say(&mut self, hour: i64, minute: i64, body: Body<'static>, dice: &mut Dice, made: &mut Making) {
        let day = hour as f64 / 24.0;
        // An advertisement has no sequence number.
        let numbered = !matches!(body, Body::Adv(_));
        if dice.is(if comes_and_goes(self.of.loses, day) { 0.08 } else { 0.0005 }) {
            self.seq += u32::from(numbered);
            return;
        }
        let now_ms = self.heard_ms(hour, minute);
        // A record that waited at a hole was received earlier.
        let heard_ms = now_ms - if dice.is(0.02) { 90_000 } else { (20_000.0 * dice.uniform()) as i64 };
        let delay_ms = 300 + if dice.is(0.02) { 2_400_000.0 } else { 9_000.0 * dice.uniform() } as i64;
        let ts_ms = heard_ms
            - (now_ms - self.at_ms(hour, minute))
            - delay_ms
            - if day >= self.of.clock { self.of.clock_ms } else { 0 };
        let device = made.fleet.number(&self.name());
        let labels = Labels {
            model: made.word(["mini", "mini", "mini", "pro"][self.at % 4]),
            hw_rev: made.word(self.hw_rev()),
            fw: made.word(self.of.fw(day)),
            gw: made.word(["gw-1", "gw-2"][self.at % 2]),
            service: made.word(self.service()),
            client_version: made.word(self.client(hour)),
            ..Labels::default()
        };
        let row = Row {
            device,
            site: made.word(["north", "south"][(self.at + self.moved) % 2]),
            boot: numbered.then_some(self.boot),
            seq: numbered.then_some(self.seq),
            identity: 0,
            life: 0,
            succession: Succession::Usual,
            ts: DeviceTime(ts_ms),
            heard_at: GatewayTime(heard_ms),
            released_at: EngineTime(now_ms),
            offset: 0,
            index: 0,
            late: false,
            authenticated: true,
            labels,
            uptime_s: Some(((hour - self.boot_hour) * 3_600) as u32),
            body,
        };
        self.seq += u32::from(numbered);
        made.take(row, now_ms);
    }

    fn heard_ms(&self, hour: i64, minute: i64) -> i64 {
        // A backlog comes within two minutes.
        if self.backlog { self.at_ms(hour, 55) + 2_500 * minute } else { self.at_ms(hour, minute) }
    }

    fn name(&self) -> String {
        format!("{}{:02}", self.life.ids, self.at)
    }

    fn hw_rev(&self) -> &'static str {
        if self.at.is_multiple_of(3) { "C1" } else { "C2" }
    }

    fn at_ms(&self, hour: i64, minute: i64) -> i64 {
        self.life.start_ms + hour * HOUR_MS + minute * 60_000 + self.at as i64 * 1_000
    }
}

fn error(code: String) -> Body<'static> {
    Body::Error(ErrorReport { code: Cow::Owned(code), count: 1, detail: None })
}

/// The state that the engine keeps between records.
struct Making {
    life: Life,
    fleet: Fleet,
    profiles: Profiles,
    locks: Vec<Lock>,
    moments: Vec<Moment>,
    /// Whether a record arrived since the day began.
    moved: bool,
}

impl Making {
    fn new(life: Life, fleet: Fleet) -> Self {
        let (profiles, locks, moments) = (Profiles::default(), Vec::new(), Vec::new());
        Self { life, fleet, profiles, locks, moments, moved: false }
    }

    /// A word of this life.
    fn word(&mut self, word: &str) -> Sym {
        self.fleet.intern(&format!("{word}{}", self.life.mark))
    }

    /// Processes a record as the engine does before it passes it to the detectors.
    fn take(&mut self, row: Row, now_ms: i64) {
        let (device, record) = (row.device, RecordRef::of(&row));
        let at = device.0 as usize;
        if self.locks.len() <= at {
            self.locks.resize(at + 1, Lock::default());
        }
        self.moved = true;
        let code = match &row.body {
            Body::Error(error) => self.fleet.intern(&error.code),
            Body::State(_) | Body::Op(_) | Body::Event(_) | Body::Gateway(_) | Body::Adv(_) => Sym::NONE,
        };
        if let Body::Event(event) = &row.body {
            self.event(event.event, device, now_ms);
        }
        let lock = &mut self.locks[at];
        let missing = lock.heard(&row);
        let mut operation = None;
        match &row.body {
            Body::State(state) => lock.state(state, row.ts.ms()),
            Body::Op(op) => {
                let shape = self.profiles.take(device, op);
                operation = lock.operation(op, row.ts.ms()).map(|operation| Operation { shape, ..operation });
            }
            Body::Adv(adv) => lock.advertised(adv, row.ts.ms()),
            Body::Error(_) | Body::Event(_) | Body::Gateway(_) => {}
        }
        let lock = *lock;
        self.moments.push(Moment::Said(Box::new(Said { device, lock, row, operation, code, missing, record, now_ms })));
    }

    fn event(&mut self, event: EventKind, device: DeviceIx, now_ms: i64) {
        let lock = &mut self.locks[device.0 as usize];
        match event {
            EventKind::Installed => {
                lock.installed();
                self.profiles.reset(device);
            }
            EventKind::BatteryReplaced => lock.battery_replaced(),
            EventKind::Moved => self.profiles.reset(device),
            EventKind::MaintenanceStart => lock.maintenance = true,
            EventKind::MaintenanceEnd => lock.maintenance = false,
            EventKind::OtaStarted | EventKind::OtaDone => {}
        }
        lock.visited(now_ms);
        self.moments.push(Moment::Happened(event, device));
    }

    /// Ends an hour; where no record arrived since the day began, time skips it.
    fn close(&mut self, end: EngineTime) {
        if self.moved {
            self.moments.push(Moment::Close(end, self.locks.clone()));
        }
        if end.ms().rem_euclid(24 * HOUR_MS) == 0 {
            self.moved = false;
        }
    }
}
