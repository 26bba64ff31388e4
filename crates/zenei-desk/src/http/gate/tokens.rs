//! Which tokens are there? Reads and writes the token file, which holds hashes only, and knows a token that is
//! presented. The hash is BLAKE3 keyed with a pepper that lies elsewhere, so that a file that gets out lets nobody test
//! guesses; a token is 256 bits of the system's randomness, which no slow hash would make safer. Must not know a
//! request. Called by the gate and by `zenei token`.
use super::caller::{LOOPBACK, Role};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use blake3::Hash;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use zenei_wire::Name;

/// What every token begins with, so that scanners for leaked secrets know one.
const PREFIX: &str = "zenei_";
/// Bytes of randomness in a token, a session's cookie and the pepper.
const RANDOM_BYTES: usize = 32;
/// The longest presented token that is looked at, bytes; ours have 49.
const PRESENTED_MAX: usize = 128;
/// The longest token file, bytes; a guess: some ten thousand tokens.
const FILE_MAX_BYTES: u64 = 1 << 20;
/// How old what is known of the file may be: a revoked token is refused within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const HEAD: &str = "\
# The tokens of zenei's HTTP API; `zenei token add`, `list` and `revoke` keep this file. It holds hashes, no token.
# name role residents created_ms hash
";

/// A line of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whether it may see who opened which door when.
    pub residents: bool,
    /// When it was made, ms since 1970.
    pub created_ms: i64,
    hash: Hash,
}

impl Token {
    /// Distinguishes it from every other one, also from a later one of the same name.
    pub(super) fn key(&self) -> [u8; 32] {
        *self.hash.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} {})", self.name, self.role.word())
    }
}

/// Why the tokens can't be used. It never holds a token or a hash.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file can't be read or written.
    #[error("{path} can't be {did}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What could not be done.
        did: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A line that is none.
    #[error("{path}:{line}: {text}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong and what is allowed.
        text: String,
    },
    /// The pepper is damaged.
    #[error(
        "{path} has {found} bytes; {RANDOM_BYTES} are needed. Put it back from a backup, or remove it and the tokens, and \
         make new tokens with `zenei token add`"
    )]
    Pepper {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// The name is taken.
    #[error("there is a token {0:?}; revoke it first, or choose another name")]
    Taken(String),
    /// The name is none.
    #[error("the name {0}")]
    Name(String),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(String),
}

/// What the hashes are keyed with.
#[derive(Clone)]
pub struct Pepper([u8; RANDOM_BYTES]);

impl Pepper {
    /// The pepper in this file, which is made where it is missing, for its owner's eyes only.
    ///
    /// # Errors
    /// Where it can't be read or made, or is damaged.
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        if !path.exists() {
            if let Some(folder) = path.parent() {
                zenei_store::layout::make_private(folder).map_err(|source| disk(path, "made", source))?;
            }
            replace(path, &random()?)?;
        }
        let bytes = std::fs::read(path).map_err(|source| disk(path, "read", source))?;
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| TokenError::Pepper { path: path.to_path_buf(), found })
    }

    fn hash(&self, token: &str) -> Hash {
        blake3::keyed_hash(&self.0, token.as_bytes())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The tokens of a file.
///
/// # Errors
/// Where it can't be read, or a line is none.
pub fn read(path: &Path) -> Result<Vec<Token>, TokenError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|source| disk(path, "read", source))?;
    file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(|source| disk(path, "read", source))?;
    if text.len() as u64 > FILE_MAX_BYTES {
        let text = format!("has over {FILE_MAX_BYTES} bytes; no token file has");
        return Err(TokenError::Line { path: path.to_path_buf(), line: 1, text });
    }
    let mut found: Vec<Token> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |text: String| TokenError::Line { path: path.to_path_buf(), line: at + 1, text };
        let token = parse(line).map_err(|text| bad(text.to_owned()))?;
        if found.iter().any(|other| other.name == token.name) {
            return Err(bad(format!("a second token {:?}", token.name)));
        }
        found.push(token);
    }
    Ok(found)
}

/// Adds a token to the file, which is made where it is missing; returns the token, which is kept nowhere.
///
/// # Errors
/// Where the name is taken or none, or a file can't be read or written.
pub fn add(
    path: &Path,
    pepper: &Pepper,
    (name, role, residents): (&str, Role, bool),
    created_ms: i64,
) -> Result<String, TokenError> {
    let mut tokens = if path.exists() { read(path)? } else { Vec::new() };
    let name = Name::new(name).map_err(|error| TokenError::Name(error.to_string()))?.to_string();
    if name == LOOPBACK {
        let text = format!("{LOOPBACK} stands for callers without a token; choose another");
        return Err(TokenError::Name(text));
    }
    if tokens.iter().any(|token| token.name == name) {
        return Err(TokenError::Taken(name));
    }
    let token = format!("{PREFIX}{}", fresh()?);
    tokens.push(Token { name, role, residents, created_ms, hash: pepper.hash(&token) });
    write(path, &tokens)?;
    Ok(token)
}

/// Removes a token from the file; false where there is none of this name.
///
/// # Errors
/// Where the file can't be read or written.
pub fn revoke(path: &Path, name: &str) -> Result<bool, TokenError> {
    let mut tokens = read(path)?;
    let before = tokens.len();
    tokens.retain(|token| token.name != name);
    if tokens.len() < before {
        write(path, &tokens)?;
    }
    Ok(tokens.len() < before)
}

/// A fresh secret of 256 bits, as text of 43 characters.
pub(super) fn fresh() -> Result<String, TokenError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random()?))
}

/// The same as 64 hexadecimal digits.
pub(super) fn fresh_hex() -> Result<String, TokenError> {
    Ok(random()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The tokens of a running server: looks at the file again as time goes on.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    pepper: Pepper,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    looked: Option<Duration>,
    stamp: Option<Stamp>,
    tokens: Vec<Token>,
}

/// By what a changed file is known.
type Stamp = (Option<SystemTime>, u64, u64);

impl Tokens {
    /// Those of this file, which is read when somebody asks.
    pub fn new(path: PathBuf, pepper: Pepper) -> Self {
        Self { path, pepper, seen: Mutex::default() }
    }

    /// The token that is presented. Every line is compared, each in constant time.
    pub(super) fn known(&self, presented: &str, at: Duration) -> Option<Token> {
        if presented.len() > PRESENTED_MAX || !presented.starts_with(PREFIX) {
            return None;
        }
        let hash = self.pepper.hash(presented);
        self.find(at, |token| token.hash == hash)
    }

    /// The token with this key, if it is still in the file.
    pub(super) fn of_key(&self, key: &[u8; 32], at: Duration) -> Option<Token> {
        let hash = Hash::from_bytes(*key);
        self.find(at, |token| token.hash == hash)
    }

    /// `Hash` compares in constant time; no comparison is left out once one was equal.
    fn find(&self, at: Duration, is: impl Fn(&Token) -> bool) -> Option<Token> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|looked| at.saturating_sub(looked) >= LOOK_EVERY) {
            self.look(&mut seen);
            seen.looked = Some(at);
        }
        seen.tokens.iter().filter(|token| is(token)).fold(None, |_, token| Some(token.clone()))
    }

    /// Reads the file if it is another one. One that can't be read lets nobody in: who was revoked must not come back.
    fn look(&self, seen: &mut Seen) {
        let stamp = std::fs::metadata(&self.path).ok().map(|found| stamp(&found));
        if stamp.is_some() && stamp == seen.stamp {
            return;
        }
        seen.tokens = read(&self.path).unwrap_or_else(|error| {
            if seen.stamp != stamp || seen.looked.is_none() {
                tracing::error!(error = zenei_store::with_causes(&error), "no token is taken until the file is mended");
            }
            Vec::new()
        });
        seen.stamp = stamp;
    }
}

fn parse(line: &str) -> Result<Token, &'static str> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let [name, role, residents, created_ms, hash] = parts[..] else {
        return Err("five words are needed: name, role, residents or -, created_ms, hash");
    };
    let name = Name::new(name).map_err(|_| "the name is none; 1 to 64 of A-Z a-z 0-9 . _ - are allowed")?.to_string();
    let role = Role::parse(role).ok_or("the role is none; viewer, operator and admin are")?;
    let residents = match residents {
        "residents" => true,
        "-" => false,
        _ => return Err("the third word is neither `residents` nor `-`"),
    };
    let created_ms = created_ms.parse().map_err(|_| "the fourth word is no time in ms since 1970")?;
    let hash =
        Hash::from_hex(hash).map_err(|_| "the hash is none; 64 hex digits are. A token itself has no place here")?;
    Ok(Token { name, role, residents, created_ms, hash })
}

fn write(path: &Path, tokens: &[Token]) -> Result<(), TokenError> {
    let mut text = HEAD.to_owned();
    for Token { name, role, residents, created_ms, hash } in tokens {
        let residents = if *residents { "residents" } else { "-" };
        text += &format!("{name} {} {residents} {created_ms} {}\n", role.word(), hash.to_hex());
    }
    replace(path, text.as_bytes())
}

/// Writes a file as a whole or not at all, for its owner's eyes only.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), TokenError> {
    let failed = |source| disk(path, "written", source);
    let beside = path.with_added_extension("new");
    match std::fs::remove_file(&beside) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    keep_owner(path, &file);
    std::fs::rename(&beside, path).map_err(failed)
}

/// Gives a new file to the owner of the one that it replaces, or of its folder: root makes tokens for a daemon that is
/// not root. Another user can't, and need not: what they make is theirs.
#[cfg(unix)]
fn keep_owner(path: &Path, file: &File) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let folder = || path.parent().and_then(|folder| folder.metadata().ok());
    let (Some(wanted), Ok(found)) = (path.metadata().ok().or_else(folder), file.metadata()) else { return };
    if (wanted.uid(), wanted.gid()) != (found.uid(), found.gid())
        && let Err(error) = fchown(file, Some(wanted.uid()), Some(wanted.gid()))
    {
        tracing::warn!(path = %path.display(), %error, "the file can't be given to the owner of its folder");
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &File) {}

fn random() -> Result<[u8; RANDOM_BYTES], TokenError> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| TokenError::Random(error.to_string()))?;
    Ok(bytes)
}

#[cfg(unix)]
fn stamp(found: &Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    (found.modified().ok(), found.len(), found.ino())
}

#[cfg(not(unix))]
fn stamp(found: &Metadata) -> Stamp {
    (found.modified().ok(), found.len(), 0)
}

fn disk(path: &Path, did: &'static str, source: io::Error) -> TokenError {
    TokenError::Disk { path: path.to_path_buf(), did, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::ZERO;

    fn made(folder: &Path) -> (PathBuf, Pepper) {
        (folder.join("tokens"), Pepper::open(&folder.join("pepper")).unwrap())
    }

    #[test]
    fn a_token_is_known_by_itself_and_is_in_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = made(folder.path());
        let token = add(&path, &pepper, ("sato", Role::Operator, true), 7).unwrap();
        assert_eq!((token.len(), &token[..6]), (49, "zenei_"));
        let other = add(&path, &pepper, ("wall", Role::Viewer, false), 8).unwrap();
        let tokens = Tokens::new(path.clone(), pepper);
        let found = tokens.known(&token, AT).unwrap();
        assert_eq!((found.name.as_str(), found.role, found.residents), ("sato", Role::Operator, true));
        assert_eq!(tokens.known(&other, AT).unwrap().name, "wall");
        for strange in ["", "zenei_", &token[..48], &format!("{token}x"), "sato", &token[6..]] {
            assert!(tokens.known(strange, AT).is_none(), "{strange}");
        }
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(&token[6..20]));
        }
        assert!(!format!("{tokens:?}").contains(&found.hash.to_hex().to_string()));
    }

    #[test]
    fn a_hash_is_worth_nothing_without_the_pepper() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = made(folder.path());
        let token = add(&path, &pepper, ("sato", Role::Operator, false), 7).unwrap();
        let again = Pepper::open(&folder.path().join("pepper")).unwrap();
        assert!(Tokens::new(path.clone(), again).known(&token, AT).is_some());
        let strange = Pepper::open(&folder.path().join("another")).unwrap();
        assert!(Tokens::new(path, strange).known(&token, AT).is_none());
    }

    #[test]
    fn a_changed_file_counts_within_a_second_and_a_broken_one_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = made(folder.path());
        let [first, second] = ["a", "b"].map(|name| add(&path, &pepper, (name, Role::Viewer, false), 7).unwrap());
        let tokens = Tokens::new(path.clone(), pepper);
        let key = tokens.known(&first, AT).unwrap().key();
        assert!(revoke(&path, "a").unwrap() && !revoke(&path, "a").unwrap());
        assert!(tokens.known(&first, Duration::from_millis(999)).is_some(), "the file was looked at just now");
        let at = Duration::from_secs(1);
        assert!(tokens.known(&first, at).is_none() && tokens.of_key(&key, at).is_none());
        assert!(tokens.known(&second, at).is_some());
        std::fs::write(&path, "b viewer\n").unwrap();
        assert!(tokens.known(&second, Duration::from_secs(2)).is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(tokens.known(&second, Duration::from_secs(3)).is_none());
    }

    #[test]
    fn a_line_that_is_none_is_named_by_its_number_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = made(folder.path());
        add(&path, &pepper, ("sato", Role::Operator, false), 7).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let hash = good.trim_end().rsplit(' ').next().unwrap().to_owned();
        for (line, told) in [
            ("x", "five words"),
            (&format!("ken root - 1 {hash}") as &str, "the role"),
            (&format!("ken viewer yes 1 {hash}"), "third word"),
            ("ken viewer - 1 zenei_secret", "the hash is none"),
            (&format!("sato viewer - 1 {hash}"), "a second token"),
        ] {
            std::fs::write(&path, format!("{good}{line}\n")).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("tokens:4: ") && error.contains(told), "{error}");
            assert!(!error.contains("secret") && !error.contains(&hash), "{error}");
        }
    }

    #[test]
    fn a_name_is_given_once_and_files_are_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pepper) = made(folder.path());
        add(&path, &pepper, ("sato", Role::Operator, false), 7).unwrap();
        assert!(matches!(add(&path, &pepper, ("sato", Role::Admin, false), 8), Err(TokenError::Taken(_))));
        assert!(matches!(add(&path, &pepper, ("a b", Role::Admin, false), 8), Err(TokenError::Name(_))));
        #[cfg(unix)]
        for file in ["tokens", "pepper"] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        #[cfg(unix)]
        if std::os::unix::fs::chown(&path, Some(4_711), Some(4_711)).is_ok() {
            // Only root gets here, and makes a token for another user's daemon.
            use std::os::unix::fs::MetadataExt as _;
            add(&path, &pepper, ("ken", Role::Viewer, false), 9).unwrap();
            assert_eq!(path.metadata().unwrap().uid(), 4_711);
        }
        std::fs::write(folder.path().join("short"), "abc").unwrap();
        assert!(matches!(Pepper::open(&folder.path().join("short")), Err(TokenError::Pepper { found: 3, .. })));
    }
}
