//! On-disk records and constants of ext4, with the kernel's names.
//!
//! Specification: "ext4 Data Structures and Algorithms" in the Linux kernel's documentation.

use bitflags::bitflags;
use zerocopy::byteorder::big_endian::U32 as Be32;
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

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

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct SuperBlock {
    pub(super) s_inodes_count: U32,
    pub(super) s_blocks_count_lo: U32,
    pub(super) s_r_blocks_count_lo: U32,
    pub(super) s_free_blocks_count_lo: U32,
    pub(super) s_free_inodes_count: U32,
    pub(super) s_first_data_block: U32,
    pub(super) s_log_block_size: U32,
    pub(super) s_log_cluster_size: U32,
    pub(super) s_blocks_per_group: U32,
    pub(super) s_clusters_per_group: U32,
    pub(super) s_inodes_per_group: U32,
    pub(super) s_mtime: U32,
    pub(super) s_wtime: U32,
    pub(super) s_mnt_count: U16,
    pub(super) s_max_mnt_count: U16,
    pub(super) s_magic: U16,
    pub(super) s_state: U16,
    pub(super) s_errors: U16,
    pub(super) s_minor_rev_level: U16,
    pub(super) s_lastcheck: U32,
    pub(super) s_checkinterval: U32,
    pub(super) s_creator_os: U32,
    pub(super) s_rev_level: U32,
    pub(super) s_def_resuid: U16,
    pub(super) s_def_resgid: U16,
    pub(super) s_first_ino: U32,
    pub(super) s_inode_size: U16,
    pub(super) s_block_group_nr: U16,
    pub(super) s_feature_compat: U32,
    pub(super) s_feature_incompat: U32,
    pub(super) s_feature_ro_compat: U32,
    pub(super) s_uuid: [u8; 16],
    pub(super) s_volume_name: [u8; 16],
    pub(super) s_last_mounted: [u8; 64],
    pub(super) s_algorithm_usage_bitmap: U32,
    pub(super) s_prealloc_blocks: u8,
    pub(super) s_prealloc_dir_blocks: u8,
    pub(super) s_reserved_gdt_blocks: U16,
    pub(super) s_journal_uuid: [u8; 16],
    pub(super) s_journal_inum: U32,
    pub(super) s_journal_dev: U32,
    pub(super) s_last_orphan: U32,
    pub(super) s_hash_seed: [u8; 16],
    pub(super) s_def_hash_version: u8,
    pub(super) s_jnl_backup_type: u8,
    pub(super) s_desc_size: U16,
    pub(super) s_default_mount_opts: U32,
    pub(super) s_first_meta_bg: U32,
    pub(super) s_mkfs_time: U32,
    /// `s_jnl_blocks[0..15]`
    pub(super) s_jnl_block: [u8; 60],
    /// `s_jnl_blocks[15]`
    pub(super) s_jnl_size_high: U32,
    /// `s_jnl_blocks[16]`
    pub(super) s_jnl_size_lo: U32,
    pub(super) s_blocks_count_hi: U32,
    pub(super) s_r_blocks_count_hi: U32,
    pub(super) s_free_blocks_count_hi: U32,
    pub(super) s_min_extra_isize: U16,
    pub(super) s_want_extra_isize: U16,
    pub(super) s_flags: U32,
    pub(super) s_raid_stride: U16,
    pub(super) s_mmp_interval: U16,
    pub(super) s_mmp_block: U64,
    pub(super) s_raid_stripe_width: U32,
    pub(super) s_log_groups_per_flex: u8,
    pub(super) s_checksum_type: u8,
    pub(super) s_encryption_level: u8,
    pub(super) s_reserved_pad: u8,
    pub(super) s_kbytes_written: U64,
    pub(super) s_snapshot_inum: U32,
    pub(super) s_snapshot_id: U32,
    pub(super) s_snapshot_r_blocks_count: U64,
    pub(super) s_snapshot_list: U32,
    pub(super) s_error_count: U32,
    /// From `s_first_error_time` to `s_last_error_func`.
    pub(super) s_errors_seen: [u8; 104],
    pub(super) s_mount_opts: [u8; 64],
    pub(super) s_usr_quota_inum: U32,
    pub(super) s_grp_quota_inum: U32,
    pub(super) s_overhead_clusters: U32,
    pub(super) s_backup_bgs: [U32; 2],
    pub(super) s_encrypt_algos: [u8; 4],
    pub(super) s_encrypt_pw_salt: [u8; 16],
    pub(super) s_lpf_ino: U32,
    pub(super) s_prj_quota_inum: U32,
    pub(super) s_checksum_seed: U32,
    pub(super) s_wtime_hi: u8,
    pub(super) s_mtime_hi: u8,
    pub(super) s_mkfs_time_hi: u8,
    pub(super) s_lastcheck_hi: u8,
    pub(super) s_first_error_time_hi: u8,
    pub(super) s_last_error_time_hi: u8,
    pub(super) s_first_error_errcode: u8,
    pub(super) s_last_error_errcode: u8,
    pub(super) s_encoding: U16,
    pub(super) s_encoding_flags: U16,
    pub(super) s_orphan_file_inum: U32,
    pub(super) s_reserved: [U32; 94],
    pub(super) s_checksum: U32,
}
const _: () = assert!(size_of::<SuperBlock>() == 1024);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_uuid) == 0x68);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_hash_seed) == 0xEC);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_blocks_count_hi) == 0x150);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_mount_opts) == 0x200);
const _: () = assert!(std::mem::offset_of!(SuperBlock, s_checksum_seed) == 0x270);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct GroupDesc {
    pub(super) bg_block_bitmap_lo: U32,
    pub(super) bg_inode_bitmap_lo: U32,
    pub(super) bg_inode_table_lo: U32,
    pub(super) bg_free_blocks_count_lo: U16,
    pub(super) bg_free_inodes_count_lo: U16,
    pub(super) bg_used_dirs_count_lo: U16,
    pub(super) bg_flags: U16,
    pub(super) bg_exclude_bitmap_lo: U32,
    pub(super) bg_block_bitmap_csum_lo: U16,
    pub(super) bg_inode_bitmap_csum_lo: U16,
    pub(super) bg_itable_unused_lo: U16,
    pub(super) bg_checksum: U16,
    pub(super) bg_block_bitmap_hi: U32,
    pub(super) bg_inode_bitmap_hi: U32,
    pub(super) bg_inode_table_hi: U32,
    pub(super) bg_free_blocks_count_hi: U16,
    pub(super) bg_free_inodes_count_hi: U16,
    pub(super) bg_used_dirs_count_hi: U16,
    pub(super) bg_itable_unused_hi: U16,
    pub(super) bg_exclude_bitmap_hi: U32,
    pub(super) bg_block_bitmap_csum_hi: U16,
    pub(super) bg_inode_bitmap_csum_hi: U16,
    pub(super) bg_reserved: U32,
}
const _: () = assert!(size_of::<GroupDesc>() == DESC_SIZE as usize);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct InodeRecord {
    pub(super) i_mode: U16,
    pub(super) i_uid: U16,
    pub(super) i_size_lo: U32,
    pub(super) i_atime: U32,
    pub(super) i_ctime: U32,
    pub(super) i_mtime: U32,
    pub(super) i_dtime: U32,
    pub(super) i_gid: U16,
    pub(super) i_links_count: U16,
    pub(super) i_blocks_lo: U32,
    pub(super) i_flags: U32,
    pub(super) l_i_version: U32,
    pub(super) i_block: [u8; 60],
    pub(super) i_generation: U32,
    pub(super) i_file_acl_lo: U32,
    pub(super) i_size_high: U32,
    pub(super) i_obso_faddr: U32,
    pub(super) l_i_blocks_high: U16,
    pub(super) l_i_file_acl_high: U16,
    pub(super) l_i_uid_high: U16,
    pub(super) l_i_gid_high: U16,
    pub(super) l_i_checksum_lo: U16,
    pub(super) l_i_reserved: U16,
    pub(super) i_extra_isize: U16,
    pub(super) i_checksum_hi: U16,
    pub(super) i_ctime_extra: U32,
    pub(super) i_mtime_extra: U32,
    pub(super) i_atime_extra: U32,
    pub(super) i_crtime: U32,
    pub(super) i_crtime_extra: U32,
    pub(super) i_version_hi: U32,
    pub(super) i_projid: U32,
    /// Extended attributes in the inode.
    pub(super) xattrs: [u8; IN_INODE_XATTRS],
}
const _: () = assert!(size_of::<InodeRecord>() == INODE_SIZE as usize);
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

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct ExtentHeader {
    pub(super) eh_magic: U16,
    pub(super) eh_entries: U16,
    pub(super) eh_max: U16,
    pub(super) eh_depth: U16,
    pub(super) eh_generation: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct ExtentRecord {
    pub(super) ee_block: U32,
    pub(super) ee_len: U16,
    pub(super) ee_start_hi: U16,
    pub(super) ee_start_lo: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct ExtentIdx {
    pub(super) ei_block: U32,
    pub(super) ei_leaf_lo: U32,
    pub(super) ei_leaf_hi: U16,
    pub(super) ei_unused: U16,
}
/// Size of header, extent and index records alike.
pub(super) const EXTENT_RECORD: usize = 12;
const _: () = assert!(size_of::<ExtentHeader>() == EXTENT_RECORD);
const _: () = assert!(size_of::<ExtentRecord>() == EXTENT_RECORD);
const _: () = assert!(size_of::<ExtentIdx>() == EXTENT_RECORD);

pub(super) const FT_REG_FILE: u8 = 1;
pub(super) const FT_DIR: u8 = 2;
pub(super) const FT_CHRDEV: u8 = 3;
pub(super) const FT_BLKDEV: u8 = 4;
pub(super) const FT_FIFO: u8 = 5;
pub(super) const FT_SOCK: u8 = 6;
pub(super) const FT_SYMLINK: u8 = 7;
const FT_DIR_CSUM: u8 = 0xDE;

/// The fixed part of `ext4_dir_entry_2`, before the name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct DirEntry {
    pub(super) inode: U32,
    pub(super) rec_len: U16,
    pub(super) name_len: u8,
    pub(super) file_type: u8,
}
pub(super) const DIR_ENTRY: usize = size_of::<DirEntry>();
const _: () = assert!(DIR_ENTRY == 8);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct DirEntryTail {
    pub(super) det_reserved_zero1: U32,
    pub(super) det_rec_len: U16,
    pub(super) det_reserved_zero2: u8,
    pub(super) det_reserved_ft: u8,
    pub(super) det_checksum: U32,
}
pub(super) const DIR_TAIL: usize = size_of::<DirEntryTail>();
const _: () = assert!(DIR_TAIL == 12);

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

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct DxRootInfo {
    pub(super) reserved_zero: U32,
    pub(super) hash_version: u8,
    pub(super) info_length: u8,
    pub(super) indirect_levels: u8,
    pub(super) unused_flags: u8,
}
const _: () = assert!(size_of::<DxRootInfo>() == 8);

/// `dx_countlimit`, which takes the place of the first entry's hash.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct DxCountLimit {
    pub(super) limit: U16,
    pub(super) count: U16,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct DxEntry {
    pub(super) hash: U32,
    pub(super) block: U32,
}
pub(super) const DX_ENTRY: usize = size_of::<DxEntry>();
const _: () = assert!(DX_ENTRY == 8);

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct DxTail {
    pub(super) dt_reserved: U32,
    pub(super) dt_checksum: U32,
}
pub(super) const DX_TAIL: usize = size_of::<DxTail>();

pub(super) const XATTR_MAGIC: u32 = 0xEA02_0000;
/// Maximum number of inodes that share a block of extended attributes.
pub(super) const XATTR_REFCOUNT_MAX: u32 = 1024;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct XattrHeader {
    pub(super) h_magic: U32,
    pub(super) h_refcount: U32,
    pub(super) h_blocks: U32,
    pub(super) h_hash: U32,
    pub(super) h_checksum: U32,
    pub(super) h_reserved: [U32; 3],
}
const _: () = assert!(size_of::<XattrHeader>() == 32);

/// The fixed part of `ext4_xattr_entry`, before the name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct XattrEntry {
    pub(super) e_name_len: u8,
    pub(super) e_name_index: u8,
    pub(super) e_value_offs: U16,
    pub(super) e_value_inum: U32,
    pub(super) e_value_size: U32,
    pub(super) e_hash: U32,
}
const _: () = assert!(size_of::<XattrEntry>() == 16);

/// The journal's superblock, version 2.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct JournalSuperBlock {
    pub(super) h_magic: Be32,
    pub(super) h_blocktype: Be32,
    pub(super) h_sequence: Be32,
    pub(super) s_blocksize: Be32,
    pub(super) s_maxlen: Be32,
    pub(super) s_first: Be32,
    pub(super) s_sequence: Be32,
    pub(super) s_start: Be32,
    pub(super) s_errno: Be32,
    pub(super) s_feature_compat: Be32,
    pub(super) s_feature_incompat: Be32,
    pub(super) s_feature_ro_compat: Be32,
    pub(super) s_uuid: [u8; 16],
    pub(super) s_nr_users: Be32,
    /// From `s_dynsuper` to `s_users`.
    pub(super) s_rest: [u8; 956],
}
const _: () = assert!(size_of::<JournalSuperBlock>() == 1024);
pub(super) const JBD2_MAGIC: u32 = 0xC03B_3998;
pub(super) const JBD2_SUPERBLOCK_V2: u32 = 4;

/// The tail of every block of the orphan file.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct OrphanBlockTail {
    pub(super) ob_magic: U32,
    pub(super) ob_checksum: U32,
}
pub(super) const ORPHAN_BLOCK_MAGIC: u32 = 0x0b10_ca04;
