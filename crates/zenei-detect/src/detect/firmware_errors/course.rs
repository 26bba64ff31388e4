//! How the pasts of versions grow: by each hour, and by the history of each lock that is updated. Must not know a rule.
//! Called by `firmware_errors`.
use super::cells::{Cells, Quiet, Sums};
use super::groups::{RARE_PER_DAY, Rate};
use super::{FirmwareErrors, State};
use crate::fleet::Sym;

impl FirmwareErrors {
    /// Takes an hour of a code on the locks of each version under test, and on the locks that were not updated.
    pub(super) fn pass(&mut self, code: Sym, heard: &[usize], events: &[f64], cells: &Cells, quiet: &Quiet) {
        let clock = self.state.clocks.entry(code).or_default();
        let settled = heard.iter().filter(|&&at| !cells.tested[at]).map(|&at| events[at]).sum();
        clock.counts(Sums { events: settled, weight: quiet.settled });
        let pace = clock.pace();
        for (version, expected) in cells.versions.iter().zip(&quiet.versions) {
            let past = self.state.pasts.entry((version.fw, code)).or_default();
            for (&(_, board), split) in version.likes.iter().zip(&expected.all) {
                past.counts(board, Sums { events: 0.0, weight: pace * split.tested.weight });
            }
            for &at in heard.iter().filter(|&&at| cells.tested[at] && self.state.groups[at].fw == version.fw) {
                past.counts(self.state.groups[at].like.hw_rev, Sums { events: events[at], weight: 0.0 });
            }
        }
    }

    /// Adds the history of each lock that was updated to the past of its version: once for each version.
    pub(super) fn join_pasts(&mut self) {
        let State { lanes, groups, codes, rates, pasts, .. } = &mut self.state;
        for lane in lanes.iter_mut() {
            let Some(group) = lane.group.map(|group| groups[group as usize]).filter(|group| group.updated) else {
                continue;
            };
            let is_new = core::mem::replace(&mut lane.joined, lane.fw) != lane.fw;
            for &code in codes.iter() {
                let past = pasts.entry((lane.fw, code)).or_default();
                if !is_new && past.is_ready {
                    continue;
                }
                let own = lane.own(code);
                let rate = rates.get(&(group.like, code)).map_or(RARE_PER_DAY, Rate::per_day);
                let events = own.map_or(0.0, |count| f64::from(count.history));
                let weight = f64::from(lane.history_days) * rate * lane.propensity(own, rate);
                past.joins(group.like.hw_rev, Sums { events, weight });
            }
        }
        pasts.values_mut().for_each(|past| past.is_ready = true);
    }
}
