//! The store in one directory: seals a range, reads all of it, and removes the files that a crash left. Must not know
//! why a range was sealed. Called by the gateway's driver, the shipper, `record list`, `replay`, `forget` and the lab.
use super::batch::StoredBatch;
use super::error::{ReadError, SealError};
use super::files::{Files, NOT_DETECTED};
use super::others::{DeadLetters, Gaps};
use super::record::StoredRecord;
use super::table::{Table, as_named, name_of, properties, range_of};
use crate::columns::{self, Dialect};
use crate::control::{SealPlan, Sealed};
use crate::dead_letter::DeadLetter;
use crate::disk::{Disk, UNFINISHED, write_whole};
use ::parquet::arrow::ArrowWriter;
use arrow_array::RecordBatch;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zenei_detect::{Fleet, Gap, Row};

/// The extent of one seal.
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

/// The store in one directory.
#[derive(Clone, Debug)]
pub struct ParquetStore {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
}

impl ParquetStore {
    /// The store of a directory; creates it and its tables' directories if they do not exist.
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

    /// A store to read; nothing is created.
    pub fn open_read_only(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_path_buf() }
    }

    /// Writes the rows of a planned range; they are durable on return. `gateway_id` is the gateway that received them.
    /// Sealing the same range again replaces its files.
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
        let counts = [rows.len(), dead.len(), gaps.len()].map(|count| count as u64);
        let mut bytes = 0;
        if !rows.is_empty() {
            bytes += self.write(Table::Records, plan, &columns::of_rows(rows, fleet, gateway_id)?)?;
        }
        if !dead.is_empty() {
            bytes +=
                self.write(Table::DeadLetters, plan, &columns::of_dead_letters(dead, gateway_id, Dialect::Parquet)?)?;
        }
        if !gaps.is_empty() {
            let named = |gap: &Gap| (fleet.device_id(gap.device), [gap.boot, gap.from_seq, gap.to_seq], gap.at);
            let gaps: Vec<_> = gaps.iter().map(named).collect();
            bytes += self.write(Table::Gaps, plan, &columns::of_gaps(&gaps, gateway_id)?)?;
        }
        let [rows, dead_letters, gaps] = counts;
        Ok(SealedFiles { rows, dead_letters, gaps, bytes })
    }

    /// How many sealed files lie beyond the checkpoint and are not of the planned range. A crash leaves none: such
    /// files mean that the checkpoint is not this store's, or an older one.
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

    /// Removes the files of a planned range, whole or unfinished, and no others. Called at start, because that range is
    /// sealed again. Returns how many files were removed.
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

    /// All stored rows in the order of their release, in batches from which they borrow; one file at a time is in
    /// memory. `up_to` is the checkpoint, so that a reader beside a running writer gets each row once; `None` reads all
    /// rows.
    ///
    /// # Errors
    /// [`ReadError::Disk`]; the iterator returns the errors of its files.
    pub fn batches(&self, up_to: Option<Sealed>) -> Result<Batches, ReadError> {
        Ok(Batches { files: self.files(Table::Records, up_to)? })
    }

    /// As [`ParquetStore::batches`], with only the columns that detectors read: place in the spool, time of release and
    /// lateness have no value (0, no), and a gateway's report has its queue, its errors and the locks that it heard.
    ///
    /// # Errors
    /// As [`ParquetStore::batches`].
    pub fn batches_to_detect(&self, up_to: Option<Sealed>) -> Result<Batches, ReadError> {
        Ok(Batches { files: self.files(Table::Records, up_to)?.without(&NOT_DETECTED) })
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
    /// [`ReadError::Disk`]; the iterator returns the errors of its files.
    pub fn dead_letters(&self, up_to: Option<Sealed>) -> Result<DeadLetters, ReadError> {
        Ok(DeadLetters::new(self.files(Table::DeadLetters, up_to)?))
    }

    /// All gaps, in the order of sealing.
    ///
    /// # Errors
    /// [`ReadError::Disk`]; the iterator returns the errors of its files.
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
    pub(super) files: Files,
}

impl Iterator for Batches {
    type Item = Result<StoredBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.files.next()?;
        Some(batch.and_then(|batch| StoredBatch::new(&batch)))
    }
}
