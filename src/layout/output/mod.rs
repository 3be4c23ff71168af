//! Where an image goes on this machine: a file, a block device or a stream.
//!
//! A file appears whole or not at all. It is written without a name (`O_TMPFILE`), and gets one at
//! the end; where a file system can't do that, under a temporary name. A block device keeps none
//! of its old bytes within the image: zeros are written to it as well. So are they to an image
//! that is there already and of which a part is written anew.

mod device;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, CWD, FallocateFlags, Mode, OFlags, RenameFlags, copy_file_range, fallocate, fstatvfs,
    ioctl_ficlone, linkat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::sink::{Sink, zero_slices};
use crate::error::{Error, Result};
use crate::name::Escaped;

/// Zeros are left to a block device in units of this many bytes, a multiple of all sector sizes.
const ZERO_UNIT: u64 = 4096;

/// Where an image is to go, checked before there is one.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stream(File),
    Device { file: File, size: u64 },
    File { directory: OwnedFd, name: OsString, force: bool },
}

impl Destination {
    /// A destination by its path: `-` is the standard output, a block device is written in place,
    /// a named pipe or character device as a stream, and everything else is a new file. With
    /// `force` it may replace an existing one, at the very end; of a symlink, the link, but not one of
    /// the system's, as `/dev/stdout`. Also with `force`, a device may have something on it that has a
    /// [signature](crate::probe).
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is such a link, or a file or signature and `force` is not given,
    /// [`Error::Output`] if the device, or the directory of the file, can't be opened, or the device
    /// can't be read. A device that is mounted is in use and can't be opened.
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
                _ => Self::file(path, force)?,
            }
        };
        Ok(Self { path: path.into(), place })
    }

    fn file(path: &Path, force: bool) -> Result<Place> {
        let fail = |error: io::Error| Error::output(format!("cannot create {}", text(path)), error);
        // `file_name` passes over a slash at the end, which stands for a directory.
        let slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let Some(name) = path.file_name().filter(|_| !slash) else {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        };
        let found = fs::symlink_metadata(path);
        if found.as_ref().is_ok_and(fs::Metadata::is_symlink) && is_of_the_system(path) {
            return Err(Error::parameter(
                "OUT",
                format!("{} is a name that the system has for something else", text(path)),
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
    /// [`Error::TooSmall`] for a device that is smaller, [`Error::Output`] if the file can't be
    /// made.
    pub fn create(self, size: u64) -> Result<Output> {
        self.create_by(size, unnamed_or_named)
    }

    fn create_by(self, size: u64, create: fn(&OwnedFd) -> io::Result<NewFile>) -> Result<Output> {
        let Self { path, place } = self;
        let (file, kind) = match place {
            Place::Stream(file) => (file, Kind::Stream),
            Place::Device { size: room, .. } if room < size => {
                return Err(Error::TooSmall {
                    what: text(&path),
                    rule: format!("the device has {room} bytes and the image {size}"),
                    remedy: format!("take a device of at least {size} bytes"),
                });
            }
            Place::Device { file, .. } => (file, Kind::Device),
            Place::File { directory, name, force } => {
                let fail = |error| Error::output(format!("cannot create {}", text(&path)), error);
                let (file, temporary) = create(&directory).map_err(fail)?;
                let name = Pending { directory, name, force, temporary };
                file.set_len(size).map_err(fail)?;
                let unit = sharing_unit(&file);
                (file, Kind::File { name, unit, turn: Mutex::default() })
            }
        };
        Ok(Output { path, file, kind })
    }
}

/// Whether a symlink is where the system has its own, as `/dev/stdout`: nobody wants it replaced.
fn is_of_the_system(link: &Path) -> bool {
    let directory = link.parent().and_then(|parent| parent.canonicalize().ok());
    directory.is_some_and(|path| path == Path::new("/dev") || path.starts_with("/proc"))
}

/// An image that is being written. One that is dropped before [`Output::finish`] leaves no file.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stream,
    Device,
    /// A regular file that was there before.
    Existing,
    File {
        name: Pending,
        /// The file system can share whole units of so many bytes.
        unit: Option<u64>,
        /// The kernel lets one thread at a time write to a file, and the others spin. Here they
        /// sleep, which takes a quarter less of the processors' time.
        turn: Mutex<()>,
    },
}

/// The name that a file gets at the end.
#[derive(Debug)]
struct Pending {
    directory: OwnedFd,
    name: OsString,
    force: bool,
    /// What it is called meanwhile, if it has to have a name.
    temporary: Option<OsString>,
}

impl Output {
    /// An image that is there already, a file or block device that can be read and written, to
    /// write some of it anew. It keeps its size, and what is written when something fails.
    ///
    /// # Errors
    /// [`Error::Output`] if it can't be looked at.
    pub fn update(path: &Path, file: File) -> Result<Self> {
        let kind = file.metadata().map(|metadata| metadata.file_type());
        let kind =
            kind.map_err(|error| Error::output(format!("cannot look at {}", text(path)), error))?;
        let kind = if kind.is_file() { Kind::Existing } else { Kind::Device };
        Ok(Self { path: path.into(), file, kind })
    }

    /// What is written so far.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes the space of all of it now.
    ///
    /// # Errors
    /// [`Error::Output`] if there is not enough.
    pub fn allocate(&self, size: u64) -> Result<()> {
        let allocated = fallocate(&self.file, FallocateFlags::empty(), 0, size);
        allocated.map_err(|error| Error::output(format!("cannot allocate {}", self.name()), error))
    }

    /// Gives a file its name. A block device is flushed; a file is not.
    ///
    /// # Errors
    /// [`Error::Output`] if that fails, [`Error::Parameter`] if by now there is a file that may not
    /// be replaced.
    pub fn finish(self) -> Result<()> {
        let Self { path, file, kind } = self;
        let result = match kind {
            Kind::Stream | Kind::Existing => Ok(()),
            Kind::Device => file.sync_data(),
            Kind::File { name, .. } => name.publish(&file).map_err(io::Error::from),
        };
        result.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&path),
            _ => Error::output(format!("cannot finish {}", text(&path)), error),
        })
    }
}

impl Sink for Output {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.kind {
            Kind::Stream => (&self.file).write_all(bytes),
            Kind::Device | Kind::Existing => self.file.write_all_at(bytes, offset),
            Kind::File { ref turn, .. } => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                self.file.write_all_at(bytes, offset)
            }
        }
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.kind {
            Kind::Stream => zero_slices(len).try_for_each(|zeros| (&self.file).write_all(zeros)),
            Kind::Device => clear(&self.file, FallocateFlags::ZERO_RANGE, offset, len),
            Kind::Existing => clear(&self.file, FallocateFlags::PUNCH_HOLE, offset, len),
            Kind::File { .. } => Ok(()),
        }
    }

    fn share(&self, offset: u64, source: &File, from: u64, len: u64) -> u64 {
        let Kind::File { unit: Some(unit), .. } = self.kind else { return 0 };
        if !offset.is_multiple_of(unit) || !from.is_multiple_of(unit) {
            return 0;
        }
        // A copy between two files of such a file system shares what it can.
        let (whole, mut done) = (len - len % unit, 0);
        while done < whole {
            let (mut input, mut output) = (from + done, offset + done);
            let left = usize::try_from(whole - done).unwrap_or(usize::MAX);
            match copy_file_range(source, Some(&mut input), &self.file, Some(&mut output), left) {
                Ok(0) | Err(_) => break,
                Ok(copied) => done += copied as u64,
            }
        }
        done
    }

    fn in_order(&self) -> bool {
        matches!(self.kind, Kind::Stream)
    }

    fn name(&self) -> String {
        text(&self.path)
    }
}

impl Pending {
    fn publish(mut self, file: &File) -> Result<(), Errno> {
        let temporary = match &self.temporary {
            Some(temporary) => temporary.clone(),
            // A link does not replace anything, so only a replacement takes two steps.
            None if !self.force => return link(file, &self.directory, &self.name),
            None => {
                let link = |name: &OsStr| link(file, &self.directory, name);
                self.temporary.insert(temporary_name(link)?.1).clone()
            }
        };
        let (directory, name) = (&self.directory, &*self.name);
        let replace = || renameat(directory, &*temporary, directory, name);
        let flags = RenameFlags::NOREPLACE;
        let renamed = match self.force {
            true => replace(),
            false => match renameat_with(directory, &*temporary, directory, name, flags) {
                // Some network file systems don't know the flag, and pseudo does not know the call.
                // What is left is to look first.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(_) => Err(Errno::EXIST),
                        Err(Errno::NOENT) => replace(),
                        Err(error) => Err(error),
                    }
                }
                renamed => renamed,
            },
        };
        if renamed.is_ok() {
            self.temporary = None;
        }
        renamed
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // There is an error to tell already, or the program is ending.
            let _ = unlinkat(&self.directory, &**temporary, AtFlags::empty());
        }
    }
}

fn text(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "the standard output".into(),
        false => Escaped(path.as_os_str().as_encoded_bytes()).to_string(),
    }
}

fn exists(path: &Path) -> Error {
    Error::parameter(
        "the output",
        format!("{} exists", text(path)),
        "give another name, or `--force` to replace it",
    )
}

fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// A file, and its name if it has one.
type NewFile = (File, Option<OsString>);

const NEW: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);

/// As any program makes a file: less the umask.
const MODE: Mode = Mode::from_raw_mode(0o666);

/// Makes a file in a directory, without a name if that can be.
fn unnamed_or_named(directory: &OwnedFd) -> io::Result<NewFile> {
    // The file gets its name through /proc.
    if Path::new("/proc/self/fd").exists() {
        match openat(directory, c".", NEW | OFlags::TMPFILE, MODE) {
            Ok(file) => return Ok((file.into(), None)),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    named(directory)
}

fn named(directory: &OwnedFd) -> io::Result<NewFile> {
    let flags = NEW | OFlags::CREATE | OFlags::EXCL;
    let (file, name) = temporary_name(|name| openat(directory, name, flags, MODE))?;
    Ok((file.into(), Some(name)))
}

/// Finds a free temporary name for what `make` makes.
fn temporary_name<T>(make: impl Fn(&OsStr) -> Result<T, Errno>) -> Result<(T, OsString), Errno> {
    // The process's number may be that of a killed one that left its file.
    let mut attempt = 0u32;
    loop {
        let temporary = OsString::from(format!(".detfs-{}-{attempt}", std::process::id()));
        match make(&temporary) {
            Err(Errno::EXIST) => attempt += 1,
            made => return Ok((made?, temporary)),
        }
    }
}

fn link(file: &File, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, unnamed, directory, name, AtFlags::SYMLINK_FOLLOW)
}

/// The block size of a file system that can share blocks between files.
fn sharing_unit(file: &File) -> Option<u64> {
    // To clone a file onto itself is never done, but the kernel says so in another way where it
    // can clone at all. Elsewhere nothing is tried: letting the kernel copy is no faster than to
    // read and write, which puts many small files into one call.
    match ioctl_ficlone(file, file) {
        Err(Errno::INVAL) => fstatvfs(file).ok().map(|stat| stat.f_bsize),
        _ => None,
    }
}

/// Makes old content zeros, where that is possible by a call with this flag.
fn clear(device: &File, flag: FallocateFlags, offset: u64, len: u64) -> io::Result<()> {
    let end = offset + len;
    let (from, to) = (offset.next_multiple_of(ZERO_UNIT), end - end % ZERO_UNIT);
    let write = |mut at: u64, to: u64| {
        zero_slices(to - at).try_for_each(|zeros| {
            device.write_all_at(zeros, at)?;
            at += zeros.len() as u64;
            Ok::<_, io::Error>(())
        })
    };
    if from >= to {
        return write(offset, end);
    }
    write(offset, from)?;
    match fallocate(device, flag | FallocateFlags::KEEP_SIZE, from, to - from) {
        Err(Errno::OPNOTSUPP | Errno::INVAL) => write(from, to)?,
        result => result?,
    }
    write(to, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(directory: &Path) -> Vec<OsString> {
        let all = std::process::Command::new("ls").arg("-A").arg(directory).output().unwrap();
        String::from_utf8(all.stdout).unwrap().lines().map(OsString::from).collect()
    }

    #[test]
    fn where_files_can_not_be_unnamed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let create = |force| Destination::new(&path, force).unwrap().create_by(10, named).unwrap();
        // What a killed process with the same number left.
        let left = OsString::from(format!(".detfs-{}-0", std::process::id()));
        fs::write(directory.path().join(&left), "left").unwrap();

        let output = create(false);
        let temporary = OsString::from(format!(".detfs-{}-1", std::process::id()));
        assert_eq!(list(directory.path()), [left.clone(), temporary]);
        drop(output);
        assert_eq!(list(directory.path()), std::slice::from_ref(&left));

        create(false).finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [0; 10]);

        fs::write(&path, "old").unwrap();
        create(true).finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [0; 10]);

        fs::remove_file(&path).unwrap();
        let output = create(false);
        fs::write(&path, "new").unwrap();
        assert!(matches!(output.finish(), Err(Error::Parameter { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(list(directory.path()), [left, "out".into()]);
    }

    #[test]
    fn zeros_of_any_alignment_are_cleared() {
        let file = tempfile::tempfile().unwrap();
        let ranges = [(0, 8192), (1, 4094), (4095, 4098), (100, 20_000), (4096, 1), (5, 0)];
        let flags = [FallocateFlags::ZERO_RANGE, FallocateFlags::PUNCH_HOLE];
        for ((offset, len), flag) in
            ranges.into_iter().flat_map(|range| flags.map(|flag| (range, flag)))
        {
            file.write_all_at(&[1; 32_768], 0).unwrap();
            clear(&file, flag, offset, len).unwrap();
            let mut bytes = [0; 32_768];
            file.read_exact_at(&mut bytes, 0).unwrap();
            for (at, byte) in (0..).zip(bytes) {
                let inside = (offset..offset + len).contains(&at);
                assert_eq!(byte == 0, inside, "{offset}+{len} at {at}");
            }
        }
    }
}
