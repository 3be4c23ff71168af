//! Which files definitions are in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A definition file with what is read after it.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) drop_ins: Vec<PathBuf>,
}

/// The definition files of directories, by name; of equal names that of the first directory.
pub(super) fn find(directories: &[PathBuf]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (name, path) in named(directories)? {
        let Some(path) = path else { continue };
        let mut directory = name;
        directory.push(".d");
        let beside: Vec<_> = directories.iter().map(|one| one.join(&directory)).collect();
        let drop_ins = named(&beside)?.into_values().flatten().collect();
        found.push(Found { path, drop_ins });
    }
    Ok(found)
}

/// The `.conf` files of directories by name; `None` for one that masks others.
fn named(directories: &[PathBuf]) -> Result<BTreeMap<OsString, Option<PathBuf>>> {
    let mut files = BTreeMap::new();
    for directory in directories {
        #[expect(clippy::disallowed_methods, reason = "what it gives is sorted")]
        let listing = match fs::read_dir(directory) {
            Ok(listing) => listing,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                continue;
            }
            Err(error) => return Err(unreadable(directory, error)),
        };
        for entry in listing {
            let name = entry.map_err(|error| unreadable(directory, error))?.file_name();
            if !name.as_encoded_bytes().ends_with(b".conf") || files.contains_key(&name) {
                continue;
            }
            let path = directory.join(&name);
            let is_null = fs::read_link(&path).is_ok_and(|to| to == Path::new("/dev/null"));
            match fs::metadata(&path) {
                _ if is_null => files.insert(name, None),
                Ok(metadata) if metadata.is_file() && metadata.len() == 0 => {
                    files.insert(name, None)
                }
                Ok(metadata) if metadata.is_file() => files.insert(name, Some(path)),
                // A directory, or a link to nowhere.
                _ => continue,
            };
        }
    }
    Ok(files)
}

/// The content of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::source(path.as_os_str().as_encoded_bytes(), "cannot read", error)
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
        fs::create_dir_all(b.join("05.conf")).unwrap();
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
        symlink("nowhere", a.join("60.conf")).unwrap();
        let found = find(&directories).unwrap();
        let relative = |path: &Path| path.strip_prefix(root.path()).unwrap().to_owned();
        let names: Vec<_> = found.iter().map(|found| relative(&found.path)).collect();
        assert_eq!(names, ["b/10.conf", "a/20.conf", "a/50.conf"].map(PathBuf::from));
        let drop_ins: Vec<_> = found[1].drop_ins.iter().map(|path| relative(path)).collect();
        assert_eq!(drop_ins, ["b/20.conf.d/a.conf", "a/20.conf.d/z.conf"].map(PathBuf::from));
    }
}
