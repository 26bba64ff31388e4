//! The thread that ships sealed records and findings to ClickHouse while the daemon runs. It waits for the server
//! alone: while that does not answer or refuses, sealed files accumulate on the disk and the thread retries. No other
//! part waits for it, except the stop, for at most ten seconds. Called by `run`.
use super::{clickhouse, tailing};
use crate::config::{ClickHouse, Config, StoreKind};
use crate::exit::Failure;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use zenei_store::clickhouse::ship::LONGEST_WAIT;
use zenei_store::clickhouse::{
    Ended, FindingsShipper, Go, Server, ServerError, ShipOptions, Shipped, Shipper, self_test,
};
use zenei_store::disk::RealDisk;
use zenei_store::schema::{self, ApplyError, Form};
use zenei_store::{Control, Layout, ParquetStore};

/// How often the thread checks for sealed ranges. A guess: a seal comes every ten seconds.
const LOOK: Duration = Duration::from_secs(1);
/// How long shipped files stay on this machine. A guess: a day's records can be replayed here without asking a server.
const KEEP_MS: i64 = 24 * 3_600_000;
/// Records shipped together after the server was away: those of a full range by default, for which memory has room in
/// any case.
const MAX_ROWS: usize = 50_000;
/// How long a stop waits for a pending insert. Nothing is lost after that: the next start sends the same again. A
/// guess.
const END_WITHIN: Duration = Duration::from_secs(10);

/// The thread; dropping this value requests its end.
pub(crate) struct Shipping {
    end: Arc<End>,
    /// Closed once the thread has ended.
    ended: Receiver<()>,
    shipped: watch::Receiver<Shipped>,
    answer: watch::Receiver<Answer>,
}

/// Whether the end of the thread was requested.
#[derive(Default)]
struct End {
    asked: Mutex<bool>,
    rung: Condvar,
}

impl End {
    /// Waits for this time, or until the end is requested.
    fn wait(&self, how_long: Duration) -> Go {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.rung.wait_timeout_while(asked, how_long, |asked| !*asked);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 { Go::Stop } else { Go::On }
    }
}

impl Shipping {
    /// The ClickHouse that this configuration ships to: records where it is the store, findings where the desk detects
    /// on it.
    pub(crate) fn wanted(config: &Config) -> Option<&ClickHouse> {
        let wanted = config.store.kind == StoreKind::ClickHouse || tailing::source(config).is_some();
        config.store.clickhouse.as_ref().filter(|_| wanted)
    }

    /// Starts the thread. The gateway of this state directory must have been started: it makes the control database.
    ///
    /// # Errors
    /// What the configuration names can't be used, or the system gives no thread. An unreachable server is no error.
    pub(crate) fn start(config: &Config, clickhouse: &ClickHouse) -> Result<Self, Failure> {
        let broken =
            |error: Box<dyn std::error::Error + Send + Sync>| Failure::broken("can't ship to ClickHouse", error);
        let layout = Layout::new(&config.state_dir);
        let store = ParquetStore::open_read_only(Arc::new(RealDisk), &layout.parquet());
        let control = Control::open(&layout.control()).map_err(|error| broken(error.into()))?;
        let form = clickhouse::form(clickhouse, None)?;
        let options = ShipOptions {
            gateway_id: config.gateway.id.clone(),
            keep_ms: KEEP_MS,
            max_rows: MAX_ROWS.max(config.store.seal_limits().rows),
            memory: Some(layout.shipping()),
            // No desk needs to wait for a gateway that receives nothing.
            feed: clickhouse.feed && config.hears(),
            mends: true,
        };
        let server = clickhouse::server(clickhouse)?;
        let shipper = Shipper::new(store, control, server, form.clone(), options);
        let shipper = shipper.over_shards(clickhouse::shards(clickhouse)?);
        let shipped = shipper.shipped().map_err(|error| broken(error.into()))?;
        let (shown, shipped) = watch::channel(shipped);
        let shipper = shipper.show(shown);
        let findings = config.desk.enabled.then(|| -> Result<_, Failure> {
            let control = Control::open(&layout.control()).map_err(|error| broken(error.into()))?;
            Ok(FindingsShipper::new(control, clickhouse::server(clickhouse)?, form.clone(), &config.gateway.id))
        });
        let findings = findings.transpose()?;
        let records = (config.store.kind == StoreKind::ClickHouse).then_some(shipper);
        let mut servers = clickhouse::shards(clickhouse)?;
        if servers.is_empty() {
            servers.push(clickhouse::server(clickhouse)?);
        }
        let ways = Ways { servers, records, findings };
        let (end, gateway_id) = (Arc::new(End::default()), config.gateway.id.clone());
        let (answered, answer) = watch::channel((false, "ClickHouse has not been asked yet".to_owned()));
        let (alive, ended) = mpsc::channel();
        let theirs = Arc::clone(&end);
        let work = move || {
            ship(ways, (&form, &gateway_id), &theirs, &answered);
            drop(alive);
        };
        let spawned = std::thread::Builder::new().name("ship".to_owned()).spawn(work);
        spawned.map_err(|error| broken(error.into()))?;
        Ok(Self { end, ended, shipped, answer })
    }

    /// Whether ClickHouse took what was last sent to it, and what it said; kept up to date.
    pub(crate) fn answer(&self) -> watch::Receiver<Answer> {
        self.answer.clone()
    }

    /// The progress of shipping, kept up to date.
    pub(crate) fn shipped(&self) -> watch::Receiver<Shipped> {
        self.shipped.clone()
    }

    /// Requests the end and waits for it for a bounded time; the last sealed ranges are shipped if the server accepts
    /// them at once.
    pub(crate) fn stop(self) {
        self.ask();
        match self.ended.recv_timeout(END_WITHIN) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("ClickHouse has not answered yet; the next start asks it again")
            }
        }
    }

    fn ask(&self) {
        *self.end.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.rung.notify_all();
    }
}

impl Drop for Shipping {
    fn drop(&mut self) {
        self.ask();
    }
}

/// The shippers that the configuration asks for.
struct Ways {
    /// One of each shard.
    servers: Vec<Server>,
    records: Option<Shipper>,
    findings: Option<FindingsShipper>,
}

impl Ways {
    /// Ships everything new of both.
    fn ship(&mut self, wait: &mut dyn FnMut(Duration) -> Go) -> Result<Ended, Box<dyn std::error::Error>> {
        if let Some(records) = &mut self.records
            && records.ship(wait)? == Ended::Stopped
        {
            return Ok(Ended::Stopped);
        }
        match &mut self.findings {
            Some(findings) => Ok(findings.ship(wait)?),
            None => Ok(Ended::Done),
        }
    }
}

/// Whether ClickHouse took what was last sent to it, and a sentence about that.
pub(crate) type Answer = (bool, String);

fn ship(mut ways: Ways, (form, gateway_id): (&Form, &str), end: &End, answered: &watch::Sender<Answer>) {
    let mut wait = LOOK;
    let tell = |is_good: bool, why: &str| {
        answered.send_if_modified(|answer| {
            let is_new = *answer != (is_good, why.to_owned());
            *answer = (is_good, why.to_owned());
            is_new
        });
    };
    while !is_ready(&ways.servers, form, gateway_id) {
        tell(false, "ClickHouse can't be reached, or its tables can't be used; the log says why");
        if end.wait(wait) == Go::Stop {
            return;
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    loop {
        let tried_again = |how_long| {
            tell(false, "ClickHouse did not take what was last sent; it is tried again");
            end.wait(how_long)
        };
        match ways.ship(&mut { tried_again }) {
            Ok(Ended::Stopped) => return,
            Ok(Ended::Done) => {
                tell(true, "ClickHouse has taken everything that was sent");
                if end.wait(LOOK) == Go::Stop {
                    break;
                }
            }
            Err(error) => {
                tell(false, "what ClickHouse is to take can't be sent; the log says why");
                tracing::error!(error = zenei_store::with_causes(&*error), "shipping is tried again");
                if end.wait(LONGEST_WAIT) == Go::Stop {
                    return;
                }
            }
        }
    }
    // The ranges and findings of the stop.
    if let Err(error) = ways.ship(&mut |_| Go::Stop) {
        tracing::warn!(error = zenei_store::with_causes(&*error), "the rest is shipped by the next start");
    }
}

/// Whether the servers have the tables and count a doubled insert once. Logs the reason if not.
fn is_ready(servers: &[Server], form: &Form, gateway_id: &str) -> bool {
    // On a cluster each statement is sent to all of them.
    let Some(any) = servers.first() else { return false };
    match schema::apply(any, form) {
        Ok(_) => {}
        Err(ApplyError::Statement { source: trouble @ ServerError::Unknown { .. }, .. }) => {
            tracing::warn!(%trouble, "nothing is shipped until ClickHouse answers");
            return false;
        }
        // Perhaps this user may only insert, and the tables were made by another.
        Err(error @ ApplyError::Statement { .. }) => {
            tracing::warn!(
                error = zenei_store::with_causes(&error),
                "the tables of ClickHouse are not looked after from here"
            );
        }
        Err(error @ (ApplyError::Changed { .. } | ApplyError::Newer { .. })) => {
            tracing::error!(error = zenei_store::with_causes(&error), "nothing is shipped until this is mended");
            return false;
        }
    }
    let mut shards = servers.iter().enumerate();
    shards.all(|(shard, server)| match self_test(server, form, gateway_id) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(shard, error = zenei_store::with_causes(&error), "nothing is shipped until this is mended");
            false
        }
    })
}
