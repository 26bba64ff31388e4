//! Which service a lock belongs to, and who is invited to which incidents (ステークホルダー): by service, domain and
//! urgency. Must not know incidents, a chat or the registry's form. Called by [`crate::policy`] and the readers of
//! runbooks, which name people.
//!
//! The registry's service of a lock counts first, then the list of locks, then the list of sites, then the default.
use crate::places::{Place, Places};
use crate::table;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use zenei_detect::toml_place::{Reader, TomlError};
use zenei_detect::{Anomaly, Domain, ScopeKind, Urgency};

/// The services, the people and who is invited to what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// The table's version.
    pub version: u32,
    /// Whose it is.
    pub label: String,
    default: String,
    services: BTreeMap<String, Service>,
    /// The service of each lock and of each site that the table lists.
    of_lock: BTreeMap<String, String>,
    of_site: BTreeMap<String, String>,
    people: BTreeMap<String, Person>,
    stakeholders: Vec<Stakeholder>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in English.
    pub name_en: String,
    /// Its name in Japanese.
    pub name_ja: String,
}

/// A person whom the policy knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The id in the policy.
    pub id: String,
    /// The name, for people.
    pub name: String,
    /// The user id at Slack, `U…`; a person without one is invited nowhere, but may be named by a runbook.
    pub slack: Option<String>,
    /// The roles (development, quality, support, …).
    pub roles: BTreeSet<String>,
}

/// A line of the table: these people are invited to these incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stakeholder {
    people: BTreeSet<String>,
    /// Empty: all.
    services: BTreeSet<String>,
    /// Empty: all.
    domains: BTreeSet<Domain>,
    urgency_min: Urgency,
}

#[derive(Deserialize)]
struct File {
    version: Spanned<u32>,
    label: Spanned<String>,
    default: Spanned<String>,
    service: BTreeMap<Spanned<String>, ServiceFile>,
    #[serde(default)]
    person: Vec<PersonFile>,
    #[serde(default)]
    stakeholder: Vec<StakeholderFile>,
}

#[derive(Deserialize)]
struct ServiceFile {
    name_en: Spanned<String>,
    name_ja: Spanned<String>,
    #[serde(default)]
    sites: Vec<Spanned<String>>,
    #[serde(default)]
    locks: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct PersonFile {
    id: Spanned<String>,
    name: Spanned<String>,
    slack: Option<Spanned<String>>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
struct StakeholderFile {
    people: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    services: Vec<Spanned<String>>,
    #[serde(default)]
    domains: Vec<Spanned<String>>,
    urgency_min: Option<Spanned<String>>,
}

const KEYS: &table::Keys = &[
    ("", &["version", "label", "default", "service", "person", "stakeholder"]),
    ("service", &["*"]),
    ("service.*", &["name_en", "name_ja", "sites", "locks"]),
    ("person", &["id", "name", "slack", "roles"]),
    ("stakeholder", &["people", "services", "domains", "urgency_min"]),
];

/// What a word that names people by their role begins with.
const ROLE: char = '@';

impl Services {
    /// The table of a file; `file` is its name for people.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<TomlError>> {
        let mut toml = Reader::new(file, text);
        let table = table::parse::<File>(&mut toml, KEYS).map(|file| checked(&mut toml, &file));
        toml.finish(table)
    }

    /// The service of one lock.
    pub fn of(&self, lock: &str, place: Option<&Place>) -> String {
        let listed = || self.of_lock.get(lock).cloned();
        let at_site = || place.and_then(|place| place.site.as_ref()).and_then(|site| self.of_site.get(site)).cloned();
        let registered = place.and_then(|place| place.service.clone());
        registered.or_else(listed).or_else(at_site).unwrap_or_else(|| self.default.clone())
    }

    /// The service of a finding: of most of its locks, and of equally many the first by name. `None` if it is about no
    /// lock: about zenei itself.
    pub fn of_finding(&self, anomaly: &Anomaly, places: &Places) -> Option<String> {
        let scope = &anomaly.scope;
        let locks: BTreeSet<&str> = anomaly.evidence.iter().map(|record| record.device_id.as_str()).collect();
        if scope.kind == ScopeKind::Service {
            let is_registered = locks.iter().any(|lock| places.of(lock).is_some());
            return (self.services.contains_key(&scope.value) || is_registered).then(|| scope.value.clone());
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for lock in locks {
            *counts.entry(self.of(lock, places.of(lock))).or_default() += 1;
        }
        let most = counts.values().max().copied();
        counts.into_iter().find(|(_, count)| Some(*count) == most).map(|(service, _)| service)
    }

    /// The service of this id, if the table has it.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.services.get(id)
    }

    /// The ids of all services.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// The person of this id.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.get(id)
    }

    /// The people that a word names: a person's id, or everyone of a role behind `@`; empty if it names nobody.
    pub fn named(&self, word: &str) -> Vec<&Person> {
        match word.strip_prefix(ROLE) {
            Some(role) => self.people.values().filter(|person| person.roles.contains(role)).collect(),
            None => self.people.get(word).into_iter().collect(),
        }
    }

    /// The words that [`Services::named`] knows.
    pub fn words(&self) -> BTreeSet<String> {
        let roles = self.people.values().flat_map(|person| &person.roles).map(|role| format!("{ROLE}{role}"));
        self.people.keys().cloned().chain(roles).collect()
    }

    /// The people who are invited to incidents of this service (`None`: of zenei itself), domain and urgency, by id.
    pub fn invitees(&self, service: Option<&str>, domain: Domain, urgency: Urgency) -> Vec<&Person> {
        let is_of = |services: &BTreeSet<String>| {
            services.is_empty() || service.is_some_and(|service| services.contains(service))
        };
        let fits = |line: &&Stakeholder| {
            is_of(&line.services)
                && (line.domains.is_empty() || line.domains.contains(&domain))
                && urgency >= line.urgency_min
        };
        let ids: BTreeSet<&String> = self.stakeholders.iter().filter(fits).flat_map(|line| &line.people).collect();
        ids.into_iter().filter_map(|id| self.people.get(id)).collect()
    }
}

fn checked(toml: &mut Reader<'_>, file: &File) -> Services {
    let mut services = Services {
        version: table::version(toml, &file.version),
        label: toml.words("label", &file.label),
        default: file.default.get_ref().clone(),
        ..Services::default()
    };
    let mut taken = BTreeSet::new();
    for (id, service) in &file.service {
        let (name, key) = (id.get_ref(), format!("service.{}", id.get_ref()));
        table::id(toml, &key, &id.span(), name, &mut taken);
        list(toml, &format!("{key}.sites"), &service.sites, name, &mut services.of_site);
        list(toml, &format!("{key}.locks"), &service.locks, name, &mut services.of_lock);
        let (name_en, name_ja) = (&service.name_en, &service.name_ja);
        let read = Service {
            name_en: toml.words(&format!("{key}.name_en"), name_en),
            name_ja: toml.words(&format!("{key}.name_ja"), name_ja),
        };
        services.services.insert(name.clone(), read);
    }
    known(toml, "default", &file.default, services.services.keys());
    services.people = people(toml, &file.person);
    services.stakeholders = file.stakeholder.iter().map(|line| stakeholder(toml, line, &services)).collect();
    services
}

/// Puts each lock or site of a list under its service; one that is listed a second time is an error.
fn list(
    toml: &mut Reader<'_>,
    key: &str,
    found: &[Spanned<String>],
    service: &str,
    into: &mut BTreeMap<String, String>,
) {
    for word in found {
        let name = word.get_ref();
        if let Err(error) = zenei_wire::Name::new(name) {
            toml.error(&word.span(), key, format!("found {name:?}; it {error}"));
        } else if let Some(other) = into.insert(name.clone(), service.to_owned()) {
            toml.error(&word.span(), key, format!("{name} is of the service {other} already; each has one service"));
        }
    }
}

fn people(toml: &mut Reader<'_>, found: &[PersonFile]) -> BTreeMap<String, Person> {
    let (mut people, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for person in found {
        table::id(toml, "person.id", &person.id.span(), person.id.get_ref(), &mut taken);
        for role in &person.roles {
            table::id(toml, "person.roles", &role.span(), role.get_ref(), &mut BTreeSet::new());
        }
        if let Some(slack) = person.slack.as_ref().filter(|slack| !is_slack_user(slack.get_ref())) {
            let problem = format!(
                "found {:?}; allowed is a member ID: U or W, then capital letters and digits (Slack shows it in the \
                 person's profile under `Copy member ID`)",
                slack.get_ref()
            );
            toml.error(&slack.span(), "person.slack", problem);
        }
        let id = person.id.get_ref().clone();
        let read = Person {
            id: id.clone(),
            name: toml.words("person.name", &person.name),
            slack: person.slack.as_ref().map(|slack| slack.get_ref().clone()),
            roles: person.roles.iter().map(|role| role.get_ref().clone()).collect(),
        };
        people.insert(id, read);
    }
    people
}

fn stakeholder(toml: &mut Reader<'_>, line: &StakeholderFile, services: &Services) -> Stakeholder {
    let (words, mut people) = (services.words(), BTreeSet::new());
    if line.people.get_ref().is_empty() {
        toml.error(&line.people.span(), "stakeholder.people", "is empty; name who is invited".to_owned());
    }
    for word in line.people.get_ref() {
        known(toml, "stakeholder.people", word, words.iter());
        people.extend(services.named(word.get_ref()).into_iter().map(|person| person.id.clone()));
    }
    for service in &line.services {
        known(toml, "stakeholder.services", service, services.services.keys());
    }
    let urgency = line.urgency_min.as_ref();
    let urgency = urgency.and_then(|found| toml.word("stakeholder.urgency_min", found, table::level, table::levels()));
    Stakeholder {
        people,
        services: line.services.iter().map(|service| service.get_ref().clone()).collect(),
        domains: table::each(toml, "stakeholder.domains", &line.domains, Domain::parse, Domain::WORDS)
            .into_iter()
            .collect(),
        urgency_min: urgency.unwrap_or(Urgency::Low),
    }
}

/// An error if this word is none of those.
pub(crate) fn known<'a>(
    toml: &mut Reader<'_>,
    key: &str,
    word: &Spanned<String>,
    allowed: impl Iterator<Item = &'a String> + Clone,
) {
    let found = word.get_ref();
    if !allowed.clone().any(|one| one == found) {
        let allowed = allowed.map(String::as_str).collect::<Vec<_>>().join(", ");
        let allowed = if allowed.is_empty() { "there are none".to_owned() } else { format!("allowed are {allowed}") };
        toml.error(&word.span(), key, format!("found {found:?}; {allowed}"));
    }
}

fn is_slack_user(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    text.len() > 1 && text.starts_with(['U', 'W']) && text.bytes().all(is_allowed)
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
