//! The versions and limits of packets, and why one is refused: what was found and what was allowed. Must not know how
//! packets are read. Called by the ingress.
use crate::source::topic::BadTopicName;

/// The largest packet, in bytes behind the fixed header: twice the largest payload of the telemetry contract, so that a
/// payload that is somewhat too large is accepted, acknowledged and stored as a dead letter instead of being sent again
/// for ever.
pub const MAX_PACKET_BYTES: usize = 128 * 1024;

/// The longest accepted client id, in bytes. The standard demands 23; a guess at what hubs use, with a margin.
pub const MAX_CLIENT_ID_BYTES: usize = 256;

/// The least that a client of version 5 must take, in bytes: the longest answer, a CONNACK with its properties or a
/// DISCONNECT with its reason.
pub const MIN_PACKET_BYTES: u32 = 256;

/// The version that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1, level 4.
    #[default]
    V3,
    /// 5, level 5.
    V5,
}

/// Why a packet is refused. Errors of a CONNECT are answered by a CONNACK where its version is known; all others close
/// the connection, of version 5 after a DISCONNECT that says why, as the standard demands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than allowed.
    #[error("a packet says it has {found} bytes; at most {MAX_PACKET_BYTES} are allowed")]
    TooLarge {
        /// The packet's length.
        found: usize,
    },
    /// A remaining length of more than four bytes.
    #[error("the remaining length has more than 4 bytes")]
    Length,
    /// A packet type that a client may not send, or that this server does not take.
    #[error("packet type {found} is not taken; CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT are")]
    Type {
        /// The type, 0 to 15.
        found: u8,
    },
    /// Flags in the fixed header that this type may not have.
    #[error("packet type {kind} has the flags {found:#06b}, which are not allowed")]
    Flags {
        /// The type.
        kind: u8,
        /// The flags.
        found: u8,
    },
    /// QoS 2, which this server does not support, or 3, which does not exist.
    #[error("quality of service {found}; 0 and 1 are taken")]
    Qos {
        /// The requested QoS.
        found: u8,
    },
    /// The packet ends within a field.
    #[error("the packet ends within its {field}")]
    Short {
        /// The field.
        field: &'static str,
    },
    /// Bytes after the last field.
    #[error("{found} bytes follow the last field")]
    Trailing {
        /// How many.
        found: usize,
    },
    /// A text that is no UTF-8, or has U+0000.
    #[error("the {field} is no valid text")]
    Utf8 {
        /// The field.
        field: &'static str,
    },
    /// A topic name that MQTT does not allow.
    #[error(transparent)]
    Topic(#[from] BadTopicName),
    /// Packet id 0.
    #[error("the packet id is 0; 1 to 65535 are allowed")]
    PacketId,
    /// Another protocol or version: CONNACK 0x01.
    #[error("protocol {name:?} of level {level}; \"MQTT\" of level 4 (v3.1.1) and 5 are spoken")]
    Protocol {
        /// The requested protocol, cut to 16 characters.
        name: Box<str>,
        /// The requested level.
        level: u8,
    },
    /// What a CONNECT of a known version says, beyond its protocol.
    #[error("CONNECT: {error}")]
    Connect {
        /// The version that it names.
        version: Version,
        /// What is wrong.
        error: Box<Malformed>,
    },
    /// A login that needs several packets, which this server does not know.
    #[error("CONNECT names a method to authenticate; none is known, a user name or a certificate is")]
    Method,
    /// A largest packet that has no room for an answer.
    #[error("the client takes packets of at most {found} bytes; {MIN_PACKET_BYTES} are needed")]
    PacketMax {
        /// What the client takes, in bytes.
        found: u32,
    },
    /// A topic by its number, which this server does not allow.
    #[error("topic alias {found}; none is allowed, as CONNACK says")]
    Alias {
        /// The alias.
        found: u16,
    },
    /// A property that does not exist or has no place in this packet.
    #[error("property {found:#04x} is not allowed in this packet")]
    Property {
        /// The property.
        found: u8,
    },
    /// A property that comes twice.
    #[error("property {found:#04x} comes twice")]
    Twice {
        /// The property.
        found: u8,
    },
    /// A property with a value that it may not have.
    #[error("property {property:#04x} has a value that the standard does not allow")]
    Value {
        /// The property.
        property: u8,
    },
    /// A session that is to last after its connection, asked for at its end.
    #[error("DISCONNECT asks for a session that lasts; CONNECT asked for none")]
    Lasts,
    /// The options of a subscription that do not exist.
    #[error("a subscription has the options {found:#010b}, which are not allowed")]
    Options {
        /// The options.
        found: u8,
    },
    /// Flags of CONNECT that contradict one another or that are reserved.
    #[error("CONNECT has the flags {found:#010b}, which are not allowed")]
    ConnectFlags {
        /// The flags.
        found: u8,
    },
    /// An empty client id without a clean session, or one that is too long: CONNACK 0x02.
    #[error("the client id has {found} bytes; 1 to {MAX_CLIENT_ID_BYTES} are allowed, and 0 with a clean session")]
    ClientId {
        /// How many bytes it has.
        found: usize,
    },
    /// SUBSCRIBE or UNSUBSCRIBE without a filter.
    #[error("a subscription names no filter")]
    NoFilter,
}

impl Malformed {
    /// In which version a CONNACK answers it; `None` where the connection is closed without an answer.
    pub fn answered_in(&self) -> Option<Version> {
        if let Self::Connect { version, error } = self {
            let is_answered = *version == Version::V5 || matches!(**error, Self::ClientId { .. });
            return is_answered.then_some(*version);
        }
        matches!(self, Self::Protocol { .. }).then_some(Version::V3)
    }

    /// The reason code of version 5.
    pub fn code(&self) -> u8 {
        match self {
            Self::TooLarge { .. } => 0x95,
            Self::Qos { .. } => 0x9b,
            Self::Alias { .. } => 0x94,
            Self::Protocol { .. } => 0x84,
            Self::Connect { error, .. } => error.code(),
            Self::ClientId { .. } => 0x85,
            Self::Method => 0x8c,
            Self::Topic(BadTopicName::Characters) => 0x90,
            Self::Twice { .. } | Self::Value { .. } | Self::Lasts | Self::NoFilter | Self::PacketMax { .. } => 0x82,
            Self::Length
            | Self::Type { .. }
            | Self::Flags { .. }
            | Self::Short { .. }
            | Self::Trailing { .. }
            | Self::Utf8 { .. }
            | Self::Topic(BadTopicName::Utf8)
            | Self::PacketId
            | Self::Property { .. }
            | Self::ConnectFlags { .. }
            | Self::Options { .. } => 0x81,
        }
    }
}
