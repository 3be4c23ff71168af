//! On-disk records and constants of ext4, with the kernel's names.
//!
//! Specification: "ext4 Data Structures and Algorithms" in the Linux kernel's documentation.

use bitflags::bitflags;
use zerocopy::FromZeros;
use zerocopy::byteorder::big_endian::U32 as Be32;
use zerocopy::byteorder::little_endian::{U16, U32, U64};

use crate::record::records;

bitflags! {
    /// `s_feature_compat`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Compat: u32 {
        const HAS_JOURNAL = 0x4;
        const EXT_ATTR = 0x8;
        const RESIZE_INODE = 0x10;
        const DIR_INDEX = 0x20;
        const ORPHAN_FILE = 0x1000;
    }

    /// `s_feature_incompat`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct Incompat: u32 {
        const FILETYPE = 0x2;
        const EXTENTS = 0x40;
        const IS_64BIT = 0x80;
        const FLEX_BG = 0x200;
        const CSUM_SEED = 0x2000;
        const LARGEDIR = 0x4000;
    }

    /// `s_feature_ro_compat`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct RoCompat: u32 {
        const SPARSE_SUPER = 0x1;
        const LARGE_FILE = 0x2;
        const HUGE_FILE = 0x8;
        const DIR_NLINK = 0x20;
        const EXTRA_ISIZE = 0x40;
        const METADATA_CSUM = 0x400;
    }

    /// `bg_flags`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct GroupFlags: u16 {
        const INODE_UNINIT = 0x1;
        const INODE_ZEROED = 0x4;
    }

    /// `i_flags`
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) struct InodeFlags: u32 {
        const SYNC = 0x8;
        const IMMUTABLE = 0x10;
        const APPEND = 0x20;
        const NODUMP = 0x40;
        const NOATIME = 0x80;
        const INDEX = 0x1000;
        const DIRSYNC = 0x1_0000;
        const EXTENTS = 0x8_0000;
    }
}

pub(super) const SUPER_MAGIC: u16 = 0xEF53;
pub(super) const VALID_FS: u16 = 1;
pub(super) const ERRORS_CONTINUE: u16 = 1;
pub(super) const DYNAMIC_REV: u32 = 1;
pub(super) const FIRST_INO: u32 = 11;
pub(super) const HASH_HALF_MD4: u8 = 1;
pub(super) const FLAGS_SIGNED_HASH: u32 = 1;
pub(super) const DEFM_XATTR_USER: u32 = 0x4;
pub(super) const DEFM_ACL: u32 = 0x8;
pub(super) const CRC32C_CHKSUM: u8 = 1;
pub(super) const JNL_BACKUP_BLOCKS: u8 = 1;

pub(super) const ROOT_INO: u32 = 2;
pub(super) const RESIZE_INO: u32 = 7;
pub(super) const JOURNAL_INO: u32 = 8;

/// Offset of the primary superblock, in bytes.
pub(super) const SUPER_OFFSET: u64 = 1024;
pub(super) const INODE_SIZE: u16 = 256;
pub(super) const DESC_SIZE: u16 = 64;
/// `i_extra_isize` of every inode.
pub(super) const EXTRA_ISIZE: u16 = 32;
/// Maximum link count; directories beyond it store 1.
pub(super) const LINK_MAX: u32 = 65_000;

records! {
    pub(super) struct SuperBlock("ext4_super_block", 1024) {
        s_inodes_count: U32,
        s_blocks_count_lo: U32,
        s_r_blocks_count_lo: U32,
        s_free_blocks_count_lo: U32,
        s_free_inodes_count: U32,
        s_first_data_block: U32,
        s_log_block_size: U32,
        s_log_cluster_size: U32,
        s_blocks_per_group: U32,
        s_clusters_per_group: U32,
        s_inodes_per_group: U32,
        s_mtime: U32,
        s_wtime: U32,
        s_mnt_count: U16,
        s_max_mnt_count: U16,
        s_magic: U16,
        s_state: U16,
        s_errors: U16,
        s_minor_rev_level: U16,
        s_lastcheck: U32,
        s_checkinterval: U32,
        s_creator_os: U32,
        s_rev_level: U32,
        s_def_resuid: U16,
        s_def_resgid: U16,
        s_first_ino: U32,
        s_inode_size: U16,
        s_block_group_nr: U16,
        s_feature_compat: U32,
        s_feature_incompat: U32,
        s_feature_ro_compat: U32,
        s_uuid: [u8; 16],
        s_volume_name: [u8; 16],
        s_last_mounted: [u8; 64],
        s_algorithm_usage_bitmap: U32,
        s_prealloc_blocks: u8,
        s_prealloc_dir_blocks: u8,
        s_reserved_gdt_blocks: U16,
        s_journal_uuid: [u8; 16],
        s_journal_inum: U32,
        s_journal_dev: U32,
        s_last_orphan: U32,
        s_hash_seed: [u8; 16],
        s_def_hash_version: u8,
        s_jnl_backup_type: u8,
        s_desc_size: U16,
        s_default_mount_opts: U32,
        s_first_meta_bg: U32,
        s_mkfs_time: U32,
        /// `s_jnl_blocks[0..15]`
        s_jnl_block: [u8; 60],
        /// `s_jnl_blocks[15]`
        s_jnl_size_high: U32,
        /// `s_jnl_blocks[16]`
        s_jnl_size_lo: U32,
        s_blocks_count_hi: U32,
        s_r_blocks_count_hi: U32,
        s_free_blocks_count_hi: U32,
        s_min_extra_isize: U16,
        s_want_extra_isize: U16,
        s_flags: U32,
        s_raid_stride: U16,
        s_mmp_interval: U16,
        s_mmp_block: U64,
        s_raid_stripe_width: U32,
        s_log_groups_per_flex: u8,
        s_checksum_type: u8,
        s_encryption_level: u8,
        s_reserved_pad: u8,
        s_kbytes_written: U64,
        s_snapshot_inum: U32,
        s_snapshot_id: U32,
        s_snapshot_r_blocks_count: U64,
        s_snapshot_list: U32,
        s_error_count: U32,
        /// From `s_first_error_time` to `s_last_error_func`.
        s_errors_seen: [u8; 104],
        s_mount_opts: [u8; 64],
        s_usr_quota_inum: U32,
        s_grp_quota_inum: U32,
        s_overhead_clusters: U32,
        s_backup_bgs: [U32; 2],
        s_encrypt_algos: [u8; 4],
        s_encrypt_pw_salt: [u8; 16],
        s_lpf_ino: U32,
        s_prj_quota_inum: U32,
        s_checksum_seed: U32,
        s_wtime_hi: u8,
        s_mtime_hi: u8,
        s_mkfs_time_hi: u8,
        s_lastcheck_hi: u8,
        s_first_error_time_hi: u8,
        s_last_error_time_hi: u8,
        s_first_error_errcode: u8,
        s_last_error_errcode: u8,
        s_encoding: U16,
        s_encoding_flags: U16,
        s_orphan_file_inum: U32,
        s_reserved: [U32; 94],
        s_checksum: U32,
    }
}

const _: () = assert!(std::mem::offset_of!(SuperBlock, s_uuid) == 0x68);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_hash_seed) == 0xEC);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_blocks_count_hi) == 0x150);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_mount_opts) == 0x200);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_checksum_seed) == 0x270);

records! {
    pub(super) struct GroupDesc("ext4_group_desc", DESC_SIZE as usize) {
        bg_block_bitmap_lo: U32,
        bg_inode_bitmap_lo: U32,
        bg_inode_table_lo: U32,
        bg_free_blocks_count_lo: U16,
        bg_free_inodes_count_lo: U16,
        bg_used_dirs_count_lo: U16,
        bg_flags: U16,
        bg_exclude_bitmap_lo: U32,
        bg_block_bitmap_csum_lo: U16,
        bg_inode_bitmap_csum_lo: U16,
        bg_itable_unused_lo: U16,
        bg_checksum: U16,
        bg_block_bitmap_hi: U32,
        bg_inode_bitmap_hi: U32,
        bg_inode_table_hi: U32,
        bg_free_blocks_count_hi: U16,
        bg_free_inodes_count_hi: U16,
        bg_used_dirs_count_hi: U16,
        bg_itable_unused_hi: U16,
        bg_exclude_bitmap_hi: U32,
        bg_block_bitmap_csum_hi: U16,
        bg_inode_bitmap_csum_hi: U16,
        bg_reserved: U32,
    }

    pub(super) struct InodeRecord("ext4_inode", INODE_SIZE as usize) {
        i_mode: U16,
        i_uid: U16,
        i_size_lo: U32,
        i_atime: U32,
        i_ctime: U32,
        i_mtime: U32,
        i_dtime: U32,
        i_gid: U16,
        i_links_count: U16,
        i_blocks_lo: U32,
        i_flags: U32,
        l_i_version: U32,
        i_block: [u8; 60],
        i_generation: U32,
        i_file_acl_lo: U32,
        i_size_high: U32,
        i_obso_faddr: U32,
        l_i_blocks_high: U16,
        l_i_file_acl_high: U16,
        l_i_uid_high: U16,
        l_i_gid_high: U16,
        l_i_checksum_lo: U16,
        l_i_reserved: U16,
        i_extra_isize: U16,
        i_checksum_hi: U16,
        i_ctime_extra: U32,
        i_mtime_extra: U32,
        i_atime_extra: U32,
        i_crtime: U32,
        i_crtime_extra: U32,
        i_version_hi: U32,
        i_projid: U32,
        /// Extended attributes in the inode.
        xattrs: [u8; IN_INODE_XATTRS],
    }
}

const _: () = assert!(std::mem::offset_of!(InodeRecord, i_extra_isize) == 128);
/// Space in the inode for extended attributes, in bytes.
pub(super) const IN_INODE_XATTRS: usize = INODE_SIZE as usize - 128 - EXTRA_ISIZE as usize;

pub(super) const S_IFIFO: u16 = 0o010_000;
pub(super) const S_IFCHR: u16 = 0o020_000;
pub(super) const S_IFDIR: u16 = 0o040_000;
pub(super) const S_IFBLK: u16 = 0o060_000;
pub(super) const S_IFREG: u16 = 0o100_000;
pub(super) const S_IFLNK: u16 = 0o120_000;
pub(super) const S_IFSOCK: u16 = 0o140_000;

pub(super) const EXT_MAGIC: u16 = 0xF30A;
/// Maximum number of blocks of an initialized extent.
pub(super) const EXTENT_LEN_MAX: u64 = 32_768;
/// Size of header, extent and index records alike.
pub(super) const EXTENT_RECORD: usize = 12;

records! {
    pub(super) struct ExtentHeader("ext4_extent_header", EXTENT_RECORD) {
        eh_magic: U16,
        eh_entries: U16,
        eh_max: U16,
        eh_depth: U16,
        eh_generation: U32,
    }

    pub(super) struct ExtentRecord("ext4_extent", EXTENT_RECORD) {
        ee_block: U32,
        ee_len: U16,
        ee_start_hi: U16,
        ee_start_lo: U32,
    }

    pub(super) struct ExtentIdx("ext4_extent_idx", EXTENT_RECORD) {
        ei_block: U32,
        ei_leaf_lo: U32,
        ei_leaf_hi: U16,
        ei_unused: U16,
    }
}

pub(super) const FT_REG_FILE: u8 = 1;
pub(super) const FT_DIR: u8 = 2;
pub(super) const FT_CHRDEV: u8 = 3;
pub(super) const FT_BLKDEV: u8 = 4;
pub(super) const FT_FIFO: u8 = 5;
pub(super) const FT_SOCK: u8 = 6;
pub(super) const FT_SYMLINK: u8 = 7;
const FT_DIR_CSUM: u8 = 0xDE;

records! {
    /// The fixed part of `ext4_dir_entry_2`, before the name.
    pub(super) struct DirEntry("ext4_dir_entry_2", 8) {
        inode: U32,
        rec_len: U16,
        name_len: u8,
        file_type: u8,
    }
}

pub(super) const DIR_ENTRY: usize = size_of::<DirEntry>();

records! {
    pub(super) struct DirEntryTail("ext4_dir_entry_tail", 12) {
        det_reserved_zero1: U32,
        det_rec_len: U16,
        det_reserved_zero2: u8,
        det_reserved_ft: u8,
        det_checksum: U32,
    }
}

pub(super) const DIR_TAIL: usize = size_of::<DirEntryTail>();

impl DirEntryTail {
    pub(super) fn new(checksum: u32) -> Self {
        Self {
            det_rec_len: 12.into(),
            det_reserved_ft: FT_DIR_CSUM,
            det_checksum: checksum.into(),
            ..Self::new_zeroed()
        }
    }
}

records! {
    pub(super) struct DxRootInfo("dx_root_info", 8) {
        reserved_zero: U32,
        hash_version: u8,
        info_length: u8,
        indirect_levels: u8,
        unused_flags: u8,
    }

    /// `dx_countlimit`, which takes the place of the first entry's hash.
    pub(super) struct DxCountLimit("dx_countlimit", 4) {
        limit: U16,
        count: U16,
    }

    pub(super) struct DxEntry("dx_entry", 8) {
        hash: U32,
        block: U32,
    }
}

pub(super) const DX_ENTRY: usize = size_of::<DxEntry>();

records! {
    pub(super) struct DxTail("dx_tail", 8) {
        dt_reserved: U32,
        dt_checksum: U32,
    }
}

pub(super) const DX_TAIL: usize = size_of::<DxTail>();

pub(super) const XATTR_MAGIC: u32 = 0xEA02_0000;
/// Maximum number of inodes that share a block of extended attributes.
pub(super) const XATTR_REFCOUNT_MAX: u32 = 1024;

records! {
    pub(super) struct XattrHeader("ext4_xattr_header", 32) {
        h_magic: U32,
        h_refcount: U32,
        h_blocks: U32,
        h_hash: U32,
        h_checksum: U32,
        h_reserved: [U32; 3],
    }

    /// The fixed part of `ext4_xattr_entry`, before the name.
    pub(super) struct XattrEntry("ext4_xattr_entry", 16) {
        e_name_len: u8,
        e_name_index: u8,
        e_value_offs: U16,
        e_value_inum: U32,
        e_value_size: U32,
        e_hash: U32,
    }

    /// The journal's superblock, version 2.
    pub(super) struct JournalSuperBlock("journal_superblock_s", 1024) {
        h_magic: Be32,
        h_blocktype: Be32,
        h_sequence: Be32,
        s_blocksize: Be32,
        s_maxlen: Be32,
        s_first: Be32,
        s_sequence: Be32,
        s_start: Be32,
        s_errno: Be32,
        s_feature_compat: Be32,
        s_feature_incompat: Be32,
        s_feature_ro_compat: Be32,
        s_uuid: [u8; 16],
        s_nr_users: Be32,
        /// From `s_dynsuper` to `s_users`.
        s_rest: [u8; 956],
    }
}

pub(super) const JBD2_MAGIC: u32 = 0xC03B_3998;
pub(super) const JBD2_SUPERBLOCK_V2: u32 = 4;

records! {
    /// The tail of every block of the orphan file.
    pub(super) struct OrphanBlockTail("ext4_orphan_block_tail", 8) {
        ob_magic: U32,
        ob_checksum: U32,
    }
}

pub(super) const ORPHAN_BLOCK_MAGIC: u32 = 0x0b10_ca04;
