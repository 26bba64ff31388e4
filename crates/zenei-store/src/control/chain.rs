//! The log of incidents' events: appends to it, and links each event to the one before it by a hash, so that a change
//! by other means is found; and the one open incident of each fingerprint. Must not know what an event means. Called by
//! the desk, which appends, and by everything that reads the log.
//!
//! The link of an event is [`Id::of`] over the link before it, incident, seq, time, kind and body.
use super::read::id;
use super::{Control, ControlError, EventRow, Txn};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use zenei_wire::Id;

/// The link before the first event.
const START: Id = Id(0);

impl Control {
    /// Checks the links of the whole log.
    ///
    /// # Errors
    /// [`ControlError::Broken`] at the first event that does not fit; [`ControlError::BadRow`],
    /// [`ControlError::Sqlite`].
    pub fn check_log(&self) -> Result<(), ControlError> {
        let mut before = START;
        for_each(&self.connection, |number, event, found| {
            before = link(before, &event);
            if found.is_some_and(|found| found == before.to_string()) {
                return Ok(());
            }
            Err(ControlError::Broken { number, incident: event.incident.to_string(), seq: event.seq })
        })
    }

    /// Links the events that have no link yet: those of a version that wrote none.
    pub(super) fn link(&mut self) -> Result<(), ControlError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM incident_event WHERE chain IS NULL)";
        let is_missing: bool = self.connection.query_row(sql, [], |row| row.get(0))?;
        if is_missing {
            let txn = self.begin()?;
            txn.link_again()?;
            txn.commit()?;
        }
        Ok(())
    }
}

impl Txn<'_> {
    /// Adds an event to its incident; false if the incident has one of this number.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn append_event(&self, event: &EventRow) -> Result<bool, ControlError> {
        let last = "SELECT chain FROM incident_event ORDER BY number DESC LIMIT 1";
        let before: Option<String> = self.inner.prepare_cached(last)?.query_row([], |row| row.get(0)).optional()?;
        let before = before.as_deref().and_then(Id::parse).unwrap_or(START);
        let sql = "INSERT OR IGNORE INTO incident_event (incident, seq, at_ms, kind, body, chain) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let chain = link(before, event).to_string();
        let row = params![event.incident.to_string(), event.seq, event.at_ms, event.kind, event.body, chain];
        Ok(self.inner.prepare_cached(sql)?.execute(row)? == 1)
    }

    /// Stores that an incident is the open one of its fingerprint.
    ///
    /// # Errors
    /// [`ControlError::OpenAlready`] where another one is; [`ControlError::Sqlite`].
    pub fn set_open(&self, fingerprint: Id, incident: Id) -> Result<(), ControlError> {
        let (fingerprint, incident) = (fingerprint.to_string(), incident.to_string());
        let sql = "SELECT incident FROM open_incident WHERE fingerprint = ?1";
        let found: Option<String> =
            self.inner.prepare_cached(sql)?.query_row([&fingerprint], |row| row.get(0)).optional()?;
        match found {
            Some(open) if open != incident => Err(ControlError::OpenAlready { fingerprint, open }),
            Some(_) => Ok(()),
            None => {
                let sql = "INSERT INTO open_incident VALUES (?1, ?2)";
                self.inner.prepare_cached(sql)?.execute(params![fingerprint, incident])?;
                Ok(())
            }
        }
    }

    /// Stores that an incident is no longer open; nothing where it was not.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn set_ended(&self, incident: Id) -> Result<(), ControlError> {
        self.inner.prepare_cached("DELETE FROM open_incident WHERE incident = ?1")?.execute([incident.to_string()])?;
        Ok(())
    }

    /// Links all events again: after an erasure, which changes bodies.
    pub(super) fn link_again(&self) -> Result<(), ControlError> {
        let mut links = Vec::new();
        let mut before = START;
        for_each(&self.inner, |number, event, _| {
            before = link(before, &event);
            links.push((number, before.to_string()));
            Ok(())
        })?;
        let mut statement = self.inner.prepare_cached("UPDATE incident_event SET chain = ?2 WHERE number = ?1")?;
        for (number, chain) in links {
            statement.execute(params![number, chain])?;
        }
        Ok(())
    }
}

fn link(before: Id, event: &EventRow) -> Id {
    Id::of(&[
        before.to_string().as_bytes(),
        event.incident.to_string().as_bytes(),
        event.seq.to_string().as_bytes(),
        event.at_ms.to_string().as_bytes(),
        event.kind.as_bytes(),
        event.body.as_bytes(),
    ])
}

/// Calls `take` with the number, the event and the link of each row, in order.
fn for_each(
    connection: &Connection,
    mut take: impl FnMut(i64, EventRow, Option<String>) -> Result<(), ControlError>,
) -> Result<(), ControlError> {
    let sql = "SELECT number, incident, seq, at_ms, kind, body, chain FROM incident_event ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let incident = id("incident_event", row, 1)?;
        let event = EventRow { incident, seq: row.get(2)?, at_ms: row.get(3)?, kind: row.get(4)?, body: row.get(5)? };
        Ok::<_, ControlError>((row.get(0)?, event, row.get(6)?))
    };
    for row in statement.query_and_then([], read)? {
        let (number, event, chain) = row?;
        take(number, event, chain)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(incident: u128, seq: u32) -> EventRow {
        EventRow { incident: Id(incident), seq, at_ms: 9, kind: "note".into(), body: format!("{{\"seq\":{seq}}}") }
    }

    fn log() -> Control {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        for (incident, seq) in [(1, 0), (1, 1), (2, 0)] {
            assert!(txn.append_event(&event(incident, seq)).unwrap());
        }
        txn.commit().unwrap();
        control
    }

    fn broken_by(sql: &str) -> Option<i64> {
        let control = log();
        assert_eq!(control.connection.execute(sql, []).unwrap(), 1);
        match control.check_log() {
            Err(ControlError::Broken { number, .. }) => Some(number),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn an_event_changed_removed_or_added_by_other_means_is_found() {
        log().check_log().unwrap();
        assert_eq!(broken_by("UPDATE incident_event SET body = '{\"seq\":7}' WHERE number = 2"), Some(2));
        assert_eq!(broken_by("UPDATE incident_event SET at_ms = 8 WHERE number = 1"), Some(1));
        assert_eq!(broken_by("DELETE FROM incident_event WHERE number = 2"), Some(3));
        let added = "INSERT INTO incident_event (incident, seq, at_ms, kind, body) VALUES ('00', 0, 1, 'note', '{}')";
        let control = log();
        control.connection.execute(added, []).unwrap();
        assert!(control.check_log().is_err());
    }

    #[test]
    fn events_without_links_are_linked_when_the_database_is_opened() {
        let mut control = log();
        control.connection.execute("UPDATE incident_event SET chain = NULL", []).unwrap();
        assert!(control.check_log().is_err());
        control.link().unwrap();
        control.check_log().unwrap();
    }

    #[test]
    fn one_incident_of_a_fingerprint_is_open() {
        let mut control = Control::in_memory().unwrap();
        let txn = control.begin().unwrap();
        txn.set_open(Id(7), Id(1)).unwrap();
        txn.set_open(Id(7), Id(1)).unwrap();
        assert!(matches!(txn.set_open(Id(7), Id(2)), Err(ControlError::OpenAlready { .. })));
        txn.set_ended(Id(1)).unwrap();
        txn.set_open(Id(7), Id(2)).unwrap();
    }
}
