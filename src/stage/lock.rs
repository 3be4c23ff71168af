//! Lock files: a record of what a tree was built from, to be kept with the definition of an image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::disk::LayoutVersion;
use crate::error::{Error, Result};

/// Number of the schema of lock files, which is raised too when a tree staged from a lock changes.
const SCHEMA: u32 = 1;

/// First line of a lock file.
const HEADER: &str =
    "# What the tree is made of. Keep it with the sources; --locked builds from it.";

/// Part of a lock file that every version of this crate can read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Header {
    /// Number of the schema.
    schema: u32,
    /// Version of this crate.
    detfs: String,
    /// Name of the versions of the components.
    layout_version: String,
}

/// Record of everything that a tree was built from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    #[serde(flatten)]
    header: Header,
    /// Requested options.
    #[serde(flatten)]
    pub options: Options,
    /// Version of pacman, whose database is in the tree.
    pub pacman: String,
    /// Versions of the components that decide the bytes of an image of the tree.
    components: LayoutVersion,
    /// SHA-256 of the unified kernel image that a hook has built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uki: Option<String>,
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

impl Header {
    /// Returns the error for the lock of another version of this crate.
    fn refusal(&self, path: &Path, current: &LayoutVersion) -> Error {
        let Self { schema, detfs, layout_version } = self;
        Error::Definition {
            file: path.to_owned(),
            line: 0,
            rule: format!(
                "this lock was made by detfs {detfs} (layout {layout_version}, schema {schema}), \
                 and this is detfs {} (layout {current}, schema {SCHEMA})",
                env!("CARGO_PKG_VERSION")
            ),
            remedy: "build it with that release, or recreate the lock without `stage.locked`"
                .into(),
        }
    }
}

impl Lock {
    /// Creates the lock of a tree.
    ///
    /// The packages may be in any order.
    #[must_use]
    pub fn new(options: Options, pacman: String, mut packages: Vec<Package>) -> Self {
        packages.sort();
        let components = LayoutVersion::current();
        let header = Header {
            schema: SCHEMA,
            detfs: env!("CARGO_PKG_VERSION").to_owned(),
            layout_version: components.to_string(),
        };
        Self { header, options, pacman, components, uki: None, packages }
    }

    /// Parses the text of a lock file.
    ///
    /// `path` is used in errors.
    ///
    /// # Errors
    /// [`Error::Definition`] if the text is not a lock file, or if it was written by a version of
    /// this crate that may build another tree or another image from it.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let fail = |line: u32, rule: String| Error::Definition {
            file: path.to_owned(),
            line,
            rule,
            remedy: "remove it and recreate the lock without `stage.locked`".into(),
        };
        let invalid = |error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count();
            fail(u32::try_from(before + 1).unwrap_or(u32::MAX), error.message().into())
        };
        // The header comes first: the rest of another schema may have other keys.
        let header: Header = toml::from_str(text).map_err(invalid)?;
        let current = LayoutVersion::current();
        if header.schema != SCHEMA || header.layout_version != current.to_string() {
            return Err(header.refusal(path, &current));
        }
        let lock: Self = toml::from_str(text).map_err(invalid)?;
        if lock.components != current {
            return Err(lock.header.refusal(path, &current));
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
        assert!(Lock::is_one(&text) && !Lock::is_one("schema = 1\n"));
        for (from, to, what) in [
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
    fn locks_of_other_versions_are_refused() {
        let text = lock().text();
        let current = LayoutVersion::current().to_string();
        for (from, to, made_by) in [
            (
                "schema = 1\n",
                "schema = 2\nnew = 1\n",
                format!("0.9.0 (layout {current}, schema 2)"),
            ),
            (&*current, "draft-00000000", "0.9.0 (layout draft-00000000, schema 1)".to_owned()),
        ] {
            let other = text.replace(from, to).replace(env!("CARGO_PKG_VERSION"), "0.9.0");
            let error = Lock::parse(Path::new("lock.toml"), &other).unwrap_err().to_string();
            let start = format!("lock.toml: this lock was made by detfs {made_by}, and this is ");
            assert!(error.starts_with(&start), "{error}");
            assert!(
                error.contains("; build it with that release, or recreate the lock"),
                "{error}"
            );
        }
        // A release with the same components builds the same image.
        let later = text.replace(env!("CARGO_PKG_VERSION"), "0.9.0");
        assert_eq!(Lock::parse(Path::new("lock.toml"), &later).unwrap().packages, lock().packages);
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
