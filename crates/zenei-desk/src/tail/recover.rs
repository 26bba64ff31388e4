//! Where does a tail continue? At its checkpoint: it loads the checkpoint's snapshot and takes the steps stored since
//! then again, unchanged. Without a snapshot, with other rules, or after a stop longer than the feed reaches back, it
//! first reads the past from the tables. Findings that other rules make of records already taken are not reported.
//! Called when the tail's thread starts.
use super::{Broken, Feed, Stopped, TailConfig, TailError, Worker, answered};
use tokio::sync::watch;
use zenei_detect::{Batch, Desk, Findings, Heard, Pipeline, Portion, RestoreError, Unreadable};
use zenei_store::clickhouse::Past;
use zenei_store::clock::Elapsed;
use zenei_store::control::TailProgress;
use zenei_store::parquet::ReadError;
use zenei_store::{StoredBatch, snapshot};

impl<F: Feed> Worker<F> {
    /// A worker that continues where the last one ended.
    pub(super) fn recover(
        config: TailConfig,
        feed: F,
        desk: Box<dyn Desk>,
        stopped: &Stopped,
        shown: watch::Sender<TailProgress>,
    ) -> Result<Self, Broken> {
        let TailConfig { control, disk, snapshots, pipeline, rules, registry, history_ms } = config;
        let kept = control.tail()?;
        let mut at = kept.clone().unwrap_or_default();
        snapshot::keep_only(&*disk, &snapshots, at.snapshot.as_deref())?;
        let same = at.rules == Some(rules);
        let restored = match &at.snapshot {
            Some(name) if same => restored(pipeline(Some(&snapshot::read(&*disk, &snapshots, name)?)))?,
            Some(_) | None => None,
        };
        let knows = restored.is_some();
        let mut fresh = match restored {
            Some(pipeline) => pipeline,
            None => pipeline(None).map_err(TailError::from)?,
        };
        registry.iter().for_each(|registration| fresh.register(registration.registered()));
        at.rules = Some(rules);
        let (batch, findings, told) = (Batch::default(), Findings::default(), std::collections::BTreeMap::new());
        let (since, started) = ((0, None), Elapsed::start());
        let mut worker = Self {
            control,
            disk,
            snapshots,
            feed,
            desk,
            pipeline: fresh,
            at,
            since,
            told,
            started,
            batch,
            findings,
            shown,
        };
        worker.show();
        match kept.as_ref().and_then(|kept| kept.tailed.up_to) {
            None if kept.is_none() => worker.catch_up(Past::BeforeFeed(history_ms), true, stopped)?,
            None => {}
            Some(up_to) => {
                if !knows {
                    tracing::warn!(
                        "the rules, or the detector, are others than before: the engine learns from the past"
                    );
                    worker.catch_up(Past::UpTo(up_to, history_ms), false, stopped)?;
                }
                worker.catch_up(Past::After(up_to), true, stopped)?;
            }
        }
        for step in worker.control.tail_steps()? {
            worker.take(&step, stopped)?;
        }
        Ok(worker)
    }

    /// Takes the records that are older than the feed. `told`: whether their findings go to the desk. They do not when
    /// only the rules have changed: the former rules have judged these records already.
    fn catch_up(&mut self, past: Past, told: bool, stopped: &Stopped) -> Result<(), Broken> {
        let before = self.at.clone();
        let mut failed = None;
        let mut found = 0;
        let feed = &self.feed;
        let (pipeline, batch, findings, desk) =
            (&mut self.pipeline, &mut self.batch, &mut self.findings, &mut self.desk);
        let mut records = 0_u64;
        let mut duplicates = 0;
        let mut each = |letters: &[Unreadable], rows: Option<&StoredBatch>| -> Result<(), ReadError> {
            let heard: Vec<Heard<'_>> = match rows {
                Some(rows) => (0..rows.len()).map(|at| rows.heard(at)).collect::<Result<_, _>>()?,
                None => Vec::new(),
            };
            let until = letters.last().map(|letter| letter.heard_at);
            pipeline.take(Portion { heard: &heard, unreadable: letters, until }, batch, findings);
            records += heard.len() as u64;
            duplicates += batch.duplicates;
            batch.clear();
            found += findings.anomalies.len();
            if told && failed.is_none() {
                failed = desk.take(pipeline.now(), findings, pipeline).err();
            }
            findings.clear();
            Ok(())
        };
        // After a failure the past is read again from its beginning: intake recognizes the records it has had.
        let end = answered(stopped, || feed.past(past, &mut each))?;
        if let Some(error) = failed {
            return Err(TailError::Desk(error).into());
        }
        let Some(end) = end else { return Ok(()) };
        tracing::info!(records, found, up_to_ms = end.ms(), "what is older than the feed was read");
        if told {
            self.at.records += records;
            self.at.duplicates += duplicates;
        }
        self.at.tailed.up_to = before.tailed.up_to.max(Some(end));
        self.since.1 = Some(Elapsed::start());
        self.checkpoint()?;
        self.show();
        Ok(())
    }
}

/// The pipeline of a snapshot; `None` where the snapshot is of another version of the detector, which then learns again
/// from the past.
fn restored(pipeline: Result<Pipeline, RestoreError>) -> Result<Option<Pipeline>, TailError> {
    match pipeline {
        Ok(pipeline) => Ok(Some(pipeline)),
        Err(RestoreError::Format { .. }) => Ok(None),
        Err(error @ RestoreError::Bytes(_)) => Err(error.into()),
    }
}
