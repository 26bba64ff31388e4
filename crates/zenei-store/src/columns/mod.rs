//! Makes the columns of a row for both stores: Parquet files and the tables of ClickHouse. The fields of each kind of
//! record come from the contract's list (`zenei_wire::fields`). Must not know files or servers. Called when a range is
//! sealed, and when it is shipped.
//!
//! Parquet: an absent value is null. `ts` is a plain integer (ms since 1970): a lock's clock may have any value, and a
//! reader that turns it into a calendar date may refuse the whole file for one value out of its range. `heard_at` and
//! `released_at` are zenei's own clocks and are timestamps. Temperatures and angles are floats in degrees: hundredths
//! are exact after rounding, and every reader of Parquet shows them as people expect.
//!
//! ClickHouse: numbers are fixed point (`temp_c` is `temp_centi_c`); an absent word is empty; every other absent value
//! is null.
mod array;

pub(crate) use array::{Column, flag, number, table, text, time};

use crate::dead_letter::DeadLetter;
use array::{flag_or_null, profiles};
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int8Type, Int16Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{BinaryArray, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use std::borrow::Cow;
use std::sync::Arc;
use zenei_detect::{Fleet, Row};
use zenei_wire::fields::{Absent, FIELDS, Field, Form, Slot, TextRule};
use zenei_wire::{Body, EngineTime, GatewayTime};

/// The labels of a lock, in the order of the columns; [`Kept::labels`] has the same order.
pub(crate) const LABELS: [&str; 7] = ["model", "hw_rev", "lot", "fw", "service", "gw", "client_version"];

/// The store that the columns are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Parquet,
    ClickHouse,
}

/// A row that is to be stored.
pub(crate) trait Kept {
    fn device_id(&self) -> &str;
    /// The site; `None` if the fleet's index was full when it came.
    fn site(&self) -> Option<&str>;
    /// The lock's labels: [`LABELS`].
    fn labels(&self) -> [Option<&str>; LABELS.len()];
    fn numbers(&self) -> Numbers;
    fn body(&self) -> &Body<'_>;
}

/// The numbers that rows of every kind have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// In which life of the lock it was made.
    pub(crate) life: u32,
    pub(crate) boot: Option<u32>,
    pub(crate) seq: Option<u32>,
    /// 0 if boot and `seq` are the identity.
    pub(crate) identity: u128,
    /// The lock's clock, ms.
    pub(crate) ts: i64,
    pub(crate) heard_at: GatewayTime,
    pub(crate) released_at: EngineTime,
    pub(crate) offset: u64,
    pub(crate) index: u16,
    pub(crate) late: bool,
    pub(crate) authenticated: bool,
    pub(crate) uptime_s: Option<u32>,
}

/// A row of intake with the fleet that numbered its words.
struct Sealing<'a> {
    row: &'a Row,
    fleet: &'a Fleet,
}

impl Kept for Sealing<'_> {
    fn device_id(&self) -> &str {
        self.fleet.device_id(self.row.device)
    }

    fn site(&self) -> Option<&str> {
        self.fleet.word(self.row.site)
    }

    fn labels(&self) -> [Option<&str>; LABELS.len()] {
        let zenei_detect::Labels { model, hw_rev, lot, fw, service, gw, client_version } = self.row.labels;
        [model, hw_rev, lot, fw, service, gw, client_version].map(|sym| self.fleet.word(sym))
    }

    #[inline]
    fn numbers(&self) -> Numbers {
        let row = self.row;
        Numbers {
            life: row.life,
            boot: row.boot,
            seq: row.seq,
            identity: row.identity,
            ts: row.ts.ms(),
            heard_at: row.heard_at,
            released_at: row.released_at,
            offset: row.offset,
            index: row.index,
            late: row.late,
            authenticated: row.authenticated,
            uptime_s: row.uptime_s,
        }
    }

    fn body(&self) -> &Body<'_> {
        &self.row.body
    }
}

/// A range's rows, for a Parquet file.
pub(crate) fn of_rows(rows: &[Row], fleet: &Fleet, gateway: &str) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<Sealing<'_>> = rows.iter().map(|row| Sealing { row, fleet }).collect();
    let mut columns = heading(&rows, gateway, Dialect::Parquet);
    columns.extend(FIELDS.iter().map(|field| own(field, &rows, Dialect::Parquet)));
    table(columns)
}

/// A range's dead letters.
pub(crate) fn of_dead_letters(dead: &[DeadLetter], gateway: &str, dialect: Dialect) -> Result<RecordBatch, ArrowError> {
    let bytes: BinaryArray = dead.iter().map(|letter| Some(&*letter.bytes)).collect();
    table(vec![
        text("reason", dead, |letter| Some(letter.reason.as_str()), false),
        text("detail", dead, |letter| Some(&letter.detail), false),
        text("topic", dead, |letter| Some(&letter.topic), false),
        ("bytes".into(), Arc::new(bytes), false),
        flag("cut", dead, |letter| letter.cut),
        time("heard_at", dead, |letter| letter.heard_at.ms()),
        number::<UInt64Type, _>(dialect.offset(), dead, |letter| Some(letter.offset), false),
        number::<UInt16Type, _>(dialect.index(), dead, |letter| Some(letter.index), false),
        flag("authenticated", dead, |letter| letter.authenticated),
        text("gateway", dead, |_| Some(gateway), false),
    ])
}

/// A gap: the lock, then the boot, the first and the last missing `seq`, and when intake stopped waiting.
pub(crate) type NamedGap<'a> = (&'a str, [u32; 3], EngineTime);

/// Gaps.
pub(crate) fn of_gaps(gaps: &[NamedGap<'_>], gateway: &str) -> Result<RecordBatch, ArrowError> {
    table(vec![
        text("device_id", gaps, |gap| Some(gap.0), false),
        number::<UInt32Type, _>("boot", gaps, |gap| Some(gap.1[0]), false),
        number::<UInt32Type, _>("from_seq", gaps, |gap| Some(gap.1[1]), false),
        number::<UInt32Type, _>("to_seq", gaps, |gap| Some(gap.1[2]), false),
        time("at", gaps, |gap| gap.2.ms()),
        text("gateway", gaps, |_| Some(gateway), false),
    ])
}

/// The columns that rows of every kind have.
pub(crate) fn heading<R: Kept>(rows: &[R], gateway: &str, dialect: Dialect) -> Vec<Column> {
    let mut columns = vec![
        text("device_id", rows, |row| Some(row.device_id()), false),
        word("site", rows, R::site, dialect),
        text("kind", rows, |row| Some(row.body().kind().as_str()), false),
        number::<UInt32Type, _>("life", rows, |row| Some(row.numbers().life), false),
        counter("boot", rows, |row| row.numbers().boot, dialect),
        counter("seq", rows, |row| row.numbers().seq, dialect),
        identities(rows, dialect),
        time("heard_at", rows, |row| row.numbers().heard_at.ms()),
        time("released_at", rows, |row| row.numbers().released_at.ms()),
        number::<UInt64Type, _>(dialect.offset(), rows, |row| Some(row.numbers().offset), false),
        number::<UInt16Type, _>(dialect.index(), rows, |row| Some(row.numbers().index), false),
        flag("late", rows, |row| row.numbers().late),
        flag("authenticated", rows, |row| row.numbers().authenticated),
        text("gateway", rows, |_| Some(gateway), false),
        number::<UInt32Type, _>("uptime_s", rows, |row| row.numbers().uptime_s, true),
    ];
    columns.extend((0..).zip(LABELS).map(|(at, name): (usize, _)| word(name, rows, |row| row.labels()[at], dialect)));
    let ts = |name| number::<Int64Type, _>(name, rows, |row| Some(row.numbers().ts), false);
    match dialect {
        Dialect::Parquet => columns.insert(7, ts("ts")),
        Dialect::ClickHouse => {
            let has_boot = flag("has_boot", rows, |row| row.numbers().boot.is_some());
            let has_seq = flag("has_seq", rows, |row| row.numbers().seq.is_some());
            columns.splice(1..1, [ts("ts_ms"), has_boot, has_seq]);
        }
    }
    columns
}

/// The column of a field of the contract.
pub(crate) fn own<R: Kept>(field: &'static Field, rows: &[R], dialect: Dialect) -> Column {
    let name = field.name;
    match &field.form {
        Form::U8(slot) => plain::<UInt8Type, R>(name, rows, slot),
        Form::U16(slot) => plain::<UInt16Type, R>(name, rows, slot),
        Form::U32(slot) if field.absent == Absent::One && dialect == Dialect::ClickHouse => {
            number::<UInt32Type, _>(name, rows, |row| (slot.get)(row.body()).or(Some(0)), false)
        }
        Form::U32(slot) => plain::<UInt32Type, R>(name, rows, slot),
        Form::I8(slot) => plain::<Int8Type, R>(name, rows, slot),
        Form::Hundredths(slot) => match dialect {
            Dialect::Parquet => {
                let degrees = |row: &R| (slot.get)(row.body()).map(|hundredths| f64::from(hundredths) / 100.0);
                number::<Float64Type, _>(name, rows, degrees, true)
            }
            Dialect::ClickHouse => plain::<Int16Type, R>(hundredths_name(name), rows, slot),
        },
        Form::Flag(slot) => flag_or_null(name, rows, |row| (slot.get)(row.body())),
        Form::Word(words) => {
            let said = |row: &R| words.all.get(usize::from((words.slot.get)(row.body())?)).copied();
            word(name, rows, said, dialect)
        }
        Form::Text(said) if said.rule == TextRule::Code => word(name, rows, |row| (said.get)(row.body()), dialect),
        Form::Text(said) => text(name, rows, |row| (said.get)(row.body()), true),
        Form::Samples(slot) => profiles(name, rows, |row| (slot.get)(row.body()), dialect == Dialect::Parquet),
    }
}

/// ClickHouse's name of a number in hundredths: `temp_c` is `temp_centi_c`.
pub(crate) fn hundredths_name(name: &str) -> String {
    match name.rsplit_once('_') {
        Some((of, unit)) => format!("{of}_centi_{unit}"),
        None => format!("{name}_centi"),
    }
}

impl Dialect {
    const fn offset(self) -> &'static str {
        match self {
            Self::Parquet => "offset",
            Self::ClickHouse => "spool_offset",
        }
    }

    const fn index(self) -> &'static str {
        match self {
            Self::Parquet => "index",
            Self::ClickHouse => "spool_index",
        }
    }
}

/// A text that may be absent, one of few: null, or empty.
fn word<'a, R>(
    name: &'static str,
    rows: &'a [R],
    value: impl Fn(&'a R) -> Option<&'a str>,
    dialect: Dialect,
) -> Column {
    match dialect {
        Dialect::Parquet => text(name, rows, value, true),
        Dialect::ClickHouse => text(name, rows, |row| value(row).or(Some("")), false),
    }
}

/// A counter that may be absent: null, or 0 beside a flag.
fn counter<'a, R>(name: &'static str, rows: &'a [R], value: impl Fn(&'a R) -> Option<u32>, dialect: Dialect) -> Column {
    match dialect {
        Dialect::Parquet => number::<UInt32Type, _>(name, rows, value, true),
        Dialect::ClickHouse => number::<UInt32Type, _>(name, rows, |row| value(row).or(Some(0)), false),
    }
}

fn identities<R: Kept>(rows: &[R], dialect: Dialect) -> Column {
    let identity = |row: &R| match (row.numbers().identity, dialect) {
        (0, Dialect::Parquet) => None,
        (0, Dialect::ClickHouse) => Some(String::new()),
        (identity, _) => Some(format!("{identity:032x}")),
    };
    let array: StringArray = rows.iter().map(identity).collect();
    ("identity".into(), Arc::new(array), dialect == Dialect::Parquet)
}

fn plain<T: ArrowPrimitiveType, R: Kept>(
    name: impl Into<Cow<'static, str>>,
    rows: &[R],
    slot: &Slot<T::Native>,
) -> Column {
    number::<T, _>(name, rows, |row| (slot.get)(row.body()), true)
}
