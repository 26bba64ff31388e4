//! Whom an advertisement's address belongs to, and with which key he speaks: from the bytes that a radio heard to what intake takes. Says who may speak for a lock: only
//! whoever has its key. Knows no file, no radio and no order in time; `adverts` keeps what was heard. Called by whoever decodes messages, and by `scan`.
use crate::batch::Heard;
use std::collections::BTreeMap;
use zenei_wire::bthome::{self, Address, Advertisement, BindKey, OpenError, Opened, SpooledError};
use zenei_wire::{Adv, Body, DeviceId, DeviceTime, GatewayTime, Name, Reason, Record, Refusal, SiteId};

/// The locks that have an address.
#[derive(Clone, Debug)]
pub struct Keyring {
    locks: BTreeMap<Address, Lock>,
    /// Where whatever stands in no registry is heard.
    site: SiteId,
}

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The lock.
    pub device: DeviceId,
    /// Where it is.
    pub site: SiteId,
    /// What it encrypts with; `None`: it does not, or nobody knows.
    pub key: Option<BindKey>,
}

/// Why an advertisement becomes no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHeard {
    /// It is encrypted, and there is no key for its address: somebody else's, or a lock that is not provisioned. No fault, but counted.
    #[error("the advertisement is encrypted, and no bind key is known for {address}")]
    NoKey {
        /// Its address.
        address: Address,
    },
    /// It can't be read, or its MIC is not that of the lock's key.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Keyring {
    /// One without locks, at this site.
    pub fn new(site: SiteId) -> Self {
        Self { locks: BTreeMap::new(), site }
    }

    /// Adds a lock; gives back the one that had this address.
    pub fn add(&mut self, address: Address, lock: Lock) -> Option<Lock> {
        self.locks.insert(address, lock)
    }

    /// Whose this address is.
    pub fn find(&self, address: Address) -> Option<&Lock> {
        self.locks.get(&address)
    }

    /// All of them, by address.
    pub fn iter(&self) -> impl Iterator<Item = (Address, &Lock)> {
        self.locks.iter().map(|(address, lock)| (*address, lock))
    }

    /// Where whatever stands in no registry is heard.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// Reads an advertisement with the key of whoever has its address.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::NoKey`] where it is encrypted and nobody has that address, or he has no key.
    pub fn open(&self, advertisement: &Advertisement<'_>) -> Result<Opened, OpenError> {
        let address = sender(advertisement);
        bthome::open(advertisement.service_data, address, self.find(address).and_then(|lock| lock.key.as_ref()))
    }

    /// A message of the spool that holds an advertisement, as intake takes it: what this one advertisement says, with identity 0, because it is a half that `adverts` merges.
    ///
    /// # Errors
    /// See [`NotHeard`].
    pub fn hear<'a>(
        &'a self,
        topic: &'a str,
        payload: &'a [u8],
        heard_at: GatewayTime,
        offset: u64,
    ) -> Result<Heard<'a>, NotHeard> {
        let advertisement = Advertisement::read(topic, payload).map_err(|error| unspooled(&error))?;
        let address = sender(&advertisement);
        let opened = self.open(&advertisement).map_err(|error| match error {
            OpenError::NoKey => NotHeard::NoKey { address },
            OpenError::Forged | OpenError::Length { .. } | OpenError::Version { .. } | OpenError::Cut { .. } => {
                NotHeard::Refused(Refusal::new(reason(&error), error.to_string()))
            }
        })?;
        let (device, site) = match self.find(address) {
            Some(lock) => (lock.device.as_str(), &lock.site),
            None => (topic, &self.site),
        };
        let bad_name = |error: zenei_wire::NameError| Refusal::new(Reason::BadTopic, error.to_string());
        Ok(Heard {
            site: Name::new(site.as_str()).map_err(bad_name)?,
            device: Name::new(device).map_err(bad_name)?,
            record: record(&opened, advertisement.rssi_dbm, heard_at),
            identity: 0,
            heard_at,
            offset,
            index: 0,
            // Anybody can send a plain one in anybody's name.
            authenticated: opened.counter.is_some(),
        })
    }
}

impl Default for Keyring {
    fn default() -> Self {
        Self::new(Name::UNKNOWN.into())
    }
}

fn sender(advertisement: &Advertisement<'_>) -> Address {
    bthome::sender(advertisement.service_data).unwrap_or(advertisement.address)
}

fn record(opened: &Opened, rssi_dbm: Option<zenei_wire::DbMilliwatts>, heard_at: GatewayTime) -> Record<'static> {
    let reading = &opened.reading;
    Record {
        ts: DeviceTime(heard_at.ms()),
        boot: None,
        seq: None,
        model: None,
        hw_rev: None,
        lot: None,
        fw: reading.firmware.map(|firmware| firmware.to_string().into()),
        service: None,
        gw: None,
        client_version: None,
        uptime_s: None,
        body: Body::Adv(Adv { counter: opened.counter, rssi_dbm, ..reading.adv }),
        unknown_fields: reading.unknown,
    }
}

fn unspooled(error: &SpooledError) -> NotHeard {
    let reason = match error {
        SpooledError::Topic => Reason::BadTopic,
        SpooledError::Length { found: 0 } => Reason::MissingField,
        SpooledError::Length { .. } => Reason::TooLarge,
    };
    NotHeard::Refused(Refusal::new(reason, error.to_string()))
}

/// The contract's word. It has none of its own for advertisements: bytes that are no BTHome v2 are of the wrong type, an object that ends early lacks a part.
fn reason(error: &OpenError) -> Reason {
    match error {
        OpenError::Forged | OpenError::NoKey => Reason::Unauthenticated,
        OpenError::Version { .. } => Reason::WrongType,
        OpenError::Length { found, .. } if *found > bthome::MAX_SERVICE_DATA_BYTES => Reason::TooLarge,
        OpenError::Length { .. } | OpenError::Cut { .. } => Reason::MissingField,
    }
}
