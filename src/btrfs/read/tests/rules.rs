//! One broken field after the other.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::image::{Image, Item, record};
use super::sample;
use crate::btrfs::hash;
use crate::btrfs::key::Key;
use crate::btrfs::spec::objectid::{
    BLOCK_GROUP_TREE, CHUNK_TREE, CSUM_TREE, DATA_RELOC_TREE, DEV_TREE, EXTENT_TREE,
    FREE_SPACE_TREE, FS_TREE, ROOT_TREE, ROOT_TREE_DIR, UUID_TREE,
};
use crate::btrfs::spec::{
    BlockGroupFlags, BlockGroupItem, Chunk, CompatRo, DevExtent, DevItem, DirItem, DiskKey,
    ExtentDataRef, ExtentInlineRef, ExtentItem, FileExtentItem, FreeSpaceInfo, Header, Incompat,
    InodeExtref, InodeFlags, InodeItem, InodeRef, ItemHead, KeyPtr, RootItem, RootRef, Stripe,
    SuperBlock, extent_type, file_type, item_type,
};

/// What `btrfs check` of btrfs-progs 6.2 says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Seen,
    Unseen,
}
use Check::{Seen, Unseen};

/// What is changed, how, words of the rule that is broken, and whether `btrfs check` sees it.
type Case = (&'static str, fn(&mut Image), &'static str, Check);

/// Makes every change, one at a time, and lets the verifier and `btrfs check` look at it.
fn judge(mut image: Image, cases: &[Case]) {
    assert_eq!(image.violations(), []);
    assert_eq!(image.btrfs_check(), None);
    let mut wrong = Vec::new();
    for (what, change, rule, check) in cases {
        change(&mut image);
        let found = image.violations();
        if !found.iter().any(|violation| violation.rule.contains(rule)) {
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("{what}: `{rule}` is not among {found:#?}"));
        }
        let said = image.btrfs_check();
        if said.is_some() != (*check == Seen) {
            wrong.push(format!("{what} ({rule}): not {check:?} by btrfs check: {said:?}"));
        }
        image.restore();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(image.violations(), [], "all changes were taken back");
}

/// The items of a type that an object has.
fn of(objectid: u64, item_type: u8) -> impl Fn(&Item) -> bool {
    move |item| (item.key.objectid, item.key.item_type) == (objectid, item_type)
}

/// All items of a type.
fn all(item_type: u8) -> impl Fn(&Item) -> bool {
    move |item| item.key.item_type == item_type
}

/// Changes the record that an item starts with.
fn change<T>(
    image: &mut Image,
    tree: u64,
    wanted: impl Fn(&Item) -> bool,
    change: impl FnOnce(&mut T),
) where
    T: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned,
{
    image.item(tree, wanted, |item| change(record(&mut item.data)));
}

/// Changes the inode of a path.
fn inode(image: &mut Image, path: &str, with: impl FnOnce(&mut InodeItem)) {
    let ino = image.ino(path);
    change(image, FS_TREE, of(ino, item_type::INODE_ITEM), with);
}

/// Changes the first extent of a path.
fn extent(image: &mut Image, path: &str, with: impl FnOnce(&mut FileExtentItem)) {
    let ino = image.ino(path);
    image.item(FS_TREE, of(ino, item_type::EXTENT_DATA), |item| {
        // The head of an inline one has the same first fields.
        let len = item.data.len();
        item.data.resize(len.max(size_of::<FileExtentItem>()), 0);
        with(record(&mut item.data));
        item.data.truncate(len);
    });
}

/// Changes the first item of a type of a path.
fn of_path(image: &mut Image, path: &str, item_type: u8, with: impl FnOnce(&mut Item)) {
    let ino = image.ino(path);
    image.item(FS_TREE, of(ino, item_type), with);
}

fn remove(image: &mut Image, tree: u64, wanted: impl Fn(&Item) -> bool) {
    image.leaf(tree, &wanted, |items| {
        let at = items.iter().position(&wanted).unwrap();
        items.remove(at);
    });
}

/// The root of a tree.
fn root(image: &mut Image, id: u64, with: impl FnOnce(&mut RootItem)) {
    change(image, ROOT_TREE, of(id, item_type::ROOT_ITEM), with);
}

fn dup(flags: BlockGroupFlags) -> impl Fn(&Item) -> bool {
    move |item| {
        item.key.item_type == item_type::CHUNK_ITEM
            && Chunk::ref_from_prefix(&item.data).unwrap().0.chunk_type == flags.bits()
    }
}

const DATA: fn(&Item) -> bool = |item| dup(BlockGroupFlags::DATA)(item);

/// Items of extents of data with several references in them.
fn shared(item: &Item) -> bool {
    item.key.item_type == item_type::EXTENT_ITEM && item.data.len() > 24 + 2 * 29
}

const SUPERBLOCK: &[Case] = &[
    ("magic", |i| i.superblock(|s| s.magic[0] = 0), "the magic number", Unseen),
    ("bytenr", |i| i.superblock_copy(0, &|s| s.bytenr = 4096.into()), "bytenr is 4096", Seen),
    ("flags", |i| i.superblock(|s| s.flags = (1 << 32 | 1).into()), "flags are", Unseen),
    ("sectorsize", |i| i.superblock(|s| s.sectorsize = 8192.into()), "sectorsize is 8192", Seen),
    ("nodesize", |i| i.superblock(|s| s.nodesize = 20480.into()), "nodesize is 20480", Seen),
    ("nodesize", |i| i.superblock(|s| s.nodesize = (1 << 30).into()), "nodesize is", Seen),
    ("leafsize", |i| i.superblock(|s| s.unused_leafsize = 4096.into()), "leafsize is", Unseen),
    ("stripesize", |i| i.superblock(|s| s.stripesize = 8192.into()), "stripesize is", Seen),
    ("root", |i| i.superblock(|s| s.root += 512), "root is not aligned", Seen),
    ("root", |i| i.superblock(|s| s.root = s.chunk_root), "owner is 3", Seen),
    ("root", |i| i.superblock(|s| s.root = (1 << 50).into()), "in no chunk", Seen),
    ("chunk_root", |i| i.superblock(|s| s.chunk_root += 512), "chunk_root is not", Seen),
    ("chunk_root", |i| i.superblock(|s| s.chunk_root = 0.into()), "in no chunk", Seen),
    ("log_root", |i| i.superblock(|s| s.log_root = 65536.into()), "tree log", Seen),
    ("root_level", |i| i.superblock(|s| s.root_level = 8), "root_level is 8", Seen),
    ("root_level", |i| i.superblock(|s| s.root_level = 1), "level is 0, not 1", Seen),
    ("chunk_root_level", |i| i.superblock(|s| s.chunk_root_level = 8), "_level is 8", Seen),
    ("generation", |i| i.superblock(|s| s.generation += 1), "generation is 1, not 2", Seen),
    ("generation", |i| i.superblock(|s| s.generation = 0.into()), "generation is 0", Seen),
    (
        "chunk_root_generation",
        |i| {
            i.superblock(|s| s.chunk_root_generation += 1);
        },
        "chunk_root_generation is 2",
        Seen,
    ),
    ("total_bytes", |i| i.superblock(|s| s.total_bytes += 4096), "total_bytes is", Seen),
    ("total_bytes", |i| i.superblock(|s| s.total_bytes -= 4096), "in dev_item", Seen),
    (
        "total_bytes",
        |i| {
            i.superblock(|s| {
                s.total_bytes -= 512;
                s.dev_item.total_bytes -= 512;
            })
        },
        "total_bytes is not aligned",
        Seen,
    ),
    ("bytes_used", |i| i.superblock(|s| s.bytes_used += 4096), "and block groups use", Seen),
    ("bytes_used", |i| i.superblock(|s| s.bytes_used = 4096.into()), "less than six", Seen),
    ("bytes_used", |i| i.superblock(|s| s.bytes_used = (1 << 40).into()), "more than", Seen),
    ("num_devices", |i| i.superblock(|s| s.num_devices = 2.into()), "num_devices is 2", Seen),
    (
        "root_dir_objectid",
        |i| {
            i.superblock(|s| s.root_dir_objectid = 7.into());
        },
        "root_dir_objectid is 7",
        Unseen,
    ),
    ("compat_flags", |i| i.superblock(|s| s.compat_flags = 1.into()), "compat_flags has", Unseen),
    (
        "compat_ro_flags",
        |i| {
            i.superblock(|s| s.compat_ro_flags |= U64::new(1 << 40));
        },
        "compat_ro_flags has unknown",
        Unseen,
    ),
    (
        "FREE_SPACE_TREE_VALID",
        |i| {
            i.superblock(|s| {
                s.compat_ro_flags &= U64::new(!CompatRo::FREE_SPACE_TREE_VALID.bits())
            });
        },
        "only one of",
        Unseen,
    ),
    (
        "BLOCK_GROUP_TREE",
        |i| {
            i.superblock(|s| s.compat_ro_flags &= U64::new(!CompatRo::BLOCK_GROUP_TREE.bits()));
        },
        "but not both",
        Seen,
    ),
    (
        "BLOCK_GROUP_TREE alone",
        |i| {
            i.superblock(|s| s.compat_ro_flags = CompatRo::BLOCK_GROUP_TREE.bits().into());
        },
        "BLOCK_GROUP_TREE needs",
        Unseen,
    ),
    (
        "NO_HOLES",
        |i| {
            i.superblock(|s| s.incompat_flags &= U64::new(!Incompat::NO_HOLES.bits()));
        },
        "BLOCK_GROUP_TREE needs",
        Seen,
    ),
    (
        "incompat_flags",
        |i| {
            i.superblock(|s| s.incompat_flags |= U64::new(1 << 40));
        },
        "incompat_flags has unknown",
        Seen,
    ),
    (
        "MIXED_BACKREF",
        |i| {
            i.superblock(|s| s.incompat_flags &= U64::new(!Incompat::MIXED_BACKREF.bits()));
        },
        "incompat_flags lacks",
        Unseen,
    ),
    (
        "SKINNY_METADATA",
        |i| {
            i.superblock(|s| s.incompat_flags &= U64::new(!Incompat::SKINNY_METADATA.bits()));
        },
        "incompat_flags lacks",
        Seen,
    ),
    (
        "COMPRESS_ZSTD",
        |i| {
            i.superblock(|s| s.incompat_flags &= U64::new(!Incompat::COMPRESS_ZSTD.bits()));
        },
        "compression is 3",
        Unseen,
    ),
    (
        "DEFAULT_SUBVOL",
        |i| {
            i.superblock(|s| s.incompat_flags &= U64::new(!Incompat::DEFAULT_SUBVOL.bits()));
        },
        "it is not the top level",
        Unseen,
    ),
    ("csum_type", |i| i.superblock(|s| s.csum_type = 4.into()), "csum_type is 4", Seen),
    ("csum_type", |i| i.superblock(|s| s.csum_type = 1.into()), "checksum is wrong", Seen),
    ("csum", |i| i.write(65536, &[1]), "checksum is wrong", Seen),
    ("fsid", |i| i.superblock(|s| s.fsid[0] ^= 1), "dev_item has another fsid", Seen),
    (
        "fsid",
        |i| {
            i.superblock(|s| {
                s.fsid[0] ^= 1;
                s.dev_item.fsid[0] ^= 1;
            })
        },
        "it has another fsid",
        Seen,
    ),
    ("metadata_uuid", |i| i.superblock(|s| s.metadata_uuid[0] ^= 1), "metadata_uuid is", Unseen),
    ("dev_item devid", |i| i.superblock(|s| s.dev_item.devid += 1), "on a device that", Seen),
    ("dev_item uuid", |i| i.superblock(|s| s.dev_item.uuid[0] ^= 1), "on a device that", Seen),
    (
        "dev_item bytes_used",
        |i| {
            i.superblock(|s| s.dev_item.bytes_used += 4096);
        },
        "differs from dev_item",
        Unseen,
    ),
    (
        "sys_chunk_array_size",
        |i| {
            i.superblock(|s| s.sys_chunk_array_size = 0.into());
        },
        "it is empty",
        Seen,
    ),
    (
        "sys_chunk_array_size",
        |i| {
            i.superblock(|s| s.sys_chunk_array_size -= 1);
        },
        "too short for its stripes",
        Seen,
    ),
    (
        "sys_chunk_array_size",
        |i| {
            i.superblock(|s| s.sys_chunk_array_size = 2049.into());
        },
        "more than 2048",
        Seen,
    ),
    (
        "a stripe of the array",
        |i| {
            i.superblock(|s| s.sys_chunk_array[17 + 48 + 8] ^= 1);
        },
        "stripe 0 is not aligned",
        Unseen,
    ),
    (
        "a second stripe of the array",
        |i| {
            i.superblock(|s| s.sys_chunk_array[17 + 48 + 32 + 10] ^= 1);
        },
        "has not the system chunks",
        Unseen,
    ),
    (
        "type of a chunk of the array",
        |i| {
            i.superblock(|s| s.sys_chunk_array[17 + 24] = 0x24);
        },
        "not of type SYSTEM",
        Seen,
    ),
    ("label", |i| i.superblock(|s| s.label = [b'x'; 256]), "the label has no end", Unseen),
    (
        "cache_generation",
        |i| {
            i.superblock(|s| s.cache_generation = 9.into());
        },
        "cache_generation is 9",
        Seen,
    ),
    (
        "uuid_tree_generation",
        |i| {
            i.superblock(|s| s.uuid_tree_generation = 9.into());
        },
        "uuid_tree_generation is 9",
        Unseen,
    ),
    (
        "uuid_tree_generation",
        |i| {
            i.superblock(|s| s.uuid_tree_generation = 0.into());
        },
        "not up to date",
        Unseen,
    ),
    ("nr_global_roots", |i| i.superblock(|s| s.nr_global_roots = 1.into()), "nr_global", Unseen),
    ("a mirror", |i| i.superblock_copy(1, &|s| s.label[0] ^= 1), "differs from the first", Unseen),
    ("a mirror's csum", |i| i.write((64 << 20) + 1000, &[1]), "checksum is wrong", Unseen),
    (
        "a mirror's bytenr",
        |i| {
            i.superblock_copy(1, &|s| s.bytenr = 65536.into());
        },
        "bytenr is 65536",
        Unseen,
    ),
];

#[test]
fn superblock() {
    judge(sample::flat(), SUPERBLOCK);
}

/// A level and the first block of it.
fn node(image: &mut Image, tree: u64, level: u8, with: impl Fn(&mut [u8])) {
    let place = image.at_level(tree, level);
    image.block(&place, with);
}

/// The head of an item, or a pointer, of a block.
fn nth<T>(block: &mut [u8], number: usize) -> &mut T
where
    T: FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned,
{
    record(&mut block[size_of::<Header>() + number * size_of::<T>()..])
}

const BLOCKS: &[Case] = &[
    (
        "EXTENDED_IREF",
        |i| {
            i.superblock(|s| s.incompat_flags &= U64::new(!Incompat::EXTENDED_IREF.bits()));
        },
        "lacks EXTENDED_IREF",
        Unseen,
    ),
    (
        "csum",
        |i| {
            let place = i.at_level(FS_TREE, 0);
            place.copies.iter().for_each(|&at| i.write(at, &[1, 2, 3, 4]));
        },
        "checksum is wrong",
        Seen,
    ),
    (
        "a copy",
        |i| {
            let mut place = i.at_level(FS_TREE, 0);
            place.copies.remove(0);
            i.block(&place, |block| block[4000] ^= 1);
        },
        "its copies differ",
        Unseen,
    ),
    ("bytenr", |i| i.header(FS_TREE, 0, |h| h.bytenr += 4096), "bytenr is", Seen),
    ("fsid", |i| i.header(FS_TREE, 0, |h| h.fsid[0] ^= 1), "another fsid", Seen),
    (
        "chunk_tree_uuid",
        |i| {
            i.header(FS_TREE, 0, |h| h.chunk_tree_uuid[0] ^= 1);
        },
        "chunk_tree_uuid is not",
        Unseen,
    ),
    ("flags: not written", |i| i.header(FS_TREE, 0, |h| h.flags &= U64::new(!1)), "flags", Unseen),
    (
        "flags: no backref revision",
        |i| {
            i.header(FS_TREE, 0, |h| h.flags = 1.into());
        },
        "flags are",
        Unseen,
    ),
    ("generation", |i| i.header(FS_TREE, 0, |h| h.generation = 2.into()), "generation is 2", Seen),
    ("owner", |i| i.header(FS_TREE, 0, |h| h.owner = 7.into()), "owner is 7", Seen),
    ("level", |i| i.header(FS_TREE, 0, |h| h.level = 1), "level is 1, not 0", Seen),
    ("level of a node", |i| i.header(FS_TREE, 1, |h| h.level = 0), "level is 0, not 1", Seen),
    ("nritems", |i| i.header(FS_TREE, 0, |h| h.nritems += 1), "does not end where", Seen),
    (
        "nritems",
        |i| {
            i.header(FS_TREE, 0, |h| h.nritems = u32::MAX.into());
        },
        "does not end where",
        Seen,
    ),
    ("no items", |i| i.header(FS_TREE, 0, |h| h.nritems = 0.into()), "first key is not", Seen),
    (
        "no items in a root",
        |i| {
            i.header(DEV_TREE, 0, |h| h.nritems = 0.into());
        },
        "it has no items",
        Seen,
    ),
    ("no pointers", |i| i.header(FS_TREE, 1, |h| h.nritems = 0.into()), "without pointers", Seen),
    (
        "pointers to nothing",
        |i| {
            i.header(FS_TREE, 1, |h| h.nritems = 122.into());
        },
        "pointer 11 is to 0",
        Seen,
    ),
    (
        "order of items",
        |i| {
            node(i, FS_TREE, 0, |block| {
                let first = *nth::<ItemHead>(block, 1);
                let second = std::mem::replace(&mut nth::<ItemHead>(block, 2).key, first.key);
                nth::<ItemHead>(block, 1).key = second;
            });
        },
        "comes before",
        Seen,
    ),
    (
        "an item twice",
        |i| {
            node(i, FS_TREE, 0, |block| {
                let first = *nth::<ItemHead>(block, 1);
                nth::<ItemHead>(block, 2).key = first.key;
            });
        },
        "comes before",
        Seen,
    ),
    (
        "a gap in a leaf",
        |i| {
            node(i, FS_TREE, 0, |block| nth::<ItemHead>(block, 1).size -= 1);
        },
        "does not end where",
        Seen,
    ),
    (
        "a gap at the end of a leaf",
        |i| {
            node(i, FS_TREE, 0, |block| nth::<ItemHead>(block, 0).size -= 1);
        },
        "does not end where",
        Seen,
    ),
    (
        "an item outside of its leaf",
        |i| {
            node(i, FS_TREE, 0, |block| nth::<ItemHead>(block, 0).offset += 4096);
        },
        "does not end where",
        Seen,
    ),
    (
        "data over heads",
        |i| {
            node(i, ROOT_TREE, 0, |block| {
                let count = Header::ref_from_prefix(block).unwrap().0.nritems.get() as usize;
                let head = nth::<ItemHead>(block, count - 1);
                head.size += head.offset;
                head.offset = 0.into();
            });
        },
        "overlaps the heads",
        Seen,
    ),
    (
        "key of a node",
        |i| {
            node(i, FS_TREE, 1, |block| nth::<KeyPtr>(block, 1).key.objectid -= 1);
        },
        "first key is not",
        Seen,
    ),
    (
        "key of a node that ends the one before",
        |i| {
            node(i, FS_TREE, 1, |block| {
                let third = *nth::<KeyPtr>(block, 0);
                nth::<KeyPtr>(block, 1).key = third.key;
                nth::<KeyPtr>(block, 1).key.offset += 1;
            });
        },
        "belongs behind",
        Seen,
    ),
    (
        "order of pointers",
        |i| {
            node(i, FS_TREE, 1, |block| {
                let second = *nth::<KeyPtr>(block, 1);
                *nth::<KeyPtr>(block, 1) = *nth::<KeyPtr>(block, 2);
                *nth::<KeyPtr>(block, 2) = second;
            });
        },
        "comes before",
        Seen,
    ),
    (
        "a pointer twice",
        |i| {
            node(i, FS_TREE, 1, |block| {
                let second = *nth::<KeyPtr>(block, 1);
                *nth::<KeyPtr>(block, 2) = second;
            });
        },
        "comes before",
        Seen,
    ),
    (
        "generation of a pointer",
        |i| {
            node(i, FS_TREE, 1, |block| nth::<KeyPtr>(block, 1).generation = 0.into());
        },
        "generation is 1, not 0",
        Seen,
    ),
    (
        "newer generation of a pointer",
        |i| {
            node(i, FS_TREE, 1, |block| nth::<KeyPtr>(block, 1).generation = 2.into());
        },
        "newer than its own",
        Seen,
    ),
    (
        "pointer to nothing",
        |i| {
            node(i, FS_TREE, 1, |block| nth::<KeyPtr>(block, 1).blockptr = 0.into());
        },
        "is to 0",
        Seen,
    ),
    (
        "unaligned pointer",
        |i| {
            node(i, FS_TREE, 1, |block| nth::<KeyPtr>(block, 1).blockptr += 512);
        },
        "pointer 1 is to",
        Seen,
    ),
    (
        "pointer to another leaf",
        |i| {
            node(i, FS_TREE, 1, |block| {
                let other = nth::<KeyPtr>(block, 2).blockptr;
                nth::<KeyPtr>(block, 1).blockptr = other;
            });
        },
        "first key is not",
        Seen,
    ),
    (
        "pointer to itself",
        |i| {
            let address = i.at_level(FS_TREE, 1).address;
            node(i, FS_TREE, 1, |block| nth::<KeyPtr>(block, 1).blockptr = address.into());
        },
        "level is 1, not 0",
        Seen,
    ),
];

#[test]
fn blocks() {
    judge(sample::deep(), BLOCKS);
}

const VOLUMES: &[Case] = &[
    (
        "chunk length",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.length -= 65536),
        "the device has no such extent",
        Seen,
    ),
    (
        "chunk length 0",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.length = 0.into()),
        "is zero",
        Seen,
    ),
    (
        "chunk length unaligned",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.length -= 1),
        "not aligned",
        Seen,
    ),
    (
        "chunk that overlaps",
        |i| {
            change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.length += 1 << 20);
        },
        "overlaps another chunk",
        Seen,
    ),
    (
        "chunk start",
        |i| i.item(CHUNK_TREE, DATA, |item| item.key.offset -= 65536),
        "the device has no such extent",
        Seen,
    ),
    (
        "chunk objectid",
        |i| {
            i.leaf(CHUNK_TREE, DATA, |items| {
                items.last_mut().unwrap().key.objectid += 1;
            })
        },
        "not 256",
        Unseen,
    ),
    (
        "chunk owner",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.owner = 1.into()),
        "owner is 1",
        Unseen,
    ),
    (
        "stripe_len",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.stripe_len = 4096.into()),
        "stripe_len is",
        Seen,
    ),
    (
        "chunk type",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.chunk_type = 4.into()),
        "no block group of the same",
        Seen,
    ),
    (
        "mixed chunk",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.chunk_type = 5.into()),
        "type 0x5",
        Seen,
    ),
    (
        "chunk of no type",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.chunk_type = 0.into()),
        "type 0x0",
        Seen,
    ),
    (
        "chunk profile",
        |i| {
            change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.chunk_type = (1 | 1 << 3).into());
        },
        "type 0x9",
        Seen,
    ),
    (
        "sector_size",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.sector_size = 512.into()),
        "sector_size is",
        Seen,
    ),
    (
        "num_stripes",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.num_stripes = 0.into()),
        "num_stripes is 0",
        Seen,
    ),
    (
        "num_stripes",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.num_stripes = 2.into()),
        "num_stripes is 2",
        Seen,
    ),
    (
        "sub_stripes",
        |i| change(i, CHUNK_TREE, DATA, |c: &mut Chunk| c.sub_stripes = 2.into()),
        "sub_stripes is 2",
        Unseen,
    ),
    (
        "size of a chunk item",
        |i| i.item(CHUNK_TREE, DATA, |item| item.data.push(0)),
        "longer than its stripes",
        Seen,
    ),
    (
        "stripe offset",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).offset += 4096;
            })
        },
        "the device has no such extent",
        Seen,
    ),
    (
        "stripe behind the device",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).offset = (1 << 40).into();
            })
        },
        "ends behind the device",
        Unseen,
    ),
    (
        "stripe devid",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).devid = 2.into();
            })
        },
        "on a device that there is not",
        Seen,
    ),
    (
        "stripe dev_uuid",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).dev_uuid[0] ^= 1;
            })
        },
        "on a device that there is not",
        Seen,
    ),
    ("no device", |i| remove(i, CHUNK_TREE, all(item_type::DEV_ITEM)), "there is no device", Seen),
    (
        "device bytes_used",
        |i| {
            i.superblock(|s| s.dev_item.bytes_used -= 65536);
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| {
                d.bytes_used -= 65536
            });
        },
        "bytes_used is",
        Seen,
    ),
    (
        "device total_bytes",
        |i| {
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| {
                d.total_bytes -= 65536
            });
        },
        "differs from dev_item",
        Seen,
    ),
    (
        "device devid",
        |i| {
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| d.devid = 2.into());
        },
        "devid is 2",
        Seen,
    ),
    (
        "device uuid",
        |i| {
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| d.uuid[0] ^= 1);
        },
        "differs from dev_item",
        Seen,
    ),
    (
        "device generation",
        |i| {
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| d.generation += 5);
        },
        "differs from dev_item",
        Unseen,
    ),
    (
        "no dev extent",
        |i| remove(i, DEV_TREE, all(item_type::DEV_EXTENT)),
        "the device has no such extent",
        Seen,
    ),
    (
        "dev extent length",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| d.length -= 4096);
        },
        "has no such stripe",
        Seen,
    ),
    (
        "dev extent length 0",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| {
                d.length = 0.into()
            });
        },
        "it is empty",
        Seen,
    ),
    (
        "dev extents overlap",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| d.length += 4096);
        },
        "overlaps the one before",
        Seen,
    ),
    (
        "dev extent behind the device",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| {
                d.length = (1 << 40).into();
            });
        },
        "behind the device",
        Seen,
    ),
    (
        "dev extent below 1 MiB",
        |i| {
            i.item(DEV_TREE, all(item_type::DEV_EXTENT), |item| {
                item.key.offset -= 4096;
                record::<DevExtent>(&mut item.data).length += 4096;
            })
        },
        "in the first 1048576 bytes",
        Seen,
    ),
    (
        "dev extent devid",
        |i| {
            i.leaf(DEV_TREE, all(item_type::DEV_EXTENT), |items| {
                items.last_mut().unwrap().key.objectid = 2;
            })
        },
        "no such device",
        Seen,
    ),
    (
        "dev extent chunk",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| {
                d.chunk_offset += 65536;
            });
        },
        "has no such stripe",
        Seen,
    ),
    (
        "dev extent chunk_tree",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| {
                d.chunk_tree = 2.into();
            });
        },
        "chunk_tree is 2",
        Unseen,
    ),
    (
        "dev extent chunk_objectid",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| {
                d.chunk_objectid = 2.into();
            });
        },
        "chunk_objectid is 2",
        Unseen,
    ),
    (
        "size of dev stats",
        |i| {
            i.item(DEV_TREE, all(item_type::PERSISTENT_ITEM), |item| item.data.truncate(39));
        },
        "not a list of five",
        Unseen,
    ),
    (
        "no block group",
        |i| remove(i, BLOCK_GROUP_TREE, all(item_type::BLOCK_GROUP_ITEM)),
        "no block group of the same",
        Seen,
    ),
    (
        "block group used",
        |i| {
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.used -= 4096;
                },
            );
        },
        "and block groups use",
        Seen,
    ),
    (
        "block group and superblock used",
        |i| {
            i.superblock(|s| s.bytes_used -= 4096);
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.used -= 4096;
                },
            );
        },
        "bytes are",
        Seen,
    ),
    (
        "block group used too much",
        |i| {
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.used = (1 << 40).into();
                },
            );
        },
        "more than its length",
        Seen,
    ),
    (
        "block group chunk_objectid",
        |i| {
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.chunk_objectid = 257.into();
                },
            );
        },
        "chunk_objectid is 257",
        Unseen,
    ),
    (
        "block group type",
        |i| {
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.flags = 2.into();
                },
            );
        },
        "no block group of the same",
        Seen,
    ),
    (
        "block group of two types",
        |i| {
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.flags = 3.into();
                },
            );
        },
        "flags are 0x3",
        Seen,
    ),
    (
        "block group of two profiles",
        |i| {
            change(
                i,
                BLOCK_GROUP_TREE,
                all(item_type::BLOCK_GROUP_ITEM),
                |b: &mut BlockGroupItem| {
                    b.flags = (1 | 1 << 4 | 1 << 5).into();
                },
            );
        },
        "flags are 0x31",
        Seen,
    ),
    (
        "block group length",
        |i| {
            i.item(BLOCK_GROUP_TREE, all(item_type::BLOCK_GROUP_ITEM), |item| {
                item.key.offset += 65536;
            });
        },
        "no block group of the same",
        Seen,
    ),
    (
        "block group start",
        |i| {
            i.item(BLOCK_GROUP_TREE, all(item_type::BLOCK_GROUP_ITEM), |item| {
                item.key.objectid += 65536;
            });
        },
        "there is no chunk for it",
        Seen,
    ),
    (
        "block group item size",
        |i| {
            i.item(BLOCK_GROUP_TREE, all(item_type::BLOCK_GROUP_ITEM), |item| item.data.push(0));
        },
        "not a block group",
        Unseen,
    ),
];

#[test]
fn volumes() {
    judge(sample::flat(), VOLUMES);
}

const ROOTS: &[Case] = &[
    ("root bytenr", |i| root(i, FS_TREE, |r| r.bytenr += 512), "bytenr is not aligned", Seen),
    ("root bytenr", |i| root(i, CSUM_TREE, |r| r.bytenr += 16384), "owner is", Seen),
    ("root level", |i| root(i, CSUM_TREE, |r| r.level = 1), "level is 0, not 1", Seen),
    ("root level", |i| root(i, CSUM_TREE, |r| r.level = 8), "level is 8", Seen),
    (
        "root generation",
        |i| {
            root(i, FS_TREE, |r| {
                r.generation = 0.into();
                r.generation_v2 = 0.into();
            })
        },
        "generation is 0",
        Unseen,
    ),
    (
        "root generation",
        |i| {
            root(i, FS_TREE, |r| {
                r.generation = 2.into();
                r.generation_v2 = 2.into();
            })
        },
        "the superblock's is 1",
        Seen,
    ),
    (
        "root generation_v2",
        |i| root(i, FS_TREE, |r| r.generation_v2 = 2.into()),
        "generation_v2 is 2",
        Unseen,
    ),
    (
        "root last_snapshot",
        |i| root(i, FS_TREE, |r| r.last_snapshot = 3.into()),
        "last_snapshot is 3",
        Unseen,
    ),
    ("root refs", |i| root(i, FS_TREE, |r| r.refs = 0.into()), "refs is 0", Seen),
    ("root flags", |i| root(i, 256, |r| r.flags = 2.into()), "flags are 0x2", Unseen),
    (
        "root drop_progress",
        |i| root(i, 256, |r| r.drop_progress.objectid = 300.into()),
        "being dropped",
        Unseen,
    ),
    ("root drop_level", |i| root(i, 256, |r| r.drop_level = 1), "being dropped", Unseen),
    ("root root_dirid", |i| root(i, 256, |r| r.root_dirid = 257.into()), "root_dirid is", Seen),
    ("root byte_limit", |i| root(i, 256, |r| r.byte_limit = 1.into()), "byte_limit is", Unseen),
    ("root bytes_used", |i| root(i, 256, |r| r.bytes_used += 16384), "bytes_used is", Unseen),
    ("root uuid", |i| root(i, 256, |r| r.uuid = [0; 16]), "it has no UUID", Unseen),
    ("root uuid", |i| root(i, 256, |r| r.uuid[0] ^= 1), "not in the UUID tree", Unseen),
    (
        "root of a snapshot",
        |i| {
            i.item(ROOT_TREE, of(257, item_type::ROOT_ITEM), |item| item.key.offset = 1);
        },
        "of a snapshot",
        Unseen,
    ),
    (
        "root item size",
        |i| {
            i.item(ROOT_TREE, of(FS_TREE, item_type::ROOT_ITEM), |item| item.data.truncate(400));
        },
        "it is not a root",
        Unseen,
    ),
    (
        "root of a strange tree",
        |i| {
            i.item(ROOT_TREE, of(UUID_TREE, item_type::ROOT_ITEM), |item| item.key.objectid = 8);
        },
        "no known kind",
        Seen,
    ),
    (
        "no csum tree",
        |i| remove(i, ROOT_TREE, of(CSUM_TREE, item_type::ROOT_ITEM)),
        "tree 7 is not there",
        Seen,
    ),
    (
        "no data reloc tree",
        |i| remove(i, ROOT_TREE, of(DATA_RELOC_TREE, item_type::ROOT_ITEM)),
        "tree -9 is not there",
        Seen,
    ),
    (
        "no free space tree",
        |i| remove(i, ROOT_TREE, of(FREE_SPACE_TREE, item_type::ROOT_ITEM)),
        "but not both",
        Seen,
    ),
    (
        "no subvolume",
        |i| remove(i, ROOT_TREE, of(257, item_type::ROOT_ITEM)),
        "it has no root",
        Seen,
    ),
    (
        "no root directory",
        |i| remove(i, ROOT_TREE, of(ROOT_TREE_DIR, item_type::INODE_ITEM)),
        "(6 INODE_ITEM 0) is not there",
        Unseen,
    ),
    (
        "mode of the root directory",
        |i| {
            change(i, ROOT_TREE, of(ROOT_TREE_DIR, item_type::INODE_ITEM), |n: &mut InodeItem| {
                n.mode = 0o100_644.into();
            });
        },
        "not a directory",
        Unseen,
    ),
    (
        "name of the root directory",
        |i| {
            i.item(ROOT_TREE, of(ROOT_TREE_DIR, item_type::INODE_REF), |item| item.data[11] = b'x');
        },
        "its name is wrong",
        Unseen,
    ),
    (
        "no default",
        |i| remove(i, ROOT_TREE, of(ROOT_TREE_DIR, item_type::DIR_ITEM)),
        "is not there",
        Unseen,
    ),
    (
        "no reference to the default",
        |i| {
            remove(i, ROOT_TREE, of(FS_TREE, item_type::INODE_REF));
        },
        "(5 INODE_REF 6) is not there",
        Unseen,
    ),
    (
        "default to nothing",
        |i| {
            change(i, ROOT_TREE, of(ROOT_TREE_DIR, item_type::DIR_ITEM), |d: &mut DirItem| {
                d.location.objectid = 300.into();
            });
        },
        "there is no subvolume 300",
        Unseen,
    ),
    (
        "default to an inode",
        |i| {
            change(i, ROOT_TREE, of(ROOT_TREE_DIR, item_type::DIR_ITEM), |d: &mut DirItem| {
                d.location.item_type = item_type::INODE_ITEM;
            });
        },
        "which is not a subvolume",
        Unseen,
    ),
    (
        "name of the default",
        |i| {
            i.item(ROOT_TREE, of(ROOT_TREE_DIR, item_type::DIR_ITEM), |item| item.data[30] = b'D');
        },
        "its name is not",
        Unseen,
    ),
    ("no ROOT_REF", |i| remove(i, ROOT_TREE, all(item_type::ROOT_REF)), "no ROOT_REF", Seen),
    (
        "no ROOT_BACKREF",
        |i| remove(i, ROOT_TREE, all(item_type::ROOT_BACKREF)),
        "no ROOT_BACKREF",
        Seen,
    ),
    (
        "ROOT_REF dirid",
        |i| {
            change(i, ROOT_TREE, all(item_type::ROOT_REF), |r: &mut RootRef| r.dirid += 1);
        },
        "no entry of that name",
        Seen,
    ),
    (
        "ROOT_REF sequence",
        |i| {
            change(i, ROOT_TREE, all(item_type::ROOT_REF), |r: &mut RootRef| r.sequence += 1);
        },
        "no entry of that name",
        Seen,
    ),
    (
        "ROOT_BACKREF sequence",
        |i| {
            change(i, ROOT_TREE, all(item_type::ROOT_BACKREF), |r: &mut RootRef| r.sequence += 1);
        },
        "no entry of that name",
        Seen,
    ),
    (
        "ROOT_REF name",
        |i| i.item(ROOT_TREE, all(item_type::ROOT_REF), |item| item.data[18] ^= 1),
        "no entry of that name",
        Seen,
    ),
    (
        "ROOT_REF name_len",
        |i| {
            change(i, ROOT_TREE, all(item_type::ROOT_REF), |r: &mut RootRef| r.name_len += 1);
        },
        "not a name of a subvolume",
        Seen,
    ),
    (
        "a strange item",
        |i| {
            i.item(ROOT_TREE, of(257, item_type::ROOT_BACKREF), |item| item.key.item_type = 200);
        },
        "does not belong here",
        Seen,
    ),
    (
        "no UUID",
        |i| remove(i, UUID_TREE, all(item_type::UUID_KEY_SUBVOL)),
        "not in the UUID tree",
        Unseen,
    ),
    (
        "UUID of another",
        |i| {
            change(i, UUID_TREE, all(item_type::UUID_KEY_SUBVOL), |id: &mut U64| *id += 1);
        },
        "which has another UUID",
        Unseen,
    ),
    (
        "UUID item",
        |i| {
            i.item(UUID_TREE, all(item_type::UUID_KEY_SUBVOL), |item| item.data.truncate(7));
        },
        "not a list of subvolumes",
        Unseen,
    ),
];

#[test]
fn roots() {
    judge(sample::flat(), ROOTS);
}
