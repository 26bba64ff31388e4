//! `zenei demo`: a simulated fleet through the real pipeline. Its locks publish over MQTT to this process's own
//! ingress; spool, intake, detection, desk and store are the daemon's, and only the clock is simulated. At the end it
//! compares the incidents with the seeded faults, and what its stand-ins of Waroom and Slack were told with the
//! incidents. Called by `cmd`.
mod audience;
mod browser;
mod stage;
mod verdict;

use crate::cli::Demo;
use crate::daemon::signals::{self, Asked};
use crate::daemon::start::runtime;
use crate::exit::Failure;
use crate::output::{Colour, Output, escaped, table, time};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use stage::Stage;
use std::collections::BTreeSet;
use std::time::Duration;
use verdict::Scorecard;
use zenei_desk::Incidents;
use zenei_store::clock::Elapsed;
use zenei_wire::Id;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The speed of a watched demo, in simulated hours a second: a month in two minutes. A guess at people's patience.
const WATCHED_HOURS_PER_SECOND: f64 = 6.0;

/// Digits of an incident's id in what the demo suggests; they name one of its few incidents.
const ID_DIGITS: usize = 8;
/// How often a demo that is over looks for news of those who are told; a guess: at once, for a person.
const NEWS_EVERY: Duration = Duration::from_millis(300);

/// Runs `demo`.
///
/// # Errors
/// [`Failure::Failed`] where zenei missed a seeded fault, or opened an incident about none; other failures where
/// something breaks.
pub(crate) fn run(arguments: &Demo, out: &mut Output<'_>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let ended = runtime.block_on(play(arguments, out));
    runtime.shutdown_background();
    ended
}

async fn play(arguments: &Demo, out: &mut Output<'_>) -> Result<(), Failure> {
    let asked = signals::listen().map_err(|error| Failure::broken("can't listen for signals", error))?;
    let mut stage = Stage::set(arguments.seed, &asked).await?;
    let shown = show(arguments, &mut stage, asked, out).await;
    // The stage is cleared however the show ended.
    let struck = stage.strike().await;
    shown.and(struck)
}

async fn show(arguments: &Demo, stage: &mut Stage, asked: Asked, out: &mut Output<'_>) -> Result<(), Failure> {
    if !arguments.json {
        let (locks, days) = (stage.locks(), (stage.end_ms() - stage.start_ms()) / DAY_MS);
        let watched = format!("{WATCHED_HOURS_PER_SECOND} simulated hours a second; Ctrl-C ends it");
        let pace = if arguments.once { "as fast as it goes" } else { &watched };
        out.line(format!("{locks} simulated locks, {days} days, seed {}, {pace}", arguments.seed))?;
        if arguments.once {
            out.line(format!("state in {} until the end", stage.folder().display()))?;
        } else {
            out.line(format!("look: {}", stage.link()))?;
            out.line(format!("the link logs you in, once; state in {} until the end", stage.folder().display()))?;
        }
        out.flush()?;
        if !arguments.once && out.is_terminal() {
            browser::open(&stage.link());
        }
    }
    let mut show = Show { seen: BTreeSet::new(), elapsed: Elapsed::start(), asked, json: arguments.json };
    let is_whole = show.month(stage, arguments.once, out).await?;
    match (is_whole, arguments.once) {
        (false, true) => {
            return Err(Failure::Failed(
                "ended by a signal before the month was over; nothing was compared".to_owned(),
            ));
        }
        (false, false) => return Ok(()),
        (true, _) => {}
    }
    stage.settle().await?;
    show.opened(stage, out)?;
    let is_told = stage.told().await?;
    let wrong = show.compare(stage, arguments.seed, is_told, out)?;
    if !arguments.json {
        show.told(stage, out)?;
    }
    out.flush()?;
    if arguments.once {
        return if wrong.is_empty() { Ok(()) } else { Err(Failure::Failed(wrong.join("\n"))) };
    }
    if !arguments.json {
        wrong.iter().try_for_each(|what| out.line(what))?;
        show.way_to_the_end(stage, out)?;
        out.line("the month is over; Ctrl-C ends the demo")?;
    }
    show.news(stage, out).await
}

/// The output while the fleet runs.
struct Show {
    /// Incidents that were printed.
    seen: BTreeSet<Id>,
    elapsed: Elapsed,
    asked: Asked,
    json: bool,
}

impl Show {
    /// The fleet's month, hour by hour; false where a signal requested the end before it was over.
    async fn month(&mut self, stage: &mut Stage, once: bool, out: &mut Output<'_>) -> Result<bool, Failure> {
        let (start_ms, end_ms) = (stage.start_ms(), stage.end_ms());
        let bar = self.bar((end_ms - start_ms) / HOUR_MS, out);
        let mut hour_ms = start_ms;
        while hour_ms < end_ms {
            if self.asked.is_asked() {
                bar.finish_and_clear();
                return Ok(false);
            }
            hour_ms = (hour_ms + HOUR_MS).min(end_ms);
            stage.play_to(hour_ms).await?;
            bar.suspend(|| self.opened(stage, out))?;
            let hours = (hour_ms - start_ms) / HOUR_MS;
            bar.set_position(hours.unsigned_abs());
            if hours % 24 == 0 {
                self.day(stage, hours / 24, &bar, out)?;
            }
            if !once {
                let due = Duration::from_secs_f64(hours as f64 / WATCHED_HOURS_PER_SECOND);
                let rest = due.saturating_sub(self.elapsed.so_far());
                // The show continues when no signal arrives within the rest.
                drop(tokio::time::timeout(rest, self.asked.wait()).await);
            }
        }
        bar.finish_and_clear();
        Ok(true)
    }

    fn bar(&self, hours: i64, out: &Output<'_>) -> ProgressBar {
        if self.json || !out.is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(hours.unsigned_abs());
        match ProgressStyle::with_template("{bar:40} day {msg} {percent:>3} %  {elapsed} of about {duration}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn day(&self, stage: &Stage, day: i64, bar: &ProgressBar, out: &mut Output<'_>) -> Result<(), Failure> {
        bar.set_message(day.to_string());
        if self.json || out.is_terminal() {
            return Ok(());
        }
        let (messages, incidents) = (stage.messages(), self.seen.len());
        out.line(format!("day {day:>2}  {messages:>7} messages  {incidents} incidents"))?;
        out.flush()
    }

    /// Prints each incident that was not printed yet.
    fn opened(&mut self, stage: &Stage, out: &mut Output<'_>) -> Result<(), Failure> {
        let book = stage.incidents().read();
        let mut new: Vec<_> = book.incidents().filter(|incident| !self.seen.contains(&incident.id)).collect();
        new.sort_by_key(|incident| (incident.opened, incident.id));
        for incident in new {
            self.seen.insert(incident.id);
            if self.json {
                out.json(&json!({"version": 1, "opened": {
                    "id": incident.id, "at_ms": incident.opened, "scope": incident.scope, "domain": incident.domain,
                    "urgency": incident.urgency, "title": incident.title, "why": incident.why,
                    "owner": incident.owner, "runbook": incident.runbook,
                }}))?;
                continue;
            }
            let urgency = out.paint(Colour::Yellow, incident.urgency.as_str());
            let title = escaped(&incident.title);
            out.line(format!("{}  incident  {urgency}  {}  {title}", time(incident.opened), incident.domain))?;
            if let (Some(owner), Some(runbook)) = (&incident.owner, &incident.runbook) {
                out.line(format!("    for {}: {}", escaped(owner), escaped(runbook)))?;
            }
        }
        out.flush()
    }

    /// What each was told of each incident.
    fn told(&self, stage: &mut Stage, out: &mut Output<'_>) -> Result<(), Failure> {
        out.line("\ntold (stand-ins on this machine):")?;
        for incident in by_opening(stage.incidents()) {
            let told = stage.audience().about(incident);
            if let Some((channels, text)) = &told.slack {
                out.line(format!("  Slack   {}: {}", escaped(&channels.join(", ")), escaped(text)))?;
            }
            if let Some(one) = &told.waroom {
                let (title, state) =
                    (escaped(&one.title), format!("{}, {}, {}", one.service, one.severity, one.status));
                out.line(format!("  Waroom  {title} ({})", escaped(&state)))?;
            }
        }
        // What was told until here is no news.
        drop(stage.audience().news());
        Ok(())
    }

    /// How to carry an incident of this demo to its end.
    fn way_to_the_end(&self, stage: &Stage, out: &mut Output<'_>) -> Result<(), Failure> {
        let Some(incident) = by_opening(stage.incidents()).first().copied() else { return Ok(()) };
        let id: String = incident.to_string().chars().take(ID_DIGITS).collect();
        out.line("\nto carry the first to its end (完了), in another window:")?;
        let config = stage.config();
        for step in ["ack ID", "temp-fix ID", "postmortem ID --role development --role support", "complete ID"] {
            let step = step.replace("ID", &id);
            out.line(format!("  zenei incident {step} --by you --config {}", config.display()))?;
        }
        out.line("")
    }

    /// Prints what is told until the end is requested.
    async fn news(&mut self, stage: &mut Stage, out: &mut Output<'_>) -> Result<(), Failure> {
        loop {
            out.flush()?;
            let asked = tokio::time::timeout(NEWS_EVERY, self.asked.wait());
            if asked.await.is_ok() {
                return Ok(());
            }
            let news = stage.audience().news();
            if !self.json {
                news.iter().try_for_each(|line| out.line(format!("  {}", escaped(line))))?;
            }
        }
    }

    /// Compares with the seeded faults and with what was told; returns everything that is wrong.
    fn compare(
        &self,
        stage: &mut Stage,
        seed: u64,
        is_told: bool,
        out: &mut Output<'_>,
    ) -> Result<Vec<String>, Failure> {
        let incidents = stage.incidents().clone();
        let mut told_wrong = stage.audience().wrong(&incidents);
        if !is_told {
            told_wrong.push("messages are left in the outbox".to_owned());
        }
        let told: Vec<_> =
            by_opening(&incidents).into_iter().map(|id| stage.audience().about(id).to_json(id)).collect();
        let truth = stage.truth();
        let book = incidents.read();
        let verdict = Scorecard::of(&truth, book.incidents());
        let mut wrong = verdict.wrong();
        if let Err(imbalance) = stage.balance() {
            wrong.push(imbalance);
        }
        wrong.extend(told_wrong);
        let seconds = self.elapsed.so_far().as_secs_f64();
        if self.json {
            let cases: Vec<_> = verdict.cases.iter().map(verdict::SeededFault::to_json).collect();
            out.json(&json!({"version": 1, "result": {"seed": seed, "locks": stage.locks(), "messages": stage.messages(),
                "records": stage.records(), "seconds": seconds, "good": wrong.is_empty(), "faults": cases, "told": told, "wrong": wrong}}))?;
            return Ok(wrong);
        }
        out.line("")?;
        faults(&verdict, stage.start_ms(), out)?;
        let (records, word) = (stage.records(), if wrong.is_empty() { "good" } else { "bad" });
        let word = out.paint(if wrong.is_empty() { Colour::Green } else { Colour::Red }, word);
        out.line(format!("\n{word}: {records} records in {seconds:.1} s, {} of {} faults found in time, {} incidents about nothing seeded",
            verdict.cases.iter().filter(|case| case.wrong.is_none()).count(), verdict.cases.len(), verdict.others.len()))?;
        Ok(wrong)
    }
}

/// The incidents, the first opened first.
fn by_opening(incidents: &Incidents) -> Vec<Id> {
    let book = incidents.read();
    let mut ids: Vec<_> = book.incidents().map(|incident| (incident.opened, incident.id)).collect();
    ids.sort_unstable();
    ids.into_iter().map(|(_, id)| id).collect()
}

/// The table of faults, and the explanation of each incident.
fn faults(verdict: &Scorecard<'_>, start_ms: i64, out: &mut Output<'_>) -> Result<(), Failure> {
    let days = |ms: i64| format!("day {:.1}", (ms - start_ms) as f64 / DAY_MS as f64);
    let never = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), days);
    let row = |case: &verdict::SeededFault<'_>| {
        let truth = case.truth;
        let opened = case.incidents.first().map(|incident| incident.opened.ms());
        vec![
            format!("{} {}", truth.family, truth.component.as_deref().unwrap_or("")),
            format!("{} {}", truth.scope.kind, truth.scope.value),
            days(truth.onset_ms),
            never(truth.detectable_ms),
            never(opened),
            never(truth.customer_ms),
            case.lead_ms().map_or_else(|| "-".to_owned(), |ms| format!("{:.1} days", ms as f64 / DAY_MS as f64)),
        ]
    };
    let rows: Vec<Vec<String>> = verdict.cases.iter().map(row).collect();
    let head = ["fault", "on", "began", "detectable", "incident", "customer", "lead"];
    table(&head, &rows).iter().try_for_each(|line| out.line(line))?;
    for incident in verdict.cases.iter().flat_map(|case| &case.incidents) {
        out.line(format!("{} {}: {}", incident.scope.kind, escaped(&incident.scope.value), escaped(&incident.why)))?;
    }
    Ok(())
}
