//! Asks the HTTP server of a zenei that runs here: one GET, with a bound on time and size. Must not know what is
//! answered. Called by `top` and `doctor`.
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the server may take; a guess, far above a round trip on one machine.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than `/metrics` ever has. A guess.
const MAX_BYTES: u64 = 1 << 20;

/// Status and body of the answer to `GET path`, with this bearer token where there is one.
///
/// # Errors
/// Why there is no answer that can be read, in words.
pub(crate) fn get(listen: SocketAddr, path: &str, token: Option<&str>) -> Result<(u16, String), String> {
    let address = reachable(listen);
    let said = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(said)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(said)?;
    let proof = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{proof}\r\n");
    stream.write_all(request.as_bytes()).map_err(said)?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).map_err(said)?;
    let answer = String::from_utf8(answer).map_err(|_| "the answer is no text".to_owned())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| "the answer is no HTTP".to_owned())?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    Ok((status.ok_or_else(|| "the answer is no HTTP".to_owned())?, body.to_owned()))
}

/// Where a server that listens there is reached from this machine.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    if !listen.ip().is_unspecified() {
        return listen;
    }
    let ip = match listen.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
