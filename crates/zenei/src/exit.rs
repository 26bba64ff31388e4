//! How does a command end? One error type, with its exit code and its text. Must not know a command. Called by `main`
//! and by every command.
use crate::config::Problems;
use std::error::Error;

/// An exit code. The numbers above 63 are those of BSD's sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or the checked thing is good.
    Done = 0,
    /// The checked thing failed.
    Failed = 1,
    /// The command line can't be understood.
    Usage = 2,
    /// Something that is needed can't be reached (`EX_UNAVAILABLE`).
    Unreachable = 69,
    /// The configuration is bad (`EX_CONFIG`).
    Config = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early. Its text gives the finding, its place, and the next step.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The reader closed the output. No error.
    #[error("the reader of the output went away")]
    OutputClosed,
    /// The check failed.
    #[error("{0}")]
    Failed(String),
    /// Something broke on the way.
    #[error("{what}")]
    Broken {
        /// The action that failed.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A command line that can't be understood.
    #[error("{0}")]
    Usage(String),
    /// Something that is needed can't be reached.
    #[error("{0}")]
    Unreachable(String),
    /// A bad configuration, with every problem found in it.
    #[error("{0}")]
    Config(Problems),
    /// Bad rule files, with everything found in them.
    #[error("{0}")]
    Rules(String),
    /// A good configuration that can't be put into effect here.
    #[error("{what}")]
    ConfigInEffect {
        /// The part that could not be put into effect.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Failure {
    /// A failure of the action `what`, caused by `source`.
    pub(crate) fn broken(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Broken { what: what.into(), source: source.into() }
    }

    /// The exit code of this ending.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::OutputClosed => Exit::Done,
            Self::Failed(_) | Self::Broken { .. } => Exit::Failed,
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::Config(_) | Self::Rules(_) | Self::ConfigInEffect { .. } => Exit::Config,
        }
    }

    /// The text for people, with every cause; `None` where there is nothing to report.
    pub(crate) fn text(&self) -> Option<String> {
        if matches!(self, Self::OutputClosed) {
            return None;
        }
        Some(zenei_store::with_causes(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_each_cause_once() {
        let cause = std::io::Error::other("no space left");
        assert_eq!(Failure::broken("can't write a", cause).text().unwrap(), "can't write a: no space left");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert_eq!(Failure::OutputClosed.exit(), Exit::Done);
        assert_eq!(Failure::OutputClosed.text(), None);
    }
}
