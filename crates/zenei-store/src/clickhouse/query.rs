//! Builds the queries whose answers have the columns of a sealed file, so that one decoder reads both: rows of the
//! tables of records, and rows of the feed. They come from the list of columns, so that a new field needs no edit here.
//! Must not know servers. Called by the readers.
use crate::columns::{LABELS, hundredths_name};
use crate::schema::{Form as Tables, Target, sql_type};
use zenei_wire::fields::{Absent, FIELDS, Field, Form, TextRule};

/// Records of all kinds for which `wanted` holds, in no particular order.
pub(super) fn of_records(tables: &Tables, wanted: &str) -> String {
    let [record, operation, profile] =
        [Target::Record, Target::Operation, Target::MotorProfile].map(|target| tables.table(target.as_str()));
    let outer = outer();
    let of_record = inner(Some(Target::Record), "toString(kind)", ["false", "CAST([], 'Array(UInt16)')"]);
    let of_operation = inner(Some(Target::Operation), "'op'", ["profile.has_profile", "profile.current_ma"]);
    let place = "device_id, ts_ms, gateway, spool_offset, spool_index";
    let profiles = format!("SELECT {place}, true AS has_profile, current_ma FROM {profile} WHERE {wanted}");
    let records = format!("{of_record}    FROM {record}\n    WHERE {wanted}\n");
    let operations = format!(
        "{of_operation}    FROM {operation} AS operation\n    LEFT ANY JOIN (\n        {profiles}\n    ) AS profile \
         USING ({place})\n    WHERE {wanted}\n"
    );
    format!("{outer}FROM (\n{records}    UNION ALL\n{operations})\n")
}

/// Rows of the feed for which `wanted` holds, in no particular order.
pub(super) fn of_feed(tables: &Tables, wanted: &str) -> String {
    let (outer, inner) = (outer(), inner(None, "toString(kind)", ["has_profile", "current_ma"]));
    format!("{outer}FROM (\n{inner}    FROM {}\n    WHERE {wanted}\n)\n", tables.table(Target::Feed.as_str()))
}

/// The columns of a sealed file, from those that [`inner`] names: an empty word is absent.
fn outer() -> String {
    let mut columns = vec![
        "device_id, nullIf(site_word, '') AS site, kind_word AS kind, life, boot_number AS boot, seq_number AS seq"
            .to_owned(),
        "nullIf(identity_text, '') AS identity, ts_ms AS ts, heard_at, released_at, heard_by AS gateway".to_owned(),
        "spool_offset AS offset, spool_index AS index, late, authenticated, uptime_s".to_owned(),
    ];
    columns.extend(LABELS.iter().map(|name| format!("nullIf({name}_word, '') AS {name}")));
    columns.extend(FIELDS.iter().map(|field| {
        let name = field.name;
        match &field.form {
            Form::U32(_) if field.absent == Absent::One => {
                format!("if(kind_word = 'error', {name}_number, NULL) AS {name}")
            }
            Form::Hundredths(_) => hundredths_name(name),
            Form::Word(_) => format!("nullIf({name}_word, '') AS {name}"),
            Form::Text(text) if text.rule == TextRule::Code => format!("nullIf({name}_word, '') AS {name}"),
            Form::Text(_) => format!("{name}_text AS {name}"),
            Form::Samples(_) => format!("has_profile, {name}"),
            Form::U8(_) | Form::U16(_) | Form::U32(_) | Form::I8(_) | Form::Flag(_) => name.to_owned(),
        }
    }));
    format!("SELECT\n    {}\n", columns.join(",\n    "))
}

/// The columns as a table has them, plain and under names that hide none of the table's own: what uses this may ask for
/// those. `of`: the table; `None` for the feed, which has all. `profile`: whether there is one, and it.
fn inner(of: Option<Target>, kind: &str, [has_profile, profile]: [&str; 2]) -> String {
    let mut columns = vec![
        format!("device_id, toString(site) AS site_word, {kind} AS kind_word"),
        "life, if(has_boot, boot, NULL) AS boot_number, if(has_seq, seq, NULL) AS seq_number".to_owned(),
        "toString(identity) AS identity_text, ts_ms, heard_at, released_at, toString(gateway) AS heard_by".to_owned(),
        "spool_offset, spool_index, late, authenticated, uptime_s".to_owned(),
    ];
    columns.extend(LABELS.iter().map(|name| format!("toString({name}) AS {name}_word")));
    columns.extend(FIELDS.iter().map(|field| match &field.form {
        Form::Samples(_) => format!("{has_profile} AS has_profile, {profile} AS {}", field.name),
        Form::U8(_)
        | Form::U16(_)
        | Form::U32(_)
        | Form::I8(_)
        | Form::Hundredths(_)
        | Form::Flag(_)
        | Form::Word(_)
        | Form::Text(_) => inner_field(field, of.is_none_or(|of| of.has(field))),
    }));
    format!("    SELECT\n        {}\n", columns.join(",\n        "))
}

fn inner_field(field: &Field, is_there: bool) -> String {
    let name = field.name;
    let from = |there: String, absent: String| if is_there { there } else { absent };
    let word = || format!("{} AS {name}_word", from(format!("toString({name})"), "''".to_owned()));
    match &field.form {
        Form::U32(_) if field.absent == Absent::One => {
            format!("{} AS {name}_number", from(name.to_owned(), "toUInt32(0)".to_owned()))
        }
        Form::Word(_) => word(),
        Form::Text(text) if text.rule == TextRule::Code => word(),
        Form::Text(_) => {
            format!("CAST({}, 'Nullable(String)') AS {name}_text", from(name.to_owned(), "NULL".to_owned()))
        }
        Form::Hundredths(_) => number(&hundredths_name(name), field, is_there),
        Form::U8(_) | Form::U16(_) | Form::U32(_) | Form::I8(_) | Form::Flag(_) | Form::Samples(_) => {
            number(name, field, is_there)
        }
    }
}

fn number(name: &str, field: &Field, is_there: bool) -> String {
    if is_there { name.to_owned() } else { format!("CAST(NULL, '{}') AS {name}", sql_type(field)) }
}
