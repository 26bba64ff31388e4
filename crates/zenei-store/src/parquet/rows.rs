//! Rows as intake takes them, straight from columns: a replay of months costs what the detectors cost, not what names and texts cost. Knows Arrow and the
//! fleet's index, no file. Called by `replay`.
use super::ReadError;
use super::batch::{StoredBatch, UNKNOWN_SITE, name, value};
use super::words::Numbers;
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Sym};
use zenei_wire::{DeviceTime, EngineTime, GatewayTime};

/// The rows of a batch, one after the other, numbered by one fleet.
#[derive(Debug)]
pub struct Rows<'a> {
    batch: &'a StoredBatch,
    next: usize,
    devices: Vec<Option<DeviceIx>>,
    site: Numbers,
    model: Numbers,
    hw_rev: Numbers,
    lot: Numbers,
    fw: Numbers,
    service: Numbers,
    gw: Numbers,
    client_version: Numbers,
}

impl StoredBatch {
    /// Its rows, from the first one on.
    pub fn rows(&self) -> Rows<'_> {
        let labels = &self.labels;
        Rows {
            batch: self,
            next: 0,
            devices: vec![None; self.heading.device_id.len()],
            site: Numbers::new(&self.heading.site),
            model: Numbers::new(&labels.model),
            hw_rev: Numbers::new(&labels.hw_rev),
            lot: Numbers::new(&labels.lot),
            fw: Numbers::new(&labels.fw),
            service: Numbers::new(&labels.service),
            gw: Numbers::new(&labels.gw),
            client_version: Numbers::new(&labels.client_version),
        }
    }
}

impl Rows<'_> {
    /// Adds the next rows to `out`, at most so many, as intake is to take them: not released yet. Gives how many; none after the last. Names are numbered in
    /// the order in which intake would meet them. It must be the same `fleet` each time.
    ///
    /// # Errors
    /// As [`StoredBatch::heard`].
    pub fn read(&mut self, at_most: usize, fleet: &mut Fleet, out: &mut Vec<Row>) -> Result<usize, ReadError> {
        let end = self.batch.len().min(self.next + at_most);
        let from = std::mem::replace(&mut self.next, end);
        for at in from..end {
            out.push(self.row(at, fleet)?);
        }
        Ok(end - from)
    }

    fn row(&mut self, at: usize, fleet: &mut Fleet) -> Result<Row, ReadError> {
        let StoredBatch { heading, labels, .. } = self.batch;
        let device = self.device(at, fleet)?;
        let labels = Labels {
            model: self.model.number(&labels.model, at, fleet),
            hw_rev: self.hw_rev.number(&labels.hw_rev, at, fleet),
            lot: self.lot.number(&labels.lot, at, fleet),
            fw: self.fw.number(&labels.fw, at, fleet),
            service: self.service.number(&labels.service, at, fleet),
            gw: self.gw.number(&labels.gw, at, fleet),
            client_version: self.client_version.number(&labels.client_version, at, fleet),
        };
        let site = match self.site.named("site", &heading.site, at, fleet)? {
            Sym::NONE => fleet.intern(heading.site.said(at).unwrap_or(UNKNOWN_SITE)),
            site => site,
        };
        Ok(Row {
            device,
            site,
            boot: value(&heading.boot, at),
            seq: value(&heading.seq, at),
            identity: self.batch.identity(at)?,
            ts: DeviceTime(heading.ts.value(at)),
            heard_at: GatewayTime(heading.heard_at.value(at)),
            released_at: EngineTime::default(),
            offset: heading.offset.value(at),
            index: heading.index.value(at),
            late: false,
            authenticated: heading.authenticated.value(at),
            labels,
            uptime_s: value(&heading.uptime_s, at),
            body: self.batch.body(at)?.into_owned(),
        })
    }

    fn device(&mut self, at: usize, fleet: &mut Fleet) -> Result<DeviceIx, ReadError> {
        let devices = &self.batch.heading.device_id;
        let known = devices.place(at).map(|place| &mut self.devices[place]);
        if let Some(&mut Some(device)) = known {
            return Ok(device);
        }
        let device = fleet.number(name("device_id", devices.said(at).unwrap_or_default())?.as_str());
        if let Some(known) = known {
            *known = Some(device);
        }
        Ok(device)
    }
}
