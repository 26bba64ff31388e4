//! Replays the tables of ClickHouse: the records of all gateways in the order of receipt. Called by `replay`.
use crate::config::Loaded;
use crate::daemon::clickhouse;
use crate::exit::Failure;
use crate::replay::Course;
use zenei_store::clickhouse::{RecordsError, ServerError, dead_letters, each_heard};
use zenei_wire::GatewayTime;

/// Plays everything that the tables hold.
///
/// # Errors
/// Where the configuration names no ClickHouse, or that can't be read.
pub(super) fn play(loaded: &Loaded, course: &mut Course) -> Result<(), Failure> {
    let missing = || vec![("", "[store.clickhouse] with its `url` is needed".to_owned())];
    let section = loaded.config.store.clickhouse.as_ref();
    let section = section.ok_or_else(|| Failure::Config(loaded.problems(missing())))?;
    let (server, form) = (clickhouse::server(section)?, clickhouse::form(section, None)?);
    for (reason, count) in dead_letters(&server, &form).map_err(|trouble| unread(trouble.into()))? {
        course.dead_letters(std::iter::repeat_n(reason, usize::try_from(count).unwrap_or(usize::MAX)));
    }
    let mut failed = None;
    let read = each_heard(&server, &form, GatewayTime(i64::MIN), GatewayTime(i64::MAX), &mut |letters, batch| {
        let heard: Vec<_> = match batch {
            Some(batch) => (0..batch.len()).map(|at| batch.heard(at)).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        if failed.is_none() {
            course.unreadable(letters);
            failed = course.take(&heard, letters.last().map(|letter| letter.heard_at)).err();
        }
        Ok(())
    });
    read.map_err(unread)?;
    failed.map_or(Ok(()), |error| Err(Failure::broken("the replay can't go on", error)))
}

fn unread(error: RecordsError) -> Failure {
    match error {
        RecordsError::Server(trouble @ ServerError::Unknown { .. }) => Failure::Unreachable(trouble.to_string()),
        error @ (RecordsError::Server(_) | RecordsError::Stream(_) | RecordsError::Columns(_)) => {
            Failure::broken("the records of ClickHouse can't be read", error)
        }
    }
}
