//! The ClickHouse type of a field of the contract, and the statements that add its column to the tables that have it.
//! Must not know rows. Called by the migrations and by the queries.
use super::target::Target;
use crate::columns::hundredths_name;
use zenei_wire::fields::{Absent, Field, Form, TextRule, find};

/// The type of a field's column. An absent word is empty, an absent count is 0; every other absent value is null.
pub(crate) fn sql_type(field: &Field) -> &'static str {
    match &field.form {
        Form::U8(_) => "Nullable(UInt8)",
        Form::U16(_) => "Nullable(UInt16)",
        Form::U32(_) if field.absent == Absent::One => "UInt32",
        Form::U32(_) => "Nullable(UInt32)",
        Form::I8(_) => "Nullable(Int8)",
        Form::Hundredths(_) => "Nullable(Int16)",
        Form::Flag(_) => "Nullable(Bool)",
        Form::Word(_) => "LowCardinality(String)",
        Form::Text(text) if text.rule == TextRule::Code => "LowCardinality(String)",
        Form::Text(_) => "LowCardinality(Nullable(String))",
        Form::Samples(_) => "Array(UInt16)",
    }
}

/// The name of a field's column.
pub(crate) fn sql_name(field: &Field) -> String {
    match &field.form {
        Form::Hundredths(_) => hundredths_name(field.name),
        Form::U8(_)
        | Form::U16(_)
        | Form::U32(_)
        | Form::I8(_)
        | Form::Flag(_)
        | Form::Word(_)
        | Form::Text(_)
        | Form::Samples(_) => field.name.to_owned(),
    }
}

/// The text of a migration that adds these fields' columns: on a cluster to the table above those of the shards as
/// well; on one server that is the same one. A name that the contract does not have adds nothing.
pub(super) fn columns(names: &[&str]) -> String {
    let fields: Vec<&Field> = names.iter().filter_map(|name| find(name)).collect();
    let mut text = String::new();
    for target in Target::ALL {
        let added: Vec<String> = fields.iter().filter(|field| target.has(field)).map(|field| added(field)).collect();
        if !added.is_empty() {
            let (table, added) = (target.as_str(), added.join(",\n"));
            text.push_str(&format!("ALTER TABLE {{local:{table}}}{{on_cluster}}\n{added};\n\n"));
            text.push_str(&format!("ALTER TABLE {{db}}.{table}{{on_cluster}}\n{added};\n\n"));
        }
    }
    text
}

fn added(field: &Field) -> String {
    let comment = match (field.decimals(), field.unit) {
        (_, "") => String::new(),
        (0, unit) => format!(" COMMENT '{unit}'"),
        (_, unit) => format!(" COMMENT 'hundredths of {unit}'"),
    };
    format!("    ADD COLUMN IF NOT EXISTS {} {}{comment} CODEC(ZSTD(1))", sql_name(field), sql_type(field))
}
