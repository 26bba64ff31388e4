//! Tests what a service manager hears from `zenei run` over its socket: ready once it listens, signs of life while it
//! goes on and none while it hangs, and that it ends.
use crate::daemon::{Daemon, Site};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How long a message may take, and how long a daemon that hangs is listened to; a guess for a busy machine.
const SAID_WITHIN: Duration = Duration::from_secs(30);
const SILENT_FOR: Duration = Duration::from_secs(3);

/// A service manager, which reads whatever it is told.
struct Manager {
    said: Receiver<String>,
}

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket can be made");
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = socket.recv(&mut bytes) {
                if tell.send(String::from_utf8_lossy(&bytes[..count]).into_owned()).is_err() {
                    break;
                }
            }
        });
        Self { said }
    }

    /// The next message with these words; `None` where none comes in time.
    fn hears(&self, words: &str, within: Duration) -> Option<String> {
        loop {
            let said = self.said.recv_timeout(within).ok()?;
            if said.contains(words) {
                return Some(said);
            }
        }
    }
}

/// A daemon under a service manager with a watchdog of so many microseconds.
fn managed(site: &Site, watchdog_us: &str) -> (Manager, Daemon) {
    let path = site.folder.path().join("notify");
    let manager = Manager::listen(&path);
    let mut command = site.zenei(&["run"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", watchdog_us);
    (manager, site.spawn(&mut command))
}

#[test]
fn a_service_manager_hears_that_zenei_is_ready_lives_and_ends() {
    let site = Site::with_ingress();
    let (manager, daemon) = managed(&site, "400000");
    let ready = manager.hears("READY=1", SAID_WITHIN).expect("it says that it is ready");
    assert!(ready.contains("STATUS=zenei") && ready.contains("ingress mqtt://127.0.0.1:"), "{ready}");
    for _ in 0..3 {
        assert!(manager.hears("WATCHDOG=1", SAID_WITHIN).is_some(), "it gives signs of life");
    }
    let daemon = daemon.listening();
    let pid = Pid::from_raw(i32::try_from(daemon.id()).expect("a process id")).expect("no process has the id 0");
    kill_process(pid, Signal::STOP).expect("it can be stopped");
    while manager.hears("WATCHDOG=1", SILENT_FOR).is_some() {}
    kill_process(pid, Signal::CONT).expect("it can go on");
    assert!(manager.hears("WATCHDOG=1", SAID_WITHIN).is_some(), "it lives again");
    daemon.end_cleanly();
    assert!(manager.hears("STOPPING=1", SAID_WITHIN).is_some(), "it says that it ends");
}
