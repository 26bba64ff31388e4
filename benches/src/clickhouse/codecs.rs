//! Bytes a row, column by column: the raw tables with their codecs against the same rows, sorted the same, with
//! ClickHouse's default codec. Motor profiles, which have a table of their own, are left out. The goal is half.
use super::Ground;
use crate::stream::Stream;
use serde::Deserialize;
use std::collections::BTreeMap;

const TABLES: [&str; 2] = ["record", "operation"];

/// The size of one column, bytes a row of its table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Column {
    /// With the codecs of the schema.
    pub measured: f64,
    /// With the default codec.
    pub default: f64,
}

/// The size of a table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: BTreeMap<String, Column>,
}

#[derive(Deserialize)]
struct Size {
    column: String,
    bytes: u64,
}

#[derive(Deserialize)]
struct Name {
    name: String,
    r#type: String,
}

#[derive(Deserialize)]
struct Count {
    rows: u64,
}

/// Ships a stream and measures its tables; `None` where there is no engine.
pub fn measure(stream: &Stream) -> Option<BTreeMap<&'static str, Table>> {
    let ground = Ground::new("bench_codecs")?;
    let taken = ground.ship(stream);
    assert_eq!(taken, stream.records, "every record is taken");
    for table in TABLES {
        make_default(&ground, table);
    }
    let mut tables = BTreeMap::new();
    for table in TABLES {
        let (measured, default) = (sizes(&ground, table), sizes(&ground, &format!("{table}_default")));
        let rows: Vec<Count> = ground.ask(&format!("SELECT count() AS rows FROM {{db}}.{table}"));
        let mut found = Table { rows: rows[0].rows, ..Table::default() };
        let per_row = |bytes: u64| bytes as f64 / found.rows.max(1) as f64;
        for (column, bytes) in measured {
            let default = default.get(&column).copied().unwrap_or(0);
            found.columns.insert(column, Column { measured: per_row(bytes), default: per_row(default) });
        }
        tables.insert(table, found);
    }
    Some(tables)
}

/// The same rows under the same key with the default codec; both tables merged to one part a week.
fn make_default(ground: &Ground, table: &str) {
    let columns: Vec<Name> = ground.ask(&format!(
        "SELECT name, type FROM system.columns WHERE database = '{{db}}' AND table = '{table}' AND default_kind != 'ALIAS' ORDER BY position"
    ));
    let list: Vec<String> = columns.iter().map(|column| format!("{} {}", column.name, column.r#type)).collect();
    ground.execute(&format!(
        "CREATE TABLE {{db}}.{table}_default ({}) ENGINE = MergeTree PARTITION BY toMonday(heard_at) ORDER BY (device_id, ts_ms, seq)",
        list.join(", ")
    ));
    ground.execute(&format!("INSERT INTO {{db}}.{table}_default SELECT * FROM {{db}}.{table}"));
    for name in [table.to_owned(), format!("{table}_default")] {
        // A week of a large fleet is stored column by column; a week of this one would be stored in one file, which has
        // no sizes by column.
        ground.execute(&format!(
            "ALTER TABLE {{db}}.{name} MODIFY SETTING min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
        ));
        ground.execute(&format!("OPTIMIZE TABLE {{db}}.{name} FINAL"));
    }
}

/// Compressed bytes of each column, marks left out.
fn sizes(ground: &Ground, table: &str) -> BTreeMap<String, u64> {
    let sizes: Vec<Size> = ground.ask(&format!(
        "SELECT column, sum(column_data_compressed_bytes) AS bytes FROM system.parts_columns
         WHERE database = '{{db}}' AND table = '{table}' AND active GROUP BY column"
    ));
    sizes.into_iter().map(|size| (size.column, size.bytes)).collect()
}

/// Bytes a record over both tables: measured, with the default codec.
pub fn per_record(tables: &BTreeMap<&'static str, Table>) -> (f64, f64) {
    let rows: u64 = tables.values().map(|table| table.rows).sum();
    let sum = |of: fn(&Column) -> f64| {
        let bytes = |table: &Table| table.columns.values().map(of).sum::<f64>() * table.rows as f64;
        tables.values().map(bytes).sum::<f64>() / rows.max(1) as f64
    };
    (sum(|column| column.measured), sum(|column| column.default))
}

/// Prints the sizes.
pub fn print(stream: &Stream, tables: &BTreeMap<&'static str, Table>) {
    println!("bytes a row by column, {} records of {:.1} days", stream.records, stream.days);
    for (name, table) in tables {
        println!("  {name}, {} rows{:>32} {:>9} {:>6}", table.rows, "as it is", "default", "share");
        let mut columns: Vec<_> = table.columns.iter().collect();
        columns.sort_by(|(_, a), (_, b)| b.measured.total_cmp(&a.measured));
        for (column, Column { measured, default }) in columns {
            println!("    {column:<24} {measured:>12.3} {default:>9.3} {:>6.2}", measured / default.max(1e-9));
        }
    }
    let (measured, default) = per_record(tables);
    println!(
        "  a record, both tables: {measured:.2} bytes; default codec {default:.2}; share {:.2} (goal 0.50)",
        measured / default
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_measured_against_the_default_codec() {
        let stream = Stream::simulate(40, 4_000, 1);
        let Some(tables) = measure(&stream) else { return };
        assert_eq!(tables.values().map(|table| table.rows).sum::<u64>(), stream.records);
        let all = tables.values().flat_map(|table| table.columns.values());
        assert!(all.clone().count() > 70 && all.clone().all(|column| column.measured > 0.0 && column.default > 0.0));
        print(&stream, &tables);
    }
}
