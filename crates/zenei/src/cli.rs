//! The command line: which commands there are and what their help teaches. Does nothing itself; `main` hands each
//! command to its room in `cmd`.
mod backup;
mod common;
mod config;
pub(crate) mod customers;
pub(crate) mod dashboards;
#[cfg(test)]
mod examples;
pub(crate) mod incident;
pub(crate) mod lock;
pub(crate) mod notify;
mod record;
mod rules;
pub(crate) mod runbook;
pub(crate) mod silence;
mod tap;
pub(crate) mod token;
mod top;
pub(crate) mod triage;

pub(crate) use backup::{Backup, Restore};
pub(crate) use common::{ConfigFile, WithConfig};
pub(crate) use config::{Config, Schema, SchemaApply, SchemaPrint};
pub(crate) use incident::{Incident, IncidentList, IncidentShow, Step};
pub(crate) use record::{Record, RecordList};
pub(crate) use rules::{Rules, RulesExplain, RulesIn, RulesTest};
pub(crate) use tap::Tap;
pub(crate) use top::Top;

use crate::log::Format;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Hears smart locks, keeps every record, tells hardware, firmware and software faults apart, and opens an incident
/// before a customer reports one.
#[derive(Debug, Parser)]
#[command(
    name = "zenei",
    version,
    max_term_width = 120,
    after_help = "\
Start here:
  zenei demo --once                    a simulated fleet goes wrong, and zenei finds out
  zenei config init > zenei.toml       a configuration to start from
  zenei config check                   checks zenei.toml, without touching the network
  zenei run                            the daemon, by zenei.toml

Results go to standard output, logs to standard error.
Exit codes: 0 done, 1 the checked thing failed, 2 usage, 69 something needed is unreachable,
78 bad configuration."
)]
pub(crate) struct Cli {
    /// What log lines look like.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Text, hide_possible_values = true,
          display_order = 100, help = "What log lines look like: text or json")]
    pub(crate) log_format: Format,
    /// What is logged: a level (error, warn, info, debug, trace), or target=level, comma-separated.
    #[arg(long, global = true, value_name = "FILTER", env = "ZENEI_LOG", hide_env_values = true, display_order = 101)]
    pub(crate) log: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a simulated fleet through the real path: needs no broker, no database, no lock
    #[command(after_help = "\
The fleet's locks publish over MQTT to zenei's own ingress; three faults are seeded in it, and harmless changes that must not be taken for faults. \
With --once the command checks what zenei opened against what was seeded: exit 0 where each fault opened exactly one incident, before its \
customer noticed, and nothing else opened one; exit 1 otherwise.

  zenei demo --once               a month of 500 locks, checked
  zenei demo                      the same at a pace to watch; Ctrl-C ends it
  zenei demo --once --seed 7      other locks, other weather, other faults")]
    Demo(Demo),
    /// The daemon: hears, keeps, detects, opens incidents
    #[command(after_help = "\
Ends cleanly on SIGTERM or Ctrl-C: what was heard is sealed and named by a checkpoint. A second signal ends it at once, which loses nothing either: \
the next start goes on from the spool.

  zenei run --config zenei.toml
  ZENEI__HTTP__LISTEN=127.0.0.1:9000 zenei run --config zenei.toml")]
    Run(Run),
    /// Writes what a running zenei hears as a recording, from beside it
    #[command(after_help = "\
Follows the spool of the configuration's state_dir: nothing waits for the tap, and what is released before it was read is counted as missed. \
`zenei replay` and `zenei scan --replay` play what it writes. A recording says who opened which door: only its owner may read the file.

  zenei tap --out hour.ndjson.gz --seconds 3600
  zenei tap --out - --topic 'bitlock/v1/+/BL0000123/#' | head -5
  zenei tap --out waiting.ndjson --backlog --seconds 1")]
    Tap(Tap),
    /// A live view of a running zenei: records a second, lag, dead letters, open incidents, what is to be sent
    #[command(after_help = "\
Reads /metrics and /readyz where [http] answers, which is how it stands now; else the last checkpoint in state_dir, and says so. q ends it.

  zenei top
  zenei top --once --json
  zenei top --config zenei.toml --token-file viewer.token")]
    Top(Top),
    /// Puts a recording, or a store, through the same intake, detection and desk, in virtual time
    #[command(after_help = "\
Writes anomalies.ndjson, incidents.ndjson, decisions.ndjson and summary.json. The same records and rules give the same bytes, but for figures of \
time and memory.

A recording is NDJSON, one message a line, plain or gzip:
  {\"topic\": \"bitlock/v1/tokyo-01/BL1/state\", \"recv_ms\": 1777626000123,
   \"payload\": {\"ts\": 1777626000000, \"battery_mv\": 2874}}   (on one line)

  zenei replay month.ndjson.gz --out result
  zenei replay /var/lib/zenei --out result --rules rules/      what would these rules have found?
  zenei replay --clickhouse --config zenei.toml --out result   over every gateway")]
    Replay(Replay),
    /// What locks around here advertise by Bluetooth LE: a table that lives, or lines for programs
    #[command(after_help = "\
Reads every BTHome v2 sender. With a registry, locks have their names, and what they encrypt is read with their keys (columns address and bind_key_file). Trusted is what \
was made with a lock's key; anybody can send the rest. Marks: ! the engine has found something, P the lock says that something is wrong.

  zenei scan --registry locks.csv            the table; d: raw bytes, /: filter, s: order, q: end
  zenei scan --seconds 30 --json             a line for each advertisement that could be read
  zenei scan --seconds 600 --record air.ndjson
  zenei scan --replay air.ndjson --registry locks.csv
  zenei scan --sim                           24 simulated locks, four weeks old; no adapter needed

Exit 69 where there is no adapter.")]
    Scan(Scan),
    /// What the store holds
    #[command(subcommand)]
    Record(Record),
    /// One lock: how it has been and when its battery is due
    #[command(subcommand)]
    Lock(lock::Lock),
    /// Incidents: what is behind them, and the steps that carry one to its end (完了)
    #[command(subcommand)]
    Incident(Incident),
    /// Silences and maintenance windows: who is not told, and until when
    #[command(subcommand)]
    Silence(silence::Silence),
    /// The tokens of the HTTP API: who may read and change what, and who did
    #[command(subcommand)]
    Token(token::Token),
    /// Who is told of incidents: the targets of the configuration, and a marked test of one
    #[command(subcommand)]
    Notify(notify::Notify),
    /// How urgent something is and whether it opens an incident, by the tables that judge the detector's findings
    #[command(after_help = "  zenei triage --symptom locked_out
  zenei triage --hint medium --locks 12 --scope fw --json
  zenei triage --config zenei.toml --stdin < facts.json")]
    Triage(triage::Triage),
    /// Customers at risk of leaving (解約リスク): the urgent incidents at their doors over 30 and 90 days
    #[command(after_help = "  zenei customers\n  zenei customers --days 90 --json")]
    Customers(customers::Customers),
    /// Runbooks: what to do about which incidents
    #[command(subcommand)]
    Runbook(runbook::Runbook),
    /// The rules by which anomalies are found
    #[command(subcommand)]
    Rules(Rules),
    /// Checks, shows and starts configurations
    #[command(subcommand)]
    Config(Config),
    /// Erases a lock from this machine and from ClickHouse, and counts that nothing is left
    #[command(after_help = "\
Whose door was opened when is a resident's private matter. zenei must not run here meanwhile, and the lock should be gone from the field and from the \
registry: what is heard later is kept again. May be broken off and run again; where several gateways hear the lock, run it on each of them and on the \
desk's machine. Findings stay, under the name `forgotten`. Exit 0 where nothing names the lock any more; 69 where ClickHouse did not answer.

  zenei forget BL0000123 --config zenei.toml")]
    Forget(Forget),
    /// Copies the state directory into one file, also beside a running zenei
    #[command(after_help = "\
Holds what a kill at this moment would have left: records, spool, incidents, deliveries, the state of detection. Not in it: the configuration and \
the files that it names (rules, registry, tokens, secrets), and what is in ClickHouse. Who opened which door is in it: keep it as carefully.

  zenei backup zenei-2026-11-30.tar --config zenei.toml")]
    Backup(Backup),
    /// Puts a backup back into a state directory that is empty or missing
    #[command(after_help = "\
Checks every file of the archive and the log of incidents before the state directory appears. A lock that was forgotten after the backup is in it \
again: run `zenei forget` anew.

  zenei restore zenei-2026-11-30.tar --config zenei.toml")]
    Restore(Restore),
    /// The tables of ClickHouse
    #[command(subcommand)]
    Schema(Schema),
    /// Dashboards and alert rules for Grafana and Prometheus
    #[command(subcommand)]
    Dashboards(dashboards::Dashboards),
    /// Looks for what would keep zenei from running here, and says what to do about it
    #[command(after_help = "\
Exit 0 where nothing failed, 69 where something did. A warning is no failure.

  zenei doctor                             zenei.toml here, else the usual places on one machine
  zenei doctor --config zenei.toml --json")]
    Doctor(WithConfig),
    /// Prints what completes zenei's commands in a shell
    #[command(after_help = "\
A new shell completes them.

  zenei completions bash > /etc/bash_completion.d/zenei
  zenei completions zsh > ~/.zfunc/_zenei
  zenei completions fish > ~/.config/fish/completions/zenei.fish")]
    Completions(Completions),
    /// Prints the manual page, or writes a page for each command into a folder
    #[command(after_help = "\
`man ./zenei.1` shows it.

  zenei man > zenei.1
  zenei man /usr/local/share/man/man1      zenei.1, zenei-run.1, zenei-incident-ack.1, …")]
    Man(Man),
    /// Scores rules against recordings with known faults; needs the cargo feature lab
    #[cfg(not(feature = "lab"))]
    #[command(disable_help_flag = true, after_help = "  zenei backtest --store /var/lib/zenei --out result")]
    Backtest(Lab),
    /// Benchmarks of detection; needs the cargo feature lab
    #[cfg(not(feature = "lab"))]
    #[command(disable_help_flag = true, after_help = "  zenei bench fleet --small")]
    Bench(Lab),
    #[cfg(feature = "lab")]
    #[command(flatten)]
    Lab(zenei_lab::cli::Command),
}

/// `zenei demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Runs the whole scenario as fast as it goes, checks it, and ends.
    #[arg(long)]
    pub(crate) once: bool,
    /// Chooses locks, weather and faults; the same seed gives the same fleet.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Prints JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `zenei run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Lets time follow the records instead of the clock: the highest ts that 8 locks have reached. For a fast
    /// simulator outside; never for real locks.
    #[arg(long)]
    pub(crate) simulated_time: bool,
}

/// `zenei replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A recording (NDJSON, plain or gzip), or the folder of a Parquet store.
    #[arg(value_name = "FILE|DIR", required_unless_present = "clickhouse")]
    pub(crate) from: Option<PathBuf>,
    /// Plays what the ClickHouse of --config holds, as the gateways heard it; its rules and registry are used where
    /// none are named here.
    #[arg(long, conflicts_with = "from")]
    pub(crate) clickhouse: bool,
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Folder for the results; made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Folder of rule files; absent: the rules in the program.
    #[arg(long, value_name = "DIR")]
    pub(crate) rules: Option<PathBuf>,
    /// The asset registry: which lock is where.
    #[arg(long, value_name = "CSV")]
    pub(crate) registry: Option<PathBuf>,
    /// Customer inquiries, to link with incidents.
    #[arg(long, value_name = "CSV")]
    pub(crate) inquiries: Option<PathBuf>,
    /// Prints the summary as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `zenei forget`.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The lock's device id.
    #[arg(value_name = "DEVICE")]
    pub(crate) device: String,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei scan`.
#[derive(Debug, Args)]
pub(crate) struct Scan {
    /// Ends after so long; of a recording, after so much of it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub(crate) seconds: Option<u64>,
    /// Prints JSON, one line for each advertisement that could be read; what is absent is null.
    #[arg(long)]
    pub(crate) json: bool,
    /// Hears simulated locks.
    #[arg(long, conflicts_with = "replay")]
    pub(crate) sim: bool,
    /// Hears a recording (NDJSON, plain or gzip).
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// The asset registry: whose the addresses are, and which keys open what they say.
    #[arg(long, value_name = "CSV")]
    pub(crate) registry: Option<PathBuf>,
    /// Writes what is heard as a recording, also what can't be read.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

/// `zenei completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `zenei man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for a page each command; made where it is missing. Absent: zenei's own page on standard output.
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// Arguments of a command that this build lacks; taken as they come.
#[cfg(not(feature = "lab"))]
#[derive(Debug, Args)]
pub(crate) struct Lab {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<std::ffi::OsString>,
}
