//! The reader of a file system.

use std::sync::Arc;

use positioned_io::ReadAt;
use zerocopy::little_endian::{U32, U64};

use super::super::spec::FragmentEntry;
use super::image::Image;
use super::metadata::Metadata;
use super::superblock::Super;
use super::table::Table;
use super::xattr::Xattrs;
use crate::violation::{Result, Violation};

/// A file system that can be read: its superblock and its tables are valid.
#[derive(Debug)]
pub struct Reader {
    pub(super) image: Arc<Image>,
    pub(super) superblock: Super,
    pub(super) inodes: Metadata,
    pub(super) directories: Metadata,
    pub(super) ids: Vec<U32>,
    pub(super) fragments: Vec<FragmentEntry>,
    /// Reference to each inode, by its number.
    pub(super) export: Option<Vec<U64>>,
    pub(super) xattrs: Option<Xattrs>,
}

impl Reader {
    /// Opens the file system in the first `size` bytes of `source`.
    ///
    /// # Errors
    /// A [`Violation`](super::Violation) of the superblock or a table.
    pub fn open(source: Arc<dyn ReadAt + Send + Sync>, size: u64) -> Result<Self> {
        let superblock = Super::read(&*source, size)?;
        let record = &superblock.record;
        let data = superblock.data_start..record.inode_table_start.get();
        let decode = superblock.decode()?;
        let image = Arc::new(Image::new(source, data, record.block_size.get(), decode));
        // From the end to the start: each table ends where the next one starts.
        let mut next = record.bytes_used.get();
        let xattrs = Super::table(record.xattr_id_table_start);
        let xattrs = xattrs.map(|start| Xattrs::read(&image, start, next)).transpose()?;
        next = xattrs.as_ref().map_or(next, |xattrs| xattrs.start);
        let index = record.id_table_start.get();
        let ids = Table::read("id table", &image, index, index..next, record.no_ids.get().into())?;
        next = ids.start;
        let export = Super::table(record.lookup_table_start).map(|start| {
            Table::<U64>::read("export table", &image, start, start..next, record.inodes.get())
        });
        let export = export.transpose()?;
        next = export.as_ref().map_or(next, |table| table.start);
        let mut fragments = Vec::new();
        if record.fragments != 0 {
            let (index, count) = (record.fragment_table_start.get(), record.fragments.get());
            let table = Table::read("fragment table", &image, index, index..next, count)?;
            (fragments, next) = (table.records, table.start);
        }
        let inodes = image.data.end..record.directory_table_start.get();
        let directories = inodes.end..next;
        let inodes = Metadata::open("inode table", Arc::clone(&image), inodes)?;
        let directories = Metadata::open("directory table", Arc::clone(&image), directories)?;
        let export = export.map(|table| table.records);
        let ids = ids.records;
        let reader =
            Self { image, superblock, inodes, directories, ids, fragments, export, xattrs };
        reader.check_fragments()?;
        Ok(reader)
    }

    fn check_fragments(&self) -> Result<()> {
        for fragment in &self.fragments {
            if fragment.unused != 0 {
                return Err(Violation::new("fragment table", "an unused field is set"));
            }
            self.image.check_block(fragment.start_block.get(), fragment.size.get())?;
        }
        Ok(())
    }
}
