//! What a rule found in a state directory, against what its budget allows for the time for which locks were watched
//! there. Reads the control database; must not write. Called by `rules explain`.
use crate::exit::Failure;
use crate::output::Output;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use zenei_desk::IncidentLog;
use zenei_desk::spending::{self, Spending};
use zenei_detect::{DecisionReason, Rule, Rules};
use zenei_store::control::Tally;
use zenei_store::{Control, ControlError, Layout};

/// What the rule found, did not open, and spent.
pub(super) struct Spent {
    dir: String,
    lock_days: u64,
    found: u64,
    refused: Vec<(DecisionReason, u64)>,
    /// Absent where the rule is not in force.
    spending: Option<Spending>,
}

/// Reads it.
///
/// # Errors
/// Where there is no such database, or it can't be read.
pub(super) fn read(dir: &Path, rules: &Rules, rule: &Rule) -> Result<Spent, Failure> {
    let path = Layout::new(dir).control();
    if !path.is_file() {
        return Err(Failure::Usage(format!("{} is no state directory: it has no control database", dir.display())));
    }
    let broken = |error: ControlError| Failure::broken("the control database can't be read", error);
    let control = Control::open_read_only(&path).map_err(broken)?;
    let mut tally = Tally::default();
    control.tally(&mut tally).map_err(broken)?;
    let log = IncidentLog::read(&control, Arc::default())
        .map_err(|error| Failure::broken("the log of the incidents can't be read", error))?;
    let here = control.checkpoint().map_err(broken)?.unwrap_or_default().ledger.lock_days;
    let tail = control.tail().map_err(broken)?.unwrap_or_default().lock_days;
    let lock_days = here.max(tail);
    let spending = spending::of(rules, &log.book, lock_days).into_iter().find(|one| one.rule == rule.id);
    let refused = DecisionReason::ALL.iter().map(|&reason| (reason, tally.refused(&rule.id, reason)));
    Ok(Spent {
        dir: dir.display().to_string(),
        lock_days,
        found: tally.findings.get(&rule.id).copied().unwrap_or(0),
        refused: refused.filter(|(_, count)| *count > 0).collect(),
        spending,
    })
}

impl Spent {
    pub(super) fn tell(&self, out: &mut Output<'_>) -> Result<(), Failure> {
        let years = spending::device_years(self.lock_days);
        out.line(format!("  watched    {years:.2} device-years in {}", self.dir))?;
        out.line(format!("    found    {} findings", self.found))?;
        if !self.refused.is_empty() {
            let refused: Vec<String> = self.refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            out.line(format!("    refused  {}", refused.join(", ")))?;
        }
        let Some(one) = &self.spending else { return Ok(()) };
        out.line(format!(
            "    opened   {} incidents: {} judged a false positive, {} not judged",
            one.opened, one.falsely, one.unjudged
        ))?;
        let over = if one.is_over() { "; more than chance explains: over budget" } else { "" };
        out.line(format!(
            "    budget   {} a device-year allows {:.3} false incidents, {} at most by chance; left {:.3}{over}",
            one.budget,
            one.allowed,
            one.bound,
            one.left()
        ))
    }

    pub(super) fn to_json(&self) -> Value {
        let refused: serde_json::Map<String, Value> =
            self.refused.iter().map(|(reason, count)| (reason.to_string(), json!(count))).collect();
        json!({
            "state_dir": self.dir, "device_years": spending::device_years(self.lock_days), "findings": self.found,
            "refused": refused,
            "budget": self.spending.as_ref().map(|one| json!({
                "opened": one.opened, "false_positive": one.falsely, "unjudged": one.unjudged,
                "per_device_year": one.budget, "allowed": one.allowed, "bound": one.bound, "left": one.left(),
                "is_over": one.is_over(),
            })),
        })
    }
}
