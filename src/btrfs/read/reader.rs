//! The reader of a file system.

use positioned_io::ReadAt;

use super::super::key::Key;
use super::super::spec::SUPER_OFFSETS;
use super::chunks::Chunks;
use super::device::Device;
use super::superblock::Super;
use crate::violation::Result;

/// A file system that can be read: its superblock is valid, and every address can be mapped.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(super) device: Device<'a>,
    pub(super) superblock: Super,
    pub(super) chunks: Chunks,
    /// UUID in the root of the chunk tree, which the headers of all blocks must contain.
    pub(super) chunk_tree_uuid: [u8; 16],
}

impl<'a> Reader<'a> {
    /// Opens the file system in `size` bytes of `source`, starting at `start`.
    ///
    /// # Errors
    /// A [`Violation`](super::Violation) of the superblock or the chunk tree.
    pub fn open(source: &'a dyn ReadAt, start: u64, size: u64) -> Result<Self> {
        let device = Device::new(source, start, size);
        let superblock = Super::read(&device, SUPER_OFFSETS[0])?;
        superblock.check(device.size())?;
        let chunks = superblock.system_chunks()?;
        let mut reader = Self { device, superblock, chunks, chunk_tree_uuid: [0; 16] };
        let root = reader.superblock.chunk_root();
        reader.chunk_tree_uuid = reader.header(root.address)?.chunk_tree_uuid;
        reader.chunks = Chunks::from_tree(
            root,
            reader.leaves(root, Key::MIN..=Key::MAX),
            &reader.superblock.record,
        )?;
        Ok(reader)
    }
}
