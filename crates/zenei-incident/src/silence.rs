//! Silences and maintenance windows: which findings they match, from when, and until when; they always end. In a
//! maintenance window a matching finding opens nothing; under a silence an incident opens, and nobody is told until the
//! silence ends. Must not know the casebook, which holds them, or where they are stored. Called by the casebook, and by
//! the desk, which stores [`SilenceEvent::kind_word`] and [`SilenceEvent::body`] and reads them back.
use crate::incident::Incident;
use crate::places::{Place, Places};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_detect::{Anomaly, Component, Domain, Scope, ScopeKind};
use zenei_wire::{EngineTime, Id};

/// The longest silence, ms: 366 days. What is muted for longer is a rule to be changed.
pub const LENGTH_MAX_MS: i64 = 366 * 24 * 3_600_000;

zenei_wire::words! {
    /// What a silence does.
    SilenceKind {
        /// Nobody is told of what it matches.
        Silence = "silence",
        /// Planned work: what it matches opens nothing.
        Maintenance = "maintenance",
    }
}

/// Which findings a silence is about. What is given must all hold; at least one must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// The rule's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// The component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// The kind of the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_kind: Option<ScopeKind>,
    /// The value of the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_value: Option<String>,
    /// The only lock with evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The site of every lock with evidence, or of the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The service of every lock with evidence, or of the incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A silence or a maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// [`Id::of`] the tag `zenei-silence-1`, the JSON of all other fields, and the time at which it was added.
    pub id: Id,
    /// What it does.
    pub kind: SilenceKind,
    /// What it is about.
    pub matches: Matcher,
    /// From when, ms since 1970.
    pub from_ms: i64,
    /// Until when, ms since 1970; this instant is outside.
    pub until_ms: i64,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: String,
}

/// Why there can be no such silence.
#[derive(Debug, thiserror::Error)]
pub enum SilenceError {
    /// It would match everything.
    #[error("a silence names at least one of rule, domain, component, scope, device, site and service")]
    MatchesAll,
    /// Nobody, or no reason.
    #[error("a silence says who sets it and why; `{missing}` is empty")]
    Missing {
        /// The empty field.
        missing: &'static str,
    },
    /// No end, or one that is too late.
    #[error(
        "a silence ends after its beginning and after now, and at most 366 days after its beginning; \
             from {from_ms} until {until_ms} ms at {at_ms} ms does not"
    )]
    Length {
        /// The beginning.
        from_ms: i64,
        /// The end.
        until_ms: i64,
        /// Now.
        at_ms: i64,
    },
    /// It was added twice, or ended twice.
    #[error("silence {silence} {found}")]
    Order {
        /// The silence.
        silence: Id,
        /// What was found, for people.
        found: &'static str,
    },
    /// A stored body of another form.
    #[error("silence {silence}: {kind:?} has a body that is not of its kind")]
    Read {
        /// The silence.
        silence: Id,
        /// The kind.
        kind: String,
        /// The JSON error.
        #[source]
        source: serde_json::Error,
    },
}

/// What happened to a silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceEvent {
    /// The silence.
    pub silence: Id,
    /// When.
    pub at: EngineTime,
    /// What.
    pub what: SilenceWhat,
}

/// What happened to a silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SilenceWhat {
    /// It was set.
    Added(Silence),
    /// A person ended it before its end.
    Ended(Ended),
}

/// A person ended a silence before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Who.
    pub by: String,
}

/// All silences, by id. Those of the past stay, so that they can be listed; people set them, which bounds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silences {
    all: BTreeMap<Id, Silence>,
    ended: BTreeMap<Id, EngineTime>,
}

/// What a silence may match: a finding or an incident.
pub(crate) struct Subject<'a> {
    rule: &'a str,
    domain: Domain,
    component: Component,
    scope: &'a Scope,
    service: Option<&'a str>,
    devices: Vec<&'a str>,
}

impl<'a> Subject<'a> {
    /// A finding about locks of this service.
    pub(crate) fn finding(anomaly: &'a Anomaly, service: Option<&'a str>) -> Self {
        let Anomaly { rule, domain, component, scope, .. } = anomaly;
        let devices = anomaly.evidence.iter().map(|record| record.device_id.as_str()).collect();
        Self { rule, domain: *domain, component: *component, scope, service, devices }
    }

    pub(crate) fn incident(incident: &'a Incident) -> Self {
        let Incident { rule, domain, component, scope, .. } = incident;
        let devices = incident.devices.iter().map(String::as_str).collect();
        let service = incident.service.as_deref();
        Self { rule, domain: *domain, component: *component, scope, service, devices }
    }
}

impl Matcher {
    /// Whether nothing is given, so that it would match everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it matches this incident.
    pub fn matches(&self, incident: &Incident, places: &Places) -> bool {
        self.fits(&Subject::incident(incident), places)
    }

    fn fits(&self, subject: &Subject<'_>, places: &Places) -> bool {
        let at_place = |wanted: &str, of: fn(&Place) -> Option<&String>| {
            let is_there = |lock: &&str| places.of(lock).and_then(of).is_some_and(|found| found == wanted);
            !subject.devices.is_empty() && subject.devices.iter().all(is_there)
        };
        let Scope { kind, value } = subject.scope;
        let is_given = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let is_site =
            |site: &String| (*kind == ScopeKind::Site && value == site) || at_place(site, |place| place.site.as_ref());
        let is_service = |service: &String| {
            subject.service == Some(service.as_str()) || at_place(service, |place| place.service.as_ref())
        };
        let is_lock = |lock: &String| !subject.devices.is_empty() && subject.devices.iter().all(|found| found == lock);
        !self.is_empty()
            && is_given(&self.rule, subject.rule)
            && self.domain.is_none_or(|domain| domain == subject.domain)
            && self.component.is_none_or(|component| component == subject.component)
            && self.scope_kind.is_none_or(|wanted| wanted == *kind)
            && is_given(&self.scope_value, value)
            && self.device.as_ref().is_none_or(is_lock)
            && self.site.as_ref().is_none_or(is_site)
            && self.service.as_ref().is_none_or(is_service)
    }
}

impl Silence {
    /// The silence of these fields, set at `at`; `id` is computed.
    ///
    /// # Errors
    /// If it would match everything, has no reason, or has no end within [`LENGTH_MAX_MS`].
    pub fn new(
        kind: SilenceKind,
        matches: Matcher,
        (from_ms, until_ms): (i64, i64),
        (reason, by): (&str, &str),
        at: EngineTime,
    ) -> Result<Self, SilenceError> {
        let (reason, by) = (reason.to_owned(), by.to_owned());
        let mut silence = Self { id: Id::of(&[]), kind, matches, from_ms, until_ms, reason, by };
        silence.check(at)?;
        let fields = [&kind.as_str().to_owned(), &silence.reason, &silence.by, &matcher_text(&silence.matches)];
        let times = [from_ms, until_ms, at.ms()].map(|time| time.to_string());
        let mut parts: Vec<&[u8]> = vec![b"zenei-silence-1"];
        parts.extend(fields.iter().map(|text| text.as_bytes()));
        parts.extend(times.iter().map(String::as_bytes));
        silence.id = Id::of(&parts);
        Ok(silence)
    }

    fn check(&self, at: EngineTime) -> Result<(), SilenceError> {
        if self.matches.is_empty() {
            return Err(SilenceError::MatchesAll);
        }
        for (missing, text) in [("reason", &self.reason), ("by", &self.by)] {
            if text.trim().is_empty() {
                return Err(SilenceError::Missing { missing });
            }
        }
        let (from_ms, until_ms, at_ms) = (self.from_ms, self.until_ms, at.ms());
        let is_bounded = until_ms.checked_sub(from_ms).is_some_and(|length| (1..=LENGTH_MAX_MS).contains(&length));
        if is_bounded && until_ms > at_ms { Ok(()) } else { Err(SilenceError::Length { from_ms, until_ms, at_ms }) }
    }
}

/// The matcher's fields in their order; a length before each part, in [`Id::of`], keeps them apart.
fn matcher_text(matches: &Matcher) -> String {
    let text = |given: &Option<String>| given.as_ref().map_or("-".to_owned(), |text| format!("{}:{text}", text.len()));
    let Matcher { rule, domain, component, scope_kind, scope_value, device, site, service } = matches;
    let words = [
        domain.map_or("-", Domain::as_str),
        component.map_or("-", Component::as_str),
        scope_kind.map_or("-", ScopeKind::as_str),
    ];
    format!("{} {} {}", words.join(" "), text(rule), [scope_value, device, site, service].map(text).join(" "))
}

impl SilenceEvent {
    /// The word of its kind: `added` or `ended`.
    pub fn kind_word(&self) -> &'static str {
        match &self.what {
            SilenceWhat::Added(_) => "added",
            SilenceWhat::Ended(_) => "ended",
        }
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// None that a value of these types can cause.
    pub fn body(&self) -> Result<String, serde_json::Error> {
        match &self.what {
            SilenceWhat::Added(silence) => serde_json::to_string(silence),
            SilenceWhat::Ended(ended) => serde_json::to_string(ended),
        }
    }

    /// The event of these columns; `None` for a kind of another version of this program.
    ///
    /// # Errors
    /// If the body is not of its kind.
    pub fn read(silence: Id, at: EngineTime, kind: &str, body: &str) -> Result<Option<Self>, SilenceError> {
        let what = match kind {
            "added" => serde_json::from_str(body).map(SilenceWhat::Added),
            "ended" => serde_json::from_str(body).map(SilenceWhat::Ended),
            _ => return Ok(None),
        };
        match what {
            Ok(what) => Ok(Some(Self { silence, at, what })),
            Err(source) => Err(SilenceError::Read { silence, kind: kind.to_owned(), source }),
        }
    }
}

impl Silences {
    /// The silences of a log, in its order.
    ///
    /// # Errors
    /// The first event that does not fit.
    pub fn fold<'e>(events: impl IntoIterator<Item = &'e SilenceEvent>) -> Result<Self, SilenceError> {
        let mut silences = Self::default();
        for event in events {
            silences.apply(event)?;
        }
        Ok(silences)
    }

    /// Adds the next event; one that does not fit changes nothing.
    ///
    /// # Errors
    /// If a silence is added or ended twice, or ended without having been added.
    pub fn apply(&mut self, event: &SilenceEvent) -> Result<(), SilenceError> {
        let refused = |found| Err(SilenceError::Order { silence: event.silence, found });
        match &event.what {
            SilenceWhat::Added(_) if self.all.contains_key(&event.silence) => refused("was set before"),
            SilenceWhat::Added(silence) => {
                self.all.insert(event.silence, silence.clone());
                Ok(())
            }
            SilenceWhat::Ended(_) if !self.all.contains_key(&event.silence) => refused("is not known"),
            SilenceWhat::Ended(_) if self.ended.contains_key(&event.silence) => refused("was ended before"),
            SilenceWhat::Ended(_) => {
                self.ended.insert(event.silence, event.at);
                Ok(())
            }
        }
    }

    /// Every silence, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.all.values()
    }

    /// The silence of this id.
    pub fn get(&self, id: Id) -> Option<&Silence> {
        self.all.get(&id)
    }

    /// When this silence ends: at its end, or when a person ended it.
    pub fn end_ms(&self, silence: &Silence) -> i64 {
        self.ended.get(&silence.id).map_or(silence.until_ms, |ended| ended.ms().min(silence.until_ms))
    }

    /// Whether this silence is in force at a time.
    pub fn is_in_force(&self, silence: &Silence, at: EngineTime) -> bool {
        (silence.from_ms..self.end_ms(silence)).contains(&at.ms())
    }

    /// The one in force at a time that matches, and of several the one that ends last.
    pub(crate) fn covering(
        &self,
        kind: SilenceKind,
        subject: &Subject<'_>,
        places: &Places,
        at: EngineTime,
    ) -> Option<&Silence> {
        let fits = |silence: &&Silence| {
            silence.kind == kind && self.is_in_force(silence, at) && silence.matches.fits(subject, places)
        };
        self.all.values().filter(fits).max_by_key(|silence| (self.end_ms(silence), silence.id))
    }
}

#[cfg(test)]
#[path = "silence_tests.rs"]
mod tests;
