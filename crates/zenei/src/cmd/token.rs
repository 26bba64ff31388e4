//! `zenei token`: makes, lists and revokes the tokens of the HTTP API, and shows who changed what with them. Must not
//! log a token. Called by `cmd`.
use crate::cli::WithConfig;
use crate::cli::token::{Token as Command, TokenAdd, TokenAudit, TokenRevoke};
use crate::config::{self, Loaded};
use crate::daemon::{access, control};
use crate::exit::Failure;
use crate::output::{Output, escaped, table, time};
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;
use zenei_desk::http::gate::{Role, TokenError, tokens};
use zenei_store::control::{AuditRow, Audited};
use zenei_store::{Clock, Layout};
use zenei_wire::EngineTime;

/// Runs `token add`, `list`, `revoke` or `audit`.
///
/// # Errors
/// Where the configuration names no token file, a name is taken or unknown, or a file can't be read or written.
pub(crate) fn run(command: Command, out: &mut Output<'_>) -> Result<(), Failure> {
    match command {
        Command::Add(arguments) => add(&arguments, out),
        Command::List(arguments) => list(&arguments, out),
        Command::Revoke(arguments) => revoke(&arguments, out),
        Command::Audit(arguments) => audit(&arguments, out),
    }
}

fn add(arguments: &TokenAdd, out: &mut Output<'_>) -> Result<(), Failure> {
    let (loaded, file) = load(&arguments.common)?;
    let role = Role::parse(&arguments.role).ok_or_else(|| Failure::Usage("--role is none".to_owned()))?;
    let pepper = access::pepper(&Layout::new(&loaded.config.state_dir))?;
    let (name, residents) = (arguments.name.as_str(), arguments.residents);
    let token = tokens::add(&file, &pepper, (name, role, residents), Clock::System.now().ms()).map_err(refused)?;
    if arguments.common.json {
        return out.json(&json!({"name": name, "role": role, "residents": residents, "token": token}));
    }
    _ = writeln!(std::io::stderr(), "the token of {name} ({}); it is shown this once:", role.word());
    out.line(token)
}

fn list(arguments: &WithConfig, out: &mut Output<'_>) -> Result<(), Failure> {
    let (_, file) = load(arguments)?;
    let all = if file.is_file() { tokens::read(&file).map_err(refused)? } else { Vec::new() };
    if arguments.json {
        return all.iter().try_for_each(|token| {
            let created_ms = token.created_ms;
            out.json(&json!({"name": token.name, "role": token.role, "residents": token.residents, "created_ms": created_ms}))
        });
    }
    if all.is_empty() {
        return out.line("no token");
    }
    let row = |token: &tokens::Token| {
        let residents = if token.residents { "yes" } else { "no" };
        let created = time(EngineTime(token.created_ms));
        vec![token.name.clone(), token.role.word().to_owned(), residents.to_owned(), created]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    table(&["name", "role", "residents", "created"], &rows).iter().try_for_each(|line| out.line(line))
}

fn revoke(arguments: &TokenRevoke, out: &mut Output<'_>) -> Result<(), Failure> {
    let (_, file) = load(&arguments.common)?;
    let name = arguments.name.as_str();
    if !file.is_file() || !tokens::revoke(&file, name).map_err(refused)? {
        return Err(Failure::Failed(format!("there is no token {name:?}; `zenei token list` names all")));
    }
    if arguments.common.json { out.json(&json!({"revoked": name})) } else { out.line(format!("revoked {name}")) }
}

fn audit(arguments: &TokenAudit, out: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = read(&arguments.common)?;
    let state_dir = &loaded.config.state_dir;
    let rows = control::open(state_dir)?.audit(None, arguments.limit);
    let rows = rows.map_err(|error| control::broken(state_dir, "can't read who changed what", error))?;
    if arguments.common.json {
        return rows.iter().try_for_each(|Audited { number, row, status }| {
            let AuditRow { at_ms, name, role, method, path, subject } = row;
            out.json(&json!({
                "number": number, "at_ms": at_ms, "name": name, "role": role, "method": method, "path": path,
                "subject": subject, "status": status,
            }))
        });
    }
    if rows.is_empty() {
        return out.line("nothing was changed over HTTP");
    }
    let row = |Audited { row, status, .. }: &Audited| {
        let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        vec![
            time(EngineTime(row.at_ms)),
            row.name.clone(),
            row.role.clone(),
            status,
            row.method.clone(),
            escaped(&row.path),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    table(&["at", "who", "role", "status", "method", "path"], &rows).iter().try_for_each(|line| out.line(line))
}

fn read(common: &WithConfig) -> Result<Loaded, Failure> {
    config::load(&common.file.config, &config::variables()).map_err(Failure::Config)
}

/// The configuration and its token file.
fn load(common: &WithConfig) -> Result<(Loaded, PathBuf), Failure> {
    let loaded = read(common)?;
    let file = loaded.config.http.as_ref().and_then(|http| http.token_file.clone());
    match file {
        Some(file) => Ok((loaded, file)),
        None => {
            let text = "`http.token_file` is missing; name the file of the tokens there, as token_file = \"tokens\"";
            Err(Failure::Config(loaded.problems(vec![("http.token_file", text.to_owned())])))
        }
    }
}

fn refused(error: TokenError) -> Failure {
    match error {
        TokenError::Taken(_) | TokenError::Name(_) | TokenError::Line { .. } => Failure::Failed(error.to_string()),
        TokenError::Disk { .. } | TokenError::Pepper { .. } | TokenError::Random(_) => {
            Failure::broken("the tokens can't be kept", error)
        }
    }
}
