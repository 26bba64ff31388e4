//! The HTTP server: who reaches it, who may ask, and what the zenei that runs says of itself. Must not change anything;
//! asks `/readyz` only, which needs no token. Called by `doctor`.
use super::look::Look;
use crate::config::Http;
use crate::daemon::own_http;
use serde_json::Value as Json;
use std::os::unix::fs::PermissionsExt as _;

/// Who may ask, and whether what runs is ready.
pub(super) fn looks(http: &Http) -> Vec<Look> {
    std::iter::once(exposure(http)).chain(ready(http)).collect()
}

fn exposure(http: &Http) -> Look {
    let what = "tokens";
    let listen = http.listen;
    let Some(file) = &http.token_file else {
        if listen.ip().is_loopback() {
            return Look::ok(what, "none: this machine may read, and nobody may change anything over HTTP");
        }
        let remedy = "set `http.token_file` and run `zenei token add`, or listen on loopback";
        return Look::fail(
            what,
            format!("{listen} is reached from other machines, and nobody must prove anything"),
            remedy,
        );
    };
    let shown = file.display();
    let (text, mode) = match (std::fs::read_to_string(file), std::fs::metadata(file)) {
        (Ok(text), Ok(meta)) => (text, meta.permissions().mode()),
        (Err(error), _) | (_, Err(error)) => {
            return Look::fail(what, format!("{shown} can't be read: {error}"), "`zenei token add` makes it");
        }
    };
    let is_token = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let count = text.lines().filter(is_token).count();
    if mode & 0o077 != 0 {
        let found = format!("others on this machine can read {shown}");
        return Look::warn(what, found, format!("chmod 600 {shown}"));
    }
    if count == 0 {
        return Look::warn(what, format!("{shown} holds none: nobody can change anything"), "`zenei token add`");
    }
    Look::ok(what, format!("{count} in {shown}"))
}

/// What a running zenei says; nothing where none answers, which the look at the port tells.
fn ready(http: &Http) -> Option<Look> {
    let (status, body) = own_http::get(http.listen, "/readyz", None).ok()?;
    let body: Json = serde_json::from_str(&body).ok()?;
    let lacking = |part: &Json| {
        let (name, why) = (part["name"].as_str()?, part["why"].as_str().unwrap_or(""));
        (part["ready"] == Json::Bool(false)).then(|| format!("{name}: {why}"))
    };
    let lacks: Vec<String> = body["parts"].as_array()?.iter().filter_map(lacking).collect();
    if status == 200 && lacks.is_empty() {
        return Some(Look::ok("ready", "the zenei that runs here is ready"));
    }
    let found = if lacks.is_empty() { "the zenei that runs here is not ready".to_owned() } else { lacks.join("; ") };
    Some(Look::warn("ready", found, "mend what it names; `zenei top` shows when it has come back"))
}
