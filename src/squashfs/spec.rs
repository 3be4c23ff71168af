//! On-disk structures of squashfs 4.0, as in `squashfs_fs.h` of Linux. All integers are
//! little-endian.

use zerocopy::little_endian::{U16, U32, U64};

use crate::record::records;

/// `SQUASHFS_MAGIC`: "hsqs".
pub(crate) const SQUASHFS_MAGIC: u32 = 0x7371_7368;

/// `SQUASHFS_MAJOR`.
pub(crate) const SQUASHFS_MAJOR: u16 = 4;

/// `SQUASHFS_METADATA_SIZE`: content of a metadata block, in bytes.
pub(crate) const METADATA_SIZE: usize = 8192;

/// `SQUASHFS_COMPRESSED_BIT`: the metadata block is stored uncompressed.
pub(crate) const METADATA_UNCOMPRESSED: u16 = 1 << 15;

/// `SQUASHFS_COMPRESSED_BIT_BLOCK`: the data block is stored uncompressed.
pub(crate) const BLOCK_UNCOMPRESSED: u32 = 1 << 24;

/// `SQUASHFS_INVALID_FRAG`: the file has no fragment.
pub(crate) const INVALID_FRAG: u32 = u32::MAX;

/// `SQUASHFS_INVALID_XATTR`: the inode has no extended attributes.
pub(crate) const INVALID_XATTR: u32 = u32::MAX;

/// `SQUASHFS_INVALID_BLK`: start of a table that does not exist.
pub(crate) const INVALID_BLK: u64 = u64::MAX;

/// `SQUASHFS_DIR_COUNT`: most entries that follow a directory header.
pub(crate) const DIR_COUNT: usize = 256;

/// Size of a directory that is added to the size of its listing: readers make `.` and `..` up.
pub(crate) const DIR_SIZE_EXTRA: u32 = 3;

/// Bits of `SuperBlock.flags`.
pub(crate) mod flags {
    /// `SQUASHFS_NO_FRAG`: no file has a fragment.
    pub(crate) const NO_FRAG: u16 = 1 << 4;
    /// `SQUASHFS_DUPLICATE`: equal files were searched for.
    pub(crate) const DUPLICATE: u16 = 1 << 6;
    /// `SQUASHFS_EXPORT`: there is an export table, for NFS.
    pub(crate) const EXPORT: u16 = 1 << 7;
    /// `SQUASHFS_NO_XATTR`: extended attributes were left out.
    pub(crate) const NO_XATTR: u16 = 1 << 9;
    /// `SQUASHFS_COMP_OPT`: the options of the compressor follow the superblock.
    pub(crate) const COMP_OPT: u16 = 1 << 10;
}

/// Values of `SuperBlock.compression`.
pub(crate) mod compression {
    pub(crate) const ZLIB: u16 = 1;
    pub(crate) const LZMA: u16 = 2;
    pub(crate) const LZO: u16 = 3;
    pub(crate) const XZ: u16 = 4;
    pub(crate) const LZ4: u16 = 5;
    pub(crate) const ZSTD: u16 = 6;
}

/// Values of `BaseInode.inode_type`. An extended type is [`EXTENDED`](inode_type::EXTENDED) more
/// than the basic one, which is also that of `DirEntry.type`.
pub(crate) mod inode_type {
    pub(crate) const DIR: u16 = 1;
    pub(crate) const REG: u16 = 2;
    pub(crate) const SYMLINK: u16 = 3;
    pub(crate) const BLKDEV: u16 = 4;
    pub(crate) const CHRDEV: u16 = 5;
    pub(crate) const FIFO: u16 = 6;
    pub(crate) const SOCKET: u16 = 7;
    pub(crate) const EXTENDED: u16 = 7;
}

/// Values of `XattrEntry.type`.
pub(crate) mod xattr_type {
    pub(crate) const USER: u16 = 0;
    pub(crate) const TRUSTED: u16 = 1;
    pub(crate) const SECURITY: u16 = 2;
    /// `SQUASHFS_XATTR_VALUE_OOL`: the value is a reference to an earlier one.
    pub(crate) const VALUE_OOL: u16 = 0x100;
}

records! {
    /// The superblock, at offset 0.
    pub(crate) struct SuperBlock("squashfs_super_block", 96) {
        s_magic: U32,
        inodes: U32,
        mkfs_time: U32,
        block_size: U32,
        fragments: U32,
        compression: U16,
        block_log: U16,
        flags: U16,
        no_ids: U16,
        s_major: U16,
        s_minor: U16,
        root_inode: U64,
        bytes_used: U64,
        id_table_start: U64,
        xattr_id_table_start: U64,
        inode_table_start: U64,
        directory_table_start: U64,
        fragment_table_start: U64,
        lookup_table_start: U64,
    }

    /// Start of every inode.
    pub(crate) struct BaseInode("squashfs_base_inode", 16) {
        inode_type: U16,
        mode: U16,
        uid: U16,
        guid: U16,
        mtime: U32,
        inode_number: U32,
    }

    /// After the base: a named pipe or a socket.
    pub(crate) struct IpcInode("squashfs_ipc_inode", 4) {
        nlink: U32,
    }

    /// After the base: an extended named pipe or socket.
    pub(crate) struct LipcInode("squashfs_lipc_inode", 8) {
        nlink: U32,
        xattr: U32,
    }

    /// After the base: a device.
    pub(crate) struct DevInode("squashfs_dev_inode", 8) {
        nlink: U32,
        rdev: U32,
    }

    /// After the base: an extended device.
    pub(crate) struct LdevInode("squashfs_ldev_inode", 12) {
        nlink: U32,
        rdev: U32,
        xattr: U32,
    }

    /// After the base: a symlink. The target follows, and the index of the extended attributes if
    /// it is an extended one.
    pub(crate) struct SymlinkInode("squashfs_symlink_inode", 8) {
        nlink: U32,
        symlink_size: U32,
    }

    /// After the base: a file. The sizes of its blocks follow.
    pub(crate) struct RegInode("squashfs_reg_inode", 16) {
        start_block: U32,
        fragment: U32,
        offset: U32,
        file_size: U32,
    }

    /// After the base: an extended file. The sizes of its blocks follow.
    pub(crate) struct LregInode("squashfs_lreg_inode", 40) {
        start_block: U64,
        file_size: U64,
        sparse: U64,
        nlink: U32,
        fragment: U32,
        offset: U32,
        xattr: U32,
    }

    /// After the base: a directory.
    pub(crate) struct DirInode("squashfs_dir_inode", 16) {
        start_block: U32,
        nlink: U32,
        file_size: U16,
        offset: U16,
        parent_inode: U32,
    }

    /// After the base: an extended directory. Its index follows.
    pub(crate) struct LdirInode("squashfs_ldir_inode", 24) {
        nlink: U32,
        file_size: U32,
        start_block: U32,
        parent_inode: U32,
        i_count: U16,
        offset: U16,
        xattr: U32,
    }

    /// Entry of the index of a directory. A name of `size + 1` bytes follows.
    pub(crate) struct DirIndex("squashfs_dir_index", 12) {
        index: U32,
        start_block: U32,
        size: U32,
    }

    /// Header of up to 256 entries, whose inodes start in the same metadata block.
    pub(crate) struct DirHeader("squashfs_dir_header", 12) {
        count: U32,
        start_block: U32,
        inode_number: U32,
    }

    /// Entry of a directory. A name of `size + 1` bytes follows.
    pub(crate) struct DirEntry("squashfs_dir_entry", 8) {
        offset: U16,
        inode_number: U16,
        r#type: U16,
        size: U16,
    }

    /// Place of a fragment block.
    pub(crate) struct FragmentEntry("squashfs_fragment_entry", 16) {
        start_block: U64,
        size: U32,
        unused: U32,
    }

    /// Start of an extended attribute. The name without its prefix follows.
    pub(crate) struct XattrEntry("squashfs_xattr_entry", 4) {
        r#type: U16,
        size: U16,
    }

    /// Start of the value of an extended attribute, after its name.
    pub(crate) struct XattrVal("squashfs_xattr_val", 4) {
        vsize: U32,
    }

    /// Place of a set of extended attributes.
    pub(crate) struct XattrId("squashfs_xattr_id", 16) {
        xattr: U64,
        count: U32,
        size: U32,
    }

    /// Start of the index of the table of sets of extended attributes.
    pub(crate) struct XattrIdTable("squashfs_xattr_id_table", 16) {
        xattr_table_start: U64,
        xattr_ids: U32,
        unused: U32,
    }
}
