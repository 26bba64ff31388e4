//! The lab's command line, for `zenei` and for its own binary: which arguments there are. Must not know what they do.
use clap::{Args, Subcommand};
use std::path::PathBuf;
use zenei_detect::estimate::stream::Alarm;

/// A command of the lab.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Benchmarks of detection
    #[command(subcommand)]
    Bench(Bench),
    /// What rules would have opened on the records of a store, how much of it was right, how early, and how much a day
    #[command(after_help = "\
Replays everything that a Parquet store or a ClickHouse holds. With --truth or --inquiries it says precision, recall and lead; without, only how much was opened. Writes \
incidents_a_day.svg, incidents_a_day.csv and backtest.json.

  backtest --store /var/lib/zenei --inquiries calls.csv --rules rules/ --out result
  backtest --store http://clickhouse:8123 --user reader --password-file reader.pw --out result")]
    #[cfg(feature = "backtest")]
    Backtest(Backtest),
}

/// `backtest`.
#[derive(Clone, Debug, Args)]
pub struct Backtest {
    /// The folder of a Parquet store, the state directory around it, or the URL of a ClickHouse (http:// or https://).
    #[arg(long, value_name = "DIR|URL")]
    pub store: PathBuf,
    /// The database of that ClickHouse.
    #[arg(long, value_name = "NAME", default_value = "zenei")]
    pub database: String,
    /// The user of that ClickHouse.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub user: String,
    /// The file of the user's password; absent: none.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// The true faults of a simulated fleet, as `firmware-sim run --truth` writes them.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Customers' inquiries: one within 30 days on a lock of an incident confirms it.
    #[arg(long, value_name = "CSV")]
    pub inquiries: Option<PathBuf>,
    /// Folder of rule files; absent: the rules in the program.
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// The asset registry: which lock is where.
    #[arg(long, value_name = "CSV")]
    pub registry: Option<PathBuf>,
    /// Folder for the results; made where it is missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Prints the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `bench …`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Simulated fleets whose faults are known, through intake, detection and incidents in virtual time
    #[command(after_help = "\
Prints how many faults of each family were found, how early, and what was opened falsely. Nothing is checked: the table is printed whatever it says.

  bench fleet --small                       500 locks, 30 days: a look, no proof
  bench fleet --seeds 1,2,3,4,5 --jobs 2    five fleets of 10,000 locks over 90 days
  bench fleet --small --verbose             with every false incident and every missed fault, and why
  bench fleet --seeds 1 --vary 0.3 --vary-seeds 1,2,3     other physics: every parameter moved by up to 30 %")]
    Fleet(Fleet),
    /// The Numenta Anomaly Benchmark: the core of the detector `stream`, scored as published
    #[command(after_help = "\
Scores every row strictly online, with one set of numbers for every file, and prints the three profiles' scores; then how well numbers that are chosen on \
some files carry over to the others. A score of 0.5 or more is an alarm.

  bench nab --data nab/data --labels nab/labels/combined_windows.json --files nab/files.txt --out scores.csv")]
    Nab(Nab),
}

/// `bench nab`.
#[derive(Clone, Debug, Args)]
pub struct Nab {
    /// Folder of the data: CSV files with `timestamp,value`.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The windows of true anomalies by file, JSON (`combined_windows.json`).
    #[arg(long, value_name = "FILE")]
    pub labels: PathBuf,
    /// Which files, one relative to the folder a line.
    #[arg(long, value_name = "LIST")]
    pub files: PathBuf,
    /// Where each row's score goes: CSV with `file,timestamp,score`.
    #[arg(long, value_name = "CSV")]
    pub out: PathBuf,
    /// From which score on it is an alarm.
    #[arg(long, value_name = "T", default_value_t = Alarm::SCORE)]
    pub threshold: f64,
    /// Folds of the cross-validation; 0: none.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub folds: usize,
}

/// `bench fleet`.
#[derive(Clone, Debug, Args)]
pub struct Fleet {
    /// How many locks; absent: the scenario's.
    #[arg(long, value_name = "N")]
    pub locks: Option<usize>,
    /// How many days; absent: the scenario's.
    #[arg(long, value_name = "D")]
    pub days: Option<f64>,
    /// One fleet for each seed; measures are pooled over them.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1])]
    pub seeds: Vec<u64>,
    /// A scenario's TOML file; absent: the embedded fleet with every family of faults and controls.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Faults per lock-year, other than the scenario's.
    #[arg(long, value_name = "RATE")]
    pub fault_rate: Option<f64>,
    /// Move every physical parameter by chance by up to this share, 0 to 0.9.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub vary: f64,
    /// Which way they are moved: each seed's fleet is run in each of these worlds.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1], alias = "vary-seed", requires = "vary")]
    pub vary_seeds: Vec<u64>,
    /// Worlds whose structure is drawn at random, instead of the scenario's own: `9` for 1 to 9, or a range like
    /// `101-110`; each seed's fleet is run in each of them, 2,000 locks over 60 days where nothing else is said.
    #[arg(long, value_name = "N|A-B", conflicts_with = "vary")]
    pub worlds: Option<String>,
    /// Only what is harmless: no faults, and every rollout of the scenario is a sound version. Prints how many rollouts
    /// an incident names.
    #[arg(long)]
    pub harmless: bool,
    /// 500 locks over 30 days, where nothing else is said.
    #[arg(long)]
    pub small: bool,
    /// Folder of rule files; absent: the rules in the program.
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Writes each rule's promotion card to `DIR/RULE/card.toml`: what it found and what it said falsely on the fleets
    /// in the scenario's own physics. Every rule runs as if it were live.
    #[arg(long, value_name = "DIR")]
    pub cards: Option<PathBuf>,
    /// How many fleets at once, one thread each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Tells every false incident and every fault that was missed, with the nearest reason, and what each rule said of
    /// a fault when it was detectable.
    #[arg(long)]
    pub verbose: bool,
    /// Writes all figures, every fault and every false incident as JSON too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
