//! Profiles: the distribution families that decide which rules apply to a tree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::report::Warning;
use crate::tree::{Kind, Tree};

/// Number of bytes of an `os-release` that are read.
const HEAD: usize = 1 << 20;

/// A family of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Profile {
    /// Arch Linux and its derivatives.
    Arch,
    /// Debian and its derivatives.
    Debian,
    /// Any other tree with systemd.
    Systemd,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::Arch, Self::Debian, Self::Systemd];

    /// Returns the name by which the profile is selected.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arch => "arch",
            Self::Debian => "debian",
            Self::Systemd => "systemd",
        }
    }

    /// Detects the profile of a tree by `ID` and `ID_LIKE` in its `os-release`, or else by whether
    /// it has systemd.
    ///
    /// A tree without `os-release` has no profile.
    ///
    /// # Errors
    /// [`Error::Source`] and [`Error::Changed`] if `os-release` can't be read.
    pub fn of(tree: &Tree) -> Result<Option<Self>> {
        let Some(text) = os_release(tree)? else { return Ok(None) };
        let known = words(&text).find_map(|word| match &*word {
            "arch" => Some(Self::Arch),
            "debian" | "ubuntu" => Some(Self::Debian),
            _ => None,
        });
        let has_systemd = [&b"usr/lib/systemd/systemd"[..], b"lib/systemd/systemd"]
            .into_iter()
            .any(|path| tree.find(path).is_some());
        Ok(known.or(has_systemd.then_some(Self::Systemd)))
    }

    /// Returns the warning about a tree whose distribution no profile covers, if `profile` is what
    /// [`of`](Self::of) detects.
    pub(crate) fn missing(tree: &Tree, profile: Option<Self>) -> Result<Option<Warning>> {
        let distribution = match os_release(tree)? {
            None => "which has no os-release".to_owned(),
            Some(text) => match value(&text, "ID=") {
                "" => "which has no ID in its os-release".to_owned(),
                id => format!("which is ID={id}"),
            },
        };
        let message = match profile {
            Some(Self::Arch | Self::Debian) => return Ok(None),
            Some(Self::Systemd) => format!(
                "no profile matches the tree, {distribution}, so only the rules about systemd and \
                 secrets apply to it; choose a profile with `normalize.profile`"
            ),
            None => format!(
                "no profile matches the tree, {distribution}, so only the rules about secrets \
                 apply to it; choose a profile with `normalize.profile`, or none"
            ),
        };
        Ok(Some(Warning { path: Vec::new(), message }))
    }
}

/// Returns the text of the tree's `os-release`, if it has one.
fn os_release(tree: &Tree) -> Result<Option<String>> {
    let is_file = |path: &&[u8]| {
        let id = tree.find(path)?;
        matches!(tree.inode(id).kind, Kind::File { .. }).then_some(id)
    };
    let places = [&b"etc/os-release"[..], b"usr/lib/os-release"];
    let Some(id) = places.iter().find_map(is_file) else { return Ok(None) };
    let text = tree.read_head(id, HEAD)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// Returns the words of `ID` and then those of `ID_LIKE`.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = |key| value(text, key).split_whitespace().map(str::to_owned);
    words("ID=").chain(words("ID_LIKE="))
}

/// Returns the value of the last assignment that starts with `key`, without quotes, or an
/// empty text.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(key));
    lines.next_back().unwrap_or_default().trim_matches(['"', '\''])
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| {
            Error::parameter(
                "normalize",
                format!("{text:?} is not a profile"),
                "give auto, none, arch, debian or systemd",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    fn tree(os_release: Option<&str>, systemd: bool) -> Tree {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let mut put = |path: &[&str], text: &str| {
            let mut directory = TreeBuilder::ROOT;
            let (name, directories) = path.split_last().unwrap();
            for name in directories {
                let metadata = Metadata::default();
                let node = Node::Directory;
                directory = builder.add(directory, name.as_bytes(), metadata, node).unwrap();
            }
            let content = builder.content(Arc::new(text.as_bytes().to_vec())).unwrap();
            let node = Node::File { size: text.len() as u64, content };
            builder.add(directory, name.as_bytes(), Metadata::default(), node).unwrap();
        };
        if let Some(text) = os_release {
            put(&["etc", "os-release"], text);
        }
        if systemd {
            put(&["lib", "systemd", "systemd"], "");
        }
        builder.finish().unwrap()
    }

    #[test]
    fn profiles_are_told() {
        for (text, systemd, expected) in [
            (Some("NAME=x\nID=arch\n"), false, Some(Profile::Arch)),
            (Some("ID=manjaro\nID_LIKE=\"foo arch\"\n"), false, Some(Profile::Arch)),
            (Some("ID='debian'\n"), true, Some(Profile::Debian)),
            (Some("ID=mint\nID_LIKE=\"ubuntu debian\"\n"), true, Some(Profile::Debian)),
            (Some("ID=fedora\n"), true, Some(Profile::Systemd)),
            (Some("ID=alpine\nVERSION_ID=arch\n"), false, None),
            (None, true, None),
        ] {
            assert_eq!(Profile::of(&tree(text, systemd)).unwrap(), expected, "{text:?}");
        }
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse::<Profile>().unwrap(), profile);
        }
        assert!("auto".parse::<Profile>().is_err());
    }
}
