//! The errors of a server, and the reaction to each by its ClickHouse code: retry, find the rows that the server
//! refuses, or wait until a person mends the server. Must not know tables. Called by the server's callers.
use crate::with_causes;
use clickhouse::error::Error;
use std::time::Duration;

/// Why a server did not do what was requested.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// It answered with an exception.
    #[error("ClickHouse refused: {text}")]
    Refused {
        /// The exception's code.
        code: u32,
        /// Its text, at most [`MAX_TEXT_CHARS`] characters.
        text: String,
    },
    /// The outcome is unknown: no connection, no answer, an answer that broke off, or one that is not ClickHouse's.
    #[error("ClickHouse did not answer: {text}")]
    Unknown {
        /// What happened.
        text: String,
    },
    /// Its answer can't be read.
    #[error("ClickHouse answered what can't be read: {found}")]
    Answer {
        /// What is wrong.
        found: String,
    },
}

/// The most characters that are retained of an exception's text, which may quote the whole query.
pub const MAX_TEXT_CHARS: usize = 400;

/// So many characters of a secret's beginning at the end of a text are taken for it; a guess.
const BEGUN_CHARS: usize = 4;

/// The reaction to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same may succeed later.
    Again,
    /// The rows are at fault: the other rows of the insert may be taken.
    Rows,
    /// The server's tables, users or settings: the server takes no row until a person has mended them.
    Mend,
}

/// Codes by which ClickHouse refuses values: names and numbers of `src/Common/ErrorCodes.cpp` (26.7).
const OF_ROWS: [u32; 22] = [
    6,   // CANNOT_PARSE_TEXT
    26,  // CANNOT_PARSE_QUOTED_STRING
    27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    32,  // ATTEMPT_TO_READ_AFTER_EOF
    33,  // CANNOT_READ_ALL_DATA
    38,  // CANNOT_PARSE_DATE
    41,  // CANNOT_PARSE_DATETIME
    53,  // TYPE_MISMATCH
    69,  // ARGUMENT_OUT_OF_BOUND
    70,  // CANNOT_CONVERT_TYPE
    72,  // CANNOT_PARSE_NUMBER
    117, // INCORRECT_DATA
    128, // TOO_LARGE_ARRAY_SIZE
    130, // CANNOT_READ_ARRAY_FROM_TEXT
    131, // TOO_LARGE_STRING_SIZE
    190, // SIZES_OF_ARRAYS_DONT_MATCH
    321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
    407, // DECIMAL_OVERFLOW
    467, // CANNOT_PARSE_BOOL
    469, // VIOLATED_CONSTRAINT
    691, // UNKNOWN_ELEMENT_OF_ENUM
];

/// Codes of errors that don't pass with time, and for which no row is at fault.
const TO_MEND: [u32; 12] = [
    16,  // NO_SUCH_COLUMN_IN_TABLE
    36,  // BAD_ARGUMENTS
    47,  // UNKNOWN_IDENTIFIER
    60,  // UNKNOWN_TABLE
    62,  // SYNTAX_ERROR
    81,  // UNKNOWN_DATABASE
    115, // UNKNOWN_SETTING
    164, // READONLY
    192, // UNKNOWN_USER
    193, // WRONG_PASSWORD
    497, // ACCESS_DENIED
    516, // AUTHENTICATION_FAILED
];

impl ServerError {
    /// The reaction. A code that is in no list is retried: that loses nothing.
    pub fn verdict(&self) -> Retry {
        match self {
            Self::Refused { code, .. } if OF_ROWS.contains(code) => Retry::Rows,
            Self::Refused { code, .. } if TO_MEND.contains(code) => Retry::Mend,
            Self::Refused { .. } | Self::Unknown { .. } => Retry::Again,
            Self::Answer { .. } => Retry::Mend,
        }
    }

    /// The same without this secret, also where the text ends within it.
    pub(super) fn hiding(mut self, secret: &str) -> Self {
        let text = match &mut self {
            Self::Refused { text, .. } | Self::Unknown { text } | Self::Answer { found: text } => text,
        };
        if !secret.is_empty() {
            *text = text.replace(secret, "(secret)");
            let begun = secret.char_indices().map(|(at, _)| &secret[..at]).rfind(|begun| text.ends_with(begun));
            if let Some(begun) = begun.filter(|begun| begun.chars().count() >= BEGUN_CHARS) {
                text.truncate(text.len() - begun.len());
            }
        }
        self
    }

    pub(super) fn silent(after: Duration) -> Self {
        Self::Unknown { text: format!("no answer within {} ms", after.as_millis()) }
    }
}

impl From<Error> for ServerError {
    fn from(error: Error) -> Self {
        let shown = |text: &str| text.chars().take(MAX_TEXT_CHARS).collect();
        if let Error::BadResponse(text) = &error {
            return match code(text) {
                Some(code) => Self::Refused { code, text: shown(text) },
                None => Self::Unknown { text: shown(text) },
            };
        }
        Self::Unknown { text: shown(&with_causes(&error)) }
    }
}

/// The code of an exception's text: `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let digits = text.trim_start().strip_prefix("Code: ")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Retry {
        ServerError::from(Error::BadResponse(text.to_owned())).verdict()
    }

    #[test]
    fn a_secret_that_the_server_repeats_is_hidden_also_at_the_end_of_a_text_that_was_cut() {
        let hidden = |text: &str| {
            let error = ServerError::Unknown { text: text.to_owned() };
            error.hiding("canary-4711").to_string()
        };
        assert_eq!(hidden("key canary-4711 is bad"), "ClickHouse did not answer: key (secret) is bad");
        assert_eq!(hidden("the key canary-47"), "ClickHouse did not answer: the key ");
        assert_eq!(hidden("no can"), "ClickHouse did not answer: no can");
        let silent = ServerError::Unknown { text: "no answer".into() };
        assert_eq!(silent.clone().hiding(""), silent);
    }

    #[test]
    fn only_codes_of_values_blame_rows_and_an_unknown_code_is_asked_again() {
        assert_eq!(check("Code: 117. DB::Exception: Incorrect data"), Retry::Rows);
        assert_eq!(check("Code: 60"), Retry::Mend);
        assert_eq!(check("Code: 241. DB::Exception: Memory limit exceeded"), Retry::Again);
        assert_eq!(check("Code: 252. DB::Exception: Too many parts"), Retry::Again);
        assert_eq!(check("502 Bad Gateway"), Retry::Again);
        assert_eq!(check("<html>Code: 117"), Retry::Again, "a proxy's page is no exception");
        assert_eq!(ServerError::from(Error::TimedOut).verdict(), Retry::Again);
    }

    #[test]
    fn an_exceptions_text_is_cut_between_characters() {
        let text = format!("Code: 62. {}", "錠".repeat(1000));
        let ServerError::Refused { code, text } = ServerError::from(Error::BadResponse(text)) else {
            panic!("no exception")
        };
        assert_eq!((code, text.chars().count()), (62, MAX_TEXT_CHARS));
    }
}
