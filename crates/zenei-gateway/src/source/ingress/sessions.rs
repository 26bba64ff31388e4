//! Which clients of the ingress have a session? A publish-only server stores nothing else of a client, but the answer
//! matters: a publisher that asks for a session and learns that there is none may discard the messages it has sent
//! without an acknowledgement. Therefore the answer survives a crash. Must not know what is published. Called by the
//! ingress, once per connection.
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zenei_wire::Id;

/// The most sessions that are stored; a client beyond them gets the answer that it has none. A guess: a site has some
/// thousand hubs, and this many cost 4 MiB.
pub const MAX_SESSIONS: usize = 1 << 16;

/// Bytes of one line: a sign, 32 hex digits, a line feed.
const LINE_BYTES: usize = 34;

/// The file can be this many times longer than its sessions need before a start rewrites it; a guess.
const SLACK: usize = 4;

/// The sessions, in a file of one line per change: `+` or `-` and the [`Id`] of the client id (which may have any
/// character).
#[derive(Debug)]
pub struct Sessions {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    known: HashSet<u128>,
    file: File,
}

impl Sessions {
    /// Opens the file, or makes it. A last line that a crash cut off is ignored: no client got an answer that depends
    /// on it.
    ///
    /// # Errors
    /// Where the file can't be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut known = HashSet::new();
        for line in bytes.chunks_exact(LINE_BYTES) {
            let id = str::from_utf8(&line[1..LINE_BYTES - 1]).ok().and_then(Id::parse);
            match (line[0], id) {
                (b'+', Some(id)) => known.insert(id.0),
                (b'-', Some(id)) => known.remove(&id.0),
                _ => false,
            };
        }
        if bytes.is_empty() || bytes.len() % LINE_BYTES != 0 || bytes.len() > LINE_BYTES * SLACK * (known.len() + 1) {
            rewrite(path, &known)?;
        }
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { inner: Mutex::new(Inner { known, file }) })
    }

    /// Records a connection and returns whether the client had a session, which a clean start discards. Where it
    /// `lasts`, the client has one from now on. The record is durable on return.
    ///
    /// # Errors
    /// Where the file can't be written; the client must then not be answered.
    pub fn connect(&self, client_id: &str, clean_start: bool, lasts: bool) -> io::Result<bool> {
        let had_one = self.change(client_id, lasts)?;
        Ok(had_one && !clean_start)
    }

    /// Ends the session of a client that says so as it leaves.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn end(&self, client_id: &str) -> io::Result<()> {
        self.change(client_id, false).map(drop)
    }

    /// Records whether a client has a session; returns whether it had one.
    fn change(&self, client_id: &str, lasts: bool) -> io::Result<bool> {
        let id = Id::of(&[client_id.as_bytes()]);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let had_one = inner.known.contains(&id.0);
        if !lasts && had_one {
            inner.append('-', id)?;
            inner.known.remove(&id.0);
        }
        if lasts && !had_one && inner.known.len() < MAX_SESSIONS {
            inner.append('+', id)?;
            inner.known.insert(id.0);
        }
        Ok(had_one)
    }
}

impl Inner {
    fn append(&mut self, sign: char, id: Id) -> io::Result<()> {
        self.file.write_all(format!("{sign}{id}\n").as_bytes())?;
        self.file.sync_data()
    }
}

fn rewrite(path: &Path, known: &HashSet<u128>) -> io::Result<()> {
    let mut ids: Vec<u128> = known.iter().copied().collect();
    ids.sort_unstable();
    let text: String = ids.into_iter().map(|id| format!("+{}\n", Id(id))).collect();
    let mut beside = PathBuf::from(path);
    beside.set_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_until_a_clean_one_and_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        let open = || Sessions::open(&path).unwrap();
        let sessions = open();
        assert!(!sessions.connect("hub\n1", false, true).unwrap());
        assert!(sessions.connect("hub\n1", false, true).unwrap());
        assert!(!sessions.connect("hub 2", false, true).unwrap());
        drop(sessions);
        let sessions = open();
        assert!(sessions.connect("hub\n1", false, true).unwrap(), "over a restart");
        assert!(!sessions.connect("hub\n1", true, false).unwrap(), "a clean session has no earlier one");
        drop(sessions);
        let sessions = open();
        assert!(!sessions.connect("hub\n1", false, true).unwrap(), "and ends it for good");
        assert!(sessions.connect("hub 2", false, true).unwrap());
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_forgotten_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        Sessions::open(&path).unwrap().connect("a", false, true).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"+0123").unwrap();
        Sessions::open(&path).unwrap().connect("b", false, true).unwrap();
        let sessions = Sessions::open(&path).unwrap();
        assert!(sessions.connect("a", false, true).unwrap() && sessions.connect("b", false, true).unwrap());
    }

    #[test]
    fn coming_and_going_does_not_grow_the_file_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        let sessions = Sessions::open(&path).unwrap();
        for _ in 0..10 {
            sessions.connect("a", false, true).unwrap();
            sessions.connect("a", true, false).unwrap();
        }
        drop(sessions);
        drop(Sessions::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }
}
