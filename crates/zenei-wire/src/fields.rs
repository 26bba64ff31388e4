//! The fields of a record's own part (those of its kind, beyond the fields that every record has): one list with each
//! field's name, unit, range, form and place in the record. Must not know JSON, CBOR or any store. Both codecs walk it,
//! the store makes its columns from it, the detectors' numeric fields come from it, and rule cases read a field's form
//! and decimals from it.
//!
//! A new field is a line here and a place in its kind's type in `record`.
use crate::record::{
    Body, EventKind, Kind, LockState, OpKind, OpResult, OpSource, Profile, ResetReason, Text as RecordText,
};

/// One field of the contract.
#[derive(Debug)]
pub struct Field {
    /// Its name in messages and in Parquet files; a number's ends in its unit.
    pub name: &'static str,
    /// The unit of a number as people write it; empty where it counts or names something.
    pub unit: &'static str,
    /// The least and the greatest number, in steps of the last decimal; zeros for a field that is not a number.
    pub range: (i64, i64),
    /// The meaning of a record without it.
    pub absent: Absent,
    /// Its type, and its place in the record.
    pub form: Form,
    /// A bit for each kind of record that has it.
    kinds: u8,
}

/// The meaning of a record without a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It was not measured, or is not known.
    Unknown,
    /// One: a count that is not given.
    One,
    /// The record is refused: `missing_field`.
    Refused,
}

/// The type of a field.
#[derive(Debug)]
pub enum Form {
    /// A whole number of 8 bits.
    U8(Slot<u8>),
    /// A whole number of 16 bits.
    U16(Slot<u16>),
    /// A whole number of 32 bits.
    U32(Slot<u32>),
    /// A whole number of 8 bits with a sign.
    I8(Slot<i8>),
    /// A number with two decimals, in hundredths.
    Hundredths(Slot<i16>),
    /// Yes or no; advertisements alone have one.
    Flag(Slot<bool>),
    /// One of the contract's words.
    Word(Words),
    /// A text.
    Text(Text),
    /// A motor current profile.
    Samples(Slot<Profile>),
}

/// The place of a value in a record. For a record whose kind lacks the field, `get` returns `None` and `set` does
/// nothing.
#[derive(Debug)]
pub struct Slot<T> {
    /// The value; `None` where it is absent.
    pub get: fn(&Body<'_>) -> Option<T>,
    /// Puts a value there; `None` makes it absent: a one for [`Absent::One`], no change for [`Absent::Refused`].
    pub set: fn(&mut Body<'_>, Option<T>),
}

/// One of a closed list of words.
#[derive(Debug)]
pub struct Words {
    /// The contract's words.
    pub all: &'static [&'static str],
    /// The word's place in that list; a place beyond the list counts as absent.
    pub slot: Slot<u8>,
}

/// A text of a record.
#[derive(Debug)]
pub struct Text {
    /// What it must be.
    pub rule: TextRule,
    /// The text; `None` where it is absent.
    pub get: for<'b> fn(&'b Body<'_>) -> Option<&'b str>,
    /// As [`Slot::set`].
    pub set: for<'a> fn(&mut Body<'a>, Option<RecordText<'a>>),
}

/// The rule for a text, beyond at most 256 bytes without control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRule {
    /// Anything.
    Free,
    /// `^[a-z][a-z0-9_]{0,47}$`.
    Code,
    /// The id of the message's topic.
    TopicId,
}

impl Field {
    /// Whether records of this kind have it.
    pub const fn is_of(&self, kind: Kind) -> bool {
        self.kinds & bit(kind) != 0
    }

    /// How many decimals its number has: 0 or 2.
    pub const fn decimals(&self) -> u8 {
        match self.form {
            Form::Hundredths(_) => 2,
            Form::U8(_)
            | Form::U16(_)
            | Form::U32(_)
            | Form::I8(_)
            | Form::Flag(_)
            | Form::Word(_)
            | Form::Text(_)
            | Form::Samples(_) => 0,
        }
    }

    /// The number in its unit; `None` where it is absent, or no number.
    pub fn number(&self, body: &Body<'_>) -> Option<f64> {
        match &self.form {
            Form::U8(slot) => (slot.get)(body).map(f64::from),
            Form::U16(slot) => (slot.get)(body).map(f64::from),
            Form::U32(slot) => (slot.get)(body).map(f64::from),
            Form::I8(slot) => (slot.get)(body).map(f64::from),
            Form::Hundredths(slot) => (slot.get)(body).map(|hundredths| f64::from(hundredths) / 100.0),
            Form::Flag(_) | Form::Word(_) | Form::Text(_) | Form::Samples(_) => None,
        }
    }

    const fn new(name: &'static str, unit: &'static str, kinds: u8, form: Form) -> Self {
        Self { name, unit, range: form.range(), absent: Absent::Unknown, form, kinds }
    }

    const fn required(self) -> Self {
        Self { absent: Absent::Refused, ..self }
    }
}

impl Form {
    /// The range of its type.
    const fn range(&self) -> (i64, i64) {
        match self {
            Self::U8(_) => (0, u8::MAX as i64),
            Self::U16(_) => (0, u16::MAX as i64),
            Self::U32(_) => (0, u32::MAX as i64),
            Self::I8(_) => (i8::MIN as i64, i8::MAX as i64),
            Self::Hundredths(_) => (i16::MIN as i64, i16::MAX as i64),
            Self::Flag(_) | Self::Word(_) | Self::Text(_) | Self::Samples(_) => (0, 0),
        }
    }
}

/// The field of this name, which is one field also where several kinds of record have it; `None` where the contract has
/// none.
pub fn find(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// The fields of a kind of record, in the order of an encoded record.
pub fn of(kind: Kind) -> &'static [&'static Field] {
    static STATE: [&Field; count(Kind::State)] = pick(Kind::State);
    static OP: [&Field; count(Kind::Op)] = pick(Kind::Op);
    static ERROR: [&Field; count(Kind::Error)] = pick(Kind::Error);
    static EVENT: [&Field; count(Kind::Event)] = pick(Kind::Event);
    static GATEWAY: [&Field; count(Kind::Gateway)] = pick(Kind::Gateway);
    static ADV: [&Field; count(Kind::Adv)] = pick(Kind::Adv);
    match kind {
        Kind::State => &STATE,
        Kind::Op => &OP,
        Kind::Error => &ERROR,
        Kind::Event => &EVENT,
        Kind::Gateway => &GATEWAY,
        Kind::Adv => &ADV,
    }
}

/// Which of a kind's fields a record must have: a bit each, by their place in [`of`].
pub(crate) fn required(kind: Kind) -> u32 {
    static REQUIRED: [u32; Kind::ALL.len()] = [
        bits_required(Kind::State),
        bits_required(Kind::Op),
        bits_required(Kind::Error),
        bits_required(Kind::Event),
        bits_required(Kind::Gateway),
        bits_required(Kind::Adv),
    ];
    REQUIRED[kind as usize]
}

const fn bits_required(kind: Kind) -> u32 {
    let (mut at, mut place, mut bits) = (0, 0, 0);
    while at < FIELDS.len() {
        if FIELDS[at].is_of(kind) {
            bits |= (matches!(FIELDS[at].absent, Absent::Refused) as u32) << place;
            place += 1;
        }
        at += 1;
    }
    bits
}

const fn bit(kind: Kind) -> u8 {
    1 << kind as u8
}

const fn count(kind: Kind) -> usize {
    let (mut at, mut found) = (0, 0);
    while at < FIELDS.len() {
        found += FIELDS[at].is_of(kind) as usize;
        at += 1;
    }
    found
}

const fn pick<const N: usize>(kind: Kind) -> [&'static Field; N] {
    let mut picked = [&FIELDS[0]; N];
    let (mut at, mut found) = (0, 0);
    while at < FIELDS.len() {
        if FIELDS[at].is_of(kind) {
            picked[found] = &FIELDS[at];
            found += 1;
        }
        at += 1;
    }
    picked
}

// Macros, because a function can't be given a field of a type to read and to write.

/// The place of an optional value, in each of these kinds.
macro_rules! slot {
    ($field:ident, $($kind:ident)|+) => {
        Slot {
            get: |body| {
                $(if let Body::$kind(said) = body { return said.$field.map(Into::into); })+
                None
            },
            set: |body, value| {
                $(if let Body::$kind(said) = body { said.$field = value.map(Into::into); })+
            },
        }
    };
}

macro_rules! value {
    ($field:ident, $unit:literal, $form:ident, $($kind:ident)|+) => {
        Field::new(stringify!($field), $unit, $(bit(Kind::$kind))|+, Form::$form(slot!($field, $($kind)|+)))
    };
}

macro_rules! word {
    ($field:ident, $words:ident, $($kind:ident)|+) => {
        Field::new(stringify!($field), "", $(bit(Kind::$kind))|+, Form::Word(Words {
            all: $words::WORDS,
            slot: Slot {
                get: |body| {
                    $(if let Body::$kind(said) = body { return said.$field.map($words::place); })+
                    None
                },
                set: |body, place| {
                    $(if let Body::$kind(said) = body { said.$field = place.and_then($words::at); })+
                },
            },
        }))
    };
}

macro_rules! required_word {
    ($field:ident, $words:ident, $kind:ident) => {
        Field::new(
            stringify!($field),
            "",
            bit(Kind::$kind),
            Form::Word(Words {
                all: $words::WORDS,
                slot: Slot {
                    get: |body| if let Body::$kind(said) = body { Some(said.$field.place()) } else { None },
                    set: |body, place| {
                        if let (Body::$kind(said), Some(word)) = (body, place.and_then($words::at)) {
                            said.$field = word;
                        }
                    },
                },
            }),
        )
        .required()
    };
}

macro_rules! text {
    ($field:ident, $rule:ident, $kind:ident) => {
        Field::new(
            stringify!($field),
            "",
            bit(Kind::$kind),
            Form::Text(Text {
                rule: TextRule::$rule,
                get: |body| if let Body::$kind(said) = body { said.$field.as_deref() } else { None },
                set: |body, text| {
                    if let Body::$kind(said) = body {
                        said.$field = text
                    }
                },
            }),
        )
    };
}

/// Every field, in the order of an encoded record.
pub static FIELDS: &[Field] = &[
    value!(battery_mv, "mV", U16, State | Adv),
    Field { range: (0, 100), ..value!(battery_pct, "%", U8, State | Adv) },
    value!(temp_c, "°C", Hundredths, State | Adv),
    value!(rssi_dbm, "dBm", I8, State | Adv),
    word!(lock_state, LockState, State | Adv),
    word!(reset_reason, ResetReason, State),
    value!(free_heap_b, "B", U32, State),
    required_word!(op, OpKind, Op),
    word!(source, OpSource, Op),
    required_word!(result, OpResult, Op),
    value!(latency_ms, "ms", U32, Op),
    value!(duration_ms, "ms", U16, Op),
    value!(peak_ma, "mA", U16, Op | Adv),
    value!(mean_ma, "mA", U16, Op),
    value!(current_ma, "mA", Samples, Op),
    value!(sample_ms, "ms", U16, Op),
    value!(battery_min_mv, "mV", U16, Op),
    value!(angle_err_deg, "°", Hundredths, Op),
    Field::new("code", "", bit(Kind::Error), Form::Text(CODE)).required(),
    Field { absent: Absent::One, ..Field::new("count", "", bit(Kind::Error), Form::U32(COUNT)) },
    text!(detail, Free, Error),
    required_word!(event, EventKind, Event),
    text!(fw_from, Free, Event),
    text!(fw_to, Free, Event),
    text!(gateway_id, TopicId, Gateway),
    text!(version, Free, Gateway),
    value!(queue_depth, "", U32, Gateway),
    value!(publish_errors, "", U32, Gateway),
    value!(api_errors, "", U32, Gateway),
    value!(api_latency_ms, "ms", U32, Gateway),
    value!(locks_heard, "", U32, Gateway),
    value!(problem, "", Flag, Adv),
    value!(seq_low, "", U16, Adv),
    value!(packet_id, "", U8, Adv),
    value!(counter, "", U32, Adv),
];

const CODE: Text = Text {
    rule: TextRule::Code,
    get: |body| if let Body::Error(said) = body { Some(&said.code) } else { None },
    set: |body, code| {
        if let (Body::Error(said), Some(code)) = (body, code) {
            said.code = code;
        }
    },
};

const COUNT: Slot<u32> = Slot {
    get: |body| if let Body::Error(said) = body { Some(said.count) } else { None },
    set: |body, count| {
        if let Body::Error(said) = body {
            said.count = count.unwrap_or(1);
        }
    },
};
