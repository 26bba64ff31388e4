//! A simulated fleet as files: its recording, its Parquet store, its registry and its true faults. Called by benches
//! and tests; `fleet` uses its stored form of a message.
use crate::error::LabError;
use bytes::Bytes;
use firmware_sim::{Fleet, Message, Recorder, Scenario};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zenei_detect::{Batch, Findings, Pipeline, Portion};
use zenei_store::control::Sealed;
use zenei_store::disk::RealDisk;
use zenei_store::{ParquetStore, SealPlan, Source, StoredMessage, decode, registry};
use zenei_wire::GatewayTime;
use zenei_wire::bthome::Keyring;

/// Virtual time of one sealed range: a day makes files of a size like a gateway's.
const RANGE_MS: i64 = 86_400_000;

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// NDJSON.
    pub recording: PathBuf,
    /// The store's folder.
    pub store: PathBuf,
    /// CSV.
    pub registry: PathBuf,
    /// True faults, one JSON object a line.
    pub truth: PathBuf,
    /// Number of readable records.
    pub records: u64,
}

/// Simulates a fleet to its end, and stores everything in a folder.
///
/// # Errors
/// Where the scenario can't be simulated or a file can't be written.
pub fn keep(scenario: &Scenario, seed: u64, folder: &Path) -> Result<Kept, LabError> {
    let in_folder = |name: &str| folder.join(name);
    let mut kept = Kept {
        recording: in_folder("fleet.ndjson"),
        store: in_folder("store"),
        registry: in_folder("locks.csv"),
        truth: in_folder("truth.ndjson"),
        records: 0,
    };
    let mut fleet =
        Fleet::new(scenario, seed).map_err(|error| LabError::config("the scenario can't be simulated", error))?;
    fill(&mut fleet, &mut kept)
        .map_err(|source| LabError::Failed { what: "the fleet can't be kept".into(), source })?;
    Ok(kept)
}

fn fill(fleet: &mut Fleet, kept: &mut Kept) -> Result<(), Box<dyn Error + Send + Sync>> {
    fs::write(&kept.registry, fleet.registry_csv())?;
    let truth: Result<String, serde_json::Error> =
        fleet.truth().iter().map(|truth| Ok(serde_json::to_string(truth)? + "\n")).collect();
    fs::write(&kept.truth, truth?)?;
    let mut recorder = Recorder::create(&kept.recording)?;
    let store = ParquetStore::open(Arc::new(RealDisk), &kept.store)?;
    let (mut pipeline, keys) = (Pipeline::new(None), Keyring::default());
    registry::read(fleet.registry_csv().as_bytes())?
        .iter()
        .for_each(|registration| pipeline.register(registration.registered()));
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    let (mut from, mut at_ms) = (0, fleet.start_ms());
    while at_ms < fleet.end_ms() {
        at_ms = (at_ms + RANGE_MS).min(fleet.end_ms());
        let mut messages = Vec::new();
        fleet.advance(at_ms, &mut messages);
        recorder.write_all(&messages)?;
        let stored: Vec<StoredMessage> = messages.into_iter().zip(from..).map(stored).collect();
        let decoded = decode(&stored, &keys);
        kept.records += decoded.heard.len() as u64;
        let portion = Portion { until: Some(GatewayTime(at_ms)), ..decoded.portion() };
        pipeline.take(portion, &mut batch, &mut findings);
        if at_ms == fleet.end_ms() {
            pipeline.finish(&mut batch, &mut findings);
        }
        let to = Sealed { offset: from + stored.len() as u64, advanced_to: pipeline.now() };
        store.seal(&SealPlan { from, to }, pipeline.fleet(), &batch.rows, &batch.gaps, &decoded.dead, "lab")?;
        from = to.offset;
        batch.clear();
    }
    recorder.finish()?;
    Ok(())
}

/// A simulated message as a gateway stores it.
pub(crate) fn stored((message, offset): (Message, u64)) -> StoredMessage {
    StoredMessage {
        offset,
        heard_at: GatewayTime(message.at_ms),
        source: Source::Recording,
        authenticated: true,
        topic: message.topic,
        payload: Bytes::from(message.payload),
    }
}
