//! Makes intake's rows straight from columns: each name and text is resolved once per dictionary, so that the detectors
//! dominate the cost of a replay of months. Must not know files. Called by `replay`.
use super::batch::StoredBatch;
use super::error::ReadError;
use super::value::{UNKNOWN_SITE, bad, name, value};
use super::words::{Numbers, Words};
use zenei_detect::{DeviceIx, Fleet, Labels, Row, Succession, Sym};
use zenei_wire::{DeviceTime, EngineTime, GatewayTime};

/// The numbers that one fleet gave to names and words, reused from batch to batch.
#[derive(Debug, Default)]
pub struct Numbering {
    devices: Numbers<DeviceIx>,
    site: Numbers<Sym>,
    model: Numbers<Sym>,
    hw_rev: Numbers<Sym>,
    lot: Numbers<Sym>,
    fw: Numbers<Sym>,
    service: Numbers<Sym>,
    gw: Numbers<Sym>,
    client_version: Numbers<Sym>,
}

/// The rows of a batch, one after the other.
#[derive(Debug)]
pub struct Rows<'a> {
    batch: &'a StoredBatch,
    next: usize,
    /// The end of the step.
    end: usize,
    numbering: &'a mut Numbering,
}

impl StoredBatch {
    /// Its rows, from the first one on. `numbering` belongs to the fleet that numbers them.
    pub fn rows<'a>(&'a self, numbering: &'a mut Numbering) -> Rows<'a> {
        let (heading, labels) = (&self.heading, &self.labels);
        numbering.devices.follow(&heading.device_id);
        for (numbers, words) in [
            (&mut numbering.site, &heading.site),
            (&mut numbering.model, &labels.model),
            (&mut numbering.hw_rev, &labels.hw_rev),
            (&mut numbering.lot, &labels.lot),
            (&mut numbering.fw, &labels.fw),
            (&mut numbering.service, &labels.service),
            (&mut numbering.gw, &labels.gw),
            (&mut numbering.client_version, &labels.client_version),
        ] {
            numbers.follow(words);
        }
        Rows { batch: self, next: 0, end: 0, numbering }
    }
}

impl Rows<'_> {
    /// Advances to the next rows, at most this many; returns the time up to which they were received; `None` after the
    /// last.
    pub fn step(&mut self, at_most: usize) -> Option<GatewayTime> {
        self.end = self.batch.len().min(self.end + at_most);
        let heard_at = &self.batch.heading.heard_at.values()[self.next..self.end];
        heard_at.iter().copied().max().map(GatewayTime)
    }

    /// The next row of the step, in the form that intake takes: not released yet; `None` after the last. Names are
    /// numbered in the order in which intake would meet them.
    ///
    /// # Errors
    /// As [`StoredBatch::heard`].
    #[inline]
    pub fn next(&mut self, fleet: &mut Fleet) -> Result<Option<Row>, ReadError> {
        if self.next == self.end {
            return Ok(None);
        }
        self.next += 1;
        self.row(self.next - 1, fleet).map(Some)
    }

    #[inline]
    fn row(&mut self, at: usize, fleet: &mut Fleet) -> Result<Row, ReadError> {
        let StoredBatch { heading, labels, .. } = self.batch;
        let numbering = &mut *self.numbering;
        let named = |text: &str| Ok(Some(fleet.number(name("device_id", text)?.as_str())));
        let device = numbering.devices.of(&heading.device_id, at, named)?;
        let device = device.ok_or_else(|| bad("device_id", "null", "each record is a device's"))?;
        let mut word = |numbers: &mut Numbers<Sym>, words: &Words| {
            let number = |text: &str| Ok::<_, ReadError>(Some(fleet.intern(text)).filter(|sym| *sym != Sym::NONE));
            Ok::<_, ReadError>(numbers.of(words, at, number)?.unwrap_or(Sym::NONE))
        };
        let labels = Labels {
            model: word(&mut numbering.model, &labels.model)?,
            hw_rev: word(&mut numbering.hw_rev, &labels.hw_rev)?,
            lot: word(&mut numbering.lot, &labels.lot)?,
            fw: word(&mut numbering.fw, &labels.fw)?,
            service: word(&mut numbering.service, &labels.service)?,
            gw: word(&mut numbering.gw, &labels.gw)?,
            client_version: word(&mut numbering.client_version, &labels.client_version)?,
        };
        let named = |text: &str| Ok(Some(fleet.intern(name("site", text)?.as_str())).filter(|sym| *sym != Sym::NONE));
        let site = match (numbering.site.of(&heading.site, at, named)?, heading.site.place(at)) {
            (Some(site), _) => site,
            (None, Some(_)) => Sym::NONE,
            (None, None) => fleet.intern(UNKNOWN_SITE),
        };
        Ok(Row {
            device,
            site,
            boot: value(&heading.boot, at),
            seq: value(&heading.seq, at),
            identity: self.batch.identity(at)?,
            life: self.batch.life(at),
            succession: Succession::Usual,
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
}
