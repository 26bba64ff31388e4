//! The radio on Linux: BlueZ over D-Bus. Reads the D-Bus signals directly, because each signal carries the
//! advertisement: no request follows, so that an advertisement costs one message at any rate. A queue of fixed length
//! lies between the socket and the task that reads it; the task never waits, so that the queue stays short. Dropping a
//! session closes its connection, and BlueZ then ends its scan. Must not decide when to start or restart; `supervisor`
//! does. Called through `service` by `tend` and by `look`.
//!
//! BlueZ's D-Bus API: doc/org.bluez.Adapter.rst and doc/org.bluez.Device.rst of its source.
use super::air::Air;
use super::radio::{Adapter, EVENTS, RadioError, RadioEvent, Station};
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zbus::zvariant::{Array, Dict, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, Message, MessageStream};
use zenei_wire::DbMilliwatts;
use zenei_wire::bthome::Address;

const BLUEZ: &str = "org.bluez";
const ADAPTER1: &str = "org.bluez.Adapter1";
const DEVICE1: &str = "org.bluez.Device1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
const DBUS: &str = "org.freedesktop.DBus";
/// The socket of the system bus. The D-Bus specification names `/var/run/…`, which on a small system may be no link to
/// this path.
const SOCKET: &str = "/run/dbus/system_bus_socket";
/// BTHome's UUID 0xFCD2, as BlueZ writes it.
const BTHOME: &str = "0000fcd2-0000-1000-8000-00805f9b34fb";
/// The subscribed signals: advertisements, devices that appear and disappear, and whether BlueZ is on the bus.
const MATCHES: [&str; 4] = [
    "type='signal',sender='org.bluez',\
     interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='/org/bluez'",
    "type='signal',sender='org.bluez',\
     interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded'",
    "type='signal',sender='org.bluez',\
     interface='org.freedesktop.DBus.ObjectManager',member='InterfacesRemoved'",
    "type='signal',sender='org.freedesktop.DBus',\
     interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'",
];
/// Messages between the socket and the reading task; beyond it the socket is not read. A guess: a few milliseconds of
/// the fastest radio.
const QUEUE: usize = 256;

type Properties = HashMap<String, OwnedValue>;
type Objects = HashMap<OwnedObjectPath, HashMap<String, Properties>>;

/// A connection to BlueZ with a scan on one adapter.
pub(crate) struct Session {
    connection: Connection,
    /// The adapter's object path, `/org/bluez/hci0`.
    adapter: String,
    reader: JoinHandle<()>,
}

impl Session {
    /// Connects, finds the adapter, powers it on and starts the scan. Advertisements that BlueZ received before are
    /// ignored.
    pub(crate) async fn open(
        station: Station,
        air: Arc<Air>,
    ) -> Result<(Self, mpsc::Receiver<RadioEvent>), RadioError> {
        let connection = connect(&station).await?;
        let stream = MessageStream::from(&connection);
        let bus = "/org/freedesktop/DBus";
        for rule in MATCHES {
            let matched = connection.call_method(Some(DBUS), bus, Some(DBUS), "AddMatch", &rule).await;
            matched.map_err(|error| RadioError::Bus(Box::new(error)))?;
        }
        let (told, events) = mpsc::channel(EVENTS);
        let (path, is_powered) = find(&objects(&connection).await?, station.adapter.as_deref())?;
        let reader = Reader { air, adapter: path.clone(), told };
        let reader = tokio::spawn(reader.read(stream));
        let session = Self { connection, adapter: path, reader };
        if !is_powered {
            session.power(true).await?;
        }
        session.start().await?;
        Ok((session, events))
    }

    /// The adapter's name.
    pub(crate) fn adapter(&self) -> &str {
        name(&self.adapter)
    }

    /// Stops the scan and starts it.
    pub(crate) async fn restart_scan(&self) -> Result<(), RadioError> {
        // Where BlueZ has lost the scan, it answers that there is none to stop.
        drop(self.call("StopDiscovery", "stop the scan").await);
        self.start().await
    }

    /// Switches the adapter off and on, and starts the scan.
    pub(crate) async fn power_cycle(&self) -> Result<(), RadioError> {
        self.power(false).await?;
        self.power(true).await?;
        self.restart_scan().await
    }

    async fn start(&self) -> Result<(), RadioError> {
        // Each repetition is reported, also of equal bytes: the watchdog measures the time without any.
        let filter = HashMap::from([("Transport", Value::from("le")), ("DuplicateData", Value::from(true))]);
        let path = self.adapter.as_str();
        let set = self.connection.call_method(Some(BLUEZ), path, Some(ADAPTER1), "SetDiscoveryFilter", &filter).await;
        set.map_err(|error| refused("filter the scan", &error))?;
        self.call("StartDiscovery", "start the scan").await
    }

    async fn call(&self, method: &'static str, what: &'static str) -> Result<(), RadioError> {
        let path = self.adapter.as_str();
        let called = self.connection.call_method(Some(BLUEZ), path, Some(ADAPTER1), method, &()).await;
        called.map(drop).map_err(|error| refused(what, &error))
    }

    async fn power(&self, on: bool) -> Result<(), RadioError> {
        let path = self.adapter.as_str();
        let body = (ADAPTER1, "Powered", Value::from(on));
        let set = self.connection.call_method(Some(BLUEZ), path, Some(PROPERTIES), "Set", &body).await;
        set.map(drop).map_err(|error| refused("switch the adapter's power", &error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // With its stream the last handle on the connection goes; the socket is closed, and BlueZ ends the scan.
        self.reader.abort();
    }
}

/// The adapter of this station; nothing is changed.
pub(crate) async fn look(station: &Station) -> Result<Adapter, RadioError> {
    let connection = connect(station).await?;
    let (path, is_powered) = find(&objects(&connection).await?, station.adapter.as_deref())?;
    Ok(Adapter { adapter: name(&path).to_owned(), is_powered })
}

async fn connect(station: &Station) -> Result<Connection, RadioError> {
    let here = std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS").is_none() && Path::new(SOCKET).exists();
    let address = station.bus.clone().or_else(|| here.then(|| format!("unix:path={SOCKET}")));
    let built = async {
        let builder = match address.as_deref() {
            Some(address) => zbus::connection::Builder::address(address)?,
            None => zbus::connection::Builder::system()?,
        };
        builder.max_queued(QUEUE).build().await
    };
    built.await.map_err(|error| RadioError::Bus(Box::new(error)))
}

async fn objects(connection: &Connection) -> Result<Objects, RadioError> {
    let what = "list its adapters";
    let objects = connection.call_method(Some(BLUEZ), "/", Some(OBJECT_MANAGER), "GetManagedObjects", &()).await;
    objects.and_then(|objects| objects.body().deserialize()).map_err(|error| refused(what, &error))
}

/// The last part of an adapter's path.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The adapter of this name, or the first one, and whether it is on.
fn find(objects: &Objects, wanted: Option<&str>) -> Result<(String, bool), RadioError> {
    let mut adapters: Vec<(&str, bool)> = objects
        .iter()
        .filter_map(|(path, interfaces)| {
            let powered = interfaces.get(ADAPTER1)?.get("Powered");
            Some((path.as_str(), powered.is_some_and(|on| bool::try_from(&**on).unwrap_or(false))))
        })
        .collect();
    adapters.sort_unstable();
    let chosen = adapters.iter().find(|(path, _)| wanted.is_none_or(|wanted| name(path) == wanted));
    if let Some((path, is_powered)) = chosen {
        return Ok(((*path).to_owned(), *is_powered));
    }
    let found = if adapters.is_empty() {
        "BlueZ knows none: plug one in, or look at `rfkill` and the kernel's log".to_owned()
    } else {
        format!("there is {}", adapters.iter().map(|(path, _)| name(path)).collect::<Vec<_>>().join(", "))
    };
    Err(RadioError::NoAdapter { wanted: wanted.unwrap_or("at all").to_owned(), found })
}

fn refused(what: &'static str, error: &zbus::Error) -> RadioError {
    if let zbus::Error::MethodError(name, said, _) = error {
        match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
                return RadioError::NoService;
            }
            "org.freedesktop.DBus.Error.AccessDenied" | "org.bluez.Error.NotAuthorized" => {
                return RadioError::Denied { what };
            }
            name => {
                let said = said.as_deref().map_or_else(|| name.to_owned(), |said| format!("{name}: {said}"));
                return RadioError::Refused { what, said };
            }
        }
    }
    RadioError::Refused { what, said: error.to_string() }
}

/// Reads the signals of one connection.
struct Reader {
    air: Arc<Air>,
    adapter: String,
    told: mpsc::Sender<RadioEvent>,
}

impl Reader {
    async fn read(self, mut stream: MessageStream) {
        loop {
            let lost = match stream.next().await {
                Some(Ok(message)) => match self.signal(&message) {
                    Some(event) => event,
                    None => continue,
                },
                Some(Err(_)) | None => RadioEvent::Lost(RadioError::BusLost),
            };
            let ends = matches!(lost, RadioEvent::Lost(_));
            // The receiver is gone where the session is gone.
            if self.told.send(lost).await.is_err() || ends {
                return;
            }
        }
    }

    /// The event in a message; an advertisement is put into the queue at once. A message that can't be parsed is
    /// ignored.
    fn signal(&self, message: &Message) -> Option<RadioEvent> {
        let header = message.header();
        let (path, body) = (header.path()?.as_str(), message.body());
        match header.member()?.as_str() {
            "PropertiesChanged" => {
                type Changed<'m> = (String, HashMap<String, Value<'m>>, Vec<String>);
                let (interface, changed, _): Changed<'_> = body.deserialize().ok()?;
                if interface == DEVICE1 {
                    let address = self.address(path)?;
                    self.device(address, |name| changed.get(name));
                } else if interface == ADAPTER1 && path == self.adapter {
                    let on = changed.get("Powered").and_then(|on| bool::try_from(on).ok())?;
                    return Some(RadioEvent::Powered(on));
                }
                None
            }
            "InterfacesAdded" => {
                type Added<'m> = (OwnedObjectPath, HashMap<String, HashMap<String, Value<'m>>>);
                let (path, interfaces): Added<'_> = body.deserialize().ok()?;
                let address = self.address(path.as_str())?;
                let properties = interfaces.get(DEVICE1)?;
                self.device(address, |name| properties.get(name));
                None
            }
            "InterfacesRemoved" => {
                let (path, interfaces): (OwnedObjectPath, Vec<String>) = body.deserialize().ok()?;
                let is_ours = path.as_str() == self.adapter && interfaces.iter().any(|name| name == ADAPTER1);
                let adapter = name(&self.adapter).to_owned();
                is_ours.then_some(RadioEvent::Lost(RadioError::AdapterLost { adapter }))
            }
            "NameOwnerChanged" => {
                let (name, _, owner): (String, String, String) = body.deserialize().ok()?;
                (name == BLUEZ && owner.is_empty()).then_some(RadioEvent::Lost(RadioError::ServiceLost))
            }
            _ => None,
        }
    }

    /// The address in a device's path, `/org/bluez/hci0/dev_AA_BB_CC_DD_EE_FF`; `None` for any other path.
    fn address(&self, path: &str) -> Option<Address> {
        let digits = path.strip_prefix(self.adapter.as_str())?.strip_prefix("/dev_")?;
        digits.replace('_', ":").parse().ok()
    }

    /// An advertisement, where these properties hold one of BTHome.
    fn device<'v>(&self, address: Address, property: impl Fn(&str) -> Option<&'v Value<'v>>) {
        let Some(Value::Dict(service_data)) = property("ServiceData") else { return };
        let Some(bytes) = bthome(service_data) else { return };
        let rssi = property("RSSI").and_then(|rssi| i16::try_from(rssi).ok());
        let rssi_dbm = rssi.and_then(|rssi| i8::try_from(rssi).ok()).map(DbMilliwatts);
        self.air.hear(address, rssi_dbm, bytes);
    }
}

/// The bytes under BTHome's UUID.
fn bthome(service_data: &Dict<'_, '_>) -> Option<Vec<u8>> {
    let (_, value) =
        service_data.iter().find(|(uuid, _)| matches!(uuid, Value::Str(uuid) if uuid.as_str() == BTHOME))?;
    let inner = if let Value::Value(inner) = value { &**inner } else { value };
    let Value::Array(bytes) = inner else { return None };
    u8s(bytes)
}

fn u8s(array: &Array<'_>) -> Option<Vec<u8>> {
    array.iter().map(|byte| u8::try_from(byte).ok()).collect()
}
