//! The reader of a file system.

use std::sync::Arc;

use positioned_io::ReadAt;

use super::super::spec::Incompat;
use super::content::Content;
use super::image::{Image, Packed};
use super::inode::Inode;
use super::superblock::Super;
use super::xattr::{LongPrefix, long_prefixes};
use crate::violation::Result;

/// A file system that can be read: its superblock is valid.
#[derive(Debug)]
pub struct Reader {
    pub(super) image: Arc<Image>,
    pub(super) superblock: Super,
    /// Content of the packed inode.
    pub(super) packed: Option<Arc<Content>>,
    pub(super) prefixes: Vec<LongPrefix>,
}

impl Reader {
    /// Opens the file system in the first `size` bytes of `source`.
    ///
    /// # Errors
    /// A [`Violation`](super::Violation) of the superblock or the packed inode.
    pub fn open(source: Arc<dyn ReadAt + Send + Sync>, size: u64) -> Result<Self> {
        let (superblock, image) = Super::read(source, size)?;
        let nid = superblock.record.packed_nid.get();
        let has_packed = superblock.has(Incompat::FRAGMENTS) && nid != 0;
        let packed = has_packed.then(|| {
            let inode = Inode::read(&image, &superblock, nid)?;
            Ok(Arc::new(Content::new(&image, &superblock, &inode, None)?))
        });
        let packed = packed.transpose()?;
        let prefixes = long_prefixes(&image, &superblock, packed.as_deref())?;
        Ok(Self { image, superblock, packed, prefixes })
    }

    /// Returns the content that fragments are in.
    pub(super) fn packed(&self) -> Option<Packed> {
        self.packed.as_ref().map(|content| Packed { content: content.clone(), size: content.size })
    }
}
