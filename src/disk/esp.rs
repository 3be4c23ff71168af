//! The EFI system partition: the source of its content, and its size.

use std::sync::Arc;

use super::subtree::{empty_tree, is_at_or_below};
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::size::{KIB, MIB, round_up};
use crate::time::Timestamp;
use crate::tree::{InodeId, Kind, Tree};

/// Source of the content of the ESP.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum EspSource {
    /// The first of `/efi`, `/boot/efi`, and `/boot` with a directory `EFI`, that holds files. If
    /// none of them holds files, the first that holds directories, if any.
    #[default]
    Detect,
    /// This directory of the tree.
    Directory(Vec<u8>),
    /// A separate tree.
    Tree(Arc<Tree>),
}

/// Mount points of an ESP, in the order in which its content is looked for.
///
/// `/boot` comes last: FAT can't hold both `EFI` and `efi`, so a `/boot` with content in both is
/// not an ESP, but has one mounted in it.
const MOUNT_POINTS: [&[u8]; 3] = [b"efi", b"boot/efi", b"boot"];

/// Returns the mount points of an ESP.
///
/// `/boot` is not among them if XBOOTLDR is mounted there.
pub(super) fn mount_points(has_xbootldr: bool) -> impl Iterator<Item = &'static [u8]> {
    let count = if has_xbootldr { 2 } else { 3 };
    MOUNT_POINTS.into_iter().take(count)
}

/// Directory of the tree that holds the content of the ESP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EspDirectory {
    pub(super) path: Vec<u8>,
    /// Directory of the tree that the content comes from. `None` if it comes from another tree.
    pub(super) from: Option<Vec<u8>>,
    /// Whether the directory was added to the source tree.
    is_added: bool,
}

/// Moves the chosen content of an ESP to a directory where the normalization rules expect it.
///
/// # Errors
/// [`Error::Parameter`] if the directory does not exist, or if no mount point is free for it.
pub(super) fn mount(
    tree: &mut Tree,
    source: &EspSource,
    has_xbootldr: bool,
) -> Result<Option<EspDirectory>> {
    match source {
        EspSource::Detect => Ok(None),
        EspSource::Directory(path) => {
            let directory = named(tree, path, has_xbootldr)?;
            let path = tree.path(directory);
            if mount_points(has_xbootldr).any(|place| place == path) {
                return Ok(Some(EspDirectory { from: Some(path.clone()), path, is_added: false }));
            }
            let content = tree.subtree(directory)?;
            *tree = tree.with_empty_dirs(&[directory])?;
            let places = mount_points(has_xbootldr).filter(|&place| !is_at_or_below(&path, place));
            let mounted = mount_at(tree, &content, "esp.from", places)?;
            Ok(Some(EspDirectory { from: Some(path.clone()), ..mounted }))
        }
        EspSource::Tree(content) => {
            mount_at(tree, content, "esp.tree", mount_points(has_xbootldr)).map(Some)
        }
    }
}

/// Finds the directory that the caller chose for the ESP.
fn named(tree: &Tree, path: &[u8], has_xbootldr: bool) -> Result<InodeId> {
    let shown = Escaped(path);
    let (rule, remedy) = match tree.find(path) {
        None => (format!("the tree has no directory {shown}"), "correct the path"),
        Some(InodeId::ROOT) => {
            ("the path is the root of the tree".into(), "give a directory below the root")
        }
        Some(id) if tree.inode(id).kind != Kind::Directory => {
            (format!("{shown} is not a directory"), "give a directory")
        }
        Some(id) if has_xbootldr && tree.path(id) == b"boot" => (
            "boot is the content of the XBOOTLDR partition".into(),
            "give another directory, or leave out `image.xbootldr`",
        ),
        Some(id) => return Ok(id),
    };
    Err(Error::parameter("esp.from", rule, remedy))
}

/// Adds content to the tree at the first of some mount points that holds no files.
fn mount_at(
    tree: &mut Tree,
    content: &Tree,
    field: &'static str,
    places: impl Iterator<Item = &'static [u8]>,
) -> Result<EspDirectory> {
    let [default, ..] = MOUNT_POINTS;
    let mut free = places.filter_map(|place| Some((place, tree.directory(place)?)));
    let (path, is_added) = match free.find(|&(_, directory)| !tree.holds_files(directory)) {
        Some((place, directory)) => {
            *tree = tree.with_empty_dirs(&[directory])?;
            (place, false)
        }
        None if tree.find(default).is_none() => (default, true),
        None => {
            return Err(Error::parameter(
                field,
                "the tree has files at every mount point of an ESP",
                "exclude them, for example with `tree.exclude` '/efi/*'",
            ));
        }
    };
    *tree = tree.with_tree(path, content)?;
    Ok(EspDirectory { path: path.to_vec(), from: None, is_added })
}

impl EspDirectory {
    /// Returns the path to show in messages.
    pub(super) fn shown(&self) -> &[u8] {
        self.from.as_ref().unwrap_or(&self.path)
    }

    /// Returns the content of the ESP, which is empty if rules have removed the directory.
    pub(super) fn content(&self, tree: &Tree, epoch: Timestamp) -> Result<Tree> {
        match tree.directory(&self.path) {
            Some(directory) => Ok(tree.subtree(directory)?.with_prefix(self.shown())),
            None => empty_tree(epoch),
        }
    }

    /// Returns the tree without the content of the ESP.
    ///
    /// The directory stays, empty, unless it was added.
    pub(super) fn unmount(&self, tree: &Tree) -> Result<Tree> {
        match tree.directory(&self.path) {
            Some(directory) if self.is_added => {
                let (parent, at) = tree.entry_position(directory);
                let name = tree.entry_range(parent).start + at;
                tree.without_entries(&[name].into())
            }
            Some(directory) => tree.with_empty_dirs(&[directory]),
            None => Ok(tree.clone()),
        }
    }
}

/// Finds the directory of the tree that is intended for the ESP.
pub(super) fn detect(tree: &Tree, has_xbootldr: bool) -> Option<EspDirectory> {
    let find = |is_content: fn(&Tree, &[u8]) -> bool| {
        mount_points(has_xbootldr).find(|&place| is_content(tree, place))
    };
    let path = find(holds_files).or_else(|| find(holds_anything))?.to_vec();
    Some(EspDirectory { from: Some(path.clone()), path, is_added: false })
}

/// Returns the directory that marks a mount point as having the content of an ESP, if it exists.
///
/// In `/boot` that is `EFI` in capitals: a `/boot` without it holds kernels of the root file
/// system.
fn marker(tree: &Tree, mount_point: &[u8]) -> Option<InodeId> {
    let path: &[u8] = if mount_point == b"boot" { b"boot/EFI" } else { mount_point };
    tree.directory(path)
}

/// Returns whether a mount point has files of an ESP.
pub(super) fn holds_files(tree: &Tree, mount_point: &[u8]) -> bool {
    marker(tree, mount_point).is_some_and(|directory| tree.holds_files(directory))
}

/// Returns whether a mount point has directories of an ESP, possibly without files.
fn holds_anything(tree: &Tree, mount_point: &[u8]) -> bool {
    let directory = tree.directory(mount_point);
    let is_empty = directory.is_none_or(|directory| tree.entries(directory).is_empty());
    !is_empty && marker(tree, mount_point).is_some()
}

/// Returns the smallest default size of an ESP, in bytes.
///
/// On a fixed disk, firmware is only required to read FAT32, which begins at 65,525 clusters of at
/// least one sector: 33 MiB with 512-byte sectors, 260 MiB with 4096-byte ones.
fn least(sector_size: u32) -> u64 {
    round_up(65 * KIB * u64::from(sector_size), MIB)
}

/// Returns the default size of an ESP, in bytes, for content that takes at least `content` bytes.
///
/// That is twice the size of its content, because an update writes the new kernel before it removes
/// the old one, and an ESP can't grow later. Unless a variant is requested, the size is that of a
/// FAT32.
pub(super) fn size(content: u64, is_variant_given: bool, sector_size: u32) -> u64 {
    let least = if is_variant_given { 0 } else { least(sector_size) };
    round_up(content.saturating_mul(2), MIB).max(least)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tree::{Metadata, Node, TreeBuilder};

    /// Builds a tree from paths.
    ///
    /// A name that ends in `@` is a symlink to `efi`, a name that ends in `+` a fifo, and any other
    /// name a directory.
    fn tree(paths: &[&str]) -> Tree {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        let mut directories = BTreeMap::from([(String::new(), TreeBuilder::ROOT)]);
        for path in paths {
            let (mut parent, mut so_far) = (TreeBuilder::ROOT, String::new());
            for name in path.split('/') {
                so_far = format!("{so_far}/{name}");
                let node = match name.as_bytes().last() {
                    Some(b'@') => Node::Symlink(b"efi".to_vec()),
                    Some(b'+') => Node::Fifo,
                    _ => Node::Directory,
                };
                let name = name.trim_end_matches(['@', '+']).as_bytes();
                let add = || builder.add(parent, name, Metadata::default(), node).unwrap();
                parent = *directories.entry(so_far.clone()).or_insert_with(add);
            }
        }
        builder.finish().unwrap()
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.iter().skip(1).map(|(id, _)| String::from_utf8(tree.path(id)).unwrap()).collect()
    }

    #[test]
    fn the_content_is_where_files_are() {
        for (paths, expected, with_xbootldr) in [
            (&["etc"][..], None, None),
            (&["efi"], None, None),
            (&["efi/loader/x+"], Some("efi"), Some("efi")),
            (&["efi/EFI/x+", "boot/EFI/x+"], Some("efi"), Some("efi")),
            (&["efi", "boot/EFI/x+"], Some("boot"), None),
            (&["boot/EFI/x+"], Some("boot"), None),
            (&["boot/efi"], None, None),
            (&["boot/vmlinuz+", "boot/efi/EFI/x+"], Some("boot/efi"), Some("boot/efi")),
            (&["efi", "boot/efi/EFI/x+"], Some("boot/efi"), Some("boot/efi")),
            (&["boot/EFI/x+", "boot/efi/EFI/x+"], Some("boot/efi"), Some("boot/efi")),
            // Directories count as content if there are no files.
            (&["efi/EFI", "boot/efi/EFI/x+"], Some("boot/efi"), Some("boot/efi")),
            (&["efi/EFI/BOOT"], Some("efi"), Some("efi")),
            (&["efi/EFI", "boot/EFI"], Some("efi"), Some("efi")),
            (&["boot/EFI", "boot/vmlinuz+"], Some("boot"), None),
            (&["boot/grub/x+"], None, None),
            (&["boot/Efi/x+"], None, None),
            (&["boot/EFI@"], None, None),
            (&["efi@", "boot/EFI/x+"], Some("boot"), None),
        ] {
            let tree = tree(paths);
            for (has_xbootldr, expected) in [(false, expected), (true, with_xbootldr)] {
                let found = detect(&tree, has_xbootldr).map(|esp| esp.path);
                assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{paths:?}");
            }
        }
    }

    /// The chosen content is moved to a mount point that holds no files, and taken out again.
    #[test]
    fn named_content_is_mounted_and_unmounted() {
        let beside = EspSource::Tree(Arc::new(tree(&["EFI/x+"])));
        let named = |path: &str| EspSource::Directory(path.into());
        for (given, source, at, root) in [
            (&["etc"][..], &beside, "efi", &["etc"][..]),
            (&["efi"], &beside, "efi", &["efi"]),
            (&["boot/efi"], &beside, "boot/efi", &["boot", "boot/efi"]),
            (&["boot"], &beside, "boot", &["boot"]),
            (&["boot/x+"], &beside, "efi", &["boot", "boot/x"]),
            (&["boot", "efi/y+"], &beside, "boot", &["boot", "efi", "efi/y"]),
            (&["efi/EFI/x+", "boot/efi"], &named("/efi"), "efi", &["boot", "boot/efi", "efi"]),
            (&["srv/esp/EFI/x+", "srv/y+"], &named("srv/esp"), "efi", &["srv", "srv/esp", "srv/y"]),
            (&["boot", "efi/esp/EFI/x+"], &named("efi/esp"), "boot", &["boot", "efi", "efi/esp"]),
        ] {
            let mut whole = tree(given);
            let esp = mount(&mut whole, source, false).unwrap().unwrap();
            assert_eq!(esp.path, at.as_bytes(), "{given:?}");
            let content = esp.content(&whole, Timestamp::default()).unwrap();
            let shown = String::from_utf8(esp.shown().to_vec()).unwrap();
            let expected = [format!("{shown}/EFI"), format!("{shown}/EFI/x")];
            assert_eq!(paths(&content), expected, "{given:?}");
            assert_eq!(paths(&esp.unmount(&whole).unwrap()), root, "{given:?}");
        }
    }

    #[test]
    fn directories_that_can_not_be_the_esp_are_refused() {
        let given = ["efi/x+", "boot/x+", "link@", "file+"];
        let beside = EspSource::Tree(Arc::new(tree(&["EFI/x+"])));
        let named = |path: &str| EspSource::Directory(path.into());
        for (source, has_xbootldr, parameter) in [
            (named("nowhere"), false, "esp.from"),
            (named("link"), false, "esp.from"),
            (named("file"), false, "esp.from"),
            (named("/"), false, "esp.from"),
            (named("boot"), true, "esp.from"),
            (beside, false, "esp.tree"),
        ] {
            let error = mount(&mut tree(&given), &source, has_xbootldr).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{parameter}: ")), "{error}");
        }
    }

    /// The sizes are those of the ESPs that Windows and others create.
    #[test]
    fn the_least_size_holds_fat32() {
        assert_eq!(least(512), 33 * MIB);
        assert_eq!(least(4096), 260 * MIB);
    }
}
