//! Hard links, symlinks, devices and owners at the limits of their ranges.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use detfs::ext4::Options;
use detfs::tree::{Metadata, Node, Tree};
use rustix::fs::{major, makedev, minor};

use super::BLOCK_SIZES;
use super::inspect::inode_field;
use super::sample::{Image, ROOT, Sample, metadata, options, refusal};

fn linked(node: Node, names: u32) -> Arc<Tree> {
    let mut sample = Sample::new();
    let directory = sample.directory(ROOT, "d");
    let first = sample.add(directory, "00000", metadata(0o644), node);
    (1..names).for_each(|number| sample.link(directory, format!("{number:05}"), first));
    sample.finish()
}

#[test]
fn an_inode_of_65000_names() {
    for node in [Node::Fifo, Node::Symlink(b"target".to_vec()), Node::CharDevice(1, 3)] {
        let image = Image::new(&linked(node.clone(), 65_000), &options());
        let look = |root: &Path| {
            let found = ["d/00000", "d/31234", "d/64999"].map(|path| {
                let metadata = fs::symlink_metadata(root.join(path)).unwrap();
                (metadata.nlink(), metadata.ino())
            });
            assert_eq!(found[0].0, 65_000);
            assert!(found.iter().all(|other| *other == found[0]), "{found:?}");
        };
        image.check_with_oracles(look).unwrap();
        let message = refusal(&linked(node, 65_001), &options());
        assert!(message.starts_with("d/00000: file has 65001 hard links"), "{message}");
        assert!(message.contains("65000"), "{message}");
    }
}

/// Targets of up to 59 bytes are stored in the inode. A block holds targets up to one byte
/// shorter than the block.
#[test]
fn symlinks_of_every_length() {
    for block_size in BLOCK_SIZES {
        let most = usize::try_from(block_size).unwrap() - 1;
        let lengths: Vec<usize> =
            [1, 58, 59, 60, 61, 255, 1022, 1023, 2047, 4094, 4095].into_iter().collect();
        let (fit, too_long): (Vec<_>, Vec<_>) = lengths.into_iter().partition(|&len| len <= most);
        let target = |len| b"abcdefg/".iter().copied().cycle().take(len).collect::<Vec<u8>>();
        let options = Options { block_size, ..options() };
        let mut sample = Sample::new();
        for &len in &fit {
            let node = Node::Symlink(target(len));
            sample.add(ROOT, len.to_string(), metadata(0o777), node);
        }
        let image = Image::new(&sample.finish(), &options);
        let look = |root: &Path| {
            for &len in &fit {
                let found = fs::read_link(root.join(len.to_string())).unwrap();
                assert_eq!(found.as_os_str().as_bytes(), target(len), "{len} of {block_size}");
            }
        };
        image.check_with_oracles(look).unwrap();
        for len in fit {
            let blocks = inode_field(&image.path, &format!("/{len}"), "Blockcount");
            assert_eq!(blocks, if len < 60 { 0 } else { u64::from(block_size / 512) }, "{len}");
        }
        for len in too_long.into_iter().chain([most + 1]).filter(|&len| len <= 4095) {
            let mut sample = Sample::new();
            sample.add(ROOT, "link", metadata(0o777), Node::Symlink(target(len)));
            let message = refusal(&sample.finish(), &options);
            let rule = format!("link: symlink target is {len} bytes");
            assert!(message.starts_with(&rule), "{message}");
            assert!(message.contains(&most.to_string()), "{message}");
        }
    }
}

#[test]
fn devices_of_every_number() {
    let numbers = [(0, 0), (1, 3), (255, 255), (255, 256), (256, 0), (4095, 1_048_575)];
    let mut sample = Sample::new();
    for (major, minor) in numbers {
        let name = format!("{major}-{minor}");
        sample.add(ROOT, format!("c-{name}"), metadata(0o600), Node::CharDevice(major, minor));
        sample.add(ROOT, format!("b-{name}"), metadata(0o600), Node::BlockDevice(major, minor));
    }
    sample.add(ROOT, "fifo", metadata(0o600), Node::Fifo);
    sample.add(ROOT, "socket", metadata(0o600), Node::Socket);
    let look = |root: &Path| {
        for number in numbers {
            let stat = |kind| {
                let name = format!("{kind}-{}-{}", number.0, number.1);
                fs::symlink_metadata(root.join(name)).unwrap()
            };
            for found in [stat("b"), stat("c")] {
                assert_eq!((major(found.rdev()), minor(found.rdev())), number);
                assert_eq!(found.rdev(), makedev(number.0, number.1));
            }
            assert!(stat("c").file_type().is_char_device());
            assert!(stat("b").file_type().is_block_device());
        }
        let kind = |name| fs::symlink_metadata(root.join(name)).unwrap().file_type();
        assert!(kind("fifo").is_fifo() && kind("socket").is_socket());
    };
    Image::new(&sample.finish(), &options()).check_with_oracles(look).unwrap();

    for (major, minor) in [(4096, 0), (0, 1_048_576)] {
        let mut sample = Sample::new();
        sample.add(ROOT, "device", metadata(0o600), Node::CharDevice(major, minor));
        let message = refusal(&sample.finish(), &options());
        let rule =
            format!("device: device number is {major}:{minor}, ext4 allows at most 4095:1048575");
        assert!(message.starts_with(&rule), "{message}");
    }
}

#[test]
fn owners_of_32_bits() {
    let ids = [0, 1, 65_534, 65_535, 65_536, 1 << 31, u32::MAX - 1];
    let mut sample = Sample::new();
    for uid in ids {
        for gid in ids {
            let metadata = Metadata { uid, gid, ..metadata(0o644) };
            sample.empty(ROOT, format!("{uid}-{gid}"), metadata);
        }
    }
    let look = |root: &Path| {
        for uid in ids {
            for gid in ids {
                let found = fs::metadata(root.join(format!("{uid}-{gid}"))).unwrap();
                assert_eq!((found.uid(), found.gid()), (uid, gid));
            }
        }
    };
    Image::new(&sample.finish(), &options()).check_with_oracles(look).unwrap();
}
