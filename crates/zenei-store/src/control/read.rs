//! Reads the control database: checkpoint, plan, findings, events, inquiries, cursors and registry. Must not write; the
//! rows of the outbox, the silences, the tail, the erasures and the shipper are read in their own files. Called by the
//! drivers, the shippers and the commands.
use super::{Checkpoint, Control, ControlError, EventRow, InquiryRow, RegisteredSpan, SealPlan, Sealed};
use crate::registry::Registration;
use rusqlite::{OptionalExtension as _, Params, Row};
use serde::de::DeserializeOwned;
use zenei_detect::{Anomaly, Decision};
use zenei_wire::{EngineTime, Id};

impl Control {
    /// Where a restart begins; `None` before the first checkpoint.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, ControlError> {
        let sql = "SELECT sealed_offset, advanced_to_ms, snapshot, ledger FROM checkpoint";
        let row = |row: &Row<'_>| {
            Ok(Checkpoint {
                sealed: Sealed { offset: unsigned(row, 0)?, advanced_to: EngineTime(row.get(1)?) },
                snapshot: row.get(2)?,
                ledger: parse("checkpoint", &row.get::<_, String>(3)?)?,
            })
        };
        self.one(sql, row)
    }

    /// The range that was about to be written when the writer ended; `None` where a checkpoint followed the last plan.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn seal_plan(&self) -> Result<Option<SealPlan>, ControlError> {
        let sql = "SELECT from_offset, to_offset, advanced_to_ms FROM seal_plan";
        let row = |row: &Row<'_>| {
            let to = Sealed { offset: unsigned(row, 1)?, advanced_to: EngineTime(row.get(2)?) };
            Ok(SealPlan { from: unsigned(row, 0)?, to })
        };
        self.one(sql, row)
    }

    /// All anomalies, in the order in which they were stored.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn anomalies(&self) -> Result<Vec<Anomaly>, ControlError> {
        let row = |row: &Row<'_>| parse("anomaly", &row.get::<_, String>(0)?);
        self.all("SELECT body FROM anomaly ORDER BY number", [], row)
    }

    /// One anomaly.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn anomaly(&self, id: Id) -> Result<Option<Anomaly>, ControlError> {
        let row = |row: &Row<'_>| parse("anomaly", &row.get::<_, String>(0)?);
        Ok(self.all("SELECT body FROM anomaly WHERE id = ?1", [id.to_string()], row)?.pop())
    }

    /// All decisions, in the order in which they were stored.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn decisions(&self) -> Result<Vec<Decision>, ControlError> {
        let row = |row: &Row<'_>| parse("decision", &row.get::<_, String>(0)?);
        self.all("SELECT body FROM decision ORDER BY number", [], row)
    }

    /// The events of all incidents, in the order in which they were stored.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn events(&self) -> Result<Vec<EventRow>, ControlError> {
        self.all("SELECT incident, seq, at_ms, kind, body FROM incident_event ORDER BY number", [], event)
    }

    /// The events of one incident, by their numbers.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn events_of(&self, incident: Id) -> Result<Vec<EventRow>, ControlError> {
        let sql = "SELECT incident, seq, at_ms, kind, body FROM incident_event WHERE incident = ?1 ORDER BY seq";
        self.all(sql, [incident.to_string()], event)
    }

    /// The incidents, in the order of their first events.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn incident_ids(&self) -> Result<Vec<Id>, ControlError> {
        let sql = "SELECT incident FROM incident_event GROUP BY incident ORDER BY min(number)";
        self.all(sql, [], |row| id("incident_event", row, 0))
    }

    /// All inquiries, by the time of contact.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn inquiries(&self) -> Result<Vec<InquiryRow>, ControlError> {
        let row = |row: &Row<'_>| Ok(InquiryRow { id: row.get(0)?, received_at_ms: row.get(1)?, body: row.get(2)? });
        self.all("SELECT id, received_at_ms, body FROM inquiry ORDER BY received_at_ms, id", [], row)
    }

    /// One inquiry.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn inquiry(&self, id: &str) -> Result<Option<InquiryRow>, ControlError> {
        let row = |row: &Row<'_>| Ok(InquiryRow { id: row.get(0)?, received_at_ms: row.get(1)?, body: row.get(2)? });
        Ok(self.all("SELECT id, received_at_ms, body FROM inquiry WHERE id = ?1", [id], row)?.pop())
    }

    /// The number under a name.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn cursor(&self, name: &str) -> Result<Option<u64>, ControlError> {
        Ok(self.all("SELECT value FROM cursor WHERE name = ?1", [name], |row| unsigned(row, 0))?.pop())
    }

    /// The present lines of the registry, by device id.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn registry(&self) -> Result<Vec<Registration>, ControlError> {
        let row = |row: &Row<'_>| parse("registry", &row.get::<_, String>(0)?);
        self.all("SELECT body FROM registry WHERE valid_to_ms IS NULL ORDER BY device_id", [], row)
    }

    /// All lines that the registry ever had for a lock, oldest first.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::Sqlite`].
    pub fn registry_of(&self, device_id: &str) -> Result<Vec<RegisteredSpan>, ControlError> {
        let sql =
            "SELECT body, valid_from_ms, valid_to_ms FROM registry WHERE device_id = ?1 ORDER BY valid_from_ms, rowid";
        let row = |row: &Row<'_>| {
            let registration = parse("registry", &row.get::<_, String>(0)?)?;
            Ok(RegisteredSpan { registration, valid_from_ms: row.get(1)?, valid_to_ms: row.get(2)? })
        };
        self.all(sql, [device_id], row)
    }

    fn one<T>(
        &self,
        sql: &str,
        read: impl FnOnce(&Row<'_>) -> Result<T, ControlError>,
    ) -> Result<Option<T>, ControlError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement.query_row([], |row| Ok(read(row))).optional()?;
        found.transpose()
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, ControlError>,
    ) -> Result<Vec<T>, ControlError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_and_then(params, read)?;
        rows.collect()
    }
}

pub(super) fn event(row: &Row<'_>) -> Result<EventRow, ControlError> {
    let incident = id("incident_event", row, 0)?;
    Ok(EventRow { incident, seq: row.get(1)?, at_ms: row.get(2)?, kind: row.get(3)?, body: row.get(4)? })
}

pub(super) fn id(table: &'static str, row: &Row<'_>, column: usize) -> Result<Id, ControlError> {
    let text: String = row.get(column)?;
    Id::parse(&text).ok_or_else(|| ControlError::BadRow { table, found: format!("'{text}' is no id") })
}

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64, ControlError> {
    let value: i64 = row.get(column)?;
    u64::try_from(value)
        .map_err(|_| ControlError::BadRow { table: "control", found: format!("{value} where a count stands") })
}

pub(super) fn parse<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, ControlError> {
    serde_json::from_str(text).map_err(|error| ControlError::BadRow { table, found: error.to_string() })
}
