//! The store as a queue of ranges: lists the ranges sealed after a place, reads one range's rows, and removes a range.
//! Must not know where a range goes. Called by the shipper.
use super::error::{ReadError, SealError};
use super::files::{Files, size_of_file};
use super::others::{DeadLetters, Gaps};
use super::store::{Batches, ParquetStore};
use super::table::{Table, range_of};
use crate::control::Sealed;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;

/// A sealed range that has at least one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRange {
    /// First offset.
    pub from: u64,
    /// Where it ends; ranges are sealed in this order.
    pub to: Sealed,
    name: String,
    tables: Vec<Table>,
}

impl ParquetStore {
    /// The ranges sealed beyond `after` and up to `up_to`, in the order of sealing.
    ///
    /// # Errors
    /// [`ReadError::Disk`].
    pub fn ranges(&self, after: Sealed, up_to: Sealed) -> Result<Vec<SealedRange>, ReadError> {
        let mut found: BTreeMap<Sealed, SealedRange> = BTreeMap::new();
        for table in Table::ALL {
            let dir = self.dir.join(table.as_str());
            let names = match self.disk.list(&dir) {
                Ok(names) => names,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(ReadError::Disk { path: dir, source }),
            };
            for name in names {
                let Some((from, to)) = range_of(&name) else { continue };
                if to > after && to <= up_to {
                    let new = SealedRange { from, to, name, tables: Vec::new() };
                    found.entry(to).or_insert(new).tables.push(table);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// A range's rows, in batches from which they borrow.
    pub fn batches_of(&self, range: &SealedRange) -> Batches {
        Batches { files: self.files_of(Table::Records, range) }
    }

    /// A range's dead letters.
    pub fn dead_letters_of(&self, range: &SealedRange) -> DeadLetters {
        DeadLetters::new(self.files_of(Table::DeadLetters, range))
    }

    /// A range's gaps.
    pub fn gaps_of(&self, range: &SealedRange) -> Gaps {
        Gaps::new(self.files_of(Table::Gaps, range))
    }

    /// How large a range is: rows of records, and bytes of all its files.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn size_of(&self, range: &SealedRange) -> Result<(usize, usize), ReadError> {
        let mut size = (0, 0);
        for &table in &range.tables {
            let path = self.path(table, range);
            let (rows, bytes) = size_of_file(&*self.disk, &path)?;
            size.0 += if table == Table::Records { rows } else { 0 };
            size.1 += bytes;
        }
        Ok(size)
    }

    /// Removes a range's files. A file that is gone already is no error.
    ///
    /// # Errors
    /// [`SealError::Disk`].
    pub fn remove(&self, range: &SealedRange) -> Result<(), SealError> {
        for &table in &range.tables {
            let path = self.path(table, range);
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(SealError::Disk { what: "remove", path, source: error });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn files_of(&self, table: Table, range: &SealedRange) -> Files {
        let has = range.tables.contains(&table);
        let waiting: VecDeque<PathBuf> = has.then(|| self.path(table, range)).into_iter().collect();
        Files::new(&self.disk, table, waiting)
    }

    fn path(&self, table: Table, range: &SealedRange) -> PathBuf {
        self.dir.join(table.as_str()).join(&range.name)
    }
}
