//! From the evidence about a version and a code to a finding, or to a decision why there is none. Must not know how
//! evidence adds up. Called by `firmware_errors`.
use super::FirmwareErrors;
use super::contrast::Contrast;
use super::past::Verdict;
use crate::anomaly::{DecisionReason, EVIDENCE_MAX, Evidence, Findings, Scope, ScopeKind};
use crate::detect::report::{self, Noted, REPEAT_MS, Seen, Shared};
use crate::fleet::{DeviceIx, Fleet, Sym};
use crate::lock::RecordRef;
use crate::time::DAY_MS;
use zenei_wire::EngineTime;

/// The share of its evidence that a finding must keep without the site of the largest excess and the locks that report
/// most. A guess.
const ROBUST_SHARE: f64 = 0.5;
/// A code has only changed its name where other codes went by this share of what it brought at least. A guess.
const RENAMED_SHARE: f64 = 0.5;
/// A code that is not reported at all has gone where so many reports were to be expected: by chance one time in twenty.
const SILENT_MIN: f64 = 3.0;
/// A threshold is below what was found.
const BELOW: f64 = 0.99;
/// A code is new where so little of what a version reports of it was to be expected. A guess.
const NEW_SHARE: f64 = 0.1;

/// What is known of a version and a code when it is judged.
struct Standing {
    evidence: f64,
    contrast: Contrast,
    board: Option<Sym>,
    /// Whether the locks' own past shows it more clearly than the other locks do.
    by_past: bool,
    is_sure: bool,
    locks: usize,
}

impl FirmwareErrors {
    pub(super) fn judge(&mut self, fw: Sym, code: Sym, now: EngineTime, fleet: &Fleet, findings: &mut Findings) {
        let Some(standing) = self.standing(fw, code) else { return };
        let ratio = standing.contrast.ratio();
        let refused = if standing.locks < self.params.min_locks {
            Some((DecisionReason::TooFewMatched, "too few locks report the code"))
        } else if ratio < self.params.min_ratio {
            Some((DecisionReason::BelowEffect, "the rate is above its peers' by less than the least effect"))
        } else if self.is_renamed(fw, code) {
            Some((DecisionReason::Unconfirmed, "about as many reports of other codes have gone: a code has a new name"))
        } else if !standing.is_sure {
            Some((DecisionReason::Unconfirmed, "one site or a few locks make most of the difference"))
        } else {
            None
        };
        let Some(case) = self.state.cases.get_mut(&(fw, code)) else { return };
        let version = fleet.word(fw).unwrap_or("unknown");
        let board = case.named.unwrap_or(standing.board);
        let scope = match board.and_then(|board| fleet.word(board)) {
            Some(board) => Scope { kind: ScopeKind::FwHw, value: format!("{version}+{board}") },
            None => Scope { kind: ScopeKind::Fw, value: version.to_owned() },
        };
        if let Some((reason, why)) = refused {
            if !core::mem::replace(&mut case.noted, true) {
                let why = format!("{}: {why}", fleet.word(code).unwrap_or("unknown"));
                let noted = Noted { reason, value: ratio, threshold: self.params.min_ratio, unit: "ratio", why };
                findings.decisions.push(report::decision(&self.rule, scope, noted, now));
            }
            return;
        }
        // Reported again while it grows.
        let has_grown = case.alarm.is_none_or(|(_, before)| standing.evidence > before);
        let due = has_grown && report::is_due(case.alarm.map(|(at_ms, _)| at_ms), now, REPEAT_MS);
        if due {
            case.alarm = Some((now.ms(), standing.evidence));
            case.named = Some(board);
            self.report((fw, code), scope, &standing, now, fleet, findings);
        }
    }

    /// `None` where the evidence is below the limit.
    fn standing(&self, fw: Sym, code: Sym) -> Option<Standing> {
        let limit = self.params.limit;
        let dispersion = self.dispersion(code);
        let case = self.state.cases.get(&(fw, code))?;
        let clock = self.state.clocks.get(&code).copied().unwrap_or_default();
        // A part that wears, and a battery that empties, get worse by themselves, and one such lock reports for many:
        // the own past is no contrast, and each lock counts once.
        let worn = self.state.wears.contains(&code);
        let past = self.state.pasts.get(&(fw, code)).filter(|_| !worn);
        let past = past.map(|past| past.verdict(&clock, dispersion));
        let before = past.map_or(0.0, |past: Verdict| past.evidence);
        if case.all.most().max(case.within.most()).max(before) < limit {
            return None;
        }
        let (all, within) = (case.all.log_evidence(), case.within.log_evidence());
        if all.max(within).max(before) < limit {
            return None;
        }
        let robust = |of: Contrast, alone: bool| {
            case.without_loudest(of, worn).map_or(alone, |rest| rest.evidence(dispersion) >= ROBUST_SHARE * limit)
        };
        let by_others = (within >= limit && !worn) || (all.max(within) >= limit && robust(case.contrast(), false));
        let by_past = past.filter(|past| past.evidence >= limit && (!by_others || past.evidence > all.max(within)));
        let (contrast, board) = by_past.map_or((case.contrast(), case.board()), |past| (past.contrast, past.board));
        let is_sure = by_others || by_past.is_some_and(|past| robust(past.contrast, true));
        let (evidence, by_past) = (all.max(within).max(before), by_past.is_some());
        Some(Standing { evidence, contrast, board, by_past, is_sure, locks: case.locks.len() })
    }

    pub(super) fn dispersion(&self, code: Sym) -> f64 {
        self.state.dispersion.get(&code).copied().unwrap_or(1.0).max(1.0)
    }

    /// Whether a code that was hardly known before came about as much as other codes of the version went.
    fn is_renamed(&self, fw: Sym, code: Sym) -> bool {
        let of_version = self.state.pasts.range((fw, Sym::NONE)..=(fw, Sym(u32::MAX)));
        let (mut came, mut gone) = (0.0, 0.0);
        for (&(_, other), past) in of_version {
            let clock = self.state.clocks.get(&other).copied().unwrap_or_default();
            let (events, expected) = past.change(&clock);
            if other == code {
                // What it brought at least, by two standard deviations.
                let sure = events - expected - 2.0 * libm::sqrt(events);
                came = if expected <= NEW_SHARE * events { sure.max(1.0) } else { 0.0 };
            } else if expected - events > 2.0 * libm::sqrt(expected) || (events == 0.0 && expected >= SILENT_MIN) {
                // Two standard deviations of a Poisson count, or a code that is never reported any more.
                gone += expected - events;
            }
        }
        came > 0.0 && gone >= RENAMED_SHARE * came
    }

    fn report(
        &self,
        key: (Sym, Sym),
        scope: Scope,
        standing: &Standing,
        now: EngineTime,
        fleet: &Fleet,
        findings: &mut Findings,
    ) {
        let Some(case) = self.state.cases.get(&key) else { return };
        let code = fleet.word(key.1).unwrap_or("unknown");
        let of = |(&device, &(_, record)): (&DeviceIx, &(u32, RecordRef))| report::evidence(device, fleet, [record]);
        let evidence: Vec<Evidence> = case.locks.iter().take(EVIDENCE_MAX).flat_map(of).collect();
        let window_ms = now.ms() - case.started_ms;
        let days = case.lock_days.max(case.locks.len() as f64 * window_ms as f64 / DAY_MS as f64);
        let value = standing.contrast.tested.events / days;
        let ratio = standing.contrast.ratio();
        let baseline = value / ratio;
        let least = standing.contrast.least_ratio(self.params.limit, self.dispersion(key.1));
        let than = if standing.by_past {
            "of the same locks before their update, as the times are"
        } else {
            "of like locks on other versions at the same time"
        };
        let why = format!(
            "{code} on firmware {}: {value:.3} a lock-day against {baseline:.3} expected {than} ({ratio:.2} times), \
             {} locks; evidence e^{:.1}, limit e^{:.1}",
            scope.value,
            case.locks.len(),
            standing.evidence,
            self.params.limit,
        );
        let seen = Seen {
            value,
            baseline,
            // Several contrasts together can reach the limit where this one alone is just below it.
            threshold: baseline * least.max(self.params.min_ratio).min(BELOW * ratio),
            unit: &format!("{code}/lock-day"),
            since_ms: case.started_ms,
            confidence: report::confidence(standing.evidence, self.params.limit),
            why,
        };
        let of = Shared { scope, domain: self.rule.domain, component: self.rule.component };
        findings.anomalies.extend(report::shared(&self.rule, of, seen, evidence, now));
    }
}
