//! `zenei record list`: every acknowledged record, once: the sealed files up to the checkpoint, the messages of the
//! spool behind it, decoded and passed through the same intake, and the rows of ClickHouse where that is the store.
//! Works while a daemon runs and after its end; must not write. Called by `cmd`.
use crate::cli::{Record as Command, RecordList};
use crate::config::{self, Config, StoreKind};
use crate::daemon::contents::Registry;
use crate::daemon::{clickhouse, contents, control};
use crate::exit::Failure;
use crate::output::{Output, escaped, table, time};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use zenei_detect::{Batch, Findings, Pipeline};
use zenei_store::clickhouse::{RecordsError, ServerError, each_record};
use zenei_store::disk::{Disk, RealDisk};
use zenei_store::parquet::to_json;
use zenei_store::snapshot::{self, SnapshotError};
use zenei_store::{Checkpoint, Layout, ParquetStore, SpoolReader, StoredRecord, decode};
use zenei_wire::{EngineTime, Kind, Name};

/// How often the daemon may seal while its records are read, before the reader gives up. It seals every few seconds;
/// reading the spool's tail takes less.
const ATTEMPTS: usize = 5;
/// How much of the spool is in memory at a time.
const STEP_BYTES: usize = 1 << 20;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Runs `record list`.
///
/// # Errors
/// Where the state directory can't be read.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    let Command::List(arguments) = command;
    list(&arguments, out)
}

/// A record's place in the list, its identity for records without a sequence number, and the record.
#[derive(Debug, PartialEq)]
struct Listed {
    device: String,
    life: u32,
    boot: Option<u32>,
    seq: Option<u32>,
    kind: Kind,
    ts_ms: i64,
    identity: u128,
    /// From a source that is not authenticated for the lock; the same record of an authenticated source takes
    /// precedence.
    untrusted: bool,
    heard: (u64, u16),
    fields: String,
}

impl Listed {
    fn of(stored: &StoredRecord) -> Result<Self, serde_json::Error> {
        let (device, life, boot, seq, ts_ms, offset, index) = stored.order();
        let (device, heard) = (device.to_owned(), (offset, index));
        let fields = serde_json::to_string(&to_json(stored))?;
        let (identity, untrusted) = (stored.identity, !stored.authenticated && seq.is_some());
        let kind = stored.record.body.kind();
        Ok(Self { device, life, boot, seq, kind, ts_ms, identity, untrusted, heard, fields })
    }

    /// Equal for the same record, in whichever life gateways count it: numbers, kind and time are.
    fn key(&self) -> (&str, Option<u32>, Option<u32>, Kind, i64, u128) {
        (&self.device, self.boot, self.seq, self.kind, self.ts_ms, self.identity)
    }

    fn place(&self) -> (&str, u32, Option<u32>, Option<u32>, i64, Kind, u128) {
        (&self.device, self.life, self.boot, self.seq, self.ts_ms, self.kind, self.identity)
    }
}

fn list(arguments: &RecordList, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = config::load(&arguments.common.file.config, &config::variables()).map_err(Failure::Config)?;
    let device = arguments.device.as_deref();
    if let Some(text) = device {
        Name::new(text).map_err(|error| Failure::Usage(format!("--device '{}' {error}", escaped(text))))?;
    }
    let registry = loaded.config.registry.as_ref();
    let registry = contents::registry(registry.map(|registry| &*registry.file), Some(&loaded.config.gateway.site));
    let listed = collect(&loaded.config, &registry.map_err(Failure::Failed)?, device)?;
    if arguments.common.json {
        return listed.iter().try_for_each(|record| out.line(&record.fields));
    }
    print(&listed, out)
}

fn collect(config: &Config, registry: &Registry, device: Option<&str>) -> Result<Vec<Listed>, Failure> {
    let unread = |error: Cause| Failure::broken("can't read the records", error);
    let layout = Layout::new(&config.state_dir);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let control = control::open(&config.state_dir)?;
    let mut attempts = 0;
    let (checkpoint, tail) = loop {
        let checkpoint = control.checkpoint().map_err(|error| unread(error.into()))?.unwrap_or_default();
        let tail = read_tail(&layout, &disk, &checkpoint, registry).map_err(unread)?;
        attempts += 1;
        match tail {
            Some(tail) => break (checkpoint, tail),
            None if attempts < ATTEMPTS => tracing::debug!("the daemon has sealed meanwhile; reading again"),
            None => {
                return Err(Failure::Failed(
                    "the daemon seals faster than its spool can be read; try again".to_owned(),
                ));
            }
        }
    };
    let wanted = |record: &StoredRecord| device.is_none_or(|device| record.device_id.as_str() == device);
    let store = ParquetStore::open_read_only(disk, &layout.parquet());
    let mut listed = shipped(config, device)?;
    for record in store.read_all(Some(checkpoint.sealed)).map_err(|error| unread(error.into()))? {
        let record = record.map_err(|error| unread(error.into()))?;
        if wanted(&record) {
            listed.push(Listed::of(&record).map_err(|error| unread(error.into()))?);
        }
    }
    for record in tail.iter().filter(|record| wanted(record)) {
        listed.push(Listed::of(record).map_err(|error| unread(error.into()))?);
    }
    let rank = |of: &Listed| (of.untrusted, of.life, of.heard);
    listed.sort_by(|a, b| a.key().cmp(&b.key()).then_with(|| rank(a).cmp(&rank(b))));
    listed.dedup_by(|later, first| later.key() == first.key());
    listed.sort_by(|a, b| a.place().cmp(&b.place()));
    Ok(listed)
}

/// The records of ClickHouse, where it is the store. Records that are on this machine as well are listed once.
fn shipped(config: &Config, device: Option<&str>) -> Result<Vec<Listed>, Failure> {
    let mut listed = Vec::new();
    let Some(section) = config.store.clickhouse.as_ref().filter(|_| config.store.kind == StoreKind::ClickHouse) else {
        return Ok(listed);
    };
    let (server, form) = (clickhouse::server(section)?, clickhouse::form(section, None)?);
    let mut failed = None;
    let read = each_record(&server, &form, device, &mut |record| match Listed::of(&record) {
        Ok(record) => listed.push(record),
        Err(error) => failed = Some(error),
    });
    match (read, failed) {
        (Ok(()), None) => Ok(listed),
        (Ok(()), Some(error)) => Err(Failure::broken("can't read the records", error)),
        (Err(RecordsError::Server(trouble @ ServerError::Unknown { .. })), _) => {
            Err(Failure::Unreachable(trouble.to_string()))
        }
        (Err(error), _) => Err(Failure::broken("can't read the records of ClickHouse", error)),
    }
}

/// The acknowledged records that are in no sealed range: the messages behind the checkpoint, passed through the
/// checkpoint's intake. `None` where the daemon has sealed meanwhile, so that the spool no longer begins at the
/// checkpoint.
fn read_tail(
    layout: &Layout,
    disk: &Arc<dyn Disk>,
    checkpoint: &Checkpoint,
    registry: &Registry,
) -> Result<Option<Vec<StoredRecord>>, Cause> {
    let mut pipeline = match &checkpoint.snapshot {
        Some(name) => match snapshot::read(&**disk, &layout.snapshots(), name) {
            Ok(bytes) => Pipeline::restore(&bytes, None)?,
            Err(SnapshotError::Disk { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        },
        None => Pipeline::new(None),
    };
    registry.lines.iter().for_each(|registration| pipeline.register(registration.registered()));
    pipeline.provision(&registry.keys);
    let (mut batch, mut findings) = (Batch::default(), Findings::default());
    pipeline.advance(checkpoint.sealed.advanced_to, &mut batch, &mut findings);
    if layout.spool().is_dir() {
        let mut reader = SpoolReader::open(Arc::clone(disk), &layout.spool())?;
        let (mut next, end) = (checkpoint.sealed.offset, reader.durable_end()?);
        while next < end {
            let mut messages = Vec::new();
            let progress = reader.read_from(next, end, STEP_BYTES, &mut messages)?;
            let released = progress.holes.first().is_some_and(|hole| hole.offsets.start == checkpoint.sealed.offset);
            if released && messages.first().is_none_or(|message| message.offset > checkpoint.sealed.offset) {
                return Ok(None);
            }
            pipeline.take(decode(&messages, &registry.keys).portion(), &mut batch, &mut findings);
            next = progress.next;
        }
    }
    pipeline.finish(&mut batch, &mut findings);
    let stored = batch.rows.iter().map(|row| StoredRecord::from_row(row, pipeline.fleet()));
    Ok(Some(stored.collect::<Result<_, _>>()?))
}

fn print(listed: &[Listed], out: &mut Output<'_>) -> Result<(), Failure> {
    if listed.is_empty() {
        return out.line("no record");
    }
    let mut rows = Vec::with_capacity(listed.len());
    for record in listed {
        let failed = |error| Failure::broken("can't write the records", error);
        let mut fields: Map<String, Json> = serde_json::from_str(&record.fields).map_err(failed)?;
        let mut take = |name: &str| match fields.remove(name) {
            Some(Json::String(text)) => escaped(&text),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        };
        let mut row: Vec<String> = ["device_id", "life", "boot", "seq", "kind"].into_iter().map(&mut take).collect();
        take("ts");
        take("heard_at");
        row.push(time(EngineTime(record.ts_ms)));
        let rest =
            fields.iter().map(|(name, value)| escaped(&format!("{name}={}", value.to_string().trim_matches('"'))));
        row.push(rest.collect::<Vec<_>>().join(" "));
        rows.push(row);
    }
    let head = ["device_id", "life", "boot", "seq", "kind", "ts", "fields"];
    table(&head, &rows).iter().try_for_each(|line| out.line(line))
}
