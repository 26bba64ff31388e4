//! The service `org.bluez`: answers a scanner's calls as BlueZ 5.66 does, and signals advertisements only during a
//! scan. A test can set its faults: no answers, a scan that receives nothing any more, an adapter that is gone.
//! Dropping it looks to other clients of the bus like kill -9. Called by tests.
use crate::bus::PrivateBus;
use crate::objects::{ADAPTER, ADAPTER1, DEVICE1, Device, Objects, Properties, path_of};
use futures_util::StreamExt as _;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zbus::message::{Header, Type};
use zbus::zvariant::{ObjectPath, OwnedValue, Value};
use zbus::{Connection, Message, MessageStream};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const FAILED: &str = "org.bluez.Error.Failed";

/// Counts of the scanner's calls.
#[derive(Debug, Default)]
pub struct Calls {
    /// `StartDiscovery`, successful or not.
    pub start_discovery: AtomicU64,
    /// `StopDiscovery`, successful or not.
    pub stop_discovery: AtomicU64,
    /// Times that `Powered` was set.
    pub powered_set: AtomicU64,
    /// `GetAll` of a device.
    pub get_all: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    /// Unique names of the scanning clients.
    scanners: BTreeSet<String>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    calls: Calls,
    /// Calls stay without an answer.
    hangs: AtomicBool,
    /// Scanning continues, but nothing is received any more until it is restarted.
    deaf: AtomicBool,
    /// Whether a new `StartDiscovery` ends this state.
    heals_by_start: AtomicBool,
    /// Whether a power cycle ends this state.
    heals_by_power: AtomicBool,
}

/// The stand-in.
#[derive(Debug)]
pub struct FakeBlueZ {
    connection: Connection,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

impl FakeBlueZ {
    /// A BlueZ with a powered adapter `hci0` on this bus.
    ///
    /// # Errors
    /// The bus's error.
    pub fn start(bus: &PrivateBus) -> zbus::Result<Self> {
        Self::start_with(bus, true)
    }

    /// A BlueZ with or without an adapter.
    ///
    /// # Errors
    /// The bus's error.
    pub fn start_with(bus: &PrivateBus, adapter: bool) -> zbus::Result<Self> {
        let objects = Objects { adapter, powered: true, ..Objects::default() };
        let shared = Arc::new(Shared {
            state: Mutex::new(State { objects, scanners: BTreeSet::new() }),
            calls: Calls::default(),
            hangs: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            heals_by_start: AtomicBool::new(true),
            heals_by_power: AtomicBool::new(true),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let address = bus.address();
        let connection = runtime.block_on(async {
            let builder = zbus::connection::Builder::address(address.as_str())?;
            let connection = builder.build().await?;
            let stream = MessageStream::from(&connection);
            tokio::spawn(answer(connection.clone(), stream, Arc::clone(&shared)));
            let leaving = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'";
            let bus = "org.freedesktop.DBus";
            connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &leaving).await?;
            connection.request_name("org.bluez").await?;
            zbus::Result::Ok(connection)
        })?;
        Ok(Self { connection, shared, runtime })
    }

    /// Counts of the calls.
    pub fn calls(&self) -> &Calls {
        &self.shared.calls
    }

    /// How many clients scan now.
    pub fn scanners(&self) -> usize {
        self.shared.lock().scanners.len()
    }

    /// Calls stay without an answer from now on, or no longer.
    pub fn hang(&self, hangs: bool) {
        self.shared.hangs.store(hangs, Ordering::SeqCst);
    }

    /// The scan stops receiving without an error, as BlueZ's do, until it is restarted (where `by_start`) or the
    /// adapter was off and on again (where `by_power`).
    pub fn deafen(&self, by_start: bool, by_power: bool) {
        self.shared.heals_by_start.store(by_start, Ordering::SeqCst);
        self.shared.heals_by_power.store(by_power, Ordering::SeqCst);
        self.shared.deaf.store(true, Ordering::SeqCst);
    }

    /// Whether the advertisement of a lock would now be received.
    pub fn hears(&self) -> bool {
        !self.shared.deaf.load(Ordering::SeqCst) && self.scanners() > 0
    }

    /// An advertisement arrives; `false` where no client scans, or the scan receives nothing.
    ///
    /// # Errors
    /// The bus's error.
    pub fn advertise(&self, address: &str, rssi_dbm: i16, service_data: &[u8]) -> zbus::Result<bool> {
        self.runtime.block_on(self.tell(address, rssi_dbm, service_data))
    }

    /// The adapter is powered off or on, by another client than the scanner.
    ///
    /// # Errors
    /// The bus's error.
    pub fn power(&self, powered: bool) -> zbus::Result<()> {
        self.runtime.block_on(set_powered(&self.connection, &self.shared, powered))
    }

    async fn tell(&self, address: &str, rssi_dbm: i16, service_data: &[u8]) -> zbus::Result<bool> {
        if !self.hears() {
            return Ok(false);
        }
        let device = Device { address: address.to_owned(), rssi_dbm, service_data: service_data.to_vec() };
        let (path, changed) = (path_of(address), device.heard());
        let (is_new, all) = {
            let mut state = self.shared.lock();
            let is_new = state.objects.devices.insert(path.clone(), device).is_none();
            (is_new, state.objects.all(&path).unwrap_or_default())
        };
        if is_new {
            // As in BlueZ: the first advertisement is in the object's properties and in no change of them.
            let object = ObjectPath::try_from(path.as_str())?;
            let body = (object, HashMap::from([(DEVICE1, all)]));
            let manager = "org.freedesktop.DBus.ObjectManager";
            self.connection.emit_signal(None::<&str>, "/", manager, "InterfacesAdded", &body).await?;
        } else {
            emit_changed(&self.connection, &path, DEVICE1, changed).await?;
        }
        Ok(true)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn emit_changed(connection: &Connection, path: &str, of: &str, changed: Properties) -> zbus::Result<()> {
    let body = (of, changed, Vec::<&str>::new());
    connection.emit_signal(None::<&str>, path, PROPERTIES, "PropertiesChanged", &body).await
}

async fn set_powered(connection: &Connection, shared: &Shared, powered: bool) -> zbus::Result<()> {
    let was = {
        let mut state = shared.lock();
        if !powered {
            // BlueZ drops its discovery sessions when the adapter is powered off.
            state.scanners.clear();
            state.objects.discovering = false;
        }
        std::mem::replace(&mut state.objects.powered, powered)
    };
    if powered && !was && shared.heals_by_power.load(Ordering::SeqCst) {
        shared.deaf.store(false, Ordering::SeqCst);
    }
    if was == powered {
        return Ok(());
    }
    let changed = HashMap::from([("Powered".to_owned(), OwnedValue::from(powered))]);
    emit_changed(connection, ADAPTER, ADAPTER1, changed).await
}

/// Answers until the connection ends.
async fn answer(connection: Connection, mut stream: MessageStream, shared: Arc<Shared>) {
    while let Some(Ok(message)) = stream.next().await {
        let header = message.header();
        match header.message_type() {
            Type::MethodCall if !shared.hangs.load(Ordering::SeqCst) => {
                // The caller may have left the bus.
                drop(reply(&connection, &message, &header, &shared).await);
            }
            Type::Signal => forget_who_left(&message, &header, &shared),
            Type::MethodCall | Type::MethodReturn | Type::Error => {}
        }
    }
}

/// BlueZ ends the discovery of a client that leaves the bus.
fn forget_who_left(message: &Message, header: &Header<'_>, shared: &Shared) {
    if header.member().is_none_or(|member| member.as_str() != "NameOwnerChanged") {
        return;
    }
    if let Ok((name, _, new)) = message.body().deserialize::<(String, String, String)>()
        && new.is_empty()
    {
        let mut state = shared.lock();
        state.scanners.remove(&name);
        state.objects.discovering = !state.scanners.is_empty();
    }
}

async fn reply(connection: &Connection, message: &Message, header: &Header<'_>, shared: &Shared) -> zbus::Result<()> {
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let member = text(header.member().map(|member| member.as_str()));
    let path = text(header.path().map(|path| path.as_str()));
    let sender = text(header.sender().map(|sender| sender.as_str()));
    match member.as_str() {
        "GetManagedObjects" => {
            let objects = shared.lock().objects.managed();
            connection.reply(header, &objects).await
        }
        "GetAll" => {
            shared.calls.get_all.fetch_add(1, Ordering::SeqCst);
            let all = shared.lock().objects.all(&path);
            match all {
                Some(all) => connection.reply(header, &all).await,
                None => refuse(connection, header, "org.freedesktop.DBus.Error.UnknownObject", "no such object").await,
            }
        }
        "Set" => {
            let (_, name, value): (String, String, OwnedValue) = message.body().deserialize()?;
            if let (true, Value::Bool(powered)) = (name == "Powered", &*value) {
                shared.calls.powered_set.fetch_add(1, Ordering::SeqCst);
                set_powered(connection, shared, *powered).await?;
            }
            connection.reply(header, &()).await
        }
        "SetDiscoveryFilter" => connection.reply(header, &()).await,
        "StartDiscovery" => {
            shared.calls.start_discovery.fetch_add(1, Ordering::SeqCst);
            match start(shared, sender) {
                Ok(()) => connection.reply(header, &()).await,
                Err((name, why)) => refuse(connection, header, name, why).await,
            }
        }
        "StopDiscovery" => {
            shared.calls.stop_discovery.fetch_add(1, Ordering::SeqCst);
            let was = shared.lock().scanners.remove(&sender);
            if was {
                connection.reply(header, &()).await
            } else {
                refuse(connection, header, FAILED, "No discovery started").await
            }
        }
        _ => refuse(connection, header, "org.freedesktop.DBus.Error.UnknownMethod", "no such method").await,
    }
}

fn start(shared: &Shared, sender: String) -> Result<(), (&'static str, &'static str)> {
    let mut state = shared.lock();
    if !state.objects.powered {
        return Err(("org.bluez.Error.NotReady", "Resource Not Ready"));
    }
    if !state.scanners.insert(sender) {
        return Err(("org.bluez.Error.InProgress", "Operation already in progress"));
    }
    state.objects.discovering = true;
    if shared.heals_by_start.load(Ordering::SeqCst) {
        shared.deaf.store(false, Ordering::SeqCst);
    }
    Ok(())
}

async fn refuse(connection: &Connection, header: &Header<'_>, name: &str, why: &str) -> zbus::Result<()> {
    connection.reply_error(header, name, &why).await
}
