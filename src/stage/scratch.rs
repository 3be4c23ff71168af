//! Scratch directories: an output is built in a directory next to it until it is complete.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::removexattr;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::error::{Error, Result};
use crate::interrupt::{Registration, register, uninterrupted};
use crate::name::HostPath;

/// A scratch directory. It is removed with its content when it is dropped; one left by an
/// interrupted run is removed by the next run.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    content: PathBuf,
    /// Lock file, locked while the directory is in use.
    _lock: File,
    _registration: Registration,
}

impl Scratch {
    /// Creates the directory `.NAME.PURPOSE` next to a path whose last component is `NAME`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the path has no file name, if the directory is in use by another
    /// run, or if something else is in its place; [`Error::Output`] if the directory can't be
    /// created.
    pub(crate) fn beside(path: &Path, purpose: &str) -> Result<Self> {
        uninterrupted(|| Self::make(path, purpose))
    }

    fn make(path: &Path, purpose: &str) -> Result<Self> {
        let fail = |rule: String, remedy: &str| Err(Error::parameter("output", rule, remedy));
        let Some(name) = path.file_name() else {
            return fail(format!("{} has no name", HostPath(path)), "give the name of a directory");
        };
        let mut own = OsString::from(".");
        own.push(name);
        own.push(format!(".{purpose}"));
        let directory = path.with_file_name(own);
        let shown = HostPath(&directory).to_string();
        let refused =
            |error: io::Error| Error::output(format!("cannot make the directory {shown}"), error);
        // No other user needs access.
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !is_left(&directory).map_err(refused)? {
                    return fail(
                        format!("{shown} already exists"),
                        "remove it, or give another name",
                    );
                }
            }
            made => made.map_err(refused)?,
        }
        disinherit(&directory).map_err(refused)?;
        let name = directory.join("lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&name);
        let lock = lock.map_err(refused)?;
        let locked = match lock.try_lock() {
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) if !has_no_locks(&error) => return Err(refused(error)),
            // Make sure that another run has not removed the lock file meanwhile.
            Ok(()) | Err(TryLockError::Error(_)) => is_named(&lock, &name).map_err(refused)?,
        };
        if !locked {
            return fail(
                format!("{} is already being created", HostPath(path)),
                "wait until it is finished",
            );
        }
        let content = directory.join("content");
        let (registered, inner) = (directory.clone(), content.clone());
        let _registration = register(move || {
            remove_directory(&inner);
            remove_directory(&registered);
        });
        let scratch = Self { content, path: directory, _lock: lock, _registration };
        match fs::remove_dir_all(&scratch.content) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(error)),
            _ => fs::create_dir(&scratch.content).map_err(refused),
        }?;
        Ok(scratch)
    }

    /// Returns the path of `path` in the directory.
    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.content.join(path)
    }

    /// Creates a directory in the scratch directory, with this mode regardless of the umask.
    pub(super) fn directory(&self, path: &str, mode: u32) -> Result<PathBuf> {
        let path = self.join(path);
        let made = fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)));
        made.map_err(|error| {
            Error::output(format!("cannot make the directory {}", HostPath(&path)), error)
        })?;
        Ok(path)
    }

    /// Writes a file in the scratch directory.
    pub(super) fn file(&self, path: &str, text: &str) -> Result<PathBuf> {
        let path = self.join(path);
        fs::write(&path, text)
            .map_err(|error| Error::output(format!("cannot write {}", HostPath(&path)), error))?;
        Ok(path)
    }

    /// Moves the directory `root` from the scratch directory to `out`.
    pub(super) fn finish(self, out: &Path) -> Result<()> {
        fs::rename(self.join("root"), out).map_err(|error| {
            Error::output(format!("cannot rename the tree to {}", HostPath(out)), error)
        })
    }
}

/// Returns whether the error means that the file system does not support locks.
pub(super) fn has_no_locks(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    matches!(error, Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP))
}

/// Returns whether an open file still has this name.
fn is_named(file: &File, name: &Path) -> io::Result<bool> {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match fs::metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(identity(found?) == identity(file.metadata()?)),
    }
}

/// Removes what a directory has inherited from its parent and would pass on to everything created
/// in it: a group, and access control lists.
fn disinherit(directory: &Path) -> io::Result<()> {
    chown(directory, None, Some(getegid().as_raw()))?;
    for list in ["system.posix_acl_default", "system.posix_acl_access"] {
        match removexattr(directory, list) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // This also clears the setgid bit, which passes on the group.
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

/// Returns whether a directory was left by another run, or is in use by one: it belongs to the same
/// user, is closed to all others, and contains nothing else.
#[expect(clippy::disallowed_methods, reason = "whatever the order, the answer is the same")]
fn is_left(directory: &Path) -> io::Result<bool> {
    let found = directory.symlink_metadata()?;
    let own = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0;
    if !own {
        return Ok(false);
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let name = entry.file_name();
        if !(name == "lock" && kind.is_file() || name == "content" && kind.is_dir()) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run removes what can't be removed here. The lock goes last: without it, another
        // run would take over the directory.
        match fs::remove_dir_all(&self.content) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => drop(fs::remove_dir_all(&self.path)),
        }
    }
}

/// Removes a directory that processes which were just killed may still be writing to.
pub(crate) fn remove_directory(path: &Path) {
    for _ in 0..50 {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_comes_whole_or_not_at_all() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("tree");
        let names = || {
            let mut names: Vec<_> = walk(parent.path());
            names.sort();
            names
        };
        let new = || Scratch::beside(&out, "stage");
        let scratch = new().unwrap();
        scratch.directory("root/a", 0o555).unwrap();
        assert!(new().unwrap_err().to_string().contains("already being created"));
        drop(scratch);
        assert_eq!(names(), [""; 0]);

        let left = parent.path().join(".tree.stage");
        fs::create_dir_all(left.join("content/root/old")).unwrap();
        let closed = |mode| fs::set_permissions(&left, Permissions::from_mode(mode)).unwrap();
        let in_the_way = || {
            let error = new().unwrap_err().to_string();
            assert!(error.contains(".tree.stage already exists"), "{error}");
        };
        // The existing directory belongs, or may belong, to someone else.
        closed(0o755);
        in_the_way();
        closed(0o700);
        fs::write(parent.path().join("victim"), "precious").unwrap();
        symlink(parent.path().join("victim"), left.join("lock")).unwrap();
        in_the_way();
        assert_eq!(fs::read_to_string(parent.path().join("victim")).unwrap(), "precious");
        fs::remove_file(parent.path().join("victim")).unwrap();
        fs::remove_file(left.join("lock")).unwrap();
        fs::write(left.join("note"), "").unwrap();
        in_the_way();
        fs::remove_file(left.join("note")).unwrap();
        let scratch = new().unwrap();
        scratch.directory("root", 0o755).unwrap();
        scratch.file("root/file", "x").unwrap();
        scratch.finish(&out).unwrap();
        assert_eq!(names(), ["tree", "tree/file"]);
        assert!(
            Scratch::beside(Path::new("/"), "stage").unwrap_err().to_string().contains("no name")
        );
    }

    fn walk(root: &Path) -> Vec<String> {
        let (tree, _) = crate::tree::dir::read(root, &Default::default()).unwrap();
        let paths = tree.iter().skip(1).map(|(id, _)| String::from_utf8(tree.path(id)).unwrap());
        paths.collect()
    }
}
