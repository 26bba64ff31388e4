//! Where each lock is: its gateway, site and service, as the registry says. Must not know a registry's form. Called by
//! silences and inhibition, which ask; the binary fills it at start.
use std::collections::{BTreeMap, BTreeSet};
use zenei_detect::ScopeKind;

/// Where one lock is. Each is `None` if the registry does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The gateway that hears it.
    pub gateway: Option<String>,
    /// The site that it belongs to.
    pub site: Option<String>,
    /// The service that it is part of.
    pub service: Option<String>,
}

impl Place {
    /// The value of a scope of this kind that the lock is in, as far as the registry says.
    pub fn of_scope(&self, kind: ScopeKind) -> Option<&String> {
        match kind {
            ScopeKind::Gateway => self.gateway.as_ref(),
            ScopeKind::Site => self.site.as_ref(),
            ScopeKind::Service => self.service.as_ref(),
            ScopeKind::Device | ScopeKind::Fw | ScopeKind::Lot | ScopeKind::HwRev | ScopeKind::Model => None,
            ScopeKind::ClientVersion | ScopeKind::FwHw => None,
        }
    }
}

/// The places of all locks, by device id; bounded by the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of this lock, if it is registered.
    pub fn of(&self, device: &str) -> Option<&Place> {
        self.0.get(device)
    }

    /// The services that the registry names, in order.
    pub fn services(&self) -> BTreeSet<&str> {
        self.0.values().filter_map(|place| place.service.as_deref()).collect()
    }

    /// The sites that the registry names, in order.
    pub fn sites(&self) -> BTreeSet<&str> {
        self.0.values().filter_map(|place| place.site.as_deref()).collect()
    }
}

impl FromIterator<(String, Place)> for Places {
    fn from_iter<I: IntoIterator<Item = (String, Place)>>(places: I) -> Self {
        Self(places.into_iter().collect())
    }
}
