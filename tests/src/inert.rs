//! Tests that what a lock, a publisher, a registry or a caller wrote is inert on every page: such text is published
//! over MQTT and registered, then each page is read in both languages. Judges the bytes of the answers; must not know a
//! template. The search for markup finds it in the raw text.
use crate::daemon::{Daemon, Site};
use crate::metrics::{get, get_with};
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::mqtt::Client;

/// How long what was published may take to be on a page; a guess for a busy machine.
const SHOWN_WITHIN: Duration = Duration::from_secs(120);

/// Leaves an attribute and an element, runs a script, is a template's expression, a table's formula, and turned text. A
/// text of a lock has at most 256 bytes and no control character.
const HOSTILE: &str = "=cmd|'/C x'!A0\"'></textarea></title><script>alert(1)</script><img src=x onerror=alert(1)>{{7*191}}{%raw%}\u{202e}evil";

/// What can't be part of a name of MQTT, nor of a text of a lock; a dead letter may hold it.
const CONTROLS: &str = "\u{1b}[31m<svg/onload=alert(1)>\r\nSet-Cookie: a=b\n\ndata: x";

/// What of an answer could run, mislead or be calculated; `None` where nothing can.
fn danger(text: &str) -> Option<&'static str> {
    let marks =
        ["<script>alert", "<img src=x", "<svg/onload", "</textarea></title>", "\u{202e}", "\u{1b}", "{%raw%}<", "1337"];
    let of_table = text.lines().flat_map(|line| line.split(',')).any(|cell| cell.trim_matches('"').starts_with('='));
    marks.into_iter().find(|mark| text.contains(mark)).or(of_table.then_some("a cell is a formula"))
}

/// A path with the text as its query's or its own part.
fn with(path: &str) -> String {
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    path.replace("{}", &encoded)
}

/// Every page that a reader may ask for, and what is downloaded from them.
const PATHS: [&str; 30] = [
    "/",
    "/incidents",
    "/incidents?status={}&domain={}&urgency={}",
    "/incidents/{}",
    "/incidents/{}/chart.svg",
    "/locks/BL1",
    "/locks/BL1?days={}",
    "/locks/{}",
    "/locks/BL1/series.json",
    "/fleet",
    "/fleet?fw={}&text={}&site={}&after={}",
    "/fleet?fw={}",
    "/fleet/batteries?days=365",
    "/fleet/batteries.csv?days=365",
    "/fleet/compare?dimension=fw",
    "/fleet/compare?dimension=fw&a={}&b=1.2.3",
    "/fleet/compare?dimension=lot&a={}&b={}",
    "/fleet/compare?dimension={}",
    "/fleet/compare/series.json?dimension=fw&a={}&b={}",
    "/rules",
    "/rules/{}",
    "/gateways",
    "/ble",
    "/dead-letters",
    "/search?q={}",
    "/search?q=BL",
    "/silences",
    "/silences?rule={}&reason={}&scope_value={}&device={}",
    "/login?failed=1&next={}",
    "/{}",
];

/// A daemon that heard the text in every place where a publisher can put it, and shows it.
fn told() -> (Site, Daemon) {
    let site = Site::new(
        "[gateway]\nid = 'gw-test'\nsite = 'site-test'\n[ingress]\nlisten = '127.0.0.1:0'\n\
         [registry]\nfile = 'locks.csv'\n[store]\nseal_s = 1\n[desk]\nenabled = true",
    );
    let quoted = format!("\"{}\"", HOSTILE.replace('"', "\"\""));
    let registry = format!(
        "device_id,site,customer,model,hw_rev,lot,service\nBL1,site-test,{quoted},{quoted},{quoted},{quoted},{quoted}\n"
    );
    std::fs::write(site.folder.path().join("locks.csv"), registry).expect("a registry can be written");
    let daemon = site.start();
    let mut client = Client::connect(daemon.ingress(), "hub").expect("the ingress takes a publisher");
    let mut publish = |topic: &str, payload: &str| {
        client.publish(topic, payload.as_bytes()).expect("a message is acknowledged");
    };
    let text = HOSTILE.replace('"', "\\\"");
    for seq in 0..8 {
        let record = format!(
            r#"{{"ts":{},"boot":1,"seq":{seq},"battery_mv":2400,"battery_pct":9,"fw":"{text}"}}"#,
            1_777_626_000_000_u64 + seq * 3_600_000
        );
        publish("bitlock/v1/site-test/BL1/state", &record);
    }
    publish(&format!("bitlock/v1/site-test/BL1/{HOSTILE}"), HOSTILE);
    publish("bitlock/v1/site-test/BL1/state", &format!("{{\"a\":{HOSTILE}{CONTROLS}"));
    publish(&format!("bitlock/v1/{}/BL1/state", HOSTILE.replace('/', "")), CONTROLS);
    (site, daemon)
}

#[test]
fn what_a_publisher_or_a_registry_wrote_is_inert_on_every_page() {
    assert_eq!([HOSTILE, CONTROLS].map(|text| danger(text).is_some()), [true, true], "raw text is found");
    assert!(danger("a,\"=1+1\",b").is_some() && danger("<p>&lt;script&gt;alert(1)</p>").is_none());
    let (_site, daemon) = told();
    let address = daemon.address("http://");
    for path in ["/dead-letters", "/locks/BL1", "/fleet", "/fleet/compare?dimension=fw"] {
        let is_there = |text: &String| text.contains("&lt;script&gt;alert");
        let shown = within(SHOWN_WITHIN, || Some(get(address, path).1).filter(is_there));
        assert!(shown.is_some(), "{path} shows nothing of it: {}", get(address, path).1);
    }
    for lang in ["en", "ja"] {
        for path in PATHS.map(with) {
            let headers = [("Accept", "text/html,*/*"), ("Accept-Language", lang)];
            let (status, text) = get_with(address, &path, &headers);
            assert!(status < 500, "{path} answers {status}: {text}");
            assert_eq!(danger(&text), None, "{path} in {lang}: {text}");
        }
    }
    let log = daemon.log();
    assert!(!log.contains("panicked") && !log.contains('\u{1b}') && !log.contains('\u{202e}'), "{log}");
}
