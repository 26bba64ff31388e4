//! Small worlds in which a client or a service fails, or a lock, a gateway or everything.
use crate::anomaly::Findings;
use crate::batch::{Batch, Heard, Portion};
use crate::pipeline::Pipeline;
use crate::rules::Rules;
use crate::time::HOUR_MS;
use zenei_kit::Dice;
use zenei_wire::{
    Body, DeviceTime, ErrorReport, GatewayReport, GatewayTime, Name, Op, OpKind, OpResult, OpSource, Record,
};

const NAMES: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
const HUBS: [&str; 4] = ["gw-0", "gw-1", "gw-2", "gw-3"];

/// What a request meets: lock, gateway and service (0 and 1 have the first service), client, hour.
struct Asked {
    at: usize,
    hub: usize,
    service: &'static str,
    client: &'static str,
    hour: i64,
}

/// Forty locks at four gateways and two services, each asked six times a day by one of three clients; `share` is the
/// share that fails, `api_errors` what a gateway reports of an hour. Returns the findings with the hour of each.
fn found(
    share: impl Fn(&Asked) -> f64,
    api_errors: impl Fn(usize, i64, &mut Dice) -> u32,
) -> (Vec<(String, i64)>, Vec<String>) {
    found_where(share, None, api_errors)
}

/// The same where a request ends well, and what it met is told after it by this code.
fn found_where(
    share: impl Fn(&Asked) -> f64,
    code: Option<&'static str>,
    api_errors: impl Fn(usize, i64, &mut Dice) -> u32,
) -> (Vec<(String, i64)>, Vec<String>) {
    let mut pipeline = Pipeline::new(Some(Rules::embedded().unwrap().promoted()));
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    let (mut dice, mut seqs) = (Dice(5), [0_u32; 44]);
    for hour in 0..20 * 24_i64 {
        let mut say = |device: &str, seq: &mut u32, minute: i64, gw, service, client, body| {
            let heard_at = GatewayTime(hour * HOUR_MS + minute * 60_000);
            let heard = record(device, *seq, heard_at, [gw, service, client], body);
            *seq += 1;
            pipeline.take(Portion::new(&[heard], heard_at), &mut batch, &mut findings);
            batch.clear();
        };
        for (hub, seq) in seqs.iter_mut().skip(40).enumerate() {
            let report = GatewayReport {
                gateway_id: Some(HUBS[hub].into()),
                version: None,
                queue_depth: None,
                publish_errors: None,
                api_errors: Some(api_errors(hub, hour, &mut dice)),
                api_latency_ms: None,
                locks_heard: None,
            };
            say(HUBS[hub], seq, 0, HUBS[hub], "", "", Body::Gateway(report));
        }
        for (at, seq) in seqs.iter_mut().take(40).enumerate() {
            if !dice.is(0.25) {
                continue;
            }
            let (hub, client) = (at % 4, ["ios-1", "ios-2", "android-1"][dice.one_of(3)]);
            let service = if hub < 2 { "homehub" } else { "workhub" };
            let fails = dice.is(share(&Asked { at, hub, service, client, hour }));
            let result = if fails && code.is_none() { OpResult::Timeout } else { OpResult::Ok };
            let op = Op {
                op: OpKind::Unlock,
                source: Some(OpSource::App),
                result,
                latency_ms: None,
                duration_ms: Some(900),
                peak_ma: None,
                mean_ma: None,
                current_ma: None,
                sample_ms: None,
                battery_min_mv: None,
                angle_err_deg: None,
            };
            say(&NAMES[at..=at], seq, 1 + at as i64, HUBS[hub], service, client, Body::Op(op));
            if let Some(code) = code.filter(|_| fails) {
                let error = ErrorReport { code: code.into(), count: 1, detail: None };
                say(&NAMES[at..=at], seq, 1 + at as i64, HUBS[hub], service, client, Body::Error(error));
            }
        }
    }
    let mut scopes: Vec<(String, i64)> = Vec::new();
    for anomaly in findings.anomalies.iter().filter(|anomaly| anomaly.rule == "request-failures") {
        let scope = format!("{} {}", anomaly.scope.kind, anomaly.scope.value);
        if scopes.iter().all(|(told, _)| *told != scope) {
            scopes.push((scope, anomaly.at.ms() / HOUR_MS));
        }
    }
    let of_rule = findings.decisions.iter().filter(|decision| decision.rule == "request-failures");
    (scopes, of_rule.map(|decision| decision.why.clone()).collect())
}

fn record(
    device: &str,
    seq: u32,
    heard_at: GatewayTime,
    [gw, service, client]: [&'static str; 3],
    body: Body<'static>,
) -> Heard<'static> {
    let known = |word: &'static str| (!word.is_empty()).then(|| word.into());
    let device: &'static str = HUBS.iter().copied().find(|hub| *hub == device).unwrap_or_else(|| {
        let at = NAMES.find(device).unwrap();
        &NAMES[at..=at]
    });
    let record = Record {
        ts: DeviceTime(heard_at.ms()),
        boot: Some(1),
        seq: Some(seq),
        model: Some("mini".into()),
        hw_rev: None,
        lot: None,
        fw: Some(if at_of(device).is_multiple_of(3) { "1.9" } else { "2.0" }.into()),
        service: known(service),
        gw: Some(gw.into()),
        client_version: known(client),
        uptime_s: None,
        body,
        unknown_fields: 0,
    };
    Heard {
        site: Name::new("tokyo-01").unwrap(),
        device: Name::new(device).unwrap(),
        record,
        identity: 0,
        heard_at,
        offset: 0,
        index: 0,
        authenticated: true,
    }
}

fn at_of(device: &str) -> usize {
    NAMES.find(device).unwrap_or(0)
}

fn quiet(_: usize, _: i64, dice: &mut Dice) -> u32 {
    u32::from(dice.is(0.2))
}

#[test]
fn a_client_whose_requests_fail_is_found_by_its_requests() {
    let (scopes, _) = found(|of| if of.client == "android-1" && of.hour >= 240 { 0.2 } else { 0.01 }, quiet);
    assert!(matches!(&scopes[..], [(scope, hour)] if scope == "client_version android-1" && *hour < 276), "{scopes:?}");
}

#[test]
fn a_client_whose_requests_end_well_but_meet_errors_is_found_and_one_whose_locks_jam_is_not() {
    let share = |of: &Asked| if of.client == "android-1" && of.hour >= 240 { 0.15 } else { 0.005 };
    for code in ["cloud_timeout", "http_502"] {
        let (scopes, _) = found_where(share, Some(code), quiet);
        assert!(
            matches!(&scopes[..], [(scope, hour)] if scope == "client_version android-1" && *hour < 288),
            "{scopes:?}"
        );
    }
    assert!(found_where(share, Some("motor_stall"), quiet).0.is_empty());
}

#[test]
fn a_service_whose_requests_fail_for_every_client_is_found() {
    let (scopes, _) = found(|of| if of.service == "workhub" && of.hour >= 240 { 0.2 } else { 0.01 }, quiet);
    assert!(matches!(&scopes[..], [(scope, hour)] if scope == "service workhub" && *hour < 276), "{scopes:?}");
}

#[test]
fn gateways_that_report_failed_calls_tell_of_a_service_within_hours() {
    let bad = |hub: usize, hour: i64, dice: &mut Dice| {
        if hub >= 2 && (240..256).contains(&hour) { 10 } else { quiet(hub, hour, dice) }
    };
    let (scopes, _) = found(|_| 0.01, bad);
    assert!(matches!(&scopes[..], [(scope, hour)] if scope == "service workhub" && *hour <= 242), "{scopes:?}");
}

#[test]
fn what_all_requests_meet_where_nothing_else_is_to_compare_with_is_a_service() {
    let (scopes, _) = found(|of| if (240..264).contains(&of.hour) { 0.3 } else { 0.01 }, quiet);
    assert!(scopes.first().is_some_and(|(scope, hour)| scope.starts_with("service") && *hour < 256), "{scopes:?}");
}

#[test]
fn locks_that_always_fail_often_and_one_gateway_that_fails_accuse_no_client() {
    let chronic = |of: &Asked| if of.at.is_multiple_of(8) { 0.15 } else { 0.01 };
    assert!(found(chronic, quiet).0.is_empty());
    let gateway = |of: &Asked| if of.hub == 3 && of.hour >= 240 { 0.4 } else { 0.01 };
    let (scopes, noted) = found(gateway, quiet);
    assert!(scopes.is_empty(), "{scopes:?}");
    assert!(noted.iter().any(|why| why.contains("one gateway")), "{noted:?}");
}

#[test]
fn a_firmware_version_whose_locks_are_ill_accuses_no_service() {
    let ill =
        |of: &Asked| if of.at.is_multiple_of(3) && of.service == "workhub" && of.hour >= 240 { 0.4 } else { 0.01 };
    let (scopes, noted) = found(ill, quiet);
    assert!(scopes.is_empty(), "{scopes:?}");
    assert!(noted.iter().any(|why| why.contains("firmware version")), "{noted:?}");
}

#[test]
fn an_error_is_of_the_request_just_before_it_and_of_none_where_there_was_none_or_no_clock() {
    let second = |ms: i64| super::second(DeviceTime(ms));
    assert!(super::is_told_with(second(10_000), second(10_900)) && super::is_told_with(second(10_000), second(70_000)));
    assert!(
        !super::is_told_with(second(10_000), second(71_000)) && !super::is_told_with(second(10_000), second(9_000))
    );
    // Nobody asked, and the clock was not set: it stands at 1970, or before.
    for told_ms in [-5_000, 0, 900] {
        assert!(!super::is_told_with(None, second(told_ms)) && !super::is_told_with(second(0), second(told_ms)));
    }
    assert!(!super::is_told_with(None, second(5_000)), "five seconds after 1970, nobody asked");
}
