//! Maps a Bluetooth address to its lock and key, decrypts an advertisement, and yields a record. An advertisement is
//! authenticated only if the lock's own key encrypted it. Must not know files, radios or the order in time; `listener`
//! decides whether a counter is new. Called by the store's decoder of messages, by the gateway's filter and by `scan`.
use super::{Address, Advertisement, BindKey, OpenError, Opened, SpooledError, open, sender};
use crate::{Adv, Body, DeviceId, GatewayTime, Name, Reason, Record, Refusal, SiteId};
use alloc::collections::BTreeMap;
use alloc::string::ToString;

/// The locks that have an address.
#[derive(Clone, Debug)]
pub struct Keyring {
    locks: BTreeMap<Address, Lock>,
    /// The site of devices in no registry.
    site: SiteId,
}

/// The lock behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The lock.
    pub device: DeviceId,
    /// Where it is.
    pub site: SiteId,
    /// The key with which it encrypts; `None` if it does not encrypt, or if the key is not known.
    pub key: Option<BindKey>,
}

/// A record from one advertisement, with its lock and site.
#[derive(Clone, Debug)]
pub struct Advertised<'a> {
    /// The lock's site.
    pub site: Name<'a>,
    /// The lock; for a device in no registry, the name made from its address.
    pub device: Name<'a>,
    /// The record, dated by the gateway.
    pub record: Record<'static>,
    /// Whether it was encrypted with the lock's key. Anyone can send a plain advertisement in a lock's name.
    pub authenticated: bool,
}

/// Why an advertisement becomes no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdvertised {
    /// It is encrypted, and there is no key for its address: another owner's device, or a lock that is not provisioned.
    /// This is not a fault, but it is counted.
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
    /// A keyring without locks; devices in no registry are at `site`.
    pub fn new(site: SiteId) -> Self {
        Self { locks: BTreeMap::new(), site }
    }

    /// Adds a lock; returns the one that had this address before.
    pub fn add(&mut self, address: Address, lock: Lock) -> Option<Lock> {
        self.locks.insert(address, lock)
    }

    /// The lock behind this address.
    pub fn find(&self, address: Address) -> Option<&Lock> {
        self.locks.get(&address)
    }

    /// Every lock, by address.
    pub fn iter(&self) -> impl Iterator<Item = (Address, &Lock)> {
        self.locks.iter().map(|(address, lock)| (*address, lock))
    }

    /// The site of devices in no registry.
    pub fn site(&self) -> &SiteId {
        &self.site
    }

    /// Decrypts an advertisement with the key of the lock behind its address.
    ///
    /// # Errors
    /// See [`OpenError`]; [`OpenError::NoKey`] where it is encrypted and the address has no lock, or the lock no key.
    pub fn open(&self, advertisement: &Advertisement<'_>) -> Result<Opened, OpenError> {
        let address = author(advertisement);
        open(advertisement.service_data, address, self.find(address).and_then(|lock| lock.key.as_ref()))
    }

    /// Decodes a message of the spool that holds an advertisement.
    ///
    /// # Errors
    /// See [`NotAdvertised`].
    pub fn decode<'a>(
        &'a self,
        topic: &'a str,
        payload: &'a [u8],
        heard_at: GatewayTime,
    ) -> Result<Advertised<'a>, NotAdvertised> {
        let advertisement = Advertisement::read(topic, payload).map_err(|error| unspooled(&error))?;
        let address = author(&advertisement);
        let opened = self.open(&advertisement).map_err(|error| match error {
            OpenError::NoKey => NotAdvertised::NoKey { address },
            OpenError::Forged | OpenError::Length { .. } | OpenError::Version { .. } | OpenError::Cut { .. } => {
                NotAdvertised::Refused(Refusal::new(reason(&error), error.to_string()))
            }
        })?;
        let (device, site) = match self.find(address) {
            Some(lock) => (lock.device.as_str(), &lock.site),
            None => (topic, &self.site),
        };
        let bad_name = |error: crate::NameError| Refusal::new(Reason::BadTopic, error.to_string());
        Ok(Advertised {
            site: Name::new(site.as_str()).map_err(bad_name)?,
            device: Name::new(device).map_err(bad_name)?,
            record: record(&opened, advertisement.rssi_dbm, heard_at),
            authenticated: opened.counter.is_some(),
        })
    }
}

impl Default for Keyring {
    fn default() -> Self {
        Self::new(Name::UNKNOWN.into())
    }
}

fn author(advertisement: &Advertisement<'_>) -> Address {
    sender(advertisement.service_data).unwrap_or(advertisement.address)
}

fn record(opened: &Opened, rssi_dbm: Option<crate::DbMilliwatts>, heard_at: GatewayTime) -> Record<'static> {
    let reading = &opened.reading;
    Record {
        ts: heard_at.as_device(),
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

fn unspooled(error: &SpooledError) -> NotAdvertised {
    let reason = match error {
        SpooledError::Topic => Reason::BadTopic,
        SpooledError::Length { found: 0 } => Reason::MissingField,
        SpooledError::Length { .. } => Reason::TooLarge,
    };
    NotAdvertised::Refused(Refusal::new(reason, error.to_string()))
}

/// The contract's reason. It has no reason specific to advertisements: bytes that are not BTHome v2 are of the wrong
/// type, and an object that ends early lacks a part.
fn reason(error: &OpenError) -> Reason {
    match error {
        OpenError::Forged | OpenError::NoKey => Reason::Unauthenticated,
        OpenError::Version { .. } => Reason::WrongType,
        OpenError::Length { found, .. } if *found > super::MAX_SERVICE_DATA_BYTES => Reason::TooLarge,
        OpenError::Length { .. } | OpenError::Cut { .. } => Reason::MissingField,
    }
}
