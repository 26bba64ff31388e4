//! `zenei doctor`: what would prevent zenei from running here, and what to do about it. It logs in at the broker,
//! connects to ClickHouse and to zenei's own HTTP server, binds the listening ports for a moment, asks BlueZ over
//! D-Bus, asks each target of messages for what opens nothing there, and writes a temporary file into the state
//! directory (or the folder in which that would be made) and removes it; nothing else changes. The addresses are those
//! of the configuration; without a `zenei.toml` they are the usual local ones, and these are contacted just the same.
//! Called by `cmd`.
mod bluetooth;
mod broker;
mod look;
mod notify;
mod state;
mod web;

use crate::cli::WithConfig;
use crate::config::{self, Config, Loaded, Problems, StoreKind};
use crate::daemon::contents;
use crate::exit::Failure;
use crate::output::{Colour, Output, escaped};
use look::{Judged, Look, PATIENCE};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

/// What is checked where there is no configuration: the usual places on one machine.
const USUAL_PLACES: &str = "the usual places";
const USUAL: &str = "state_dir = 'zenei-state'\n[mqtt]\nurl = 'mqtt://127.0.0.1:1883'\n[ingress]\nlisten = '127.0.0.1:1884'\n[ble]\n\
    [store.clickhouse]\nurl = 'http://127.0.0.1:8123'\n[http]\nlisten = '127.0.0.1:8080'\n";

/// Runs `doctor`.
///
/// # Errors
/// [`Failure::Unreachable`] where a check failed, [`Failure::Config`] where the configuration is bad.
pub(crate) fn run(arguments: &WithConfig, out: &mut Output<'_>) -> Result<(), Failure> {
    let (loaded, first) = match configuration(&arguments.file.config) {
        Ok(found) => found,
        Err(problems) => {
            let remedy = "mend what is named below; `zenei config check` tells the same";
            tell(&Look::fail("config", problems.file.clone(), remedy), arguments.json, out)?;
            out.flush()?;
            return Err(Failure::Config(problems));
        }
    };
    let mut failed = 0;
    for look in std::iter::once(first).chain(looks(&loaded.config, loaded.file != USUAL_PLACES)) {
        failed += usize::from(look.verdict == Judged::Fail);
        tell(&look, arguments.json, out)?;
        out.flush()?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Unreachable("1 check failed".to_owned())),
        more => Err(Failure::Unreachable(format!("{more} checks failed"))),
    }
}

fn tell(look: &Look, json: bool, out: &mut Output<'_>) -> Result<(), Failure> {
    if json {
        return out.json(&serde_json::json!({"version": 1, "check": look.what, "verdict": look.verdict.as_str(),
            "found": look.found, "remedy": look.remedy}));
    }
    let colour = match look.verdict {
        Judged::Ok => Colour::Green,
        Judged::Warn => Colour::Yellow,
        Judged::Fail => Colour::Red,
    };
    let verdict = out.paint(colour, &format!("{:<4}", look.verdict.as_str()));
    let remedy = if look.remedy.is_empty() { String::new() } else { format!("; {}", look.remedy) };
    out.line(format!("{verdict}  {:<10}  {}{remedy}", look.what, escaped(&look.found)))
}

/// The configuration, or the usual places where no file was named and `zenei.toml` does not exist.
fn configuration(path: &Path) -> Result<(Loaded, Look), Problems> {
    let variables = config::variables();
    if path == Path::new("zenei.toml") && !path.exists() {
        let working = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let loaded = config::parse(USUAL_PLACES, USUAL, &working, &variables)?;
        let remedy = "`zenei config init > zenei.toml` makes one; looking at the usual places instead";
        return Ok((loaded, Look::warn("config", "no zenei.toml here", remedy)));
    }
    let loaded = config::load(path, &variables)?;
    let contents = contents::read(&loaded)?;
    let look = match (config::usable(&loaded), config::runnable(&loaded)) {
        (Ok(()), Ok(())) => Look::ok("config", format!("{}: {}", loaded.file, contents.summary())),
        (Err(problems), _) => {
            Look::fail("config", problems.to_string().replace('\n', "; "), "`zenei run` refuses it; mend the key")
        }
        (Ok(()), Err(problems)) => {
            Look::warn("config", problems.to_string().replace('\n', "; "), "`zenei run` would refuse it")
        }
    };
    Ok((loaded, look))
}

fn looks(config: &Config, is_configured: bool) -> impl Iterator<Item = Look> {
    let mut looks = state::looks(config);
    if let Some(mqtt) = &config.mqtt {
        // A login without TLS would show the password to whoever listens on the way.
        let is_tls = mqtt.url.starts_with("mqtts:");
        looks.push(if is_tls { tls_broker(&mqtt.url) } else { broker::look(mqtt, &config.gateway.id) });
    }
    if let Some(ingress) = &config.ingress {
        looks.push(port("ingress", ingress.listen));
    }
    if let Some(http) = &config.http {
        looks.push(port("http", http.listen));
        looks.extend(web::looks(http));
    }
    if let Some(ble) = &config.ble {
        looks.push(bluetooth::look(ble, config.http.as_ref().map(|http| http.listen), is_configured));
    }
    if let Some(clickhouse) = &config.store.clickhouse {
        looks.push(clickhouse_ping(&clickhouse.url, config.store.kind));
        if config.store.kind == StoreKind::ClickHouse {
            looks.push(state::shipping(&config.state_dir));
        }
    }
    looks.extend(notify::looks(config));
    looks.into_iter()
}

fn port(what: &'static str, listen: SocketAddr) -> Look {
    match TcpListener::bind(listen) {
        Ok(_) => Look::ok(what, format!("{listen} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Look::warn(
            what,
            format!("{listen} is in use"),
            "fine while zenei runs; else end what holds it, or choose another port",
        ),
        Err(error) => {
            Look::fail(what, format!("{listen} can't be listened on: {error}"), "choose an address of this machine")
        }
    }
}

fn tls_broker(url: &str) -> Look {
    match connect(url, 8883) {
        Ok(_) => Look::warn("broker", format!("{url} listens; it was asked for nothing"), "TLS is not available"),
        Err(what) => Look::fail("broker", format!("{url}: {what}"), "start the broker, or mend `mqtt.url`"),
    }
}

fn clickhouse_ping(url: &str, kind: StoreKind) -> Look {
    let asked = connect(url, 8123).and_then(|mut stream| {
        let asked = stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n"))
            .and_then(|()| {
                let mut answer = Vec::new();
                stream.take(4096).read_to_end(&mut answer).map(|_| answer)
            });
        let answer = asked.map_err(|error| error.to_string())?;
        let good = answer.starts_with(b"HTTP/1.") && answer.windows(3).any(|bytes| bytes == b"Ok.");
        if good { Ok(()) } else { Err("something else than ClickHouse answers".to_owned()) }
    });
    let remedy = match kind {
        StoreKind::ClickHouse => "start ClickHouse, or mend `store.clickhouse.url`",
        StoreKind::Parquet => "start ClickHouse, or keep to Parquet and remove [store.clickhouse]",
    };
    match asked {
        Ok(()) => Look::ok("clickhouse", format!("{url} answers")),
        Err(what) => Look::fail("clickhouse", format!("{url}: {what}"), remedy),
    }
}

/// Connects to the first address of a URL's host that answers.
fn connect(url: &str, default_port: u16) -> Result<TcpStream, String> {
    let (host, port) = config::host_and_port(url, default_port);
    let resolved = (host.as_str(), port).to_socket_addrs();
    let addresses = resolved.map_err(|error| format!("the name can't be resolved: {error}"))?;
    let mut said = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => said = error.to_string(),
        }
    }
    Err(said)
}
