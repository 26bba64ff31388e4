//! Reads the files that a configuration or a command line names: rules, their cards and test cases, the registry with
//! its keys, and a replay's inquiries. Every command reads them here, so that a check and a start agree on what is
//! valid. Called by `config check`, `run`, `replay`, `doctor`, `forget`, `rules`, `scan` and `record list`.
use crate::config::{Desk, DeskFiles, Loaded, Problems};
use crate::daemon::policy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use zenei_desk::notify::TargetConfig;
use zenei_detect::rules::folder::piece;
use zenei_detect::rules::{card, shipped};
use zenei_detect::{Rule, Rules, toml_place};
use zenei_incident::Policy;
use zenei_incident::places::{Place, Places};
use zenei_store::{Registration, RuleFolder, RuleFolderError, RuleText};
use zenei_wire::bthome::Keyring;
use zenei_wire::{Name, SiteId};

/// The contents of the files.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    /// The rules of the folder, or those in the program.
    pub(crate) rules: Rules,
    /// The registry; empty without a file.
    pub(crate) registry: Registry,
    /// The desk's policy: that of the files, or the one in the program.
    pub(crate) policy: Arc<Policy>,
}

/// The contents of the asset registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// Its lines.
    pub(crate) lines: Vec<Registration>,
    /// The owners of the addresses in it, and their keys.
    pub(crate) keys: Arc<Keyring>,
}

impl Registry {
    /// Where each lock is, for silences and for what a gateway explains.
    pub(crate) fn places(&self) -> Places {
        let said = |text: &String| (!text.is_empty()).then(|| text.clone());
        let place = |line: &Registration| Place {
            gateway: said(&line.gateway),
            site: said(&line.site),
            service: said(&line.service),
        };
        self.lines.iter().map(|line| (line.device_id.clone(), place(line))).collect()
    }
}

impl Contents {
    /// For people.
    pub(crate) fn summary(&self) -> String {
        let (rules, locks) = (self.rules.iter().count(), self.registry.lines.len());
        format!("{rules} rules, {locks} registered locks")
    }
}

/// Reads them.
///
/// # Errors
/// Each file that is bad, at the key that names it.
pub(crate) fn read(loaded: &Loaded) -> Result<Contents, Problems> {
    let config = &loaded.config;
    let rules = live_rules(config.detect.rules.as_deref());
    let file = config.registry.as_ref().map(|registry| &*registry.file);
    let registry = registry(file, Some(&config.gateway.site));
    match (rules, registry, policy::read(&config.desk)) {
        (Ok(rules), Ok(registry), Ok(policy)) => {
            let strange = strange_services(&config.notify, &policy, &registry);
            match strange.is_empty() {
                true => Ok(Contents { rules, registry, policy: Arc::new(policy) }),
                false => Err(loaded.problems(strange)),
            }
        }
        (rules, registry, policy) => {
            let mut found: Vec<_> = rules.err().map(|what| ("detect.rules", what)).into_iter().collect();
            found.extend(registry.err().map(|what| ("registry.file", what)));
            found.extend(policy.err().into_iter().flatten().map(|what| (naming(&config.desk, &what), what)));
            let list = found.into_iter().map(|(key, what)| (key, format!("`{key}`: {what}")));
            Err(loaded.problems(list.collect()))
        }
    }
}

/// The services that targets choose but no lock can be of: of such a service nobody would ever be told.
fn strange_services(
    targets: &BTreeMap<String, TargetConfig>,
    policy: &Policy,
    registry: &Registry,
) -> Vec<(String, String)> {
    let registered = registry.lines.iter().map(|line| line.service.as_str()).filter(|service| !service.is_empty());
    let known: BTreeSet<&str> = policy.services.ids().chain(registered).collect();
    let asked = targets.iter().flat_map(|(name, target)| target.common().services.iter().map(move |one| (name, one)));
    let strange = asked.filter(|(_, service)| !known.contains(service.as_str()));
    let allowed = known.iter().copied().collect::<Vec<_>>().join(", ");
    strange
        .map(|(name, service)| {
            let key = format!("notify.{name}.services");
            let text = format!("`{key}`: {service:?} is no service; allowed are {allowed}");
            (key, text)
        })
        .collect()
}

/// The key that names the file of the policy with which such a text begins.
fn naming(desk: &Desk, text: &str) -> &'static str {
    let files = desk.files.iter().flat_map(|files| {
        let DeskFiles { urgency, opening, services, runbooks } = files;
        [
            ("desk.files.urgency", urgency),
            ("desk.files.opening", opening),
            ("desk.files.services", services),
            ("desk.files.runbooks", runbooks),
        ]
    });
    let mut named = files.filter_map(|(key, file)| Some((key, file.as_ref()?.display().to_string())));
    named.find(|(_, file)| text.starts_with(file.as_str())).map_or("desk.files", |(key, _)| key)
}

/// The rules of a folder, or those in the program.
///
/// # Errors
/// Everything that is wrong, one line each, with file, line and key.
pub(crate) fn rules(folder: Option<&Path>) -> Result<Rules, String> {
    match folder {
        Some(folder) => of(folder, RuleFolder::rules),
        None => Rules::embedded().map_err(|error| error.to_string()),
    }
}

/// The rules of a folder or of the program, to be put into effect: each live rule of a folder needs a promotion card in
/// that folder. A rule that equals one of the program has that one's card.
///
/// # Errors
/// Everything that is wrong, one line each, with file, line and key.
pub(crate) fn live_rules(folder: Option<&Path>) -> Result<Rules, String> {
    let rules = rules(folder)?;
    let Some(folder) = folder else { return Ok(rules) };
    let embedded = Rules::embedded().map_err(|error| error.to_string())?;
    let is_embedded = |rule: &Rule| embedded.get(&rule.id).is_some_and(|known| known.digest() == rule.digest());
    let cards = cards(Some(folder))?;
    let texts = cards.iter().map(|card| (card.file.as_str(), card.text.as_str()));
    let errors = card::judge(&rules, texts, is_embedded);
    if errors.is_empty() {
        return Ok(rules);
    }
    Err(toml_place::shown(&errors))
}

/// The promotion cards of a folder of rules; empty without a folder, although the program contains cards.
///
/// # Errors
/// Why they can't be read.
pub(crate) fn cards(folder: Option<&Path>) -> Result<Vec<RuleText>, String> {
    folder.map_or(Ok(Vec::new()), |folder| of(folder, RuleFolder::cards))
}

/// The test cases of a folder of rules, or those in the program, by path.
///
/// # Errors
/// Why they can't be read.
pub(crate) fn cases(folder: Option<&Path>) -> Result<Vec<RuleText>, String> {
    let Some(folder) = folder else { return Ok(shipped::cases().filter_map(shipped_case).collect()) };
    of(folder, RuleFolder::cases)
}

fn shipped_case((path, text): (&str, &str)) -> Option<RuleText> {
    let piece = piece(path)?;
    let (rule, name) = (piece.rule.to_owned(), piece.name.to_owned());
    Some(RuleText { rule, name, file: path.to_owned(), text: text.to_owned() })
}

/// Reads a part of a folder of rules.
fn of<T>(folder: &Path, read: fn(&RuleFolder) -> Result<T, RuleFolderError>) -> Result<T, String> {
    RuleFolder::open(folder).and_then(|folder| read(&folder)).map_err(|error| zenei_store::with_causes(&error))
}

/// The registry in a file, with the keys that it names; empty without a file. `site` is the site of a lock that has
/// none in the file.
///
/// # Errors
/// What is wrong, with file, line and column.
pub(crate) fn registry(file: Option<&Path>, site: Option<&str>) -> Result<Registry, String> {
    let site = site.map_or(Ok(Name::UNKNOWN.into()), SiteId::new).map_err(|error| format!("the site {error}"))?;
    let Some(file) = file else { return Ok(Registry { lines: Vec::new(), keys: Arc::new(Keyring::new(site)) }) };
    let lines = registrations(file)?;
    let keys = zenei_store::keyring(&lines, file.parent().unwrap_or(Path::new("")), site);
    let keys = keys.map_err(|error| format!("{}: {}", file.display(), zenei_store::with_causes(&error)))?;
    Ok(Registry { lines, keys: Arc::new(keys) })
}

fn registrations(file: &Path) -> Result<Vec<Registration>, String> {
    let unread = |error: std::io::Error| format!("{} can't be read: {error}", file.display());
    let bytes = std::io::BufReader::new(std::fs::File::open(file).map_err(unread)?);
    zenei_store::registry::read(bytes)
        .map_err(|error| format!("{}: {}", file.display(), zenei_store::with_causes(&error)))
}
