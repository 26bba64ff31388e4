//! Reads the asset registry's file: CSV into lines, and every error with its line and column. Must not know databases;
//! `control` stores the history. Called by `run` and the other commands that take a registry, by `demo` and by the lab.
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use zenei_detect::Registered;
use zenei_wire::{Name, NameError};

/// One line of the asset registry; an empty field is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the contract's field names")]
pub struct Registration {
    pub device_id: String,
    pub customer: String,
    pub site: String,
    pub door: String,
    pub service: String,
    pub gateway: String,
    pub model: String,
    pub hw_rev: String,
    pub lot: String,
    pub installed_at: String,
    pub address: String,
    pub bind_key_file: String,
}

impl Registration {
    /// The fields that detection needs.
    pub fn registered(&self) -> Registered<'_> {
        Registered {
            device_id: &self.device_id,
            model: &self.model,
            hw_rev: &self.hw_rev,
            lot: &self.lot,
            service: &self.service,
            gateway: &self.gateway,
        }
    }
}

/// The columns, in the contract's order. A file may leave columns out, but not `device_id`; a column that it leaves out
/// is unknown.
pub const COLUMNS: [&str; 12] = [
    "device_id",
    "customer",
    "site",
    "door",
    "service",
    "gateway",
    "model",
    "hw_rev",
    "lot",
    "installed_at",
    "address",
    "bind_key_file",
];

/// The longest field, in bytes: the limit of a record's text.
const MAX_FIELD_BYTES: usize = zenei_wire::MAX_TEXT_BYTES;

/// Why a registry is refused as a whole: half a registry would end the lines of the other half.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A column that the contract does not name.
    #[error("line 1, column {column}: '{found}' is no column of a registry; allowed are {allowed}", allowed = COLUMNS.join(", "))]
    UnknownColumn {
        /// Its position, from 1.
        column: usize,
        /// Its name, escaped.
        found: String,
    },
    /// A column comes twice.
    #[error("line 1, column {column}: {found} stands in column {first} already")]
    RepeatedColumn {
        /// Its position, from 1.
        column: usize,
        /// Its name.
        found: &'static str,
        /// Its first position.
        first: usize,
    },
    /// There is no `device_id`.
    #[error("line 1: there is no column device_id")]
    NoDeviceId,
    /// A line that is not CSV, or has another number of fields than the first.
    #[error("line {line}: {found}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        found: String,
    },
    /// A device id or site outside the charset.
    #[error("line {line}, column {column}: the {name} {source}")]
    Name {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// Its name.
        name: &'static str,
        /// What is wrong.
        source: NameError,
    },
    /// A field that is too long or has control characters.
    #[error(
        "line {line}, column {column}: {name} is '{found}'; at most {MAX_FIELD_BYTES} bytes without control characters are allowed"
    )]
    Text {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// Its name.
        name: &'static str,
        /// The field's beginning, escaped.
        found: String,
    },
    /// A lock comes twice.
    #[error("line {line}: {device_id} stands in line {first} already; a lock has one line")]
    RepeatedDevice {
        /// The line, from 1.
        line: u64,
        /// The lock.
        device_id: String,
        /// Its first line.
        first: u64,
    },
}

/// Reads a registry. Spaces around a field are not part of it; a byte order mark and empty lines are skipped.
///
/// # Errors
/// See [`RegistryError`]; the first one found.
pub fn read(csv: impl Read) -> Result<Vec<Registration>, RegistryError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(csv);
    let mut records = reader.records();
    let Some(first) = records.next() else { return Err(RegistryError::NoDeviceId) };
    let columns = columns(&first.map_err(|error| bad_line(&error))?)?;
    let (mut lines, mut seen) = (Vec::new(), HashMap::new());
    for record in records {
        let record = record.map_err(|error| bad_line(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let registration = registration(&record, &columns, line)?;
        if let Some(&first) = seen.get(&registration.device_id) {
            return Err(RegistryError::RepeatedDevice { line, device_id: registration.device_id, first });
        }
        seen.insert(registration.device_id.clone(), line);
        lines.push(registration);
    }
    Ok(lines)
}

fn columns(first: &csv::StringRecord) -> Result<Vec<&'static str>, RegistryError> {
    let mut columns: Vec<&'static str> = Vec::new();
    for (at, found) in first.iter().enumerate() {
        let found = if at == 0 { found.trim_start_matches('\u{feff}') } else { found };
        let Some(name) = COLUMNS.into_iter().find(|&known| known == found) else {
            return Err(RegistryError::UnknownColumn { column: at + 1, found: shown(found) });
        };
        if let Some(first) = columns.iter().position(|&known| known == name) {
            return Err(RegistryError::RepeatedColumn { column: at + 1, found: name, first: first + 1 });
        }
        columns.push(name);
    }
    if columns.contains(&"device_id") { Ok(columns) } else { Err(RegistryError::NoDeviceId) }
}

fn registration(
    record: &csv::StringRecord,
    columns: &[&'static str],
    line: u64,
) -> Result<Registration, RegistryError> {
    let mut registration = Registration::default();
    for ((at, &name), field) in columns.iter().enumerate().zip(record) {
        let column = at + 1;
        if field.len() > MAX_FIELD_BYTES || field.chars().any(char::is_control) {
            return Err(RegistryError::Text { line, column, name, found: shown(field) });
        }
        let is_name = name == "device_id" || (name == "site" && !field.is_empty());
        if is_name && let Err(source) = Name::new(field) {
            return Err(RegistryError::Name { line, column, name, source });
        }
        if let Some(slot) = slot(&mut registration, name) {
            field.clone_into(slot);
        }
    }
    Ok(registration)
}

fn slot<'a>(registration: &'a mut Registration, name: &str) -> Option<&'a mut String> {
    match name {
        "device_id" => Some(&mut registration.device_id),
        "customer" => Some(&mut registration.customer),
        "site" => Some(&mut registration.site),
        "door" => Some(&mut registration.door),
        "service" => Some(&mut registration.service),
        "gateway" => Some(&mut registration.gateway),
        "model" => Some(&mut registration.model),
        "hw_rev" => Some(&mut registration.hw_rev),
        "lot" => Some(&mut registration.lot),
        "installed_at" => Some(&mut registration.installed_at),
        "address" => Some(&mut registration.address),
        "bind_key_file" => Some(&mut registration.bind_key_file),
        _ => None,
    }
}

fn bad_line(error: &csv::Error) -> RegistryError {
    let line = error.position().map_or(1, csv::Position::line);
    let found = if let csv::ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        format!("it has {len} fields; the first line has {expected_len}")
    } else if let csv::ErrorKind::Utf8 { err, .. } = error.kind() {
        format!("field {} is no UTF-8", err.field() + 1)
    } else {
        error.to_string()
    };
    RegistryError::Line { line, found }
}

fn shown(text: &str) -> String {
    text.chars().take(32).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(csv: &str, said: &str) {
        assert_eq!(read(csv.as_bytes()).unwrap_err().to_string(), said);
    }

    #[test]
    fn a_registry_reads_by_its_columns_names_in_any_order() {
        let csv = "\u{feff}lot, device_id ,site,door\r\n2024W31,BL1,tokyo-01,\"3, north\"\r\n\r\n,BL2,,\r\n";
        let lines = read(csv.as_bytes()).unwrap();
        let expected = Registration {
            device_id: "BL1".into(),
            lot: "2024W31".into(),
            site: "tokyo-01".into(),
            door: "3, north".into(),
            ..Registration::default()
        };
        assert_eq!(lines, [expected, Registration { device_id: "BL2".into(), ..Registration::default() }]);
    }

    #[test]
    fn all_columns_of_the_contract_find_their_field() {
        let csv = format!("{}\na,b,c,d,e,f,g,h,i,j,k,l\n", COLUMNS.join(","));
        let line = &read(csv.as_bytes()).unwrap()[0];
        let shown = serde_json::to_value(line).unwrap();
        for (column, value) in COLUMNS.iter().zip('a'..) {
            assert_eq!(shown[column], value.to_string());
        }
    }

    #[test]
    fn each_error_names_its_line_and_what_is_allowed() {
        let columns = COLUMNS.join(", ");
        check(
            "device_id,colour\n",
            &format!("line 1, column 2: 'colour' is no column of a registry; allowed are {columns}"),
        );
        check("device_id,lot,device_id\n", "line 1, column 3: device_id stands in column 1 already");
        check("lot\nx\n", "line 1: there is no column device_id");
        check("", "line 1: there is no column device_id");
        check("device_id,lot\nA,1\nB\n", "line 3: it has 1 fields; the first line has 2");
        check(
            "lot,device_id\n1,\n",
            "line 2, column 2: the device_id is empty; 1 to 64 of A-Z a-z 0-9 . _ - are allowed",
        );
        check("device_id\nA\nB\nA\n", "line 4: A stands in line 2 already; a lock has one line");
        check(
            "device_id,lot\nA,\"x\u{7}\"\n",
            "line 2, column 2: lot is 'x\\u{7}'; at most 256 bytes without control characters are allowed",
        );
        let error = read(&b"device_id,lot\nA,\xff\n"[..]).unwrap_err();
        assert_eq!(error.to_string(), "line 2: field 2 is no UTF-8");
    }
}
