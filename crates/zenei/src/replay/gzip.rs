//! Decompresses gzip files of several members: one member after another (RFC 1952, 2.2), and no other bytes after
//! them. Must not know what is packed. Called by `recording`.
use flate2::bufread::GzDecoder;
use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// How many bytes of a text that is no gzip are shown.
const SHOWN_BYTES: usize = 16;

/// The unpacked bytes of every member.
pub(super) struct Members<R> {
    /// `None` after the last one.
    member: Option<GzDecoder<R>>,
    /// Members that have ended.
    ended: u32,
}

impl<R: BufRead> Members<R> {
    /// Those that begin here.
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)), ended: 0 }
    }

    /// Continues with the next member, if there is one.
    fn next(&mut self, mut packed: R) -> Result<()> {
        self.ended += 1;
        let rest = packed.fill_buf()?;
        // The first byte of a member. Only one may be in reach; the decoder checks the others.
        match rest.first() {
            None => Ok(()),
            Some(0x1f) => {
                self.member = Some(GzDecoder::new(packed));
                Ok(())
            }
            Some(_) => {
                let shown = rest[..rest.len().min(SHOWN_BYTES)].escape_ascii();
                let what = format!("after gzip member {} stand bytes that are no gzip member: '{shown}'", self.ended);
                Err(Error::new(ErrorKind::InvalidData, what))
            }
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize> {
        while let Some(mut member) = self.member.take() {
            let read = member
                .read(to)
                .map_err(|error| Error::new(error.kind(), format!("gzip member {}: {error}", self.ended + 1)))?;
            if read > 0 || to.is_empty() {
                self.member = Some(member);
                return Ok(read);
            }
            self.next(member.into_inner())?;
        }
        Ok(0)
    }
}
