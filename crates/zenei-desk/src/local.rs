//! The desk's socket on this machine: a command beside the daemon hands its request to the process that writes. One
//! request a connection: a line of JSON, and a line of JSON back. Only the daemon's own user may connect: the socket's
//! file has mode 0600. Must not know what a request means. Served by `run`; asked by the commands.
use crate::request::{Reason, Refusal, Request};
use crate::shared::{DeskClock, SharedDesk};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::io;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader as AsyncBufReader};
use tokio::net::{UnixListener, UnixStream};

/// The longest request, in bytes; a guess: a note of some pages.
const MAX_REQUEST_BYTES: u64 = 1 << 20;
/// The longest answer, in bytes; a guess.
const MAX_ANSWER_BYTES: u64 = 1 << 24;
/// How long either side waits for the other; a guess: a transaction takes milliseconds.
const WAIT: Duration = Duration::from_secs(30);
/// How many requests are answered at a time; further ones wait to be accepted. A guess: a handful of people.
const MAX_AT_A_TIME: usize = 16;

/// Why a request did not reach a desk.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Nobody listens: no daemon with a desk runs here.
    #[error("no desk listens at {path}")]
    Nobody {
        /// The socket.
        path: PathBuf,
    },
    /// The connection failed.
    #[error("the desk at {path} can't be asked")]
    Failed {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Somebody listens, and gave no answer in time: the step may have been taken.
    #[error("the desk at {path} did not answer within {} s; the step may have been taken", WAIT.as_secs())]
    Silent {
        /// The socket.
        path: PathBuf,
    },
    /// The desk refused; nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Done(Json),
    Refused(Refusal),
}

/// Listens at this path until `shutdown`; a socket that an ended process left there is replaced. The caller holds the
/// lock of the state directory, so that no other process listens there.
///
/// # Errors
/// Where the path can't be listened at.
pub fn serve(
    path: &Path,
    desk: SharedDesk,
    clock: DeskClock,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), LocalError> {
    let failed = |source| LocalError::Failed { path: path.to_path_buf(), source };
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    let path = path.to_path_buf();
    tokio::spawn(async move {
        let room = std::sync::Arc::new(tokio::sync::Semaphore::new(MAX_AT_A_TIME));
        let accept = async {
            loop {
                let Ok(permit) = room.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (desk, clock) = (desk.clone(), clock.clone());
                tokio::spawn(async move {
                    // Who went away in the middle has no answer; what was stored is stored.
                    _ = tokio::time::timeout(WAIT, answer(stream, desk, clock)).await;
                    drop(permit);
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = shutdown => {}
        }
        _ = std::fs::remove_file(path);
    });
    Ok(())
}

async fn answer(stream: UnixStream, desk: SharedDesk, clock: DeskClock) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    AsyncBufReader::new(read.take(MAX_REQUEST_BYTES)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Request>(&line) {
        Ok(request) => {
            let done = tokio::task::spawn_blocking(move || request.carry_out(&desk, clock.now())).await;
            match done {
                Ok(Ok(done)) => Answer::Done(done),
                Ok(Err(refused)) => Answer::Refused(refused),
                Err(_) => Answer::Refused(Refusal { reason: Reason::Broken, text: "the desk failed".to_owned() }),
            }
        }
        Err(error) => Answer::Refused(Refusal { reason: Reason::Malformed, text: format!("no request: {error}") }),
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    write.shutdown().await
}

/// Hands a request to the desk that listens at this path; blocks until its answer, at most 30 s.
///
/// # Errors
/// See [`LocalError`].
pub fn ask(path: &Path, request: &Request) -> Result<Json, LocalError> {
    ask_within(path, request, WAIT)
}

/// The limit holds for the whole exchange: a stopped process takes no connection either once its backlog is full.
fn ask_within(path: &Path, request: &Request, limit: Duration) -> Result<Json, LocalError> {
    let (tell, told) = std::sync::mpsc::channel();
    let (to, request) = (path.to_path_buf(), request.clone());
    // Where nobody waits any longer, its answer is lost; the process ends soon.
    std::thread::spawn(move || _ = tell.send(exchange(&to, &request)));
    told.recv_timeout(limit).unwrap_or_else(|_| Err(LocalError::Silent { path: path.to_path_buf() }))
}

fn exchange(path: &Path, request: &Request) -> Result<Json, LocalError> {
    let failed = |source| LocalError::Failed { path: path.to_path_buf(), source };
    let mut stream = match BlockingStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(LocalError::Nobody { path: path.to_path_buf() });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut text = serde_json::to_vec(request).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    stream.write_all(&text).map_err(failed)?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_line(&mut line).map_err(failed)?;
    match serde_json::from_str(&line).map_err(|error| failed(error.into()))? {
        Answer::Done(done) => Ok(done),
        Answer::Refused(refused) => Err(refused.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeskDriver;
    use zenei_store::{Clock, Control};

    #[test]
    fn who_listens_and_does_not_answer_is_waited_for_no_longer_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.sock");
        let request =
            Request::Step { incident: "1".into(), kind: "note".into(), by: "sato".into(), body: Default::default() };
        // As a stopped process: the system takes the connection, and nobody reads.
        let _stopped = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let asked = ask_within(&path, &request, Duration::from_millis(50));
        assert!(matches!(asked, Err(LocalError::Silent { .. })), "{asked:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_is_answered_over_the_socket_and_nobody_is_told_apart_from_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desk.sock");
        let request =
            Request::Step { incident: "1".into(), kind: "note".into(), by: "sato".into(), body: Default::default() };
        assert!(matches!(ask(&path, &request), Err(LocalError::Nobody { .. })));
        // What an ended process left there.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(matches!(ask(&path, &request), Err(LocalError::Nobody { .. })));
        let desk = SharedDesk::new(DeskDriver::open(Control::in_memory().unwrap(), Vec::new()).unwrap());
        serve(&path, desk, DeskClock::new(Clock::System), std::future::pending()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let asked = tokio::task::spawn_blocking(move || ask(&path, &request)).await.unwrap();
        assert!(matches!(asked, Err(LocalError::Refused(Refusal { reason: Reason::Unknown, .. }))), "{asked:?}");
    }
}
