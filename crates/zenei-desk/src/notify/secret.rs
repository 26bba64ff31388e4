//! A secret in memory: it shows itself to nobody who does not ask for it by name. Must not know what it is for. Called
//! by the connectors, which read theirs once at the start.
use std::fmt;
use std::path::Path;

/// The most bytes of a secret's file; a guess, many times the longest key.
const BYTES_MAX: u64 = 16 << 10;

/// A key, a token or a URL that holds one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The first line of a file, without white space around it.
    ///
    /// # Errors
    /// Why it can't be read, or that it is empty; never what is in it.
    pub fn read(file: &Path) -> Result<Self, String> {
        Self::read_all(file)?.into_iter().next().ok_or_else(|| format!("{} is empty", file.display()))
    }

    /// Every line of a file that is not empty.
    ///
    /// # Errors
    /// Why it can't be read; never what is in it.
    pub fn read_all(file: &Path) -> Result<Vec<Self>, String> {
        let shown = file.display();
        let length = std::fs::metadata(file).map_err(|error| format!("{shown} can't be read: {error}"))?.len();
        if length > BYTES_MAX {
            return Err(format!("{shown} has {length} bytes; a secret has at most {BYTES_MAX}"));
        }
        let text = std::fs::read_to_string(file).map_err(|error| format!("{shown} can't be read: {error}"))?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Self::from).collect())
    }

    /// The secret itself, to be sent or to sign with; never to be shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self(secret.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, " canary-4711 \nsecond\n\n").unwrap();
        let secret = Secret::read(&file).unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("canary-4711", "(secret)"));
        assert_eq!(Secret::read_all(&file).unwrap().len(), 2);
    }

    #[test]
    fn an_empty_file_and_none_are_errors_with_the_files_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        assert!(Secret::read(&file).unwrap_err().contains("key can't be read"));
        std::fs::write(&file, "\n").unwrap();
        assert!(Secret::read(&file).unwrap_err().ends_with("key is empty"));
    }
}
