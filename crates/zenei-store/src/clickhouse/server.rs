//! One ClickHouse server over HTTP, called from a plain thread: statements, inserts, streams of bytes. Must not know
//! tables. Called by the schema, the shippers, the readers, the self-test and the erasure. Every call blocks; none may
//! be made from within an async runtime.
use super::server_error::ServerError;
use bytes::Bytes;
use clickhouse::{Client, Compression};
use std::fmt;
use std::io;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Bytes of an insert that are compressed and sent at a time: ClickHouse's own largest compressed block by default
/// (`max_compress_block_size`).
const SEND_BYTES: usize = 1 << 20;

/// The longest query, in bytes; by default a server parses 256 KiB. One query has a cursor for each of some ten
/// thousand gateways.
const MAX_QUERY_BYTES: usize = 8 << 20;

/// The address and the credentials of a server.
#[derive(Clone)]
pub struct ServerAddress {
    /// Its HTTP interface, `http://host:8123`, or `https://`.
    pub url: String,
    /// The user.
    pub user: String,
    /// The password; empty: none. Never displayed.
    pub password: String,
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, user, password: _ } = self;
        f.debug_struct("ServerAddress").field("url", url).field("user", user).finish_non_exhaustive()
    }
}

/// The time limits of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To take a portion of an insert.
    pub send: Duration,
    /// To answer, including all views.
    pub answer: Duration,
}

impl Default for Timeouts {
    /// 30 s and 3 min. Guesses: an insert of one sealed range takes well below a second, and a server under merge
    /// pressure some tens of seconds.
    fn default() -> Self {
        Self { send: Duration::from_secs(30), answer: Duration::from_secs(180) }
    }
}

/// A client of one server.
pub struct Server {
    client: Client,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
    timeouts: Timeouts,
    /// Whatever answers at the address may repeat what it was sent.
    password: String,
}

impl Drop for Server {
    /// A runtime that is dropped waits for its threads, which panics inside another runtime: this one has no work left.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

impl Server {
    /// A client of one server; nothing is sent yet.
    ///
    /// # Errors
    /// If the operating system gives no event queue.
    pub fn new(address: &ServerAddress, timeouts: Timeouts) -> io::Result<Self> {
        let client = Client::default().with_url(&address.url).with_user(&address.user);
        let client = if address.password.is_empty() { client } else { client.with_password(&address.password) };
        let client = client.with_compression(Compression::Lz4).with_product_info("zenei", env!("CARGO_PKG_VERSION"));
        let runtime = Some(Builder::new_current_thread().enable_all().build()?);
        Ok(Self { client, runtime, timeouts, password: address.password.clone() })
    }

    fn wait_for<T>(&self, work: impl Future<Output = Result<T, ServerError>>) -> Result<T, ServerError> {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work).map_err(|error| error.hiding(&self.password)),
            None => unreachable!("a server that is dropped is asked nothing"),
        }
    }

    /// Runs one statement that gives no rows.
    ///
    /// # Errors
    /// The server's error, or that the outcome is unknown.
    pub fn execute(&self, sql: &str, params: &[(&str, &str)]) -> Result<(), ServerError> {
        self.fetch(sql, params, "Null", &mut |_| {})
    }

    /// Runs a query and passes its answer on, in `format`, as it arrives.
    ///
    /// # Errors
    /// The server's error, or that the answer broke off; `each` has then received a part of it.
    pub fn fetch(
        &self,
        sql: &str,
        params: &[(&str, &str)],
        format: &str,
        each: &mut dyn FnMut(Bytes),
    ) -> Result<(), ServerError> {
        let query = self.client.query_raw(sql).with_setting("max_query_size", MAX_QUERY_BYTES.to_string());
        let query = params.iter().fold(query, |query, (name, value)| query.param(name, value));
        self.wait_for(async {
            let mut answer = query.fetch_bytes(format)?;
            loop {
                let chunk = tokio::time::timeout(self.timeouts.answer, answer.next());
                match chunk.await.map_err(|_| ServerError::silent(self.timeouts.answer))?? {
                    Some(chunk) => each(chunk),
                    None => return Ok(()),
                }
            }
        })
    }

    /// Runs a query whose answer is a JSON object a line.
    ///
    /// # Errors
    /// As [`Server::fetch`]; [`ServerError::Answer`] where a line is not what `T` reads.
    pub fn lines<T: serde::de::DeserializeOwned>(
        &self,
        sql: &str,
        params: &[(&str, &str)],
    ) -> Result<Vec<T>, ServerError> {
        let mut answer = Vec::new();
        self.fetch(sql, params, "JSONEachRow", &mut |chunk| answer.extend_from_slice(&chunk))?;
        let lines = answer.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let read = lines.map(|line| serde_json::from_slice(line));
        read.collect::<Result<_, _>>().map_err(|error| ServerError::Answer { found: error.to_string() })
    }

    /// Inserts the whole `body`. `sql` names table, columns and format; the server takes an equal `token` once, also if
    /// views depend on the table.
    ///
    /// # Errors
    /// The server's error, or that the outcome is unknown: then the same insert may be repeated.
    pub fn insert(&self, sql: &str, token: &str, body: &Bytes) -> Result<(), ServerError> {
        let Timeouts { send, answer } = self.timeouts;
        let mut insert = self
            .client
            .insert_formatted_with(sql)
            .with_timeouts(Some(send), Some(answer))
            .with_setting("async_insert", "0")
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", token)
            // Otherwise an attempt that failed between table and view would leave the view without those rows for ever.
            .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1");
        self.wait_for(async {
            for from in (0..body.len()).step_by(SEND_BYTES) {
                insert.send(body.slice(from..body.len().min(from + SEND_BYTES))).await?;
            }
            insert.end().await.map_err(ServerError::from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_dropped_where_others_are_served() {
        let address =
            ServerAddress { url: "http://127.0.0.1:1".to_owned(), user: String::new(), password: String::new() };
        let server = Server::new(&address, Timeouts::default()).unwrap();
        Builder::new_current_thread().build().unwrap().block_on(async { drop(server) });
    }
}
