//! Ships the local store to ClickHouse: every sealed range once, in order, however often either side fails. The sealed
//! files are the queue: they are durable, so receiving, acknowledging and detecting never wait for a server, and memory
//! stays bounded however long the server is away. Must not know how records are received or evaluated. Called by a
//! thread of the gateway's process, which provides the waits.
//!
//! The extent of a shipment is stored; its ranges are read, made into one batch of columns per table and shard, sent
//! under a token that names table, gateway and range, and sent again in the same bytes until the server's answer is
//! known. Where it was unknown for a while, it looks at what the server has and mends what is wrong (`doubt` says
//! what can be). Then one transaction moves the cursor on; only then may the files be removed.
mod ask;
mod backoff;
mod carry;
mod cohorts;
mod deliver;
mod doubt;
mod error;
pub mod findings;
mod load;
mod options;
mod recount;
mod shipment;
mod voltages;

#[cfg(test)]
mod tests;

pub use backoff::{FIRST_WAIT, LONGEST_WAIT};
pub use deliver::MAX_REFUSED_ROWS;
pub use error::ShipError;
pub use options::{Ended, Go, ShipOptions, Shipped};

use super::server::Server;
use crate::control::{Control, ControlError, Sealed};
use crate::parquet::{ParquetStore, ReadError, SealedRange};
use crate::schema::Form;
use crate::snapshot;
use doubt::Doubt;
use shipment::Shipment;
use std::time::Duration;
use tokio::sync::watch;
use voltages::RestVoltages;
use zenei_wire::EngineTime;

/// The prefix of the shipper's names in the control database.
const CURSOR_PREFIX: &str = "ship/";
/// How far back a new shipper reads for the batteries at rest: as long as a voltage counts.
const WARM_MS: i64 = zenei_detect::condition::AGE_MS_MAX;

/// Ships the sealed ranges of one state directory.
#[derive(Debug)]
pub struct Shipper {
    store: ParquetStore,
    control: Control,
    /// One of each shard; at least one.
    servers: Vec<Server>,
    form: Form,
    options: ShipOptions,
    rest: Option<RestVoltages>,
    attempts: backoff::Jitter,
    doubt: Doubt,
    shown: watch::Sender<Shipped>,
    /// Whether the files whose time to stay is over are gone; the shipper checks again when more was shipped.
    has_let_go: bool,
    /// The last place that this process reported to the feed's readers.
    told: Option<Sealed>,
}

impl Shipper {
    /// A shipper; `control` is its own connection. It sends nothing to the server yet ([`super::self_test`] does).
    pub fn new(store: ParquetStore, control: Control, server: Server, form: Form, options: ShipOptions) -> Self {
        let attempts = backoff::Jitter::new(&options.gateway_id);
        let shown = watch::Sender::default();
        let servers = vec![server];
        // In a cluster the token and the rows are taken in one step, by Keeper.
        let doubt = Doubt::new(options.mends && form.is_single());
        let (rest, told) = (None, None);
        Self { store, control, servers, form, options, rest, attempts, doubt, shown, has_let_go: false, told }
    }

    /// Ships to the shards of a cluster, one server of each in the order in which the cluster numbers them, in place of
    /// the one server. The number must stay the same while a range is on its way: a row belongs to the shard of its
    /// lock's hash.
    #[must_use]
    pub fn over_shards(self, servers: Vec<Server>) -> Self {
        if servers.is_empty() {
            return self;
        }
        let doubt = if servers.len() > 1 { Doubt::new(false) } else { self.doubt };
        Self { servers, doubt, ..self }
    }

    /// Publishes the progress to `shown`, each time after it was committed.
    #[must_use]
    pub fn show(self, shown: watch::Sender<Shipped>) -> Self {
        Self { shown, ..self }
    }

    /// The servers that it ships to, one of each shard.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// How far shipping has come.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`], [`ControlError::BadRow`].
    pub fn shipped(&self) -> Result<Shipped, ControlError> {
        shipped(&self.control)
    }

    /// Ships everything that is sealed by now, back to back, then removes the files whose time to stay is over. While
    /// the server does not take a range, it calls `wait` with the time to wait; `wait` returns when that has passed, or
    /// earlier to stop.
    ///
    /// # Errors
    /// See [`ShipError`].
    pub fn ship(&mut self, wait: &mut dyn FnMut(Duration) -> Go) -> Result<Ended, ShipError> {
        let sealed = self.control.checkpoint()?.unwrap_or_default().sealed;
        let mut shipped = self.shipped()?;
        let before = shipped.to;
        self.doubt.recall(&self.control)?;
        let mut waiting = self.store.ranges(shipped.to, sealed)?.into();
        let max_rows = self.options.max_rows;
        while let Some(shipment) = {
            let shards = self.servers.len();
            Shipment::next(&mut waiting, &self.store, &mut self.control, max_rows, shards)?
        } {
            let outcome = self.ship_one(&shipment, shipped.to, wait);
            if !matches!(outcome, Ok(Some(_))) {
                // It contains ranges that will be loaded again.
                self.rest = None;
            }
            let Some((counted, damaged)) = outcome? else { return Ok(Ended::Stopped) };
            shipped.to = shipment.to;
            shipped.records += counted.taken;
            shipped.refused += counted.refused;
            shipped.damaged_ranges += damaged.len() as u64;
            self.keep(&shipped, &damaged)?;
            self.shown.send_replace(shipped);
            self.told = Some(shipment.to);
        }
        if self.options.feed && self.told.is_none_or(|told| told < sealed) {
            // Time passed without a record: no reader may wait for one.
            if !self.delivery(&Shipment::nothing(sealed), wait).0.tell()? {
                return Ok(Ended::Stopped);
            }
            self.told = Some(sealed);
        }
        if shipped.to == before && self.has_let_go {
            return Ok(Ended::Done);
        }
        self.let_go(shipped.to)?;
        self.has_let_go = true;
        if let Some(dir) = &self.options.memory {
            snapshot::keep_only(self.store.disk(), dir, Some(&memory_name(shipped.to)))?;
        }
        Ok(Ended::Done)
    }

    /// Ships one shipment; `None` if it was stopped. Also returns the ranges that were skipped because they are
    /// damaged.
    fn ship_one<'s>(
        &mut self,
        shipment: &'s Shipment,
        shipped_to: Sealed,
        wait: &mut dyn FnMut(Duration) -> Go,
    ) -> Result<Option<(carry::Counted, Vec<&'s SealedRange>)>, ShipError> {
        let (mut read, mut damaged) = (load::RangeRows::default(), Vec::new());
        for range in &shipment.ranges {
            match read.add(&self.store, range) {
                Ok(()) => {}
                Err(error @ ReadError::Disk { .. }) => return Err(error.into()),
                Err(error) => {
                    let (from, to) = (range.from, range.to.offset);
                    tracing::error!(from, to, %error, "a sealed range is damaged and is not shipped; its files stay");
                    damaged.push(range);
                }
            }
        }
        let mut rest = match self.rest.take() {
            Some(rest) => rest,
            None => self.warm(shipped_to)?,
        };
        let loaded = load::loaded(read, shipment.to, &mut rest, &self.options, self.servers.len())?;
        let (mut delivery, doubt) = self.delivery(shipment, wait);
        let Some(counted) = carry::all(&mut delivery, &loaded, doubt)? else { return Ok(None) };
        self.remember(&rest, shipment.to)?;
        self.rest = Some(rest);
        Ok(Some((counted, damaged)))
    }

    fn delivery<'a>(
        &'a mut self,
        shipment: &'a Shipment,
        wait: &'a mut dyn FnMut(Duration) -> Go,
    ) -> (deliver::Delivery<'a>, &'a mut Doubt) {
        let Self { servers, form, options, attempts, doubt, .. } = self;
        let gateway_id = &options.gateway_id;
        (deliver::Delivery { servers, form, gateway_id, shipment, attempts, wait, failed: 0 }, doubt)
    }

    /// Stores the voltages at rest for a restart that continues from `to`; before the cursor moves there.
    fn remember(&self, rest: &RestVoltages, to: Sealed) -> Result<(), ShipError> {
        let Some(dir) = &self.options.memory else { return Ok(()) };
        Ok(snapshot::write(self.store.disk(), dir, &memory_name(to), &rest.to_bytes()?)?)
    }

    /// The voltages at rest at the place up to which everything is shipped, so that a restart sends the rows that it
    /// would have sent: as stored for that place, else from the ranges shipped last.
    fn warm(&self, shipped_to: Sealed) -> Result<RestVoltages, ShipError> {
        if let Some(dir) = &self.options.memory {
            let read = snapshot::read(self.store.disk(), dir, &memory_name(shipped_to));
            if let Some(rest) = read.ok().and_then(|bytes| RestVoltages::from_bytes(&bytes)) {
                return Ok(rest);
            }
        }
        let mut rest = RestVoltages::default();
        let oldest = EngineTime(shipped_to.advanced_to.ms().saturating_sub(WARM_MS));
        for range in self.store.ranges(Sealed::default(), shipped_to)? {
            if range.to.advanced_to < oldest {
                continue;
            }
            for batch in self.store.batches_of(&range) {
                match batch.and_then(|batch| rest.learn_all(&batch)) {
                    Ok(()) => {}
                    Err(error @ ReadError::Disk { .. }) => return Err(error.into()),
                    // Logged when it was skipped.
                    Err(_) => break,
                }
            }
        }
        Ok(rest)
    }

    fn keep(&mut self, shipped: &Shipped, damaged: &[&SealedRange]) -> Result<(), ControlError> {
        let Shipped { to, records, refused, damaged_ranges } = *shipped;
        let advanced_to = u64::try_from(to.advanced_to.ms()).unwrap_or(0);
        let txn = self.control.begin()?;
        let values = [
            ("offset", to.offset),
            ("advanced_to_ms", advanced_to),
            ("records", records),
            ("refused", refused),
            ("damaged_ranges", damaged_ranges),
        ];
        for (name, value) in values {
            txn.set_cursor(&format!("{CURSOR_PREFIX}{name}"), value)?;
        }
        for range in damaged {
            let (offset, advanced_to) = (range.to.offset, range.to.advanced_to.ms());
            txn.set_cursor(&format!("{CURSOR_PREFIX}damaged/{offset}-{advanced_to}"), range.from)?;
        }
        self.doubt.keep(&txn)?;
        txn.commit()?;
        self.doubt.is_shipped();
        Ok(())
    }

    /// Removes shipped files whose time to stay is over; a damaged range stays until a person mends it.
    fn let_go(&self, to: Sealed) -> Result<(), ShipError> {
        let oldest = EngineTime(to.advanced_to.ms().saturating_sub(self.options.keep_ms));
        for range in self.store.ranges(Sealed::default(), to)? {
            let (offset, advanced_to) = (range.to.offset, range.to.advanced_to.ms());
            let damaged = || self.control.cursor(&format!("{CURSOR_PREFIX}damaged/{offset}-{advanced_to}"));
            if range.to.advanced_to < oldest && damaged()?.is_none() {
                self.store.remove(&range)?;
            }
        }
        Ok(())
    }
}

/// The name under which the voltages at rest at this place are stored.
fn memory_name(at: Sealed) -> String {
    format!("{:020}-{}", at.offset, at.advanced_to.ms())
}

/// The progress of shipping, from a control database that another connection may be writing.
///
/// # Errors
/// [`ControlError::Sqlite`], [`ControlError::BadRow`].
pub fn shipped(control: &Control) -> Result<Shipped, ControlError> {
    let value = |name: &str| Ok::<_, ControlError>(control.cursor(&format!("{CURSOR_PREFIX}{name}"))?.unwrap_or(0));
    let advanced_to = EngineTime(i64::try_from(value("advanced_to_ms")?).unwrap_or(i64::MAX));
    Ok(Shipped {
        to: Sealed { offset: value("offset")?, advanced_to },
        records: value("records")?,
        refused: value("refused")?,
        damaged_ranges: value("damaged_ranges")?,
    })
}
