//! Options that determine what is staged.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Options that determine the content of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// Names of packages or groups, in the order in which they are passed to pacman.
    #[serde(rename = "packages")]
    pub packages: Vec<String>,
    /// URL that packages are fetched from, with `$repo` and `$arch`. `None` if the configuration
    /// sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// Repositories on the mirror, in order of precedence.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// Digest of the settings in the caller's own pacman.conf, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// Architecture, by its Arch Linux name. `None` if the configuration sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Time in seconds since 1970 for packages and scriptlets that ask for one.
    pub source_date_epoch: i64,
}

impl Options {
    /// Rejects names and addresses that would not be valid where they are used, including those
    /// from a lock.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an invalid name or address.
    pub fn check(&self) -> Result<()> {
        let fail = |field, text: &str, rule: &str, remedy: &str| {
            Err(Error::parameter(field, format!("{text:?} {rule}"), remedy))
        };
        let is_word = |text: &str| {
            let is_other = |c: char| c.is_whitespace() || c.is_control() || "[]".contains(c);
            !text.is_empty() && !text.starts_with('-') && !text.contains(is_other)
        };
        let architecture = self.architecture.as_slice();
        for (field, names) in [
            ("stage.packages", &*self.packages),
            ("stage.repositories", &self.repositories),
            ("stage.architecture", architecture),
        ] {
            if let Some(name) = names.iter().find(|name| !is_word(name)) {
                return fail(field, name, "is not a name", "give a name in one word");
            }
        }
        let is_none =
            |name: &&String| matches!(&***name, "options" | "local") || name.contains('/');
        if let Some(name) = self.repositories.iter().find(is_none) {
            return fail(
                "stage.repositories",
                name,
                "can't be the name of a repository",
                "give another one",
            );
        }
        let is_whole =
            self.mirror.is_some() && !self.repositories.is_empty() && self.architecture.is_some();
        if self.packages.is_empty() || !is_whole && self.configuration.is_none() {
            return Err(Error::parameter(
                "stage.packages",
                "one of `stage.packages`, `stage.mirror`, `stage.repositories` and `stage.architecture` \
                 is missing",
                "give all of them, or `stage.configuration`",
            ));
        }
        let names: BTreeSet<_> = self.repositories.iter().collect();
        if names.len() < self.repositories.len() {
            let text = self.repositories.join(", ");
            return fail(
                "stage.repositories",
                &text,
                "has a repository twice",
                "name each repository once",
            );
        }
        if let Some(url) = &self.mirror
            && (!url.contains("://") || url.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            let remedy = "give a URL that starts with https://, http:// or file://";
            return fail("stage.mirror", url, "is not a URL", remedy);
        }
        Ok(())
    }
}
