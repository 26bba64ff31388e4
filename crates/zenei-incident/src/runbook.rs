//! Runbooks (手順書): which one applies to an incident, its steps in their order, what a step or a fact at hand does by
//! itself, and everything that is wrong with a file. Must not know incidents, files or who stores events. Called by
//! [`crate::policy`], which reads them, and by the casebook, which attaches and follows them.
//!
//! A runbook completes nothing: that needs a person's `complete`, after the temporary fix and the postmortem. What
//! happens by itself never resolves an incident either, because a resolved one takes no more evidence.
use crate::kinds::{Status, WORDS};
use crate::runbook_order::{self as order, Node};
use crate::services::{Services, known};
use crate::table;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use zenei_detect::toml_place::{Reader, TomlError};
use zenei_detect::{Component, Domain};

/// The runbooks of a policy, by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runbooks(BTreeMap<String, Runbook>);

/// A runbook.
#[derive(Clone, Debug, PartialEq)]
pub struct Runbook {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// Whose it is.
    pub label: String,
    /// Its title in English.
    pub title_en: String,
    /// Its title in Japanese.
    pub title_ja: String,
    /// Who is invited beside the stakeholders: ids of people, or `@` and a role.
    pub invite: Vec<String>,
    /// Its steps, in the order of the file.
    pub steps: Vec<Step>,
    /// What happens by itself.
    pub autos: Vec<Auto>,
    matches: Match,
}

/// The incidents that a runbook is for; what is absent holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Match {
    service: Option<String>,
    domain: Option<Domain>,
    component: Option<Component>,
    /// The rule's id; `*` stands for any text.
    rule: Option<String>,
}

/// A step of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its id within the runbook.
    pub id: String,
    /// What to do, in English.
    pub text_en: String,
    /// What to do, in Japanese.
    pub text_ja: String,
    /// The steps that must be done before it.
    pub after: BTreeSet<String>,
    /// The status that the incident has once it is done; never `close`.
    pub status: Option<Status>,
    /// Whether it is the temporary fix.
    pub is_temp_fix: bool,
}

zenei_wire::words! {
    /// The facts on which something happens by itself: events that an incident has for certain.
    When {
        /// A person has acknowledged the incident.
        Acknowledged = "acknowledged",
        /// It has an owner whom a person assigned.
        OwnerAssigned = "owner_assigned",
        /// A channel was opened for it.
        ChannelOpened = "channel_opened",
        /// The temporary fix is done.
        TempFixDone = "temp_fix_done",
        /// The telemetry looks normal again.
        TelemetryRecovered = "telemetry_recovered",
        /// The postmortem was held.
        PostmortemHeld = "postmortem_held",
    }
}

/// What happens by itself, once an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auto {
    /// Its id within the runbook.
    pub id: String,
    /// On which fact.
    pub when: When,
    /// For how long the telemetry must have looked normal, ms; 0: at once.
    pub for_ms: i64,
    /// The note that is added.
    pub note: Option<String>,
    /// The status that the incident gets, `investigating` or `fixing`, unless it is that far already.
    pub status: Option<Status>,
}

#[derive(Deserialize)]
struct File {
    id: Spanned<String>,
    version: Spanned<u32>,
    label: Spanned<String>,
    title_en: Spanned<String>,
    title_ja: Spanned<String>,
    #[serde(default)]
    invite: Vec<Spanned<String>>,
    r#match: Spanned<MatchFile>,
    #[serde(default)]
    step: Vec<StepFile>,
    #[serde(default)]
    auto: Vec<AutoFile>,
}

#[derive(Deserialize)]
struct MatchFile {
    service: Option<Spanned<String>>,
    domain: Option<Spanned<String>>,
    component: Option<Spanned<String>>,
    rule: Option<String>,
}

#[derive(Deserialize)]
struct StepFile {
    id: Spanned<String>,
    text_en: Spanned<String>,
    text_ja: Spanned<String>,
    after: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    on_done: DoneFile,
}

#[derive(Default, Deserialize)]
struct DoneFile {
    status: Option<Spanned<String>>,
    event: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct AutoFile {
    id: Spanned<String>,
    when: Spanned<String>,
    for_hours: Option<Spanned<f64>>,
    r#do: Spanned<DoFile>,
}

#[derive(Deserialize)]
struct DoFile {
    status: Option<Spanned<String>>,
    note: Option<Spanned<String>>,
    event: Option<Spanned<String>>,
}

const KEYS: &table::Keys = &[
    ("", &["id", "version", "label", "title_en", "title_ja", "invite", "match", "step", "auto"]),
    ("match", &["service", "domain", "component", "rule"]),
    ("step", &["id", "text_en", "text_ja", "after", "on_done"]),
    ("step.on_done", &["status", "event"]),
    ("auto", &["id", "when", "for_hours", "do"]),
    ("auto.do", &["status", "note", "event"]),
];

/// The longest wait of what happens by itself, hours: 30 days. A guess.
const FOR_MAX_HOURS: f64 = 720.0;

impl Runbooks {
    /// The runbooks of these files, each as name for people and text.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        services: &Services,
    ) -> Result<Self, Vec<TomlError>> {
        let (mut books, mut errors) = (BTreeMap::<String, Runbook>::new(), Vec::new());
        for (file, text) in files {
            let mut toml = Reader::new(file, text);
            let Some(parsed) = table::parse::<File>(&mut toml, KEYS) else {
                errors.extend(toml.errors());
                continue;
            };
            let book = checked(&mut toml, &parsed, services);
            let span = parsed.r#match.span();
            if books.contains_key(&book.id) {
                let problem = format!("the runbook {:?} stands in another file too; each id is allowed once", book.id);
                toml.error(&parsed.id.span(), "id", problem);
            } else if let Some(other) = books.values().find(|other| other.matches == book.matches) {
                let problem = format!("the runbook {:?} matches the same incidents; this one never applies", other.id);
                toml.error(&span, "match", problem);
            }
            errors.extend(toml.errors());
            books.insert(book.id.clone(), book);
        }
        if errors.is_empty() { Ok(Self(books)) } else { Err(errors) }
    }

    /// The runbook for such an incident: of those that match the one with the most conditions, and of equal ones the
    /// first by id.
    pub fn of(&self, service: Option<&str>, domain: Domain, component: Component, rule: &str) -> Option<&Runbook> {
        let fits = |book: &&Runbook| book.matches.fits(service, domain, component, rule);
        self.0.values().rev().filter(fits).max_by_key(|book| book.matches.conditions())
    }

    /// The runbook of this id.
    pub fn get(&self, id: &str) -> Option<&Runbook> {
        self.0.get(id)
    }

    /// Every runbook, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Runbook> {
        self.0.values()
    }
}

impl Runbook {
    /// The step of this id.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The steps that can be done now, after these.
    pub fn next<'a>(&'a self, done: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(|step| !done.contains(&step.id) && step.after.is_subset(done))
    }

    /// The incidents that it is for, for people.
    pub fn matches(&self) -> String {
        let Match { service, domain, component, rule } = &self.matches;
        let word = |name: &str, value: Option<&str>| value.map(|value| format!("{name} {value}"));
        let words = [
            word("service", service.as_deref()),
            word("domain", domain.map(Domain::as_str)),
            word("component", component.map(Component::as_str)),
            word("rule", rule.as_deref()),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Match {
    fn fits(&self, service: Option<&str>, domain: Domain, component: Component, rule: &str) -> bool {
        self.service.as_deref().is_none_or(|wanted| service == Some(wanted))
            && self.domain.is_none_or(|wanted| wanted == domain)
            && self.component.is_none_or(|wanted| wanted == component)
            && self.rule.as_deref().is_none_or(|wanted| fits_glob(wanted, rule))
    }

    fn conditions(&self) -> usize {
        let Self { service, domain, component, rule } = self;
        [service.is_some(), domain.is_some(), component.is_some(), rule.is_some()].iter().filter(|is| **is).count()
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits_glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

fn checked(toml: &mut Reader<'_>, file: &File, services: &Services) -> Runbook {
    table::id(toml, "id", &file.id.span(), file.id.get_ref(), &mut BTreeSet::new());
    let words = services.words();
    for word in &file.invite {
        known(toml, "invite", word, words.iter());
    }
    let mut taken = BTreeSet::new();
    let steps = steps(toml, &file.step, &mut taken);
    Runbook {
        id: file.id.get_ref().clone(),
        version: table::version(toml, &file.version),
        label: toml.words("label", &file.label),
        title_en: toml.words("title_en", &file.title_en),
        title_ja: toml.words("title_ja", &file.title_ja),
        invite: file.invite.iter().map(|word| word.get_ref().clone()).collect(),
        steps,
        autos: autos(toml, &file.auto, &mut taken),
        matches: matches(toml, &file.r#match, services),
    }
}

fn matches(toml: &mut Reader<'_>, file: &Spanned<MatchFile>, services: &Services) -> Match {
    let MatchFile { service, domain, component, rule } = file.get_ref();
    if let Some(service) = service {
        let ids: Vec<String> = services.ids().map(str::to_owned).collect();
        known(toml, "match.service", service, ids.iter());
    }
    let domain = domain.as_ref();
    let component = component.as_ref();
    let read = Match {
        service: service.as_ref().map(|service| service.get_ref().clone()),
        domain: domain.and_then(|found| toml.word("match.domain", found, Domain::parse, Domain::WORDS.iter().copied())),
        component: component
            .and_then(|found| toml.word("match.component", found, Component::parse, Component::WORDS.iter().copied())),
        rule: rule.clone(),
    };
    if service.is_none() && domain.is_none() && component.is_none() && rule.is_none() {
        let problem = "is empty; a runbook matches at least one of service, domain, component and rule";
        toml.error(&file.span(), "match", problem.to_owned());
    }
    read
}

fn steps<'a>(toml: &mut Reader<'_>, found: &'a [StepFile], taken: &mut BTreeSet<&'a str>) -> Vec<Step> {
    let (mut steps, mut nodes) = (Vec::new(), Vec::<Node>::new());
    for step in found {
        let (id, span) = (step.id.get_ref(), step.id.span());
        table::id(toml, "step.id", &span, id, taken);
        let before = || nodes.last().map(|node| (node.id.clone(), span.clone())).into_iter().collect();
        let named =
            |after: &Vec<Spanned<String>>| after.iter().map(|one| (one.get_ref().clone(), one.span())).collect();
        let after: Vec<_> = step.after.as_ref().map_or_else(before, named);
        let (status, event) = (step.on_done.status.as_ref(), step.on_done.event.as_ref());
        let read = status.and_then(|found| status_of(toml, "step.on_done.status", found, &STATUS_OF_STEP));
        steps.push(Step {
            id: id.clone(),
            text_en: toml.words("step.text_en", &step.text_en),
            text_ja: toml.words("step.text_ja", &step.text_ja),
            after: after.iter().map(|(id, _)| id.clone()).collect(),
            status: read,
            is_temp_fix: event.is_some_and(|found| is_temp_fix(toml, found)),
        });
        let status = read.zip(status.map(Spanned::span));
        nodes.push(Node { id: id.clone(), span, after, status });
    }
    order::check(toml, &nodes);
    steps
}

fn autos<'a>(toml: &mut Reader<'_>, found: &'a [AutoFile], taken: &mut BTreeSet<&'a str>) -> Vec<Auto> {
    let mut autos = Vec::new();
    for auto in found {
        table::id(toml, "auto.id", &auto.id.span(), auto.id.get_ref(), taken);
        let when = toml.word("auto.when", &auto.when, When::parse, When::WORDS.iter().copied());
        let hours = auto.for_hours.as_ref();
        if let Some(hours) = hours.filter(|_| when.is_some_and(|when| when != When::TelemetryRecovered)) {
            let problem = "only `telemetry_recovered` lasts; remove it, or wait for that".to_owned();
            toml.error(&hours.span(), "auto.for_hours", problem);
        }
        let DoFile { status, note, event } = auto.r#do.get_ref();
        if status.is_none() && note.is_none() && event.is_none() {
            toml.error(&auto.r#do.span(), "auto.do", "is empty; allowed are status and note".to_owned());
        }
        if let Some(event) = event {
            toml.error(&event.span(), "auto.do.event", format!("found {:?}; {BYPASS}", event.get_ref()));
        }
        let hours = hours.map_or(0.0, |hours| toml.number("auto.for_hours", hours, (0.0, FOR_MAX_HOURS)));
        let status = status.as_ref();
        autos.push(Auto {
            id: auto.id.get_ref().clone(),
            when: when.unwrap_or(When::Acknowledged),
            for_ms: ms_of(hours),
            note: note.as_ref().map(|note| toml.words("auto.do.note", note)),
            status: status.and_then(|found| status_of(toml, "auto.do.status", found, &STATUS_OF_AUTO)),
        });
    }
    autos
}

#[expect(clippy::cast_possible_truncation, reason = "at most 30 days, checked just before")]
fn ms_of(hours: f64) -> i64 {
    (hours * 3_600_000.0) as i64
}

/// The statuses that a step of a person may set.
const STATUS_OF_STEP: [Status; 3] = [Status::Investigating, Status::Fixing, Status::Resolved];
/// The statuses that may be set without a person.
const STATUS_OF_AUTO: [Status; 2] = [Status::Investigating, Status::Fixing];
const BYPASS: &str = "nothing completes an incident, or says what people did, but a person";

fn status_of(toml: &mut Reader<'_>, key: &str, found: &Spanned<String>, allowed: &[Status]) -> Option<Status> {
    let status = Status::parse(found.get_ref());
    if let Some(status) = status.filter(|status| allowed.contains(status)) {
        return Some(status);
    }
    let why = match status {
        Some(Status::Close) => format!("{BYPASS}; "),
        Some(Status::Detected) => "no step leads back to the status of the opening; ".to_owned(),
        Some(Status::Resolved) => "a resolved incident takes no more evidence: a person says so; ".to_owned(),
        Some(Status::Investigating | Status::Fixing) | None => String::new(),
    };
    let allowed = allowed.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ");
    toml.error(&found.span(), key, format!("found {:?}; {why}allowed are {allowed}", found.get_ref()));
    None
}

fn is_temp_fix(toml: &mut Reader<'_>, found: &Spanned<String>) -> bool {
    let word = found.get_ref();
    if word == "temp_fix_done" {
        return true;
    }
    let why =
        if WORDS.contains(&word.as_str()) { format!("{BYPASS} by the step of that name; ") } else { String::new() };
    toml.error(&found.span(), "step.on_done.event", format!("found {word:?}; {why}allowed is temp_fix_done"));
    false
}

#[cfg(test)]
#[path = "runbook_tests.rs"]
mod tests;
