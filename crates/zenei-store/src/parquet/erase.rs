//! Removes a lock from the store: each file that names it is rewritten without it, or removed if nothing is left. It
//! may be interrupted and run again: a file is the old one or the new one. No other process may write to the store
//! meanwhile. Must not know the other stores. Called by `forget`.
use super::error::{ReadError, SealError};
use super::files::open_file;
use super::store::ParquetStore;
use super::table::{ENDING, Table, properties};
use super::value::column;
use crate::disk::{UNFINISHED, write_whole};
use ::parquet::arrow::ArrowWriter;
use arrow_array::{BinaryArray, RecordBatch, StringArray};
use std::io;
use std::path::{Path, PathBuf};

/// How much of a lock is, or was, in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfLock {
    /// Records.
    pub records: u64,
    /// Gaps.
    pub gaps: u64,
    /// Dead letters whose topic is the lock's, or whose bytes name it.
    pub dead_letters: u64,
}

/// Why a lock is not removed completely. Files that were rewritten before stay so; run again.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// A file can't be read, so it is unknown whether it names the lock.
    #[error("a file can't be read, so it may still name the lock; move it away or mend it, then run this again")]
    Read(#[from] ReadError),
    /// A file can't be written.
    #[error("a file can't be written without the lock")]
    Write(#[from] SealError),
}

impl ParquetStore {
    /// Removes a lock; returns how much of it there was.
    ///
    /// # Errors
    /// See [`EraseError`].
    pub fn erase(&self, device_id: &str) -> Result<OfLock, EraseError> {
        let mut found = OfLock::default();
        for table in Table::ALL {
            let dir = self.dir.join(table.as_str());
            for name in self.names(&dir)? {
                let path = dir.join(&name);
                if name.ends_with(UNFINISHED) {
                    self.disk.remove(&path).map_err(failed("remove", &path))?;
                    continue;
                }
                if !name.ends_with(ENDING) {
                    continue;
                }
                let (kept, taken) = self.without(table, &path, device_id)?;
                *slot(&mut found, table) += taken;
                match kept.first() {
                    _ if taken == 0 => {}
                    Some(first) => {
                        let bytes = written(table, first, &kept).map_err(SealError::from)?;
                        write_whole(&*self.disk, &dir, &name, &bytes).map_err(failed("write", &path))?;
                    }
                    None => {
                        self.disk.remove(&path).map_err(failed("remove", &path))?;
                        self.disk.sync_dir(&dir).map_err(failed("clear", &dir))?;
                    }
                }
            }
        }
        Ok(found)
    }

    /// How much of a lock is in the store.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn count(&self, device_id: &str) -> Result<OfLock, ReadError> {
        let mut found = OfLock::default();
        for table in Table::ALL {
            let dir = self.dir.join(table.as_str());
            for name in self.names(&dir)?.iter().filter(|name| name.ends_with(ENDING)) {
                *slot(&mut found, table) += self.without(table, &dir.join(name), device_id)?.1;
            }
        }
        Ok(found)
    }

    fn names(&self, dir: &Path) -> Result<Vec<String>, ReadError> {
        match self.disk.list(dir) {
            Ok(names) => Ok(names.into_iter().collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(ReadError::Disk { path: dir.to_path_buf(), source }),
        }
    }

    /// The rows of a file except those of a lock, in runs, and how many rows are the lock's.
    fn without(&self, table: Table, path: &Path, device_id: &str) -> Result<(Vec<RecordBatch>, u64), ReadError> {
        let (mut kept, mut taken) = (Vec::new(), 0);
        for batch in open_file(&*self.disk, path)? {
            let batch = batch.map_err(|source| ReadError::Rows { path: path.to_path_buf(), source })?;
            let names = naming(table, &batch, device_id)?;
            taken += names.iter().filter(|names| **names).count() as u64;
            let mut from = 0;
            for run in names.chunk_by(|a, b| a == b) {
                if !run[0] {
                    kept.push(batch.slice(from, run.len()));
                }
                from += run.len();
            }
        }
        Ok((kept, taken))
    }
}

/// Which rows are a lock's.
fn naming(table: Table, batch: &RecordBatch, device_id: &str) -> Result<Vec<bool>, ReadError> {
    let rows = 0..batch.num_rows();
    match table {
        Table::Records | Table::Gaps => {
            let devices: StringArray = column(batch, "device_id")?;
            Ok(rows.map(|at| devices.value(at) == device_id).collect())
        }
        Table::DeadLetters => {
            let (topics, bytes): (StringArray, BinaryArray) = (column(batch, "topic")?, column(batch, "bytes")?);
            let needle = device_id.as_bytes();
            let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
            Ok(rows
                .map(|at| topics.value(at).split('/').any(|level| level == device_id) || has(bytes.value(at)))
                .collect())
        }
    }
}

fn written(
    table: Table,
    first: &RecordBatch,
    kept: &[RecordBatch],
) -> Result<Vec<u8>, ::parquet::errors::ParquetError> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, first.schema(), Some(properties(table, first)?))?;
    for batch in kept {
        writer.write(batch)?;
    }
    writer.close()?;
    Ok(bytes)
}

fn slot(found: &mut OfLock, table: Table) -> &mut u64 {
    match table {
        Table::Records => &mut found.records,
        Table::DeadLetters => &mut found.dead_letters,
        Table::Gaps => &mut found.gaps,
    }
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SealError {
    let path: PathBuf = path.to_path_buf();
    move |source| SealError::Disk { what, path, source }
}
