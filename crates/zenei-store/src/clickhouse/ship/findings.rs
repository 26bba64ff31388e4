//! Ships a desk's anomalies, decisions, incident events, inquiries and registry lines from the control database to
//! ClickHouse: each row once, however often either side fails. The rows are few, so they go as JSON. The range of rows
//! of an insert is stored before it is sent, and the token names it. Must not know what a finding means. Called by the
//! thread that ships.
use super::backoff::Jitter;
use super::options::{Ended, Go};
use crate::clickhouse::server::Server;
use crate::clickhouse::server_error::Retry;
use crate::control::{Control, ControlError, EventRow, InquiryRow, Outgoing, RegisteredSpan};
use crate::schema::Form;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use zenei_detect::{Anomaly, Decision};

/// Rows of one insert. A guess: a kilobyte each at most.
const MAX_ROWS: u64 = 1_000;

/// Every kind of row that is shipped, with its table and the name of its cursor.
const ALL: [(Outgoing, &str, &str); 6] = [
    (Outgoing::Anomaly, "anomaly", "anomaly"),
    (Outgoing::Decision, "decision", "decision"),
    (Outgoing::Event, "incident_event", "incident_event"),
    (Outgoing::Inquiry, "inquiry", "inquiry"),
    (Outgoing::Registered, "registry", "registry"),
    (Outgoing::Ended, "registry", "registry_ended"),
];

/// Why findings were not shipped. The next round continues with the same rows.
#[derive(Debug, thiserror::Error)]
pub enum FindingsError {
    /// The control database.
    #[error("what was found can't be read")]
    Control(#[from] ControlError),
}

/// Ships what one control database holds.
#[derive(Debug)]
pub struct FindingsShipper {
    control: Control,
    server: Server,
    form: Form,
    gateway_id: String,
    attempts: Jitter,
}

impl FindingsShipper {
    /// A shipper; `control` is its own connection, and `gateway_id` distinguishes this desk's tokens from another's.
    pub fn new(control: Control, server: Server, form: Form, gateway_id: &str) -> Self {
        let attempts = Jitter::new(gateway_id);
        Self { control, server, form, gateway_id: gateway_id.to_owned(), attempts }
    }

    /// The server that it ships to.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Ships the new rows. While the server does not take them, it calls `wait` with the time to wait.
    ///
    /// # Errors
    /// See [`FindingsError`].
    pub fn ship(&mut self, wait: &mut dyn FnMut(Duration) -> Go) -> Result<Ended, FindingsError> {
        for (of, table, name) in ALL {
            while let Some((after, up_to)) = self.next(of, name)? {
                let rows = self.rows(of, after, up_to)?;
                let token = format!("{name}:{}:{after}-{up_to}:{}", self.gateway_id, epoch(&self.control)?);
                if !rows.is_empty() && self.insert(table, &rows, &token, wait) == Ended::Stopped {
                    return Ok(Ended::Stopped);
                }
                let txn = self.control.begin()?;
                txn.set_cursor(&format!("{PREFIX}{name}"), up_to)?;
                txn.commit()?;
            }
        }
        Ok(Ended::Done)
    }

    /// The next range, stored first: after a restart there may be more rows, but a range that was begun is sent
    /// unchanged.
    fn next(&mut self, of: Outgoing, name: &str) -> Result<Option<(u64, u64)>, ControlError> {
        let (at, planned) = (format!("{PREFIX}{name}"), format!("{PREFIX}plan/{name}"));
        let after = self.control.cursor(&at)?.unwrap_or(0);
        if let Some(up_to) = self.control.cursor(&planned)?.filter(|planned| *planned > after) {
            return Ok(Some((after, up_to)));
        }
        let newest = self.control.newest(of)?;
        if newest <= after {
            return Ok(None);
        }
        let up_to = match of {
            // Times are not consecutive numbers: the range takes every line that ended since.
            Outgoing::Ended => newest,
            Outgoing::Anomaly | Outgoing::Decision | Outgoing::Event | Outgoing::Inquiry | Outgoing::Registered => {
                newest.min(after + MAX_ROWS)
            }
        };
        let txn = self.control.begin()?;
        txn.set_cursor(&planned, up_to)?;
        txn.commit()?;
        Ok(Some((after, up_to)))
    }

    fn rows(&self, of: Outgoing, after: u64, up_to: u64) -> Result<Vec<Value>, ControlError> {
        let control = &self.control;
        Ok(match of {
            Outgoing::Anomaly => control.anomalies_within(after, up_to)?.iter().map(anomaly).collect(),
            Outgoing::Decision => control.decisions_within(after, up_to)?.iter().map(decision).collect(),
            Outgoing::Event => control.events_within(after, up_to)?.iter().map(event).collect(),
            Outgoing::Inquiry => control.inquiries_within(after, up_to)?.iter().map(inquiry).collect(),
            Outgoing::Registered => control.registered_within(after, up_to)?.iter().map(registered).collect(),
            Outgoing::Ended => control.ended_within(after, up_to)?.iter().map(registered).collect(),
        })
    }

    fn insert(&mut self, table: &str, rows: &[Value], token: &str, wait: &mut dyn FnMut(Duration) -> Go) -> Ended {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        let body = Bytes::from(lines.join("\n"));
        let names: Vec<String> =
            rows.first().and_then(Value::as_object).into_iter().flat_map(|row| row.keys().cloned()).collect();
        let columns = names.join(", ");
        let table = self.form.table(table);
        let sql = format!("INSERT INTO {table} ({columns}) FORMAT JSONEachRow");
        let mut failed = 0;
        loop {
            let Err(trouble) = self.server.insert(&sql, token, &body) else { return Ended::Done };
            let how_long = self.attempts.wait(failed);
            let wait_ms = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
            match trouble.verdict() {
                Retry::Again => tracing::warn!(table, %trouble, wait_ms, "findings are sent again"),
                Retry::Mend | Retry::Rows => {
                    tracing::error!(table, %trouble, wait_ms, "ClickHouse takes no findings until somebody mends this");
                }
            }
            failed = failed.saturating_add(1);
            if wait(how_long) == Go::Stop {
                return Ended::Stopped;
            }
        }
    }
}

/// The prefix of the shipper's names in the control database.
const PREFIX: &str = "ship_findings/";

/// How often everything was shipped anew: part of each token, because rewritten rows are sent again.
fn epoch(control: &Control) -> Result<u64, ControlError> {
    Ok(control.cursor(&format!("{PREFIX}epoch"))?.unwrap_or(0))
}

/// Resets the cursors, so that everything is shipped anew after it was removed from the server and rewritten here. Rows
/// of the same key replace one another there.
///
/// # Errors
/// [`ControlError::Sqlite`].
pub fn ship_findings_anew(control: &mut Control) -> Result<(), ControlError> {
    let next = epoch(control)? + 1;
    let txn = control.begin()?;
    txn.set_cursor(&format!("{PREFIX}epoch"), next)?;
    for (_, _, name) in ALL {
        txn.set_cursor(&format!("{PREFIX}{name}"), 0)?;
        txn.set_cursor(&format!("{PREFIX}plan/{name}"), 0)?;
    }
    txn.commit()
}

/// A time as seconds with three decimals, which ClickHouse reads without a calendar.
fn time(ms: i64) -> Value {
    let (seconds, rest) = (ms.div_euclid(1_000), ms.rem_euclid(1_000));
    format!("{seconds:010}.{rest:03}").into()
}

fn anomaly(anomaly: &Anomaly) -> Value {
    let evidence = &anomaly.evidence;
    json!({
        "id": anomaly.id.to_string(),
        "at": time(anomaly.at.ms()),
        "device_id": anomaly.device_id.as_deref().unwrap_or(""),
        "rule": anomaly.rule,
        "rule_version": anomaly.rule_version,
        "domain": anomaly.domain.as_str(),
        "component": anomaly.component.as_str(),
        "value": anomaly.value,
        "baseline": anomaly.baseline,
        "threshold": anomaly.threshold,
        "unit": anomaly.unit,
        "window_ms": anomaly.window_ms,
        "scope_kind": anomaly.scope.kind.as_str(),
        "scope_value": anomaly.scope.value,
        "urgency": anomaly.urgency.as_str(),
        "confidence": anomaly.confidence,
        "why": anomaly.why,
        "evidence.device_id": evidence.iter().map(|of| of.device_id.as_str()).collect::<Vec<_>>(),
        "evidence.boot": evidence.iter().map(|of| of.boot).collect::<Vec<_>>(),
        "evidence.seq": evidence.iter().map(|of| of.seq).collect::<Vec<_>>(),
        "evidence.ts_ms": evidence.iter().map(|of| of.ts_ms).collect::<Vec<_>>(),
    })
}

fn decision((id, decision): &(String, Decision)) -> Value {
    json!({
        "id": id,
        "at": time(decision.at.ms()),
        "rule": decision.rule,
        "rule_version": decision.rule_version,
        "scope_kind": decision.scope.kind.as_str(),
        "scope_value": decision.scope.value,
        "reason": decision.reason.as_str(),
        "value": decision.value,
        "threshold": decision.threshold,
        "unit": decision.unit,
        "why": decision.told(),
    })
}

fn event(event: &EventRow) -> Value {
    let EventRow { incident, seq, at_ms, kind, body } = event;
    json!({"incident": incident.to_string(), "seq": seq, "at": time(*at_ms), "kind": kind, "body": body})
}

fn inquiry(inquiry: &InquiryRow) -> Value {
    let InquiryRow { id, received_at_ms, body } = inquiry;
    json!({"id": id, "received_at": time(*received_at_ms), "body": body})
}

fn registered(span: &RegisteredSpan) -> Value {
    let RegisteredSpan { registration: line, valid_from_ms, valid_to_ms } = span;
    json!({
        "device_id": line.device_id,
        "valid_from": time(*valid_from_ms),
        "valid_to": valid_to_ms.map(time),
        "ended": u8::from(valid_to_ms.is_some()),
        "customer": line.customer,
        "site": line.site,
        "door": line.door,
        "service": line.service,
        "gateway": line.gateway,
        "model": line.model,
        "hw_rev": line.hw_rev,
        "lot": line.lot,
        "installed_at": line.installed_at,
        "address": line.address,
    })
}
