//! Command-line arguments of file systems, for all subcommands that create them.

use clap::{Args, ValueEnum};

use crate::btrfs::{Checksum, Compat, Metadata};
use crate::{erofs, ext4};

/// Type of the root file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fs {
    Ext4,
    Btrfs,
    Erofs,
    Squashfs,
}

/// Type of the file system of `/usr`, which is only read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum UsrFs {
    Erofs,
    Squashfs,
}

impl From<UsrFs> for Fs {
    fn from(usr: UsrFs) -> Self {
        match usr {
            UsrFs::Erofs => Self::Erofs,
            UsrFs::Squashfs => Self::Squashfs,
        }
    }
}

impl Fs {
    /// Returns the name of the format.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Erofs => "erofs",
            Self::Squashfs => "squashfs",
        }
    }
}

/// Options of every root file system.
#[derive(Debug, Args)]
pub(super) struct RootFsArgs {
    /// Free space to leave with --size auto, in bytes or percent; 0 for an exact fit [default:
    /// ext4: set by the profile; btrfs: enough for the writes of a first boot]
    #[arg(long, value_name = "BYTES|PERCENT")]
    pub(super) headroom: Option<String>,
    /// Label of the file system and its partition, at most 16 bytes for ext4 and erofs, 255 for
    /// btrfs and 36 characters for a partition
    #[arg(long)]
    pub(super) label: Option<String>,
    /// Add a swap file; its directory must exist
    #[arg(long, value_name = "PATH:SIZE")]
    pub(super) swapfile: Option<String>,
}

/// Options of ext4.
#[derive(Debug, Args)]
#[command(next_help_heading = "ext4")]
pub(super) struct Ext4Args {
    /// Size that the file system can later grow to [default: 1024 times its own]
    #[arg(long, value_name = "BYTES")]
    pub(super) grow_to: Option<String>,
    /// Set of ext4 features [default: default]
    #[arg(long, value_enum)]
    pub(super) ext4_profile: Option<ext4::Profile>,
    /// ext4 block size: 1024, 2048 or 4096 [default: 4096]
    #[arg(long, value_name = "BYTES")]
    pub(super) ext4_block_size: Option<String>,
    /// Number of ext4 inodes [default: those of the tree plus a tenth, at least one per 16 KiB]
    #[arg(long, value_name = "N")]
    pub(super) inodes: Option<String>,
}

/// Options of formats that can compress content.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compression")]
pub(super) struct CompressionArgs {
    #[command(flatten)]
    pub(super) compress: CompressArg,
    /// Don't compress matching paths or anything below them; matches like --exclude
    #[arg(long, value_name = "GLOB")]
    pub(super) no_compress: Vec<String>,
    /// Store identical content only once
    #[arg(long)]
    pub(super) dedup: bool,
}

/// Compression.
#[derive(Debug, Args)]
pub(super) struct CompressArg {
    /// Compress content where that saves space: btrfs: zstd[:1-15], zlib[:1-9], lzo or none
    /// [default: none]; erofs: zstd[:1-22], lz4hc[:1-12], lz4 or none [default: none]; squashfs:
    /// gzip[:1-9], zstd[:1-22], lz4[:0-12] or xz [default: gzip]
    #[arg(long, value_name = "ALGORITHM[:LEVEL]")]
    pub(super) compress: Option<String>,
}

/// Options of btrfs.
#[derive(Debug, Args)]
#[command(next_help_heading = "btrfs")]
pub(super) struct BtrfsArgs {
    /// Oldest kernels that can write to the btrfs [default: default]
    #[arg(long, value_enum)]
    pub(super) btrfs_compat: Option<Compat>,
    /// btrfs checksum algorithm for metadata and data [default: crc32c]
    #[arg(long, value_enum)]
    pub(super) btrfs_checksum: Option<Checksum>,
    /// btrfs node size: 4096, 8192, 16384, 32768 or 65536 [default: 16384]
    #[arg(long, value_name = "BYTES")]
    pub(super) btrfs_node_size: Option<String>,
    /// btrfs metadata profile [default: dup]
    #[arg(long, value_enum)]
    pub(super) btrfs_metadata: Option<Metadata>,
    /// Size of the largest files that btrfs stores inline, up to 4095 [default: 2048]
    #[arg(long, value_name = "BYTES")]
    pub(super) btrfs_max_inline: Option<String>,
    /// Set nodatacow on matching paths and everything below them, so that their content has no
    /// checksums or compression; matches like --exclude
    #[arg(long, value_name = "GLOB")]
    pub(super) nodatacow: Vec<String>,
    /// Make a directory a subvolume; ro makes it read-only, nodatacow sets that on all its content
    #[arg(long, value_name = "PATH[:ro][:nodatacow]")]
    pub(super) subvolume: Vec<String>,
    /// Subvolume to mount by default [default: the top level]
    #[arg(long, value_name = "PATH")]
    pub(super) default_subvolume: Option<String>,
    /// Replace hard links between subvolumes with copies that share extents
    #[arg(long)]
    pub(super) copy_links: bool,
}

/// Options of erofs.
#[derive(Debug, Args)]
#[command(next_help_heading = "erofs")]
pub(super) struct ErofsArgs {
    /// Oldest kernel that can read the erofs [default: linux-6.10]
    #[arg(long, value_enum)]
    pub(super) erofs_profile: Option<erofs::Profile>,
    /// Size of the pieces in which erofs content is compressed: a power of two from 8K to 1M; to
    /// read a byte, a kernel decompresses its piece up to there [default: 128K]
    #[arg(long, value_name = "BYTES")]
    pub(super) erofs_cluster_size: Option<String>,
    /// Compress files that are shorter than a piece, and the ends of longer ones, together: the
    /// image is smaller, and reading one of them takes longer
    #[arg(long)]
    pub(super) fragments: bool,
}

/// Options of squashfs.
#[derive(Debug, Args)]
#[command(next_help_heading = "squashfs")]
pub(super) struct SquashfsArgs {
    /// squashfs block size: a power of two from 4096 to 1M; kernels with larger pages can't read
    /// smaller blocks [default: 128K]
    #[arg(long, value_name = "BYTES")]
    pub(super) squashfs_block_size: Option<String>,
    /// Don't pack files that are shorter than a squashfs block into blocks with others
    #[arg(long)]
    pub(super) no_fragments: bool,
}
