//! Arbitrary options for the btrfs planner.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use detfs::Headroom;
use detfs::Uuid;
use detfs::btrfs::{Checksum, Compat, Compression, Metadata, Options, SubvolumeOptions};

use crate::MIB;
use detfs::tree::{InodeId, Kind, Tree};

use crate::random_trees::arbitrary_tree::{Time, Validity};

#[derive(Debug, Arbitrary)]
pub struct ArbitraryBtrfsOptions {
    label: u8,
    epoch: Time,
    node_size: u8,
    checksum: u8,
    single: bool,
    old: bool,
    max_inline: Inline,
    compression: Codec,
    uncompressed: u64,
    dedup: bool,
    subvolumes: Option<[Volume; 4]>,
    default_subvolume: u8,
    size: Size,
    multiple: u16,
}

#[derive(Debug, Arbitrary)]
enum Inline {
    Default,
    None,
    Most,
    Any(u16),
}

#[derive(Debug, Arbitrary)]
enum Codec {
    None,
    Zlib(u8),
    Lzo,
    Zstd(u8),
}

#[derive(Debug, Arbitrary)]
struct Volume {
    directory: u16,
    read_only: bool,
    nodatacow: u8,
}

#[derive(Debug, Arbitrary)]
enum Size {
    Default,
    Exact,
    Headroom(u32),
    Percent(u8),
    /// In sectors.
    Fixed(u16),
    Large(u8),
}

impl ArbitraryBtrfsOptions {
    /// Returns the options for a tree, with the fsid `uuid`.
    pub fn options(&self, tree: &Tree, uuid: Uuid) -> Options {
        let node_size = 4096 << (self.node_size % 5);
        // Inline content must be shorter than 4096 bytes, and fit into a leaf of that size with its
        // item.
        let most = if node_size == 4096 { 3949 } else { 4095 };
        let files = tree.iter().filter(|(_, inode)| matches!(inode.kind, Kind::File { .. }));
        let uncompressed = files.zip((0..64).cycle());
        let uncompressed = uncompressed.filter(|(_, bit)| self.uncompressed >> bit & 1 == 1);
        let subvolumes = self.subvolumes(tree);
        let default_subvolume = match usize::from(self.default_subvolume) {
            which @ 0..64 => subvolumes.get(which % 4).map(|subvolume| subvolume.directory),
            _ => None,
        };
        let (size, headroom) = match self.size {
            Size::Default => (None, None),
            Size::Exact => (None, Some(Headroom::Bytes(0))),
            Size::Headroom(bytes) => (None, Some(Headroom::Bytes((bytes >> 5).into()))),
            Size::Percent(percent) => (None, Some(Headroom::Percent(percent.into()))),
            Size::Fixed(sectors) => (Some(u64::from(sectors) << 12), None),
            Size::Large(times) => (Some((1 + u64::from(times)) * 100 * MIB), None),
        };
        Options {
            uuid,
            label: vec![b'l'; self.label.into()],
            epoch: self.epoch.timestamp(Validity::Unix),
            node_size,
            checksum: [Checksum::Crc32c, Checksum::Xxhash, Checksum::Sha256, Checksum::Blake2b]
                [usize::from(self.checksum % 4)],
            metadata: if self.single { Metadata::Single } else { Metadata::Dup },
            compat: if self.old { Compat::Old } else { Compat::Default },
            max_inline: match self.max_inline {
                Inline::Default => 2048,
                Inline::None => 0,
                Inline::Most => most,
                Inline::Any(bytes) => u32::from(bytes) % (most + 1),
            },
            compression: match self.compression {
                Codec::None => None,
                Codec::Zlib(level) => Some(Compression::Zlib { level: 1 + level % 9 }),
                Codec::Lzo => Some(Compression::Lzo),
                Codec::Zstd(level) => Some(Compression::Zstd { level: 1 + level % 15 }),
            },
            uncompressed: uncompressed.map(|((id, _), _)| id).collect(),
            nodatacow: BTreeSet::new(),
            dedup: self.dedup,
            subvolumes,
            default_subvolume,
            copy_links: false,
            preallocated: BTreeSet::new(),
            size,
            headroom,
            multiple: match self.multiple % 4 {
                0 => 4096,
                1 => MIB,
                _ => u64::from(self.multiple) << 12,
            }
            .max(4096),
        }
    }

    /// Returns distinct directories of the tree, excluding the root.
    fn subvolumes(&self, tree: &Tree) -> Vec<SubvolumeOptions> {
        let directories = tree.iter().filter(|(_, inode)| inode.kind == Kind::Directory);
        let directories: Vec<InodeId> = directories.map(|(id, _)| id).skip(1).collect();
        let mut taken = BTreeSet::new();
        let volumes = self.subvolumes.iter().flatten().filter_map(|volume| {
            let which = usize::from(volume.directory).checked_rem(directories.len())?;
            let directory = directories[which];
            let (read_only, nodatacow) = (volume.read_only, volume.nodatacow < 32);
            taken.insert(directory).then_some(SubvolumeOptions { directory, read_only, nodatacow })
        });
        volumes.collect()
    }
}
