//! What a gateway reports about itself: a report at a fixed interval, and `online` as a retained message, which its
//! last will sets to 0 when the connection is lost. Must not know its locks beyond which of them were received through
//! it. Called by `fleet`, where a scenario asks for gateway reports.
use crate::calendar::{DAY_MS, MINUTE_MS};
use crate::fault::Effect;
use crate::identity;
use crate::message::Message;
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::GatewayReports;
use crate::world::World;
use zenei_wire::{Body, DeviceTime, GatewayReport, Kind, Name, Record, Text, Topic};

/// Sigma of the cloud's latency, and the factor by which a late gateway's grows; guesses.
const API_SIGMA: f64 = 0.35;
const API_LATE: f64 = 6.0;

/// One gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Its number over all sites; [`Message::lock`] is the number of locks plus this.
    number: usize,
    site: String,
    name: String,
    boot: u32,
    seq: u32,
    booted_ms: i64,
    report_ms: i64,
    /// When `online` changes, latest first.
    wills: Vec<(i64, bool)>,
    /// When it is away, or late by so much: from, until, delay.
    outages: Vec<(i64, i64, i64)>,
    heard: u32,
    /// Messages that it received and has not passed on; only of a late one.
    waiting: u32,
    /// The number of the current interval.
    interval: u32,
}

impl Gateway {
    /// Every gateway of a world, in the order of its sites; none without a `gateway_report` in the scenario.
    pub(crate) fn all(world: &World) -> Vec<Self> {
        let Some(reports) = &world.scenario.gateway_report else { return Vec::new() };
        let sites = world.scenario.site.iter().enumerate();
        let places = sites.flat_map(|(site, home)| (0..home.gateways).map(move |number| (site, number)));
        places.enumerate().map(|(at, place)| Self::new(world, reports, at, place)).collect()
    }

    fn new(world: &World, reports: &GatewayReports, at: usize, (site, number): (usize, usize)) -> Self {
        let home = &world.scenario.site[site].name;
        let mut draws = Draws::new(world.seed, FLEET, Purpose::Gateway, (at as u64) << 32);
        let every_ms = reports.every_min * MINUTE_MS as f64;
        let outages: Vec<(i64, i64, i64)> = world
            .plan
            .iter()
            .filter_map(|planned| match planned.effect {
                Effect::Gateway { site: hit, number: hit_number, late_ms } if (hit, hit_number) == (site, number) => {
                    Some((planned.onset_ms, planned.until_ms, late_ms))
                }
                Effect::Gateway { .. }
                | Effect::Leaky { .. }
                | Effect::Lock { .. }
                | Effect::Version(_)
                | Effect::Cloud(_)
                | Effect::Drift(_)
                | Effect::Cold { .. }
                | Effect::Holiday { .. }
                | Effect::Rollout { .. } => None,
            })
            .collect();
        let will_ms = (reports.will_s * 1000.0) as i64;
        let mut wills = vec![(world.start_ms, true)];
        for (from_ms, until_ms, _) in outages.iter().filter(|(_, _, late_ms)| *late_ms <= 0) {
            wills.extend([(from_ms + will_ms, false), (until_ms.max(&(from_ms + will_ms)) + 1, true)]);
        }
        wills.sort_unstable_by_key(|(at_ms, _)| -at_ms);
        Self {
            number: at,
            site: home.clone(),
            name: identity::gateway_id(home, number),
            boot: 1 + draws.below(20) as u32,
            seq: draws.below(5000) as u32,
            booted_ms: world.start_ms - (30.0 * draws.uniform() * DAY_MS as f64) as i64,
            report_ms: world.start_ms + (draws.uniform() * every_ms) as i64,
            wills,
            outages,
            heard: 0,
            waiting: 0,
            interval: 0,
        }
    }

    /// When it acts next, ms.
    pub(crate) fn next_ms(&self) -> i64 {
        self.wills.last().map_or(self.report_ms, |&(at_ms, _)| at_ms.min(self.report_ms))
    }

    /// Counts a lock that was received; `last` is the lock's last interval with a message before, from 1.
    pub(crate) fn hear(&mut self, last: &mut u32) {
        self.heard += u32::from(*last != self.interval + 1);
        *last = self.interval + 1;
    }

    /// Sends its next message.
    pub(crate) fn step(&mut self, world: &World, out: &mut Vec<Message>) {
        if let Some((at_ms, online)) = self.wills.pop_if(|(at_ms, _)| *at_ms <= self.report_ms) {
            let topic = [zenei_wire::topic::PREFIX, &self.site, "/", &self.name, "/online"].concat();
            let payload = if online { b"1" } else { b"0" }.to_vec();
            out.push(Message { at_ms, topic, payload, retain: true, lock: world.scenario.locks + self.number });
            return;
        }
        let Some(reports) = &world.scenario.gateway_report else { return };
        let at_ms = self.report_ms;
        self.report_ms += (reports.every_min * MINUTE_MS as f64) as i64;
        let outage = self.outages.iter().find(|(from_ms, until_ms, _)| (*from_ms..*until_ms).contains(&at_ms)).copied();
        if outage.is_none_or(|(_, _, late_ms)| late_ms > 0) {
            out.extend(self.report(world, reports, at_ms, outage.is_some()));
        }
        (self.heard, self.interval) = (0, self.interval + 1);
    }

    fn report(&mut self, world: &World, reports: &GatewayReports, at_ms: i64, late: bool) -> Option<Message> {
        let mut draws = Draws::new(world.seed, self.number, Purpose::Gateway, u64::from(self.interval));
        let api_errors = draws.poisson(reports.api_errors_per_day * reports.every_min / 1440.0) as u32;
        let api_ms = reports.api_ms * draws.factor(API_SIGMA) * if late { API_LATE } else { 1.0 };
        // A late gateway's queue holds what its locks send: a few messages a quarter of an hour each, as a guess.
        self.waiting = if late { self.waiting + 1 + draws.below(8) as u32 } else { 0 };
        let body = Body::Gateway(GatewayReport {
            gateway_id: Some(Text::Borrowed(&self.name)),
            version: Some(Text::Borrowed(&reports.version)),
            queue_depth: Some(self.waiting),
            publish_errors: Some(if late { draws.below(4) as u32 } else { 0 }),
            api_errors: Some(api_errors),
            api_latency_ms: Some(api_ms.round() as u32),
            locks_heard: Some(self.heard),
        });
        let record = Record {
            ts: DeviceTime(at_ms),
            boot: Some(self.boot),
            seq: Some(self.seq),
            model: None,
            hw_rev: None,
            lot: None,
            fw: None,
            service: None,
            gw: None,
            client_version: None,
            uptime_s: Some(u32::try_from((at_ms - self.booted_ms) / 1000).unwrap_or(u32::MAX)),
            body,
            unknown_fields: 0,
        };
        // Both names were checked with the scenario.
        let (site, device) = (Name::new(&self.site).ok()?, Name::new(&self.name).ok()?);
        let topic = Topic { site, device, kind: Kind::Gateway };
        let mut payload = Vec::with_capacity(256);
        zenei_wire::json::encode(&topic, &record, &mut payload);
        let message =
            Message { at_ms, topic: topic.to_text(), payload, retain: false, lock: world.scenario.locks + self.number };
        self.seq += 1;
        Some(message)
    }
}
