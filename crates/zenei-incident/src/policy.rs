//! The policy of a desk: how urgent something is, whether it opens an incident, and why. One judgement (共通化) for the
//! detector's findings and for people who triage an inquiry. Must not know the casebook or where its files are. Called
//! by the casebook and by the command `triage`.
use crate::incident::{Incident, Refused};
use crate::kinds::{Ground, RunbookStepDone};
use crate::opening::{Follows, OpenDecision, OpeningTable};
use crate::places::Places;
use crate::runbook::{Runbook, Runbooks};
use crate::services::{Person, Services};
use crate::stage::RUNBOOK_BY;
use crate::urgency::{Assessment, Facts, UrgencyTable};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::Anomaly;
use zenei_detect::toml_place::TomlError;

/// The tables of a desk.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How soon a person must act (緊急度判断).
    pub urgency: UrgencyTable,
    /// When an incident is opened (起票条件).
    pub opening: OpeningTable,
    /// Which service a lock belongs to, and who is invited (ステークホルダー).
    pub services: Services,
    /// What to do about which incidents (手順書).
    pub runbooks: Runbooks,
}

/// The files of a policy, as name for people and text; an absent one is the default in the program.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The urgency table.
    pub urgency: Option<(String, String)>,
    /// The opening conditions.
    pub opening: Option<(String, String)>,
    /// The services and people.
    pub services: Option<(String, String)>,
    /// The runbooks, in place of all in the program.
    pub runbooks: Option<Vec<(String, String)>>,
}

/// What follows from facts: the level, and whether an incident is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// The level, with the rule that gave it and its ground.
    pub urgency: Assessment,
    /// The version of the urgency table.
    pub table_version: u32,
    /// Whether an incident is opened, and why.
    pub opening: OpenDecision,
}

const URGENCY: (&str, &str) = ("defaults/urgency.toml", include_str!("../defaults/urgency.toml"));
const OPENING: (&str, &str) = ("defaults/opening.toml", include_str!("../defaults/opening.toml"));
const SERVICES: (&str, &str) = ("defaults/services.toml", include_str!("../defaults/services.toml"));

const RUNBOOKS: [(&str, &str); 3] = [
    ("defaults/runbooks/battery.toml", include_str!("../defaults/runbooks/battery.toml")),
    ("defaults/runbooks/firmware.toml", include_str!("../defaults/runbooks/firmware.toml")),
    ("defaults/runbooks/gateway.toml", include_str!("../defaults/runbooks/gateway.toml")),
];

impl Default for Policy {
    /// The tables in the program. A test reads each of them without an error.
    fn default() -> Self {
        let services = Services::read(SERVICES.0, SERVICES.1).unwrap_or_default();
        let runbooks = Runbooks::read(RUNBOOKS, &services).unwrap_or_default();
        let urgency = UrgencyTable::read(URGENCY.0, URGENCY.1).unwrap_or_default();
        Self { urgency, opening: OpeningTable::read(OPENING.0, OPENING.1).unwrap_or_default(), services, runbooks }
    }
}

impl Policy {
    /// The policy of these files.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(texts: &Texts) -> Result<Self, Vec<TomlError>> {
        let urgency = given(texts.urgency.as_ref(), URGENCY, UrgencyTable::read);
        let opening = given(texts.opening.as_ref(), OPENING, OpeningTable::read);
        let services = given(texts.services.as_ref(), SERVICES, Services::read);
        let runbooks = |services: &Services| match &texts.runbooks {
            Some(files) => Runbooks::read(files.iter().map(|(file, text)| (file.as_str(), text.as_str())), services),
            // Ours name no service and no person: they fit any table.
            None => Runbooks::read(RUNBOOKS, services),
        };
        // Without a table of services every name in a runbook would be unknown: they are read once it is good.
        let both = services.and_then(|services| runbooks(&services).map(|runbooks| (services, runbooks)));
        match (urgency, opening, both) {
            (Ok(urgency), Ok(opening), Ok((services, runbooks))) => Ok(Self { urgency, opening, services, runbooks }),
            (urgency, opening, both) => {
                Err([urgency.err(), opening.err(), both.err()].into_iter().flatten().flatten().collect())
            }
        }
    }

    /// The people who are invited to this incident, by id: the stakeholders, and those whom the runbook names.
    pub fn invitees(&self, incident: &Incident) -> Vec<&Person> {
        let stakeholders = self.services.invitees(incident.service.as_deref(), incident.domain, incident.urgency);
        let attached = incident.runbook_attached.as_ref().and_then(|(id, _)| self.runbooks.get(id));
        let invite = attached.or_else(|| self.runbook_of(incident)).map_or(&[][..], |book| &book.invite);
        let named = invite.iter().flat_map(|word| self.services.named(word));
        let all: BTreeMap<&str, &Person> =
            stakeholders.into_iter().chain(named).map(|person| (person.id.as_str(), person)).collect();
        all.into_values().collect()
    }

    /// The runbook for an incident as it stands; the one that was attached at its opening may be another.
    pub fn runbook_of(&self, incident: &Incident) -> Option<&Runbook> {
        self.runbooks.of(incident.service.as_deref(), incident.domain, incident.component, &incident.rule)
    }

    /// The level of facts that a person gives, and whether they would open an incident.
    ///
    /// # Errors
    /// A figure that can't be true, or a service that no lock can be of; with what is allowed.
    pub fn asked(&self, facts: &Facts, places: &Places) -> Result<Judged, String> {
        facts.check()?;
        let known: BTreeSet<&str> = self.services.ids().chain(places.services()).collect();
        if let Some(id) = facts.service.as_deref().filter(|id| !known.contains(id)) {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!("service is {id:?}, which no lock is of; allowed are {known}"));
        }
        Ok(self.triage(facts))
    }

    /// The level of these facts, and whether they open an incident.
    pub fn triage(&self, facts: &Facts) -> Judged {
        let urgency = self.urgency.assess(facts);
        let opening = self.opening.decide(facts, urgency.level);
        Judged { urgency, table_version: self.urgency.version, opening }
    }
}

impl Judged {
    /// Whether an incident is opened.
    pub fn opens(&self) -> bool {
        self.opening.follows == Follows::Open
    }

    /// What an event keeps of it, so that a later table changes no old decision.
    pub fn ground(&self) -> Ground {
        let reason_ja = Some(self.urgency.reason_ja.clone());
        Ground { table_version: self.table_version, rule: self.urgency.rule.clone(), reason_ja }
    }
}

/// The table of the file that was given, or of the one in the program.
fn given<T>(
    file: Option<&(String, String)>,
    ours: (&str, &str),
    read: fn(&str, &str) -> Result<T, Vec<TomlError>>,
) -> Result<T, Vec<TomlError>> {
    match file {
        Some((file, text)) => read(file, text),
        None => read(ours.0, ours.1),
    }
}

/// Whether a step of the attached runbook can be done now.
pub(crate) fn check_step(policy: &Policy, incident: &Incident, done: &RunbookStepDone) -> Result<(), Refused> {
    let refused = |why: String| Err(Refused::RunbookStep { step: done.step.clone(), why });
    let Some((id, _)) = &incident.runbook_attached else {
        return refused("no runbook is attached to the incident".to_owned());
    };
    let Some(book) = policy.runbooks.get(id) else {
        return refused(format!("the runbook {id} is no longer among the configured ones"));
    };
    if incident.steps_done.contains(&done.step) {
        return refused("it is done already".to_owned());
    }
    if done.by.starts_with(RUNBOOK_BY) {
        return Ok(());
    }
    let Some(step) = book.step(&done.step) else {
        let steps = book.steps.iter().map(|step| step.id.as_str()).collect::<Vec<_>>().join(", ");
        return refused(format!("the runbook {id} has no such step; allowed are {steps}"));
    };
    let missing: Vec<&str> = step.after.difference(&incident.steps_done).map(String::as_str).collect();
    if missing.is_empty() { Ok(()) } else { refused(format!("it comes after {}", missing.join(", "))) }
}

/// The facts of a finding about locks of this service.
pub fn facts_of(anomaly: &Anomaly, service: Option<String>) -> Facts {
    let locks = anomaly.evidence.iter().map(|record| &record.device_id).collect::<BTreeSet<_>>().len();
    Facts {
        hint: Some(anomaly.urgency),
        scope: Some(anomaly.scope.kind),
        locks,
        domain: Some(anomaly.domain),
        component: Some(anomaly.component),
        service,
        records: anomaly.evidence.len(),
        observed_ms: anomaly.window_ms.max(span_ms(anomaly)),
        ..Facts::default()
    }
}

fn span_ms(anomaly: &Anomaly) -> i64 {
    let times = || anomaly.evidence.iter().map(|record| record.ts_ms);
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => last.saturating_sub(first),
        (None, _) | (_, None) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::Urgency;
    use zenei_kit::anomaly;

    #[test]
    fn the_tables_in_the_program_are_good() {
        assert_eq!(Policy::read(&Texts::default()), Ok(Policy::default()));
        assert_eq!(Policy::default().urgency.label, "zenei default");
    }

    #[test]
    fn a_finding_and_a_report_of_the_same_facts_are_judged_alike() {
        let policy = Policy::default();
        let facts = facts_of(&anomaly("motor_effort", "A", 5), None);
        let json = serde_json::to_string(&facts).unwrap();
        let judged = policy.triage(&serde_json::from_str(&json).unwrap());
        assert_eq!(judged, policy.triage(&facts));
        assert_eq!((judged.urgency.level, judged.opens()), (Urgency::High, true));
        let reason_ja = Some("検知ルールの緊急度は高、影響する錠は1台".into());
        assert_eq!(judged.ground(), Ground { table_version: 1, rule: "hint".into(), reason_ja });
    }

    #[test]
    fn the_errors_of_all_files_are_told_together() {
        let bad = |name: &str| Some((name.to_owned(), "versoin = 1".to_owned()));
        let errors = Policy::read(&Texts {
            urgency: bad("u.toml"),
            opening: bad("o.toml"),
            services: bad("s.toml"),
            runbooks: None,
        })
        .unwrap_err();
        assert_eq!(errors.iter().map(|error| error.file.as_str()).collect::<Vec<_>>(), ["u.toml", "o.toml", "s.toml"]);
    }

    #[test]
    fn a_changed_table_leaves_the_ground_of_an_old_decision() {
        let changed = URGENCY.1.replace("version = 1", "version = 2").replace("level = \"hint\"", "level = \"low\"");
        let urgency = Some(("u.toml".to_owned(), changed));
        let new = Policy::read(&Texts { urgency, ..Texts::default() }).unwrap();
        let facts = facts_of(&anomaly("motor_effort", "A", 5), None);
        let old = Policy::default().triage(&facts);
        let stored = serde_json::to_string(&old.ground()).unwrap();
        let judged = new.triage(&facts);
        assert_eq!((judged.urgency.level, judged.ground().table_version), (Urgency::Low, 2));
        assert_eq!(serde_json::from_str::<Ground>(&stored).unwrap(), old.ground());
        let oldest = Ground { reason_ja: None, ..old.ground() };
        assert_eq!(serde_json::from_str::<Ground>(r#"{"table_version":1,"rule":"hint"}"#).unwrap(), oldest);
    }
}
