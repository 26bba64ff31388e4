//! Which message would the spool store for an advertisement? Called by the radio and the simulated locks of a scan.
use zenei_store::{Source, StoredMessage};
use zenei_wire::GatewayTime;
use zenei_wire::bthome::Advertisement;

/// An advertisement as the spool would hold it.
pub(super) fn spooled(heard: &Advertisement<'_>, heard_at: GatewayTime, offset: u64) -> StoredMessage {
    StoredMessage {
        offset,
        heard_at,
        source: Source::Ble,
        authenticated: false,
        topic: heard.topic(),
        payload: heard.payload().into(),
    }
}
