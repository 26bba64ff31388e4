//! The command line of `zenei incident`. Does nothing itself.
use super::common::{By, WithConfig};
use clap::{Args, Subcommand};

/// `zenei incident …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// Every incident as it stands
    #[command(after_help = "  zenei incident list --open\n  zenei incident list --json")]
    List(IncidentList),
    /// One incident: what was seen, against what, and what happened since
    #[command(after_help = "  zenei incident show 9361a8acc")]
    Show(IncidentShow),
    #[command(flatten)]
    Step(Step),
}

/// `zenei incident list`.
#[derive(Debug, Args)]
pub(crate) struct IncidentList {
    /// Only those that are neither resolved nor closed.
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// `zenei incident show`.
#[derive(Debug, Args)]
pub(crate) struct IncidentShow {
    /// Its id, or the first digits of it.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// Which incident, and who takes the step.
#[derive(Debug, Args)]
pub(crate) struct On {
    /// The incident's id, or the first digits of it.
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) by: By,
    #[command(flatten)]
    pub(crate) common: WithConfig,
}

/// A step of a person. A step that the incident's rules refuse changes nothing, and the command exits 1.
#[derive(Debug, Subcommand)]
pub(crate) enum Step {
    /// Acknowledges it: somebody is on it
    #[command(after_help = "  zenei incident ack 9361a8acc")]
    Ack {
        #[command(flatten)]
        on: On,
    },
    /// Adds a note
    #[command(after_help = "  zenei incident note 9361a8acc 'the installer is on the way'")]
    Note {
        #[command(flatten)]
        on: On,
        /// The note.
        #[arg(value_name = "TEXT")]
        text: String,
    },
    /// Sets how far the work is: detected, investigating, fixing or resolved (complete is a command of its own)
    #[command(after_help = "  zenei incident status 9361a8acc investigating")]
    Status {
        #[command(flatten)]
        on: On,
        /// detected, investigating, fixing or resolved.
        #[arg(value_name = "STATUS")]
        to: String,
    },
    /// Gives it an owner
    #[command(after_help = "  zenei incident owner 9361a8acc sato")]
    Owner {
        #[command(flatten)]
        on: On,
        /// The owner.
        #[arg(value_name = "OWNER")]
        owner: String,
    },
    /// Changes its urgency: highest, high, medium or low
    #[command(after_help = "  zenei incident urgency 9361a8acc high --reason 'three more locks'")]
    Urgency {
        #[command(flatten)]
        on: On,
        /// highest, high, medium or low.
        #[arg(value_name = "LEVEL")]
        to: String,
        /// Why (根拠).
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Says that the temporary fix (暫定処置) is done
    #[command(after_help = "  zenei incident temp-fix 9361a8acc")]
    TempFix {
        #[command(flatten)]
        on: On,
    },
    /// Says that the postmortem was held, and which roles took part: completion needs two
    #[command(after_help = "  zenei incident postmortem 9361a8acc --role development --role support")]
    Postmortem {
        #[command(flatten)]
        on: On,
        /// A role that took part (development, quality, support, …); may be repeated.
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// A person who took part; may be repeated.
        #[arg(long = "attendee", value_name = "NAME")]
        attendees: Vec<String>,
    },
    /// Says what it was: true, false_positive, or duplicate_of another incident
    #[command(
        after_help = "  zenei incident verdict 9361a8acc false_positive\n  zenei incident verdict 9361a8acc --duplicate-of 77d0c1"
    )]
    Verdict {
        #[command(flatten)]
        on: On,
        /// true or false_positive; absent with --duplicate-of.
        #[arg(value_name = "VERDICT", required_unless_present = "duplicate_of", conflicts_with = "duplicate_of")]
        verdict: Option<String>,
        /// The id of the incident that is about the same fault, or its first digits.
        #[arg(long, value_name = "ID")]
        duplicate_of: Option<String>,
    },
    /// Opens it again: it was not over; what was done before does not count for the next completion
    #[command(after_help = "  zenei incident reopen 9361a8acc --reason 'it stalls again'")]
    Reopen {
        #[command(flatten)]
        on: On,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Joins it to another incident about the same fault, which takes its later findings
    #[command(after_help = "  zenei incident merge 9361a8acc --into 77d0c1")]
    Merge {
        #[command(flatten)]
        on: On,
        /// The id of the other incident, or its first digits.
        #[arg(long, value_name = "ID")]
        into: String,
    },
    /// Says that the cause lies elsewhere: domain and part
    #[command(
        after_help = "  zenei incident domain 9361a8acc firmware --component fw_image --reason 'only 3.3.0 does it'"
    )]
    Domain {
        #[command(flatten)]
        on: On,
        /// hardware, firmware or software.
        #[arg(value_name = "DOMAIN")]
        to: String,
        /// The part (battery, motor, fw_image, app, …).
        #[arg(long, value_name = "PART", default_value = "unknown")]
        component: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Adds something to be done, which outlives completion: a permanent fix, a prevention, a rule
    #[command(after_help = "  zenei incident action 9361a8acc a1 'a better gear' --kind prevent")]
    Action {
        #[command(flatten)]
        on: On,
        /// Its id within the incident.
        #[arg(value_name = "ITEM")]
        item: String,
        /// What is to be done.
        #[arg(value_name = "TEXT")]
        text: String,
        /// fix, prevent, detect, process or other.
        #[arg(long, value_name = "KIND", default_value = "other")]
        kind: String,
        /// Who does it.
        #[arg(long, value_name = "OWNER")]
        owner: Option<String>,
    },
    /// Says how far something to be done is: open, closed or skipped
    #[command(after_help = "  zenei incident action-status 9361a8acc a1 closed")]
    ActionStatus {
        #[command(flatten)]
        on: On,
        /// Its id within the incident.
        #[arg(value_name = "ITEM")]
        item: String,
        /// open, closed or skipped.
        #[arg(value_name = "STATUS")]
        status: String,
    },
    /// Says that a step of the runbook is done
    #[command(name = "runbook-step")]
    #[command(after_help = "  zenei incident runbook-step 9361a8acc call")]
    Runbook {
        #[command(flatten)]
        on: On,
        /// The step's id.
        #[arg(value_name = "STEP")]
        step: String,
    },
    /// Adds minutes of work
    #[command(after_help = "  zenei incident effort 9361a8acc 45 --work investigation")]
    Effort {
        #[command(flatten)]
        on: On,
        /// So many minutes.
        #[arg(value_name = "MINUTES")]
        minutes: u32,
        /// investigation, firefighting, customer, fix, postmortem or other.
        #[arg(long, value_name = "WORK", default_value = "other")]
        work: String,
    },
    /// Completes it (完了): needs the temporary fix and the postmortem, or a verdict other than true
    #[command(after_help = "  zenei incident complete 9361a8acc")]
    Complete {
        #[command(flatten)]
        on: On,
    },
}
