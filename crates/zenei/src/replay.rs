//! Messages through pipeline and desk in virtual time: a recording as a stream, and the incidents that result. Must
//! not know a command line, or how a result is shown. Called by `replay`, `scan` and the test cases of rules.
mod course;
mod gzip;
mod header;
mod play;
mod recording;

pub(crate) use course::Course;
pub(crate) use play::{PlayError, STEP_MESSAGES};
pub(crate) use recording::{Played, Recording};
