//! The reasons why a range can't be sealed, and why stored rows can't be read. Must not know rows. Called by the code
//! that writes or reads files.
use super::table::FORMAT;
use ::parquet::errors::ParquetError;
use arrow_schema::ArrowError;
use std::io;
use std::path::PathBuf;

/// Why a range is not in the store. No record of it may be counted; it may be sealed again.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The rows can't be written as Parquet.
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
        /// The operating system's error.
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
        /// Its format; `none` if it has none.
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
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}
