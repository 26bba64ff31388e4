//! How the work on one incident went, from its events alone: the six stages with the time in each, the times to detect,
//! acknowledge, isolate, fix and resolve, and how much of the handling a machine did. Must not know the incident's
//! state. Nothing shows it yet but its tests.
//!
//! | stage | ends with |
//! |---|---|
//! | 検知 detection | `opened` |
//! | 分類&優先度判断 triage | `acknowledged`, or the status `investigating` |
//! | 解析 analysis | the first action item, or the status `fixing` |
//! | 対策検討 planning | the status `fixing` |
//! | 対策実施 fix | `temp_fix_done`, or the status `resolved` |
//! | 振り返り review | `completed`, or `merged_into` |
//!
//! A later boundary ends the stages before it too, with no time in those that were skipped. Opening again leads back to
//! analysis. Which event ends which stage is our reading of the stages' names.
use crate::event::{Event, Status, StatusChanged, What, Work};
use serde::Serialize;
use std::collections::BTreeMap;
use zenei_wire::EngineTime;

/// The prefix of `by` where a runbook, not a person, changed something: `runbook:` and its id.
pub const RUNBOOK_BY: &str = "runbook:";

zenei_wire::words! {
    /// The stages of the work, in their order.
    Stage {
        /// 検知: until the incident is open.
        Detection = "detection",
        /// 分類&優先度判断: until a person takes it.
        Triage = "triage",
        /// 解析: until countermeasures are discussed.
        Analysis = "analysis",
        /// 対策検討: until one is chosen.
        Planning = "planning",
        /// 対策実施: until the temporary fix is done.
        Fix = "fix",
        /// 振り返り: until completion.
        Review = "review",
    }
}

impl Stage {
    /// Its name in Japanese.
    pub const fn name_ja(self) -> &'static str {
        match self {
            Self::Detection => "検知",
            Self::Triage => "分類&優先度判断",
            Self::Analysis => "解析",
            Self::Planning => "対策検討",
            Self::Fix => "対策実施",
            Self::Review => "振り返り",
        }
    }
}

/// How the work on an incident went. All times in ms; `None` where it did not come to that, or the onset is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Course {
    /// The present stage; `None` once it is over.
    pub stage: Option<Stage>,
    /// The time in each stage that ended or is present.
    pub in_stage_ms: BTreeMap<Stage, i64>,
    /// TTD: from the onset to the opening.
    pub detect_ms: Option<i64>,
    /// TTA: from the opening to the acknowledgement.
    pub acknowledge_ms: Option<i64>,
    /// TTI: from the opening to the start of the fix, when the cause is known.
    pub isolate_ms: Option<i64>,
    /// TTF: from the opening to the temporary fix.
    pub fix_ms: Option<i64>,
    /// TTR: from the opening to the last time at which it was resolved or completed; `None` while it is open.
    pub resolve_ms: Option<i64>,
    /// The minutes spent.
    pub effort_min: BTreeMap<Work, u64>,
    /// Steps of people.
    pub manual: u32,
    /// Steps of a machine; findings are no steps.
    pub automatic: u32,
}

impl Course {
    /// The course of these events, which are one incident's whole log, until `now`. `onset` is the estimate of when the
    /// fault began.
    pub fn of(events: &[Event], onset: Option<EngineTime>, now: EngineTime) -> Self {
        let mut course = Self::default();
        let Some(opened) = events.first() else { return course };
        let since_opening = |at: EngineTime| Some(at.ms().saturating_sub(opened.at.ms()).max(0));
        course.detect_ms = onset.and_then(|onset| opened.at.ms().checked_sub(onset.ms())).map(|ms| ms.max(0));
        course.in_stage_ms.extend(course.detect_ms.map(|ms| (Stage::Detection, ms)));
        let mut since = opened.at;
        course.stage = Some(Stage::Triage);
        for event in events {
            let goes_to = boundary(&event.what, course.stage);
            if goes_to != course.stage {
                course.spend(since, event.at);
                (course.stage, since) = (goes_to, event.at.max(since));
            }
            course.count(&event.what);
            if matches!(event.what, What::Acknowledged(_)) {
                course.acknowledge_ms = course.acknowledge_ms.or_else(|| since_opening(event.at));
            } else if let What::StatusChanged(StatusChanged { to: Status::Fixing, .. }) = &event.what {
                course.isolate_ms = course.isolate_ms.or_else(|| since_opening(event.at));
            } else if matches!(event.what, What::TempFixDone(_)) {
                course.fix_ms = course.fix_ms.or_else(|| since_opening(event.at));
            } else if matches!(event.what, What::Reopened(_)) {
                course.resolve_ms = None;
            }
            if is_end(&event.what) {
                course.resolve_ms = course.resolve_ms.or_else(|| since_opening(event.at));
            }
        }
        course.spend(since, now);
        course
    }

    /// The share of steps that a machine took, 0 to 1; `None` where there were none.
    pub fn automation(&self) -> Option<f64> {
        let all = self.manual + self.automatic;
        (all > 0).then(|| f64::from(self.automatic) / f64::from(all))
    }

    fn spend(&mut self, since: EngineTime, until: EngineTime) {
        if let Some(stage) = self.stage {
            *self.in_stage_ms.entry(stage).or_default() += until.ms().saturating_sub(since.ms()).max(0);
        }
    }

    fn count(&mut self, what: &What) {
        if let What::EffortAdded(added) = what {
            *self.effort_min.entry(added.work).or_default() += u64::from(added.minutes);
        }
        match by_person(what) {
            Some(true) => self.manual += 1,
            Some(false) => self.automatic += 1,
            None => {}
        }
    }
}

/// The stage after this event.
fn boundary(what: &What, stage: Option<Stage>) -> Option<Stage> {
    let target = if let What::StatusChanged(StatusChanged { to, .. }) = what {
        match to {
            Status::Detected => return stage,
            Status::Investigating => Stage::Analysis,
            Status::Fixing => Stage::Fix,
            Status::Resolved | Status::Close => Stage::Review,
        }
    } else if matches!(what, What::Acknowledged(_)) {
        Stage::Analysis
    } else if matches!(what, What::ActionItemAdded(_)) {
        Stage::Planning
    } else if matches!(what, What::TempFixDone(_)) {
        Stage::Review
    } else if matches!(what, What::Reopened(_)) {
        return Some(Stage::Analysis);
    } else if matches!(what, What::Completed(_) | What::MergedInto(_)) {
        return None;
    } else {
        return stage;
    };
    stage.map(|stage| stage.max(target))
}

fn is_end(what: &What) -> bool {
    let is_resolved = matches!(what, What::StatusChanged(StatusChanged { to: Status::Resolved, .. }));
    is_resolved || matches!(what, What::Completed(_) | What::MergedInto(_))
}

/// Whether a person took this step, or a machine did; `None` for findings and for what no version here knows.
fn by_person(what: &What) -> Option<bool> {
    let is_person = |by: &str| Some(!by.starts_with(RUNBOOK_BY));
    match what {
        What::Opened(_) | What::EvidenceAdded(_) | What::TelemetryRecovered(_) | What::Other { .. } => None,
        What::UrgencyChanged(changed) => changed.by.as_deref().map_or(Some(false), is_person),
        What::StatusChanged(changed) => is_person(&changed.by),
        What::Note(note) => is_person(&note.by),
        What::TempFixDone(done) => is_person(&done.by),
        What::InquiryLinked(_) | What::ChannelOpened(_) | What::Invited(_) | What::RunbookAttached(_) => Some(false),
        What::FlappingStarted(_) | What::FlappingEnded(_) | What::SimilarFound(_) => Some(false),
        What::Muted(_) | What::Unmuted(_) | What::DeliveryFailed(_) | What::DeliveryDuplicated(_) => Some(false),
        What::Acknowledged(_) | What::OwnerAssigned(_) | What::DomainChanged(_) | What::InquiryUnlinked(_) => {
            Some(true)
        }
        What::PostmortemScheduled(_) | What::PostmortemHeld(_) | What::Judged(_) | What::Completed(_) => Some(true),
        What::MergedInto(_) | What::Reopened(_) | What::RunbookStepDone(_) => Some(true),
        What::ActionItemAdded(_) | What::ActionItemChanged(_) | What::EffortAdded(_) => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Acknowledged, ActionItemAdded, ActionKind, Completed, EffortAdded, Reopened, TempFixDone};
    use zenei_wire::Id;

    fn by() -> String {
        "sato".into()
    }

    fn status(to: Status) -> What {
        StatusChanged { to, by: by() }.into()
    }

    fn item() -> What {
        let (item, text) = ("1".into(), "grease".into());
        ActionItemAdded { item, text, kind: ActionKind::Fix, owner: None, due_ms: None, by: by() }.into()
    }

    /// Each step with its minute; the log begins with a note in the place of `opened`, whose content does not matter.
    fn course(steps: &[(i64, What)], now_min: i64) -> Course {
        let opened = (10, What::Other { kind: "opened".into(), body: "{}".into() });
        let steps = std::iter::once(&opened).chain(steps).enumerate();
        let event = |(seq, (at_min, what)): (usize, &(i64, What))| Event {
            incident: Id(1),
            seq: seq as u32,
            at: EngineTime(at_min * 60_000),
            what: what.clone(),
        };
        let events: Vec<Event> = steps.map(event).collect();
        Course::of(&events, Some(EngineTime(0)), EngineTime(now_min * 60_000))
    }

    fn minutes(course: &Course) -> Vec<(&'static str, i64)> {
        course.in_stage_ms.iter().map(|(stage, ms)| (stage.as_str(), ms / 60_000)).collect()
    }

    #[test]
    fn the_six_stages_and_the_five_times_follow_from_the_events() {
        let done = course(
            &[
                (15, Acknowledged { by: by() }.into()),
                (40, item()),
                (50, status(Status::Fixing)),
                (90, TempFixDone { by: by() }.into()),
                (91, status(Status::Resolved)),
                (200, EffortAdded { minutes: 45, work: Work::Investigation, by: by() }.into()),
                (500, Completed { by: by() }.into()),
            ],
            900,
        );
        let expected =
            [("detection", 10), ("triage", 5), ("analysis", 25), ("planning", 10), ("fix", 40), ("review", 410)];
        assert_eq!(minutes(&done), expected);
        let times = [done.detect_ms, done.acknowledge_ms, done.isolate_ms, done.fix_ms, done.resolve_ms];
        assert_eq!(times.map(|ms| ms.map(|ms| ms / 60_000)), [10, 5, 40, 80, 81].map(Some));
        assert_eq!((done.stage, done.effort_min[&Work::Investigation]), (None, 45));
    }

    #[test]
    fn a_skipped_stage_has_no_time_and_opening_again_leads_back_to_analysis() {
        let again = Reopened { reason: "it is back".into(), by: by() }.into();
        let found = course(&[(20, status(Status::Resolved)), (50, again)], 60);
        assert_eq!(minutes(&found), [("detection", 10), ("triage", 10), ("analysis", 10), ("review", 30)]);
        assert_eq!((found.stage, found.resolve_ms), (Some(Stage::Analysis), None));
    }

    #[test]
    fn what_a_runbook_did_is_no_work_of_people() {
        let by_runbook = StatusChanged { to: Status::Investigating, by: format!("{RUNBOOK_BY}battery") };
        let found = course(&[(20, by_runbook.into()), (21, Acknowledged { by: by() }.into())], 30);
        assert_eq!((found.manual, found.automatic, found.automation()), (1, 1, Some(0.5)));
        assert_eq!(course(&[], 30).automation(), None);
    }
}
