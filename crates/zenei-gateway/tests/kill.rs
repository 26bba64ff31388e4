//! Does an acknowledged message survive SIGKILL? A gateway in its own process is killed at arbitrary moments under
//! load. The same harness must detect loss where messages are acknowledged before they are written.
#![expect(clippy::unwrap_used, reason = "a test")]
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use zenei_detect::Pipeline;
use zenei_gateway::{AckPolicy, GatewayConfig, Running, SealLimits};
use zenei_kit::{QuietDesk, mqtt};
use zenei_store::disk::RealDisk;
use zenei_store::{Clock, Layout, ParquetStore, SpoolOptions};
use zenei_wire::GatewayTime;

const BOUND: Duration = Duration::from_secs(30);
/// Where the child keeps its state; only the child has it.
const STATE_VARIABLE: &str = "ZENEI_KILL_TEST_STATE";

/// The text that the child prints before its address.
const LISTENS: &str = "listens on ";

fn start(state_dir: &Path, ack: AckPolicy) -> Running {
    let pipeline = Box::new(|bytes: Option<&[u8]>| match bytes {
        Some(bytes) => Pipeline::restore(bytes, None),
        None => Ok(Pipeline::new(None)),
    });
    let config = GatewayConfig {
        clock: Clock::simulated(GatewayTime(1_000)),
        ingress: Some("127.0.0.1:0".parse().unwrap()),
        // Often, so that kills fall into seals, too.
        seal: SealLimits { rows: 300, ..SealLimits::default() },
        spool: SpoolOptions { segment_bytes: 4 << 20, ..SpoolOptions::default() },
        ack,
        ..GatewayConfig::new(state_dir, "gw", pipeline)
    };
    zenei_gateway::start(config, QuietDesk).unwrap()
}

/// The process that is killed; nothing to see when it is run by itself.
#[test]
fn child() {
    let Some(state_dir) = std::env::var_os(STATE_VARIABLE) else { return };
    let state_dir = Path::new(&state_dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _within = runtime.enter();
    let running = start(state_dir, AckPolicy::asked_by(std::env::var(AckPolicy::UNSAFE_VARIABLE).ok().as_deref()));
    println!("{LISTENS}{}", running.ingress_addr().unwrap());
    panic!("{}", runtime.block_on(running.failed()));
}

fn spawn(state_dir: &Path, policy: AckPolicy) -> (Child, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(STATE_VARIABLE, state_dir).stdout(Stdio::piped());
    if policy == AckPolicy::BeforeWrite {
        command.env(AckPolicy::UNSAFE_VARIABLE, "1");
    }
    let mut child = command.spawn().unwrap();
    let (found, address) = std::sync::mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Reads to the end, so that the child never blocks on its output.
    std::thread::spawn(move || {
        let address = |line: String| line.split_once(LISTENS).map(|(_, address)| address.parse().unwrap());
        lines.map_while(Result::ok).filter_map(address).for_each(|address| found.send(address).unwrap());
    });
    (child, address.recv_timeout(BOUND).expect("the gateway starts"))
}

/// Publishes records from `seq` on until `acks` acknowledgements have come, kills the gateway, and returns the `seq`s
/// that were acknowledged, however late, and the next one to use.
fn publish_and_kill(state_dir: &Path, policy: AckPolicy, seq: u32, acks: usize, filler: usize) -> (Vec<u32>, u32) {
    let (mut child, address) = spawn(state_dir, policy);
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    socket.write_all(&mqtt::connect("h", mqtt::CLEAN_SESSION, 60)).unwrap();
    let mut connack = [0; 4];
    socket.read_exact(&mut connack).unwrap();
    let writer = std::thread::spawn({
        let mut socket = socket.try_clone().unwrap();
        move || {
            for id in 1..=u16::MAX {
                if socket.write_all(&packet(id, seq + u32::from(id), filler)).is_err() {
                    return u32::from(id);
                }
            }
            u32::from(u16::MAX)
        }
    });
    let (mut bytes, mut portion) = (Vec::new(), [0; 4_096]);
    let mut killed = false;
    loop {
        match socket.read(&mut portion) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&portion[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
        if !killed && bytes.len() / 4 >= acks {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    let written = writer.join().unwrap();
    let ids = bytes.chunks_exact(4).map(|ack| u32::from(u16::from_be_bytes([ack[2], ack[3]])));
    let acked: Vec<u32> = ids.map(|id| seq + id).collect();
    assert!(killed && acked.windows(2).all(|pair| pair[0] + 1 == pair[1]), "acknowledged in order");
    (acked, seq + written)
}

fn packet(id: u16, seq: u32, filler: usize) -> Vec<u8> {
    let body = format!(r#"{{"ts":{seq},"boot":1,"seq":{seq}}}{}"#, " ".repeat(filler));
    mqtt::publish("bitlock/v1/tokyo-01/BL1/state", Some(id), body.as_bytes())
}

/// How often each `seq` is in the store, after all remaining messages were processed.
fn stored(state_dir: &Path) -> BTreeMap<u32, u32> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ledger = runtime.block_on(async {
        let running = start(state_dir, AckPolicy::AfterDurable);
        // Past every hole that the kills tore.
        running.tick(GatewayTime(1_000_000)).await.unwrap();
        running.drain().await.unwrap();
        running.stop().await.unwrap()
    });
    ledger.balance().unwrap();
    assert_eq!((ledger.pending, ledger.duplicate, ledger.dead_letter_total()), (0, 0, 0));
    let store = ParquetStore::open_read_only(Arc::new(RealDisk), &Layout::new(state_dir).parquet());
    let mut counts = BTreeMap::new();
    for record in store.read_all(None).unwrap() {
        *counts.entry(record.unwrap().record.seq.unwrap()).or_default() += 1;
    }
    assert_eq!(counts.len() as u64, ledger.stored, "each row once");
    counts
}

#[test]
fn no_acknowledged_message_is_lost_or_doubled_by_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut seq, mut acked) = (0, Vec::new());
    for round in 0..12_usize {
        let (more, next) = publish_and_kill(folder.path(), AckPolicy::AfterDurable, seq, 1 + round * 97, 0);
        acked.extend(more);
        seq = next + 1;
    }
    let stored = stored(folder.path());
    let lost: Vec<&u32> = acked.iter().filter(|seq| !stored.contains_key(seq)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged messages are lost", lost.len(), acked.len());
    assert!(stored.values().all(|&count| count == 1), "a row is there twice");
}

#[test]
fn the_same_kills_lose_messages_that_are_acknowledged_before_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut seq, mut acked) = (0, Vec::new());
    for _ in 0..6 {
        let (more, next) = publish_and_kill(folder.path(), AckPolicy::BeforeWrite, seq, 1, 32 * 1024);
        acked.extend(more);
        seq = next + 1;
    }
    let stored = stored(folder.path());
    assert!(acked.iter().any(|seq| !stored.contains_key(seq)), "all {} are there: the harness is blind", acked.len());
}
