//! The layout version: the versions of all components that decide the bytes of an image.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::defaults;
use super::plan::{ImageKind, Plan};
use super::request::ImageRequest;
use crate::fat::Vfat;
use crate::format::{CodecVersions, Format};
use crate::formats::Formats;
use crate::{gpt, seed, verity};

/// Versions of the components that decide the bytes of an image, by their names.
///
/// It is displayed as a short name that depends on all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct LayoutVersion(BTreeMap<String, String>);

impl LayoutVersion {
    /// Returns the versions of all components of this build.
    #[must_use]
    pub fn current() -> Self {
        let formats = Formats::default();
        let formats = formats.iter().map(|format| (format.name(), format.layout_version()));
        let others = [
            ("gpt", gpt::LAYOUT_VERSION),
            #[cfg(feature = "normalize")]
            ("rules", crate::normalize::LAYOUT_VERSION),
            ("verity", verity::LAYOUT_VERSION),
        ];
        #[cfg(feature = "codec")]
        let codecs = crate::codec::versions(crate::codec::ALL);
        #[cfg(not(feature = "codec"))]
        let codecs = CodecVersions::new();
        Self::new(formats.chain(others), &codecs)
    }

    /// Returns the versions of the components that a planned image depends on.
    pub(super) fn of(plan: &Plan) -> Self {
        let (root, usr) = match &plan.request.image {
            ImageRequest::Disk(options) => (&options.root, options.usr.as_deref()),
            ImageRequest::FileSystem(options) => (&options.format, None),
        };
        let fat = Vfat::default();
        let formats = [Some(&**root), usr, plan.has_fat().then_some(&fat as &dyn Format)];
        let formats = formats.into_iter().flatten();
        let formats = formats.map(|format| (format.name(), format.layout_version()));
        let is_disk = matches!(plan.product, ImageKind::Disk(_));
        let others = [
            is_disk.then_some(("gpt", gpt::LAYOUT_VERSION)),
            plan.root_hash.map(|_| ("verity", verity::LAYOUT_VERSION)),
            #[cfg(feature = "normalize")]
            plan.request.has_rules.then_some(("rules", crate::normalize::LAYOUT_VERSION)),
        ];
        Self::new(formats.chain(others.into_iter().flatten()), &plan.codecs)
    }

    /// Creates a set of these components and those that every image depends on.
    fn new(components: impl Iterator<Item = (&'static str, u32)>, codecs: &CodecVersions) -> Self {
        let always = [("defaults", defaults::LAYOUT_VERSION), ("derivation", seed::LAYOUT_VERSION)];
        let components =
            components.chain(always).map(|(name, version)| (name, version.to_string()));
        let codecs = codecs.iter().map(|(&name, &version)| (name, version.to_owned()));
        Self(components.chain(codecs).map(|(name, version)| (name.to_owned(), version)).collect())
    }

    /// Returns the names and versions of the components, sorted by name.
    pub fn components(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, version)| (&**name, &**version))
    }
}

impl fmt::Display for LayoutVersion {
    /// Writes `draft-` and the first eight digits of the SHA-256 of a line for each component.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hash = Sha256::new();
        for (name, version) in self.components() {
            hash.update(format!("{name} {version}\n"));
        }
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        write!(f, "draft-{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_set() {
        let set = |components: &[(&'static str, u32)]| {
            LayoutVersion::new(components.iter().copied(), &CodecVersions::new()).to_string()
        };
        // printf 'defaults 1\nderivation 1\next4 1\n' | sha256sum
        assert_eq!(set(&[("ext4", 1)]), "draft-565e1ade");
        assert_eq!(set(&[("gpt", 1), ("ext4", 1)]), set(&[("ext4", 1), ("gpt", 1)]));
        for other in [&[("ext4", 2)][..], &[("btrfs", 1)], &[]] {
            assert_ne!(set(other), set(&[("ext4", 1)]), "{other:?}");
        }
    }

    #[test]
    fn all_components_are_listed() {
        let current = LayoutVersion::current();
        let names: Vec<_> = current.components().map(|(name, _)| name).collect();
        let expected = "btrfs defaults derivation erofs ext4 gpt lz4 lzo rules squashfs verity vfat xz \
                        zlib zstd";
        assert_eq!(names.join(" "), expected);
    }
}
