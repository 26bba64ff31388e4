//! Reads the rows that a desk ships, by their numbers, each beyond the last one shipped. Must not know servers. Called
//! by the shipper of findings.
use super::error::signed;
use super::read::parse;
use super::{Control, ControlError, EventRow, InquiryRow, RegisteredSpan};
use rusqlite::Row;
use zenei_detect::{Anomaly, Decision};
use zenei_wire::Id;

impl Control {
    /// Anomalies beyond a number and up to another one, in order.
    ///
    /// # Errors
    /// [`ControlError::BadRow`], [`ControlError::TooLarge`], [`ControlError::Sqlite`].
    pub fn anomalies_within(&self, after: u64, up_to: u64) -> Result<Vec<Anomaly>, ControlError> {
        let sql = "SELECT body FROM anomaly WHERE number > ?1 AND number <= ?2 ORDER BY number";
        self.within(sql, after, up_to, |row| parse("anomaly", &row.get::<_, String>(0)?))
    }

    /// Decisions, with their stored ids, beyond a number and up to another one, in order.
    ///
    /// # Errors
    /// As [`Control::anomalies_within`].
    pub fn decisions_within(&self, after: u64, up_to: u64) -> Result<Vec<(String, Decision)>, ControlError> {
        let sql = "SELECT id, body FROM decision WHERE number > ?1 AND number <= ?2 ORDER BY number";
        self.within(sql, after, up_to, |row| Ok((row.get(0)?, parse("decision", &row.get::<_, String>(1)?)?)))
    }

    /// Events of incidents beyond a number and up to another one, in order.
    ///
    /// # Errors
    /// As [`Control::anomalies_within`].
    pub fn events_within(&self, after: u64, up_to: u64) -> Result<Vec<EventRow>, ControlError> {
        let sql = "SELECT incident, seq, at_ms, kind, body FROM incident_event WHERE number > ?1 AND number <= ?2 ORDER BY number";
        self.within(sql, after, up_to, |row| {
            let text: String = row.get(0)?;
            let bad = || ControlError::BadRow { table: "incident_event", found: format!("'{text}' is no id") };
            let incident = Id::parse(&text).ok_or_else(bad)?;
            Ok(EventRow { incident, seq: row.get(1)?, at_ms: row.get(2)?, kind: row.get(3)?, body: row.get(4)? })
        })
    }

    /// Inquiries beyond a number and up to another one, in order of coming.
    ///
    /// # Errors
    /// As [`Control::anomalies_within`].
    pub fn inquiries_within(&self, after: u64, up_to: u64) -> Result<Vec<InquiryRow>, ControlError> {
        let sql = "SELECT id, received_at_ms, body FROM inquiry WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid";
        self.within(sql, after, up_to, |row| {
            Ok(InquiryRow { id: row.get(0)?, received_at_ms: row.get(1)?, body: row.get(2)? })
        })
    }

    /// Lines of the registry beyond a number and up to another one, in the order in which they were stored, each in its
    /// present state.
    ///
    /// # Errors
    /// As [`Control::anomalies_within`].
    pub fn registered_within(&self, after: u64, up_to: u64) -> Result<Vec<RegisteredSpan>, ControlError> {
        let sql =
            "SELECT body, valid_from_ms, valid_to_ms FROM registry WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid";
        self.within(sql, after, up_to, span)
    }

    /// Lines of the registry that ended after a time and up to another one, ms since 1970.
    ///
    /// # Errors
    /// As [`Control::anomalies_within`].
    pub fn ended_within(&self, after_ms: u64, up_to_ms: u64) -> Result<Vec<RegisteredSpan>, ControlError> {
        let sql = "SELECT body, valid_from_ms, valid_to_ms FROM registry WHERE valid_to_ms > ?1 AND valid_to_ms <= ?2 ORDER BY rowid";
        self.within(sql, after_ms, up_to_ms, span)
    }

    /// The highest number that a table has, or the latest end of a line of the registry; 0 where there is none.
    ///
    /// # Errors
    /// [`ControlError::Sqlite`].
    pub fn newest(&self, of: Outgoing) -> Result<u64, ControlError> {
        let sql = match of {
            Outgoing::Anomaly => "SELECT max(number) FROM anomaly",
            Outgoing::Decision => "SELECT max(number) FROM decision",
            Outgoing::Event => "SELECT max(number) FROM incident_event",
            Outgoing::Inquiry => "SELECT max(rowid) FROM inquiry",
            Outgoing::Registered => "SELECT max(rowid) FROM registry",
            Outgoing::Ended => "SELECT max(valid_to_ms) FROM registry",
        };
        let newest: Option<i64> = self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(newest.and_then(|newest| u64::try_from(newest).ok()).unwrap_or(0))
    }

    fn within<T>(
        &self,
        sql: &str,
        after: u64,
        up_to: u64,
        read: impl Fn(&Row<'_>) -> Result<T, ControlError>,
    ) -> Result<Vec<T>, ControlError> {
        let bounds = [signed("after", after)?, signed("up_to", up_to)?];
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_and_then(bounds, read)?;
        rows.collect()
    }
}

/// The kinds of rows that are shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the tables' names")]
pub enum Outgoing {
    Anomaly,
    Decision,
    Event,
    Inquiry,
    Registered,
    Ended,
}

fn span(row: &Row<'_>) -> Result<RegisteredSpan, ControlError> {
    let registration = parse("registry", &row.get::<_, String>(0)?)?;
    Ok(RegisteredSpan { registration, valid_from_ms: row.get(1)?, valid_to_ms: row.get(2)? })
}
