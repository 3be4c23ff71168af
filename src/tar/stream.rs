//! The decompressed bytes of an archive, read once and in order.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::Compression;
use super::fault::RECREATE;
use super::store::{ArchiveFile, Store};
use crate::error::{Error, Result};
use crate::spool::Spool;

/// Size of the buffers for data, in bytes.
const BUFFER: usize = 256 << 10;

/// Number of bytes that the compression is detected by.
const HEAD: u64 = 16;

/// The bytes of an archive up to a position, after which they are read.
pub(super) struct Stream {
    input: Input,
    position: u64,
    archive: PathBuf,
    buffer: Vec<u8>,
}

enum Input {
    /// A file with this number of bytes from the position on.
    File { reader: BufReader<File>, left: u64 },
    /// Bytes that can be read only once, and are kept in a spool.
    Spooled { reader: Box<dyn Read>, spool: Arc<Spool> },
}

impl Stream {
    /// Opens an archive, and returns the stream of its bytes with the store of those that have been
    /// read.
    ///
    /// `start` is the offset of the archive if it is a regular file.
    pub(super) fn open(
        mut file: File,
        start: Option<u64>,
        archive: &Path,
        spool: Option<&Path>,
    ) -> Result<(Self, Store)> {
        let source = |error| Error::source(archive.as_os_str().as_bytes(), "cannot read", error);
        if let Some(start) = start {
            file.seek(SeekFrom::Start(start)).map_err(source)?;
        }
        let mut head = Vec::new();
        (&file).take(HEAD).read_to_end(&mut head).map_err(source)?;
        let compression = Compression::detect(&head);
        if let Compression::Other(name) = compression {
            return Err(Error::Archive {
                archive: archive.to_owned(),
                member: Vec::new(),
                offset: 0,
                rule: format!("this is {name}, not tar"),
                remedy: "give a directory, or a tar archive: plain, or compressed by gzip, zstd or \
                         xz",
            });
        }
        let (input, store) = match (compression, start) {
            (Compression::None, Some(start)) => {
                file.seek(SeekFrom::Start(start)).map_err(source)?;
                let again = file.try_clone().map_err(source)?;
                let stored = ArchiveFile::new(again, start, archive).map_err(source)?;
                let left = stored.len();
                let reader = BufReader::with_capacity(BUFFER, file);
                (Input::File { reader, left }, Store::File(Arc::new(stored)))
            }
            _ => {
                let spool = Arc::new(Spool::new(spool)?);
                let reader = compression.reader(Cursor::new(head).chain(file));
                (Input::Spooled { reader, spool: Arc::clone(&spool) }, Store::Spool(spool))
            }
        };
        let archive = archive.to_owned();
        Ok((Self { input, position: 0, archive, buffer: vec![0; BUFFER] }, store))
    }

    /// Returns the offset of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the path of the archive.
    pub(super) fn archive(&self) -> &Path {
        &self.archive
    }

    /// Fills a buffer, and returns the number of bytes, which is less than its length only at the
    /// end of the stream.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let Self { input, position, archive, .. } = self;
        let fail = |error| failure(archive, *position, error);
        let count = match input {
            Input::File { reader, left } => {
                let count = read_full(reader, buffer).map_err(fail)?;
                *left = left.saturating_sub(count as u64);
                count
            }
            Input::Spooled { reader, spool } => {
                let count = read_full(reader, buffer).map_err(fail)?;
                spool.write_at(*position, &buffer[..count])?;
                count
            }
        };
        self.position += count as u64;
        Ok(count)
    }

    /// Skips bytes, and returns the number of those that were there.
    pub(super) fn skip(&mut self, count: u64) -> Result<u64> {
        if let Input::File { reader, left } = &mut self.input {
            let count = count.min(*left);
            let step = i64::try_from(count).expect("a file has less than 2^63 bytes");
            let moved = reader.seek_relative(step);
            moved.map_err(|error| failure(&self.archive, self.position, error))?;
            *left -= count;
            self.position += count;
            return Ok(count);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut done = 0;
        while done < count {
            let length = usize::try_from(count - done).unwrap_or(BUFFER).min(BUFFER);
            let filled = self.fill(&mut buffer[..length])?;
            done += filled as u64;
            if filled < length {
                break;
            }
        }
        self.buffer = buffer;
        Ok(done)
    }

    /// Reads to the end without keeping the bytes, and returns the offset of the first one that is
    /// not zero, if any.
    pub(super) fn find_nonzero(&mut self) -> Result<Option<u64>> {
        let Self { input, position, archive, buffer } = self;
        let reader: &mut dyn Read = match input {
            Input::File { reader, .. } => reader,
            Input::Spooled { reader, .. } => reader,
        };
        loop {
            let count = read_full(reader, buffer);
            let count = count.map_err(|error| failure(archive, *position, error))?;
            if let Some(at) = buffer[..count].iter().position(|&byte| byte != 0) {
                return Ok(Some(*position + at as u64));
            }
            *position += count as u64;
            if count < buffer.len() {
                return Ok(None);
            }
        }
    }
}

fn read_full(reader: &mut (impl Read + ?Sized), buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match reader.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Converts an error of the system, or of a decoder.
fn failure(archive: &Path, offset: u64, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(_) => Error::source(archive.as_os_str().as_bytes(), "cannot read", error),
        None => Error::Archive {
            archive: archive.to_owned(),
            member: Vec::new(),
            offset,
            rule: error.to_string(),
            remedy: RECREATE,
        },
    }
}
