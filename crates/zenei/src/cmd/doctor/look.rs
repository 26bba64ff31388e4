//! The result of one check of `doctor`: what was checked, the verdict, what was found, and the remedy. Must not know
//! how it was checked. Called by all checks.
use std::time::Duration;

/// How long a server may take to answer; a guess, far above a round trip on any network that is good enough for
/// telemetry.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Ok,
    Warn,
    Fail,
}

impl Judged {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check.
pub(super) struct Look {
    pub(super) what: &'static str,
    pub(super) verdict: Judged,
    pub(super) found: String,
    pub(super) remedy: String,
}

impl Look {
    pub(super) fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, verdict: Judged::Ok, found: found.into(), remedy: String::new() }
    }

    pub(super) fn warn(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict: Judged::Warn, found: found.into(), remedy: remedy.into() }
    }

    pub(super) fn fail(what: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what, verdict: Judged::Fail, found: found.into(), remedy: remedy.into() }
    }
}
