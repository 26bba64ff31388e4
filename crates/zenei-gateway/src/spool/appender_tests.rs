//! The appender: what it stamps, what it leaves out, what it does without room.
use crate::source::topic::TopicName;
use crate::spool::{AckPolicy, Message};
use crate::testing::{BOUND, Bench, Setup};
use bytes::Bytes;
use std::future::Future;
use zenei_store::clock::Clock;
use zenei_store::spool::FullPolicy;
use zenei_store::{Source, SpoolOptions};
use zenei_wire::GatewayTime;

fn message(topic: &'static str, payload: &str) -> Message {
    Message::new(
        TopicName::new(Bytes::from_static(topic.as_bytes())).unwrap(),
        Bytes::copy_from_slice(payload.as_bytes()),
    )
}

impl Bench {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(async { tokio::time::timeout(BOUND, future).await }).expect("within the bound")
    }

    fn put(&self, topic: &'static str, payload: &str) {
        let put = self.inlet.put(Source::Mqtt, true, vec![message(topic, payload)]);
        self.block_on(async { put.await.unwrap().durable().await.unwrap() });
    }
}

#[test]
fn time_shown_to_the_driver_lies_between_what_was_heard_and_what_comes() {
    let clock = Clock::simulated(GatewayTime(1_000));
    let bench = Bench::start(Setup { clock: clock.clone(), ..Setup::default() });
    bench.put("bitlock/v1/s/d/state", "a");
    clock.set(GatewayTime(5_000));
    assert_eq!(bench.block_on(bench.inlet.mark()), Ok(1));
    assert_eq!(bench.durable.view().at, GatewayTime(5_000));
    bench.put("bitlock/v1/s/d/state", "b");
    bench.block_on(bench.inlet.mark()).unwrap();
    let view = bench.durable.view();
    assert_eq!((view.end, view.at), (2, GatewayTime(5_000)));
    let heard: Vec<i64> = bench.finish().iter().map(|message| message.heard_at.ms()).collect();
    assert_eq!(heard, [1_000, 5_000]);
}

#[test]
fn in_simulated_time_the_stamp_follows_the_records() {
    let bench = Bench::start(Setup { clock: Clock::follow_records(), ..Setup::default() });
    bench.put("bitlock/v1/s/a/state", r#"{"ts":5000,"boot":1,"seq":0}"#);
    bench.put("bitlock/v1/s/b/state", r#"[{"ts":100},{"ts":7000,"boot":1,"seq":0}]"#);
    bench.put("bitlock/v1/s/b/state", "broken");
    bench.put("bitlock/v1/s/a/state", r#"{"ts":6000,"boot":1,"seq":1}"#);
    let heard: Vec<i64> = bench.finish().iter().map(|message| message.heard_at.ms()).collect();
    assert_eq!(heard, [5_000, 5_000, 5_000, 6_000], "the slower of two locks, never back");
}

#[test]
fn without_room_nothing_is_acknowledged_until_there_is_room_again() {
    let spool = SpoolOptions {
        segment_bytes: 64 * 1024,
        max_bytes: Some(256 * 1024),
        when_full: FullPolicy::Refuse,
        ..SpoolOptions::default()
    };
    let bench = Bench::start(Setup { spool, policy: AckPolicy::AfterDurable, ..Setup::default() });
    let large = "x".repeat(20 * 1024);
    let mut kept = 0;
    let waiting = loop {
        let put = bench.inlet.put(Source::Mqtt, true, vec![message("bitlock/v1/s/d/state", &large)]);
        let mut receipt = bench.block_on(put).unwrap();
        let told = bench.block_on(async {
            tokio::select! {
                told = &mut receipt.0 => Some(told),
                // Two ticks of the appender, which tries again at each.
                () = tokio::time::sleep(super::TICK * 2) => None,
            }
        });
        match told {
            Some(told) => told.unwrap(),
            None => break receipt,
        }
        kept += 1;
        assert!(kept < 100, "the cap was never reached");
    };
    bench.inlet.release(kept);
    bench.block_on(waiting.durable()).unwrap();
    assert_eq!(bench.block_on(bench.inlet.mark()), Ok(kept + 1));
    bench.finish();
}
