//! People answer in Waroom: the running program tells it, and sees what they set there.
use crate::steps::{CONFIG, status, step, with_incident};
use crate::support::Daemon;
use remote_sim::{Faults, Server, Waroom, WaroomQuirks};
use std::time::Duration;
use tokio::runtime::Runtime;
use zenei_store::{Control, Layout};

/// How long the program may take to send or to ask; a guess, many times what a busy machine needs.
const WITHIN: Duration = Duration::from_secs(60);

/// Waits until this is so.
fn until(runtime: &Runtime, what: &str, is_so: impl Fn() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = runtime.block_on(async { tokio::time::timeout(WITHIN, looks).await });
    waited.unwrap_or_else(|_| panic!("it never became true that {what}"));
}

#[test]
fn what_people_set_in_waroom_is_seen_by_the_program_and_never_completes_alone() {
    let (folder, id) = with_incident();
    let runtime = Runtime::new().unwrap();
    let quirks = WaroomQuirks { localised: true, ..WaroomQuirks::default() };
    let waroom = Waroom::new(quirks, &[("integration", "device")], "api");
    let waroom = runtime.block_on(Server::start(waroom, Faults::none())).unwrap();
    folder.write("integration.key", "integration");
    folder.write("api.key", "api");
    let target = format!(
        "[notify.quality]\nkind = 'waroom'\nbase_url = '{}'\nallow_private = true\n\
         integration_key_file = 'integration.key'\napi_key_file = 'api.key'\n",
        waroom.base_url()
    );
    folder.write("zenei.toml", &format!("{CONFIG}{target}"));
    // Without a daemon the message waits in the outbox.
    assert_eq!(step(&folder, &["ack", &id]).code, 0);
    let daemon = Daemon::start(&folder, &["run"]);
    until(&runtime, "Waroom is told", || waroom.with(|kept| kept.incidents.len()) == 1);
    let control = Layout::new(&folder.path().join("state")).control();
    until(&runtime, "its answer is stored", || Control::open(&control).unwrap().undelivered().unwrap().is_empty());
    // A start asks at once; otherwise it is asked once a minute.
    assert_eq!(daemon.end(), 0);
    for (there, here) in [("fixing", "fixing"), ("close", "resolved")] {
        waroom.with(|kept| kept.incidents[0].status = there.to_owned());
        let daemon = Daemon::start(&folder, &["run"]);
        until(&runtime, "the program sees it", || status(&folder, &id).0 == here);
        assert_eq!(daemon.end(), 0);
    }
    let refused = step(&folder, &["complete", &id]);
    assert!(refused.code == 1 && refused.stderr.contains("temporary fix"), "{}", refused.stderr);
    assert_eq!(waroom.with(|kept| kept.incidents.len()), 1);
}
