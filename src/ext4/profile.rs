//! The frozen sets of features and policies.

use super::spec::{Compat, Incompat, RoCompat};

/// A frozen set of features and policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// What Debian 12's mke2fs makes: read by GRUB 2.06, Linux 4 and e2fsprogs 1.43.
    #[default]
    Default,
    /// What mke2fs 1.47.4 makes: `default` with an orphan file and a checksum seed of its own.
    Modern,
    /// For a file system that a boot loader reads: `default` with every block of a file mapped.
    Boot,
    /// For a file system that is never written: no journal, no room to grow, an exact fit.
    Ro,
}

impl Profile {
    /// Whether the file system is to be written to: journal, room to grow, `lost+found`.
    pub(super) fn writable(self) -> bool {
        self != Self::Ro
    }

    pub(super) fn orphan_file(self) -> bool {
        self == Self::Modern
    }

    pub(super) fn holes(self) -> bool {
        self != Self::Boot
    }

    /// How full the leaves of indexed directories are, in percent: the kernel splits a leaf as
    /// soon as a name does not fit.
    pub(super) fn leaf_fill(self) -> usize {
        if self.writable() { 75 } else { 100 }
    }

    /// Free room that is left by default, in percent of what the tree takes.
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

    /// The same for all profiles and whatever the tree holds.
    pub(super) fn ro_compat() -> RoCompat {
        RoCompat::SPARSE_SUPER
            | RoCompat::LARGE_FILE
            | RoCompat::HUGE_FILE
            | RoCompat::DIR_NLINK
            | RoCompat::EXTRA_ISIZE
            | RoCompat::METADATA_CSUM
    }
}
