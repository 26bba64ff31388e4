//! The radio of a gateway: received advertisements become messages of the spool, as undecoded bytes, from registered
//! locks and strangers alike. No sender waits for an acknowledgement. While the spool accepts nothing, the newest
//! advertisements of each sender wait, and the others are dropped and counted. Of an advertisement it reads only what
//! the watchdog needs: the sender, and whether the lock's key fits; it must not know the measured values. Called by
//! the gateway's start.
use super::advertisement::{Advertisement, Judge, RadioCounters, Standing};
use super::listening::{ListenOptions, Listening, listen_and_count};
use super::status::{Hearing, Status};
use super::supervisor::Ladder;
use crate::source::Stop;
use crate::source::topic::TopicName;
use crate::spool::{Inlet, Message};
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::watch;
use zenei_store::Source;
use zenei_store::clock::Clock;
use zenei_wire::bthome::{self, Keyring};

/// The most advertisements of one parcel. A guess: a tenth of a second of the fastest radio.
const PARCEL: usize = 256;

/// The radio of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BleConfig {
    /// The adapter, `hci0`.
    pub adapter: String,
    /// Whether the adapter may be switched off and on when registered locks fall silent.
    pub power_cycle: bool,
    /// Whether [`BleHandle::given_up`] may ever return.
    pub exit: bool,
}

/// Read access to a running radio.
#[derive(Clone, Debug)]
pub struct BleHandle {
    /// Its status.
    pub status: watch::Receiver<Status>,
    /// Its counters.
    pub counters: Arc<RadioCounters>,
}

impl BleHandle {
    /// Returns when no step has helped: the process should end, so that its service manager restarts it. Safe to
    /// cancel.
    pub async fn given_up(&mut self) {
        let waited = self.status.wait_for(|status| status.hearing == Hearing::GivenUp).await;
        if waited.is_err() {
            // The radio was stopped: it never will.
            std::future::pending::<()>().await;
        }
    }
}

/// A radio that feeds the spool.
pub(crate) struct Feed {
    listening: Listening,
    inlet: Inlet,
}

impl Feed {
    /// Starts to listen, within a tokio runtime.
    pub(crate) fn start(
        config: BleConfig,
        keys: Arc<Keyring>,
        clock: Clock,
        inlet: Inlet,
        counters: Arc<RadioCounters>,
    ) -> (Self, BleHandle) {
        let BleConfig { adapter, power_cycle, exit } = config;
        let ladder = Ladder { watch: true, power_cycle, exit };
        let options = ListenOptions {
            adapter: Some(adapter),
            ladder,
            news_only: true,
            judge: judge(keys),
            clock,
            ..ListenOptions::onlooker()
        };
        let listening = listen_and_count(options, Arc::clone(&counters));
        let handle = BleHandle { status: listening.status(), counters };
        (Self { listening, inlet }, handle)
    }

    /// Feeds until the gateway stops.
    pub(crate) async fn run(mut self, mut stop: Stop) {
        loop {
            let first = tokio::select! {
                () = stop.wait() => break,
                first = self.listening.next() => first,
            };
            let mut messages: Vec<Message> = message(&first).into_iter().collect();
            while messages.len() < PARCEL
                && let Some(more) = self.listening.take()
            {
                messages.extend(message(&more));
            }
            let put = tokio::select! {
                () = stop.wait() => break,
                put = self.inlet.put(Source::Ble, false, messages) => put,
            };
            if put.is_err() {
                break;
            }
        }
        self.listening.stop().await;
    }
}

/// `None` for a topic that MQTT does not allow, which no advertisement has.
fn message(heard: &Advertisement) -> Option<Message> {
    let Advertisement { address, rssi_dbm, service_data, heard_at: _ } = heard;
    let spooled = bthome::Advertisement { address: *address, rssi_dbm: *rssi_dbm, service_data };
    let topic = TopicName::new(Bytes::from(spooled.topic())).ok()?;
    Some(Message::new(topic, Bytes::from(spooled.payload())))
}

/// Judges by the keys of the registry.
pub(crate) fn judge(keys: Arc<Keyring>) -> Judge {
    Box::new(move |heard| {
        let Advertisement { address, rssi_dbm, service_data, .. } = heard;
        let sender = bthome::sender(service_data).unwrap_or(*address);
        let Some(lock) = keys.find(sender) else { return Standing::Stranger };
        let advertisement = bthome::Advertisement { address: *address, rssi_dbm: *rssi_dbm, service_data };
        match keys.open(&advertisement) {
            Ok(opened) if opened.counter.is_some() => Standing::Valid,
            Ok(_) if lock.key.is_none() => Standing::Plain,
            Ok(_) | Err(_) => Standing::Doubtful,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zenei_wire::bthome::Lock;
    use zenei_wire::bthome::{Address, BindKey, plain, sealed};
    use zenei_wire::{DeviceId, GatewayTime, SiteId};

    const OURS: Address = Address([0xc0, 0xff, 0xee, 0, 0, 1]);
    const KEYLESS: Address = Address([0xc0, 0xff, 0xee, 0, 0, 2]);
    const STRANGER: Address = Address([0xc0, 0xff, 0xee, 0, 0, 3]);

    #[test]
    fn only_what_is_a_registered_lock_s_own_shows_that_the_radio_hears() {
        let site = SiteId::new("site").unwrap();
        let mut keys = Keyring::new(site.clone());
        let key = BindKey::new([7; 16]);
        for (address, device, key) in [(OURS, "BL1", Some(key.clone())), (KEYLESS, "BL2", None)] {
            let lock = Lock { device: DeviceId::new(device).unwrap(), site: site.clone(), key };
            assert_eq!(keys.add(address, lock), None);
        }
        let judge = judge(Arc::new(keys));
        let check = |address: Address, service_data: Vec<u8>, expected: Standing| {
            let heard_at = GatewayTime(0);
            let heard = Advertisement { address, rssi_dbm: None, service_data, heard_at };
            assert_eq!(judge(&heard), expected, "{heard:?}");
        };
        let objects = [0x00, 1, 0x01, 71];
        let (open, closed) = (plain(&objects), sealed(&objects, OURS, &key, 5));
        let mut forged = closed.clone();
        forged[2] ^= 1;
        check(OURS, closed.clone(), Standing::Valid);
        check(OURS, forged, Standing::Doubtful);
        check(OURS, open.clone(), Standing::Doubtful);
        check(OURS, sealed(&objects, OURS, &BindKey::new([8; 16]), 6), Standing::Doubtful);
        check(KEYLESS, open.clone(), Standing::Plain);
        check(KEYLESS, closed.clone(), Standing::Doubtful);
        check(KEYLESS, Vec::new(), Standing::Doubtful);
        check(STRANGER, open, Standing::Stranger);
        check(STRANGER, closed, Standing::Stranger);
    }
}
