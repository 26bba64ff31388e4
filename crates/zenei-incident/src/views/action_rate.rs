//! V5 アクションアイテム実施率: how many action items are done, by what they are for? Must not know who does them. Called by
//! the desk's HTTP API.
use super::share::Share;
use crate::event::{ActionKind, ActionStatus};
use crate::incident::Incident;
use serde::Serialize;
use zenei_wire::EngineTime;

/// The action items of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ActionRate {
    /// What they are for.
    pub kind: ActionKind,
    /// The closed ones, of all that were not skipped.
    pub closed: Share,
    /// Those that people decided against.
    pub skipped: u64,
    /// The open ones whose date has passed.
    pub overdue: u64,
}

/// The figure, every kind in the order of [`ActionKind::ALL`].
pub fn action_rate<'a>(incidents: impl IntoIterator<Item = &'a Incident>, now: EngineTime) -> Vec<ActionRate> {
    let empty = |&kind: &ActionKind| ActionRate { kind, closed: Share::default(), skipped: 0, overdue: 0 };
    let mut found: Vec<ActionRate> = ActionKind::ALL.iter().map(empty).collect();
    for item in incidents.into_iter().flat_map(|incident| incident.action_items.values()) {
        let Some(of) = found.get_mut(usize::from(item.kind.place())) else { continue };
        match item.status {
            ActionStatus::Open => {
                of.closed.count(false);
                of.overdue += u64::from(item.due_ms.is_some_and(|due| due < now.ms()));
            }
            ActionStatus::Closed => of.closed.count(true),
            ActionStatus::Skipped => of.skipped += 1,
        }
    }
    found
}
