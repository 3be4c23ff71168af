//! Finds definition files and their drop-ins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::repart::root_path::{beneath, resolve, resolve_directory};

/// A configuration file.
#[derive(Debug)]
pub(super) struct ConfigFile {
    /// The path of the file: the directory as it was given, and the name.
    pub(super) path: PathBuf,
    /// The file that the path leads to, through symlinks if there are any.
    target: PathBuf,
}

impl ConfigFile {
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        fs::read(&self.target).map_err(|error| unreadable(&self.path, error))
    }
}

/// A definition file with its drop-ins.
pub(super) struct DefinitionFile {
    pub(super) file: ConfigFile,
    pub(super) drop_ins: Vec<ConfigFile>,
}

/// Returns the definition files in `directories`, sorted by name. Of files with the same name, only
/// the one in the first directory counts. Symlinks are resolved within `root`.
pub(super) fn find(directories: &[PathBuf], root: &Path) -> Result<Vec<DefinitionFile>> {
    let mut found = Vec::new();
    for (name, file) in named(directories, root)? {
        let Some(file) = file else { continue };
        let mut directory = name;
        directory.push(".d");
        let beside: Vec<_> = directories.iter().map(|one| one.join(&directory)).collect();
        let drop_ins = named(&beside, root)?.into_values().flatten().collect();
        found.push(DefinitionFile { file, drop_ins });
    }
    Ok(found)
}

/// Returns the `.conf` files in `directories` by name; `None` for a file that masks others.
fn named(directories: &[PathBuf], root: &Path) -> Result<BTreeMap<OsString, Option<ConfigFile>>> {
    let mut files = BTreeMap::new();
    for directory in directories {
        for name in names(directory, root)? {
            // Like systemd, ignore hidden files, which editors create.
            let is_hidden = name.as_bytes().starts_with(b".");
            if is_hidden || !name.as_bytes().ends_with(b".conf") || files.contains_key(&name) {
                continue;
            }
            let path = directory.join(&name);
            match node(&path, root)? {
                PathTarget::Masked => files.insert(name, None),
                PathTarget::File(target) => files.insert(name, Some(ConfigFile { path, target })),
                PathTarget::Directory(_) => {
                    return Err(unreadable(&path, ErrorKind::IsADirectory.into()));
                }
                PathTarget::Missing => continue,
            };
        }
    }
    Ok(files)
}

/// Returns the names in a directory, unsorted; empty if the directory is missing.
fn names(directory: &Path, root: &Path) -> Result<Vec<OsString>> {
    let target = match node(directory, root)? {
        PathTarget::Directory(target) => target,
        PathTarget::Masked | PathTarget::Missing => return Ok(Vec::new()),
        PathTarget::File(_) => return Err(unreadable(directory, ErrorKind::NotADirectory.into())),
    };
    let fail = |error| unreadable(directory, error);
    #[expect(clippy::disallowed_methods, reason = "the names are put into a sorted map")]
    let listing = fs::read_dir(target).map_err(fail)?;
    listing.map(|entry| Ok(entry.map_err(fail)?.file_name())).collect()
}

/// The target of a path.
enum PathTarget {
    Missing,
    /// `/dev/null` or an empty file.
    Masked,
    File(PathBuf),
    Directory(PathBuf),
}

/// Returns the target of a path on the host, with symlinks resolved within `root`.
///
/// # Errors
/// [`Error::Definition`] for a dangling symlink, [`Error::Source`] for a file that can't be read:
/// skipping a definition would silently omit its partition.
fn node(path: &Path, root: &Path) -> Result<PathTarget> {
    let fail = |error| unreadable(path, error);
    let within = path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes();
    let of_root = |error| match error {
        // The path in the error is relative to the root.
        Error::Source { source, .. } => fail(source),
        error => error,
    };
    let directory = resolve_directory(root, within).map_err(of_root)?;
    let Some(name) = directory else { return Ok(PathTarget::Missing) };
    let name = beneath(root, &name);
    let link = match name.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => Some(name.read_link().map_err(fail)?),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(PathTarget::Missing),
        Err(error) => return Err(fail(error)),
    };
    // `/dev/null` may not exist in the root.
    if link.as_deref() == Some(Path::new("/dev/null")) {
        return Ok(PathTarget::Masked);
    }
    let Some(target) = resolve(root, within).map_err(of_root)? else {
        return Err(Error::Definition {
            file: path.into(),
            line: 0,
            rule: "dangling symlink".into(),
            remedy: "remove it, or point it to a file, or to /dev/null for no definition".into(),
        });
    };
    let target = beneath(root, &target);
    let metadata = fs::symlink_metadata(&target).map_err(fail)?;
    Ok(match metadata.file_type() {
        kind if kind.is_dir() => PathTarget::Directory(target),
        kind if kind.is_char_device() => PathTarget::Masked,
        kind if kind.is_file() && metadata.len() == 0 => PathTarget::Masked,
        kind if kind.is_file() => PathTarget::File(target),
        _ => return Err(fail(std::io::Error::other("not a regular file"))),
    })
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::source(path.as_os_str().as_bytes(), "cannot read", error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_first_directory_counts_and_names_are_sorted() {
        let root = tempfile::tempdir().unwrap();
        let directories = ["a", "b", "missing"].map(|name| root.path().join(name));
        let [a, b, _] = &directories;
        fs::create_dir_all(a.join("20.conf.d")).unwrap();
        fs::create_dir_all(b.join("20.conf.d")).unwrap();
        let content = "[Partition]\n";
        for path in ["a/20.conf", "b/20.conf", "b/10.conf", "b/30.conf", "b/40.conf", "b/not"] {
            fs::write(root.path().join(path), content).unwrap();
        }
        for path in ["a/20.conf.d/z.conf", "b/20.conf.d/a.conf", "b/20.conf.d/z.conf"] {
            fs::write(root.path().join(path), content).unwrap();
        }
        fs::write(a.join("30.conf"), "").unwrap();
        symlink("/dev/null", a.join("40.conf")).unwrap();
        symlink("../b/10.conf", a.join("50.conf")).unwrap();
        symlink("/dev/null", b.join("null")).unwrap();
        symlink("null", b.join("35.conf")).unwrap();
        symlink("/dev/null", b.join("10.conf.d")).unwrap();
        let found = find(&directories, Path::new("/")).unwrap();
        let relative = |file: &ConfigFile| file.path.strip_prefix(root.path()).unwrap().to_owned();
        let names: Vec<_> = found.iter().map(|found| relative(&found.file)).collect();
        assert_eq!(names, ["b/10.conf", "a/20.conf", "a/50.conf"].map(PathBuf::from));
        let drop_ins: Vec<_> = found[1].drop_ins.iter().map(relative).collect();
        assert_eq!(drop_ins, ["b/20.conf.d/a.conf", "a/20.conf.d/z.conf"].map(PathBuf::from));
    }

    #[test]
    fn symlinks_stay_in_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir_all(root.join("usr/lib/repart.d")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("usr/lib/definition"), "content").unwrap();
        symlink("/usr/lib/repart.d", root.join("etc/repart.d")).unwrap();
        symlink("/usr/lib/definition", root.join("usr/lib/repart.d/10.conf")).unwrap();
        symlink("/dev/null", root.join("usr/lib/repart.d/20.conf")).unwrap();
        let found = find(&[root.join("etc/repart.d")], root).unwrap();
        let [found] = &*found else { panic!("{} files", found.len()) };
        assert_eq!(found.file.path, root.join("etc/repart.d/10.conf"));
        assert_eq!(found.file.read().unwrap(), b"content");
    }

    #[test]
    fn what_can_not_be_read_is_an_error() {
        for (script, name) in [
            ("ln -s nowhere d/10.conf", "d/10.conf"),
            ("ln -s 10.conf d/10.conf", "d/10.conf"),
            ("ln -s ../file/x d/10.conf", "d/10.conf"),
            ("mkfifo d/10.conf", "d/10.conf"),
            ("echo x >d/10.conf; ln -s nowhere d/10.conf.d", "d/10.conf.d"),
            ("rm -r d; ln -s nowhere d", "d"),
            ("rm -r d; echo x >d", "d"),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let script = format!("cd $1; mkdir d; echo x >file; {script}");
            let arguments = ["-ec", &script, "sh", scratch.path().to_str().unwrap()];
            assert!(std::process::Command::new("sh").args(arguments).status().unwrap().success());
            let error = find(&[scratch.path().join("d")], Path::new("/")).err();
            let error = error.unwrap_or_else(|| panic!("{script} is no error")).to_string();
            assert!(
                error.contains(&format!("{}: ", scratch.path().join(name).to_str().unwrap())),
                "{error}"
            );
        }
    }
}
