//! The ClickHouse of a configuration: its servers and its tables. Must not send a statement. Called by `schema`,
//! `record list`, `replay` and `forget`, and by `shipping` and `tailing` for `run`.
use crate::config::{self, ClickHouse};
use crate::exit::Failure;
use zenei_store::clickhouse::{Server, ServerAddress, Timeouts};
use zenei_store::schema::Form;

/// A client of the server; nothing is sent yet.
///
/// # Errors
/// Where the password can't be read, or the system gives no event queue.
pub(crate) fn server(clickhouse: &ClickHouse) -> Result<Server, Failure> {
    server_at(clickhouse, &clickhouse.url)
}

/// One client for each shard that is written to; empty where the configuration names none.
///
/// # Errors
/// As [`server`].
pub(crate) fn shards(clickhouse: &ClickHouse) -> Result<Vec<Server>, Failure> {
    clickhouse.shards.iter().map(|url| server_at(clickhouse, url)).collect()
}

fn server_at(clickhouse: &ClickHouse, url: &str) -> Result<Server, Failure> {
    let password = clickhouse.password_file.as_deref().map(config::secret).transpose().map_err(Failure::Failed)?;
    let user = clickhouse.user.clone();
    let address = ServerAddress { url: url.to_owned(), user, password: password.unwrap_or_default() };
    Server::new(&address, Timeouts::default())
        .map_err(|error| Failure::broken("can't prepare to ask ClickHouse", error))
}

/// The names and retentions of its tables; `cluster` overrides the configuration's.
///
/// # Errors
/// A name that can't stand in a statement.
pub(crate) fn form(clickhouse: &ClickHouse, cluster: Option<&str>) -> Result<Form, Failure> {
    let cluster = cluster.unwrap_or(&clickhouse.cluster);
    let cluster = (!cluster.is_empty()).then_some(cluster);
    Form::new(&clickhouse.database, cluster, clickhouse.keep_days.into())
        .map_err(|error| Failure::Failed(error.to_string()))
}
