//! The reasons why a message or a record is refused. The list is closed: it is part of the telemetry contract, of
//! `/metrics` and of the dead letters. Must not know JSON or CBOR. Called by both codecs, by topics and the keyring,
//! and by the store for dead letters.
use alloc::string::String;

crate::words! {
    /// A dead letter's reason.
    Reason {
        /// Over 64 KiB.
        TooLarge = "too_large",
        /// JSON that is no UTF-8.
        BadUtf8 = "bad_utf8",
        /// JSON that does not parse.
        BadJson = "bad_json",
        /// CBOR that does not parse.
        BadCbor = "bad_cbor",
        /// Nested deeper than 4.
        TooDeep = "too_deep",
        /// An array of more than 1,000 records.
        TooManyRecords = "too_many_records",
        /// Wrong number of levels, bad site or bad id.
        BadTopic = "bad_topic",
        /// The payload names another device than the topic.
        IdentityMismatch = "identity_mismatch",
        /// A required field is absent.
        MissingField = "missing_field",
        /// A field of another type than the contract's.
        WrongType = "wrong_type",
        /// Unknown enum value, NaN, or a number outside its type.
        OutOfRange = "out_of_range",
        /// A bad code, a string over 256 bytes or with control characters.
        BadString = "bad_string",
        /// The topic's last level is not a known kind.
        UnknownKind = "unknown_kind",
        /// The sender may not speak for this device.
        Unauthenticated = "unauthenticated",
        /// The store refused this row alone.
        RefusedByStore = "refused_by_store",
    }
}

/// A reason with what was found and what was allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refusal {
    /// The contract's reason.
    pub reason: Reason,
    /// What was found, what was allowed, where (field, position). Never holds more than 64 bytes of the input, escaped.
    pub detail: String,
}

impl Refusal {
    /// A reason with its detail.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
