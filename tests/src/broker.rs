//! A private mosquitto for a test, and a `zenei run` that subscribes to it. Must not know what goes through it, only
//! how Debian's mosquitto is configured. Called by the tests over a real broker.
use crate::daemon::{Daemon, Site};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::mqtt::Client;

/// The path on Debian.
const MOSQUITTO: &str = "/usr/sbin/mosquitto";
/// How long a broker may take to listen, and a subscription to be made; a guess.
const BROKER_WITHIN: Duration = Duration::from_secs(20);

/// A broker that is killed when dropped.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Broker {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// A broker with these lines in its configuration too.
    pub(crate) fn start_with(more: &str) -> Self {
        // Another process may take the free port before the broker does: a broker that ends at once is started on
        // another port.
        let started = (0..5).find_map(|_| Self::try_start(more));
        started.expect("mosquitto does not start, five times: apt-get install mosquitto")
    }

    fn try_start(more: &str) -> Option<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
        let address = address.expect("a port is free");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let config = folder.path().join("mosquitto.conf");
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nmax_queued_bytes 0\nmax_inflight_messages 1000\nlog_dest stderr\nlog_type error\n{more}",
            address.port(),
            folder.path().display()
        );
        std::fs::write(&config, text).expect("a configuration can be written");
        let mut command = Command::new(MOSQUITTO);
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{MOSQUITTO}: {error}: apt-get install mosquitto"));
        let mut broker = Self { child, address, _folder: folder };
        let state = within(BROKER_WITHIN, || {
            let ended = broker.child.try_wait().expect("a child can be waited for").is_some();
            if ended { Some(false) } else { TcpStream::connect(address).ok().map(|_| true) }
        });
        (state == Some(true)).then_some(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // A broker that has already ended needs no kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Broker {
    /// A site that subscribes to all topics of this broker, with a registry and its desk on.
    pub(crate) fn site(&self, registry: &Path) -> Site {
        Site::new(&format!(
            "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n\
             [mqtt]\nurl = 'mqtt://{}'\nclient_id = 'zenei-test'\ntopics = ['bitlock/v1/#']\n\
             [registry]\nfile = '{}'\n[desk]\nenabled = true",
            self.address,
            registry.display()
        ))
    }

    /// A daemon that has subscribed. A retained last will shows it: it arrives with the subscription, and is not a
    /// record.
    pub(crate) fn subscribed(&self, site: &Site) -> Daemon {
        let mut client = Client::connect(self.address, "probe").expect("the broker takes a client");
        client.publish_retained("bitlock/v1/site-test/gw-probe/online", b"1").expect("the broker keeps a last will");
        let daemon = Self::start_simulated(site);
        let online = r#"zenei_ignored_messages_total{topic="online"}"#;
        let heard = within(BROKER_WITHIN, || (daemon.metrics().value(online) > 0).then_some(()));
        heard.unwrap_or_else(|| panic!("no subscription within {BROKER_WITHIN:?}: {}", daemon.log()));
        daemon
    }

    /// A daemon whose time follows the records.
    pub(crate) fn start_simulated(site: &Site) -> Daemon {
        site.spawn(&mut site.zenei(&["run", "--simulated-time"])).listening()
    }
}
