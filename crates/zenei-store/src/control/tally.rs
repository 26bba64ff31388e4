//! How much each rule found, and how much of it was not opened, with the reason; and what wider findings took. Must not
//! know what a rule may find. Called by the desk's `/metrics`, its board, and by `zenei rules explain` and `doctor`.
use super::{Control, ControlError};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use zenei_detect::{DecisionReason, Scope, ScopeKind};

/// Counts since the state directory was made, as far as rows were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Findings by rule; a finding that lasts counts once for each of its records.
    pub findings: BTreeMap<String, u64>,
    /// Decisions not to open, by rule and reason.
    pub decisions: BTreeMap<String, BTreeMap<DecisionReason, u64>>,
    /// The last rows that are counted, of anomalies and of decisions.
    up_to: [i64; 2],
}

/// What the wider findings about one value took of one rule's findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What the wider findings are about; not a lock.
    pub scope: Scope,
    /// The rule of the findings that were taken.
    pub rule: String,
    /// About how many locks they were.
    pub locks: u64,
}

impl Tally {
    /// How many of a rule's candidates were not opened for this reason.
    pub fn refused(&self, rule: &str, reason: DecisionReason) -> u64 {
        self.decisions.get(rule).and_then(|by_reason| by_reason.get(&reason)).copied().unwrap_or(0)
    }
}

impl Control {
    /// Counts on: adds the rows that are newer than those the tally has.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`]; then the tally is unchanged.
    pub fn tally(&self, tally: &mut Tally) -> Result<(), ControlError> {
        let sql = "SELECT body ->> '$.rule', count(*), max(number) FROM anomaly WHERE number > ?1 GROUP BY 1";
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let findings: Vec<(String, i64, i64)> = self.all(sql, [tally.up_to[0]], row)?;
        let sql = "SELECT body ->> '$.rule', body ->> '$.reason', count(*), max(number)
            FROM decision WHERE number > ?1 GROUP BY 1, 2";
        let row = |row: &Row<'_>| Ok((row.get(0)?, reason(&row.get::<_, String>(1)?)?, row.get(2)?, row.get(3)?));
        let decisions: Vec<(String, DecisionReason, i64, i64)> = self.all(sql, [tally.up_to[1]], row)?;
        for (rule, count, number) in findings {
            *tally.findings.entry(rule).or_default() += count.unsigned_abs();
            tally.up_to[0] = tally.up_to[0].max(number);
        }
        for (rule, reason, count, number) in decisions {
            *tally.decisions.entry(rule).or_default().entry(reason).or_default() += count.unsigned_abs();
            tally.up_to[1] = tally.up_to[1].max(number);
        }
        Ok(())
    }

    /// What wider findings took from `from_ms` on (ms since 1970), of the latest `latest` decisions.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn taken_by_wider(&self, latest: u32, from_ms: i64) -> Result<Vec<Taken>, ControlError> {
        let sql = "SELECT body ->> '$.part_of.scope.kind', body ->> '$.part_of.scope.value', body ->> '$.rule',
                count(DISTINCT body ->> '$.scope.value')
            FROM (SELECT at_ms, body FROM decision ORDER BY number DESC LIMIT ?1)
            WHERE at_ms >= ?2 AND body ->> '$.part_of.scope.kind' <> 'device' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
        let row = |row: &Row<'_>| {
            let kind: String = row.get(0)?;
            let Some(kind) = ScopeKind::parse(&kind) else {
                return Err(ControlError::BadRow { table: "decision", found: format!("the scope {kind:?}") });
            };
            let locks = row.get::<_, i64>(3)?.unsigned_abs();
            Ok(Taken { scope: Scope { kind, value: row.get(1)? }, rule: row.get(2)?, locks })
        };
        self.all(sql, params![latest, from_ms], row)
    }
}

fn reason(word: &str) -> Result<DecisionReason, ControlError> {
    let bad = || ControlError::BadRow { table: "decision", found: format!("the reason {word:?}") };
    DecisionReason::parse(word).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_detect::{Anomaly, Component, Domain, PartOf};
    use zenei_kit::anomaly;

    fn keep(control: &mut Control, found: &[Anomaly], parts: &[(&str, &str, PartOf)]) {
        let txn = control.begin().unwrap();
        for anomaly in found {
            txn.insert_anomaly(anomaly).unwrap();
        }
        for (rule, lock, part_of) in parts {
            txn.insert_decision(&anomaly(rule, lock, 7).part(part_of.clone(), "part of it".into())).unwrap();
        }
        txn.commit().unwrap();
    }

    fn version() -> PartOf {
        let scope = Scope { kind: ScopeKind::Fw, value: "2.0".into() };
        PartOf { scope, domain: Domain::Firmware, component: Component::FwImage, rule: None, incident: None }
    }

    #[test]
    fn a_tally_counts_on_and_counts_nothing_twice() {
        let mut control = Control::in_memory().unwrap();
        let mut tally = Tally::default();
        keep(&mut control, &[anomaly("silence", "A", 1)], &[("silence", "B", version())]);
        control.tally(&mut tally).unwrap();
        keep(&mut control, &[anomaly("silence", "A", 1), anomaly("silence", "C", 2)], &[("drain", "B", version())]);
        control.tally(&mut tally).unwrap();
        assert_eq!(tally.findings, [("silence".to_owned(), 2)].into());
        let part = |rule| tally.refused(rule, DecisionReason::PartOfWider);
        assert_eq!((part("silence"), part("drain"), part("leak")), (1, 1, 0));
        let before = tally.clone();
        control.tally(&mut tally).unwrap();
        assert_eq!(tally, before);
    }

    #[test]
    fn what_wider_findings_took_is_counted_in_locks_and_what_a_lock_explains_itself_is_not() {
        let mut control = Control::in_memory().unwrap();
        let own = PartOf { scope: Scope { kind: ScopeKind::Device, value: "A".into() }, ..version() };
        let parts =
            [("drain", "A", version()), ("drain", "B", version()), ("jams", "A", version()), ("jams", "A", own)];
        keep(&mut control, &[anomaly("drain", "C", 7)], &parts);
        let taken = |from_ms| -> Vec<(String, u64)> {
            let taken = control.taken_by_wider(100, from_ms).unwrap();
            taken.into_iter().map(|taken| (format!("{} {}", taken.scope.value, taken.rule), taken.locks)).collect()
        };
        assert_eq!(taken(0), [("2.0 drain".to_owned(), 2), ("2.0 jams".to_owned(), 1)]);
        assert!(taken(8_000).is_empty());
    }

    #[test]
    fn a_decision_that_comes_again_while_another_incident_is_open_is_not_stored_twice() {
        let mut control = Control::in_memory().unwrap();
        let named = PartOf { incident: Some(zenei_wire::Id(7)), ..version() };
        keep(&mut control, &[], &[("drain", "A", named), ("drain", "A", version())]);
        let stored = control.decisions().unwrap();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].told(), "part of it (incident 00000000000000000000000000000007)");
    }
}
