//! Plans arbitrary trees and checks the images in process.
//!
//! A tree is either refused with an error of the library, or its image is read back by an
//! independent implementation ([`ext4_view`], [`fat_view`]) and by a small checker of everything
//! that the implementation does not expose ([`ext4`], [`fat`]). Both compare the image field by
//! field with the expected nodes of the tree.
//!
//! The parsers of partition tables, definitions, rewritten files and archives get hostile input
//! ([`BytesToGpt`], [`BytesToDefinitions`], [`BytesToNormal`], [`BytesToTar`]), and so do the
//! readers of erofs and squashfs ([`BytesToErofs`], [`BytesToSquashfs`]). A tree that these accept
//! is planned again, and the image of that has to be read back to the same tree.

#[path = "../../tests/suite/random_trees/arbitrary_tree.rs"]
pub mod arbitrary_tree;
mod bytes;
mod definitions;
mod erofs;
pub mod ext4;
#[path = "../../tests/suite/random_trees/ext4_options.rs"]
pub mod ext4_options;
pub mod ext4_view;
pub mod fat;
pub mod fat_options;
pub mod fat_view;
mod gpt;
mod image;
mod normal;
mod read_back;
mod squashfs;
mod tar;
#[cfg(test)]
mod tests;

use arbitrary::Arbitrary;
use detfs::Headroom;
use detfs::ext4::Profile;
use detfs::tree::{HoleScanOptions, scan_holes};

use arbitrary_tree::{ArbitraryTree, Validity};
pub use definitions::BytesToDefinitions;
pub use erofs::BytesToErofs;
use ext4_options::{ArbitraryExt4Options, adapt};
use fat_options::ArbitraryFatOptions;
pub use gpt::BytesToGpt;
pub use image::image_of;
pub use normal::BytesToNormal;
pub use squashfs::BytesToSquashfs;
pub use tar::BytesToTar;

/// Result of an oracle. The error describes the problem and its place.
pub type Verdict<T = ()> = Result<T, String>;

/// Maximum size of an image in bytes. Larger images are only planned.
const IMAGE_MAX: u64 = 1 << 31;

/// A tree and the options of its ext4 file system.
#[derive(Debug, Arbitrary)]
pub struct TreeToExt4 {
    pub options: ArbitraryExt4Options,
    pub tree: ArbitraryTree,
}

/// A tree and the options of its FAT volume.
#[derive(Debug, Arbitrary)]
pub struct TreeToFat {
    pub options: ArbitraryFatOptions,
    pub tree: ArbitraryTree,
}

/// Checks that an error has a message and an exit code, and returns `false`.
fn refused(error: &detfs::Error) -> bool {
    assert!(!error.to_string().is_empty() && error.exit_code() > 0);
    false
}

impl TreeToExt4 {
    /// Plans the tree and checks the image. Returns whether there was an image.
    ///
    /// # Panics
    ///
    /// Panics if an oracle reports an error, or if the library panics.
    pub fn check(&self) -> bool {
        let taste = self.tree.taste(Validity::Unix);
        let options = self.options.options(taste);
        let mut grown = match self.tree.grow(taste) {
            Ok(grown) => grown,
            Err(error) => return refused(&error),
        };
        let scan = scan_holes(&grown.tree, &HoleScanOptions::default()).expect("content in memory");
        let plan = |options: &_| detfs::ext4::plan(&grown.tree, &scan, options);
        let layout = match plan(&options) {
            Ok(plan) => plan.layout.seal(),
            Err(error) => return refused(&error),
        };
        let block_size = u64::from(options.block_size);
        assert_eq!(layout.size() % block_size, 0, "not whole blocks");
        // An image of a given size may have fewer inodes, unless their number is fixed.
        let same_inodes = options.inodes.is_some() || options.profile == Profile::Ro;
        if options.size.is_none() && options.headroom == Some(Headroom::Bytes(0)) && same_inodes {
            let fixed = |size| detfs::ext4::Options { size: Some(size), ..options.clone() };
            plan(&fixed(layout.size())).expect("the smallest size fits");
            plan(&fixed(layout.size() - block_size)).expect_err("there is a smaller one");
        }
        if layout.size() > IMAGE_MAX {
            return false;
        }
        let image = image_of(&layout);
        adapt(&mut grown, &options);
        ext4::check(&image, &grown.model).expect("our checker");
        ext4_view::check(image, &grown.model).expect("ext4-view");
        true
    }
}

impl TreeToFat {
    /// Plans the tree and checks the volume. Returns whether there was a volume.
    ///
    /// # Panics
    ///
    /// Panics if an oracle reports an error, or if the library panics.
    pub fn check(&self) -> bool {
        let taste = self.tree.taste(Validity::Fat);
        let options = self.options.options(taste);
        let grown = match self.tree.grow(taste) {
            Ok(grown) => grown,
            Err(error) => return refused(&error),
        };
        let plan = |options: &_| detfs::fat::plan(&grown.tree, options);
        let layout = match plan(&options) {
            Ok(plan) => plan.layout.seal(),
            Err(error) => return refused(&error),
        };
        if options.size.is_some() {
            let least = detfs::fat::minimal_size(&grown.tree, &options).expect("it was planned");
            assert!(least <= layout.size(), "{least} bytes are not the minimal size");
        } else {
            let size = Some(layout.size() - 4096);
            let less = detfs::fat::Options { size, ..options.clone() };
            plan(&less).expect_err("there is a smaller size");
        }
        if layout.size() > IMAGE_MAX {
            return false;
        }
        let image = image_of(&layout);
        fat::check(&image, &options).expect("our checker");
        fat_view::check(image, &grown.model, options.label.as_deref()).expect("fatfs");
        true
    }
}
