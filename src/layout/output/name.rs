//! The name that a file gets when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fsync, linkat, openat, renameat_with, statat, syncfs,
    unlinkat,
};
use rustix::io::Errno;

/// The name that a file gets at the end.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    pub(super) force: bool,
    /// What it is called meanwhile, if it has to have a name.
    pub(super) temporary: Option<OsString>,
}

impl Pending {
    /// Gives the file its name.
    pub(super) fn publish(&mut self, file: &File) -> Result<(), Errno> {
        let temporary = match &self.temporary {
            Some(temporary) => temporary.clone(),
            // A link does not replace anything, so only a replacement takes two steps.
            None if !self.force => return link(file, &self.directory, &self.name),
            None => {
                let link = |name: &OsStr| link(file, &self.directory, name);
                self.temporary.insert(temporary_name(link)?.1).clone()
            }
        };
        let rename = |flags| {
            renameat_with(&self.directory, &*temporary, &self.directory, &*self.name, flags)
        };
        let renamed = match self.force {
            true => rename(RenameFlags::empty()),
            false => match rename(RenameFlags::NOREPLACE) {
                // Some network file systems don't know the flag. What is left is to look first.
                Err(Errno::INVAL) => {
                    match statat(&self.directory, &*self.name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(_) => Err(Errno::EXIST),
                        Err(_) => rename(RenameFlags::empty()),
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

    /// Takes back the name that the file got, unless it was that of another one before.
    pub(super) fn withdraw(&self) {
        if !self.force {
            // There is an error to report already.
            let _ = unlinkat(&self.directory, &*self.name, AtFlags::empty());
        }
    }

    /// Writes the name through to the disk.
    pub(super) fn flush(&self, file: &File) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let flushed = openat(&self.directory, c".", flags, Mode::empty()).and_then(fsync);
        match flushed {
            // A directory may be closed to reading, or of a file system that has no such call.
            Err(Errno::ACCESS | Errno::INVAL) => syncfs(file),
            flushed => flushed,
        }
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

/// A file, and its name if it has one.
pub(super) type NewFile = (File, Option<OsString>);

const NEW: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);

/// As any program makes a file: less the umask.
const MODE: Mode = Mode::from_raw_mode(0o666);

/// Makes a file in a directory, without a name if that can be.
pub(super) fn unnamed_or_named(directory: &OwnedFd) -> io::Result<NewFile> {
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
}
