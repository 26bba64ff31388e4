//! How a query is given to the ClickHouse engine in `libchdb.so`: the binding to its C interface
//! (`programs/local/chdb.h` of chdb-core 26.7), opened at run time. Must not know HTTP, nor what a statement means.
//! Called by `main`, [`crate::front`] and [`crate::order`].
#![expect(unsafe_code, reason = "the engine has a C interface and no other")]
use crate::exception::Exception;
use libloading::{AsSymbolName, Library};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;

/// How many bytes of an insert's data are passed on at once; the engine copies them. A guess: large beside the cost of
/// a call, small beside memory.
const PIECE_BYTES: usize = 1 << 20;

/// `chdb_connection *`: the handle by which a connection is closed.
type Connection = *mut *mut c_void;
/// `chdb_result *`.
type Answer = *mut c_void;
/// `chdb_insert_stream`.
type Stream = *mut c_void;
/// A query or the head of an insert, its format, and its parameters.
type Start = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> *mut c_void;

/// `chdb_query_analysis_v1`.
#[repr(C)]
#[derive(Default)]
struct Analysis {
    struct_size: u32,
    statement_count: u32,
    flags: u32,
    query_class: u32,
}

/// The functions of the library, which is never closed: the engine's threads run in it until the process ends.
struct Functions {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> Connection,
    close: unsafe extern "C" fn(Connection),
    shutdown: unsafe extern "C" fn() -> c_int,
    classify: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *const c_char, usize, *mut Analysis) -> c_int,
    query: Start,
    insert: Start,
    append: unsafe extern "C" fn(Stream, *const c_void, usize) -> c_int,
    done: unsafe extern "C" fn(Stream) -> Answer,
    insert_error: unsafe extern "C" fn(Stream) -> *const c_char,
    destroy_insert: unsafe extern "C" fn(Stream),
    error: unsafe extern "C" fn(Answer) -> *const c_char,
    buffer: unsafe extern "C" fn(Answer) -> *mut c_char,
    length: unsafe extern "C" fn(Answer) -> usize,
    rows: unsafe extern "C" fn(Answer) -> u64,
    storage_rows: unsafe extern "C" fn(Answer) -> u64,
    storage_bytes: unsafe extern "C" fn(Answer) -> u64,
    written_rows: unsafe extern "C" fn(Answer) -> u64,
    written_bytes: unsafe extern "C" fn(Answer) -> u64,
    elapsed: unsafe extern "C" fn(Answer) -> f64,
    destroy: unsafe extern "C" fn(Answer),
}

/// The engine of this process, with its one folder.
pub(crate) struct Chdb {
    functions: Functions,
    /// The arguments of each connection.
    arguments: [CString; 2],
    /// Open as long as the engine lives: it stops with its last connection. An address, because only its closing needs
    /// it.
    held: usize,
}

/// One connection: its settings and its database are its own, and it runs one statement at a time.
pub(crate) struct Session<'a> {
    functions: &'a Functions,
    connection: NonNull<*mut c_void>,
}

/// The result of a statement.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The result in the requested format.
    pub(crate) bytes: Vec<u8>,
    pub(crate) result_rows: u64,
    /// Rows read from tables.
    pub(crate) read_rows: u64,
    pub(crate) read_bytes: u64,
    /// Rows written to tables, those behind materialised views included.
    pub(crate) written_rows: u64,
    pub(crate) written_bytes: u64,
    pub(crate) elapsed_s: f64,
}

/// Why the engine can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the library can't be opened, or is not the one that the tests are pinned to")]
    Library(#[from] libloading::Error),
    #[error("a folder is {found:?}; a path without a zero byte is allowed")]
    Folder { found: std::path::PathBuf },
    #[error("the engine can't work in {}; its own words are above", folder.display())]
    Connect { folder: std::path::PathBuf },
}

impl Functions {
    fn open(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: the file is the one that was installed with its checksum, or the one that the tester names; its
        // initialisers touch nothing of ours.
        let library = Box::leak(Box::new(unsafe { Library::new(path) }?));
        let functions = Self {
            connect: find(library, c"chdb_connect")?,
            close: find(library, c"chdb_close_conn")?,
            shutdown: find(library, c"chdb_shutdown")?,
            classify: find(library, c"chdb_classify_query_n")?,
            query: find(library, c"chdb_query_with_params_n")?,
            insert: find(library, c"chdb_stream_insert_with_params_n")?,
            append: find(library, c"chdb_stream_append")?,
            done: find(library, c"chdb_stream_done")?,
            insert_error: find(library, c"chdb_stream_insert_error")?,
            destroy_insert: find(library, c"chdb_destroy_insert_stream")?,
            error: find(library, c"chdb_result_error")?,
            buffer: find(library, c"chdb_result_buffer")?,
            length: find(library, c"chdb_result_length")?,
            rows: find(library, c"chdb_result_rows_read")?,
            storage_rows: find(library, c"chdb_result_storage_rows_read")?,
            storage_bytes: find(library, c"chdb_result_storage_bytes_read")?,
            written_rows: find(library, c"chdb_result_rows_written")?,
            written_bytes: find(library, c"chdb_result_bytes_written")?,
            elapsed: find(library, c"chdb_result_elapsed")?,
            destroy: find(library, c"chdb_destroy_query_result")?,
        };
        // Tokio handles the signals of this process.
        let leave_signals: unsafe extern "C" fn(c_int) = find(library, c"chdb_set_signal_handlers_enabled")?;
        // SAFETY: the signature is the header's, and it may be called at any time before the first connection.
        unsafe { leave_signals(0) };
        Ok(functions)
    }
}

/// One function of the library. `T` is a function pointer with the signature of the header; the fields above are the
/// only callers' types.
fn find<T: Copy>(library: &'static Library, name: impl AsSymbolName) -> Result<T, libloading::Error> {
    // SAFETY: each T is written after the header of the release whose checksum the installer demands.
    unsafe { library.get::<T>(name) }.map(|symbol| *symbol)
}

impl Chdb {
    /// Opens the library and the folder. Nothing else may have this folder open.
    pub(crate) fn open(library: &Path, folder: &Path) -> Result<Self, OpenError> {
        let path = folder.to_str().and_then(|path| CString::new(format!("--path={path}")).ok());
        let path = path.ok_or_else(|| OpenError::Folder { found: folder.to_owned() })?;
        let mut chdb =
            Self { functions: Functions::open(library)?, arguments: [c"clickhouse".to_owned(), path], held: 0 };
        let held = chdb.connect().ok_or_else(|| OpenError::Connect { folder: folder.to_owned() })?;
        chdb.held = held.as_ptr().expose_provenance();
        Ok(chdb)
    }

    /// A connection with the library's default settings; it costs 0.15 ms.
    pub(crate) fn session(&self) -> Result<Session<'_>, Exception> {
        let connection = self.connect().ok_or_else(|| Exception::network("the engine takes no further connection"))?;
        Ok(Session { functions: &self.functions, connection })
    }

    fn connect(&self) -> Option<NonNull<*mut c_void>> {
        let mut arguments = self.arguments.each_ref().map(|argument| argument.as_ptr().cast_mut());
        // SAFETY: two C strings that outlive the call, which copies them; the header allows connections from any
        // thread.
        NonNull::new(unsafe { (self.functions.connect)(2, arguments.as_mut_ptr()) })
    }
}

impl Drop for Chdb {
    fn drop(&mut self) {
        // SAFETY: the held connection is closed once, here; every session borrows `self` and is gone by now.
        unsafe {
            (self.functions.close)(std::ptr::with_exposed_provenance_mut(self.held));
            (self.functions.shutdown)();
        }
    }
}

impl Session<'_> {
    /// Runs one statement; its result comes in the statement's own format, otherwise in this one.
    pub(crate) fn query(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &[(String, String)],
    ) -> Result<Output, Exception> {
        let answer = self.start(self.functions.query, sql, format, parameters);
        self.read(answer)
    }

    /// Runs an insert: its text up to the format, the format of its data, its data.
    pub(crate) fn insert(
        &mut self,
        head: &[u8],
        format: &str,
        parameters: &[(String, String)],
        bytes: &[u8],
    ) -> Result<Output, Exception> {
        let stream = self.start(self.functions.insert, head, format, parameters);
        // SAFETY: the stream is never null (header) and is destroyed once, at the end; an error's text lives as long as
        // the stream.
        unsafe {
            if let Some(error) = text((self.functions.insert_error)(stream)) {
                (self.functions.destroy_insert)(stream);
                return Err(Exception::of_engine(error));
            }
            for piece in bytes.chunks(PIECE_BYTES) {
                if (self.functions.append)(stream, piece.as_ptr().cast(), piece.len()) != 0 {
                    break;
                }
            }
            // After a failed append this returns the error that made it fail.
            let output = self.read((self.functions.done)(stream));
            (self.functions.destroy_insert)(stream);
            output
        }
    }

    /// How many statements a text has; 0 where it can't be parsed.
    pub(crate) fn count(&mut self, sql: &[u8]) -> u32 {
        let mut analysis = Analysis { struct_size: size_of::<Analysis>() as u32, ..Analysis::default() };
        // SAFETY: pointer and length are of one slice, there is no target database, and the struct says its size.
        let state = unsafe {
            (self.functions.classify)(
                *self.connection.as_ptr(),
                sql.as_ptr().cast(),
                sql.len(),
                std::ptr::null(),
                0,
                &raw mut analysis,
            )
        };
        if state == 0 { analysis.statement_count } else { 0 }
    }

    fn start(&mut self, start: Start, sql: &[u8], format: &str, parameters: &[(String, String)]) -> *mut c_void {
        let names: Vec<*const c_char> = parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect();
        let name_lengths: Vec<usize> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<*const c_char> = parameters.iter().map(|(_, value)| value.as_ptr().cast()).collect();
        let value_lengths: Vec<usize> = parameters.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: each pointer comes with the length of its slice, the four arrays have the length given last, all
        // outlive the call, and `&mut self` keeps a second statement off this connection.
        unsafe {
            start(
                *self.connection.as_ptr(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        }
    }

    /// Reads an answer and destroys it.
    fn read(&self, answer: Answer) -> Result<Output, Exception> {
        if answer.is_null() {
            return Err(Exception::network("the engine gave no answer"));
        }
        let functions = self.functions;
        // SAFETY: the answer is not null and is destroyed once, at the end; its buffer has its length and, like its
        // error, is copied before that.
        unsafe {
            let output = match text((functions.error)(answer)) {
                Some(error) => Err(Exception::of_engine(error)),
                None => Ok(Output {
                    bytes: copy((functions.buffer)(answer), (functions.length)(answer)),
                    result_rows: (functions.rows)(answer),
                    read_rows: (functions.storage_rows)(answer),
                    read_bytes: (functions.storage_bytes)(answer),
                    written_rows: (functions.written_rows)(answer),
                    written_bytes: (functions.written_bytes)(answer),
                    elapsed_s: (functions.elapsed)(answer),
                }),
            };
            (functions.destroy)(answer);
            output
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: the connection is this session's alone and is closed once, here.
        unsafe { (self.functions.close)(self.connection.as_ptr()) };
    }
}

/// # Safety
/// Null, or a C string that lives until this returns.
unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: as the caller says.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

/// # Safety
/// Null, or `length` bytes that live until this returns.
unsafe fn copy(pointer: *const c_char, length: usize) -> Vec<u8> {
    if pointer.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) }.to_vec()
}
