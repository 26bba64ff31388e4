//! How ClickHouse reports an error: a code, a text that starts with it, and the HTTP status for it. Must not know how a
//! query is run. Called by all of the program.
use axum::http::StatusCode;

/// What ClickHouse calls an exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    /// Its number in `system.errors`.
    pub(crate) code: u32,
    /// The text as ClickHouse writes it, code and name included.
    pub(crate) text: String,
}

impl Exception {
    /// The engine's error.
    pub(crate) fn of_engine(text: String) -> Self {
        let number = text.strip_prefix("Code: ").and_then(|rest| rest.split_once('.')).map(|(number, _)| number);
        // 1002 is UNKNOWN_EXCEPTION.
        Self { code: number.and_then(|number| number.parse().ok()).unwrap_or(1002), text }
    }

    /// The request itself is wrong.
    pub(crate) fn bad_arguments(said: &str) -> Self {
        Self::new(36, "BAD_ARGUMENTS", said)
    }

    /// A body that breaks its framing.
    pub(crate) fn cannot_decompress(said: &str) -> Self {
        Self::new(271, "CANNOT_DECOMPRESS", said)
    }

    /// A body whose bytes differ from those that were sent.
    pub(crate) fn checksum(said: &str) -> Self {
        Self::new(40, "CHECKSUM_DOESNT_MATCH", said)
    }

    /// A request that a server could serve and this front can't.
    pub(crate) fn not_implemented(said: &str) -> Self {
        Self::new(48, "NOT_IMPLEMENTED", said)
    }

    /// More than one statement in a query.
    pub(crate) fn syntax(said: &str) -> Self {
        Self::new(62, "SYNTAX_ERROR", said)
    }

    /// The connection to the engine.
    pub(crate) fn network(said: &str) -> Self {
        Self::new(210, "NETWORK_ERROR", said)
    }

    fn new(code: u32, name: &str, said: &str) -> Self {
        Self { code, text: format!("Code: {code}. DB::Exception: {said}. ({name})") }
    }

    /// The status that ClickHouse answers with: `exceptionCodeToHTTPStatus.cpp` of 26.7, numbers by `errorCodeToName`.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            6
            | 8
            | 15
            | 25..=27
            | 36..=38
            | 41
            | 44
            | 53
            | 62
            | 72
            | 117
            | 123
            | 167
            | 168
            | 223
            | 321
            | 376
            | 427
            | 441
            | 675
            | 676 => StatusCode::BAD_REQUEST,
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => StatusCode::NOT_FOUND,
            229 => StatusCode::PAYLOAD_TOO_LARGE,
            48 => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            381 => StatusCode::LENGTH_REQUIRED,
            159 => StatusCode::REQUEST_TIMEOUT,
            779 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_read_from_what_the_engine_says() {
        let said = "Code: 60. DB::Exception: Table z.nope does not exist. (UNKNOWN_TABLE)";
        let exception = Exception::of_engine(said.to_owned());
        assert_eq!((exception.code, exception.status(), exception.text.as_str()), (60, StatusCode::NOT_FOUND, said));
        assert_eq!(Exception::of_engine("broken".to_owned()).code, 1002);
        assert_eq!(Exception::of_engine(Exception::syntax("x").text).code, 62);
    }
}
