//! On-disk structures of btrfs, with the kernel's names, and their constants.
//!
//! Specification: `include/uapi/linux/btrfs_tree.h` and "BTRFS on-disk format" in the btrfs
//! documentation. All integers are little-endian and unaligned.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};

use super::address::DeviceOffset;
use crate::record::records;

pub(super) const MAGIC: [u8; 8] = *b"_BHRfS_M";

/// Unit of data extents, checksums and addresses, in bytes.
pub(super) const SECTOR: u64 = 4096;

/// Size of a superblock, and of the space reserved for each of its copies, in bytes.
pub(super) const SUPER_INFO_SIZE: u64 = 4096;

/// Offsets of the superblock and its mirrors.
pub(super) const SUPER_OFFSETS: [DeviceOffset; 3] =
    [DeviceOffset(64 << 10), DeviceOffset(64 << 20), DeviceOffset(256 << 30)];

/// Unit of stripes, and therefore of chunks, in bytes.
pub(super) const STRIPE_LEN: u64 = 64 << 10;

/// Size of the start of a device that is reserved for boot loaders and the superblock, in bytes.
pub(super) const DEVICE_RANGE_RESERVED: u64 = 1 << 20;

pub(super) const SYSTEM_CHUNK_ARRAY_SIZE: usize = 2048;
pub(super) const LABEL_SIZE: usize = 256;

/// Maximum size of an extent, in memory or on disk, in bytes.
pub(super) const MAX_EXTENT_SIZE: u64 = 128 << 20;

/// Maximum size of names of directory entries and extended attributes, in bytes.
pub(super) const NAME_LEN: usize = 255;

/// Maximum number of names of an inode.
pub(super) const LINK_MAX: u32 = 65535;

/// `objectid`s: trees, and objects in them.
pub(super) mod objectid {
    pub(in super::super) const ROOT_TREE: u64 = 1;
    pub(in super::super) const EXTENT_TREE: u64 = 2;
    pub(in super::super) const CHUNK_TREE: u64 = 3;
    pub(in super::super) const DEV_TREE: u64 = 4;
    pub(in super::super) const FS_TREE: u64 = 5;
    pub(in super::super) const ROOT_TREE_DIR: u64 = 6;
    pub(in super::super) const CSUM_TREE: u64 = 7;
    pub(in super::super) const UUID_TREE: u64 = 9;
    pub(in super::super) const FREE_SPACE_TREE: u64 = 10;
    pub(in super::super) const BLOCK_GROUP_TREE: u64 = 11;
    pub(in super::super) const DATA_RELOC_TREE: u64 = 9_u64.wrapping_neg();

    pub(in super::super) const DEV_STATS: u64 = 0;
    pub(in super::super) const DEV_ITEMS: u64 = 1;
    pub(in super::super) const EXTENT_CSUM: u64 = 10_u64.wrapping_neg();
    /// The root directory of a subvolume, the first subvolume, and the first chunk.
    pub(in super::super) const FIRST_FREE: u64 = 256;
    pub(in super::super) const FIRST_CHUNK_TREE: u64 = 256;
}

/// Types of keys.
pub(super) mod item_type {
    pub(in super::super) const INODE_ITEM: u8 = 1;
    pub(in super::super) const INODE_REF: u8 = 12;
    pub(in super::super) const INODE_EXTREF: u8 = 13;
    pub(in super::super) const XATTR_ITEM: u8 = 24;
    pub(in super::super) const DIR_ITEM: u8 = 84;
    pub(in super::super) const DIR_INDEX: u8 = 96;
    pub(in super::super) const EXTENT_DATA: u8 = 108;
    pub(in super::super) const EXTENT_CSUM: u8 = 128;
    pub(in super::super) const ROOT_ITEM: u8 = 132;
    pub(in super::super) const ROOT_BACKREF: u8 = 144;
    pub(in super::super) const ROOT_REF: u8 = 156;
    pub(in super::super) const EXTENT_ITEM: u8 = 168;
    pub(in super::super) const METADATA_ITEM: u8 = 169;
    pub(in super::super) const TREE_BLOCK_REF: u8 = 176;
    pub(in super::super) const EXTENT_DATA_REF: u8 = 178;
    pub(in super::super) const BLOCK_GROUP_ITEM: u8 = 192;
    pub(in super::super) const FREE_SPACE_INFO: u8 = 198;
    pub(in super::super) const FREE_SPACE_EXTENT: u8 = 199;
    pub(in super::super) const FREE_SPACE_BITMAP: u8 = 200;
    pub(in super::super) const DEV_EXTENT: u8 = 204;
    pub(in super::super) const DEV_ITEM: u8 = 216;
    pub(in super::super) const CHUNK_ITEM: u8 = 228;
    pub(in super::super) const PERSISTENT_ITEM: u8 = 249;
    pub(in super::super) const UUID_KEY_SUBVOL: u8 = 251;
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
    pub(in super::super) const XATTR: u8 = 8;
}

/// Types of file extents.
pub(super) mod extent_type {
    pub(in super::super) const INLINE: u8 = 0;
    pub(in super::super) const REG: u8 = 1;
    pub(in super::super) const PREALLOC: u8 = 2;
}

bitflags! {
    /// `incompat_flags`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Incompat: u64 {
        const MIXED_BACKREF = 1 << 0;
        const DEFAULT_SUBVOL = 1 << 1;
        const COMPRESS_LZO = 1 << 3;
        const COMPRESS_ZSTD = 1 << 4;
        const BIG_METADATA = 1 << 5;
        const EXTENDED_IREF = 1 << 6;
        const SKINNY_METADATA = 1 << 8;
        const NO_HOLES = 1 << 9;
    }

    /// `compat_ro_flags`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct CompatRo: u64 {
        const FREE_SPACE_TREE = 1 << 0;
        const FREE_SPACE_TREE_VALID = 1 << 1;
        const BLOCK_GROUP_TREE = 1 << 3;
    }

    /// Types and profiles of chunks and block groups.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct BlockGroupFlags: u64 {
        const DATA = 1 << 0;
        const SYSTEM = 1 << 1;
        const METADATA = 1 << 2;
        const DUP = 1 << 5;
    }

    /// `flags` of an inode item.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct InodeFlags: u64 {
        const NODATASUM = 1 << 0;
        const NODATACOW = 1 << 1;
        const READONLY = 1 << 2;
        const NOCOMPRESS = 1 << 3;
        const PREALLOC = 1 << 4;
        const SYNC = 1 << 5;
        const IMMUTABLE = 1 << 6;
        const APPEND = 1 << 7;
        const NODUMP = 1 << 8;
        const NOATIME = 1 << 9;
        const DIRSYNC = 1 << 10;
        const COMPRESS = 1 << 11;
        const ROOT_ITEM_INIT = 1 << 31;
    }

    /// `flags` of an extent item.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct ExtentFlags: u64 {
        const DATA = 1 << 0;
        const TREE_BLOCK = 1 << 1;
    }
}

/// `flags` in the root item of a read-only subvolume.
pub(super) const ROOT_SUBVOL_RDONLY: u64 = 1;

/// `flags` in the header of a tree block: written, with mixed back references.
pub(super) const HEADER_FLAGS: u64 = 1 | 1 << 56;

/// `flags` of the superblock: written.
pub(super) const SUPER_FLAGS: u64 = 1;

records! {
    /// `struct btrfs_disk_key`
    pub(super) struct DiskKey("btrfs_disk_key", 17) {
        objectid: U64,
        item_type: u8,
        offset: U64,
    }

    /// `struct btrfs_timespec`
    pub(super) struct Timespec("btrfs_timespec", 12) {
        sec: U64,
        nsec: U32,
    }

    /// `struct btrfs_header`: the start of every tree block.
    pub(super) struct Header("btrfs_header", 101) {
        csum: [u8; 32],
        fsid: [u8; 16],
        bytenr: U64,
        flags: U64,
        chunk_tree_uuid: [u8; 16],
        generation: U64,
        owner: U64,
        nritems: U32,
        level: u8,
    }

    /// `struct btrfs_item`: the head of an item in a leaf.
    pub(super) struct ItemHead("btrfs_item", 25) {
        key: DiskKey,
        offset: U32,
        size: U32,
    }

    /// `struct btrfs_key_ptr`: a node's pointer to a child.
    pub(super) struct KeyPtr("btrfs_key_ptr", 33) {
        key: DiskKey,
        blockptr: U64,
        generation: U64,
    }

    /// `struct btrfs_dev_item`
    pub(super) struct DevItem("btrfs_dev_item", 98) {
        devid: U64,
        total_bytes: U64,
        bytes_used: U64,
        io_align: U32,
        io_width: U32,
        sector_size: U32,
        device_type: U64,
        generation: U64,
        start_offset: U64,
        dev_group: U32,
        seek_speed: u8,
        bandwidth: u8,
        uuid: [u8; 16],
        fsid: [u8; 16],
    }

    /// `struct btrfs_chunk` without its stripes.
    pub(super) struct Chunk("btrfs_chunk", 48) {
        length: U64,
        owner: U64,
        stripe_len: U64,
        chunk_type: U64,
        io_align: U32,
        io_width: U32,
        sector_size: U32,
        num_stripes: U16,
        sub_stripes: U16,
    }

    /// `struct btrfs_stripe`
    pub(super) struct Stripe("btrfs_stripe", 32) {
        devid: U64,
        offset: U64,
        dev_uuid: [u8; 16],
    }

    /// `struct btrfs_root_backup`
    pub(super) struct RootBackup("btrfs_root_backup", 168) {
        tree_root: U64,
        tree_root_gen: U64,
        chunk_root: U64,
        chunk_root_gen: U64,
        extent_root: U64,
        extent_root_gen: U64,
        fs_root: U64,
        fs_root_gen: U64,
        dev_root: U64,
        dev_root_gen: U64,
        csum_root: U64,
        csum_root_gen: U64,
        total_bytes: U64,
        bytes_used: U64,
        num_devices: U64,
        unused_64: [U64; 4],
        tree_root_level: u8,
        chunk_root_level: u8,
        extent_root_level: u8,
        fs_root_level: u8,
        dev_root_level: u8,
        csum_root_level: u8,
        unused_8: [u8; 10],
    }

    /// `struct btrfs_super_block`
    pub(super) struct SuperBlock("btrfs_super_block", 4096) {
        csum: [u8; 32],
        fsid: [u8; 16],
        bytenr: U64,
        flags: U64,
        magic: [u8; 8],
        generation: U64,
        root: U64,
        chunk_root: U64,
        log_root: U64,
        unused_log_root_transid: U64,
        total_bytes: U64,
        bytes_used: U64,
        root_dir_objectid: U64,
        num_devices: U64,
        sectorsize: U32,
        nodesize: U32,
        unused_leafsize: U32,
        stripesize: U32,
        sys_chunk_array_size: U32,
        chunk_root_generation: U64,
        compat_flags: U64,
        compat_ro_flags: U64,
        incompat_flags: U64,
        csum_type: U16,
        root_level: u8,
        chunk_root_level: u8,
        log_root_level: u8,
        dev_item: DevItem,
        label: [u8; LABEL_SIZE],
        cache_generation: U64,
        uuid_tree_generation: U64,
        metadata_uuid: [u8; 16],
        nr_global_roots: U64,
        reserved: [U64; 27],
        sys_chunk_array: [u8; SYSTEM_CHUNK_ARRAY_SIZE],
        super_roots: [RootBackup; 4],
        padding: [u8; 565],
    }

    /// `struct btrfs_inode_item`
    pub(super) struct InodeItem("btrfs_inode_item", 160) {
        generation: U64,
        transid: U64,
        size: U64,
        nbytes: U64,
        block_group: U64,
        nlink: U32,
        uid: U32,
        gid: U32,
        mode: U32,
        rdev: U64,
        flags: U64,
        sequence: U64,
        reserved: [U64; 4],
        atime: Timespec,
        ctime: Timespec,
        mtime: Timespec,
        otime: Timespec,
    }

    /// `struct btrfs_root_item`
    pub(super) struct RootItem("btrfs_root_item", 439) {
        inode: InodeItem,
        generation: U64,
        root_dirid: U64,
        bytenr: U64,
        byte_limit: U64,
        bytes_used: U64,
        last_snapshot: U64,
        flags: U64,
        refs: U32,
        drop_progress: DiskKey,
        drop_level: u8,
        level: u8,
        generation_v2: U64,
        uuid: [u8; 16],
        parent_uuid: [u8; 16],
        received_uuid: [u8; 16],
        ctransid: U64,
        otransid: U64,
        stransid: U64,
        rtransid: U64,
        ctime: Timespec,
        otime: Timespec,
        stime: Timespec,
        rtime: Timespec,
        reserved: [U64; 8],
    }

    /// `struct btrfs_root_ref` without the name.
    pub(super) struct RootRef("btrfs_root_ref", 18) {
        dirid: U64,
        sequence: U64,
        name_len: U16,
    }

    /// `struct btrfs_inode_ref` without the name.
    pub(super) struct InodeRef("btrfs_inode_ref", 10) {
        index: U64,
        name_len: U16,
    }

    /// `struct btrfs_inode_extref` without the name.
    pub(super) struct InodeExtref("btrfs_inode_extref", 18) {
        parent_objectid: U64,
        index: U64,
        name_len: U16,
    }

    /// `struct btrfs_dir_item` without the name and the data of an extended attribute.
    pub(super) struct DirItem("btrfs_dir_item", 30) {
        location: DiskKey,
        transid: U64,
        data_len: U16,
        name_len: U16,
        file_type: u8,
    }

    /// The part of `struct btrfs_file_extent_item` that inline extents also have.
    pub(super) struct FileExtentHead("btrfs_file_extent_item", 21) {
        generation: U64,
        ram_bytes: U64,
        compression: u8,
        encryption: u8,
        other_encoding: U16,
        extent_type: u8,
    }

    /// `struct btrfs_file_extent_item`
    pub(super) struct FileExtentItem("btrfs_file_extent_item", 53) {
        head: FileExtentHead,
        disk_bytenr: U64,
        disk_num_bytes: U64,
        offset: U64,
        num_bytes: U64,
    }

    /// `struct btrfs_extent_item`
    pub(super) struct ExtentItem("btrfs_extent_item", 24) {
        refs: U64,
        generation: U64,
        flags: U64,
    }

    /// `struct btrfs_extent_inline_ref`
    pub(super) struct ExtentInlineRef("btrfs_extent_inline_ref", 9) {
        ref_type: u8,
        offset: U64,
    }

    /// `struct btrfs_extent_data_ref`
    pub(super) struct ExtentDataRef("btrfs_extent_data_ref", 28) {
        root: U64,
        objectid: U64,
        offset: U64,
        count: U32,
    }

    /// `struct btrfs_block_group_item`
    pub(super) struct BlockGroupItem("btrfs_block_group_item", 24) {
        used: U64,
        chunk_objectid: U64,
        flags: U64,
    }

    /// `struct btrfs_dev_extent`
    pub(super) struct DevExtent("btrfs_dev_extent", 48) {
        chunk_tree: U64,
        chunk_objectid: U64,
        chunk_offset: U64,
        length: U64,
        chunk_tree_uuid: [u8; 16],
    }

    /// `struct btrfs_dev_stats_item`
    pub(super) struct DevStatsItem("btrfs_dev_stats_item", 40) {
        values: [U64; 5],
    }

    /// `struct btrfs_free_space_info`
    pub(super) struct FreeSpaceInfo("btrfs_free_space_info", 8) {
        extent_count: U32,
        flags: U32,
    }
}
