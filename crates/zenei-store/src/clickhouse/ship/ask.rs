//! Asks the one server what it has, for the looks after an attempt whose outcome was unknown: again while it is away,
//! for a bounded number of times, because shipping must go on. Must not know tables. Called by the looks.
use super::deliver::Delivery;
use super::options::Go;
use crate::clickhouse::server_error::{Retry, ServerError};
use serde::de::DeserializeOwned;

/// The most questions that are repeated because the server did not answer. A guess: with the waits between them (250 ms
/// doubled to 10 s) it may be away for a minute.
pub(super) const MAX_ASKED: u32 = 12;

/// What became of a question.
pub(super) enum Asked<T> {
    Answer(T),
    /// It is not answered: refused, or asked too often.
    Nothing(ServerError),
    Stopped,
}

/// The rows of a query's answer.
pub(super) fn ask<T: DeserializeOwned>(
    delivery: &mut Delivery<'_>,
    sql: &str,
    params: &[(&str, &str)],
) -> Asked<Vec<T>> {
    let sql = format!("{sql}\nSETTINGS output_format_json_quote_64bit_integers = 0");
    for failed in 0.. {
        let trouble = match delivery.servers[0].lines(&sql, params) {
            Ok(rows) => return Asked::Answer(rows),
            Err(trouble) => trouble,
        };
        if trouble.verdict() != Retry::Again || failed + 1 >= MAX_ASKED {
            return Asked::Nothing(trouble);
        }
        let Go::On = pause(delivery, failed) else { break };
    }
    Asked::Stopped
}

/// Waits as before a retry after this many failed attempts.
pub(super) fn pause(delivery: &mut Delivery<'_>, failed: u32) -> Go {
    let wait = delivery.attempts.wait(failed);
    (delivery.wait)(wait)
}
