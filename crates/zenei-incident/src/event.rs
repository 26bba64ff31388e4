//! The events of an incident, which are its only source of truth. Events of a kind that this version does not define
//! are stored unchanged. Must not know how events are stored or how they change an incident ([`crate::incident`] folds
//! them). Called by the casebook, which makes events, and by the desk, which stores [`Event::kind_word`] and
//! [`Event::body`] and reads them back with [`Event::read`].
pub use crate::kinds::*;
use zenei_wire::{EngineTime, Id};

/// One event of one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The incident.
    pub incident: Id,
    /// Its number within the incident, from 0, without holes.
    pub seq: u32,
    /// When it happened, by the engine's clock.
    pub at: EngineTime,
    /// What happened.
    pub what: What,
}

/// Why an event can't be written or read.
#[derive(Debug, thiserror::Error)]
#[error("event {seq} of incident {incident}: {kind:?} has a body that is not of its kind")]
pub struct ReadError {
    /// The incident.
    pub incident: Id,
    /// The event's number.
    pub seq: u32,
    /// Its kind.
    pub kind: String,
    /// The JSON error.
    #[source]
    pub source: serde_json::Error,
}

impl Event {
    /// The word of its kind.
    pub fn kind_word(&self) -> &str {
        self.what.word()
    }

    /// Its body as JSON.
    ///
    /// # Errors
    /// None that a value of these types can cause.
    pub fn body(&self) -> Result<String, ReadError> {
        self.what.body().map_err(|source| ReadError {
            incident: self.incident,
            seq: self.seq,
            kind: self.kind_word().into(),
            source,
        })
    }

    /// The event of these columns.
    ///
    /// # Errors
    /// If a kind that this version defines has a body of another shape.
    pub fn read(incident: Id, seq: u32, at: EngineTime, kind: &str, body: &str) -> Result<Self, ReadError> {
        match What::read(kind, body) {
            Ok(what) => Ok(Self { incident, seq, at, what }),
            Err(source) => Err(ReadError { incident, seq, kind: kind.into(), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::Urgency;

    fn round_trip(what: What) {
        let event = Event { incident: Id::of(&[b"x"]), seq: 3, at: EngineTime(5), what };
        let read = Event::read(event.incident, 3, event.at, event.kind_word(), &event.body().unwrap()).unwrap();
        assert_eq!(read, event);
    }

    #[test]
    fn an_event_reads_back_what_it_writes() {
        round_trip(StatusChanged { to: Status::Fixing, by: "sato".into() }.into());
        round_trip(Judged { verdict: Verdict::DuplicateOf(Id(7)), by: "sato".into() }.into());
        round_trip(UrgencyChanged { to: Urgency::High, reason: "12 locks".into(), ground: None, by: None }.into());
    }

    #[test]
    fn a_kind_of_another_version_is_kept_byte_for_byte() {
        let body = r#"{ "score" : 1.50 }"#;
        let event = Event::read(Id(1), 4, EngineTime(9), "of_tomorrow", body).unwrap();
        assert_eq!((event.kind_word(), event.body().unwrap().as_str()), ("of_tomorrow", body));
    }

    #[test]
    fn a_known_kind_of_a_wrong_shape_is_refused_with_its_place() {
        let error = Event::read(Id(1), 4, EngineTime(9), "note", r#"{"text":1}"#).unwrap_err();
        let text = "event 4 of incident 00000000000000000000000000000001: \"note\" has a body that is not of its kind";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn the_words_of_a_status_are_those_that_serde_writes() {
        for &status in Status::ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("\"{status}\""));
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}
