//! Frozen sets of features and policies.

use super::spec::{Compat, Incompat, RoCompat};

/// A frozen set of features and policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Profile {
    /// The features of Debian 12's mke2fs, readable by GRUB 2.06, Linux 4 and e2fsprogs 1.43.
    #[default]
    Default,
    /// The features of mke2fs 1.47.4, among them an orphan file and a checksum seed.
    Modern,
    /// For a file system that a boot loader reads: like `default`, with every block mapped.
    Boot,
    /// For a file system that is never written to: no journal, no reserve for growth, an exact fit.
    Ro,
}

impl Profile {
    /// Returns the name of the profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Modern => "modern",
            Self::Boot => "boot",
            Self::Ro => "ro",
        }
    }

    /// Returns whether the file system is to be written to, with a journal, a reserve for growth
    /// and `lost+found`.
    pub(super) fn writable(self) -> bool {
        self != Self::Ro
    }

    pub(super) fn orphan_file(self) -> bool {
        self == Self::Modern
    }

    pub(super) fn holes(self) -> bool {
        self != Self::Boot
    }

    /// Returns the fill of the leaves of indexed directories, in percent. They are not full in
    /// writable file systems, because the kernel splits a leaf as soon as a name does not fit.
    pub(super) fn leaf_fill(self) -> usize {
        if self.writable() { 75 } else { 100 }
    }

    /// Returns the default headroom, in percent of the space that the tree takes.
    pub(super) fn headroom_percent(self) -> u32 {
        if self.writable() { 10 } else { 0 }
    }

    pub(super) fn compat(self, journal: bool) -> Compat {
        let mut compat = Compat::EXT_ATTR | Compat::DIR_INDEX;
        compat.set(Compat::HAS_JOURNAL, journal);
        compat.set(Compat::RESIZE_INODE, self.writable());
        compat.set(Compat::ORPHAN_FILE, self.orphan_file());
        compat
    }

    pub(super) fn incompat(self, large_dir: bool) -> Incompat {
        let mut incompat =
            Incompat::FILETYPE | Incompat::EXTENTS | Incompat::IS_64BIT | Incompat::FLEX_BG;
        incompat.set(Incompat::CSUM_SEED, self == Self::Modern);
        incompat.set(Incompat::LARGEDIR, large_dir);
        incompat
    }

    /// Returns `s_feature_ro_compat`, the same for all profiles and trees.
    pub(super) fn ro_compat() -> RoCompat {
        RoCompat::SPARSE_SUPER
            | RoCompat::LARGE_FILE
            | RoCompat::HUGE_FILE
            | RoCompat::DIR_NLINK
            | RoCompat::EXTRA_ISIZE
            | RoCompat::METADATA_CSUM
    }
}
