//! The recording that `tap` writes: to a file, plain or gzip, or to standard output; readable by its owner only,
//! because it says who opened which door. Must not know the spool. Called by `tap`.
use crate::exit::Failure;
use crate::output::Output;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where the recording goes.
pub(super) enum Sink {
    /// Standard output.
    Standard,
    /// A file as it is.
    Plain(PathBuf, BufWriter<File>),
    /// A file, packed.
    Packed(PathBuf, GzEncoder<BufWriter<File>>),
}

impl Sink {
    /// Opens it; a file that is there is written over.
    ///
    /// # Errors
    /// Where it can't be made.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Standard);
        }
        let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path);
        let file = BufWriter::new(file.map_err(|error| unwritten(path, error))?);
        let path = path.to_path_buf();
        if path.extension().is_some_and(|extension| extension == "gz") {
            return Ok(Self::Packed(path, GzEncoder::new(file, Compression::default())));
        }
        Ok(Self::Plain(path, file))
    }

    /// Adds whole lines.
    ///
    /// # Errors
    /// Where they can't be written; [`Failure::OutputClosed`] where the reader of standard output is gone.
    pub(super) fn write(&mut self, lines: &str, out: &mut Output<'_>) -> Result<(), Failure> {
        match self {
            Self::Standard if lines.is_empty() => Ok(()),
            Self::Standard => out.line(lines.trim_end_matches('\n')).and_then(|()| out.flush()),
            Self::Plain(path, file) => {
                let written = file.write_all(lines.as_bytes()).and_then(|()| file.flush());
                written.map_err(|error| unwritten(path, error))
            }
            Self::Packed(path, file) => file.write_all(lines.as_bytes()).map_err(|error| unwritten(path, error)),
        }
    }

    /// Writes the end.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Standard => Ok(()),
            Self::Plain(path, mut file) => file.flush().map_err(|error| unwritten(&path, error)),
            Self::Packed(path, file) => {
                let ended = file.finish().and_then(|mut file| file.flush());
                ended.map_err(|error| unwritten(&path, error))
            }
        }
    }
}

fn unwritten(path: &Path, error: std::io::Error) -> Failure {
    Failure::broken(format!("can't write the recording {}", path.display()), error)
}
