//! Plays a whole recording through a course, in steps of bounded size. Must not know a format. Called by `replay` and
//! by the test cases of rules.
use super::course::{Course, CourseError};
use super::recording::{Played, Recording};
use zenei_store::StoredMessage;
use zenei_wire::GatewayTime;

/// Messages that are taken in one step: enough that a step costs nothing, few enough that memory stays flat. How
/// messages are split changes no result.
pub(crate) const STEP_MESSAGES: usize = 1024;
/// The same limit in bytes.
const STEP_BYTES: usize = 1 << 20;

/// Why a recording was not played to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlayError {
    /// It can't be read; the text gives the reason.
    #[error("{0}")]
    Recording(String),
    /// The desk failed.
    #[error("{0}")]
    Course(CourseError),
}

impl Recording {
    /// Plays it to its end; returns the time of its first message.
    ///
    /// # Errors
    /// See [`PlayError`].
    pub(crate) fn play(&mut self, course: &mut Course) -> Result<Option<GatewayTime>, PlayError> {
        let (mut step, mut bytes): (Vec<StoredMessage>, usize) = (Vec::new(), 0);
        let mut start = None;
        while let Some(played) = self.next().map_err(PlayError::Recording)? {
            match played {
                Played::Message(message) => {
                    start.get_or_insert(message.heard_at);
                    bytes += message.payload.len();
                    step.push(message);
                }
                Played::Refused { topic, reason } => course.refused(&topic, self.heard_at(), reason),
            }
            if step.len() >= STEP_MESSAGES || bytes >= STEP_BYTES {
                course.messages(&step).map_err(PlayError::Course)?;
                bytes = 0;
                step.clear();
            }
        }
        course.messages(&step).map_err(PlayError::Course)?;
        // A recording may end with a line that is no message; time advances to it all the same.
        course.take(&[], Some(self.heard_at())).map_err(PlayError::Course)?;
        Ok(start)
    }
}
