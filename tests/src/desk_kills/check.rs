//! Is each event of the log, and of what a run without kills would have logged, at each target once? Compares the
//! control database of a killed desk with the findings that it was fed with and with what the stand-ins have. Must not
//! know kills. Called by the parent, once the outbox is empty.
use super::child::{CONTROL, Plan};
use super::remotes::{HOOK, INQUIRIES, Remotes};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use zenei_desk::{DeskDriver, IncidentLog, Route};
use zenei_incident::{Event, Incident, Policy, What};
use zenei_store::Control;
use zenei_wire::{EngineTime, Id};

/// What does not fit, one line each.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    /// What should be there and is not.
    pub(super) lost: Vec<String>,
    /// What is there more often than it should be.
    pub(super) doubled: Vec<String>,
    /// Messages that a target without a key has twice, and that are reported.
    pub(super) reported: usize,
    /// Events in the log.
    pub(super) events: usize,
    /// Messages to all targets.
    pub(super) messages: usize,
}

impl Wrong {
    fn count<K: Ord + Debug>(&mut self, place: &str, wanted: &BTreeSet<K>, found: &BTreeMap<K, usize>) {
        for key in wanted.iter().filter(|key| !found.contains_key(key)) {
            self.lost.push(format!("{place}: {key:?}"));
        }
        for (key, times) in found {
            if !wanted.contains(key) {
                self.doubled.push(format!("{place}: {key:?} is not of the log"));
            } else if *times > 1 {
                self.doubled.push(format!("{place}: {key:?} is there {times} times"));
            }
        }
    }

    /// The first lines of each, for a failure.
    pub(super) fn shown(&self) -> String {
        let first = |all: &[String]| all.iter().take(8).cloned().collect::<Vec<_>>().join("\n  ");
        let (lost, doubled) = (self.lost.len(), self.doubled.len());
        format!("{lost} lost:\n  {}\n{doubled} doubled:\n  {}", first(&self.lost), first(&self.doubled))
    }
}

/// Every event of the log with its incident as after it, in the order of the log.
struct Told {
    all: Vec<(Incident, Event)>,
}

impl Told {
    fn read(control: &Control) -> Self {
        control.check_log().expect("the links of the log");
        let log = IncidentLog::read(control, Arc::new(Policy::default())).expect("a log that follows its rules");
        let mut incidents: BTreeMap<Id, Incident> = BTreeMap::new();
        let mut all = Vec::new();
        for event in log.events {
            let incident = match incidents.remove(&event.incident) {
                None => Incident::open(&event).expect("an opening event"),
                Some(mut incident) => {
                    incident.apply(&event).expect("an event that fits");
                    incident
                }
            };
            assert_eq!(incident.seq, event.seq, "the numbers of {} have a gap", event.incident);
            incidents.insert(event.incident, incident.clone());
            all.push((incident, event));
        }
        Self { all }
    }

    fn incidents(&self) -> BTreeSet<Id> {
        self.all.iter().map(|(incident, _)| incident.id).collect()
    }

    /// What this target must have been told.
    fn to<'t>(&'t self, route: &'t Route) -> impl Iterator<Item = &'t (Incident, Event)> {
        self.all.iter().filter(|(incident, event)| route.takes(incident, event))
    }
}

/// What follows from findings, of each incident in its order: not what targets answered.
fn of_findings(events: impl Iterator<Item = Event>) -> BTreeMap<Id, Vec<(EngineTime, String, String)>> {
    let mut all: BTreeMap<Id, Vec<_>> = BTreeMap::new();
    for event in events {
        let is_answer = matches!(
            event.what,
            What::ChannelOpened(_) | What::Invited(_) | What::DeliveryFailed(_) | What::DeliveryDuplicated(_)
        );
        if !is_answer {
            let entry = (event.at, event.kind_word().to_owned(), event.body().expect("an event that can be written"));
            all.entry(event.incident).or_default().push(entry);
        }
    }
    all
}

/// Everything.
pub(super) fn check(folder: &Path, plan: &Plan, remotes: &Remotes) -> Wrong {
    let control = Control::open_read_only(&folder.join(CONTROL)).expect("the control database");
    let told = Told::read(&control);
    let mut wrong = Wrong { events: told.all.len(), ..Wrong::default() };
    log_is_that_of_a_run_without_kills(&control, &told, plan, &mut wrong);
    for (_, event) in &told.all {
        if let What::DeliveryFailed(failed) = &event.what {
            wrong.lost.push(format!("{} gave up on event {}: {}", failed.target, failed.at_event, failed.why));
        }
    }
    let route = |name: &str| plan.targets[name].route(name);
    for name in plan.targets.keys() {
        wrong.messages += told.to(&route(name)).count();
    }
    let incidents = told.incidents();
    let keys: BTreeSet<String> = incidents.iter().map(|id| format!("zenei-{id}")).collect();
    let waroom = remotes
        .waroom
        .with(|waroom| counted(waroom.incidents.iter().map(|one| one.key.clone().expect("a key that zenei gave"))));
    wrong.count("waroom", &keys, &waroom);
    let pagerduty = remotes.pagerduty.with(|pager| counted(pager.alerts.iter().map(|alert| alert.dedup_key.clone())));
    wrong.count("pagerduty", &keys, &pagerduty);
    let of_alert = |labels: &remote_sim::AlertLabels| labels["zenei_incident"].clone();
    let alerts = remotes.alertmanager.with(|kept| counted(kept.alerts.keys().map(of_alert)));
    wrong.count("alertmanager", &keys, &alerts);
    at_slack(remotes, &told, &route("slack"), &mut wrong);
    at_the_hook(remotes, &told, &route("hook"), &mut wrong);
    at_the_webhook(remotes, &told, &route("webhook"), &mut wrong);
    wrong
}

fn counted<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

fn log_is_that_of_a_run_without_kills(control: &Control, told: &Told, plan: &Plan, wrong: &mut Wrong) {
    let mut undisturbed = DeskDriver::open(Control::in_memory().expect("a database in memory"), Vec::new())
        .expect("a database in memory");
    for batch in plan.feed.batches() {
        undisturbed.take(EngineTime(0), &plan.feed.findings(batch)).expect("the feed can be taken");
    }
    let log = IncidentLog::read(undisturbed.control(), Arc::new(Policy::default())).expect("the feed can be taken");
    let wanted = of_findings(log.events.into_iter());
    let found = of_findings(told.all.iter().map(|(_, event)| event.clone()));
    for (incident, events) in &wanted {
        let here = found.get(incident).map_or(0, Vec::len);
        if found.get(incident) != Some(events) {
            wrong.lost.push(format!("log: incident {incident} has {here} events of findings, not {}", events.len()));
        }
    }
    wrong.count("log", &wanted.into_keys().collect(), &found.into_keys().map(|id| (id, 1)).collect());
    let anomalies = |control: &Control| control.anomalies().expect("anomalies").into_iter().map(|anomaly| anomaly.id);
    let wanted: BTreeSet<Id> = anomalies(undisturbed.control()).collect();
    wrong.count("anomalies", &wanted, &counted(anomalies(control)));
    let decisions =
        |control: &Control| control.decisions().expect("decisions").into_iter().map(|one| serde_json::json!(one));
    let wanted = decisions(undisturbed.control()).map(|one| one.to_string()).collect();
    wrong.count("decisions", &wanted, &counted(decisions(control).map(|one| one.to_string())));
}

/// One channel an incident, and each message once, by the key in its metadata.
fn at_slack(remotes: &Remotes, told: &Told, route: &Route, wrong: &mut Wrong) {
    let mut wanted = BTreeSet::new();
    for (incident, event) in told.to(route) {
        let key = |end: &str| format!("zenei-{}/{end}", incident.id);
        if event.seq == 0 {
            wanted.extend([key("root"), key("inquiry")]);
        } else {
            wanted.insert(key(&event.seq.to_string()));
        }
    }
    let (channels, messages) = remotes.slack.with(|slack| {
        let channels = slack.channels.iter().filter(|channel| channel.name != INQUIRIES);
        let digits = channels.map(|channel| channel.name.rsplit('-').next().expect("a name").to_owned());
        let key =
            |message: &remote_sim::Posted| message.metadata["event_payload"]["key"].as_str().expect("a key").to_owned();
        (counted(digits), counted(slack.messages.iter().map(key)))
    });
    let digits = told.incidents().iter().map(|id| id.to_string().chars().take(8).collect()).collect();
    wrong.count("slack's channels", &digits, &channels);
    wrong.count("slack's messages", &wanted, &messages);
}

/// No key deduplicates here: a message may be there twice if that is reported, and may be missing only if two answers
/// were lost, which is reported too.
fn at_the_hook(remotes: &Remotes, told: &Told, route: &Route, wrong: &mut Wrong) {
    let mut wanted: BTreeMap<Id, usize> = BTreeMap::new();
    told.to(route).for_each(|(incident, _)| *wanted.entry(incident.id).or_default() += 1);
    let is_report =
        |event: &Event| matches!(&event.what, What::DeliveryDuplicated(doubled) if doubled.target == route.target);
    let reports = counted(told.all.iter().filter(|(_, event)| is_report(event)).map(|(incident, _)| incident.id));
    // Slack has the incident's key in each message; what is said twice is the same text twice.
    let found = remotes.hook.with(|slack| {
        counted(slack.messages.iter().filter(|message| message.channel == HOOK).map(|message| {
            let shown = message.blocks.to_string();
            let id = shown.split("zenei-").nth(1).map(|rest| rest.chars().take(32).collect::<String>());
            (Id::parse(&id.expect("an id")).expect("an id"), message.text.clone())
        }))
    });
    for (incident, wanted) in &wanted {
        let times: Vec<usize> = found.iter().filter(|((of, _), _)| of == incident).map(|(_, times)| *times).collect();
        let (sum, reports) = (times.iter().sum::<usize>(), reports.get(incident).copied().unwrap_or(0));
        let twice: usize = times.iter().map(|times| times - 1).sum();
        if times.len() + reports < *wanted {
            wrong.lost.push(format!("hook: {incident} has {} of {wanted} messages, {reports} reports", times.len()));
        }
        if twice > reports || times.iter().any(|times| *times > 2) {
            wrong.doubled.push(format!("hook: {incident} has {sum} messages for {wanted}, {reports} reports"));
        }
        wrong.reported += twice;
    }
}

/// Each event by its id, and those of an incident in their order.
fn at_the_webhook(remotes: &Remotes, told: &Told, route: &Route, wrong: &mut Wrong) {
    let wanted = told.to(route).map(|(_, event)| format!("msg_{}", route.message(event, 0).id)).collect();
    let distinct = remotes.webhook.with(|receiver| {
        let calls = receiver.distinct().into_iter();
        calls
            .map(|call| {
                let data = &call.body["data"];
                (call.id.clone(), data["incident"]["id"].to_string(), data["event"]["seq"].as_u64().expect("a number"))
            })
            .collect::<Vec<_>>()
    });
    wrong.count("webhook", &wanted, &counted(distinct.iter().map(|(id, _, _)| id.clone())));
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, incident, seq) in &distinct {
        if let Some(before) = last.insert(incident, *seq).filter(|before| before >= seq) {
            wrong.doubled.push(format!("webhook: event {seq} of {incident} came after event {before}"));
        }
    }
}
