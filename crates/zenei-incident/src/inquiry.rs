//! Customers' inquiries, and the first inquiry about an incident: early warning is measured against its time. Parses
//! the contract's CSV text. Must not know files. An inquiry's text is untrusted. Called by [`crate::document`],
//! `replay`, `incident list`, the API and the lab.
use crate::incident::Incident;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zenei_detect::Urgency;

/// An inquiry further than this from the opening, before or after it, is about something else (interface contract: 30
/// days).
pub const LINK_WINDOW_MS: i64 = 30 * 86_400_000;

/// One inquiry; its JSON is what a store keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Its id.
    pub id: String,
    /// When the customer made contact, ms since 1970.
    pub received_ms: i64,
    /// Who asked; may be empty.
    pub customer: String,
    /// The lock, where it is known.
    pub device_id: Option<String>,
    /// The urgency, if a person judged it.
    pub urgency: Option<Urgency>,
    /// The customer's text, untrusted.
    pub text: String,
}

/// Inquiries by lock, and the rows that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inquiries {
    rows: Vec<Inquiry>,
    /// Sorted times by lock.
    by_lock: BTreeMap<String, Vec<i64>>,
    refused: Vec<RefusedRow>,
}

/// A row that can't be used; the rows around it still are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RefusedRow {
    /// Where it begins, from 1.
    pub line: usize,
    /// What was found and what is required.
    pub reason: String,
}

const COLUMNS: [&str; 6] = ["id", "received_at", "customer", "device_id", "urgency", "text"];

impl Inquiries {
    /// The inquiries of a CSV text whose first row names the columns `id,received_at,customer,device_id,urgency,text`
    /// in any order. Rows that can't be used are in [`Inquiries::refused`]; an id that comes again replaces the row
    /// before it.
    pub fn parse(text: &str) -> Self {
        let mut rows = rows(text);
        let header = match rows.next() {
            Some((_, Ok(header))) => header,
            Some((_, Err(_))) | None => csv::StringRecord::new(),
        };
        let mut by_id: BTreeMap<String, Inquiry> = BTreeMap::new();
        let mut refused = Vec::new();
        let places = COLUMNS.map(|name| header.iter().position(|column| column == name));
        if places[1].is_none() || places[3].is_none() {
            let reason = format!("the columns {COLUMNS:?} are wanted; received_at and device_id must be there");
            return Self { refused: vec![RefusedRow { line: 1, reason }], ..Self::default() };
        }
        for (line, fields) in rows {
            let fields = match fields {
                Ok(fields) => fields,
                Err(error) => {
                    refused.push(RefusedRow { line, reason: error.to_string() });
                    continue;
                }
            };
            let [id, received_at, customer, device_id, urgency, text] =
                places.map(|place| place.and_then(|place| fields.get(place)).unwrap_or(""));
            match inquiry([id, received_at, customer, device_id, urgency, text]) {
                Ok(inquiry) if inquiry.id.is_empty() => _ = by_id.insert(format!("line-{line}"), inquiry),
                Ok(inquiry) => _ = by_id.insert(inquiry.id.clone(), inquiry),
                Err(reason) => refused.push(RefusedRow { line, reason }),
            }
        }
        Self { refused, ..Self::of(by_id.into_values()) }
    }

    /// These inquiries.
    pub fn of(rows: impl IntoIterator<Item = Inquiry>) -> Self {
        let rows: Vec<Inquiry> = rows.into_iter().collect();
        let mut by_lock: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for row in &rows {
            if let Some(lock) = &row.device_id {
                by_lock.entry(lock.clone()).or_default().push(row.received_ms);
            }
        }
        by_lock.values_mut().for_each(|times| times.sort_unstable());
        Self { rows, by_lock, refused: Vec::new() }
    }

    /// Every inquiry, by id.
    pub fn rows(&self) -> &[Inquiry] {
        &self.rows
    }

    /// Rows that can't be used.
    pub fn refused(&self) -> &[RefusedRow] {
        &self.refused
    }
}

/// When the first inquiry about this incident came: the earliest within [`LINK_WINDOW_MS`] of its opening on one of its
/// locks, or linked to it.
pub fn first_inquiry(incident: &Incident, inquiries: &Inquiries) -> Option<i64> {
    let opened = incident.opened.ms();
    let earliest_near = |times: &Vec<i64>| {
        let at = times.partition_point(|&ms| ms < opened.saturating_sub(LINK_WINDOW_MS));
        times.get(at).copied().filter(|&ms| ms <= opened.saturating_add(LINK_WINDOW_MS))
    };
    let on_locks = incident.devices.iter().filter_map(|lock| inquiries.by_lock.get(lock)).filter_map(earliest_near);
    on_locks.chain(incident.inquiries.values().copied()).min()
}

/// Every row that is not blank, with the line on which it begins, from 1. As in a registry, spaces around a field are
/// not part of it and a byte order mark is skipped; a row may have fewer or more fields than the first one.
fn rows(text: &str) -> impl Iterator<Item = (usize, Result<csv::StringRecord, csv::Error>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let (mut counted, mut line) = (0, 1);
    let located = reader.into_records().map(move |row| {
        // The reader places a row before the line ends that it passes over, so lines are counted here.
        let begins = match &row {
            Ok(row) => row.position(),
            Err(error) => error.position(),
        };
        let before = begins.and_then(|at| usize::try_from(at.byte()).ok()).unwrap_or(counted);
        let passed = text.get(before..).unwrap_or("");
        let begins = before + passed.len() - passed.trim_start_matches(['\r', '\n']).len();
        line += text.get(counted..begins).unwrap_or("").matches('\n').count();
        counted = begins;
        (line, row)
    });
    located.filter(|(_, row)| row.as_ref().map_or(true, |row| row.iter().any(|field| !field.is_empty())))
}

fn inquiry([id, received_at, customer, device_id, urgency, text]: [&str; 6]) -> Result<Inquiry, String> {
    let received: jiff::Timestamp = received_at
        .parse()
        .map_err(|_| format!("received_at is {received_at:?}; a time by RFC 3339 with its offset is wanted"))?;
    let level = match urgency {
        "" => None,
        "最高" => Some(Urgency::Highest),
        "高" => Some(Urgency::High),
        "中" => Some(Urgency::Medium),
        "低" => Some(Urgency::Low),
        other => return Err(format!("urgency is {other:?}; 最高, 高, 中, 低 or nothing is wanted")),
    };
    Ok(Inquiry {
        id: id.into(),
        received_ms: received.as_millisecond(),
        customer: customer.into(),
        device_id: (!device_id.is_empty()).then(|| device_id.into()),
        urgency: level,
        text: text.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Casebook;
    use zenei_kit::anomaly;

    const DAY_S: i64 = 86_400;

    fn first(received: &[(&str, i64)]) -> Option<i64> {
        let mut book = Casebook::default();
        let mut draft = book.draft();
        draft.decide(&anomaly("motor_effort", "A", 100 * DAY_S)).unwrap();
        let changes = draft.into_changes();
        book.absorb(changes);
        let inquiries = received.iter().enumerate().map(|(at, (lock, day))| Inquiry {
            id: at.to_string(),
            received_ms: day * DAY_S * 1_000,
            customer: "c".into(),
            device_id: Some((*lock).into()),
            urgency: None,
            text: String::new(),
        });
        let inquiries = Inquiries::of(inquiries);
        book.incidents().next().and_then(|incident| first_inquiry(incident, &inquiries)).map(|ms| ms / DAY_S / 1_000)
    }

    #[test]
    fn the_first_inquiry_is_the_earliest_near_the_opening_on_one_of_its_locks() {
        assert_eq!(first(&[("A", 104), ("A", 102), ("B", 101), ("A", 60)]), Some(102));
        assert_eq!(first(&[("A", 70), ("A", 131)]), Some(70));
        assert_eq!(first(&[("A", 69), ("A", 131)]), None);
        assert_eq!(first(&[("A", 130)]), Some(130));
    }

    #[test]
    fn rows_are_read_by_the_names_of_their_columns() {
        let text = "received_at,id,urgency,device_id,text,customer\n\
                    2026-05-01T09:00:00+09:00,q1,最高,BL1,\"does not open,\nagain\",Sato\n\
                    2026-05-01T00:00:01Z,q2,,,?,";
        let inquiries = Inquiries::parse(text);
        assert_eq!(inquiries.refused(), []);
        let [one, two] = inquiries.rows() else { panic!("two rows") };
        assert_eq!(
            (one.received_ms, one.urgency, one.device_id.as_deref()),
            (1_777_593_600_000, Some(Urgency::Highest), Some("BL1"))
        );
        assert_eq!((one.text.as_str(), one.customer.as_str()), ("does not open,\nagain", "Sato"));
        assert_eq!((two.received_ms - one.received_ms, two.device_id.as_deref()), (1_000, None));
    }

    #[test]
    fn a_bad_row_is_told_with_its_line_and_keeps_none_of_its_neighbours_out() {
        let text = "id,received_at,customer,device_id,urgency,text\n\
                    1,yesterday,,A,,\n2,2026-05-01T00:00:00Z,,A,,\n3,2026-05-01T00:00:00Z,,A,urgent,";
        let inquiries = Inquiries::parse(text);
        assert_eq!(inquiries.rows().len(), 1);
        let told: Vec<String> = inquiries.refused().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 2: received_at is \"yesterday\"; a time by RFC 3339 with its offset is wanted",
                "line 4: urgency is \"urgent\"; 最高, 高, 中, 低 or nothing is wanted",
            ]
        );
    }

    #[test]
    fn a_text_without_the_columns_is_refused_as_a_whole() {
        assert_eq!(Inquiries::parse("a,b\n1,2").refused().len(), 1);
    }

    #[test]
    fn an_id_that_comes_again_replaces_the_row_before_it() {
        let text = "id,received_at,customer,device_id,urgency,text\n\
                    1,2026-05-01T00:00:00Z,,A,,\n1,2026-05-02T00:00:00Z,,A,高,";
        let inquiries = Inquiries::parse(text);
        assert_eq!(inquiries.rows().len(), 1);
        assert_eq!(inquiries.rows()[0].urgency, Some(Urgency::High));
    }

    /// Lines and fields of the rows.
    fn check(text: &str, expected: &[(usize, &[&str])]) {
        let found: Vec<(usize, csv::StringRecord)> = rows(text).map(|(line, row)| (line, row.unwrap())).collect();
        let found: Vec<(usize, Vec<&str>)> = found.iter().map(|(line, row)| (*line, row.iter().collect())).collect();
        let expected: Vec<(usize, Vec<&str>)> = expected.iter().map(|(line, row)| (*line, row.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_end_at_either_line_end_and_at_the_end_of_the_text() {
        check("a,b\r\nc,\n\nd,e", &[(1, &["a", "b"]), (2, &["c", ""]), (4, &["d", "e"])]);
        check("\r\n\r\na\r\n,\r\nb\n\nc\n", &[(3, &["a"]), (5, &["b"]), (7, &["c"])]);
    }

    #[test]
    fn a_quoted_field_holds_commas_quotes_and_line_ends() {
        check("1,\"a, \"\"b\"\"\nc\",x\n2,y,z", &[(1, &["1", "a, \"b\"\nc", "x"]), (3, &["2", "y", "z"])]);
    }

    #[test]
    fn a_byte_order_mark_and_an_open_quote_lose_nothing() {
        check("\u{feff}id\n\"open, end", &[(1, &["id"]), (2, &["open, end"])]);
    }
}
