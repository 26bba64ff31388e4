//! Requests counted by what they have in common. Must not know a detector. Called by `requests`, `watch` and `judge`.
use crate::anomaly::ScopeKind;
use crate::batch::Labels;
use crate::fleet::Sym;
use serde::{Deserialize, Serialize};

/// A client version or a service.
pub(super) type Value = (ScopeKind, Sym);

/// What requests have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) service: Sym,
    pub(super) client: Sym,
    pub(super) fw: Sym,
    pub(super) gw: Sym,
}

impl Cell {
    pub(super) fn of(labels: &Labels) -> Self {
        let &Labels { service, client_version: client, fw, gw, .. } = labels;
        Self { service, client, fw, gw }
    }
}

/// Requests, failed ones, and how many of them were expected to fail.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) requests: f64,
    pub(super) failed: f64,
    pub(super) expected: f64,
}

impl Count {
    /// How many may fail where so large a share more than expected is none of interest.
    pub(super) fn allowed(&self, least_excess: f64) -> f64 {
        self.expected + least_excess * self.requests
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.failed += more.failed;
        self.expected += more.expected;
    }
}
