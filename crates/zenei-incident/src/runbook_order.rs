//! Whether the steps of a runbook can be done in some order, and whether each can set its status: unknown steps,
//! circles and statuses that can't be reached are errors with their places. Must not know what a step does. Called by
//! [`crate::runbook`], which reads the files.
use crate::kinds::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use zenei_detect::toml_place::Reader;

/// A step as its file has it.
pub(crate) struct Node {
    /// Its id.
    pub(crate) id: String,
    /// Where its id stands.
    pub(crate) span: Range<usize>,
    /// The steps that come before it, and where the file says so.
    pub(crate) after: Vec<(String, Range<usize>)>,
    /// The status that it sets, and where the file says so.
    pub(crate) status: Option<(Status, Range<usize>)>,
}

/// Adds what is wrong with the order of these steps.
pub(crate) fn check(toml: &mut Reader<'_>, nodes: &[Node]) {
    let by_id: BTreeMap<&str, &Node> = nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut is_good = true;
    for (after, span) in nodes.iter().flat_map(|node| &node.after) {
        if !by_id.contains_key(after.as_str()) {
            let allowed = by_id.keys().copied().collect::<Vec<_>>().join(", ");
            toml.error(span, "step.after", format!("found {after:?}; allowed are the steps {allowed}"));
            is_good = false;
        }
    }
    for node in nodes {
        if before(node, &by_id).contains(node.id.as_str()) {
            let problem =
                format!("the step {:?} comes after itself; the steps in that circle can never be done", node.id);
            toml.error(&node.span, "step.after", problem);
            is_good = false;
        }
    }
    if is_good {
        nodes.iter().for_each(|node| status(toml, node, &by_id));
    }
}

/// Every step that must be done before this one; itself too where it is part of a circle.
fn before<'n>(node: &'n Node, by_id: &BTreeMap<&str, &'n Node>) -> BTreeSet<&'n str> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![node]);
    while let Some(next) = waiting.pop() {
        for (id, _) in &next.after {
            if found.insert(id.as_str()) {
                waiting.extend(by_id.get(id.as_str()));
            }
        }
    }
    found
}

/// A status that an earlier step has passed can't be reached: it would lead back.
fn status(toml: &mut Reader<'_>, node: &Node, by_id: &BTreeMap<&str, &Node>) {
    let Some((status, span)) = &node.status else { return };
    let set =
        |id: &&str| by_id.get(id).and_then(|before| before.status.as_ref()).map(|(set, _)| (*set, id.to_string()));
    let Some((furthest, by)) = before(node, by_id).iter().filter_map(set).max() else { return };
    let why = match furthest.cmp(status) {
        std::cmp::Ordering::Less => return,
        std::cmp::Ordering::Equal => format!("the step {by:?} before it sets the same"),
        std::cmp::Ordering::Greater => format!("the step {by:?} before it sets {furthest}, and no step leads back"),
    };
    toml.error(span, "step.on_done.status", format!("found \"{status}\", which can't be reached: {why}"));
}
