//! The command line of `zenei rules`. Does nothing itself.
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `zenei rules …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// The rules, with version and state
    #[command(after_help = "  zenei rules list\n  zenei rules list --rules rules/ --json")]
    List(RulesIn),
    /// Checks rule files, and that each live rule has a promotion card that is of this very rule and within its budget
    #[command(after_help = "  zenei rules check --rules rules/")]
    Check(RulesIn),
    /// Runs each rule's test cases: made-up records in, incidents out, compared with those that must result
    #[command(after_help = "\
Each rule has at least three cases in its folder: positive.toml, negative.toml and gap.toml (records that are missing must neither open nor \
close). Exit 1 where a case fails or is missing.

  zenei rules test                          the rules in the program
  zenei rules test --rules rules/ my-rule   one rule of a folder")]
    Test(RulesTest),
    /// One rule: what it looks at, its numbers with their sources, and what it was measured to do
    #[command(after_help = "\
  zenei rules explain motor-effort
  zenei rules explain motor-effort --state-dir zenei-state   with what it found there, and what its budget has left")]
    Explain(RulesExplain),
}

/// `zenei rules explain`.
#[derive(Debug, Args)]
pub(crate) struct RulesExplain {
    /// Its id.
    #[arg(value_name = "RULE")]
    pub(crate) rule: String,
    /// State directory of a zenei: what the rule found there is told against its budget.
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: RulesIn,
}

/// `zenei rules test`.
#[derive(Debug, Args)]
pub(crate) struct RulesTest {
    /// Only these rules; absent: all of them.
    #[arg(value_name = "RULE")]
    pub(crate) only: Vec<String>,
    /// Folder of rule files; absent: the rules in the program.
    #[arg(long, value_name = "DIR")]
    pub(crate) rules: Option<PathBuf>,
    /// Prints JSON, one object a case.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where rules are.
#[derive(Debug, Args)]
pub(crate) struct RulesIn {
    /// Folder of rule files; absent: the rules in the program.
    #[arg(long, value_name = "DIR")]
    pub(crate) rules: Option<PathBuf>,
    /// Prints JSON, one object a line.
    #[arg(long)]
    pub(crate) json: bool,
}
