//! The appender: the times it stamps, the messages it leaves out, its behaviour without room.
use crate::source::topic::TopicName;
use crate::spool::{AckPolicy, Appender, DurableUpTo, Message, Stamp, queue};
use crate::testing::{BOUND, Bench, Setup};
use bytes::Bytes;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use zenei_store::clock::Clock;
use zenei_store::disk::SimDisk;
use zenei_store::spool::FullPolicy;
use zenei_store::{Source, Spool, SpoolOptions};
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

/// Keeps the fields of each event, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn what_a_full_spool_drops_is_logged_with_its_offsets() {
    let options = SpoolOptions { segment_bytes: 4 << 10, max_bytes: Some(16 << 10), ..SpoolOptions::default() };
    let (spool, _) = Spool::open(Arc::new(SimDisk::new(1)), Path::new("/spool"), options).unwrap();
    let (inlet, commands) = queue();
    let stamp = Stamp::new(Clock::simulated(GatewayTime(1_000)), GatewayTime(0));
    let durable = Arc::new(DurableUpTo::new(0, GatewayTime(0)));
    let appender = Appender::new(spool, stamp, AckPolicy::AfterDurable, durable, Arc::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let publisher = runtime.spawn(async move {
        for _ in 0..20 {
            let large = message("bitlock/v1/s/d/state", &"x".repeat(1_500));
            inlet.put(Source::Mqtt, true, vec![large]).await.unwrap().durable().await.unwrap();
        }
        inlet.close();
    });
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || appender.run(&commands));
    runtime.block_on(publisher).unwrap();
    let log = log.0.lock().unwrap();
    assert!(log.windows(4).any(|fields| fields == ["from=0", "to=2", "segments=1", "messages=2"]), "{log:?}");
}
