//! How an engine runs as a program: opens the library and a folder, listens on loopback, prints the address, and ends
//! on a signal or, with `--with-parent`, when its standard input closes. Must not know the queries. Called by
//! [`zenei_engine::Engine`], and by hand.
mod chdb;
mod exception;
mod framing;
mod front;
mod multipart;
mod order;
mod request;
mod statement;

use chdb::{Chdb, OpenError};
use clap::Parser;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use zenei_engine::library::{self, Missing};

/// A dependency is unreachable.
const EXIT_UNREACHABLE: u8 = 69;
/// A file in the folder, locked as long as an engine has the folder open: the library does not check for a second one.
const LOCK: &str = "zenei-engine.lock";

/// A real ClickHouse engine behind ClickHouse's HTTP interface, for tests. No users, no TLS, no replication: for
/// loopback alone.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the engine keeps its tables; without it a new folder, which is removed at a clean end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8123", value_parser = loopback)]
    listen: SocketAddr,
    /// End when standard input is closed
    #[arg(long)]
    with_parent: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} can't be used", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} is open in another engine; one at a time is allowed", path.display())]
    Taken { path: PathBuf },
    #[error("{address} can't be listened on")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the program can't go on")]
    Run(#[from] io::Error),
}

/// An engine without users may listen on this machine alone.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("{text:?} is no address such as 127.0.0.1:8123"))?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(format!("{address} is no loopback address; only such are allowed"))
    }
}

fn main() -> ExitCode {
    let failure = match run(&Arguments::parse()) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let cause = std::error::Error::source(&failure).map(|cause| format!(": {cause}")).unwrap_or_default();
    // Where standard error is closed, the exit code still reports the failure.
    let _ = writeln!(io::stderr(), "zenei-engine: {failure}{cause}");
    match failure {
        Failure::Missing(_) => ExitCode::from(EXIT_UNREACHABLE),
        Failure::Open(_)
        | Failure::Folder { .. }
        | Failure::Taken { .. }
        | Failure::Listen { .. }
        | Failure::Run(_) => ExitCode::FAILURE,
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let library = library::find()?;
    let folder = Folder::open(arguments.data.as_deref())?;
    let routes = front::routes(Chdb::open(&library, folder.path())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments, routes))
    // The engine ended with its routes; the lock and a folder of our own are dropped now.
}

async fn serve(arguments: &Arguments, routes: axum::Router) -> Result<(), Failure> {
    let address = arguments.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (parent, parent_ended) = tokio::sync::oneshot::channel::<()>();
    let watch = move || {
        // The content of standard input is ignored; its end, or a failure to read it, ends the program.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(parent);
    };
    // A thread of its own: a read of standard input that never returns must not delay the runtime's end. Otherwise the
    // sender is kept, so that it never fires.
    let _kept = if arguments.with_parent {
        std::thread::spawn(watch);
        None
    } else {
        Some(watch)
    };
    writeln!(io::stdout(), "listening: http://{}", listener.local_addr()?)?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = parent_ended => {}
            }
        })
        .await?;
    Ok(())
}

/// The folder of the tables, with its lock.
struct Folder {
    path: PathBuf,
    /// The lock is released with this value.
    _lock: File,
    /// Removed when dropped.
    _own: Option<TempDir>,
}

impl Folder {
    fn open(chosen: Option<&Path>) -> Result<Self, Failure> {
        let (path, own) = match chosen {
            Some(path) => (path.to_owned(), None),
            None => {
                let place = std::env::temp_dir();
                let own = tempfile::Builder::new().prefix("zenei-engine-").tempdir_in(&place);
                let own = own.map_err(|source| Failure::Folder { path: place, source })?;
                (own.path().to_owned(), Some(own))
            }
        };
        let failed = |source| Failure::Folder { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock, _own: own }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Failure::Taken { path }),
            Err(std::fs::TryLockError::Error(source)) => Err(Failure::Folder { path, source }),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
