//! ext4: from a tree to a whole file system, every block address decided before a byte is written.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::report::Warning;
use crate::size::Headroom;
use crate::time::Timestamp;
use crate::tree::{Survey, Tree};

/// A frozen set of features and policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// What Debian 12's mke2fs makes: read by GRUB 2.06, Linux 4 and e2fsprogs 1.43.
    #[default]
    Default,
    /// What mke2fs 1.47.4 makes: `default` with an orphan file and a checksum seed of its own.
    Modern,
    /// For a file system that a boot loader reads: `default` without holes at the start of files.
    Boot,
    /// For a file system that is never written: no journal, no room to grow, an exact fit.
    Ro,
}

/// How to make an ext4 file system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The UUID of the file system.
    pub uuid: Uuid,
    /// The seed of the directory hash.
    pub hash_seed: Uuid,
    /// The label: at most 16 bytes without NUL.
    pub label: Vec<u8>,
    /// The time of everything that has none in the tree.
    pub epoch: Timestamp,
    /// 1024, 2048 or 4096 bytes.
    pub block_size: u32,
    /// Features and policies.
    pub profile: Profile,
    /// The size in bytes; `None` for the smallest that leaves the headroom.
    pub size: Option<u64>,
    /// With `size: None`, the free room to leave; `None` for the profile's own (10 %, and nothing
    /// in `Ro`). `Some(Headroom::Bytes(0))` is an exact fit.
    pub headroom: Option<Headroom>,
    /// With `size: None` and headroom, the size is a multiple of this many bytes.
    pub multiple: u64,
    /// The size in bytes that the file system should be able to grow to; `None` for 1024 times
    /// its own.
    pub grow_to: Option<u64>,
}

/// A file system that is planned.
#[derive(Debug)]
pub struct Plan {
    /// What byte goes where.
    pub layout: Layout,
    /// What was not taken over from the tree as it is.
    pub warnings: Vec<Warning>,
}

/// Plans an ext4 file system that holds a tree.
///
/// # Errors
/// [`Error::Unrepresentable`] names the first path that ext4 can't hold, [`Error::TooSmall`] the
/// shortfall in blocks and inodes, [`Error::Parameter`] an option out of range.
pub fn plan(tree: &Arc<Tree>, survey: &Survey, options: &Options) -> Result<Plan> {
    let _ = (tree, survey, options);
    Err(Error::parameter("--fs", "ext4 is not planned yet", "wait"))
}
