//! Flips every byte of all metadata, one bit at a time: all flips that the verifier misses are
//! known, and `btrfs check` misses them too.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ops::Range;

use super::image::Image;
use super::sample;
use crate::btrfs::read::{Reader, Rules};
use crate::btrfs::spec::{
    Chunk, DevExtent, DirItem, ExtentItem, FileExtentHead, Header, InodeItem, ItemHead, KeyPtr,
    RootItem, SuperBlock, item_type, objectid,
};

/// Location of a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    /// Header of a block.
    Header,
    /// Head of an item.
    Head,
    /// Pointer to a child.
    Pointer,
    /// Item of this type, either in the root tree or in another tree.
    Item { of_roots: bool, item_type: u8 },
}

/// Returns bytes that may have any value, or some other values.
fn free() -> Vec<(Field, Range<usize>)> {
    let item = |item_type| Field::Item { of_roots: false, item_type };
    let of_roots = |item_type| Field::Item { of_roots: true, item_type };
    let inode = size_of::<InodeItem>();
    // Another size is one that needs the same sectors.
    let fields = [0..offset_of!(InodeItem, nlink), offset_of!(InodeItem, uid)..inode];
    let inodes = [item(item_type::INODE_ITEM), of_roots(item_type::INODE_ITEM)];
    let mut free: Vec<_> =
        inodes.into_iter().flat_map(|kind| fields.clone().map(|range| (kind, range))).collect();
    let transid = offset_of!(DirItem, transid)..offset_of!(DirItem, data_len);
    free.extend([
        (of_roots(item_type::ROOT_ITEM), 0..inode),
        (
            of_roots(item_type::ROOT_ITEM),
            offset_of!(RootItem, last_snapshot)..offset_of!(RootItem, refs),
        ),
        (of_roots(item_type::ROOT_ITEM), offset_of!(RootItem, uuid)..size_of::<RootItem>()),
        // Another subvolume that there is.
        (of_roots(item_type::DIR_ITEM), 0..8),
        (of_roots(item_type::DIR_ITEM), transid.clone()),
        (item(item_type::DIR_ITEM), transid.clone()),
        // That of a second name in the item.
        (item(item_type::DIR_ITEM), size_of::<DirItem>()..255),
        (item(item_type::DIR_INDEX), transid.clone()),
        (item(item_type::XATTR_ITEM), transid),
        // Its value.
        (item(item_type::XATTR_ITEM), size_of::<DirItem>()..255),
        (item(item_type::EXTENT_DATA), 0..8),
        // The content.
        (item(item_type::EXTENT_DATA), size_of::<FileExtentHead>()..4096),
        (
            item(item_type::EXTENT_ITEM),
            offset_of!(ExtentItem, generation)..offset_of!(ExtentItem, flags),
        ),
        (
            item(item_type::DEV_EXTENT),
            offset_of!(DevExtent, chunk_tree_uuid)..size_of::<DevExtent>(),
        ),
        (item(item_type::CHUNK_ITEM), offset_of!(Chunk, io_align)..offset_of!(Chunk, sector_size)),
        (item(item_type::CHUNK_ITEM), offset_of!(Chunk, sub_stripes)..size_of::<Chunk>()),
        // How many errors there were.
        (item(item_type::PERSISTENT_ITEM), 0..40),
    ]);
    free
}

/// Returns such bytes of the superblock.
fn free_in_superblock() -> Vec<Range<usize>> {
    let array = offset_of!(SuperBlock, sys_chunk_array);
    let chunk = array + 17;
    vec![
        // What a short checksum leaves.
        4..32,
        offset_of!(SuperBlock, unused_log_root_transid)..offset_of!(SuperBlock, total_bytes),
        // Some features are not used.
        offset_of!(SuperBlock, incompat_flags)..offset_of!(SuperBlock, csum_type),
        offset_of!(SuperBlock, label)..offset_of!(SuperBlock, uuid_tree_generation),
        offset_of!(SuperBlock, reserved)..array,
        chunk + offset_of!(Chunk, io_align)..chunk + offset_of!(Chunk, sector_size),
        chunk + offset_of!(Chunk, sub_stripes)..chunk + size_of::<Chunk>(),
        // There is one chunk with two stripes.
        chunk + size_of::<Chunk>() + 64..size_of::<SuperBlock>(),
    ]
}

/// Returns all bytes of metadata except checksums, with the block that contains them.
fn places(image: &Image) -> Vec<(usize, usize, Field, usize)> {
    let mut all = Vec::new();
    let (header, head, pointer) = (size_of::<Header>(), size_of::<ItemHead>(), size_of::<KeyPtr>());
    for (block, place) in image.blocks.iter().enumerate() {
        all.extend((32..header).map(|at| (block, at, Field::Header, at)));
        if place.level > 0 {
            let count = image.count(place);
            let pointers = header..header + count * pointer;
            all.extend(pointers.map(|at| (block, at, Field::Pointer, (at - header) % pointer)));
            continue;
        }
        for (number, (item, range)) in image.items(place).into_iter().enumerate() {
            let start = header + number * head;
            all.extend((start..start + head).map(|at| (block, at, Field::Head, at - start)));
            let of_roots = place.tree == objectid::ROOT_TREE;
            let field = Field::Item { of_roots, item_type: item.key.item_type };
            all.extend(range.clone().map(|at| (block, at, field, at - range.start)));
        }
    }
    all
}

/// Flips one bit of every byte; `turn` selects the bit.
fn sweep(turn: usize) {
    let mut image = sample::deep();
    let free = free();
    let mut unseen = Vec::new();
    let mut missed: BTreeMap<_, usize> = BTreeMap::new();
    let blocks = image.blocks.clone();
    for (block, at, field, within) in places(&image) {
        let bit = 1 << ((at + turn) % 8);
        image.block(&blocks[block], |bytes| bytes[at] ^= bit);
        if image.violations().is_empty() {
            unseen.push((block, at, bit));
            if !free.iter().any(|(kind, range)| *kind == field && range.contains(&within)) {
                *missed.entry((field, within)).or_default() += 1;
            }
        }
        image.restore();
    }
    assert!(missed.is_empty(), "not seen: {missed:?}");
    // All that makes no difference, at once.
    for (block, at, bit) in unseen {
        image.block(&blocks[block], |bytes| bytes[at] ^= bit);
    }
    assert_eq!(image.violations(), []);
    assert_eq!(image.btrfs_check(), None);
}

#[test]
#[ignore = "takes seconds"]
fn no_bit_is_passed_over() {
    sweep(0);
}

/// Flips the other bits, each of which takes as long.
#[test]
#[ignore = "takes a minute"]
fn none_of_all_bits_is_passed_over() {
    (1..8).for_each(sweep);
}

#[test]
#[ignore = "takes seconds"]
fn no_bit_of_the_superblock_is_passed_over() {
    let mut image = sample::deep();
    let free = free_in_superblock();
    let mut missed = Vec::new();
    for at in 32..size_of::<SuperBlock>() {
        for bit in 0..8 {
            image.superblock_copy(0, &|superblock| {
                zerocopy::IntoBytes::as_mut_bytes(superblock)[at] ^= 1 << bit;
            });
            if image.violations().is_empty() && !free.iter().any(|range| range.contains(&at)) {
                missed.push((at, bit));
            }
            image.restore();
        }
    }
    assert!(missed.is_empty(), "not seen: {missed:?}");
}

/// The reader ends without a panic, whatever it reads.
#[test]
#[ignore = "takes seconds"]
fn nothing_makes_the_reader_panic() {
    let mut image = sample::deep();
    let blocks = image.blocks.clone();
    let mut state: u64 = 1;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let interesting = [0, 1, 0x7F, 0x80, 0xFF];
    for _ in 0..4000 {
        for _ in 0..1 + random(4) {
            let block = &blocks[random(blocks.len())];
            let (at, len) = (random(image.node_size - 8), 1 + random(8));
            let byte = interesting[random(interesting.len())];
            image.block(block, |bytes| bytes[at..at + len].fill(byte));
        }
        if random(4) == 0 {
            let (at, byte) = (random(size_of::<SuperBlock>()), interesting[random(5)]);
            image.superblock_copy(0, &|superblock| {
                zerocopy::IntoBytes::as_mut_bytes(superblock)[at] = byte;
            });
        }
        if let Ok(reader) = Reader::open(&image.bytes, 0, image.bytes.len() as u64) {
            let _ = reader.verify(Rules::Common);
            read_all(&reader);
        }
        image.restore();
    }
}

/// Reads everything that can be read, down to some depth.
fn read_all(reader: &Reader<'_>) {
    let mut pending = vec![reader.top()];
    let mut left = 200;
    while let (Some(node), 1..) = (pending.pop(), left) {
        left -= 1;
        let _ = (reader.inode(node), reader.xattrs(node));
        pending.extend(reader.entries(node).into_iter().flatten().map(|entry| entry.node));
        if let Ok(content) = reader.content(node) {
            let mut buffer = vec![0; 300_000];
            let _ = (content.read(0, &mut buffer), content.read(u64::MAX - 10, &mut buffer));
            let _ = content.read(content.size() / 2, &mut buffer);
        }
    }
}
