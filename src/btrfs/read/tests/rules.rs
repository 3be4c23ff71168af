//! One broken field after the other.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::image::{Image, Item, record};
use super::sample;
use crate::btrfs::hash;
use crate::btrfs::key::Key;
use crate::btrfs::read::Rules;
use crate::btrfs::spec::objectid::{
    BLOCK_GROUP_TREE, CHUNK_TREE, CSUM_TREE, DATA_RELOC_TREE, DEV_TREE, EXTENT_TREE,
    FREE_SPACE_TREE, FS_TREE, ROOT_TREE, ROOT_TREE_DIR, UUID_TREE,
};
use crate::btrfs::spec::{
    BlockGroupFlags, BlockGroupItem, Chunk, CompatRo, DevExtent, DevItem, DirItem, ExtentDataRef,
    ExtentInlineRef, ExtentItem, FileExtentItem, FreeSpaceInfo, Header, Incompat, InodeExtref,
    InodeFlags, InodeItem, InodeRef, ItemHead, KeyPtr, RootItem, RootRef, Stripe, SuperBlock,
    extent_type, file_type, item_type,
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
    ("magic", |i| i.superblock(|s| s.magic[0] = 0), "wrong magic number", Unseen),
    ("bytenr", |i| i.superblock_copy(0, &|s| s.bytenr = 4096.into()), "bytenr is 4096", Seen),
    ("flags", |i| i.superblock(|s| s.flags = (1 << 32 | 1).into()), "flags are", Unseen),
    ("sectorsize", |i| i.superblock(|s| s.sectorsize = 8192.into()), "sectorsize is 8192", Seen),
    ("nodesize", |i| i.superblock(|s| s.nodesize = 20480.into()), "nodesize is 20480", Seen),
    ("nodesize", |i| i.superblock(|s| s.nodesize = (1 << 30).into()), "nodesize is", Seen),
    ("leafsize", |i| i.superblock(|s| s.unused_leafsize = 4096.into()), "leafsize is", Unseen),
    ("stripesize", |i| i.superblock(|s| s.stripesize = 8192.into()), "stripesize is", Seen),
    ("root", |i| i.superblock(|s| s.root += 512), "root is not aligned", Seen),
    ("root", |i| i.superblock(|s| s.root = s.chunk_root), "owner is 3", Seen),
    ("root", |i| i.superblock(|s| s.root = (1 << 50).into()), "not in any chunk", Seen),
    ("chunk_root", |i| i.superblock(|s| s.chunk_root += 512), "chunk_root is not", Seen),
    ("chunk_root", |i| i.superblock(|s| s.chunk_root = 0.into()), "not in any chunk", Seen),
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
            });
        },
        "total_bytes is not aligned",
        Seen,
    ),
    ("bytes_used", |i| i.superblock(|s| s.bytes_used += 4096), "block groups use", Seen),
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
                s.compat_ro_flags &= U64::new(!CompatRo::FREE_SPACE_TREE_VALID.bits());
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
        "not the top level",
        Unseen,
    ),
    ("csum_type", |i| i.superblock(|s| s.csum_type = 4.into()), "csum_type is 4", Seen),
    ("csum_type", |i| i.superblock(|s| s.csum_type = 1.into()), "wrong checksum", Seen),
    ("csum", |i| i.write(65536, &[1]), "wrong checksum", Seen),
    ("fsid", |i| i.superblock(|s| s.fsid[0] ^= 1), "dev_item has a different fsid", Seen),
    (
        "fsid",
        |i| {
            i.superblock(|s| {
                s.fsid[0] ^= 1;
                s.dev_item.fsid[0] ^= 1;
            });
        },
        "different fsid",
        Seen,
    ),
    ("metadata_uuid", |i| i.superblock(|s| s.metadata_uuid[0] ^= 1), "metadata_uuid is", Unseen),
    ("dev_item devid", |i| i.superblock(|s| s.dev_item.devid += 1), "on a missing device", Seen),
    ("dev_item uuid", |i| i.superblock(|s| s.dev_item.uuid[0] ^= 1), "on a missing device", Seen),
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
        "empty",
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
        "does not match the system chunks",
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
    ("label", |i| i.superblock(|s| s.label = [b'x'; 256]), "label has no end", Unseen),
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
    ("a mirror's csum", |i| i.write((64 << 20) + 1000, &[1]), "wrong checksum", Unseen),
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
        "wrong checksum",
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
    ("fsid", |i| i.header(FS_TREE, 0, |h| h.fsid[0] ^= 1), "different fsid", Seen),
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
        "has no items",
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
        "overlaps the item headers",
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
        "belongs after",
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
            });
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
            });
        },
        "the device has no such extent",
        Seen,
    ),
    (
        "stripe behind the device",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).offset = (1 << 40).into();
            });
        },
        "ends after the device",
        Unseen,
    ),
    (
        "stripe devid",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).devid = 2.into();
            });
        },
        "on a missing device",
        Seen,
    ),
    (
        "stripe dev_uuid",
        |i| {
            i.item(CHUNK_TREE, DATA, |item| {
                record::<Stripe>(&mut item.data[48..]).dev_uuid[0] ^= 1;
            });
        },
        "on a missing device",
        Seen,
    ),
    ("no device", |i| remove(i, CHUNK_TREE, all(item_type::DEV_ITEM)), "there is no device", Seen),
    (
        "device bytes_used",
        |i| {
            i.superblock(|s| s.dev_item.bytes_used -= 65536);
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| {
                d.bytes_used -= 65536;
            });
        },
        "bytes_used is",
        Seen,
    ),
    (
        "device total_bytes",
        |i| {
            change(i, CHUNK_TREE, all(item_type::DEV_ITEM), |d: &mut DevItem| {
                d.total_bytes -= 65536;
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
                d.length = 0.into();
            });
        },
        "empty",
        Seen,
    ),
    (
        "dev extents overlap",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| d.length += 4096);
        },
        "overlaps the previous one",
        Seen,
    ),
    (
        "dev extent behind the device",
        |i| {
            change(i, DEV_TREE, all(item_type::DEV_EXTENT), |d: &mut DevExtent| {
                d.length = (1 << 40).into();
            });
        },
        "after the end of the device",
        Seen,
    ),
    (
        "dev extent below 1 MiB",
        |i| {
            i.item(DEV_TREE, all(item_type::DEV_EXTENT), |item| {
                item.key.offset -= 4096;
                record::<DevExtent>(&mut item.data).length += 4096;
            });
        },
        "in the first 1048576 bytes",
        Seen,
    ),
    (
        "dev extent devid",
        |i| {
            i.leaf(DEV_TREE, all(item_type::DEV_EXTENT), |items| {
                items.last_mut().unwrap().key.objectid = 2;
            });
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
        "block groups use",
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
            });
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
            });
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
    ("root uuid", |i| root(i, 256, |r| r.uuid = [0; 16]), "has no UUID", Unseen),
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
        "not a root",
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
    ("no subvolume", |i| remove(i, ROOT_TREE, of(257, item_type::ROOT_ITEM)), "has no root", Seen),
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
        "wrong name",
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
        "without an entry of that name",
        Seen,
    ),
    (
        "ROOT_REF sequence",
        |i| {
            change(i, ROOT_TREE, all(item_type::ROOT_REF), |r: &mut RootRef| r.sequence += 1);
        },
        "without an entry of that name",
        Seen,
    ),
    (
        "ROOT_BACKREF sequence",
        |i| {
            change(i, ROOT_TREE, all(item_type::ROOT_BACKREF), |r: &mut RootRef| r.sequence += 1);
        },
        "without an entry of that name",
        Seen,
    ),
    (
        "ROOT_REF name",
        |i| i.item(ROOT_TREE, all(item_type::ROOT_REF), |item| item.data[18] ^= 1),
        "without an entry of that name",
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

/// The first tree block that the extent tree lists.
fn metadata(image: &mut Image, with: impl FnOnce(&mut Item)) {
    image.item(EXTENT_TREE, all(item_type::METADATA_ITEM), with);
}

/// The first extent of data.
fn data(image: &mut Image, with: impl FnOnce(&mut Item)) {
    image.item(EXTENT_TREE, all(item_type::EXTENT_ITEM), with);
}

/// The first reference of the first extent of data.
fn data_ref(image: &mut Image, with: impl FnOnce(&mut ExtentDataRef)) {
    data(image, |item| with(record(&mut item.data[25..])));
}

/// The last reference with a key of its own.
fn keyed(image: &mut Image, with: impl FnOnce(&mut Item)) {
    let wanted = all(item_type::EXTENT_DATA_REF);
    image.leaf(EXTENT_TREE, &wanted, |items| {
        with(items.iter_mut().rfind(|item| wanted(item)).unwrap());
    });
}

const EXTENTS: &[Case] = &[
    (
        "no block",
        |i| remove(i, EXTENT_TREE, all(item_type::METADATA_ITEM)),
        "no matching METADATA_ITEM",
        Seen,
    ),
    (
        "a block more",
        |i| {
            i.leaf(EXTENT_TREE, all(item_type::METADATA_ITEM), |items| {
                let mut last = items.last().unwrap().clone();
                last.key.objectid += 16384;
                items.push(last);
            });
        },
        "in the extent tree, but in no tree",
        Seen,
    ),
    (
        "level of a block",
        |i| metadata(i, |item| item.key.offset += 1),
        "no matching METADATA_ITEM",
        Unseen,
    ),
    ("level of a block", |i| metadata(i, |item| item.key.offset = 256), "no such level", Seen),
    (
        "tree of a block",
        |i| {
            metadata(i, |item| {
                record::<ExtentInlineRef>(&mut item.data[24..]).offset = 7.into();
            });
        },
        "no matching METADATA_ITEM",
        Seen,
    ),
    (
        "generation of a block",
        |i| {
            metadata(i, |item| {
                record::<ExtentItem>(&mut item.data).generation = 0.into();
            });
        },
        "no matching METADATA_ITEM",
        Unseen,
    ),
    (
        "generation of an extent",
        |i| {
            data(i, |item| {
                record::<ExtentItem>(&mut item.data).generation = 2.into();
            });
        },
        "generation is 2",
        Unseen,
    ),
    (
        "refs of a block",
        |i| {
            metadata(i, |item| {
                record::<ExtentItem>(&mut item.data).refs = 2.into();
            });
        },
        "refs is 2, and 1 are listed",
        Seen,
    ),
    (
        "refs of a block",
        |i| {
            metadata(i, |item| {
                record::<ExtentItem>(&mut item.data).refs = 0.into();
            });
        },
        "refs is 0, and 1 are listed",
        Seen,
    ),
    (
        "block without references",
        |i| metadata(i, |item| item.data.truncate(24)),
        "in more than one tree, or in no tree",
        Seen,
    ),
    (
        "flags of a block",
        |i| {
            metadata(i, |item| {
                record::<ExtentItem>(&mut item.data).flags = 1.into();
            });
        },
        "not of the same kind",
        Seen,
    ),
    (
        "flags of an extent",
        |i| {
            data(i, |item| {
                record::<ExtentItem>(&mut item.data).flags = 3.into();
            });
        },
        "flags are 0x3",
        Seen,
    ),
    ("a short extent", |i| data(i, |item| item.data.truncate(20)), "not an extent", Seen),
    (
        "type of a reference",
        |i| metadata(i, |item| item.data[24] = 182),
        "a reference is of type 182",
        Seen,
    ),
    (
        "reference to data of a block",
        |i| {
            metadata(i, |item| {
                item.data[24] = item_type::EXTENT_DATA_REF;
            });
        },
        "a reference is of type 178",
        Seen,
    ),
    (
        "a short reference",
        |i| {
            data(i, |item| {
                item.data.pop();
            });
        },
        "a reference is too short",
        Seen,
    ),
    (
        "padding behind references",
        |i| data(i, |item| item.data.push(0)),
        "a reference is of type 0",
        Seen,
    ),
    (
        "no extent",
        |i| remove(i, EXTENT_TREE, all(item_type::EXTENT_ITEM)),
        "without a matching EXTENT_ITEM",
        Seen,
    ),
    (
        "an extent more",
        |i| {
            i.leaf(EXTENT_TREE, all(item_type::EXTENT_ITEM), |items| {
                let at = items.iter().rposition(all(item_type::EXTENT_ITEM)).unwrap();
                let mut more = items[at].clone();
                more.key.objectid += more.key.offset;
                more.key.offset = 4096;
                items.insert(at + 1, more);
            });
        },
        "in the extent tree, but in no file",
        Seen,
    ),
    ("an unaligned extent", |i| data(i, |item| item.key.offset -= 1), "not aligned", Seen),
    (
        "a shorter extent",
        |i| data(i, |item| item.key.offset -= 4096),
        "without a matching EXTENT_ITEM",
        Seen,
    ),
    (
        "extents that overlap",
        |i| data(i, |item| item.key.offset += 4096),
        "overlaps the previous one",
        Seen,
    ),
    (
        "root of a reference",
        |i| data_ref(i, |r| r.root = 257.into()),
        "but the file has fewer",
        Seen,
    ),
    ("inode of a reference", |i| data_ref(i, |r| r.objectid += 1), "but the file has fewer", Seen),
    (
        "offset of a reference",
        |i| data_ref(i, |r| r.offset += 4096),
        "but the file has fewer",
        Seen,
    ),
    (
        "unaligned offset of a reference",
        |i| data_ref(i, |r| r.offset += 1),
        "the offset of a reference",
        Seen,
    ),
    ("count of a reference", |i| data_ref(i, |r| r.count += 1), "and 2 are listed", Seen),
    (
        "count of a reference",
        |i| data_ref(i, |r| r.count = 0.into()),
        "the count of a reference is 0",
        Seen,
    ),
    (
        "refs and count",
        |i| {
            data(i, |item| {
                record::<ExtentItem>(&mut item.data).refs += 1;
                record::<ExtentDataRef>(&mut item.data[25..]).count += 1;
            });
        },
        "but the file has fewer",
        Seen,
    ),
    (
        "refs of an extent",
        |i| {
            data(i, |item| {
                record::<ExtentItem>(&mut item.data).refs += 1;
            });
        },
        "are listed",
        Seen,
    ),
    (
        "order of references",
        |i| {
            i.item(EXTENT_TREE, shared, |item| {
                let (first, second) = item.data[24..].split_at_mut(29);
                first.swap_with_slice(&mut second[..29]);
            });
        },
        "not in order",
        Unseen,
    ),
    (
        "a reference twice",
        |i| {
            i.item(EXTENT_TREE, shared, |item| {
                let first: Vec<u8> = item.data[24..53].to_vec();
                item.data[53..82].copy_from_slice(&first);
            });
        },
        "in a file, but the extent tree has fewer",
        Seen,
    ),
    (
        "a keyed reference less",
        |i| remove(i, EXTENT_TREE, all(item_type::EXTENT_DATA_REF)),
        "are listed",
        Seen,
    ),
    ("hash of a keyed reference", |i| keyed(i, |item| item.key.offset += 1), "its hash is", Unseen),
    (
        "inode of a keyed reference",
        |i| {
            keyed(i, |item| {
                let hash = |r: &ExtentDataRef| {
                    hash::extent_data_ref(r.root.get(), r.objectid.get(), r.offset.get())
                };
                let r = record::<ExtentDataRef>(&mut item.data);
                // Such that the order stays.
                while hash(r) <= item.key.offset {
                    r.objectid += 1;
                }
                item.key.offset = hash(r);
            });
        },
        "but the file has fewer",
        Seen,
    ),
    (
        "keyed reference of nothing",
        |i| keyed(i, |item| item.key.objectid += 4096),
        "no extent for it",
        Unseen,
    ),
    (
        "size of a keyed reference",
        |i| keyed(i, |item| item.data.push(0)),
        "not a reference",
        Unseen,
    ),
    ("a strange item", |i| keyed(i, |item| item.key.item_type = 184), "does not belong here", Seen),
    (
        "no free space",
        |i| remove(i, FREE_SPACE_TREE, all(item_type::FREE_SPACE_INFO)),
        "in no block group",
        Seen,
    ),
    (
        "free space less",
        |i| {
            i.leaf(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |items| {
                items.pop();
                record::<FreeSpaceInfo>(&mut items.last_mut().unwrap().data).extent_count =
                    0.into();
            });
        },
        "is neither used nor free",
        Seen,
    ),
    (
        "extent_count",
        |i| {
            change(i, FREE_SPACE_TREE, all(item_type::FREE_SPACE_INFO), |f: &mut FreeSpaceInfo| {
                f.extent_count += 1;
            });
        },
        "extent_count is 2",
        Seen,
    ),
    (
        "flags of free space",
        |i| {
            change(i, FREE_SPACE_TREE, all(item_type::FREE_SPACE_INFO), |f: &mut FreeSpaceInfo| {
                f.flags = 2.into();
            });
        },
        "flags are 0x2",
        Unseen,
    ),
    (
        "bitmaps that are none",
        |i| {
            change(i, FREE_SPACE_TREE, all(item_type::FREE_SPACE_INFO), |f: &mut FreeSpaceInfo| {
                f.flags = 1.into();
            });
        },
        "its block group uses bitmaps",
        Seen,
    ),
    (
        "a bitmap where are none",
        |i| {
            i.item(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |item| {
                item.key.item_type = item_type::FREE_SPACE_BITMAP;
                let bits = usize::try_from(item.key.offset / 4096).unwrap();
                item.data = vec![0xFF; bits.div_ceil(8)];
            });
        },
        "does not use bitmaps",
        Seen,
    ),
    (
        "free space with data",
        |i| {
            i.item(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |item| item.data.push(0));
        },
        "has data",
        Unseen,
    ),
    (
        "shorter free space",
        |i| {
            i.item(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |item| {
                item.key.offset -= 4096;
            });
        },
        "is neither used nor free",
        Seen,
    ),
    (
        "free space that is used",
        |i| {
            i.item(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |item| {
                item.key.objectid -= 4096;
                item.key.offset += 4096;
            });
        },
        "is both used and free",
        Seen,
    ),
    (
        "free space in two ranges",
        |i| {
            i.leaf(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |items| {
                let at = items.iter().position(all(item_type::FREE_SPACE_EXTENT)).unwrap();
                let mut second = items[at].clone();
                items[at].key.offset = 4096;
                second.key.objectid += 4096;
                second.key.offset -= 4096;
                items.insert(at + 1, second);
                record::<FreeSpaceInfo>(&mut items[at - 1].data).extent_count += 1;
            });
        },
        "are not merged",
        Seen,
    ),
    (
        "unaligned free space",
        |i| {
            i.item(FREE_SPACE_TREE, all(item_type::FREE_SPACE_EXTENT), |item| item.key.offset -= 1);
        },
        "not aligned",
        Seen,
    ),
    (
        "free space of another group",
        |i| {
            i.item(FREE_SPACE_TREE, all(item_type::FREE_SPACE_INFO), |item| {
                item.key.offset += 4096;
            });
        },
        "not the same in the free space tree",
        Seen,
    ),
    (
        "free space of no group",
        |i| {
            i.leaf(
                FREE_SPACE_TREE,
                |_| true,
                |items| {
                    let data = vec![0; 8];
                    items.insert(
                        0,
                        Item { key: Key::new(65536, item_type::FREE_SPACE_INFO, 4096), data },
                    );
                },
            );
        },
        "no such block group",
        Unseen,
    ),
    ("no checksums", |i| remove(i, CSUM_TREE, |_| true), "lacks some of its checksums", Seen),
    (
        "a checksum less",
        |i| {
            i.item(
                CSUM_TREE,
                |_| true,
                |item| {
                    let len = item.data.len();
                    item.data.truncate(len - 4);
                },
            );
        },
        "lacks some of its checksums",
        Seen,
    ),
    (
        "checksums more",
        |i| {
            i.leaf(
                CSUM_TREE,
                |_| true,
                |items| {
                    items.last_mut().unwrap().data.extend([0; 4]);
                },
            );
        },
        "not all of that is data",
        Seen,
    ),
    (
        "a wrong checksum",
        |i| i.item(CSUM_TREE, |_| true, |item| item.data[0] ^= 1),
        "wrong checksum",
        Seen,
    ),
    (
        "half a checksum",
        |i| {
            i.item(
                CSUM_TREE,
                |_| true,
                |item| {
                    item.data.pop();
                },
            );
        },
        "but a checksum has 4",
        Seen,
    ),
    (
        "checksums that overlap",
        |i| {
            i.leaf(
                CSUM_TREE,
                |_| true,
                |items| {
                    let mut second = items[0].clone();
                    second.key.offset += 4096;
                    second.data.truncate(4);
                    items.insert(1, second);
                },
            );
        },
        "overlaps the previous one",
        Seen,
    ),
    (
        "unaligned checksums",
        |i| {
            i.leaf(
                CSUM_TREE,
                |_| true,
                |items| {
                    items.last_mut().unwrap().key.offset += 1;
                },
            );
        },
        "not aligned",
        Seen,
    ),
    (
        "checksums of something else",
        |i| {
            i.item(
                CSUM_TREE,
                |_| true,
                |item| {
                    item.key.objectid -= 1;
                },
            );
        },
        "does not belong here",
        Seen,
    ),
    (
        "a byte of data",
        |i| {
            let at = i.ino("plain");
            let item = i.find(FS_TREE, of(at, item_type::EXTENT_DATA));
            let start = FileExtentItem::ref_from_bytes(&item.data).unwrap().disk_bytenr.get();
            // What is single is where its address says.
            let start = usize::try_from(start).unwrap();
            let byte = i.bytes[start + 5000];
            i.write(start + 5000, &[byte ^ 1]);
        },
        "wrong checksum",
        Seen,
    ),
];

#[test]
fn extents() {
    judge(sample::flat(), EXTENTS);
}

/// The entry of a directory by its name, in items of a type.
fn entry(name: &'static [u8], item_type: u8) -> impl Fn(&Item) -> bool {
    move |item| {
        item.key.item_type == item_type && item.data.get(30..).is_some_and(|n| n.starts_with(name))
    }
}

fn entry_by(
    image: &mut Image,
    name: &'static [u8],
    item_type: u8,
    with: impl FnOnce(&mut DirItem),
) {
    change(image, FS_TREE, entry(name, item_type), with);
}

/// An extended attribute.
fn xattr(image: &mut Image, with: impl FnOnce(&mut Item)) {
    image.item(FS_TREE, entry(b"security.a", item_type::XATTR_ITEM), with);
}

const INODES: &[Case] = &[
    (
        "inode generation",
        |i| inode(i, "plain", |n| n.generation = 2.into()),
        "generation is 2",
        Unseen,
    ),
    ("inode transid", |i| inode(i, "plain", |n| n.transid = 3.into()), "transid 3", Seen),
    ("inode size", |i| inode(i, "plain", |n| n.size -= 8192), "after the end of the file", Unseen),
    ("inode size", |i| inode(i, "many", |n| n.size += 2), "twice the length", Seen),
    ("inode size", |i| inode(i, "fifo", |n| n.size = 1.into()), "size is 1", Unseen),
    ("inode size", |i| inode(i, "plain", |n| n.size = u64::MAX.into()), "size is", Unseen),
    ("inode nbytes", |i| inode(i, "plain", |n| n.nbytes += 4096), "nbytes is", Seen),
    ("inode nbytes", |i| inode(i, "inline", |n| n.nbytes = 4096.into()), "nbytes is", Seen),
    ("inode nlink", |i| inode(i, "linked", |n| n.nlink += 1), "and it has 41 names", Seen),
    ("inode nlink", |i| inode(i, "plain", |n| n.nlink = 0.into()), "nlink is 0", Seen),
    ("inode nlink", |i| inode(i, "many", |n| n.nlink = 2.into()), "nlink is 2", Seen),
    ("inode mode", |i| inode(i, "plain", |n| n.mode = 0o644.into()), "mode is", Seen),
    ("inode mode", |i| inode(i, "plain", |n| n.mode = 0o170_644.into()), "mode is", Seen),
    ("inode mode", |i| inode(i, "fifo", |n| n.mode = 0o140_644.into()), "type is 5", Seen),
    ("inode mode", |i| inode(i, "many", |n| n.mode = 0o100_755.into()), "not a directory", Seen),
    ("inode mode", |i| inode(i, "plain", |n| n.mode = 0o10_644.into()), "size is", Seen),
    ("inode rdev", |i| inode(i, "plain", |n| n.rdev = 259.into()), "rdev is 259", Unseen),
    ("inode flags", |i| inode(i, "plain", |n| n.flags |= U64::new(1 << 20)), "has unknown", Unseen),
    ("inode flags", |i| inode(i, "plain", |n| n.flags |= U64::new(1 << 40)), "unknown", Unseen),
    (
        "NODATACOW",
        |i| inode(i, "empty", |n| n.flags = InodeFlags::NODATACOW.bits().into()),
        "NODATACOW without NODATASUM",
        Unseen,
    ),
    (
        "flags of a target",
        |i| {
            inode(i, "link", |n| {
                n.flags = InodeFlags::IMMUTABLE.bits().into();
            });
        },
        "has IMMUTABLE or APPEND",
        Seen,
    ),
    (
        "NODATASUM",
        |i| {
            inode(i, "plain", |n| {
                n.flags = InodeFlags::NODATASUM.bits().into();
            });
        },
        "has checksums, but should",
        Seen,
    ),
    (
        "no NODATASUM",
        |i| inode(i, "nocow", |n| n.flags = 0.into()),
        "lacks some of its checksums",
        Seen,
    ),
    (
        "NODATASUM of compressed data",
        |i| {
            inode(i, "words", |n| {
                n.flags |= U64::new(InodeFlags::NODATASUM.bits());
            });
        },
        "its inode has no checksums",
        Seen,
    ),
    (
        "nanoseconds",
        |i| inode(i, "plain", |n| n.mtime.nsec = 1_000_000_000.into()),
        "more nanoseconds",
        Unseen,
    ),
    (
        "inode item size",
        |i| of_path(i, "plain", item_type::INODE_ITEM, |item| item.data.push(0)),
        "not an inode",
        Unseen,
    ),
    (
        "inode key offset",
        |i| {
            of_path(i, "plain", item_type::INODE_ITEM, |item| {
                item.key.offset = 1;
            });
        },
        "key is not 0",
        Unseen,
    ),
    (
        "no inode",
        |i| {
            let ino = i.ino("plain");
            remove(i, FS_TREE, of(ino, item_type::INODE_ITEM));
        },
        "its inode has no INODE_ITEM",
        Seen,
    ),
    (
        "an inode more",
        |i| {
            let ino = i.ino("zz");
            i.leaf(FS_TREE, of(ino, item_type::INODE_ITEM), |items| {
                let inode = items.iter().find(|item| of(ino, item_type::INODE_ITEM)(item)).unwrap();
                let more = Item { key: Key::new(ino + 1, 1, 0), data: inode.data.clone() };
                items.push(more);
            });
        },
        "it has 0 names",
        Seen,
    ),
    (
        "an inode number out of range",
        |i| {
            i.leaf(
                FS_TREE,
                |item| item.key.objectid == 256,
                |items| {
                    items.iter_mut().filter(|item| item.key.objectid == 256).for_each(|item| {
                        item.key.objectid = 255;
                    });
                },
            );
        },
        "first key is not",
        Seen,
    ),
    (
        "no name",
        |i| {
            let ino = i.ino("plain");
            remove(i, FS_TREE, of(ino, item_type::INODE_REF));
        },
        "it has 0 names",
        Seen,
    ),
    (
        "name of an inode",
        |i| of_path(i, "plain", item_type::INODE_REF, |item| item.data[10] ^= 1),
        "no matching",
        Seen,
    ),
    (
        "index of an inode's name",
        |i| {
            of_path(i, "plain", item_type::INODE_REF, |item| {
                record::<InodeRef>(&mut item.data).index += 1000;
            });
        },
        "no matching",
        Seen,
    ),
    (
        "directory of an inode's name",
        |i| {
            of_path(i, "plain", item_type::INODE_REF, |item| {
                item.key.offset += 1;
            });
        },
        "no matching",
        Seen,
    ),
    (
        "name_len of an inode",
        |i| {
            of_path(i, "plain", item_type::INODE_REF, |item| {
                record::<InodeRef>(&mut item.data).name_len += 1;
            });
        },
        "not a list of names",
        Seen,
    ),
    (
        "an inode's name is too long",
        |i| {
            of_path(i, "plain", item_type::INODE_REF, |item| {
                record::<InodeRef>(&mut item.data).name_len = 256.into();
                item.data.resize(10 + 256, b'x');
            });
        },
        "longer than 255",
        Seen,
    ),
    (
        "name of a subvolume's directory",
        |i| {
            i.item(FS_TREE, of(256, item_type::INODE_REF), |item| item.data[10] = b'x');
        },
        "the directory of a subvolume has a name",
        Seen,
    ),
    (
        "a slash in a name",
        |i| {
            of_path(i, "plain", item_type::INODE_REF, |item| item.data[12] = b'/');
        },
        "a slash",
        Seen,
    ),
    (
        "no DIR_ITEM",
        |i| remove(i, FS_TREE, entry(b"plain", item_type::DIR_ITEM)),
        "no matching DIR_ITEM",
        Seen,
    ),
    (
        "no DIR_INDEX",
        |i| remove(i, FS_TREE, entry(b"plain", item_type::DIR_INDEX)),
        "no matching DIR_INDEX",
        Seen,
    ),
    (
        "DIR_ITEM location",
        |i| {
            entry_by(i, b"plain", item_type::DIR_ITEM, |d| {
                d.location.objectid += 1;
            });
        },
        "no matching DIR_INDEX",
        Seen,
    ),
    (
        "DIR_INDEX location",
        |i| {
            entry_by(i, b"plain", item_type::DIR_INDEX, |d| {
                d.location.objectid += 1;
            });
        },
        "no matching DIR_INDEX",
        Seen,
    ),
    (
        "both locations",
        |i| {
            for item_type in [item_type::DIR_ITEM, item_type::DIR_INDEX] {
                entry_by(i, b"plain", item_type, |d| d.location.objectid = 999.into());
            }
        },
        "no matching INODE_REF",
        Seen,
    ),
    (
        "location type",
        |i| {
            entry_by(i, b"plain", item_type::DIR_ITEM, |d| {
                d.location.item_type = item_type::DIR_ITEM;
            });
        },
        "location is",
        Seen,
    ),
    (
        "location offset",
        |i| {
            entry_by(i, b"plain", item_type::DIR_ITEM, |d| {
                d.location.offset = 1.into();
            });
        },
        "location is",
        Unseen,
    ),
    (
        "DIR_ITEM type",
        |i| {
            entry_by(i, b"plain", item_type::DIR_ITEM, |d| {
                d.file_type = file_type::FIFO;
            });
        },
        "no matching DIR_INDEX",
        Seen,
    ),
    (
        "both types",
        |i| {
            for item_type in [item_type::DIR_ITEM, item_type::DIR_INDEX] {
                entry_by(i, b"plain", item_type, |d| d.file_type = file_type::FIFO);
            }
        },
        "type is 5",
        Seen,
    ),
    (
        "type of nothing",
        |i| entry_by(i, b"plain", item_type::DIR_ITEM, |d| d.file_type = 9),
        "type is 9",
        Seen,
    ),
    (
        "type of an attribute",
        |i| {
            entry_by(i, b"plain", item_type::DIR_ITEM, |d| {
                d.file_type = file_type::XATTR;
            });
        },
        "type is 8",
        Seen,
    ),
    (
        "entry with data",
        |i| {
            i.item(FS_TREE, entry(b"plain", item_type::DIR_INDEX), |item| {
                record::<DirItem>(&mut item.data).data_len = 1.into();
                item.data.push(0);
            });
        },
        "has data",
        Unseen,
    ),
    (
        "entry transid",
        |i| entry_by(i, b"plain", item_type::DIR_ITEM, |d| d.transid = 2.into()),
        "transid is 2",
        Unseen,
    ),
    (
        "entry name_len",
        |i| entry_by(i, b"plain", item_type::DIR_INDEX, |d| d.name_len += 1),
        "not a list of entries",
        Seen,
    ),
    (
        "name of a DIR_INDEX",
        |i| {
            i.item(FS_TREE, entry(b"plain", item_type::DIR_INDEX), |item| {
                item.data[30] = b'P';
            });
        },
        "no matching",
        Seen,
    ),
    (
        "name of a DIR_ITEM",
        |i| {
            i.item(FS_TREE, entry(b"plain", item_type::DIR_ITEM), |item| {
                item.data[30] = b'P';
            });
        },
        "wrong hash for",
        Seen,
    ),
    (
        "one name of two with a hash",
        |i| {
            let (one, other) = sample::colliding();
            let size = one.len() + other.len();
            let both = |item: &Item| {
                item.key.item_type == item_type::DIR_ITEM && item.data.len() == 60 + size
            };
            i.item(FS_TREE, both, |item| item.data.truncate(30 + one.len()));
        },
        "no matching DIR_ITEM",
        Seen,
    ),
    (
        "index 1",
        |i| i.item(FS_TREE, of(256, item_type::DIR_INDEX), |item| item.key.offset = 1),
        "its index is less than 2",
        Seen,
    ),
    (
        "another index",
        |i| {
            let ino = i.ino("collisions");
            i.leaf(FS_TREE, of(ino, item_type::DIR_INDEX), |items| {
                let last = items.iter().rposition(of(ino, item_type::DIR_INDEX)).unwrap();
                items[last].key.offset += 5;
            });
        },
        "no matching INODE_REF",
        Seen,
    ),
    (
        "a directory that is not reached",
        |i| {
            // It holds itself.
            let ino = i.ino("collisions");
            i.item(FS_TREE, of(256, item_type::INODE_ITEM), |item| {
                record::<InodeItem>(&mut item.data).size -= 20;
            });
            i.leaf(FS_TREE, of(ino, item_type::INODE_REF), |items| {
                for item in items.iter_mut() {
                    match item.key.item_type {
                        item_type::DIR_ITEM if entry(b"collisions", item_type::DIR_ITEM)(item) => {
                            item.key.objectid = ino;
                        }
                        item_type::DIR_INDEX
                            if entry(b"collisions", item_type::DIR_INDEX)(item) =>
                        {
                            (item.key.objectid, item.key.offset) = (ino, 1000);
                        }
                        item_type::INODE_REF if item.key.objectid == ino => {
                            item.key.offset = ino;
                            record::<InodeRef>(&mut item.data).index = 1000.into();
                        }
                        item_type::INODE_ITEM if item.key.objectid == ino => {
                            record::<InodeItem>(&mut item.data).size += 20;
                        }
                        _ => {}
                    }
                }
                items.sort_by_key(|item| item.key);
            });
        },
        "can't be reached",
        Unseen,
    ),
    ("xattr name", |i| xattr(i, |item| item.data[30] = b'S'), "wrong hash for", Unseen),
    (
        "xattr location",
        |i| {
            xattr(i, |item| {
                record::<DirItem>(&mut item.data).location.objectid = 257.into();
            });
        },
        "location is",
        Unseen,
    ),
    (
        "xattr type",
        |i| {
            xattr(i, |item| {
                record::<DirItem>(&mut item.data).file_type = file_type::REG_FILE;
            });
        },
        "type is 1",
        Unseen,
    ),
    (
        "xattr data_len",
        |i| {
            xattr(i, |item| {
                record::<DirItem>(&mut item.data).data_len += 1;
            });
        },
        "not a list of entries",
        Unseen,
    ),
    (
        "xattr name_len",
        |i| {
            xattr(i, |item| {
                record::<DirItem>(&mut item.data).name_len += 1;
                record::<DirItem>(&mut item.data).data_len -= 1;
            });
        },
        "wrong hash for",
        Unseen,
    ),
    ("xattr twice", |i| xattr(i, |item| item.data = item.data.repeat(2)), "there twice", Unseen),
    (
        "xattr without a name",
        |i| {
            i.item(FS_TREE, entry(b"user.empty", item_type::XATTR_ITEM), |item| {
                record::<DirItem>(&mut item.data).name_len = 0.into();
                item.data.truncate(30);
                item.key.offset = hash::name(b"");
            });
        },
        "comes before",
        Seen,
    ),
    (
        "a strange item",
        |i| {
            of_path(i, "plain", item_type::INODE_REF, |item| {
                item.key.item_type = 14;
            });
        },
        "does not belong here",
        Seen,
    ),
];

#[test]
fn inodes() {
    judge(sample::flat(), INODES);
}

/// The last of the names of the first leaf that has some as items of their own.
fn extref(image: &mut Image, with: impl FnOnce(&mut Item)) {
    let wanted = all(item_type::INODE_EXTREF);
    image.leaf(FS_TREE, &wanted, |items| {
        with(items.iter_mut().rfind(|item| wanted(item)).unwrap());
    });
}

const LINKS: &[Case] = &[
    (
        "hash of an extref",
        |i| {
            extref(i, |item| {
                item.key.offset += 1;
            });
        },
        "wrong hash for",
        Unseen,
    ),
    (
        "name of an extref",
        |i| {
            extref(i, |item| {
                item.data[18] ^= 1;
            });
        },
        "wrong hash for",
        Seen,
    ),
    (
        "directory of an extref",
        |i| {
            extref(i, |item| {
                record::<InodeExtref>(&mut item.data).parent_objectid = 256.into();
            });
        },
        "wrong hash for",
        Seen,
    ),
    (
        "index of an extref",
        |i| {
            extref(i, |item| {
                record::<InodeExtref>(&mut item.data).index += 100;
            });
        },
        "no matching",
        Seen,
    ),
    (
        "name_len of an extref",
        |i| {
            extref(i, |item| {
                record::<InodeExtref>(&mut item.data).name_len += 1;
            });
        },
        "not a list of names",
        Seen,
    ),
    (
        "no extref",
        |i| {
            i.leaf(FS_TREE, all(item_type::INODE_EXTREF), |items| {
                let last = items.iter().rposition(all(item_type::INODE_EXTREF)).unwrap();
                items.remove(last);
            });
        },
        "and it has 40 names",
        Seen,
    ),
];

#[test]
fn links() {
    judge(sample::deep(), LINKS);
}

const FILES: &[Case] = &[
    (
        "extent generation",
        |i| extent(i, "plain", |e| e.head.generation = 2.into()),
        "generation is 2",
        Unseen,
    ),
    ("ram_bytes", |i| extent(i, "plain", |e| e.head.ram_bytes -= 4096), "beyond ram_bytes", Seen),
    ("ram_bytes", |i| extent(i, "plain", |e| e.head.ram_bytes += 4096), "and disk_num", Unseen),
    ("ram_bytes", |i| extent(i, "words", |e| e.head.ram_bytes += 4096), "the content is", Unseen),
    (
        "ram_bytes",
        |i| extent(i, "words", |e| e.head.ram_bytes = (1 << 20).into()),
        "and disk_num",
        Unseen,
    ),
    ("ram_bytes", |i| extent(i, "plain", |e| e.head.ram_bytes += 1), "aligned", Unseen),
    ("compression", |i| extent(i, "plain", |e| e.head.compression = 4), "compression is 4", Unseen),
    ("compression", |i| extent(i, "plain", |e| e.head.compression = 1), "decompressed", Unseen),
    ("compression", |i| extent(i, "words", |e| e.head.compression = 0), "and disk_num", Seen),
    ("encryption", |i| extent(i, "plain", |e| e.head.encryption = 1), "encryption is 1", Unseen),
    (
        "other_encoding",
        |i| extent(i, "plain", |e| e.head.other_encoding = 1.into()),
        "other_encoding is 1",
        Unseen,
    ),
    ("type", |i| extent(i, "plain", |e| e.head.extent_type = 3), "not an extent", Seen),
    (
        "type",
        |i| extent(i, "plain", |e| e.head.extent_type = extent_type::PREALLOC),
        "has checksums, but should",
        Seen,
    ),
    (
        "type",
        |i| extent(i, "plain", |e| e.head.extent_type = extent_type::INLINE),
        "ram_bytes is",
        Seen,
    ),
    (
        "type",
        |i| extent(i, "words", |e| e.head.extent_type = extent_type::PREALLOC),
        "preallocated extent is compressed",
        Seen,
    ),
    (
        "disk_bytenr",
        |i| extent(i, "plain", |e| e.disk_bytenr += 4096),
        "without a matching EXTENT_ITEM",
        Seen,
    ),
    ("disk_bytenr", |i| extent(i, "plain", |e| e.disk_bytenr += 1), "aligned", Seen),
    (
        "disk_bytenr",
        |i| extent(i, "plain", |e| e.disk_bytenr = 0.into()),
        "hole with an address",
        Seen,
    ),
    (
        "disk_num_bytes",
        |i| extent(i, "plain", |e| e.disk_num_bytes += 4096),
        "and disk_num_bytes",
        Seen,
    ),
    (
        "disk_num_bytes",
        |i| extent(i, "plain", |e| e.disk_num_bytes = 0.into()),
        "disk_num_bytes is 0",
        Seen,
    ),
    ("offset", |i| extent(i, "plain", |e| e.offset += 4096), "beyond ram_bytes", Seen),
    (
        "offset",
        |i| {
            extent(i, "plain", |e| {
                e.offset += 4096;
                e.num_bytes -= 4096;
            });
        },
        "nbytes is",
        Seen,
    ),
    ("offset", |i| extent(i, "plain", |e| e.offset = u64::MAX.into()), "aligned", Seen),
    ("num_bytes", |i| extent(i, "plain", |e| e.num_bytes -= 4096), "nbytes is", Seen),
    ("num_bytes", |i| extent(i, "plain", |e| e.num_bytes = 0.into()), "num_bytes is 0", Seen),
    ("num_bytes", |i| extent(i, "plain", |e| e.num_bytes -= 1), "aligned", Seen),
    (
        "file offset",
        |i| of_path(i, "plain", item_type::EXTENT_DATA, |item| item.key.offset = 1),
        "aligned",
        Seen,
    ),
    (
        "file offset",
        |i| {
            of_path(i, "plain", item_type::EXTENT_DATA, |item| {
                item.key.offset = 4096;
            });
        },
        "after the end of the file",
        Seen,
    ),
    (
        "file offset",
        |i| {
            of_path(i, "plain", item_type::EXTENT_DATA, |item| {
                item.key.offset = 4096_u64.wrapping_neg();
            });
        },
        "end is not a valid offset",
        Seen,
    ),
    (
        "extents that overlap",
        |i| {
            let ino = i.ino("holed");
            i.leaf(FS_TREE, of(ino, item_type::EXTENT_DATA), |items| {
                let last = items.iter().rposition(of(ino, item_type::EXTENT_DATA)).unwrap();
                let end = items[last - 1].key.offset
                    + FileExtentItem::ref_from_bytes(&items[last - 1].data)
                        .unwrap()
                        .num_bytes
                        .get();
                items[last].key.offset = end - 4096;
            });
        },
        "overlaps the previous one",
        Seen,
    ),
    (
        "an extent less",
        |i| {
            let ino = i.ino("plain");
            remove(i, FS_TREE, of(ino, item_type::EXTENT_DATA));
        },
        "nbytes is",
        Seen,
    ),
    (
        "an extent of a pipe",
        |i| {
            let (from, to) = (i.ino("plain"), i.ino("socket"));
            let mut item = i.find(FS_TREE, of(from, item_type::EXTENT_DATA));
            item.key.objectid = to;
            i.leaf(FS_TREE, of(to, item_type::INODE_ITEM), |items| {
                items.push(item);
                items.sort_by_key(|item| item.key);
            });
        },
        "its inode has no content",
        Seen,
    ),
    (
        "extent item size",
        |i| {
            of_path(i, "plain", item_type::EXTENT_DATA, |item| {
                item.data.push(0);
            });
        },
        "not an extent",
        Seen,
    ),
    (
        "extent item size",
        |i| {
            of_path(i, "plain", item_type::EXTENT_DATA, |item| {
                item.data.truncate(20);
            });
        },
        "not an extent",
        Seen,
    ),
    (
        "inline ram_bytes",
        |i| extent(i, "inline", |e| e.head.ram_bytes += 1),
        "the content is",
        Seen,
    ),
    ("inline beyond the size", |i| inode(i, "inline", |n| n.size -= 1), "the size of", Unseen),
    (
        "inline file offset",
        |i| {
            of_path(i, "inline", item_type::EXTENT_DATA, |item| {
                item.key.offset = 4096;
            });
        },
        "not at the start",
        Unseen,
    ),
    (
        "inline of nothing",
        |i| {
            of_path(i, "inline", item_type::EXTENT_DATA, |item| {
                item.data.truncate(21);
                item.data[8..16].fill(0);
            });
        },
        "ram_bytes is 0",
        Seen,
    ),
    (
        "inline of a sector",
        |i| {
            of_path(i, "zz", item_type::EXTENT_DATA, |item| {
                item.data.resize(21 + 4096, 0);
                item.data[8..16].copy_from_slice(&4096_u64.to_le_bytes());
            });
            inode(i, "zz", |n| {
                n.size = 4096.into();
                n.nbytes = 4096.into();
            });
        },
        "ram_bytes is 4096",
        Seen,
    ),
    (
        "inline, compressed, of more",
        |i| {
            extent(i, "inline-words", |e| {
                e.head.ram_bytes = 4097.into();
            });
        },
        "ram_bytes is 4097",
        Seen,
    ),
    (
        "inline, compressed, broken",
        |i| {
            of_path(i, "inline-words", item_type::EXTENT_DATA, |item| {
                item.data[22] ^= 0xFF;
            });
        },
        "cannot be decompressed",
        Unseen,
    ),
    ("a target with another size", |i| inode(i, "link", |n| n.size += 1), "symlink target", Unseen),
    (
        "a target that is compressed",
        |i| extent(i, "link", |e| e.head.compression = 3),
        "a target is compressed",
        Unseen,
    ),
    (
        "no target",
        |i| {
            let ino = i.ino("link");
            remove(i, FS_TREE, of(ino, item_type::EXTENT_DATA));
        },
        "nbytes is 8",
        Seen,
    ),
];

#[test]
fn files() {
    judge(sample::flat(), FILES);
}

/// What neither `btrfs check` nor a read-only mount sees: the next commit of a kernel would
/// overwrite the data with a copy of the superblock.
#[test]
fn data_in_the_place_of_a_superblock() {
    let size = 66 << 20;
    let mut bytes = sample::write(|_| {});
    bytes.resize(size, 0);
    let mut image = Image::new(bytes);
    change(&mut image, CHUNK_TREE, all(item_type::DEV_ITEM), |device: &mut DevItem| {
        device.total_bytes = (size as u64).into();
    });
    image.superblock_copy(0, &|s| {
        s.total_bytes = (size as u64).into();
        s.dev_item.total_bytes = s.total_bytes;
    });
    let first = SuperBlock::read_from_bytes(&image.bytes[65536..65536 + 4096]).unwrap();
    image.superblock_copy(1, &|s| {
        *s = first;
        s.bytenr = (64 << 20).into();
    });
    let mut image = Image::new(image.bytes);
    let item = image.find(CHUNK_TREE, DATA);
    let (start, len) = (item.key.offset, Chunk::ref_from_prefix(&item.data).unwrap().0.length);
    let from = usize::try_from(start).unwrap();
    for (place, right) in [((64 << 20) + 4096, false), ((64 << 20) + 65536, true)] {
        let content = image.bytes[from..][..usize::try_from(len.get()).unwrap()].to_vec();
        image.write(usize::try_from(place).unwrap(), &content);
        image.item(CHUNK_TREE, DATA, |item| {
            record::<Stripe>(&mut item.data[48..]).offset = place.into();
        });
        image.leaf(DEV_TREE, all(item_type::DEV_EXTENT), |items| {
            let at = items.iter().position(all(item_type::DEV_EXTENT)).unwrap();
            items[at].key.offset = place;
            items.sort_by_key(|item| item.key);
        });
        assert_eq!(image.btrfs_check(), None);
        for (rules, rule) in [
            (Rules::Common, "overlaps a copy of the superblock"),
            (Rules::Detfs, "overlaps the superblock at 67108864"),
        ] {
            let found = image.violations_of(rules);
            assert_eq!(found.is_empty(), right, "{found:?}");
            assert!(found.iter().all(|violation| violation.rule.contains(rule)), "{found:?}");
        }
        image.restore();
    }
}
