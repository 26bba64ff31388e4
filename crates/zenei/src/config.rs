//! The configuration: which keys there are, what they mean, and how a file becomes checked values. The types below are
//! the one list of keys: the check of a file, `config show` and the JSON Schema are made from them. Loading must not
//! open a socket or read a secret; `secret` reads one on request. Called by every command that takes `--config`.
mod available;
mod format;
mod problem;
mod show;
mod store;
mod tree;
mod walk;

pub(crate) use available::{runnable, usable};
pub(crate) use format::{filter as topic_filter, host_and_port};
pub(crate) use problem::{Place, Problem, Problems};
pub(crate) use show::{to_json, to_toml};
pub(crate) use store::{ClickHouse, Store, StoreKind};
pub(crate) use walk::Variables;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use zenei_desk::http::gate::PublicUrl;
use zenei_desk::notify::TargetConfig;
use zenei_incident::message::Lang;

/// A minimal configuration with comments, which itself passes the check.
pub(crate) const EXAMPLE: &str = include_str!("config/example.toml");

/// The largest configuration, in bytes; a guess, a thousand times the usual one.
const MAX_BYTES: u64 = 1 << 20;

/// The configuration of zenei. An absent section is off, but for `[store]` and `[detect]`, which have defaults.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder of the spool, the control database and the Parquet store; made where it is missing. Paths are relative to
    /// the configuration file.
    #[schemars(extend("format" = "path", "examples" = ["/var/lib/zenei"]))]
    pub(crate) state_dir: PathBuf,
    /// What this gateway is called.
    #[serde(default)]
    pub(crate) gateway: Gateway,
    /// Records from an MQTT broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mqtt: Option<Mqtt>,
    /// Records from hubs that publish to zenei itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ingress: Option<Ingress>,
    /// Bluetooth LE advertisements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ble: Option<Ble>,
    /// The asset registry: which lock is where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Registry>,
    /// Where records are kept.
    #[serde(default)]
    pub(crate) store: Store,
    /// How anomalies are found.
    #[serde(default)]
    pub(crate) detect: Detect,
    /// Incidents.
    #[serde(default)]
    pub(crate) desk: Desk,
    /// The HTTP server: metrics, health, the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<Http>,
    /// Who is told of incidents; one table per target, by a name of your choice.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) notify: BTreeMap<String, TargetConfig>,
}

/// What this gateway is called.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Gateway {
    /// Its id: 1 to 64 of A-Z a-z 0-9 . _ -
    #[schemars(extend("format" = "name", "examples" = ["gw-tokyo-01"]))]
    pub(crate) id: String,
    /// The site where it stands: 1 to 64 of A-Z a-z 0-9 . _ -
    #[schemars(extend("format" = "name", "examples" = ["tokyo-01"]))]
    pub(crate) site: String,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { id: "zenei".to_owned(), site: "default".to_owned() }
    }
}

/// Records from an MQTT broker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mqtt {
    /// The broker: mqtt://HOST or, over TLS, mqtts://HOST, with :PORT where it is not 1883 or 8883.
    #[schemars(extend("format" = "mqtt-url", "examples" = ["mqtt://127.0.0.1:1883"]))]
    pub(crate) url: String,
    /// The client id, which must stay the same over restarts: the broker keeps messages for it. Absent: zenei- and the
    /// gateway's id.
    #[schemars(extend("format" = "name", "examples" = ["zenei-gw-tokyo-01"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    /// Topic filters to subscribe to.
    #[serde(default = "all_topics")]
    #[schemars(extend("items" = {"type": "string", "format": "mqtt-filter", "examples": ["bitlock/v1/#"]}, "examples" = [["bitlock/v1/#"]]))]
    pub(crate) topics: Vec<String>,
    /// User name at the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// File that holds the password.
    #[schemars(extend("format" = "file", "examples" = ["mqtt.pw"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<PathBuf>,
    /// PEM file of the authority that signed the broker's certificate.
    #[schemars(extend("format" = "file", "examples" = ["ca.pem"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file of the client certificate.
    #[schemars(extend("format" = "file", "examples" = ["client.pem"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key.
    #[schemars(extend("format" = "file", "examples" = ["client.key"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
}

fn all_topics() -> Vec<String> {
    vec!["bitlock/v1/#".to_owned()]
}

/// Records from hubs that publish to zenei itself, over MQTT 3.1.1 or 5, at QoS 0 or 1.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ingress {
    /// IP address and port to listen on; what comes from other machines opens no incident alone unless it comes over
    /// TLS with a client certificate.
    #[schemars(with = "String", extend("format" = "socket-address", "examples" = ["127.0.0.1:1884"]))]
    pub(crate) listen: SocketAddr,
    /// PEM file of the server certificate.
    #[schemars(extend("format" = "file", "examples" = ["server.pem"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file of the server certificate's key.
    #[schemars(extend("format" = "file", "examples" = ["server.key"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// PEM file of the authority that signs client certificates.
    #[schemars(extend("format" = "file", "examples" = ["clients.pem"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_ca_file: Option<PathBuf>,
}

/// Bluetooth LE advertisements.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ble {
    /// The adapter.
    #[serde(default = "first_adapter")]
    #[schemars(extend("examples" = ["hci0"]))]
    pub(crate) adapter: String,
    /// Whether the adapter may be switched off and on when locks that were heard fall silent. It disturbs whatever else
    /// uses it.
    #[serde(default)]
    pub(crate) power_cycle: bool,
    /// Whether zenei may end, for its service manager to start it anew, when nothing else makes the locks heard again.
    #[serde(default = "yes")]
    pub(crate) exit: bool,
}

const fn yes() -> bool {
    true
}

fn first_adapter() -> String {
    "hci0".to_owned()
}

/// The asset registry.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    /// CSV file with a line per lock.
    #[schemars(extend("format" = "file", "examples" = ["locks.csv"]))]
    pub(crate) file: PathBuf,
}

/// How anomalies are found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Detect {
    /// Folder of rule files; absent: the rules in the program.
    #[schemars(extend("format" = "folder", "examples" = ["rules/"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rules: Option<PathBuf>,
    /// Which records are looked at.
    pub(crate) source: DetectSource,
    /// How many days of the past a desk reads from ClickHouse where it starts without state, or with other rules.
    #[schemars(range(min = 0, max = 3650))]
    pub(crate) history_days: u16,
}

impl Default for Detect {
    /// 60 days are a guess: what is normal for a lock is known within a month.
    fn default() -> Self {
        Self { rules: None, source: DetectSource::default(), history_days: 60 }
    }
}

/// Which records are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DetectSource {
    /// What this gateway hears.
    #[default]
    Spool,
    /// What many gateways shipped to ClickHouse.
    ClickHouse,
}

/// Incidents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Desk {
    /// Whether anomalies are looked for and open incidents here; false for a gateway that only keeps records.
    pub(crate) enabled: bool,
    /// The language in which people are told of incidents, ja or en.
    #[schemars(with = "String", extend("enum" = ["ja", "en"]))]
    pub(crate) language: Lang,
    /// The zone in which pages show times; absent: the machine's.
    #[schemars(extend("format" = "time-zone", "examples" = ["Asia/Tokyo", "UTC"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_zone: Option<String>,
    /// The files of the desk's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<DeskFiles>,
}

impl Desk {
    /// The zone in which pages show times: the named one, else the machine's, else UTC.
    pub(crate) fn zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
        named.or_else(|| TimeZone::try_system().ok()).unwrap_or(TimeZone::UTC)
    }
}

impl Default for Desk {
    /// Whom the first users tell reads Japanese.
    fn default() -> Self {
        Self { enabled: false, language: Lang::Ja, time_zone: None, files: None }
    }
}

/// The files of the desk's policy; for an absent one the default in the program counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeskFiles {
    /// How soon a person must act (TOML).
    #[schemars(extend("format" = "file", "examples" = ["urgency.toml"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) urgency: Option<PathBuf>,
    /// When an incident is opened (TOML).
    #[schemars(extend("format" = "file", "examples" = ["opening.toml"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) opening: Option<PathBuf>,
    /// Which service a lock belongs to, and who is invited to which incidents (TOML).
    #[schemars(extend("format" = "file", "examples" = ["services.toml"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) services: Option<PathBuf>,
    /// Folder of runbooks, one TOML file each.
    #[schemars(extend("format" = "folder", "examples" = ["runbooks/"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runbooks: Option<PathBuf>,
}

/// The HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// IP address and port to listen on.
    #[schemars(with = "String", extend("format" = "socket-address", "examples" = ["127.0.0.1:8080"]))]
    pub(crate) listen: SocketAddr,
    /// File of the tokens, which `zenei token` keeps. Without one everybody on this machine reads, and nobody changes
    /// anything.
    #[schemars(extend("format" = "path", "examples" = ["tokens"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// The address by which people reach the server through a proxy; then everybody needs a token.
    #[schemars(extend("format" = "public-url", "examples" = ["https://zenei.example"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
}

impl Config {
    /// Whether this gateway hears locks; else it may still be a desk over what others shipped.
    pub(crate) fn hears(&self) -> bool {
        self.mqtt.is_some() || self.ingress.is_some() || self.ble.is_some()
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// The values.
    pub(crate) config: Config,
    /// The file as the user named it.
    pub(crate) file: String,
    places: BTreeMap<String, Place>,
}

impl Loaded {
    /// Problems of values at these keys; of a key that is not written, at the section that it would stand in.
    pub(crate) fn problems<K: AsRef<str>>(&self, found: Vec<(K, String)>) -> Problems {
        let problem = |(key, text): (K, String)| Problem { place: self.place(key.as_ref()), text };
        let mut list: Vec<Problem> = found.into_iter().map(problem).collect();
        list.sort_by(|a, b| a.place.cmp(&b.place));
        Problems { file: self.file.clone(), list }
    }

    fn place(&self, key: &str) -> Place {
        match (self.places.get(key), key.rsplit_once('.')) {
            (Some(place), _) => place.clone(),
            (None, Some((section, _))) => self.place(section),
            (None, None) => Place::Whole,
        }
    }
}

/// The environment as text; what is no UTF-8 can't be part of a configuration.
pub(crate) fn variables() -> Variables {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The configuration of a command that can do without: the given file, or `zenei.toml` where it is run.
pub(crate) fn given_or_here(given: Option<&Path>) -> Option<PathBuf> {
    let here = Path::new("zenei.toml");
    given.or_else(|| here.is_file().then_some(here)).map(Path::to_path_buf)
}

/// Reads and checks a configuration; `-` is standard input, with paths relative to the working folder.
///
/// # Errors
/// Every problem in it.
pub(crate) fn load(path: &Path, variables: &Variables) -> Result<Loaded, Problems> {
    let file = path.display().to_string();
    let bytes = read(path).map_err(|what| Problems::whole(&file, what))?;
    let text = str::from_utf8(&bytes).map_err(|error| Problems {
        file: file.clone(),
        list: vec![Problem {
            place: tree::end_of(&bytes[..error.valid_up_to()]),
            text: "no UTF-8; TOML is".to_owned(),
        }],
    })?;
    let working = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let base = if path == Path::new("-") { working } else { working.join(path.parent().unwrap_or(Path::new(""))) };
    parse(&file, text, &base, variables)
}

/// Checks a configuration's text; relative paths start at `base`.
///
/// # Errors
/// Every problem in it.
pub(crate) fn parse(file: &str, text: &str, base: &Path, variables: &Variables) -> Result<Loaded, Problems> {
    let problems = |list| Problems { file: file.to_owned(), list };
    let schema = schema();
    let mut tree = tree::parse(text).map_err(problems)?;
    for (name, value) in variables.iter().filter(|(name, _)| name.starts_with(tree::OVERRIDE_PREFIX)) {
        tree::put_override(&mut tree, name, value, walk::kind_at(&schema, &tree::override_key(name)));
    }
    let (list, places) = (Vec::new(), BTreeMap::new());
    let mut walk = walk::Walk { schema: &schema, variables, base, problems: list, places };
    let json = walk.run(&tree);
    if !walk.problems.is_empty() {
        walk.problems.sort_by(|a, b| a.place.cmp(&b.place));
        return Err(problems(walk.problems));
    }
    let config: Config = serde_json::from_value(json).map_err(|error| Problems::whole(file, error.to_string()))?;
    let loaded = Loaded { config, file: file.to_owned(), places: walk.places };
    let contradictions = contradictions(&loaded.config);
    if contradictions.is_empty() { Ok(loaded) } else { Err(loaded.problems(contradictions)) }
}

/// The first line of a file that holds a secret.
///
/// # Errors
/// Why it can't be read; never what is in it.
pub(crate) fn secret(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
    Ok(text.lines().next().unwrap_or("").to_owned())
}

/// The JSON Schema of a configuration file, without references.
pub(crate) fn schema() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    generator.into_root_schema_for::<Config>().to_value()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    match read {
        Ok(count) if count as u64 > MAX_BYTES => Err(format!("has over {MAX_BYTES} bytes; no configuration has")),
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("can't be read: {error}; `zenei config init` prints one to start from")),
    }
}

/// What no single value shows.
fn contradictions(config: &Config) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if config.store.clickhouse.is_none() {
        let needs = "needs the section [store.clickhouse] with its `url`";
        if config.store.kind == StoreKind::ClickHouse {
            found.push(("store.kind", format!("`store.kind` = \"clickhouse\" {needs}")));
        }
        if config.detect.source == DetectSource::ClickHouse {
            found.push(("detect.source", format!("`detect.source` = \"clickhouse\" {needs}")));
        }
    }
    if let Some(clickhouse) = &config.store.clickhouse
        && !clickhouse.shards.is_empty()
        && clickhouse.cluster.is_empty()
    {
        let text = "`store.clickhouse.shards` needs `store.clickhouse.cluster`: one server has no shards".to_owned();
        found.push(("store.clickhouse.shards", text));
    }
    if let Some(http) = &config.http
        && http.token_file.is_none()
    {
        let needs =
            "`http.token_file` is missing: name a file there, and `zenei token add NAME --role viewer` makes it";
        if !http.listen.ip().is_loopback() {
            found.push(("http.listen", format!("`http.listen` is reached from other machines; {needs}")));
        }
        if http.public_url.as_deref().is_some_and(|url| PublicUrl::parse(url).is_ok_and(|url| !url.is_loopback())) {
            found.push(("http.public_url", format!("`http.public_url` is reached from other machines; {needs}")));
        }
    }
    if let Some(mqtt) = &config.mqtt {
        if mqtt.password_file.is_some() && mqtt.username.is_none() {
            found.push((
                "mqtt.password_file",
                "`mqtt.password_file` needs `mqtt.username` (MQTT 3.1.1, 3.1.2.9)".to_owned(),
            ));
        }
        if mqtt.cert_file.is_some() != mqtt.key_file.is_some() {
            let alone = if mqtt.cert_file.is_some() { "mqtt.cert_file" } else { "mqtt.key_file" };
            found.push((alone, "`mqtt.cert_file` and `mqtt.key_file` come together".to_owned()));
        }
        if mqtt.topics.is_empty() {
            found.push(("mqtt.topics", "`mqtt.topics` is empty; at least one filter is needed".to_owned()));
        }
    }
    if let Some(ingress) = &config.ingress {
        if ingress.cert_file.is_some() != ingress.key_file.is_some() {
            let alone = if ingress.cert_file.is_some() { "ingress.cert_file" } else { "ingress.key_file" };
            found.push((alone, "`ingress.cert_file` and `ingress.key_file` come together".to_owned()));
        }
        if ingress.client_ca_file.is_some() && ingress.cert_file.is_none() {
            found.push(("ingress.client_ca_file", "`ingress.client_ca_file` needs `ingress.cert_file`".to_owned()));
        }
    }
    found
}
