//! What a topic says: which site, which device, which kind of record. The device id of the topic is the truth.
use crate::ids::Name;
use crate::record::Kind;
use crate::refusal::{Reason, Refusal};
use alloc::format;
use alloc::string::String;

/// The first two levels of every topic of this contract.
pub const PREFIX: &str = "bitlock/v1/";

/// Where a record came from, by its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic<'a> {
    /// The site.
    pub site: Name<'a>,
    /// The lock, or for kind `gateway` the gateway.
    pub device: Name<'a>,
    /// What kind of record stands in the payload.
    pub kind: Kind,
}

/// What a topic turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading<'a> {
    /// Records.
    Record(Topic<'a>),
    /// A gateway's last will, `online`: no record, counted apart.
    Online,
    /// Not under `bitlock/v1/`: no record, counted apart.
    Foreign,
}

impl<'a> Topic<'a> {
    /// Reads a topic.
    ///
    /// # Errors
    /// `bad_topic` (levels, site or id) or `unknown_kind` (the last level).
    pub fn parse(topic: &'a str) -> Result<Heading<'a>, Refusal> {
        let Some(rest) = topic.strip_prefix(PREFIX) else {
            return Ok(Heading::Foreign);
        };
        let mut levels = rest.split('/');
        let (Some(site), Some(device), Some(last), None) = (levels.next(), levels.next(), levels.next(), levels.next())
        else {
            let found = rest.split('/').count() + 2;
            let detail = format!("the topic has {found} levels; bitlock/v1/{{site}}/{{device_id}}/{{kind}} has 5");
            return Err(Refusal::new(Reason::BadTopic, detail));
        };
        let name = |what: &str, text: &'a str| {
            Name::new(text).map_err(|error| Refusal::new(Reason::BadTopic, format!("the {what} {error}")))
        };
        let (site, device) = (name("site", site)?, name("device id", device)?);
        if last == "online" {
            return Ok(Heading::Online);
        }
        let kind = Kind::parse(last).filter(|kind| kind.has_topic()).ok_or_else(|| {
            let shown: String = last.chars().take(32).flat_map(char::escape_default).collect();
            let detail =
                format!("the topic's last level is '{shown}'; state, op, error, event, gateway or online are allowed");
            Refusal::new(Reason::UnknownKind, detail)
        })?;
        Ok(Heading::Record(Self { site, device, kind }))
    }

    /// The topic as text.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}/{}/{}", self.site, self.device, self.kind.as_str())
    }
}
