//! The objects that BlueZ shows on the bus, as `org.bluez.Adapter1` and `org.bluez.Device1` describe them: one adapter,
//! and a device for each address from which an advertisement came. Must not know the bus, only the objects' properties.
//! Called by the service.
use std::collections::{BTreeMap, HashMap};
use zbus::zvariant::{ObjectPath, OwnedValue, Str, Value};

/// The path of the one adapter.
pub(crate) const ADAPTER: &str = "/org/bluez/hci0";
/// The interface of adapters.
pub(crate) const ADAPTER1: &str = "org.bluez.Adapter1";
/// The interface of devices.
pub(crate) const DEVICE1: &str = "org.bluez.Device1";
/// BTHome's UUID 0xFCD2 as BlueZ writes it.
const BTHOME: &str = "0000fcd2-0000-1000-8000-00805f9b34fb";

/// Properties of one interface.
pub(crate) type Properties = HashMap<String, OwnedValue>;

/// A lock as BlueZ stores it: its newest advertisement.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) address: String,
    pub(crate) rssi_dbm: i16,
    pub(crate) service_data: Vec<u8>,
}

/// All objects.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) adapter: bool,
    pub(crate) powered: bool,
    pub(crate) discovering: bool,
    pub(crate) devices: BTreeMap<String, Device>,
}

/// The path of a device.
pub(crate) fn path_of(address: &str) -> String {
    format!("{ADAPTER}/dev_{}", address.replace(':', "_"))
}

fn owned(value: Value<'_>) -> OwnedValue {
    // Only a file descriptor can't be owned, and there is none here.
    OwnedValue::try_from(value).unwrap_or_else(|_| OwnedValue::from(false))
}

fn text(text: &str) -> OwnedValue {
    owned(Value::from(Str::from(text.to_owned())))
}

impl Device {
    /// The properties that an advertisement changes.
    pub(crate) fn heard(&self) -> Properties {
        let data: HashMap<String, Value<'_>> =
            HashMap::from([(BTHOME.to_owned(), Value::from(self.service_data.clone()))]);
        HashMap::from([
            ("RSSI".to_owned(), owned(Value::from(self.rssi_dbm))),
            ("ServiceData".to_owned(), owned(Value::from(data))),
        ])
    }

    fn properties(&self) -> Properties {
        let mut properties = self.heard();
        properties.insert("Address".to_owned(), text(&self.address));
        properties.insert("AddressType".to_owned(), text("public"));
        properties.insert("Alias".to_owned(), text(&self.address.replace(':', "-")));
        let adapter = ObjectPath::try_from(ADAPTER).map_or_else(|_| text(ADAPTER), |path| owned(Value::from(path)));
        properties.insert("Adapter".to_owned(), adapter);
        for name in ["Paired", "Connected", "ServicesResolved", "Trusted", "Blocked", "LegacyPairing"] {
            properties.insert(name.to_owned(), OwnedValue::from(false));
        }
        properties
    }
}

impl Objects {
    fn adapter_properties(&self) -> Properties {
        let texts = [
            ("Address", "00:11:22:33:44:55"),
            ("AddressType", "public"),
            ("Name", "stand-in"),
            ("Alias", "stand-in"),
            ("Modalias", "usb:v1D6Bp0246d0542"),
        ];
        let mut properties: Properties =
            texts.into_iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
        properties.insert("Powered".to_owned(), OwnedValue::from(self.powered));
        properties.insert("Discovering".to_owned(), OwnedValue::from(self.discovering));
        properties
    }

    /// The answer to `GetManagedObjects`.
    pub(crate) fn managed(&self) -> HashMap<ObjectPath<'static>, HashMap<String, Properties>> {
        let mut objects = HashMap::new();
        let mut add = |path: String, interface: &str, properties: Properties| {
            if let Ok(path) = ObjectPath::try_from(path) {
                objects.insert(path, HashMap::from([(interface.to_owned(), properties)]));
            }
        };
        if self.adapter {
            add(ADAPTER.to_owned(), ADAPTER1, self.adapter_properties());
        }
        for (path, device) in &self.devices {
            add(path.clone(), DEVICE1, device.properties());
        }
        objects
    }

    /// The answer to `Properties.GetAll`.
    pub(crate) fn all(&self, path: &str) -> Option<Properties> {
        if path == ADAPTER && self.adapter {
            return Some(self.adapter_properties());
        }
        self.devices.get(path).map(Device::properties)
    }
}
