//! Small fleets of sound locks whose records a test changes, and what the whole way from records to incidents opens for
//! them. Nothing is opened for a fleet that is left as it is. Must not know which changes tests make or how anything is
//! found. Called by the tests of this folder.
//!
//! With `ZENEI_KINDS` each fleet is also written into the folder of that name, as a recording that other builds of the
//! program replay.
use std::collections::BTreeSet;
use zenei_detect::{Batch, Findings, Heard, Pipeline, Portion, Rules};
use zenei_incident::{ApplyError, Casebook, Incident};
use zenei_kit::Dice;
use zenei_wire::{
    Body, Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, DeviceTime, ErrorReport, GatewayTime, Kind, LockState,
    Milliamps, Millis, Millivolts, Name, Op, OpKind, OpResult, OpSource, Percent, Record, ResetReason, State, Topic,
};

/// An hour in ms.
pub const HOUR: i64 = 3_600_000;
/// A day in ms.
pub const DAY: i64 = 24 * HOUR;
/// Midnight UTC of 1 May 2026, when each recording starts.
pub const START: i64 = 1_777_593_600_000;

/// What becomes of a record between lock and pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is heard once.
    Heard,
    /// The lock made it and nobody hears it: a hole in its numbers.
    Lost,
    /// It is heard twice, a second apart.
    Twice,
    /// The lock never made it.
    Unsaid,
}

/// A record that a change looks at.
#[derive(Debug)]
pub struct Said {
    /// The lock's number, from 0.
    pub lock: usize,
    /// When it is said, in ms since [`START`]: true time.
    pub at: i64,
    /// How much later it is heard, in ms.
    pub delay: i64,
    /// The record; `ts` is the true time unless a change sets it, `seq` is set afterwards.
    pub record: Record<'static>,
    /// What becomes of it.
    pub fate: Fate,
    /// Records that the lock makes right after it.
    pub also: Vec<Body<'static>>,
}

impl Said {
    /// The day since the start, from 0.
    pub fn day(&self) -> i64 {
        self.at.div_euclid(DAY)
    }

    /// The hour since the start, from 0.
    pub fn hour(&self) -> i64 {
        self.at.div_euclid(HOUR)
    }

    /// The days since this one, with fractions; 0 before it.
    pub fn days_since(&self, day: i64) -> f64 {
        ((self.at - day * DAY).max(0)) as f64 / DAY as f64
    }

    /// The heartbeat, where it is one.
    pub fn state(&mut self) -> Option<&mut State> {
        if let Body::State(state) = &mut self.record.body { Some(state) } else { None }
    }

    /// Takes so many bytes of free memory from a heartbeat.
    pub fn uses(&mut self, bytes: f64) {
        if let Some(state) = self.state() {
            state.free_heap_b = state.free_heap_b.map(|free| Bytes(free.0.saturating_sub(bytes as u32)));
        }
    }

    /// Takes so many millivolts from what a record tells of the battery, and the percentage that they are.
    pub fn drains(&mut self, mv: f64) {
        let less = |told: Millivolts| Millivolts((f64::from(told.0) - mv).max(0.0) as u16);
        if let Some(state) = self.state() {
            state.battery_mv = state.battery_mv.map(less);
            state.battery_pct = state.battery_mv.map(|left| Percent(((f64::from(left.0) - 2_400.0) / 6.0) as u8));
        }
        if let Some(op) = self.op() {
            op.battery_min_mv = op.battery_min_mv.map(less);
        }
    }

    /// The lock reports this code once.
    pub fn reports(&mut self, code: &'static str) {
        self.also.push(Body::Error(ErrorReport { code: code.into(), count: 1, detail: None }));
    }

    /// An operation ends so.
    pub fn ends(&mut self, result: OpResult) {
        if let Some(op) = self.op() {
            op.result = result;
        }
    }

    /// The clock is off by so many ms.
    pub fn clock_off(&mut self, ms: i64) {
        self.record.ts = DeviceTime(self.record.ts.0 + ms);
    }

    /// The operation, where it is one.
    pub fn op(&mut self) -> Option<&mut Op> {
        if let Body::Op(op) = &mut self.record.body { Some(op) } else { None }
    }
}

/// An incident as these tests compare it.
#[derive(Debug)]
pub struct Opened {
    /// Rule, kind and value of the scope: `silence device BL0003`.
    pub what: String,
    /// The domain.
    pub domain: String,
    /// Its locks.
    pub locks: BTreeSet<String>,
    /// When it was opened, in days since the start.
    pub day: f64,
    /// Why.
    pub why: String,
}

/// The incidents of a fleet, by time.
#[derive(Debug)]
pub struct Seen(pub Vec<Opened>);

impl Seen {
    /// Rule and scope of each.
    pub fn what(&self) -> Vec<&str> {
        self.0.iter().map(|opened| &*opened.what).collect()
    }

    /// Asserts that nothing was opened.
    pub fn is_nothing(&self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }

    /// Asserts that this alone was opened, once, between these days.
    pub fn is_only(&self, what: &str, days: std::ops::Range<f64>) -> &Opened {
        assert_eq!(self.what(), [what], "{:#?}", self.0);
        self.has(what, days)
    }

    /// Asserts that this was opened first between these days.
    pub fn has(&self, what: &str, days: std::ops::Range<f64>) -> &Opened {
        let one = self.0.iter().find(|opened| opened.what == what);
        let one = one.unwrap_or_else(|| panic!("no {what}: {:#?}", self.0));
        assert!(days.contains(&one.day), "day {}, not {days:?}: {}", one.day, one.why);
        one
    }
}

/// A fleet of so many sound locks over so many days.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// The recording's name.
    pub name: &'static str,
    /// How many locks.
    pub locks: usize,
    /// How many days.
    pub days: i64,
    /// Operations of a lock in a day, on average.
    pub ops: u64,
}

impl World {
    /// Twenty-four locks on three gateways that speak each hour and move six times a day, for thirty days.
    pub fn of(name: &'static str) -> Self {
        Self { name, locks: 24, days: 30, ops: 6 }
    }

    /// The same with so many locks.
    pub fn locks(self, locks: usize) -> Self {
        Self { locks, ..self }
    }

    /// The same for so many days.
    pub fn days(self, days: i64) -> Self {
        Self { days, ..self }
    }

    /// The same with so many operations a day.
    pub fn ops(self, ops: u64) -> Self {
        Self { ops, ..self }
    }

    /// What is opened where `change` changes records; it meets those of a lock in their order.
    pub fn changed(&self, mut change: impl FnMut(&mut Said, &mut Dice)) -> Seen {
        let names: Vec<String> = (0..self.locks).map(|lock| format!("BL{lock:04}")).collect();
        let mut heard = Vec::new();
        for (lock, name) in names.iter().enumerate() {
            let mut dice = Dice(lock as u64 * 7_919 + 17);
            let (sound, mut luck) = (self.lock(lock, &mut dice), Dice(lock as u64 * 104_729 + 5));
            let mut next = (None, 0);
            for mut said in sound {
                change(&mut said, &mut luck);
                hear(said, name, &mut next, &mut heard);
            }
        }
        heard.sort_by_key(|heard: &Heard<'_>| heard.heard_at);
        self.keep(&heard);
        judged(&heard)
    }

    /// The records of a sound lock in their order.
    fn lock(&self, lock: usize, dice: &mut Dice) -> Vec<Said> {
        let body = Lock::draw(dice);
        let mut times: Vec<(i64, bool)> =
            (0..self.days * 24).map(|hour| (hour * HOUR + (dice.uniform() * 60_000.0) as i64, true)).collect();
        for day in 0..self.days {
            let op = |_| (day * DAY + ((7.0 + 15.0 * dice.uniform()) * HOUR as f64) as i64, false);
            times.extend((0..self.ops).map(op));
        }
        times.sort_unstable();
        let mut is_locked = false;
        let said = times.into_iter().map(|(at, is_state)| {
            is_locked ^= !is_state;
            let day = at as f64 / DAY as f64;
            let temp = 18.0 + 4.0 * (std::f64::consts::TAU * (day - 0.4)).sin() + 0.3 * dice.gauss();
            let rest = body.mv - body.drain * day + 2.0 * dice.gauss() + (temp - 18.0) * 0.8;
            let record = if is_state {
                Body::State(body.state(rest, temp, is_locked, dice))
            } else {
                Body::Op(body.op(rest, is_locked, dice))
            };
            let record = labelled(lock, at, record);
            Said { lock, at, delay: 200, record, fate: Fate::Heard, also: Vec::new() }
        });
        said.collect()
    }

    /// Writes the recording where somebody asked for it.
    fn keep(&self, heard: &[Heard<'_>]) {
        let Some(folder) = std::env::var_os("ZENEI_KINDS") else { return };
        let (mut text, mut payload) = (String::new(), Vec::new());
        for heard in heard {
            let topic = Topic { site: heard.site, device: heard.device, kind: heard.record.body.kind() };
            payload.clear();
            zenei_wire::json::encode(&topic, &heard.record, &mut payload);
            zenei_wire::recording::write_line(&topic.to_text(), heard.heard_at, &payload, &mut text);
        }
        let path = std::path::Path::new(&folder).join(format!("{}.ndjson", self.name));
        std::fs::write(path, text).expect("the folder of recordings exists");
    }
}

/// What makes one lock differ from the next.
struct Lock {
    mv: f64,
    drain: f64,
    ohm: f64,
    mean_ma: f64,
}

impl Lock {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            mv: 3_000.0 - 60.0 * dice.uniform(),
            drain: 0.9 + 0.3 * dice.uniform(),
            ohm: 0.30 + 0.05 * dice.uniform(),
            mean_ma: 300.0 + 15.0 * dice.gauss(),
        }
    }

    fn state(&self, rest: f64, temp: f64, is_locked: bool, dice: &mut Dice) -> State {
        State {
            battery_mv: Some(Millivolts(rest as u16)),
            battery_pct: Some(Percent(((rest - 2_400.0) / 6.0).clamp(0.0, 100.0) as u8)),
            temp_c: Some(CentiCelsius((temp * 100.0) as i16)),
            rssi_dbm: Some(DbMilliwatts((-65.0 + 3.0 * dice.gauss()) as i8)),
            lock_state: Some(if is_locked { LockState::Locked } else { LockState::Unlocked }),
            reset_reason: Some(ResetReason::PowerOn),
            free_heap_b: Some(Bytes((40_000.0 + 300.0 * dice.gauss()) as u32)),
        }
    }

    fn op(&self, rest: f64, is_locked: bool, dice: &mut Dice) -> Op {
        let peak = 600.0 + 20.0 * dice.gauss();
        Op {
            source: Some(OpSource::App),
            latency_ms: Some(Millis((1_300.0 + 80.0 * dice.gauss()) as u32)),
            duration_ms: Some((820.0 + 15.0 * dice.gauss()) as u16),
            peak_ma: Some(Milliamps(peak as u16)),
            mean_ma: Some(Milliamps((self.mean_ma + 8.0 * dice.gauss()) as u16)),
            battery_min_mv: Some(Millivolts((rest - peak * self.ohm) as u16)),
            angle_err_deg: Some(CentiDegrees((50.0 * dice.gauss()) as i16)),
            ..Op::of(if is_locked { OpKind::Lock } else { OpKind::Unlock }, OpResult::Ok)
        }
    }
}

fn labelled(lock: usize, at: i64, body: Body<'static>) -> Record<'static> {
    let is_op = body.kind() == Kind::Op;
    Record {
        ts: DeviceTime(START + at),
        boot: Some(5),
        seq: None,
        model: Some("bitlock-mini".into()),
        hw_rev: Some("C2".into()),
        lot: Some("2025W31".into()),
        fw: Some("3.2.1".into()),
        service: Some("homehub".into()),
        gw: Some(["hub-0", "hub-1", "hub-2"][lock % 3].into()),
        client_version: is_op.then(|| "ios-5.4.0".into()),
        uptime_s: Some((1_000_000 + at / 1_000) as u32),
        body,
        unknown_fields: 0,
    }
}

/// Numbers a record and those after it, and adds what is heard of them. `next` is the boot and its next number.
fn hear<'a>(said: Said, name: &'a str, next: &mut (Option<u32>, u32), heard: &mut Vec<Heard<'a>>) {
    if next.0 != said.record.boot {
        *next = (said.record.boot, 0);
    }
    let seq = &mut next.1;
    let also: Vec<Record<'_>> =
        said.also.into_iter().map(|body| Record { body, client_version: None, ..said.record.clone() }).collect();
    for record in std::iter::once(said.record).chain(also) {
        if said.fate == Fate::Unsaid {
            continue;
        }
        let one = Heard {
            site: Name::new("s1").expect("a site"),
            device: Name::new(name).expect("a name"),
            record: Record { seq: Some(*seq), ..record },
            identity: 0,
            heard_at: GatewayTime(START + said.at + said.delay),
            offset: 0,
            index: 0,
            authenticated: true,
        };
        *seq += 1;
        if said.fate == Fate::Twice {
            heard.push(Heard { heard_at: GatewayTime(one.heard_at.ms() + 1_000), ..one.clone() });
        }
        if said.fate != Fate::Lost {
            heard.push(one);
        }
    }
}

/// The way from records to incidents, with the rules as they are shipped.
fn judged(heard: &[Heard<'_>]) -> Seen {
    let mut pipeline = Pipeline::new(Some(Rules::embedded().expect("the shipped rules")));
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    let (mut book, mut known) = (Casebook::default(), BTreeSet::new());
    let mut tell = |findings: &mut Findings| {
        let mut draft = book.draft();
        let taken = draft.take(findings, |anomaly| Ok::<_, ApplyError>(known.insert(anomaly.id)));
        taken.expect("a draft takes findings");
        let changes = draft.into_changes();
        book.absorb(changes);
        findings.clear();
    };
    for some in heard.chunks(256) {
        let until = some.last().map_or(GatewayTime(0), |last| last.heard_at);
        pipeline.take(Portion::new(some, until), &mut batch, &mut findings);
        tell(&mut findings);
        batch.clear();
    }
    pipeline.finish(&mut batch, &mut findings);
    tell(&mut findings);
    let mut opened: Vec<Opened> = book.incidents().map(opened).collect();
    opened.sort_by(|a, b| a.day.total_cmp(&b.day).then_with(|| a.what.cmp(&b.what)));
    Seen(opened)
}

fn opened(incident: &Incident) -> Opened {
    Opened {
        what: format!("{} {} {}", incident.rule, incident.scope.kind, incident.scope.value),
        domain: incident.domain.to_string(),
        locks: incident.devices.clone(),
        day: (incident.opened.ms() - START) as f64 / DAY as f64,
        why: incident.why.clone(),
    }
}
