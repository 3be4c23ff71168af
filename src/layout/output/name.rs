//! The final and the temporary name of an output file.
//!
//! If a file can't be created without a name, its temporary name is `.detfs-` followed by 16 digits
//! derived from the final name. The file is locked while it is written. An unlocked file was left
//! by a run that was killed, and the next run for the same output removes it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fstat, fsync, linkat, openat, renameat, renameat_with,
    statat, syncfs, unlinkat,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::interrupt::{Registration, register};

/// The final name of a file.
#[derive(Debug)]
pub(super) struct Pending {
    directory: Arc<OwnedFd>,
    name: OsString,
    force: bool,
    /// Temporary name, if the file needs one.
    temporary: Option<Temporary>,
}

/// A temporary name.
#[derive(Debug)]
struct Temporary {
    name: OsString,
    _registration: Registration,
}

/// In a static program, `O_TMPFILE` results in a bare system call, to which the C library does not
/// add `O_LARGEFILE`: a 32-bit program could not write beyond 2 GiB.
const NEW: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::LARGEFILE);

/// Mode of new files before the umask is applied, the same as in most programs.
const MODE: Mode = Mode::from_raw_mode(0o666);

impl Pending {
    /// Creates a pending name in a directory, which with `force` may replace an existing file.
    pub(super) fn new(directory: OwnedFd, name: OsString, force: bool) -> Self {
        Self { directory: Arc::new(directory), name, force, temporary: None }
    }

    /// Creates the file, without a name if possible.
    pub(super) fn create(&mut self) -> io::Result<File> {
        // An unnamed file is later linked through /proc.
        if Path::new("/proc/self/fd").exists() {
            match openat(&self.directory, c".", NEW | OFlags::TMPFILE, MODE) {
                Ok(file) => {
                    let file = File::from(file);
                    // Not every file system supports locks, and this file has a temporary name only
                    // briefly.
                    let _ = file.try_lock();
                    // If a stale file remains, naming reports the error.
                    let _ = self.remove_stale();
                    return Ok(file);
                }
                Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.create_named()
    }

    /// Creates the file under the temporary name.
    pub(super) fn create_named(&mut self) -> io::Result<File> {
        let name = self.temporary_name();
        loop {
            match openat(&self.directory, &*name, NEW | OFlags::CREATE | OFlags::EXCL, MODE) {
                Ok(file) => {
                    let file = File::from(file);
                    // Until the file is locked, another run may consider it stale.
                    let locked = !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
                    if locked && self.is_called(&file, &name)? {
                        self.has_temporary(name);
                        return Ok(file);
                    }
                }
                Err(Errno::EXIST) => self.remove_stale()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the file its final name.
    pub(super) fn publish(&mut self, file: &File) -> io::Result<()> {
        // A link never replaces anything, so only a replacement takes two steps.
        if self.temporary.is_none() && !self.force {
            return Ok(link(file, &self.directory, &self.name)?);
        }
        if self.temporary.is_none() {
            self.link_temporary(file)?;
        }
        let temporary = self.temporary_name();
        let (directory, name) = (&*self.directory, &*self.name);
        let replace = || renameat(directory, &*temporary, directory, name);
        let flags = RenameFlags::NOREPLACE;
        match self.force {
            true => replace(),
            false => match renameat_with(directory, &*temporary, directory, name, flags) {
                // Some network file systems don't support the flag, and pseudo does not intercept
                // the call. Checking in advance is the only alternative.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(_) => Err(Errno::EXIST),
                        Err(Errno::NOENT) => replace(),
                        Err(error) => Err(error),
                    }
                }
                renamed => renamed,
            },
        }?;
        self.temporary = None;
        Ok(())
    }

    fn link_temporary(&mut self, file: &File) -> io::Result<()> {
        let name = self.temporary_name();
        loop {
            match link(file, &self.directory, &name) {
                Err(Errno::EXIST) => self.remove_stale()?,
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.has_temporary(name);
                    return Ok(());
                }
            }
        }
    }

    /// Removes the final name again, unless it may have replaced another file.
    pub(super) fn withdraw(&self) {
        if !self.force {
            // An error is already being reported.
            let _ = unlinkat(&self.directory, &*self.name, AtFlags::empty());
        }
    }

    /// Opens the directory for [`flush`](Self::flush); `None` if it is not readable.
    pub(super) fn open_directory(&self) -> Result<Option<OwnedFd>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(&self.directory, c".", flags, Mode::empty()) {
            Err(Errno::ACCESS) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Flushes the name to the disk, with its directory or the whole file system.
    pub(super) fn flush(file: &File, directory: Option<&OwnedFd>) -> Result<(), Errno> {
        match directory.map(fsync) {
            // Some file systems don't support fsync on directories.
            None | Some(Err(Errno::INVAL)) => syncfs(file),
            Some(flushed) => flushed,
        }
    }

    /// Returns a temporary name that is short, ASCII and the same for all runs with this output.
    fn temporary_name(&self) -> OsString {
        let digest = Sha256::digest(self.name.as_encoded_bytes());
        let digits = hex(&digest[..8]);
        format!(".detfs-{digits}").into()
    }

    fn has_temporary(&mut self, name: OsString) {
        let (directory, path) = (Arc::clone(&self.directory), name.clone());
        let remove = move || {
            let _ = unlinkat(&directory, &*path, AtFlags::empty());
        };
        self.temporary = Some(Temporary { name, _registration: register(remove) });
    }

    /// Removes a file with the temporary name, unless another run is writing it.
    fn remove_stale(&self) -> io::Result<()> {
        let name = self.temporary_name();
        let in_the_way = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} is in the way: {error}", name.display()))
        };
        let flags = NEW | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match openat(&self.directory, &*name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            opened => File::from(opened.map_err(|error| in_the_way(error.into()))?),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::ResourceBusy, "another run is writing it"));
            }
            Err(TryLockError::Error(error)) => return Err(in_the_way(error)),
        }
        // Its run may have renamed it meanwhile, or another run removed it.
        if self.is_called(&file, &name)? {
            unlinkat(&self.directory, &*name, AtFlags::empty())?;
        }
        Ok(())
    }

    /// Returns whether `name` refers to `file`.
    fn is_called(&self, file: &File, name: &OsStr) -> io::Result<bool> {
        let own = fstat(file)?;
        match statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // An error is already being reported, or the program is exiting.
            let _ = unlinkat(&self.directory, &*temporary.name, AtFlags::empty());
        }
    }
}

fn link(file: &File, directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, unnamed, directory, name, AtFlags::SYMLINK_FOLLOW)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error::Error;
    use crate::layout::Destination;

    fn list(directory: &Path) -> Vec<OsString> {
        let all = std::process::Command::new("ls").arg("-A").arg(directory).output().unwrap();
        String::from_utf8(all.stdout).unwrap().lines().map(OsString::from).collect()
    }

    #[test]
    fn where_files_can_not_be_unnamed() {
        // printf out | sha256sum
        let temporary = OsString::from(".detfs-762069bc07a6e1b5");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let try_create =
            |force| Destination::new(&path, force).unwrap().create_by(10, Pending::create_named);
        let create = |force| try_create(force).unwrap();

        // A file that a killed run left.
        fs::write(directory.path().join(&temporary), "left").unwrap();
        let output = create(false);
        assert_eq!(list(directory.path()), std::slice::from_ref(&temporary));
        let busy = try_create(false).unwrap_err().to_string();
        assert!(busy.contains("another run is writing it"), "{busy}");
        drop(output);
        assert_eq!(list(directory.path()), [""; 0]);

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
        assert_eq!(list(directory.path()), ["out"]);

        // Anything other than a file of an earlier run is left alone.
        fs::create_dir(directory.path().join(&temporary)).unwrap();
        let error = try_create(true).unwrap_err().to_string();
        assert!(error.contains(temporary.to_str().unwrap()), "{error}");
    }

    #[test]
    fn what_a_replacement_left_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let stale = directory.path().join(".detfs-762069bc07a6e1b5");
        for (before, force) in [(false, false), (true, true)] {
            fs::write(&stale, "left").unwrap();
            assert_eq!(path.exists(), before);
            Destination::new(&path, force).unwrap().create(10).unwrap().finish().unwrap();
            assert_eq!(list(directory.path()), ["out"]);
        }
        // The same if a stale file appears just before the end.
        let output = Destination::new(&path, true).unwrap().create(10).unwrap();
        fs::write(&stale, "left").unwrap();
        output.finish().unwrap();
        assert_eq!(list(directory.path()), ["out"]);
    }
}
