//! A private dbus-daemon that can be killed and started again at the same address. Must not know which messages it
//! carries. Called by the service and by tests.
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The policy of a bus that permits everything to all users; the limits are dbus-daemon's defaults for a system bus.
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// How often the start polls whether the daemon listens, and the time between two polls.
const LOOKS: u32 = 1_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A private bus; its daemon is killed when it is dropped.
#[derive(Debug)]
pub struct PrivateBus {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
}

impl PrivateBus {
    /// Starts a bus and waits until it listens.
    ///
    /// # Errors
    /// Where dbus-daemon is not installed, or does not listen within ten seconds.
    pub fn start() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut bus = Self { folder, daemon: None };
        let config = CONFIG.replace("SOCKET", &bus.socket().display().to_string());
        std::fs::write(bus.folder.path().join("bus.conf"), config)?;
        bus.restart()?;
        Ok(bus)
    }

    /// Its address, for `DBUS_SYSTEM_BUS_ADDRESS`. The same after a restart.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// SIGKILL: all clients of the bus lose the connection.
    ///
    /// # Errors
    /// The system's error.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill()?;
            daemon.wait()?;
        }
        Ok(())
    }

    /// Starts a daemon at the same address; a running one is killed before.
    ///
    /// # Errors
    /// As [`PrivateBus::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let socket = self.socket();
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let said = self.folder.path().join("said");
        let mut command = Command::new("dbus-daemon");
        command.arg(format!("--config-file={}", self.folder.path().join("bus.conf").display()));
        command.arg("--nofork").arg("--nopidfile").arg("--nosyslog");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said)?);
        let mut daemon = command.spawn()?;
        for _ in 0..LOOKS {
            if UnixStream::connect(&socket).is_ok() {
                self.daemon = Some(daemon);
                return Ok(());
            }
            if let Some(status) = daemon.try_wait()? {
                let said = std::fs::read_to_string(&said)?;
                return Err(io::Error::other(format!("dbus-daemon ended with {status}: {said}")));
            }
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
        daemon.kill()?;
        daemon.wait()?;
        Err(io::Error::other("dbus-daemon does not listen"))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("bus")
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        // Nothing can be done about a daemon that can't be killed.
        drop(self.kill());
    }
}
