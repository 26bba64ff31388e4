//! What a person asks of the desk, and the answer: one form for the command line, the socket and chat. A request that
//! the incident's rules refuse changes nothing, and the answer says what is missing. Must not know how a request came.
//! Called by [`crate::local`], by [`crate::notify::inward`] and by the commands.
use crate::driver::TakeError;
use crate::shared::SharedDesk;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use zenei_incident::step::{self, StepError};
use zenei_incident::{Matcher, Silence, SilenceKind};
use zenei_wire::{EngineTime, Id};

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// A step of a person on an incident.
    Step {
        /// The incident's id, its first digits, or either behind `zenei-`.
        incident: String,
        /// The kind of step, see [`step::KINDS`].
        kind: String,
        /// Who.
        by: String,
        /// The other fields of the event.
        #[serde(default)]
        body: Map<String, Json>,
    },
    /// A silence or a maintenance window.
    AddSilence {
        /// Which of the two.
        kind: SilenceKind,
        /// What it is about.
        matches: Matcher,
        /// From when, ms since 1970; absent: from now.
        from_ms: Option<i64>,
        /// For how long, ms.
        length_ms: i64,
        /// Why.
        reason: String,
        /// Who.
        by: String,
    },
    /// The end of a silence before its end.
    EndSilence {
        /// The silence's id, or its first digits.
        silence: String,
        /// Who.
        by: String,
    },
}

/// Why a request changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// The kind of refusal.
    pub reason: Reason,
    /// What was found, what is allowed, what is missing.
    pub text: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There is no such incident, or more than one.
    Unknown,
    /// The request is none.
    Malformed,
    /// The incident's rules refuse it.
    Refused,
    /// The desk can't store it.
    Broken,
}

impl Request {
    /// Carries it out; the event that was stored, as JSON.
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing was changed.
    pub fn carry_out(&self, desk: &SharedDesk, at: EngineTime) -> Result<Json, Refusal> {
        match self {
            Self::Step { incident, kind, by, body } => {
                let incident = find(desk, incident)?;
                let body = &whole(desk, kind, body)?;
                let what = step::read(kind, by, body).map_err(|error| Refusal::malformed(&error))?;
                let event = desk.add(incident, at, what).map_err(Refusal::from)?;
                let body = event.body().ok().and_then(|body| serde_json::from_str::<Json>(&body).ok());
                Ok(json!({
                    "incident": event.incident, "seq": event.seq, "at_ms": event.at, "kind": event.kind_word(), "body": body
                }))
            }
            Self::AddSilence { kind, matches, from_ms, length_ms, reason, by } => {
                let from_ms = from_ms.unwrap_or(at.ms());
                let span = (from_ms, from_ms.saturating_add(*length_ms));
                let silence = Silence::new(*kind, matches.clone(), span, (reason, by), at);
                let silence =
                    silence.map_err(|error| Refusal { reason: Reason::Malformed, text: error.to_string() })?;
                desk.add_silence(silence.clone(), at)?;
                Ok(json!({"silence": silence}))
            }
            Self::EndSilence { silence, by } => {
                let silence = find_silence(desk, silence)?;
                desk.end_silence(silence, by, at)?;
                Ok(json!({"silence": silence, "ended_ms": at}))
            }
        }
    }
}

impl Refusal {
    fn malformed(error: &StepError) -> Self {
        Self { reason: Reason::Malformed, text: zenei_store::with_causes(error) }
    }
}

impl From<TakeError> for Refusal {
    fn from(error: TakeError) -> Self {
        match error {
            TakeError::Log(refused) => Self { reason: Reason::Refused, text: refused.reason.to_string() },
            TakeError::Silence(refused) => Self { reason: Reason::Refused, text: refused.to_string() },
            TakeError::Control(_) | TakeError::Write(_) | TakeError::WriteSilence(_) | TakeError::Diverged { .. } => {
                Self { reason: Reason::Broken, text: zenei_store::with_causes(&error) }
            }
        }
    }
}

/// The incident whose id begins so.
fn find(desk: &SharedDesk, wanted: &str) -> Result<Id, Refusal> {
    let incidents = desk.incidents();
    let book = incidents.read();
    the_one("incident", wanted, book.incidents().map(|incident| incident.id))
}

/// The fields of a step with the whole id of another incident, where one is named by its first digits.
fn whole(desk: &SharedDesk, kind: &str, body: &Map<String, Json>) -> Result<Map<String, Json>, Refusal> {
    let mut body = body.clone();
    let named = match kind {
        "merge" | "merged_into" => body.get_mut("incident"),
        "verdict" => body.get_mut("verdict").and_then(|verdict| verdict.get_mut("duplicate_of")),
        _ => None,
    };
    if let Some(named) = named
        && let Some(digits) = named.as_str()
    {
        *named = Json::from(find(desk, digits)?.to_string());
    }
    Ok(body)
}

/// The silence whose id begins so.
fn find_silence(desk: &SharedDesk, wanted: &str) -> Result<Id, Refusal> {
    let incidents = desk.incidents();
    let book = incidents.read();
    the_one("silence", wanted, book.silences().iter().map(|silence| silence.id))
}

/// The one id that begins with these digits, which may stand behind `zenei-`.
fn the_one(noun: &str, wanted: &str, ids: impl Iterator<Item = Id>) -> Result<Id, Refusal> {
    let refuse = |text: String| Refusal { reason: Reason::Unknown, text };
    let digits = wanted.strip_prefix("zenei-").unwrap_or(wanted);
    let mut found = ids.filter(|id| id.to_string().starts_with(digits));
    match (found.next(), found.next()) {
        (Some(id), None) if !digits.is_empty() => Ok(id),
        (Some(_), _) => Err(refuse(format!("`{wanted}` begins more than one {noun}; give more digits"))),
        (None, _) => Err(refuse(format!("there is no {noun} `{wanted}`; `zenei {noun} list` names all"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeskDriver;
    use zenei_detect::Findings;
    use zenei_kit::anomaly;
    use zenei_store::Control;

    fn desk() -> SharedDesk {
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
        let anomalies = vec![anomaly("motor-effort", "A", 1)];
        desk.take(EngineTime(1_000), &Findings { anomalies, ..Findings::default() }).unwrap();
        desk
    }

    fn ask(desk: &SharedDesk, kind: &str, body: Json) -> Result<Json, Refusal> {
        let incident = desk.incidents().read().incidents().next().unwrap().id.to_string();
        let body = body.as_object().cloned().unwrap_or_default();
        let request =
            Request::Step { incident: format!("zenei-{}", &incident[..8]), kind: kind.into(), by: "sato".into(), body };
        request.carry_out(desk, EngineTime(9_000))
    }

    #[test]
    fn an_incident_is_carried_to_its_end_and_each_refusal_says_what_is_missing() {
        let desk = desk();
        ask(&desk, "acknowledge", json!({})).unwrap();
        let refused = ask(&desk, "complete", json!({})).unwrap_err();
        assert_eq!(refused.reason, Reason::Refused);
        assert!(refused.text.contains("temporary fix") && refused.text.contains("postmortem"), "{refused}");
        ask(&desk, "temp_fix_done", json!({})).unwrap();
        ask(&desk, "postmortem_held", json!({"roles": ["development", "support"]})).unwrap();
        let event = ask(&desk, "complete", json!({})).unwrap();
        assert_eq!((event["kind"].as_str(), event["seq"].as_u64()), (Some("completed"), Some(4)));
    }

    #[test]
    fn another_incident_is_named_by_its_first_digits() {
        let desk = desk();
        let anomalies = vec![anomaly("motor-effort", "B", 2)];
        let other = desk.take(EngineTime(2_000), &Findings { anomalies, ..Findings::default() }).unwrap().opened[0];
        let (incident, digits) = {
            let incidents = desk.incidents();
            let book = incidents.read();
            let first = book.incidents().find(|incident| incident.id != other).unwrap().id;
            (first.to_string(), other.to_string()[..12].to_owned())
        };
        let step = |kind: &str, body: Json| {
            let body = body.as_object().cloned().unwrap_or_default();
            let request = Request::Step { incident: incident.clone(), kind: kind.into(), by: "sato".into(), body };
            request.carry_out(&desk, EngineTime(9_000))
        };
        let unknown = step("verdict", json!({"verdict": {"duplicate_of": "zzzz"}})).unwrap_err();
        assert_eq!(unknown.reason, Reason::Unknown);
        let judged = step("verdict", json!({"verdict": {"duplicate_of": digits}})).unwrap();
        assert_eq!(judged["body"]["verdict"]["duplicate_of"], json!(other));
        let merged = step("merge", json!({"incident": format!("zenei-{digits}")})).unwrap();
        assert_eq!(merged["body"]["incident"], json!(other));
    }

    #[test]
    fn what_is_no_step_of_a_person_is_refused_by_name() {
        let desk = desk();
        for kind in ["opened", "evidence_added", "wish"] {
            let refused = ask(&desk, kind, json!({})).unwrap_err();
            assert_eq!(refused.reason, Reason::Malformed);
            assert!(refused.text.contains("temp_fix_done"), "{refused}");
        }
        assert_eq!(ask(&desk, "note", json!({"txt": "a"})).unwrap_err().reason, Reason::Malformed);
        let none =
            Request::Step { incident: "ff".into(), kind: "note".into(), by: "s".into(), body: Default::default() };
        assert_eq!(none.carry_out(&desk, EngineTime(1)).unwrap_err().reason, Reason::Unknown);
    }
}
