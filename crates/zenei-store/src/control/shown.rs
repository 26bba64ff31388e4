//! What people are shown of the control database beside the incidents: the latest decisions, and how each message
//! fared. Reads with a limit, so that a page costs the same whatever was stored. Must not know how it is shown. Called
//! by the desk's pages and its API.
use super::read::{event, id, parse};
use super::{Control, ControlError, EventRow};
use rusqlite::{Row, params, params_from_iter};
use zenei_detect::{Decision, DecisionReason};
use zenei_wire::Id;

/// The most messages of one incident that are shown. A guess: what a person reads.
const DELIVERIES_MAX: u32 = 200;

/// A message to a target, and how it fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Name of the target in the configuration.
    pub target: String,
    /// The incident.
    pub incident: Id,
    /// The event that it reports.
    pub event_seq: u32,
    /// The kind of that event; empty where the log has no such event.
    pub event_kind: String,
    /// How often it was tried.
    pub attempt: u32,
    /// Not before this time, ms since 1970.
    pub next_at_ms: i64,
    /// When it came to its end, ms since 1970; `None`: it waits.
    pub ended_at_ms: Option<i64>,
    /// `delivered` or `given_up`; `None`: it waits.
    pub outcome: Option<String>,
    /// What happened at the last attempt, for people.
    pub remark: Option<String>,
}

/// What waits for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Name of the target in the configuration.
    pub target: String,
    /// Messages that are not done.
    pub waiting: u64,
    /// Those of them that failed at least once.
    pub failing: u64,
    /// What happened at the last attempt of the oldest that failed, for people.
    pub remark: Option<String>,
}

/// How many messages went to one target, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Name of the target in the configuration.
    pub target: String,
    /// Messages that are not done.
    pub waiting: u64,
    /// Those of them that failed at least once.
    pub failing: u64,
    /// Messages that the target has taken.
    pub delivered: u64,
    /// Messages that it refused, or did not take for a day.
    pub given_up: u64,
}

impl Control {
    /// The latest decisions, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn latest_decisions(&self, limit: u32) -> Result<Vec<Decision>, ControlError> {
        let row = |row: &Row<'_>| parse("decision", &row.get::<_, String>(0)?);
        self.all("SELECT body FROM decision ORDER BY number DESC LIMIT ?1", params![limit], row)
    }

    /// How many of the latest `latest` decisions were taken from `from_ms` on (ms since 1970), by rule and reason.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn count_decisions(
        &self,
        latest: u32,
        from_ms: i64,
    ) -> Result<Vec<(String, DecisionReason, u64)>, ControlError> {
        let sql = "SELECT body ->> '$.rule', body ->> '$.reason', count(*)
            FROM (SELECT at_ms, body FROM decision ORDER BY number DESC LIMIT ?1)
            WHERE at_ms >= ?2 GROUP BY 1, 2 ORDER BY 1, 2";
        let row = |row: &Row<'_>| {
            let reason: String = row.get(1)?;
            let Some(reason) = DecisionReason::parse(&reason) else {
                return Err(ControlError::BadRow { table: "decision", found: format!("the reason {reason:?}") });
            };
            Ok((row.get(0)?, reason, row.get::<_, i64>(2)?.unsigned_abs()))
        };
        self.all(sql, params![latest, from_ms], row)
    }

    /// The messages about an incident, newest first, at most 200.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn deliveries_of(&self, incident: Id) -> Result<Vec<Delivery>, ControlError> {
        let sql = "SELECT o.target, o.incident, o.event_seq, coalesce(e.kind, ''), o.attempt, o.next_at_ms,
                o.ended_at_ms, o.outcome, o.remark
            FROM outbox AS o LEFT JOIN incident_event AS e ON e.incident = o.incident AND e.seq = o.event_seq
            WHERE o.incident = ?1 ORDER BY o.number DESC LIMIT ?2";
        self.all(sql, params![incident.to_string(), DELIVERIES_MAX], delivery)
    }

    /// The events of one incident before a number, or its latest, by their numbers; at most `limit`.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn events_before(&self, incident: Id, before: Option<u32>, limit: u32) -> Result<Vec<EventRow>, ControlError> {
        let sql = "SELECT incident, seq, at_ms, kind, body FROM incident_event
            WHERE incident = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
        let before = before.map_or(i64::MAX, i64::from);
        let mut found = self.all(sql, params![incident.to_string(), before, limit], event)?;
        found.reverse();
        Ok(found)
    }

    /// The events of these kinds of all incidents, in the order in which they were stored.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn events_of_kinds(&self, kinds: &[&str]) -> Result<Vec<EventRow>, ControlError> {
        let places = vec!["?"; kinds.len()].join(", ");
        let sql = format!(
            "SELECT incident, seq, at_ms, kind, body FROM incident_event WHERE kind IN ({places}) ORDER BY number"
        );
        self.all(&sql, params_from_iter(kinds), event)
    }

    /// Since when the oldest message about each incident waits, ms since 1970: by the event that it reports.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn waiting_since(&self) -> Result<Vec<(Id, i64)>, ControlError> {
        let sql = "SELECT o.incident, min(coalesce(e.at_ms, o.next_at_ms))
            FROM outbox AS o LEFT JOIN incident_event AS e ON e.incident = o.incident AND e.seq = o.event_seq
            WHERE o.ended_at_ms IS NULL GROUP BY o.incident ORDER BY o.incident";
        self.all(sql, [], |row| Ok((id("outbox", row, 0)?, row.get(1)?)))
    }

    /// What waits, by target.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn waiting(&self) -> Result<Vec<Waiting>, ControlError> {
        // SQLite takes the other columns of a row with the minimum from that same row.
        let sql = "SELECT target, count(*), sum(attempt > 0), remark, min(CASE WHEN attempt > 0 THEN number END)
            FROM outbox WHERE ended_at_ms IS NULL GROUP BY target ORDER BY target";
        self.all(sql, [], |row| {
            let count = |column| row.get(column).map(|count: i64| count.unsigned_abs());
            Ok(Waiting { target: row.get(0)?, waiting: count(1)?, failing: count(2)?, remark: row.get(3)? })
        })
    }

    /// Every message by its target and its end. Reads the whole outbox: some thousand rows a year of incidents.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn sent(&self) -> Result<Vec<Sent>, ControlError> {
        let sql = "SELECT target, count(*) FILTER (WHERE ended_at_ms IS NULL),
                count(*) FILTER (WHERE ended_at_ms IS NULL AND attempt > 0),
                count(*) FILTER (WHERE outcome = 'delivered'), count(*) FILTER (WHERE outcome = 'given_up')
            FROM outbox GROUP BY target ORDER BY target";
        self.all(sql, [], |row| {
            let count = |column| row.get(column).map(|count: i64| count.unsigned_abs());
            let (waiting, failing, delivered, given_up) = (count(1)?, count(2)?, count(3)?, count(4)?);
            Ok(Sent { target: row.get(0)?, waiting, failing, delivered, given_up })
        })
    }
}

fn delivery(row: &Row<'_>) -> Result<Delivery, ControlError> {
    Ok(Delivery {
        target: row.get(0)?,
        incident: id("outbox", row, 1)?,
        event_seq: row.get(2)?,
        event_kind: row.get(3)?,
        attempt: row.get(4)?,
        next_at_ms: row.get(5)?,
        ended_at_ms: row.get(6)?,
        outcome: row.get(7)?,
        remark: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{OutboxRow, SendEnd};
    use super::*;
    use zenei_detect::{DecisionReason, Scope, ScopeKind};
    use zenei_wire::EngineTime;

    fn control() -> Control {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        let kinds = [(0, "opened"), (1, "note")];
        for (seq, kind) in kinds {
            let event = EventRow { incident: Id(7), seq, at_ms: 1, kind: kind.into(), body: "{}".into() };
            txn.append_event(&event).unwrap();
            for target in ["chat", "pager"] {
                txn.enqueue(&row(target, Id(7), seq)).unwrap();
            }
        }
        txn.enqueue(&row("chat", Id(8), 0)).unwrap();
        txn.commit().unwrap();
        control
    }

    fn row(target: &str, incident: Id, seq: u32) -> OutboxRow {
        OutboxRow {
            id: Id::of(&[target.as_bytes(), incident.to_string().as_bytes(), &[seq as u8]]),
            target: target.into(),
            incident,
            event_seq: seq,
            body: "{}".into(),
            attempt: 0,
            next_at_ms: 5,
            unanswered: 0,
            tried_from_ms: None,
        }
    }

    #[test]
    fn the_messages_of_an_incident_are_shown_with_their_end_and_no_others() {
        let mut control = control();
        let txn = control.begin().unwrap();
        txn.end(row("chat", Id(7), 0).id, SendEnd::Delivered, 9, "taken").unwrap();
        txn.commit().unwrap();
        let found = control.deliveries_of(Id(7)).unwrap();
        let short: Vec<_> = found.iter().map(|one| (&*one.target, &*one.event_kind, one.outcome.as_deref())).collect();
        let sent = control.sent().unwrap();
        let counts: Vec<_> = sent.iter().map(|of| (&*of.target, of.waiting, of.delivered, of.given_up)).collect();
        assert_eq!(counts, [("chat", 2, 1, 0), ("pager", 2, 0, 0)]);
        let expected = [
            ("pager", "note", None),
            ("chat", "note", None),
            ("pager", "opened", None),
            ("chat", "opened", Some("delivered")),
        ];
        assert_eq!(short, expected);
    }

    #[test]
    fn a_part_of_a_log_is_read_before_a_number_and_by_kinds() {
        let mut control = control();
        let seqs = |rows: Vec<EventRow>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
        assert_eq!(seqs(control.events_before(Id(7), None, 9).unwrap()), [0, 1]);
        assert_eq!(seqs(control.events_before(Id(7), None, 1).unwrap()), [1]);
        assert_eq!(seqs(control.events_before(Id(7), Some(1), 9).unwrap()), [0]);
        assert_eq!(seqs(control.events_before(Id(8), None, 9).unwrap()), [0_u32; 0]);
        assert_eq!(seqs(control.events_of_kinds(&["note", "completed"]).unwrap()), [1]);
        assert_eq!(control.waiting_since().unwrap(), [(Id(7), 1), (Id(8), 5)]);
        let txn = control.begin().unwrap();
        for (target, seq) in [("chat", 0), ("chat", 1), ("pager", 0), ("pager", 1)] {
            txn.end(row(target, Id(7), seq).id, SendEnd::Delivered, 9, "taken").unwrap();
        }
        txn.commit().unwrap();
        assert_eq!(control.waiting_since().unwrap(), [(Id(8), 5)]);
    }

    #[test]
    fn what_waits_is_counted_by_target_with_the_oldest_failure() {
        let mut control = control();
        let txn = control.begin().unwrap();
        for (seq, remark) in [(1, "newer"), (0, "older")] {
            txn.put_off(&OutboxRow { attempt: 2, tried_from_ms: Some(3), ..row("chat", Id(7), seq) }, remark).unwrap();
        }
        txn.commit().unwrap();
        let remark = Some("older".to_owned());
        let chat = Waiting { target: "chat".into(), waiting: 3, failing: 2, remark };
        let pager = Waiting { target: "pager".into(), waiting: 2, failing: 0, remark: None };
        assert_eq!(control.waiting().unwrap(), [chat, pager]);
    }

    fn decision(at: i64) -> Decision {
        Decision {
            at: EngineTime(at),
            rule: "motor-effort".into(),
            rule_version: 1,
            scope: Scope { kind: ScopeKind::Device, value: "A".into() },
            reason: DecisionReason::Unconfirmed,
            value: 1.0,
            threshold: 2.0,
            unit: "C".into(),
            why: "one record".into(),
            part_of: None,
        }
    }

    #[test]
    fn the_latest_decisions_come_first_and_no_more_than_asked_for() {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        for at in 1..=3 {
            txn.insert_decision(&decision(at)).unwrap();
        }
        txn.commit().unwrap();
        let found: Vec<i64> = control.latest_decisions(2).unwrap().iter().map(|one| one.at.ms()).collect();
        assert_eq!(found, [3, 2]);
    }
}
