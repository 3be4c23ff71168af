//! On-disk structures of erofs, with the kernel's names, and their constants.
//!
//! Specification: `fs/erofs/erofs_fs.h`. All integers are little-endian.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};

use crate::record::records;

pub(super) const SUPER_MAGIC_V1: u32 = 0xe0f5_e1e2;

/// Offset of the superblock, in bytes.
pub(super) const SUPER_OFFSET: usize = 1024;

/// `blkszbits`, and the size of a block in bytes.
pub(super) const BLOCK_BITS: u8 = 12;
pub(super) const BLOCK: u64 = 1 << BLOCK_BITS;

/// Unit of node ids, in bytes.
pub(super) const ISLOT: u64 = 32;

/// Size of `volume_name`. Kernels before 6.0 require a NUL after the name.
pub(super) const VOLUME_NAME_SIZE: usize = 16;

/// Address of a hole, and of an inode without blocks.
pub(super) const NULL_ADDR: u32 = u32::MAX;

/// Maximum size of names of directory entries and extended attributes, in bytes.
pub(super) const NAME_LEN: usize = 255;

/// Unit of extended attributes, in bytes.
pub(super) const XATTR_ALIGN: u64 = 4;

/// Bits of `h_name_filter`, and the seed of the hash that selects one of them.
pub(super) const XATTR_FILTER_BITS: u32 = 32;
pub(super) const XATTR_FILTER_SEED: u32 = 0x25bb_e08f;

bitflags! {
    /// `feature_compat`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Compat: u32 {
        const SB_CHKSUM = 0x1;
        const MTIME = 0x2;
        const XATTR_FILTER = 0x4;
    }

    /// `feature_incompat`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Incompat: u32 {
        const LZ4_0PADDING = 0x1;
        /// `COMPR_CFGS` has the same bit.
        const BIG_PCLUSTER = 0x2;
        const CHUNKED_FILE = 0x4;
        const ZTAILPACKING = 0x10;
        /// `DEDUPE` has the same bit.
        const FRAGMENTS = 0x20;
    }
}

/// Fields of `i_format`: bit 0 is set in an extended inode, and bits 1 to 3 are the data layout.
pub(super) mod i_format {
    pub(in super::super) const EXTENDED: u16 = 1;
    pub(in super::super) const DATALAYOUT_BIT: u16 = 1;
    pub(in super::super) const DATALAYOUT_MASK: u16 = 7;
}

/// Data layouts.
pub(super) mod datalayout {
    pub(in super::super) const FLAT_PLAIN: u16 = 0;
    pub(in super::super) const COMPRESSED_FULL: u16 = 1;
    pub(in super::super) const FLAT_INLINE: u16 = 2;
    pub(in super::super) const COMPRESSED_COMPACT: u16 = 3;
    pub(in super::super) const CHUNK_BASED: u16 = 4;
}

/// Types of directory entries.
pub(super) mod file_type {
    pub(in super::super) const REG_FILE: u8 = 1;
    pub(in super::super) const DIR: u8 = 2;
    pub(in super::super) const CHRDEV: u8 = 3;
    pub(in super::super) const BLKDEV: u8 = 4;
    pub(in super::super) const FIFO: u8 = 5;
    pub(in super::super) const SOCK: u8 = 6;
    pub(in super::super) const SYMLINK: u8 = 7;
}

/// Types of inodes, in `i_mode`.
pub(super) mod i_mode {
    pub(in super::super) const FMT: u16 = 0o170_000;
    pub(in super::super) const FIFO: u16 = 0o010_000;
    pub(in super::super) const CHR: u16 = 0o020_000;
    pub(in super::super) const DIR: u16 = 0o040_000;
    pub(in super::super) const BLK: u16 = 0o060_000;
    pub(in super::super) const REG: u16 = 0o100_000;
    pub(in super::super) const LNK: u16 = 0o120_000;
    pub(in super::super) const SOCK: u16 = 0o140_000;
}

/// Name prefixes of extended attributes, by `e_name_index`.
///
/// The names of both ACLs are nothing but their prefix.
pub(super) const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// Bits of the `format` of a chunk-based file; the lowest five are the binary logarithm of the
/// number of blocks of a chunk.
pub(super) mod chunk_format {
    pub(in super::super) const BLKBITS_MASK: u16 = 0x1f;
    pub(in super::super) const INDEXES: u16 = 0x20;
}

/// Numbers of compression algorithms.
pub(super) mod algorithm {
    pub(in super::super) const LZ4: u8 = 0;
    pub(in super::super) const LZMA: u8 = 1;
    pub(in super::super) const DEFLATE: u8 = 2;
    pub(in super::super) const ZSTD: u8 = 3;
}

/// Bits of `h_advise`.
pub(super) mod advise {
    pub(in super::super) const COMPACTED_2B: u16 = 0x1;
    pub(in super::super) const BIG_PCLUSTER_1: u16 = 0x2;
    pub(in super::super) const BIG_PCLUSTER_2: u16 = 0x4;
    pub(in super::super) const INLINE_PCLUSTER: u16 = 0x8;
    pub(in super::super) const INTERLACED_PCLUSTER: u16 = 0x10;
    pub(in super::super) const FRAGMENT_PCLUSTER: u16 = 0x20;
}

/// `h_clusterbits`: the whole file is in the packed inode.
pub(super) const FRAGMENT_INODE: u8 = 0x80;

/// Types of logical clusters.
pub(super) mod lcluster_type {
    pub(in super::super) const PLAIN: u16 = 0;
    pub(in super::super) const HEAD1: u16 = 1;
    pub(in super::super) const NONHEAD: u16 = 2;
    pub(in super::super) const HEAD2: u16 = 3;
}

/// `di_advise`: the compressed data holds more than the extent.
pub(super) const LI_PARTIAL_REF: u16 = 1 << 15;

/// Delta of the first logical cluster after a head: the other bits are the number of compressed
/// blocks (`CBLKCNT`).
pub(super) const LI_D0_CBLKCNT: u16 = 1 << 11;

records! {
    /// The superblock, at byte 1024.
    pub(super) struct SuperBlock("erofs_super_block", 128) {
        magic: U32,
        checksum: U32,
        feature_compat: U32,
        blkszbits: u8,
        sb_extslots: u8,
        rootnid_2b: U16,
        inos: U64,
        epoch: U64,
        fixed_nsec: U32,
        blocks_lo: U32,
        meta_blkaddr: U32,
        xattr_blkaddr: U32,
        uuid: [u8; 16],
        volume_name: [u8; VOLUME_NAME_SIZE],
        feature_incompat: U32,
        /// A bit per algorithm if `COMPR_CFGS` is set, else `lz4_max_distance`.
        available_compr_algs: U16,
        extra_devices: U16,
        devt_slotoff: U16,
        dirblkbits: u8,
        xattr_prefix_count: u8,
        xattr_prefix_start: U32,
        packed_nid: U64,
        xattr_filter_reserved: u8,
        ishare_xattr_prefix_id: u8,
        reserved: [u8; 2],
        build_time: U32,
        rootnid_8b: U64,
        reserved2: [u8; 8],
    }

    pub(super) struct InodeCompact("erofs_inode_compact", 32) {
        i_format: U16,
        i_xattr_icount: U16,
        i_mode: U16,
        i_nlink: U16,
        i_size: U32,
        i_mtime: U32,
        i_u: U32,
        i_ino: U32,
        i_uid: U16,
        i_gid: U16,
        i_reserved: U32,
    }

    pub(super) struct InodeExtended("erofs_inode_extended", 64) {
        i_format: U16,
        i_xattr_icount: U16,
        i_mode: U16,
        i_nb: U16,
        i_size: U64,
        i_u: U32,
        i_ino: U32,
        i_uid: U32,
        i_gid: U32,
        i_mtime: U64,
        i_mtime_nsec: U32,
        i_nlink: U32,
        i_reserved2: [u8; 16],
    }

    pub(super) struct Dirent("erofs_dirent", 12) {
        nid: U64,
        nameoff: U16,
        file_type: u8,
        reserved: u8,
    }

    /// Header of the extended attributes after an inode.
    pub(super) struct XattrIbodyHeader("erofs_xattr_ibody_header", 12) {
        h_name_filter: U32,
        h_shared_count: u8,
        h_reserved2: [u8; 7],
    }

    /// An extended attribute, before its name and value.
    pub(super) struct XattrEntry("erofs_xattr_entry", 4) {
        e_name_len: u8,
        e_name_index: u8,
        e_value_size: U16,
    }

    /// A chunk with an 8-byte index; the others are block addresses of 4 bytes.
    pub(super) struct ChunkIndex("erofs_inode_chunk_index", 8) {
        startblk_hi: U16,
        device_id: U16,
        startblk_lo: U32,
    }

    /// Header of the index of a compressed file.
    pub(super) struct MapHeader("z_erofs_map_header", 8) {
        /// Offset in the packed inode, or `h_idata_size` in the upper 16 bits.
        h_fragmentoff: U32,
        h_advise: U16,
        h_algorithmtype: u8,
        h_clusterbits: u8,
    }

    /// An entry of a full index.
    pub(super) struct LclusterIndex("z_erofs_lcluster_index", 8) {
        di_advise: U16,
        di_clusterofs: U16,
        /// `blkaddr` of a head, or the two `delta`s.
        di_u: U32,
    }

    pub(super) struct Lz4Cfgs("z_erofs_lz4_cfgs", 14) {
        max_distance: U16,
        max_pclusterblks: U16,
        reserved: [u8; 10],
    }

    pub(super) struct LzmaCfgs("z_erofs_lzma_cfgs", 14) {
        dict_size: U32,
        format: U16,
        reserved: [u8; 8],
    }

    pub(super) struct DeflateCfgs("z_erofs_deflate_cfgs", 6) {
        windowbits: u8,
        reserved: [u8; 5],
    }

    pub(super) struct ZstdCfgs("z_erofs_zstd_cfgs", 6) {
        format: u8,
        /// Binary logarithm of the window, minus 10.
        windowlog: u8,
        reserved: [u8; 4],
    }
}
