//! How a lab command fails, and with which exit code (interface contract). Called by all of the lab, by its binary and
//! by `zenei`.
use std::error::Error;
use std::path::Path;
use zenei_store::RuleFolderError;

/// Why a lab command ended early.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A scenario or rule file is bad.
    #[error("{what}")]
    Config {
        /// What is bad.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A step failed, or the checked thing failed.
    #[error("{what}")]
    Failed {
        /// What was being done.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The output can't be written.
    #[error("the result can't be written")]
    Output(#[from] std::io::Error),
}

impl From<RuleFolderError> for LabError {
    fn from(error: RuleFolderError) -> Self {
        match error {
            RuleFolderError::Unread { path, source } => Self::unread(&path, source),
            RuleFolderError::TooLarge { .. }
            | RuleFolderError::Empty { .. }
            | RuleFolderError::NoRule { .. }
            | RuleFolderError::Bad(_) => Self::config("a rule is bad", error),
        }
    }
}

impl LabError {
    /// The exit code: 1 failed, 2 usage, 78 a bad file.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Config { .. } => 78,
            Self::Failed { .. } | Self::Output(_) => 1,
        }
    }

    pub(crate) fn config(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Config { what: what.into(), source: source.into() }
    }

    pub(crate) fn failed(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { what: what.into(), source: source.into() }
    }

    pub(crate) fn unread(path: &Path, source: std::io::Error) -> Self {
        Self::failed(format!("{} can't be read", path.display()), source)
    }

    pub(crate) fn unwritten(path: &Path, source: std::io::Error) -> Self {
        Self::failed(format!("{} can't be written", path.display()), source)
    }

    /// The text for people, with all causes.
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
