//! The embedded store: Parquet files, one per table and sealed range, that DuckDB, polars and ClickHouse read as they are.
//! Knows rows and files, not why a range was sealed. Written by the driver, read by `record list`, `replay` and the lab.
//!
//! A file's name is its range and the time to which intake was advanced with it: `records/{from}-{to}-{ms}.parquet`. Names sort in the order of
//! sealing. A table gets no file for a range in which it has no row. Equal rows give equal bytes, so sealing a range again after a
//! crash replaces a file by itself.
mod batch;
pub(crate) mod columns;
mod erase;
mod files;
mod ranges;
mod record;
mod rest;
mod rows;
mod words;

#[cfg(test)]
mod tests;

pub use batch::StoredBatch;
pub use erase::{EraseError, OfLock};
pub use ranges::SealedRange;
pub use record::{StoredRecord, to_json};
pub use rest::{DeadLetters, Gaps, StoredGap};
pub use rows::{Numbering, Rows};

use crate::control::{SealPlan, Sealed};
use crate::dead_letter::DeadLetter;
use crate::disk::{Disk, UNFINISHED, write_whole};
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use files::Files;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zenei_detect::{Fleet, Gap, Row};
use zenei_wire::EngineTime;

/// The version of the files, kept in each of them under [`FORMAT_KEY`].
const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "zenei.format";
const ENDING: &str = ".parquet";
/// Rows of one row group: bounds a reader's memory to some tens of MB (a guess at 200 bytes a row).
const GROUP_ROWS: usize = 1 << 17;
/// Columns that rise from row to row, or nearly: differences pack better than a dictionary.
const RISING: [&str; 6] = ["ts", "heard_at", "released_at", "offset", "seq", "uptime_s"];
/// Columns of records that compression makes smaller by a fifth or more, and the file by a three-hundredth, or whose texts may be anything. The others are packed
/// already by dictionary or difference: compressing them saved 4 % of a simulated fleet's files, and to set up their decompression cost a replay 6 % of its time.
const COMPRESSED: [&str; 9] = [
    "device_id",
    "identity",
    "offset",
    "late",
    "authenticated",
    "current_ma.list.item",
    "code",
    "detail",
    "gateway_id",
];
/// The same of dead letters.
const COMPRESSED_LETTERS: [&str; 3] = ["detail", "topic", "bytes"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    Records,
    DeadLetters,
    Gaps,
}

impl Table {
    const ALL: [Self; 3] = [Self::Records, Self::DeadLetters, Self::Gaps];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::DeadLetters => "dead_letters",
            Self::Gaps => "gaps",
        }
    }
}

/// What one seal wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedFiles {
    /// Rows in `records`.
    pub rows: u64,
    /// Rows in `dead_letters`.
    pub dead_letters: u64,
    /// Rows in `gaps`.
    pub gaps: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Why a range is not in the store. Nothing of it may be counted; sealing it again is right.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The rows make no table.
    #[error("the rows can't be made into Parquet")]
    Parquet(#[from] ParquetError),
    /// The columns don't fit together.
    #[error("the rows can't be made into columns")]
    Columns(#[from] ArrowError),
    /// The disk refused.
    #[error("can't {what} {path}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// Why stored rows can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file that Parquet can't read.
    #[error("{path} can't be read as Parquet")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ParquetError,
    },
    /// Rows that Arrow can't read.
    #[error("rows of {path} can't be read")]
    Rows {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ArrowError,
    },
    /// A file of another version, or of another program.
    #[error("{path} has the format {found}; this program reads {FORMAT}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format; `none` where it says none.
        found: String,
    },
    /// A column is missing or of another type.
    #[error("the column {name} is of the type {found}, not of the type that this program writes")]
    Column {
        /// The column.
        name: &'static str,
        /// Its type, or `nothing`.
        found: String,
    },
    /// A value that this program never writes.
    #[error("the column {name} has the value '{found}': {allowed}")]
    Value {
        /// The column.
        name: &'static str,
        /// The value, escaped.
        found: String,
        /// What is wrong with it.
        allowed: String,
    },
    /// The disk refused.
    #[error("can't read {path}")]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// The store in one directory.
#[derive(Clone, Debug)]
pub struct ParquetStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl ParquetStore {
    /// The store of a directory; it and its tables' directories are made where they are not there.
    ///
    /// # Errors
    /// [`SealError::Disk`].
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, SealError> {
        for table in Table::ALL {
            let path = dir.join(table.as_str());
            let made = disk.create_dir(&path).and_then(|()| disk.sync_dir(dir));
            made.map_err(|source| SealError::Disk { what: "make", path, source })?;
        }
        Ok(Self { disk, dir: dir.to_path_buf() })
    }

    /// A store to read; nothing is made.
    pub fn open_read_only(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_path_buf() }
    }

    /// Writes what a planned range came to; durable on return. `gateway_id` is the gateway that heard it. Sealing the same range again
    /// replaces its files.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal(
        &self,
        plan: &SealPlan,
        fleet: &Fleet,
        rows: &[Row],
        gaps: &[Gap],
        dead: &[DeadLetter],
        gateway_id: &str,
    ) -> Result<SealedFiles, SealError> {
        let mut bytes = 0;
        if !rows.is_empty() {
            bytes += self.write(Table::Records, plan, &columns::of_rows(rows, fleet, gateway_id)?)?;
        }
        if !dead.is_empty() {
            bytes += self.write(Table::DeadLetters, plan, &columns::of_dead_letters(dead, gateway_id)?)?;
        }
        if !gaps.is_empty() {
            bytes += self.write(Table::Gaps, plan, &columns::of_gaps(gaps, fleet, gateway_id)?)?;
        }
        let [rows, dead_letters, gaps] = [rows.len(), dead.len(), gaps.len()].map(|count| count as u64);
        Ok(SealedFiles { rows, dead_letters, gaps, bytes })
    }

    /// How many sealed files lie beyond the checkpoint and are not of the planned range. A crash leaves none of these: they say that the checkpoint is
    /// not this store's, or an older one.
    ///
    /// # Errors
    /// [`SealError::Disk`].
    pub fn unaccounted(&self, sealed: Sealed, plan: Option<&SealPlan>) -> Result<u64, SealError> {
        let sealed = as_named(sealed);
        let planned = plan.map(|plan| (plan.from, as_named(plan.to)));
        let mut found = 0;
        for table in Table::ALL {
            let dir = self.dir.join(table.as_str());
            let names = self.disk.list(&dir).map_err(|source| SealError::Disk { what: "list", path: dir, source })?;
            let ranges = names.iter().filter_map(|name| range_of(name));
            found += ranges.filter(|range| range.1 > sealed && Some(*range) != planned).count() as u64;
        }
        Ok(found)
    }

    /// Removes the files of a planned range, whole or unfinished, and no other one. At start: that range is sealed again. Returns how many files went.
    ///
    /// # Errors
    /// [`SealError::Disk`].
    pub fn discard(&self, plan: &SealPlan) -> Result<u64, SealError> {
        let mut removed = 0;
        for table in Table::ALL {
            let dir = self.dir.join(table.as_str());
            let failed = |source| SealError::Disk { what: "clear", path: dir.clone(), source };
            for name in self.disk.list(&dir).map_err(failed)? {
                let whole = name.strip_suffix(UNFINISHED).unwrap_or(&name);
                if range_of(whole) == Some((plan.from, as_named(plan.to))) {
                    self.disk.remove(&dir.join(&name)).map_err(failed)?;
                    removed += 1;
                }
            }
            self.disk.sync_dir(&dir).map_err(failed)?;
        }
        Ok(removed)
    }

    /// All stored rows in the order of their release, in batches that lend them; one file at a time is in memory. `up_to`: the checkpoint, so that
    /// a reader beside a running writer sees each row once; `None`: all there are.
    ///
    /// # Errors
    /// [`ReadError::Disk`]; the iterator gives the errors of its files.
    pub fn batches(&self, up_to: Option<Sealed>) -> Result<Batches, ReadError> {
        Ok(Batches { files: self.files(Table::Records, up_to)? })
    }

    /// As [`ParquetStore::batches`], with what detectors read alone: where a row stands in the spool, when it was released, and whether it was late are not told
    /// (0, no), and of a gateway's report only that there was one.
    ///
    /// # Errors
    /// As [`ParquetStore::batches`].
    pub fn batches_to_detect(&self, up_to: Option<Sealed>) -> Result<Batches, ReadError> {
        Ok(Batches { files: self.files(Table::Records, up_to)?.without(&files::NOT_DETECTED) })
    }

    /// As [`ParquetStore::batches`], one owned record after the other.
    ///
    /// # Errors
    /// As [`ParquetStore::batches`].
    pub fn read_all(
        &self,
        up_to: Option<Sealed>,
    ) -> Result<impl Iterator<Item = Result<StoredRecord, ReadError>> + use<>, ReadError> {
        Ok(self.batches(up_to)?.flat_map(|batch| {
            let (batch, failed) = match batch {
                Ok(batch) => (Some(batch), None),
                Err(error) => (None, Some(Err(error))),
            };
            let rows = batch.into_iter().flat_map(|batch| (0..batch.len()).map(move |at| batch.stored(at)));
            failed.into_iter().chain(rows)
        }))
    }

    /// All dead letters, in the order of sealing.
    ///
    /// # Errors
    /// [`ReadError::Disk`]; the iterator gives the errors of its files.
    pub fn dead_letters(&self, up_to: Option<Sealed>) -> Result<DeadLetters, ReadError> {
        Ok(DeadLetters::new(self.files(Table::DeadLetters, up_to)?))
    }

    /// All gaps, in the order of sealing.
    ///
    /// # Errors
    /// [`ReadError::Disk`]; the iterator gives the errors of its files.
    pub fn gaps(&self, up_to: Option<Sealed>) -> Result<Gaps, ReadError> {
        Ok(Gaps::new(self.files(Table::Gaps, up_to)?))
    }

    fn write(&self, table: Table, plan: &SealPlan, batch: &RecordBatch) -> Result<u64, SealError> {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties(table, batch)?))?;
        writer.write(batch)?;
        writer.close()?;
        let (dir, name) = (self.dir.join(table.as_str()), name_of(plan));
        let written = write_whole(&*self.disk, &dir, &name, &bytes);
        written.map_err(|source| SealError::Disk { what: "write", path: dir.join(&name), source })?;
        Ok(bytes.len() as u64)
    }

    /// The disk that it is on.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    fn files(&self, table: Table, up_to: Option<Sealed>) -> Result<Files, ReadError> {
        let dir = self.dir.join(table.as_str());
        let names = match self.disk.list(&dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(ReadError::Disk { path: dir, source }),
        };
        let is_meant = |name: &String| range_of(name).is_some_and(|(_, to)| up_to.is_none_or(|up_to| to <= up_to));
        let waiting = names.into_iter().filter(is_meant).map(|name| dir.join(name)).collect();
        Ok(Files::new(&self.disk, table, waiting))
    }
}

/// Batches of stored rows; see [`ParquetStore::batches`].
#[derive(Debug)]
pub struct Batches {
    files: Files,
}

impl Iterator for Batches {
    type Item = Result<StoredBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.files.next()?;
        Some(batch.and_then(|batch| StoredBatch::new(&batch)))
    }
}

fn properties(table: Table, batch: &RecordBatch) -> Result<WriterProperties, ParquetError> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    let (compressed, rest): (&[&str], Compression) = match table {
        Table::Records => (&COMPRESSED, Compression::UNCOMPRESSED),
        Table::DeadLetters => (&COMPRESSED_LETTERS, Compression::UNCOMPRESSED),
        Table::Gaps => (&[], zstd),
    };
    let format = KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_string());
    let mut properties = WriterProperties::builder()
        // Named without a version: equal rows give equal bytes, also after an update.
        .set_created_by("zenei".to_owned())
        .set_key_value_metadata(Some(vec![format]))
        .set_compression(rest)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS));
    for name in compressed {
        let path = ColumnPath::new(name.split('.').map(str::to_owned).collect());
        properties = properties.set_column_compression(path, zstd);
    }
    let has = |name: &str| batch.schema_ref().column_with_name(name).is_some();
    for name in RISING.into_iter().filter(|name| has(name)) {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}

fn name_of(plan: &SealPlan) -> String {
    let advanced_to_ms = as_named(plan.to).advanced_to.ms();
    format!("{:020}-{:020}-{advanced_to_ms:014}{ENDING}", plan.from, plan.to.offset)
}

/// A place as a file's name says it: time before 1970 counts as 1970.
fn as_named(at: Sealed) -> Sealed {
    Sealed { advanced_to: EngineTime(at.advanced_to.ms().max(0)), ..at }
}

fn range_of(name: &str) -> Option<(u64, Sealed)> {
    let mut parts = name.strip_suffix(ENDING)?.split('-');
    let (from, to, advanced_to) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let to = Sealed { offset: to.parse().ok()?, advanced_to: EngineTime(advanced_to.parse().ok()?) };
    Some((from.parse().ok()?, to))
}
