//! Reads a text file that the user names, up to a bound. Must not know what is in it. Called by `policy` and `replay`.
use std::path::Path;

/// The largest file that is read as a whole text (the inquiries of a replay), in bytes; a guess: ten million lines of
/// some 100 bytes.
const MAX_BYTES: u64 = 1 << 30;

/// A text file.
///
/// # Errors
/// Why it can't be read.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let unread = |error: std::io::Error| format!("{} can't be read: {error}", path.display());
    let bytes = std::fs::metadata(path).map_err(unread)?.len();
    if bytes > MAX_BYTES {
        return Err(format!("{} has {bytes} bytes; {MAX_BYTES} are allowed", path.display()));
    }
    std::fs::read_to_string(path).map_err(unread)
}
