//! Destinations of images.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{CWD, Mode, OFlags, fcntl_getfl, major, minor, openat};

use super::head::Head;
use super::name::Pending;
use super::{Kind, Output, device, exists, sharing_unit, text};
use crate::error::{Error, Result};
use crate::interrupt::uninterrupted;
use crate::layout::Sink;

/// The destination of an image, checked before any output is created.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    place: Place,
    sync: bool,
}

#[derive(Debug)]
enum Place {
    Stream(File),
    Device { file: File, size: u64 },
    File { directory: OwnedFd, name: OsString, force: bool },
}

impl Destination {
    /// Creates a destination from its path.
    ///
    /// - `-` is the standard output.
    /// - A block device is written in place.
    /// - A named pipe or character device is written as a stream.
    /// - Everything else is a new file.
    ///
    /// With `force`, the new file may replace an existing file at the very end. If the path is a
    /// symlink, the link itself is replaced, unless it is one of the system's, such as
    /// `/dev/stdout`. Also with `force`, a device may contain data with a known
    /// [signature](crate::probe).
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is such a link, or if there is a file or signature and `force`
    /// is not given. [`Error::Output`] if the device, or the directory of the file, can't be
    /// opened, or the device can't be read. A mounted device is in use and can't be opened.
    pub fn new(path: &Path, force: bool) -> Result<Self> {
        let fail = |error| Error::output(format!("cannot write {}", text(path)), error);
        let place = if path.as_os_str() == "-" {
            Place::Stream(standard_output().map_err(fail)?)
        } else {
            match fs::metadata(path).map(|metadata| metadata.file_type()) {
                Ok(kind) if kind.is_block_device() => {
                    let (file, size) = device::open(path, force)?;
                    Place::Device { file, size }
                }
                Ok(kind) if kind.is_fifo() || kind.is_char_device() => {
                    Place::Stream(OpenOptions::new().write(true).open(path).map_err(fail)?)
                }
                Ok(kind) if kind.is_dir() => {
                    return Err(fail(io::ErrorKind::IsADirectory.into()));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
                _ => Self::file(path, force)?,
            }
        };
        Ok(Self { path: path.into(), place, sync: true })
    }

    /// Sets whether the image and then its name are flushed to the disk, so that a power failure
    /// can't undo what was reported as done. Enabled by default.
    #[must_use]
    pub fn synced(self, sync: bool) -> Self {
        Self { sync, ..self }
    }

    fn file(path: &Path, force: bool) -> Result<Place> {
        let fail = |error: io::Error| Error::output(format!("cannot create {}", text(path)), error);
        // `file_name` ignores a trailing slash, which denotes a directory.
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let Some(name) = path.file_name().filter(|_| !slash) else {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        };
        let found = fs::symlink_metadata(path);
        if found.as_ref().is_ok_and(fs::Metadata::is_symlink) && is_of_the_system(path) {
            return Err(Error::parameter(
                "output",
                format!("{} is a name that the system uses for another file", text(path)),
                "give the file's own name, or - for the standard output",
            ));
        }
        if !force && found.is_ok() {
            return Err(exists(path));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, parent, flags, Mode::empty());
        let directory = directory.map_err(|error| fail(error.into()))?;
        Ok(Place::File { directory, name: name.into(), force })
    }

    /// Opens the output for an image of `size` bytes.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if the device is smaller than `size`, [`Error::Output`] if the file
    /// can't be created.
    pub fn create(self, size: u64) -> Result<Output> {
        self.create_by(size, Pending::create)
    }

    /// Creates a file with the given content and flushes it; [`Output::finish`] gives it its name.
    ///
    /// # Errors
    /// The errors of [`Destination::create`], and [`Error::Output`] if the content can't be
    /// written.
    pub fn write(self, bytes: &[u8]) -> Result<Output> {
        let output = self.create(bytes.len() as u64)?;
        let written = output.write(0, bytes);
        written.map_err(|error| Error::output(format!("cannot write {}", output.name()), error))?;
        output.flush()?;
        Ok(output)
    }

    pub(super) fn create_by(
        self,
        size: u64,
        create: fn(&mut Pending) -> io::Result<File>,
    ) -> Result<Output> {
        let Self { path, place, sync } = self;
        let (file, kind) = match place {
            Place::Stream(file) => (file, Kind::Stream),
            Place::Device { size: available, .. } if available < size => {
                return Err(Error::TooSmall {
                    what: format!("device {}", text(&path)),
                    detail: String::new(),
                    needed: size,
                    available,
                });
            }
            Place::Device { file, .. } => {
                let fail = |error| Error::output(format!("cannot write {}", text(&path)), error);
                let head = Head::clear(&file, size).map_err(fail)?;
                if sync {
                    file.sync_all().map_err(fail)?;
                }
                (file, Kind::Device(head))
            }
            Place::File { directory, name, force } => {
                let fail = |error| Error::output(format!("cannot create {}", text(&path)), error);
                let mut name = Pending::new(directory, name, force);
                let file = uninterrupted(|| create(&mut name)).map_err(fail)?;
                file.set_len(size).map_err(fail)?;
                let unit = sharing_unit(&file);
                (file, Kind::File { name, unit, write_lock: Mutex::default() })
            }
        };
        Ok(Output { path, file, kind, sync, discard: true })
    }
}

/// Returns whether a symlink is in a directory of the system, as `/dev/stdout` is. Such a link is
/// never to be replaced.
fn is_of_the_system(link: &Path) -> bool {
    let directory = link.parent().and_then(|parent| parent.canonicalize().ok());
    directory.is_some_and(|path| path == Path::new("/dev") || path.starts_with("/proc"))
}

#[expect(clippy::disallowed_methods, reason = "images are not written to a terminal")]
fn standard_output() -> io::Result<File> {
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if is_closed(&stdout)? {
        let reason = "closed, or a /dev/null that is also open for reading";
        return Err(io::Error::new(io::ErrorKind::NotConnected, reason));
    }
    Ok(stdout)
}

/// Returns whether standard output was closed when the program started. Rust then opens `/dev/null`
/// in its place for reading and writing, whereas a shell's `>/dev/null` opens it for writing only.
fn is_closed(stdout: &File) -> io::Result<bool> {
    let number = stdout.metadata()?.rdev();
    let is_null = (major(number), minor(number)) == (1, 3);
    Ok(is_null && fcntl_getfl(stdout)?.contains(OFlags::RDWR))
}
