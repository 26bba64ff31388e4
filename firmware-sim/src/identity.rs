//! Who a lock is and where it is installed: its names, its labels and its line of the asset registry. Must not know
//! physics. Called by `fleet`, by `truth`, and by users of [`Fleet::locks`](crate::Fleet::locks).
use crate::calendar::{self, DAY_MS};
use crate::rng::{Draws, FLEET, Purpose};
use crate::scenario::Scenario;
use std::fmt::Write as _;

/// One lock's names and labels, as in its records and in the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract's field names")]
pub struct Identity {
    pub device_id: String,
    pub customer: String,
    pub site: String,
    pub door: String,
    pub service: String,
    pub gateway: String,
    pub model: String,
    pub hw_rev: String,
    pub lot: String,
    /// RFC 3339.
    pub installed_at: String,
    /// Bluetooth LE address.
    pub address: String,
    /// Name of the climate; not in the registry.
    pub region: String,
}

/// The same as indices into the scenario's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) site: usize,
    pub(crate) region: usize,
    pub(crate) service: usize,
    pub(crate) model: usize,
    pub(crate) battery: usize,
    pub(crate) hw_rev: usize,
    pub(crate) lot: usize,
    pub(crate) firmware: usize,
    pub(crate) app: usize,
    /// The hub, of a lock whose service reaches it through one.
    pub(crate) hub: Option<usize>,
    /// The gateway's number within its site.
    pub(crate) gateway: usize,
    /// Whether phones take its records along instead.
    pub(crate) phone: bool,
}

impl Kinds {
    /// Whether a client version ever talks to the lock.
    pub(crate) fn speaks_with(&self, client: usize) -> bool {
        self.app == client || self.hub == Some(client)
    }
}

/// Draws one lock's kinds and names.
pub(crate) fn draw(scenario: &Scenario, seed: u64, lock: usize) -> (Identity, Kinds) {
    let mut draws = Draws::new(seed, lock, Purpose::Identity, 0);
    let site = draws.pick(scenario.site.iter().map(|site| site.share));
    let gateway = draws.below(scenario.site[site].gateways);
    let service = draws.pick(scenario.service.iter().map(|service| service.share));
    let model = draws.pick(scenario.model.iter().map(|model| model.share));
    let hw_rev = draws.pick(scenario.hw_rev.iter().map(|hw_rev| hw_rev.share));
    let lot = draws.pick(scenario.lot.iter().map(|lot| lot.share));
    let firmware = draws.pick(scenario.firmware.iter().map(|firmware| firmware.share));
    let app = draws.pick(scenario.client.iter().map(|client| if client.hub { 0.0 } else { client.share }));
    let hub = draws.pick(scenario.client.iter().map(|client| if client.hub { client.share } else { 0.0 }));
    let [model, hw_rev, lot, firmware, app, hub] =
        tied(scenario, seed, lock, (site, service), [model, hw_rev, lot, firmware, app, hub]);
    let (home, sources) = (&scenario.site[site], &scenario.service[service].sources);
    let place = |names: &mut dyn Iterator<Item = &String>, name: &str| crate::plan::place(names, name);
    let kinds = Kinds {
        site,
        region: place(&mut scenario.region.iter().map(|region| &region.name), &home.region),
        service,
        model,
        battery: place(&mut scenario.battery.iter().map(|battery| &battery.name), &scenario.model[model].battery),
        hw_rev,
        lot,
        firmware,
        app,
        hub: (sources.remote + sources.schedule > 0.0).then_some(hub),
        gateway,
        phone: scenario
            .field
            .as_ref()
            .is_some_and(|field| Draws::new(seed, lock, Purpose::Tie, 1).chance(field.carriage.phone_share)),
    };
    let installed_ms = (scenario.first_day() - draws.below(700) as i64 - 30) * DAY_MS;
    let identity = Identity {
        device_id: format!("BL{:07}", lock + 1),
        // Four doors a customer on average; guess.
        customer: format!("{}-c{:03}", home.name, draws.below(scenario.locks / (4 * scenario.site.len()) + 1)),
        site: home.name.clone(),
        door: format!("{}{:02}", 1 + draws.below(9), 1 + draws.below(12)),
        service: scenario.service[service].name.clone(),
        gateway: if kinds.phone { String::new() } else { gateway_id(&home.name, gateway) },
        model: scenario.model[model].name.clone(),
        hw_rev: scenario.hw_rev[hw_rev].name.clone(),
        lot: scenario.lot[lot].name.clone(),
        installed_at: calendar::rfc3339(installed_ms),
        // C0 in front: a random static address has its two top bits set (Bluetooth Core, vol 6 part B 1.3.2.1).
        address: {
            let bytes = (lock as u32).to_be_bytes();
            format!("C0:5E:{:02X}:{:02X}:{:02X}:{:02X}", bytes[0], bytes[1], bytes[2], bytes[3])
        },
        region: home.region.clone(),
    };
    (identity, kinds)
}

/// The same kinds, of which some follow the site or another kind instead of chance: the model a service, board and lot
/// a model, firmware and clients a site.
fn tied(scenario: &Scenario, seed: u64, lock: usize, (site, service): (usize, usize), kinds: [usize; 6]) -> [usize; 6] {
    let Some(field) = &scenario.field else { return kinds };
    let mut draws = Draws::new(seed, lock, Purpose::Tie, 0);
    let mut ties = || draws.chance(field.ties);
    let own = |kind: u64, of: usize, weights: &mut dyn Iterator<Item = f64>| {
        let weights: Vec<f64> = weights.collect();
        Draws::new(field.world, FLEET, Purpose::Tie, kind << 32 | of as u64).pick(weights.into_iter())
    };
    let [mut model, mut hw_rev, mut lot, mut firmware, mut app, mut hub] = kinds;
    if ties() {
        model = own(1, service, &mut scenario.model.iter().map(|model| model.share));
    }
    if ties() {
        hw_rev = own(2, model, &mut scenario.hw_rev.iter().map(|hw_rev| hw_rev.share));
    }
    if ties() {
        lot = own(3, hw_rev, &mut scenario.lot.iter().map(|lot| lot.share));
    }
    if ties() {
        firmware = own(4, site, &mut scenario.firmware.iter().map(|firmware| firmware.share));
    }
    let of_clients =
        |is_hub: bool| scenario.client.iter().map(move |client| if client.hub == is_hub { client.share } else { 0.0 });
    if ties() {
        app = own(5, service, &mut of_clients(false));
    }
    if ties() {
        hub = own(6, site, &mut of_clients(true));
    }
    [model, hw_rev, lot, firmware, app, hub]
}

/// The name of a site's gateway.
pub(crate) fn gateway_id(site: &str, number: usize) -> String {
    format!("gw-{site}-{}", number + 1)
}

/// The registry of these locks as CSV with a header (telemetry contract, "Asset registry"); no field needs quoting.
pub(crate) fn registry_csv<'a>(locks: impl Iterator<Item = &'a Identity>) -> String {
    let mut csv = String::from(
        "device_id,customer,site,door,service,gateway,model,hw_rev,lot,installed_at,address,bind_key_file\n",
    );
    for lock in locks {
        let fields = [
            &lock.device_id,
            &lock.customer,
            &lock.site,
            &lock.door,
            &lock.service,
            &lock.gateway,
            &lock.model,
            &lock.hw_rev,
            &lock.lot,
            &lock.installed_at,
            &lock.address,
        ];
        for field in fields {
            let _ = write!(csv, "{field},");
        }
        csv.push('\n');
    }
    csv
}
