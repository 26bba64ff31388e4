//! No secret appears in what the program prints, logs or stores, whatever the remotes answer: each secret of the
//! configuration is a canary, and each remote refuses it and repeats all that it was sent.
use crate::steps::with_incident;
use crate::support::{Folder, zenei};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::program;
use zenei_store::{Control, Layout};

/// A guess, for a machine whose cores are all busy.
const WITHIN: Duration = Duration::from_secs(120);
/// "canary" as it is, in base64 at the beginning of three bytes, and in hexadecimal digits.
const FORMS: [&str; 3] = ["canary", "Y2FuYXJ5", "63616e617279"];
/// The files of secrets; each is long enough for its target.
const SECRETS: [(&str, &str); 12] = [
    ("mqtt.pw", "canary-mqtt-password"),
    ("clickhouse.pw", "canary-clickhouse-password"),
    ("bind.key", "63616e6172792d62696e642d6b657921"),
    ("webhook.secret", "whsec_Y2FuYXJ5LXdlYmhvb2stc2lnbmluZy1rZXkh"),
    ("pagerduty.key", "canary-pagerduty-routing-key-012"),
    ("slack.token", "xoxb-canary-slack-token"),
    ("slack.signing", "canary-slack-signing-secret"),
    ("waroom.key", "canary-waroom-integration-key"),
    ("waroom.api", "canary-waroom-api-key"),
    ("alertmanager.pw", "canary-alertmanager-password"),
    ("alertmanager.token", "canary-alertmanager-webhook-token"),
    ("am.token", "canary-alertmanager-token"),
];
/// The first byte of MQTT's packet that connects.
const MQTT_CONNECT: u8 = 0x10;
/// The targets, by name.
const TARGETS: [&str; 7] = ["am", "am2", "hook", "pager", "room", "slack", "web"];

/// A remote that refuses everything, and repeats it as JSON, as text or with an error that looks like Slack's.
struct Echo {
    address: String,
    heard: Arc<Mutex<String>>,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (Ok(stream), kept) = (stream, Arc::clone(&kept)) else { return };
                // A client that ends first is no matter, and one that does not speak HTTP is never answered.
                std::thread::spawn(move || drop(answer(stream, number, &kept)));
            }
        });
        Self { address, heard }
    }
}

fn answer(mut stream: TcpStream, number: usize, heard: &Mutex<String>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(WITHIN))?;
    let mut first = [0; 1];
    stream.peek(&mut first)?;
    if first[0] == MQTT_CONNECT {
        let mut bytes = [0; 1_024];
        loop {
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                return Ok(());
            }
            heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut said, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        said.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    said.push_str(&String::from_utf8_lossy(&body));
    heard.lock().unwrap().push_str(&said);
    let text = serde_json::Value::from(said.as_str());
    let json = format!(r#"{{"ok":false,"error":{text},"errors":[{text}],"message":{text},"status":{text}}}"#);
    let (status, body) = match number % 4 {
        0 => ("401 Unauthorized", json),
        1 => ("200 OK", json),
        2 => ("500 Internal Server Error", said),
        _ => ("400 Bad Request", said),
    };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// A state directory with an incident, and a configuration in which each secret is a canary.
fn configured(echo: &Echo) -> (Folder, String) {
    let (folder, id) = with_incident();
    SECRETS.iter().for_each(|(name, secret)| folder.write(name, secret));
    let at = &echo.address;
    folder.write("hook.url", &format!("http://{at}/services/T0/canary-hook-path?token=canary-hook-query"));
    folder.write("web.url", &format!("http://{at}/canary-webhook-path"));
    let registry = "device_id,customer,site,door,service,gateway,model,hw_rev,lot,installed_at,address,bind_key_file\n\
        BL1,c1,tokyo-01,front,homehub,gw-01,bitlock-mini,C2,2025W31,2025-09-01T00:00:00Z,aa:bb:cc:dd:ee:ff,bind.key\n";
    folder.write("locks.csv", registry);
    folder.write(
        "zenei.toml",
        &format!(
            "state_dir = 'state'\n[ingress]\nlisten = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'\ntoken_file = 'tokens'\n\
             [mqtt]\nurl = 'mqtt://{at}'\nusername = 'zenei'\npassword_file = 'mqtt.pw'\n\
             [registry]\nfile = 'locks.csv'\n[store]\nkind = 'clickhouse'\n\
             [store.clickhouse]\nurl = 'http://{at}'\nuser = 'zenei'\npassword_file = 'clickhouse.pw'\n\
             [desk]\nenabled = true\n\
             [notify.hook]\nkind = 'slack'\nallow_private = true\nwebhook_url_file = 'hook.url'\n\
             [notify.slack]\nkind = 'slack'\nallow_private = true\nbase_url = 'http://{at}'\n\
             token_file = 'slack.token'\nsigning_secret_file = 'slack.signing'\ninquiry_channel = '#inquiries'\n\
             [notify.web]\nkind = 'webhook'\nallow_private = true\nurl_file = 'web.url'\n\
             secret_file = 'webhook.secret'\n\
             [notify.pager]\nkind = 'pagerduty'\nallow_private = true\nbase_url = 'http://{at}'\n\
             routing_key_file = 'pagerduty.key'\n\
             [notify.room]\nkind = 'waroom'\nallow_private = true\nbase_url = 'http://{at}'\n\
             integration_key_file = 'waroom.key'\napi_key_file = 'waroom.api'\n\
             [notify.am]\nkind = 'alertmanager'\nallow_private = true\nurl = 'http://{at}'\nusername = 'zenei'\n\
             password_file = 'alertmanager.pw'\nwebhook_token_file = 'alertmanager.token'\n\
             [notify.am2]\nkind = 'alertmanager'\nallow_private = true\nurl = 'http://{at}'\n\
             token_file = 'am.token'\n"
        ),
    );
    (folder, id)
}

/// Where a canary is: a name, and what stands around it.
fn sung(name: &str, bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let places = FORMS.iter().filter_map(|form| text.find(form));
    places.map(|at| format!("{name}: {:?}", around(&text, at))).collect()
}

fn around(text: &str, at: usize) -> String {
    let before: String = text[..at].chars().rev().take(400).collect();
    before.chars().rev().chain(text[at..].chars().take(80)).collect()
}

/// The same in every file of a folder.
fn sung_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sung_in(&path));
        } else if path.is_file() {
            found.extend(sung(&path.display().to_string(), &std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// Runs a command to its end; whatever its code is, it sings nothing.
fn quiet(folder: &Folder, arguments: &[&str]) -> String {
    let ended = zenei(arguments).in_folder(folder).run();
    let both = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(sung(&arguments.join(" "), both.as_bytes()), Vec::<String>::new());
    both
}

/// Logs in, changes something and reads with a token and with a session; the session's secret, and all answers but that
/// of the login.
fn over_http(out: &Path, token: &str) -> (String, String) {
    let address = within(WITHIN, || {
        let said = std::fs::read_to_string(out).unwrap_or_default();
        said.split_once("http://").map(|(_, rest)| rest.split('/').next().unwrap().to_owned())
    });
    let address = address.unwrap();
    let ask = |method: &str, path: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\nconnection: close");
        write!(stream, "{head}\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let form = "content-type: application/x-www-form-urlencoded";
    let login = ask("POST", "/login", form, &format!("token={token}"));
    let session = login.split_once("zenei_session=").unwrap().1.split(';').next().unwrap().to_owned();
    let mut answers = String::new();
    for headers in [format!("authorization: Bearer {token}"), format!("cookie: zenei_session={session}")] {
        for path in ["/", "/metrics", "/readyz", "/api/v1/audit", "/api/v1/incidents", "/nothing"] {
            answers += &ask("GET", path, &headers, "");
        }
        answers += &ask("POST", "/api/v1/incidents/0/events", &headers, "{}");
    }
    // Where a person types it by mistake.
    answers += &ask("GET", "/metrics", &format!("authorization: Basic {token}"), "");
    (session, answers)
}

/// How many targets were tried, or gave up, on a message.
fn tried(folder: &Folder) -> usize {
    let control = Control::open_read_only(&Layout::new(&folder.path().join("state")).control()).unwrap();
    let waiting = control.undelivered().unwrap();
    let is_tried = |name: &str| {
        let mut rows = waiting.iter().filter(|row| row.target == name).peekable();
        rows.peek().is_none() || rows.any(|row| row.attempt > 0)
    };
    TARGETS.iter().filter(|name| is_tried(name)).count()
}

#[test]
fn no_secret_is_printed_logged_or_stored_though_every_remote_repeats_it() {
    let echo = Echo::start();
    let (folder, id) = configured(&echo);
    let token = zenei(&["token", "add", "sato", "--role", "admin"]).in_folder(&folder).run().stdout.trim().to_owned();
    assert_eq!(token.len(), 49);
    let shown = quiet(&folder, &["config", "show"]);
    assert!(shown.contains("slack.token") && shown.contains("clickhouse.pw"), "the files are named: {shown}");
    assert_eq!(quiet(&folder, &["config", "check"]).lines().filter(|line| line.contains("error")).count(), 0);
    quiet(&folder, &["doctor"]);
    for target in TARGETS {
        quiet(&folder, &["notify", "test", target]);
    }
    let (log, out) = (folder.path().join("log"), folder.path().join("out"));
    let mut command = program::command(env!("CARGO_BIN_EXE_zenei"), ["run", "--log", "trace"]);
    command.current_dir(folder.path()).stdout(File::create(&out).unwrap()).stderr(File::create(&log).unwrap());
    let mut daemon = command.stdin(Stdio::null()).spawn().unwrap();
    let socket = folder.path().join("state/desk.sock");
    let is_up = within(WITHIN, || socket.exists().then_some(()));
    let acknowledged = is_up.map(|()| zenei(&["incident", "ack", &id, "--by", "sato"]).in_folder(&folder).run());
    let said = is_up.map(|()| over_http(&out, &token));
    let all = within(WITHIN, || (tried(&folder) == TARGETS.len()).then_some(()));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let logged = std::fs::read_to_string(&log).unwrap();
    let acknowledged = acknowledged.unwrap_or_else(|| panic!("no daemon: {logged}"));
    assert_eq!((acknowledged.code, acknowledged.stderr.as_str()), (0, ""));
    assert!(all.is_some() && logged.contains("TRACE"), "{} targets were tried: {logged}", tried(&folder));
    quiet(&folder, &["incident", "show", &id]);
    quiet(&folder, &["incident", "list"]);
    // A token and a session's secret are random: each is looked for by itself.
    let (session, answers) = said.unwrap();
    for secret in [&token[6..], &session] {
        assert!(!answers.contains(secret) && !logged.contains(secret), "it is told or logged");
        assert_eq!(folder.holding(secret), Vec::<String>::new());
    }
    assert!(logged.contains("/login"), "the log tells of the login");
    let mut found = sung("log", logged.as_bytes());
    found.extend(sung("out", &std::fs::read(&out).unwrap()));
    found.extend(sung_in(&folder.path().join("state")));
    assert_eq!(found, Vec::<String>::new());
    // The check can tell, and the remotes did repeat them.
    assert!(SECRETS.iter().all(|(name, secret)| !sung(name, secret.as_bytes()).is_empty()));
    let heard = echo.heard.lock().unwrap();
    let sent = ["canary-clickhouse-password", "canary-pagerduty", "canary-slack-token", "canary-waroom-integration"];
    let sent = sent.into_iter().chain(["canary-alertmanager-token", "canary-hook-path", "canary-webhook-path"]);
    let sent = sent.chain(["canary-mqtt-password"]);
    let missing: Vec<&str> = sent.filter(|secret| !heard.contains(secret)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "these were never sent");
    assert!(!sung("heard", heard.as_bytes()).is_empty());
}
