//! A version: whether it was rolled out lately, and whether it or its locks of one board @
use super::cause::{Cause, is_since};
use super::contrast::{AWAKE_MS, Affected};
use crate::anomaly::ScopeKind;
use crate::detect::running::Window;
use crate::fleet::{DeviceIx, Sym};
use crate::lock::Lock;
use crate::time::DAY_MS;

/// For so long after an update the update is the likeliest common cause. A guess: the time for which a rollout is
/// watched.
const UPDATED_MS: i64 = 30 * DAY_MS;
/// Probability that all locks of a version that show it have one board by chance, below which the board is part of the
/// cause. A guess.
const BOARD_CHANCE_MAX: f64 = 1e-3;

/// Whether most locks of a version were updated lately.
pub(super) fn is_rollout(cause: &Cause, window: Window<'_>) -> bool {
    let Window { now, locks, .. } = window;
    let members = || locks.iter().filter(|lock| now.ms() - lock.heard_ms < AWAKE_MS && cause.is_of(lock));
    let updated = |lock: &&Lock| lock.updated_ms.is_some_and(|at_ms| now.ms() - at_ms < UPDATED_MS);
    matches!(cause.kind, ScopeKind::Fw | ScopeKind::FwHw) && 2 * members().filter(updated).count() > members().count()
}

/// A version on one board revision alone is the cause only where the version's other boards had enough exposure to show
/// it; otherwise the version is.
pub(super) fn widen(cause: Cause, affected: &Affected, lock: &Lock, window: Window<'_>) -> Cause {
    if cause.kind != ScopeKind::FwHw {
        return cause;
    }
    let runs = |other: &&Lock| other.labels.fw == lock.labels.fw;
    let on_board = |other: &&Lock| runs(other) && other.labels.hw_rev == lock.labels.hw_rev;
    let (all, same) = (window.locks.iter().filter(runs).count(), window.locks.iter().filter(on_board).count());
    let shows = |(device, shown_ms): (&DeviceIx, &i64)| {
        let lock = &window.locks[device.0 as usize];
        runs(&lock) && is_since(cause.symptom, cause.kind, lock, *shown_ms)
    };
    let found = affected.iter().filter(|&of| shows(of)).count();
    let by_chance = libm::pow(same as f64 / all.max(1) as f64, found as f64);
    if by_chance < BOARD_CHANCE_MAX { cause } else { Cause { kind: ScopeKind::Fw, with: Sym::NONE, ..cause } }
}
