//! The records that a lock sends, and their bytes.
//!
//! This crate answers which fields a record has, in which units and ranges, and how they are encoded in JSON, in CBOR
//! and in advertisements. It must not know who receives, stores or evaluates a record: it has no clock, no file and no
//! socket, and firmware can use it (`no_std` with `alloc`). Everything else in the workspace is built on it.
#![no_std]

extern crate alloc;

pub mod bthome;
pub mod calendar;
pub mod cbor;
mod decode;
mod decoded;
pub mod digest;
mod draft;
mod encode;
mod fault;
pub mod fields;
pub mod ids;
pub mod json;
mod limits;
pub mod record;
pub mod recording;
pub mod refusal;
mod rfc3339;
pub mod time;
pub mod topic;
pub mod units;
mod value;
mod words;

pub use decode::{decode, event_identity};
pub use decoded::{DecodedRecord, Records};
pub use digest::Id;
pub use ids::{DeviceId, Name, NameError, SiteId};
pub use limits::{MAX_DEPTH, MAX_PAYLOAD_BYTES, MAX_RECORDS, MAX_TEXT_BYTES};
pub use record::{
    Adv, Body, ErrorReport, Event, EventKind, GatewayReport, Kind, LockState, Op, OpKind, OpResult, OpSource, Profile,
    Record, ResetReason, State, Text,
};
pub use refusal::{Reason, Refusal};
pub use time::{DeviceTime, EngineTime, GatewayTime};
pub use topic::{Heading, Topic};
pub use units::{Bytes, CentiCelsius, CentiDegrees, DbMilliwatts, Milliamps, Millis, Millivolts, Percent};
