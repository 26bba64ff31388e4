//! What `doctor`, `/readyz` and `/metrics` say of a broker: connection, login and subscription apart.
use crate::support::{Daemon, Folder, zenei};
use std::time::Duration;
use zenei_kit::bound::within;
use zenei_kit::mqtt::{Broker, Raw, answer_subscribe};

/// How long a step of a daemon may take: some waits before it tries again, on a busy machine. A guess.
const WITHIN: Duration = Duration::from_secs(60);

fn configured(broker: &Broker) -> Folder {
    let folder = Folder::new();
    folder.write("mqtt.pw", "canary");
    folder.write(
        "zenei.toml",
        &format!(
            "state_dir = 'state'\n[gateway]\nid = 'gw-7'\n[mqtt]\nurl = 'mqtt://{}'\nusername = 'u'\n\
             password_file = 'mqtt.pw'\ntopics = ['bitlock/v1/#', '$share/g/x']\n\
             [ingress]\nlisten = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'\n",
            broker.address()
        ),
    );
    folder
}

/// What `doctor` says of a broker that is played so: its exit code and the line.
fn doctor(play: impl FnOnce(&mut Raw) + Send + 'static) -> (i32, String) {
    let broker = Broker::new();
    let folder = configured(&broker);
    let played = std::thread::spawn(move || {
        let (mut client, connect) = broker.connected();
        // Flags: user name, password, clean session; then the keep alive and the client id.
        assert_eq!(connect[9], 0xc2, "a clean session, with the login");
        assert_eq!(&connect[12..], b"\0\x11zenei-gw-7-doctor\0\x01u\0\x06canary");
        play(&mut client);
        client
    });
    let ended = zenei(&["doctor"]).in_folder(&folder).run();
    let line = ended.stdout.lines().find(|line| line[6..].starts_with("broker")).unwrap_or("").to_owned();
    drop(played.join().unwrap());
    (ended.code, line)
}

#[test]
fn a_doctor_tells_connection_login_and_subscription_of_a_broker_apart() {
    type Play = fn(&mut Raw);
    let cases: [(Play, &str, &str); 8] = [
        (|client| client.send(&[0x20, 2, 0, 4]), "return code 4: bad user name or password", "mqtt.password_file"),
        (|client| client.send(&[0x20, 2, 0, 5]), "return code 5: this client is not authorised", "zenei-gw-7-doctor"),
        (|client| client.send(&[0x20, 2, 0, 2]), "return code 2: the broker does not take this client id", "-doctor"),
        (|client| client.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no MQTT broker", "mqtt.url"),
        (|_| {}, "no answer to the login within 2000 ms", "the broker's log"),
        (|client| granting(client, &[0x80]), "'bitlock/v1/#' is refused (0x80)", "access rules"),
        (|client| granting(client, &[0]), "is granted with QoS 0 only", "QoS 1"),
        (|client| client.send(&[0x20, 2, 0, 0]), "does not answer the subscription", "subscribe"),
    ];
    for (play, found, remedy) in cases {
        let (code, line) = doctor(play);
        assert!(line.starts_with("fail  broker") && line.contains(found) && line.contains(remedy), "{found}: {line}");
        assert_eq!(code, 69);
        assert!(!line.contains("canary"), "{line}");
    }
    let (code, line) = doctor(|client| {
        granting(client, &[1]);
        assert_eq!(client.read(2), [0xe0, 0], "a goodbye");
    });
    assert!(code == 0 && line.starts_with("ok    broker") && line.contains("grants the subscription"), "{line}");
}

/// Takes the login and answers the subscription with these codes; a retained message comes before.
fn granting(client: &mut Raw, codes: &[u8]) {
    client.send(&[0x20, 2, 0, 0, 0x31, 4, 0, 1, b't', b'x']);
    let filters = answer_subscribe(client, codes);
    assert_eq!(filters, b"\0\x0cbitlock/v1/#\x01", "no shared subscription: it would take messages from its group");
}

/// The status of `/readyz`, what it says of the broker, and the two gauges.
fn said(daemon: &Daemon) -> (u16, String, [String; 2]) {
    let (code, body) = daemon.ask("GET", "/readyz", &[], "");
    let parts: serde_json::Value = serde_json::from_str(&body).unwrap();
    let broker = parts["parts"].as_array().unwrap().iter().find(|part| part["name"] == "broker").unwrap().clone();
    let metrics = daemon.ask("GET", "/metrics", &[], "").1;
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{metrics}"));
        line.trim().to_owned()
    };
    let gauges = ["zenei_mqtt_connected ", "zenei_mqtt_subscribed "].map(value);
    (code, broker["why"].as_str().unwrap().to_owned(), gauges)
}

#[test]
fn a_daemon_is_ready_once_its_subscription_is_granted_and_says_what_is_missing() {
    let broker = Broker::new();
    let folder = configured(&broker);
    let daemon = Daemon::start(&folder, &["run"]);
    let until = |what: &str, ready: u16, gauges: [&str; 2]| {
        let is_so = |(code, why, shown): &(u16, String, [String; 2])| {
            *code == ready && why.contains(what) && shown.each_ref().map(String::as_str) == gauges
        };
        let found = within(WITHIN, || Some(said(&daemon)).filter(is_so));
        found.unwrap_or_else(|| panic!("{what}: {:?}", said(&daemon)));
    };
    until("is not connected: ", 503, ["0", "0"]);
    drop(broker.accept(false, 5));
    until("takes no login: the broker refuses the login: return code 5", 503, ["0", "0"]);
    let mut gateway = broker.accept(false, 0);
    until("has not granted the subscription yet", 503, ["1", "0"]);
    answer_subscribe(&mut gateway, &[1, 0x80]);
    until("does not grant the subscription: '$share/g/x' is refused (0x80)", 503, ["1", "0"]);
    answer_subscribe(&mut gateway, &[1]);
    until("has granted the subscription", 200, ["1", "1"]);
    drop(gateway);
    until("is not connected", 503, ["0", "0"]);
    let metrics = daemon.ask("GET", "/metrics", &[], "").1;
    for line in [
        "zenei_mqtt_connections_total 1",
        r#"zenei_mqtt_faults_total{what="login_refused"} 1"#,
        r#"zenei_mqtt_faults_total{what="subscription_refused"} 1"#,
        r#"zenei_mqtt_faults_total{what="unreadable_packet"} 0"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert_eq!(daemon.end(), 0);
}
