//! Whether people are told of an event, and the events that change this: muting by a silence or by an incident that
//! explains another, and flapping. What is muted while it is open is told when the muting ends. Must not know targets
//! or stores. Called by [`crate::take`] for what follows from findings, and by the desk: for each event before it makes
//! messages ([`Draft::tell`]), for people's silences, and as time passes ([`Draft::pass`]).
use crate::correlate::Draft;
use crate::event::{Event, FlappingEnded, FlappingStarted, Muted, SimilarFound, Unmuted, What};
use crate::flap::Flapping;
use crate::incident::{ApplyError, Incident};
use crate::inhibit::Inhibition;
use crate::silence::{Ended, Silence, SilenceError, SilenceEvent, SilenceKind, SilenceWhat, Subject};
use crate::similar::similar;
use crate::wording::{length, place};
use std::collections::BTreeMap;
use zenei_wire::{EngineTime, Id};

/// Whether people are told of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// At once.
    Now,
    /// Not before this time, ms since 1970.
    NotBefore(i64),
    /// Not at all.
    Never {
        /// Why, for people.
        why: String,
    },
}

impl Draft<'_> {
    /// Whether people are told of this event, which the draft has already.
    pub fn tell(&self, event: &Event, now: EngineTime) -> Tell {
        let Some(incident) = self.incident(event.incident) else {
            return Tell::Never { why: "there is no such incident".into() };
        };
        if let Some(mute) = &incident.muted {
            // What ends or changes the work of people who know of it must reach them, or a remote stays open for ever.
            if !(incident.is_announced && is_of_the_work(&event.what)) {
                return Tell::Never { why: format!("muted: {}", mute.why) };
            }
        }
        if matches!(event.what, What::Unmuted(_)) && !incident.is_open() {
            return Tell::Never { why: format!("it was {} when the muting ended", incident.status) };
        }
        match incident.flap.told_from(event) {
            None => Tell::Never { why: "it comes and goes; another message says so".into() },
            Some(at) if at > event.at && at > now => Tell::NotBefore(at.ms()),
            Some(_) => Tell::Now,
        }
    }

    /// Sets a silence. Call [`Draft::pass`] afterwards, so that open incidents follow it.
    ///
    /// # Errors
    /// If this very silence was set before.
    pub fn add_silence(&mut self, silence: Silence, at: EngineTime) -> Result<SilenceEvent, SilenceError> {
        let event = SilenceEvent { silence: silence.id, at, what: SilenceWhat::Added(silence) };
        self.silences_mut().apply(&event)?;
        Ok(event)
    }

    /// Ends a silence before its end. Call [`Draft::pass`] afterwards, so that people are told of what it muted.
    ///
    /// # Errors
    /// If there is no such silence, or it was ended before.
    pub fn end_silence(&mut self, silence: Id, by: &str, at: EngineTime) -> Result<SilenceEvent, SilenceError> {
        let event = SilenceEvent { silence, at, what: SilenceWhat::Ended(Ended { by: by.to_owned() }) };
        self.silences_mut().apply(&event)?;
        Ok(event)
    }

    /// The events that time alone brings: silences that begin or end, causes that ended, flapping that stopped. `heard`
    /// gives the last time at which a lock was heard: a fault whose locks are silent has not stopped.
    ///
    /// # Errors
    /// Where the log would break one of its rules: a fault of this program.
    pub fn pass(
        &mut self,
        now: EngineTime,
        heard: impl Fn(&str) -> Option<EngineTime>,
    ) -> Result<Vec<Event>, ApplyError> {
        let mut all = Vec::new();
        let flapping = self.policy().opening.flapping;
        for id in self.watched() {
            let Some(incident) = self.incident(id) else { continue };
            let muting =
                if incident.muted.is_some() { self.unmute(incident, now) } else { self.mute(incident, now, false) };
            let calm = is_calm(incident, now, flapping.window_ms, &heard)
                .then(|| FlappingEnded { why: calm_for(flapping.window_ms) }.into());
            let lasted = self.lasted(incident, now);
            for what in [muting, calm].into_iter().flatten().chain(lasted) {
                all.push(self.add(id, now, what)?);
            }
        }
        Ok(all)
    }

    /// The events that follow from these, which findings caused.
    pub(crate) fn follow(&mut self, events: &[Event]) -> Result<Vec<Event>, ApplyError> {
        let mut all = Vec::new();
        for event in events {
            let Some(incident) = self.incident(event.incident) else { continue };
            let what = if matches!(event.what, What::Opened(_)) {
                self.mute(incident, event.at, true).or_else(|| self.explained(incident, event.at))
            } else if matches!(event.what, What::EvidenceAdded(_)) {
                flaps(incident, event.at, self.policy().opening.flapping)
            } else {
                None
            };
            let explained = if is_evidence(&event.what) { self.explained_by(incident, event.at) } else { Vec::new() };
            let known = matches!(event.what, What::Opened(_)).then(|| self.known_before(incident)).flatten();
            let book = matches!(event.what, What::Opened(_)).then(|| self.attached(incident)).flatten();
            let own = what.into_iter().chain(known).chain(book).map(|what| (event.incident, what));
            for (id, what) in own.chain(explained).collect::<Vec<_>>() {
                all.push(self.add(id, event.at, what)?);
            }
        }
        Ok(all)
    }

    /// The past incidents that may help.
    fn known_before(&self, incident: &Incident) -> Option<What> {
        let incidents: Vec<Id> = similar(incident, self.incidents()).iter().map(|found| found.incident).collect();
        (!incidents.is_empty()).then(|| SimilarFound { incidents }.into())
    }

    /// The muting of an incident by a silence in force.
    fn mute(&self, incident: &Incident, at: EngineTime, from_opening: bool) -> Option<What> {
        if !incident.is_open() {
            return None;
        }
        let silence =
            self.silences().covering(SilenceKind::Silence, &Subject::incident(incident), self.places(), at)?;
        let Silence { id, reason, by, .. } = silence;
        let why = format!("silence {id} by {by}: {reason}");
        let until_ms = Some(self.silences().end_ms(silence));
        Some(Muted { from_opening, by_silence: Some(*id), by_inhibition: None, until_ms, why }.into())
    }

    /// The muting of an incident by an open one that explains it.
    fn explained(&self, incident: &Incident, at: EngineTime) -> Option<What> {
        let find = |rule: &Inhibition| {
            let causes = self.open_wide().filter(|cause| rule.explains(cause, incident, self.places()));
            causes.min_by_key(|cause| (cause.opened, cause.id)).map(|cause| inhibited(cause, at, rule.most_ms, true))
        };
        self.policy().opening.inhibitions.iter().find_map(find)
    }

    /// The muting of the open incidents that a cause explains.
    fn explained_by(&self, cause: &Incident, at: EngineTime) -> Vec<(Id, What)> {
        let mut found = BTreeMap::new();
        for rule in self.policy().opening.inhibitions.iter().filter(|rule| rule.is_cause(cause)) {
            let fits = |other: &&Incident| {
                other.is_open() && other.muted.is_none() && rule.explains(cause, other, self.places())
            };
            for other in self.open_incidents().filter(fits) {
                found.entry(other.id).or_insert_with(|| inhibited(cause, at, rule.most_ms, false));
            }
        }
        found.into_iter().collect()
    }

    /// The end of a muting, or the muting that takes its place.
    fn unmute(&self, incident: &Incident, now: EngineTime) -> Option<What> {
        let mute = incident.muted.as_ref()?;
        let silence = mute.by_silence.and_then(|id| self.silences().get(id));
        if silence.is_some_and(|silence| self.silences().is_in_force(silence, now)) {
            return None;
        }
        let cause = mute.by_inhibition.and_then(|id| self.incident(id));
        let is_in_force = |cause: &Incident| {
            let is_it = |rule: &Inhibition| rule.is_cause(cause) && rule.explains.contains(&incident.component);
            self.policy().opening.inhibitions.iter().any(is_it)
        };
        let is_explained = cause.is_some_and(is_in_force);
        if is_explained && mute.until_ms.is_none_or(|until| now.ms() < until) {
            return None;
        }
        Some(self.mute(incident, now, false).unwrap_or_else(|| Unmuted { why: format!("ended: {}", mute.why) }.into()))
    }
}

fn inhibited(cause: &Incident, at: EngineTime, most_ms: i64, from_opening: bool) -> What {
    let why = format!("incident {} ({}) explains it", cause.id, place(&cause.scope));
    let until_ms = Some(at.ms().saturating_add(most_ms));
    Muted { from_opening, by_silence: None, by_inhibition: Some(cause.id), until_ms, why }.into()
}

fn flaps(incident: &Incident, at: EngineTime, flapping: Flapping) -> Option<What> {
    let Flapping { cycles: least, window_ms, interval_ms } = flapping;
    let cycles = incident.flap.cycles(at, window_ms) as u32;
    let starts = incident.flap.since.is_none() && cycles >= least;
    starts.then(|| FlappingStarted { cycles, window_ms, interval_ms: Some(interval_ms) }.into())
}

fn calm_for(window_ms: i64) -> String {
    format!("recovered for {} in which its locks were heard", length(window_ms))
}

/// Whether a fault that came and went is gone for as long as cycles are counted, and its locks are heard.
fn is_calm(incident: &Incident, now: EngineTime, window_ms: i64, heard: &impl Fn(&str) -> Option<EngineTime>) -> bool {
    let since = now.ms().saturating_sub(window_ms);
    let is_heard = |lock: &String| heard(lock).is_some_and(|at| at.ms() > since);
    incident.flap.since.is_some()
        && incident.recovered.is_some_and(|at| at.ms() <= since)
        && incident.devices.iter().all(is_heard)
}

fn is_evidence(what: &What) -> bool {
    matches!(what, What::Opened(_) | What::EvidenceAdded(_))
}

fn is_of_the_work(what: &What) -> bool {
    matches!(what, What::StatusChanged(_) | What::Completed(_) | What::MergedInto(_) | What::Reopened(_))
}

#[cfg(test)]
#[path = "mute_tests.rs"]
mod tests;
