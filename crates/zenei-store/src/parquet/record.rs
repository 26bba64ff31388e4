//! A record as it is stored: whole, with the values that intake and sealing added. Must not know files or columns.
//! Called by `record list`, the shipper, the tail, and the reader of ClickHouse.
use super::value::UNKNOWN_SITE;
use serde_json::{Map, Value};
use std::borrow::Cow;
use zenei_detect::{Fleet, Heard, Row, Sym};
use zenei_wire::{DeviceId, EngineTime, GatewayTime, Name, NameError, Record, SiteId, Text, Topic, json};

/// A stored record that owns its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    /// The lock.
    pub device_id: DeviceId,
    /// The site of its topic.
    pub site: SiteId,
    /// When the gateway received it.
    pub heard_at: GatewayTime,
    /// When intake released it.
    pub released_at: EngineTime,
    /// Offset of its message in the spool.
    pub offset: u64,
    /// Position within its message.
    pub index: u16,
    /// Identity of a record without `(boot, seq)`; 0 for all others.
    pub identity: u128,
    /// Whether its source is authorized to send for this device.
    pub authenticated: bool,
    /// A higher `(boot, seq)` of this lock was released before, or its numbers are far beyond the newest.
    pub late: bool,
    /// In which life of the lock it was made: how many ended before, as the gateway counts them that sealed it.
    pub life: u32,
    /// The record, with the lock's labels as far as they are known.
    pub record: Record<'static>,
}

impl StoredRecord {
    /// A received record, with the values that intake added.
    pub fn new(heard: Heard<'_>, released_at: EngineTime, late: bool, life: u32) -> Self {
        Self {
            device_id: heard.device.into(),
            site: heard.site.into(),
            heard_at: heard.heard_at,
            released_at,
            offset: heard.offset,
            index: heard.index,
            identity: heard.identity,
            authenticated: heard.authenticated,
            late,
            life,
            record: own(heard.record),
        }
    }

    /// A row that is in no store yet.
    ///
    /// # Errors
    /// [`NameError`] where the fleet does not know the row's lock.
    pub fn from_row(row: &Row, fleet: &Fleet) -> Result<Self, NameError> {
        let word = |sym: Sym| fleet.word(sym).map(|word| Cow::Owned(word.to_owned()));
        let record = Record {
            ts: row.ts,
            boot: row.boot,
            seq: row.seq,
            model: word(row.labels.model),
            hw_rev: word(row.labels.hw_rev),
            lot: word(row.labels.lot),
            fw: word(row.labels.fw),
            service: word(row.labels.service),
            gw: word(row.labels.gw),
            client_version: word(row.labels.client_version),
            uptime_s: row.uptime_s,
            body: row.body.clone(),
            unknown_fields: 0,
        };
        Ok(Self {
            device_id: DeviceId::new(fleet.device_id(row.device))?,
            site: SiteId::new(fleet.word(row.site).unwrap_or(UNKNOWN_SITE))?,
            heard_at: row.heard_at,
            released_at: row.released_at,
            offset: row.offset,
            index: row.index,
            identity: row.identity,
            authenticated: row.authenticated,
            late: row.late,
            life: row.life,
            record,
        })
    }

    /// The record in the form that intake takes.
    ///
    /// # Errors
    /// Never: the names were checked when this was made; the type [`Name`] requires the check again.
    pub fn heard(&self) -> Result<Heard<'_>, NameError> {
        Ok(Heard {
            site: Name::new(self.site.as_str())?,
            device: Name::new(self.device_id.as_str())?,
            record: self.record.clone(),
            identity: self.identity,
            heard_at: self.heard_at,
            offset: self.offset,
            index: self.index,
            authenticated: self.authenticated,
        })
    }

    /// The sort key of a lock's records in a list: lock, life, boot, `seq`; records without the last two by time.
    pub fn order(&self) -> (&str, u32, Option<u32>, Option<u32>, i64, u64, u16) {
        let record = &self.record;
        (self.device_id.as_str(), self.life, record.boot, record.seq, record.ts.ms(), self.offset, self.index)
    }
}

/// A record as `record list` prints it: the contract's fields by their names, times in ms since 1970, and `device_id`,
/// `life`, `site`, `kind`, `heard_at`, `trusted` (whether its source may speak for the device). Absent values are left
/// out.
pub fn to_json(stored: &StoredRecord) -> Map<String, Value> {
    let mut bytes = Vec::new();
    if let Ok(Heard { site, device, .. }) = stored.heard() {
        json::encode(&Topic { site, device, kind: stored.record.body.kind() }, &stored.record, &mut bytes);
    }
    let mut fields: Map<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
    fields.insert("device_id".to_owned(), stored.device_id.as_str().into());
    fields.insert("site".to_owned(), stored.site.as_str().into());
    fields.insert("kind".to_owned(), stored.record.body.kind().as_str().into());
    fields.insert("heard_at".to_owned(), stored.heard_at.ms().into());
    fields.insert("life".to_owned(), stored.life.into());
    fields.insert("trusted".to_owned(), stored.authenticated.into());
    fields
}

fn own(record: Record<'_>) -> Record<'static> {
    let text = |text: Option<Text<'_>>| text.map(|text| Cow::Owned(text.into_owned()));
    Record {
        ts: record.ts,
        boot: record.boot,
        seq: record.seq,
        model: text(record.model),
        hw_rev: text(record.hw_rev),
        lot: text(record.lot),
        fw: text(record.fw),
        service: text(record.service),
        gw: text(record.gw),
        client_version: text(record.client_version),
        uptime_s: record.uptime_s,
        body: record.body.into_owned(),
        unknown_fields: record.unknown_fields,
    }
}
