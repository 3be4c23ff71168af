//! Inodes: the inode table, and the directory table that refers to it.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::compression::Compression;
use super::content::Contents;
use super::directory::{self, Listing};
use super::metadata::{MetadataTable, MetadataWriter};
use super::reference::{InodePlace, basic_type, number};
use super::spec::{
    BaseInode, DIR_SIZE_EXTRA, DevInode, DirInode, INVALID_FRAG, INVALID_XATTR, IpcInode,
    LdevInode, LdirInode, LipcInode, LregInode, RegInode, SymlinkInode, inode_type,
};
use super::xattrs::XattrTables;
use crate::error::{Error, Result};
use crate::tree::{Inode, InodeId, Kind, Tree};

/// Largest major number of a device.
pub(super) const MAJOR_MAX: u32 = (1 << 12) - 1;

/// Largest minor number of a device.
pub(super) const MINOR_MAX: u32 = (1 << 20) - 1;

/// Returns the time of an inode in whole seconds, clamped to what squashfs can store.
pub(super) fn clamp_time(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// The tables of inodes and directories.
#[derive(Debug)]
pub(super) struct InodeTables {
    pub(super) inodes: MetadataTable,
    pub(super) directories: MetadataTable,
    /// By inode.
    pub(super) places: Vec<InodePlace>,
}

/// Writer of inodes.
pub(super) struct InodeWriter<'a> {
    pub(super) tree: &'a Tree,
    pub(super) contents: &'a Contents,
    pub(super) xattrs: &'a XattrTables,
    /// All owners and groups, sorted.
    pub(super) ids: &'a [u32],
    pub(super) block_size: u32,
}

impl InodeWriter<'_> {
    /// Writes all inodes and directories.
    ///
    /// A directory refers to the positions of its entries' inodes. Directories therefore come after
    /// all other inodes, in reverse order of the tree, where each comes after its subdirectories.
    pub(super) fn write(&self, compression: Compression) -> Result<InodeTables> {
        let mut inodes = MetadataWriter::new(compression)?;
        let mut listings = MetadataWriter::new(compression)?;
        let mut places = vec![InodePlace::default(); self.tree.inodes().len()];
        let is_directory = |(_, inode): &(InodeId, &Inode)| inode.kind == Kind::Directory;
        for (id, inode) in self.tree.iter().filter(|one| !is_directory(one)) {
            places[id.index()] = self.place(&inodes, id)?;
            self.write_inode(&mut inodes, id, inode);
        }
        let directories: Vec<_> = self.tree.iter().filter(is_directory).collect();
        for (id, inode) in directories.into_iter().rev() {
            let listing = directory::write(&mut listings, self.tree, id, &places);
            let is_too_long = listing.size > u64::from(u32::MAX - DIR_SIZE_EXTRA)
                || listing.index_count > usize::from(u16::MAX)
                || u32::try_from(listings.position().block).is_err();
            if is_too_long {
                return Err(self.too_long(id, "the listings of directories are"));
            }
            places[id.index()] = self.place(&inodes, id)?;
            self.write_directory(&mut inodes, id, inode, &listing);
        }
        Ok(InodeTables { inodes: inodes.finish(), directories: listings.finish(), places })
    }

    fn too_long(&self, id: InodeId, what: &str) -> Error {
        let rule = format!("{what} longer than squashfs can refer to");
        Error::unrepresentable(self.tree.path(id), rule, "leave some files out")
    }

    /// Returns the position of the inode that is written next.
    fn place(&self, inodes: &MetadataWriter, id: InodeId) -> Result<InodePlace> {
        let position = inodes.position();
        let block = u32::try_from(position.block).map_err(|_| self.too_long(id, "inodes are"))?;
        Ok(InodePlace { block, offset: position.offset })
    }

    /// Returns the start of an inode.
    fn base(&self, id: InodeId, inode: &Inode, is_extended: bool) -> BaseInode {
        let owner = |owner| {
            let index = self.ids.binary_search(&owner).expect("all owners are listed");
            U16::new(u16::try_from(index).expect("checked before"))
        };
        let extended = if is_extended { inode_type::EXTENDED } else { 0 };
        BaseInode {
            inode_type: U16::new(basic_type(inode.kind) + extended),
            mode: U16::new(inode.mode),
            uid: owner(inode.uid),
            guid: owner(inode.gid),
            mtime: U32::new(clamp_time(inode.mtime.seconds)),
            inode_number: U32::new(number(id)),
        }
    }

    fn write_inode(&self, out: &mut MetadataWriter, id: InodeId, inode: &Inode) {
        let xattr = self.xattrs.index(inode.xattrs);
        let (nlink, is_extended) = (U32::new(inode.links), xattr != INVALID_XATTR);
        let xattr = U32::new(xattr);
        match inode.kind {
            Kind::File { size, .. } => return self.write_file(out, id, inode, size),
            Kind::Directory => unreachable!("directories have a function of their own"),
            _ => out.push(self.base(id, inode, is_extended).as_bytes()),
        }
        match inode.kind {
            Kind::Symlink => {
                let target = self.tree.target(id);
                let len = u32::try_from(target.len()).expect("checked before");
                out.push(SymlinkInode { nlink, symlink_size: U32::new(len) }.as_bytes());
                out.push(target);
                if is_extended {
                    out.push(xattr.as_bytes());
                }
            }
            Kind::CharDevice(major, minor) | Kind::BlockDevice(major, minor) => {
                let rdev = U32::new(minor & 0xff | major << 8 | (minor & !0xff) << 12);
                match is_extended {
                    true => out.push(LdevInode { nlink, rdev, xattr }.as_bytes()),
                    false => out.push(DevInode { nlink, rdev }.as_bytes()),
                }
            }
            _ if is_extended => out.push(LipcInode { nlink, xattr }.as_bytes()),
            _ => out.push(IpcInode { nlink }.as_bytes()),
        }
    }

    fn write_file(&self, out: &mut MetadataWriter, id: InodeId, inode: &Inode, size: u64) {
        let content = self.contents.file(id);
        let xattr = self.xattrs.index(inode.xattrs);
        let short = (u32::try_from(content.start), u32::try_from(size));
        let (fragment, offset) =
            content.fragment.map_or((INVALID_FRAG, 0), |place| (place.fragment, place.offset));
        let (fragment, offset) = (U32::new(fragment), U32::new(offset));
        if let (Ok(start_block), Ok(file_size)) = short
            && inode.links == 1
            && content.sparse == 0
            && xattr == INVALID_XATTR
        {
            out.push(self.base(id, inode, false).as_bytes());
            let (start_block, file_size) = (U32::new(start_block), U32::new(file_size));
            out.push(RegInode { start_block, fragment, offset, file_size }.as_bytes());
        } else {
            out.push(self.base(id, inode, true).as_bytes());
            let record = LregInode {
                start_block: U64::new(content.start),
                file_size: U64::new(size),
                // As mksquashfs has it: at least one byte of a file is not sparse.
                sparse: U64::new(content.sparse.min(size.saturating_sub(1))),
                nlink: U32::new(inode.links),
                fragment,
                offset,
                xattr: U32::new(xattr),
            };
            out.push(record.as_bytes());
        }
        if content.fragment.is_none() {
            let mut stored = self.contents.blocks(content).iter().peekable();
            for number in 0..size.div_ceil(self.block_size.into()) {
                let block = stored.next_if(|block| u64::from(block.number) == number);
                let block_size = block.map_or(0, |block| block.size);
                out.push(&block_size.to_le_bytes());
            }
        }
    }

    fn write_directory(
        &self,
        out: &mut MetadataWriter,
        id: InodeId,
        inode: &Inode,
        listing: &Listing,
    ) {
        let xattr = self.xattrs.index(inode.xattrs);
        let entries = self.tree.entries(id).iter();
        let is_directory = |id: InodeId| self.tree.inode(id).kind == Kind::Directory;
        let subdirectories = entries.filter(|entry| is_directory(entry.inode())).count();
        let nlink = U32::new(u32::try_from(subdirectories + 2).expect("fewer than inodes"));
        let start_block = u32::try_from(listing.position.block).expect("checked before");
        let (start_block, offset) = (U32::new(start_block), U16::new(listing.position.offset));
        let size = u32::try_from(listing.size).expect("checked before") + DIR_SIZE_EXTRA;
        // The root has no parent. Its number is one that no inode has, as in mksquashfs.
        let parent_inode = U32::new(match id {
            InodeId::ROOT => number(InodeId::ROOT) + self.count(),
            _ => number(self.tree.parent(id)),
        });
        match u16::try_from(size) {
            Ok(size) if listing.index.is_empty() && xattr == INVALID_XATTR => {
                let file_size = U16::new(size);
                let record = DirInode { start_block, nlink, file_size, offset, parent_inode };
                out.push(self.base(id, inode, false).as_bytes());
                out.push(record.as_bytes());
            }
            _ => {
                let count = u16::try_from(listing.index_count).expect("checked before");
                let (file_size, i_count) = (U32::new(size), U16::new(count));
                let xattr = U32::new(xattr);
                let record = LdirInode {
                    nlink,
                    file_size,
                    start_block,
                    parent_inode,
                    i_count,
                    offset,
                    xattr,
                };
                out.push(self.base(id, inode, true).as_bytes());
                out.push(record.as_bytes());
                out.push(&listing.index);
            }
        }
    }

    /// Returns the number of inodes.
    fn count(&self) -> u32 {
        u32::try_from(self.tree.inodes().len()).expect("inodes are counted in 32 bits")
    }
}
