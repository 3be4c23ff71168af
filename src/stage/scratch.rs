//! A directory beside what is made, in which it grows until it is whole.

use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The directory. It is removed with all that is in it when this is dropped; what an interrupted
/// run has left is removed by the next.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    content: PathBuf,
    /// Locked while it is in use.
    _lock: File,
}

impl Scratch {
    /// Makes the directory `.NAME.PURPOSE` beside a path that ends in the name.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the path has no name or another run has made the directory and is
    /// not done; [`Error::Output`] if it can't be made.
    pub(crate) fn beside(path: &Path, purpose: &str) -> Result<Self> {
        let fail = |rule: String, remedy: &str| Err(Error::parameter("OUT", rule, remedy));
        let Some(name) = path.file_name() else {
            return fail(format!("{} has no name", path.display()), "give the name of a directory");
        };
        let mut own = OsString::from(".");
        own.push(name);
        own.push(format!(".{purpose}"));
        let directory = path.with_file_name(own);
        let shown = directory.display().to_string();
        let refused =
            |error: io::Error| Error::output(format!("cannot make the directory {shown}"), error);
        fs::create_dir_all(&directory).map_err(refused)?;
        // Nobody else has any business in there.
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).map_err(refused)?;
        let name = directory.join("lock");
        let lock = File::create(&name).map_err(refused)?;
        let locked = match lock.try_lock() {
            Err(TryLockError::Error(error)) => return Err(refused(error)),
            Ok(()) => {
                // Not one that another run has removed since.
                let identity = |found: fs::Metadata| (found.dev(), found.ino());
                fs::metadata(&name).ok().map(identity) == lock.metadata().ok().map(identity)
            }
            Err(TryLockError::WouldBlock) => false,
        };
        if !locked {
            return fail(format!("{} is being made already", path.display()), "wait for that");
        }
        let scratch = Self { content: directory.join("content"), path: directory, _lock: lock };
        match fs::remove_dir_all(&scratch.content) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(error)),
            _ => fs::create_dir(&scratch.content).map_err(refused),
        }?;
        Ok(scratch)
    }

    /// The path of something in it.
    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.content.join(path)
    }

    /// Makes a directory in it, with this mode whatever the umask.
    pub(super) fn directory(&self, path: &str, mode: u32) -> Result<PathBuf> {
        let path = self.join(path);
        let made = fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)));
        made.map_err(|error| {
            Error::output(format!("cannot make the directory {}", path.display()), error)
        })?;
        Ok(path)
    }

    /// Writes a file in it.
    pub(super) fn file(&self, path: &str, text: &str) -> Result<PathBuf> {
        let path = self.join(path);
        fs::write(&path, text)
            .map_err(|error| Error::output(format!("cannot write {}", path.display()), error))?;
        Ok(path)
    }

    /// Gives the directory `root` in it its own name.
    pub(super) fn finish(self, out: &Path) -> Result<()> {
        fs::rename(self.join("root"), out).map_err(|error| {
            Error::output(format!("cannot give the tree the name {}", out.display()), error)
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The next run removes what this can't. The lock goes last: without it another run would
        // take the place for its own.
        match fs::remove_dir_all(&self.content) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => drop(fs::remove_dir_all(&self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_whole_or_not_at_all() {
        let ground = tempfile::tempdir().unwrap();
        let out = ground.path().join("tree");
        let names = || {
            let mut names: Vec<_> = walk(ground.path());
            names.sort();
            names
        };
        let new = || Scratch::beside(&out, "stage");
        let scratch = new().unwrap();
        scratch.directory("root/a", 0o555).unwrap();
        assert!(new().unwrap_err().to_string().contains("being made already"));
        drop(scratch);
        assert_eq!(names(), [""; 0]);

        fs::create_dir_all(ground.path().join(".tree.stage/content/root/old")).unwrap();
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
