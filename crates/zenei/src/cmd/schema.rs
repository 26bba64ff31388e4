//! `zenei schema`: prints the script that makes the tables of ClickHouse, or applies it to a server. Called by `cmd`.
use crate::cli::{Schema as Command, SchemaApply, SchemaPrint};
use crate::config::{self, ClickHouse};
use crate::daemon::clickhouse;
use crate::exit::Failure;
use crate::output::{Colour, Output};
use crate::progress::Progress;
use serde_json::json;
use std::path::Path;
use zenei_store::clickhouse::ServerError;
use zenei_store::schema::{self, Applied, ApplyError, Form, Retention};

/// The database where no configuration names one; that of a configuration that leaves it out.
const DATABASE: &str = "zenei";

/// Runs `schema print` or `apply`.
///
/// # Errors
/// A bad configuration, a server that can't be reached, tables that are not those of this program.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::Print(arguments) => print(&arguments, out),
        Command::Apply(arguments) => apply(&arguments, out),
    }
}

fn print(arguments: &SchemaPrint, out: &mut Output<'_>) -> Result<(), Failure> {
    let cluster = arguments.cluster.as_deref();
    let form = match &arguments.config {
        Some(file) => clickhouse::form(&section(file)?, cluster)?,
        None => {
            Form::new(DATABASE, cluster, Retention::default()).map_err(|error| Failure::Usage(error.to_string()))?
        }
    };
    out.line(schema::print(&form).trim_end())
}

fn apply(arguments: &SchemaApply, out: &mut Output<'_>) -> Result<(), Failure> {
    let section = section(&arguments.common.file.config)?;
    let form = clickhouse::form(&section, arguments.cluster.as_deref())?;
    let progress = Progress::spinner("making and updating the tables");
    let applied = schema::apply(&clickhouse::server(&section)?, &form).map_err(failure)?;
    drop(progress);
    let Applied { migrations, retention, no_roles } = applied;
    if arguments.common.json {
        let database = form.database();
        return out.json(&json!({"version": 1, "database": database, "migrations": migrations, "retention": retention, "no_roles": no_roles}));
    }
    let ok = out.paint(Colour::Green, "ok");
    let list: Vec<String> = migrations.iter().map(u32::to_string).collect();
    let done = if list.is_empty() {
        "no migration was missing".to_owned()
    } else {
        format!("migrations {} applied", list.join(", "))
    };
    out.line(format!("{ok}: {}: {done}", form.database()))?;
    if let Some(why) = no_roles {
        let warning = out.paint(Colour::Yellow, "warn");
        out.line(format!("{warning}: the roles zenei_reader and zenei_private are not made: {why}"))?;
    }
    Ok(())
}

/// The section that names the server.
fn section(file: &Path) -> Result<ClickHouse, Failure> {
    let loaded = config::load(file, &config::variables()).map_err(Failure::Config)?;
    let missing = || vec![("", "[store.clickhouse] with its `url` is needed".to_owned())];
    loaded.config.store.clickhouse.clone().ok_or_else(|| Failure::Config(loaded.problems(missing())))
}

fn failure(error: ApplyError) -> Failure {
    match error {
        ApplyError::Statement { source: trouble @ ServerError::Unknown { .. }, .. } => {
            Failure::Unreachable(trouble.to_string())
        }
        error @ (ApplyError::Statement { .. } | ApplyError::Changed { .. } | ApplyError::Newer { .. }) => {
            Failure::broken("the tables are not up to date", error)
        }
    }
}
