//! Lock files: a record of what a tree was built from, to be kept with the definition of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::error::{Error, Result};

/// Version of the lock file format.
const VERSION: u32 = 1;

/// First line of a lock file.
const HEADER: &str =
    "# What the tree is made of. Keep it with the sources; --locked builds from it.";

/// Record of everything that a tree was built from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of the format.
    version: u32,
    /// Requested options.
    #[serde(flatten)]
    pub options: Options,
    /// Version of pacman, whose database is in the tree.
    pub pacman: String,
    /// Installed packages, sorted by name.
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Version and release.
    pub version: String,
    /// Repository of the package.
    pub repository: String,
    /// Name of the package file.
    pub file: String,
    /// SHA-256 of the package file.
    pub sha256: String,
}

impl Lock {
    /// Creates the lock of a tree.
    ///
    /// The packages may be in any order.
    #[must_use]
    pub fn new(options: Options, pacman: String, mut packages: Vec<Package>) -> Self {
        packages.sort();
        Self { version: VERSION, options, pacman, packages }
    }

    /// Parses the text of a lock file.
    ///
    /// `path` is used in errors.
    ///
    /// # Errors
    /// [`Error::Definition`] if the text is not a lock file of this version.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let fail = |line: u32, rule: String| Error::Definition {
            file: path.to_owned(),
            line,
            rule,
            remedy: "remove it and recreate the lock without `stage.locked`".into(),
        };
        let lock: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count();
            fail(u32::try_from(before + 1).unwrap_or(u32::MAX), error.message().into())
        })?;
        if lock.version != VERSION {
            return Err(fail(0, format!("version is {}, not {VERSION}", lock.version)));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = lock.packages.iter().find(|package| !names.insert(&package.name)) {
            return Err(fail(0, format!("{} is listed twice", twice.name)));
        }
        lock.options.check().map_err(|error| match error {
            // The keys of the file have the names of the fields.
            Error::Parameter { field, rule, .. } => {
                fail(0, format!("{}: {rule}", field.trim_start_matches("stage.")))
            }
            error => error,
        })?;
        Ok(lock)
    }

    /// Returns the text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let text = toml::to_string(self).expect("tables stand behind values");
        format!("{HEADER}\n{text}")
    }

    /// Returns whether a text is that of a lock file, of any version.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.lines().any(|line| line == HEADER)
    }

    /// Returns descriptions of the differences between `packages`, which are to be installed, and
    /// the locked packages.
    ///
    /// Packages whose hashes are still unknown (empty) are compared without them.
    #[must_use]
    pub fn differences(&self, packages: &[Package]) -> Vec<String> {
        let by_name = |packages: &[Package]| -> BTreeMap<String, Package> {
            packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
        };
        let (locked, found) = (by_name(&self.packages), by_name(packages));
        let mut lines = Vec::new();
        for (name, package) in &locked {
            match found.get(name) {
                None => lines.push(format!("{name} {} would not be installed", package.version)),
                Some(other) if other.version != package.version => lines
                    .push(format!("{name} is {} instead of {}", other.version, package.version)),
                Some(other) if other.repository != package.repository => lines.push(format!(
                    "{name} is of {} instead of {}",
                    other.repository, package.repository
                )),
                Some(other) if !other.sha256.is_empty() && other.sha256 != package.sha256 => {
                    lines.push(format!(
                        "{} has the SHA-256 {} instead of {}",
                        other.file, other.sha256, package.sha256
                    ));
                }
                Some(_) => {}
            }
        }
        let more = found.iter().filter(|(name, _)| !locked.contains_key(*name));
        lines.extend(
            more.map(|(name, package)| format!("{name} {} would be installed", package.version)),
        );
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, sha256: &str) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            repository: "core".into(),
            file: format!("{name}-{version}-any.pkg.tar.zst"),
            sha256: sha256.into(),
        }
    }

    fn lock() -> Lock {
        let options = Options {
            packages: vec!["base".into()],
            mirror: Some("https://mirror/$repo/os/$arch".into()),
            repositories: vec!["core".into()],
            configuration: None,
            architecture: Some("x86_64".into()),
            source_date_epoch: 5,
        };
        Lock::new(
            options,
            "7.1.0".into(),
            vec![package("b", "1-1", "b1"), package("a", "1-1", "a1")],
        )
    }

    #[test]
    fn texts_are_read_back() {
        let path = Path::new("lock.toml");
        let text = lock().text();
        assert_eq!(Lock::parse(path, &text).unwrap(), lock());
        assert!(Lock::is_one(&text) && !Lock::is_one("version = 1\n"));
        for (from, to, what) in [
            ("version = 1\n", "version = 2\n", "version is 2"),
            ("name = \"b\"", "name = \"a\"", "a is listed twice"),
            ("\"x86_64\"", "\"x86_64\\nSigLevel = Never\"", "is not a name"),
            ("https://mirror/", "https://mirror/ ", "is not a URL"),
            ("pacman = ", "pacmen = ", "lock.toml:"),
            ("sha256 = \"b1\"\n", "", "lock.toml:"),
        ] {
            assert!(text.contains(from), "{text}");
            let error = Lock::parse(path, &text.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn differences_are_told() {
        let same = [package("a", "1-1", ""), package("b", "1-1", "b1")];
        assert_eq!(lock().differences(&same), [""; 0]);
        let other = [package("a", "1-2", ""), package("c", "1-1", "")];
        assert_eq!(
            lock().differences(&other),
            ["a is 1-2 instead of 1-1", "b 1-1 would not be installed", "c 1-1 would be installed"]
        );
        let forged = [package("a", "1-1", "a1"), package("b", "1-1", "b2")];
        assert_eq!(
            lock().differences(&forged),
            ["b-1-1-any.pkg.tar.zst has the SHA-256 b2 instead of b1"]
        );
    }
}
