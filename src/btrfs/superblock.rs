//! The superblock and its mirrors.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::GENERATION;
use super::address::DeviceOffset;
use super::checksum::Checksum;
use super::chunks::Chunk;
use super::device::{Ids, chunk_item, dev_item};
use super::roots::Root;
use super::spec::DiskKey;
use super::spec::{
    BlockGroupFlags, CompatRo, Incompat, LABEL_SIZE, MAGIC, RootBackup, SECTOR, SUPER_FLAGS,
    SUPER_INFO_SIZE, SUPER_OFFSETS, SYSTEM_CHUNK_ARRAY_SIZE, SuperBlock, objectid,
};

/// Inputs of a superblock.
pub(super) struct SuperblockInputs<'a> {
    pub(super) ids: Ids,
    pub(super) total_bytes: u64,
    pub(super) chunks: &'a [Chunk],
    pub(super) root: Root,
    pub(super) chunk_root: Root,
    pub(super) extent_root: Root,
    pub(super) fs_root: Root,
    pub(super) dev_root: Root,
    pub(super) csum_root: Root,
    pub(super) incompat: Incompat,
    pub(super) compat_ro: CompatRo,
    pub(super) checksum: Checksum,
    pub(super) node_size: u32,
    /// At most 255 bytes.
    pub(super) label: &'a [u8],
}

/// Returns whether the chunks of the chunk tree fit into the superblock.
pub(super) fn fits(ids: Ids, chunks: &[Chunk]) -> bool {
    sys_chunk_array(ids, chunks).len() <= SYSTEM_CHUNK_ARRAY_SIZE
}

fn sys_chunk_array(ids: Ids, chunks: &[Chunk]) -> Vec<u8> {
    let mut array = Vec::new();
    for chunk in chunks.iter().filter(|chunk| chunk.flags.contains(BlockGroupFlags::SYSTEM)) {
        let (key, data) = chunk_item(ids, chunk);
        array.extend_from_slice(DiskKey::from(key).as_bytes());
        array.extend_from_slice(&data);
    }
    array
}

impl SuperblockInputs<'_> {
    fn backup(&self) -> RootBackup {
        let generation = U64::new(GENERATION);
        RootBackup {
            tree_root: U64::new(self.root.bytenr.0),
            tree_root_gen: generation,
            chunk_root: U64::new(self.chunk_root.bytenr.0),
            chunk_root_gen: generation,
            extent_root: U64::new(self.extent_root.bytenr.0),
            extent_root_gen: generation,
            fs_root: U64::new(self.fs_root.bytenr.0),
            fs_root_gen: generation,
            dev_root: U64::new(self.dev_root.bytenr.0),
            dev_root_gen: generation,
            csum_root: U64::new(self.csum_root.bytenr.0),
            csum_root_gen: generation,
            total_bytes: U64::new(self.total_bytes),
            bytes_used: U64::new(self.bytes_used()),
            num_devices: U64::new(1),
            tree_root_level: self.root.level,
            chunk_root_level: self.chunk_root.level,
            extent_root_level: self.extent_root.level,
            fs_root_level: self.fs_root.level,
            dev_root_level: self.dev_root.level,
            csum_root_level: self.csum_root.level,
            ..RootBackup::new_zeroed()
        }
    }

    fn bytes_used(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.used).sum()
    }

    /// Returns the superblock and its mirrors, as far as they are within the device, with their
    /// offsets.
    pub(super) fn superblocks(&self) -> impl Iterator<Item = (DeviceOffset, SuperBlock)> {
        let mut sb = self.superblock();
        let there = |offset: &DeviceOffset| (*offset + SUPER_INFO_SIZE).0 < self.total_bytes;
        SUPER_OFFSETS.into_iter().filter(there).map(move |offset| {
            sb.bytenr = U64::new(offset.0);
            sb.csum = self.checksum.digest(&sb.as_bytes()[32..]);
            (offset, sb)
        })
    }

    fn superblock(&self) -> SuperBlock {
        let array = sys_chunk_array(self.ids, self.chunks);
        let mut sys_chunk_array = [0; SYSTEM_CHUNK_ARRAY_SIZE];
        sys_chunk_array[..array.len()].copy_from_slice(&array);
        let mut label = [0; LABEL_SIZE];
        label[..self.label.len()].copy_from_slice(self.label);
        SuperBlock {
            fsid: *self.ids.fsid.as_bytes(),
            flags: U64::new(SUPER_FLAGS),
            magic: MAGIC,
            generation: U64::new(GENERATION),
            root: U64::new(self.root.bytenr.0),
            chunk_root: U64::new(self.chunk_root.bytenr.0),
            total_bytes: U64::new(self.total_bytes),
            bytes_used: U64::new(self.bytes_used()),
            root_dir_objectid: U64::new(objectid::ROOT_TREE_DIR),
            num_devices: U64::new(1),
            sectorsize: U32::new(u32::try_from(SECTOR).expect("4096")),
            nodesize: U32::new(self.node_size),
            unused_leafsize: U32::new(self.node_size),
            stripesize: U32::new(u32::try_from(SECTOR).expect("4096")),
            sys_chunk_array_size: U32::new(u32::try_from(array.len()).expect("at most 2048")),
            chunk_root_generation: U64::new(GENERATION),
            compat_ro_flags: U64::new(self.compat_ro.bits()),
            incompat_flags: U64::new(self.incompat.bits()),
            csum_type: U16::new(self.checksum.csum_type()),
            root_level: self.root.level,
            chunk_root_level: self.chunk_root.level,
            dev_item: dev_item(self.ids, self.total_bytes, self.chunks),
            label,
            uuid_tree_generation: U64::new(GENERATION),
            sys_chunk_array,
            super_roots: [self.backup(); 4],
            ..SuperBlock::new_zeroed()
        }
    }
}
