//! Reads files into Arrow batches, file by file. Of records it reads each distinct text once, and it does not decode a
//! column that has no value in the file or that the caller does not need. Must not know rows. Called by the readers of
//! the store.
use super::error::ReadError;
use super::table::{FORMAT, FORMAT_KEY, Table};
use crate::disk::{Disk, read_whole};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use ::parquet::file::statistics::Statistics;
use arrow_array::{Array as _, ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows read at a time; Arrow's usual size.
const BATCH_ROWS: usize = 8192;
/// Columns of texts that hardly ever repeat: a dictionary would not speed up reading them.
const UNLIKE: [&str; 2] = ["identity", "detail"];
/// Columns that no detector reads: the place in the spool, the values that release and sealing add, and what of a
/// gateway's report of itself the detectors leave out.
pub(super) const NOT_DETECTED: [&str; 10] = [
    "life",
    "offset",
    "index",
    "released_at",
    "late",
    "gateway",
    "gateway_id",
    "version",
    "publish_errors",
    "api_latency_ms",
];

/// The Arrow batches of a table's files, file by file.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    table: Table,
    waiting: VecDeque<PathBuf>,
    /// Columns of records that the caller does not need.
    unread: &'static [&'static str],
    current: Option<OpenFile>,
}

/// An open file.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// Columns that are not decoded, because they have no value in this file or the caller does not need them: each
    /// with as many nulls as a batch has at most.
    empty: Vec<(FieldRef, ArrayRef)>,
}

impl Files {
    pub(super) fn new(disk: &Arc<dyn Disk>, table: Table, waiting: VecDeque<PathBuf>) -> Self {
        Self { disk: Arc::clone(disk), table, waiting, unread: &[], current: None }
    }

    /// The same files without these columns of records: they come without values.
    pub(super) fn without(self, unread: &'static [&'static str]) -> Self {
        Self { unread, ..self }
    }
}

impl Iterator for Files {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(OpenFile { path, reader, empty }) = &mut self.current {
                match reader.next().map(|batch| batch.and_then(|batch| with_empty(&batch, empty))) {
                    Some(Ok(batch)) => return Some(Ok(batch)),
                    Some(Err(source)) => {
                        let path = path.clone();
                        self.current = None;
                        return Some(Err(ReadError::Rows { path, source }));
                    }
                    None => self.current = None,
                }
            }
            let path = self.waiting.pop_front()?;
            match OpenFile::new(&*self.disk, self.table, self.unread, path) {
                Ok(open) => self.current = Some(open),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Opens a file to read it as it was written.
pub(super) fn open_file(disk: &dyn Disk, path: &Path) -> Result<ParquetRecordBatchReader, ReadError> {
    let failed = |source| ReadError::Parquet { path: path.to_path_buf(), source };
    let (bytes, metadata) = load(disk, path)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
    builder.with_batch_size(BATCH_ROWS).build().map_err(failed)
}

impl OpenFile {
    fn new(disk: &dyn Disk, table: Table, unread: &[&str], path: PathBuf) -> Result<Self, ReadError> {
        match table {
            Table::Records => open_words(disk, unread, path),
            Table::DeadLetters | Table::Gaps => Ok(Self { reader: open_file(disk, &path)?, path, empty: Vec::new() }),
        }
    }
}

/// Opens a file to read it fast: each distinct text once, and no column without a value or that the caller does not
/// need.
fn open_words(disk: &dyn Disk, unread: &[&str], path: PathBuf) -> Result<OpenFile, ReadError> {
    let failed = |source| ReadError::Parquet { path: path.clone(), source };
    let (bytes, metadata) = load(disk, &path)?;
    let words = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let field = |field: &FieldRef| {
        if *field.data_type() == DataType::Utf8 && !UNLIKE.contains(&field.name().as_str()) {
            Arc::new(field.as_ref().clone().with_data_type(words.clone()))
        } else {
            Arc::clone(field)
        }
    };
    let fields: Vec<FieldRef> = metadata.schema().fields().iter().map(field).collect();
    let (empty, full): (Vec<usize>, Vec<usize>) = (0..fields.len()).partition(|&at| {
        let name = fields[at].name().as_str();
        unread.contains(&name) || is_empty(metadata.metadata(), name)
    });
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields.clone())));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).map_err(failed)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), full);
    let reader = builder.with_batch_size(BATCH_ROWS).with_projection(mask).build().map_err(failed)?;
    let nullable = |at: usize| Arc::new(fields[at].as_ref().clone().with_nullable(true));
    let empty = empty.into_iter().map(nullable);
    let empty = empty.map(|field| (Arc::clone(&field), new_null_array(field.data_type(), BATCH_ROWS))).collect();
    Ok(OpenFile { path, reader, empty })
}

/// A file's bytes and its metadata.
fn load(disk: &dyn Disk, path: &Path) -> Result<(bytes::Bytes, ArrowReaderMetadata), ReadError> {
    let bytes = read_whole(disk, path).map_err(|source| ReadError::Disk { path: path.to_path_buf(), source })?;
    let bytes = bytes::Bytes::from(bytes);
    let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new())
        .map_err(|source| ReadError::Parquet { path: path.to_path_buf(), source })?;
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let format = pairs.into_iter().flatten().find(|pair| pair.key == FORMAT_KEY).and_then(|pair| pair.value.clone());
    if format.as_deref() != Some(FORMAT.to_string().as_str()) {
        let found = format.unwrap_or_else(|| "none".to_owned());
        return Err(ReadError::Format { path: path.to_path_buf(), found });
    }
    Ok((bytes, metadata))
}

/// Whether a column has no value at all, by its statistics.
fn is_empty(metadata: &ParquetMetaData, name: &str) -> bool {
    let nulls = |column: &ColumnChunkMetaData| column.statistics().and_then(Statistics::null_count_opt);
    metadata.row_groups().iter().all(|group| {
        let columns = group.columns().iter().find(|column| *column.column_path().parts() == [name.to_owned()]);
        columns.is_some_and(|column| nulls(column).is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows())))
    })
}

/// The batch with the columns that were not decoded.
fn with_empty(batch: &RecordBatch, empty: &[(FieldRef, ArrayRef)]) -> Result<RecordBatch, ArrowError> {
    let (fields, nulls): (Vec<_>, Vec<_>) =
        empty.iter().map(|(field, nulls)| (field, nulls.slice(0, batch.num_rows()))).unzip();
    let columns = batch.columns().iter().cloned().chain(nulls).collect();
    let fields: Vec<FieldRef> = batch.schema_ref().fields().iter().chain(fields).cloned().collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Rows and bytes of a file.
pub(super) fn size_of_file(disk: &dyn Disk, path: &Path) -> Result<(usize, usize), ReadError> {
    let (bytes, metadata) = load(disk, path)?;
    let rows = metadata.metadata().file_metadata().num_rows();
    Ok((usize::try_from(rows).unwrap_or(usize::MAX), bytes.len()))
}
