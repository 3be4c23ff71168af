//! Unnamed file that holds encoded content between the prepass and the writing of the image.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::layout::Render;
use crate::name::Escaped;

/// Unit in which space is reserved and written, in bytes.
const CHUNK: usize = 1 << 20;

/// Encoded content.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    /// Start of the space that no thread has reserved.
    end: AtomicU64,
    /// The directory, for error messages.
    directory: String,
}

impl Spool {
    /// Creates a spool in a directory.
    pub(crate) fn new(directory: Option<&Path>) -> Result<Self> {
        Self::new_by(directory, unnamed)
    }

    fn new_by(directory: Option<&Path>, make: fn(&Path) -> Result<File, Errno>) -> Result<Self> {
        let Some(path) = directory else {
            return Err(Error::parameter(
                "spool",
                "not set, but compressed data needs it",
                "name a directory with enough free space, or use no compression",
            ));
        };
        let directory = Escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let file = make(path).map_err(|error| {
            Error::output(format!("cannot create a temporary file in {directory}"), error)
        })?;
        Ok(Self { file, end: AtomicU64::new(0), directory })
    }

    /// Writes bytes at an offset of the caller's, who appends nothing.
    #[cfg(feature = "tar")]
    pub(crate) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.fail("write", error))
    }

    /// Reads appended bytes.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, offset).map_err(|error| self.fail("read", error))
    }

    fn fail(&self, what: &str, error: io::Error) -> Error {
        Error::output(format!("cannot {what} the temporary file in {}", self.directory), error)
    }
}

/// Writer that appends to a spool; each thread has one.
pub(crate) struct Appender<'a> {
    spool: &'a Spool,
    buffer: Vec<u8>,
    /// Offset of the buffer in the file.
    start: u64,
    /// Number of bytes reserved for the buffer.
    taken: usize,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(spool: &'a Spool) -> Self {
        Self { spool, buffer: Vec::new(), start: 0, taken: 0 }
    }

    /// Appends bytes and returns the offset at which they can be read after a flush.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        if self.buffer.len() + bytes.len() > self.taken {
            self.flush()?;
            // The rest of the previous reservation stays a hole.
            self.taken = CHUNK.max(bytes.len());
            self.start = self.spool.end.fetch_add(self.taken as u64, Ordering::Relaxed);
        }
        let at = self.start + self.buffer.len() as u64;
        self.buffer.extend_from_slice(bytes);
        Ok(at)
    }

    /// Writes the buffered bytes.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let written = self.spool.file.write_all_at(&self.buffer, self.start);
        self.buffer.clear();
        self.taken = 0;
        written.map_err(|error| self.spool.fail("write", error))
    }
}

/// Flags of a new file.
///
/// In a static program, an open with `O_TMPFILE` is a bare system call, to which the C library does
/// not add `O_LARGEFILE`: a 32-bit program could not write beyond 2 GiB.
const NEW: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::LARGEFILE);

/// Mode of a new file: no access for other users.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

fn unnamed(directory: &Path) -> Result<File, Errno> {
    match openat(CWD, directory, NEW | OFlags::TMPFILE, MODE) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => removed(directory),
        made => made.map(File::from),
    }
}

/// Creates a file with a name and removes the name at once.
fn removed(directory: &Path) -> Result<File, Errno> {
    let directory = openat(CWD, directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // The process id may be that of a killed process that left its file.
    let mut attempt = 0u32;
    loop {
        let name = format!(".detfs-spool-{}-{attempt}", std::process::id());
        match openat(&directory, &*name, NEW | OFlags::CREATE | OFlags::EXCL, MODE) {
            Err(Errno::EXIST) => attempt += 1,
            made => {
                let file = made?;
                unlinkat(&directory, &*name, AtFlags::empty())?;
                return Ok(file.into());
            }
        }
    }
}

impl Render for Spool {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.read_at(offset, out)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_appended_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        for make in [unnamed as fn(&Path) -> _, removed] {
            let spool = Spool::new_by(Some(directory.path()), make).unwrap();
            let mut appenders = [Appender::new(&spool), Appender::new(&spool)];
            let mut places = Vec::new();
            for n in 0..40u8 {
                let bytes = vec![n; 100_000 + usize::from(n)];
                places.push((appenders[usize::from(n % 2)].append(&bytes).unwrap(), bytes));
            }
            appenders.iter_mut().for_each(|appender| appender.flush().unwrap());
            for (at, bytes) in places {
                let mut read = vec![0xff; bytes.len()];
                spool.read_at(at, &mut read).unwrap();
                assert!(read == bytes, "{at}");
            }
            let mut beyond = [0];
            let error = spool.read_at(1 << 40, &mut beyond).unwrap_err().to_string();
            assert!(error.starts_with("cannot read the temporary file in /"), "{error}");
            let list = Command::new("ls").arg("-A").arg(directory.path()).output().unwrap();
            assert!(list.status.success() && list.stdout.is_empty());
        }
    }

    #[test]
    fn where_there_is_no_directory() {
        let error = Spool::new(Some(Path::new("/nonexistent"))).unwrap_err();
        let message = "cannot create a temporary file in /nonexistent: No such file or directory \
                       (os error 2); create the parent directory first";
        assert_eq!(error.to_string(), message);
        assert_eq!(Spool::new(None).unwrap_err().exit_code(), 2);
    }
}
