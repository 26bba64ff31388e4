//! The routes that are asked, and how long each takes. Must not know the program's inside. Called by the benchmark of
//! the pages.
use super::client::Client;
use super::daemon::Daemon;
use crate::cost::Marks;
use firmware_sim::Fleet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The paths: `{lock}` and `{incident}` are another one at each request, `{fw}` and `{other}` two firmware versions.
const PATHS: [&str; 42] = [
    "/",
    "/incidents",
    "/incidents/{incident}",
    "/incidents/{incident}/chart.svg",
    "/silences",
    "/locks/{lock}",
    "/locks/{lock}/series.json",
    "/fleet",
    "/fleet?fw={fw}",
    "/fleet?text=77",
    "/fleet/batteries?days=30",
    "/fleet/batteries.csv?days=30",
    "/fleet/compare?dimension=fw&a={fw}&b={other}",
    "/fleet/compare/series.json?dimension=fw&a={fw}&b={other}",
    "/rules",
    "/rules/motor-effort",
    "/gateways",
    "/ble",
    "/dead-letters",
    "/search?q=77",
    "/metrics",
    "/readyz",
    "/api/v1/incidents",
    "/api/v1/incidents/{incident}",
    "/api/v1/silences",
    "/api/v1/locks",
    "/api/v1/locks?limit=500",
    "/api/v1/locks?fw={fw}&sort=errors",
    "/api/v1/locks/{lock}",
    "/api/v1/locks/{lock}/series",
    "/api/v1/cohorts/fw",
    "/api/v1/cohorts/fw/{fw}/series",
    "/api/v1/cohorts/compare?dimension=fw&a={fw}&b={other}",
    "/api/v1/gateways",
    "/api/v1/receptions",
    "/api/v1/dead-letters",
    "/api/v1/search?q=77",
    "/api/v1/rules",
    "/api/v1/metrics/inquiries",
    "/api/v1/metrics/progress",
    "/api/v1/metrics/lead_time",
    "/api/openapi.json",
];

/// A route and what it took.
#[derive(Clone, Debug)]
pub struct Route {
    /// The path, with its places.
    pub path: &'static str,
    /// How long each answer took, ms.
    pub ms: Vec<f64>,
    /// The size of the largest answer, bytes.
    pub bytes: usize,
    /// Status and path of each answer that is not 200.
    pub failed: Vec<(u16, String)>,
}

/// What stands in the places of a path.
pub(super) struct Places {
    locks: Vec<String>,
    incidents: Vec<String>,
    fw: [String; 2],
}

/// What can be asked of this program.
pub(super) fn all(daemon: &Daemon, fleet: &Fleet) -> Places {
    let mut client = Client::connect(daemon.http);
    let incidents = client.get("/api/v1/incidents?limit=200").json();
    let ids = incidents["incidents"].as_array().expect("incidents are listed").iter();
    let fw = client.get("/api/v1/cohorts/fw").json();
    let word = |at: usize| fw["values"][at]["value"].as_str().expect("two versions are in the field").to_owned();
    let known = client.get("/api/v1/locks?limit=500").json();
    let known: Vec<&str> = known["locks"]
        .as_array()
        .expect("locks are listed")
        .iter()
        .filter_map(|lock| lock["device_id"].as_str())
        .collect();
    let locks = fleet.locks().iter().map(|lock| lock.device_id.clone());
    // In a small fleet some have said nothing yet.
    let locks = locks.filter(|lock| known.len() >= 500 || known.contains(&lock.as_str()));
    Places {
        locks: locks.collect(),
        incidents: ids.filter_map(|incident| Some(incident["id"].as_str()?.to_owned())).collect(),
        fw: [word(0), word(1)],
    }
}

impl Places {
    fn filled(&self, path: &str, number: usize) -> String {
        // Far apart, so that no page of a file serves two of them.
        let lock = &self.locks[number * 7_919 % self.locks.len()];
        let incident = &self.incidents[number % self.incidents.len()];
        let path = path.replace("{lock}", lock).replace("{incident}", incident);
        path.replace("{fw}", &self.fw[0]).replace("{other}", &self.fw[1])
    }
}

/// Asks each route so often, by so many clients at a time; every client goes through all routes in turn.
pub(super) fn ask(daemon: &Daemon, places: &Places, turns: usize, clients: usize) -> Vec<Route> {
    let route = |path| Mutex::new(Route { path, ms: Vec::new(), bytes: 0, failed: Vec::new() });
    let routes: Vec<Mutex<Route>> = PATHS.into_iter().map(route).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = Client::connect(daemon.http);
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= turns * routes.len() {
                        break;
                    }
                    one(&mut client, places, &routes[number % routes.len()], number / routes.len());
                }
            });
        }
    });
    routes.into_iter().map(|route| route.into_inner().expect("no client panicked")).collect()
}

fn one(client: &mut Client, places: &Places, route: &Mutex<Route>, turn: usize) {
    let path = places.filled(route.lock().expect("no client panicked").path, turn);
    let (answer, ms) = loop {
        let began = Marks::now(None);
        let answer = client.get(&path);
        let ms = Marks::now(None).since(began).wall_s * 1_000.0;
        if answer.status != 429 {
            break (answer, ms);
        }
        // The server lets this machine ask 500 times a second.
        std::thread::park_timeout(Duration::from_secs(1));
    };
    let mut route = route.lock().expect("no client panicked");
    if answer.status == 200 {
        route.ms.push(ms);
    } else {
        route.failed.push((answer.status, path));
    }
    route.bytes = route.bytes.max(answer.body.len());
}
