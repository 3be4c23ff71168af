//! File content: small and large files, extent trees of every depth, and holes.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use detfs::ReadAt;
use detfs::ext4::{Options, Profile, plan};
use detfs::tree::HoleScan;
use detfs::tree::dir::{self, DirOptions};
use rustix::fs::{SeekFrom, seek};

use super::inspect::{block_of, extents, inode_field};
use super::sample::{Comb, Image, Sample, Solid, options, refusal};
use super::{BLOCK_SIZES, PROFILES};
use crate::oracle::{Mounted, grub_cmp};

/// Checks that a file has the expected content.
fn same(file: &Path, size: u64, content: &dyn ReadAt) {
    let read = File::open(file).unwrap();
    assert_eq!(read.metadata().unwrap().len(), size, "{file:?}");
    let (mut found, mut expected) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut at = 0;
    while at < size {
        let len = usize::try_from((size - at).min(1 << 16)).unwrap();
        ReadAt::read_exact_at(&read, at, &mut found[..len]).unwrap();
        content.read_exact_at(at, &mut expected[..len]).unwrap();
        assert!(found[..len] == expected[..len], "{file:?} differs behind {at}");
        at += len as u64;
    }
}

/// Writes content to a file on the host.
fn copy(content: &dyn ReadAt, size: u64, to: &Path) {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    content.read_exact_at(0, &mut bytes).unwrap();
    fs::write(to, bytes).unwrap();
}

#[test]
fn sizes_around_a_block() {
    for profile in PROFILES {
        for block_size in BLOCK_SIZES {
            let block = u64::from(block_size);
            let sizes = [0, 1, block - 1, block, block + 1, 2 * block, 5 * block - 1];
            let mut sample = Sample::new();
            for size in sizes {
                sample.content(&size.to_string(), size, Arc::new(Solid));
            }
            let image = Image::new(&sample.finish(), &Options { profile, block_size, ..options() });
            let look = |root: &Path| {
                sizes.iter().for_each(|&size| same(&root.join(size.to_string()), size, &Solid));
            };
            image.check_with_oracles(look).unwrap();
            for size in sizes {
                let path = format!("/{size}");
                let count = size.div_ceil(block);
                assert_eq!(inode_field(&image.path, &path, "Blockcount"), count * block / 512);
                let tail = size % block;
                if tail > 0 {
                    let last = block_of(&image.path, &path, count - 1);
                    let len = usize::try_from(block - tail).unwrap();
                    let slack = image.read(last * block + tail, len);
                    assert!(slack.iter().all(|&byte| byte == 0), "behind a file of {size} bytes");
                }
            }
        }
    }
}

/// An extent has at most 32,768 blocks, which are 128 MiB in blocks of 4 KiB.
#[test]
fn a_file_longer_than_an_extent() {
    let size = (128 << 20) + 4096;
    let mut sample = Sample::new();
    sample.content("large", size, Arc::new(Solid));
    let image = Image::new(&sample.finish(), &options());
    image.check_with_oracles(|root| same(&root.join("large"), size, &Solid)).unwrap();
    let list = extents(&image.path, "/large").list;
    assert!((2..=4).contains(&list.len()), "{list:?}");
    assert!(list.iter().all(|extent| extent.len <= 32_768), "{list:?}");
    let mut next = 0;
    for extent in &list {
        assert_eq!(extent.logical, next, "{list:?}");
        next += extent.len;
    }
    assert_eq!(next * 4096, size);
}

/// The inode holds 4 extents, and a block holds 84, 169 or 340. The root can refer to 4 blocks.
#[test]
#[ignore = "takes seconds"]
fn extent_trees_of_every_depth() {
    for (block_size, count, depth, index) in [
        (4096, 4, 0, 0),
        (4096, 5, 1, 1),
        (4096, 340, 1, 1),
        (4096, 341, 1, 2),
        (4096, 1360, 1, 4),
        (4096, 1361, 2, 1 + 5),
        (2048, 676, 1, 4),
        (2048, 677, 2, 1 + 5),
        (1024, 84, 1, 1),
        (1024, 85, 1, 2),
        (1024, 336, 1, 4),
        (1024, 337, 2, 1 + 5),
        (1024, 4 * 84 * 84 + 1, 3, 1 + 5 + 337),
    ] {
        // Only files of at least 64 KiB have holes.
        let size = Comb(count).len().max(64 << 10);
        let mut sample = Sample::new();
        sample.content("comb", size, Arc::new(Comb(count)));
        let tree = sample.finish();
        // Only in this profile are extents never split by other blocks of a group.
        let options = Options { block_size, profile: Profile::Ro, ..options() };
        let image = Image::new(&tree, &options);
        let found = extents(&image.path, "/comb");
        let case = format!("{count} extents in blocks of {block_size}");
        let cut = found.list.len() as u64 - count;
        assert!(cut == 0 || count > 10_000, "{case} are {}", found.list.len());
        assert_eq!(found.depth, depth, "{case}");
        assert!((index..=index + cut).contains(&(found.index.len() as u64)), "{case}: {found:?}");
        image.check_with_oracles(|root| same(&root.join("comb"), size, &Comb(count))).unwrap();
        let host = image.beside("comb");
        copy(&Comb(count), size, &host);
        grub_cmp(&image.path, "comb", &host).unwrap();
    }
}

/// File sizes at the limits, from sparse files on the host.
#[test]
fn files_of_terabytes() {
    const TIB: u64 = 1 << 40;
    let host = Mounted::new("tmpfs", "size=64m", None).unwrap();
    let last = 16 * TIB - 8192;
    let files: [(&str, u64, &[u64]); 4] = [
        ("beyond-2-TiB", 3 * TIB, &[4096, 2 * TIB - 4096, 2 * TIB + 4096, 3 * TIB - 4096]),
        ("largest", 16 * TIB - 4096, &[4096, TIB + 4096, last]),
        ("largest-with-a-last-byte", 16 * TIB - 4096, &[last]),
        ("largest-and-empty", 16 * TIB - 4096, &[]),
    ];
    for (name, size, data) in files {
        let file = File::create(host.path().join(name)).unwrap();
        file.set_len(size).unwrap();
        data.iter().for_each(|&at| file.write_all_at(b"data", at).unwrap());
    }
    let (tree, _) = dir::read(host.path(), &DirOptions::default()).unwrap();
    let tree = Arc::new(tree);
    let image = Image::new(&tree, &options());
    let look = |root: &Path| {
        for (name, size, data) in files {
            let file = File::open(root.join(name)).unwrap();
            let metadata = file.metadata().unwrap();
            assert_eq!(metadata.len(), size, "{name}");
            assert_eq!(metadata.blocks(), 8 * data.len() as u64, "{name}");
            let mut found = Vec::new();
            let mut at = 0;
            while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
                at = seek(&file, SeekFrom::Hole(start)).unwrap();
                found.extend((start..at).step_by(4096));
            }
            assert_eq!(found, data, "{name}");
            for &at in data {
                let mut bytes = vec![0; 4096];
                ReadAt::read_exact_at(&file, at, &mut bytes).unwrap();
                assert_eq!(bytes[..4], *b"data");
                assert!(bytes[4..].iter().all(|&byte| byte == 0));
            }
        }
    };
    image.check_with_oracles(look).unwrap();

    for (block_size, most) in [(1024, 4 * TIB - 1024), (2048, 8 * TIB - 2048)] {
        let options = Options { block_size, ..options() };
        for (size, fits) in [(most, true), (most + 1, false)] {
            let host = Mounted::new("tmpfs", "size=64m", None).unwrap();
            let file = File::create(host.path().join("file")).unwrap();
            file.set_len(size).unwrap();
            let (tree, _) = dir::read(host.path(), &DirOptions::default()).unwrap();
            let tree = Arc::new(tree);
            if fits {
                let look = |root: &Path| fs::metadata(root.join("file")).unwrap().len();
                assert_eq!(Image::new(&tree, &options).check_with_oracles(look).unwrap(), size);
            } else {
                let message = refusal(&tree, &options);
                assert!(message.starts_with("file: ") && message.contains(&most.to_string()));
            }
        }
    }
    let mut sample = Sample::new();
    sample.content("file", 16 * TIB - 4095, Arc::new(Solid));
    let tree = sample.finish();
    let message = plan(&tree, &HoleScan::default(), &options()).unwrap_err().to_string();
    assert!(message.starts_with("file: ") && message.contains("17592186040320"), "{message}");
}

/// Runs of zeros are not stored, except in the profile for boot loaders.
#[test]
fn holes_at_every_place() {
    const GRANULE: usize = 4096;
    let made = |data: &[usize]| {
        let mut bytes = vec![0; 20 * GRANULE];
        data.iter().for_each(|at| bytes[at * GRANULE + 17] = 1);
        bytes
    };
    // The number of stored granules. If the first of four granules has data, all four are stored.
    let files = [
        ("leading", made(&[19]), 1),
        ("interior", made(&[0, 1, 18, 19]), 4 + 2),
        ("trailing", made(&[0]), 4),
        ("alternating-data-first", made(&[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]), 20),
        ("alternating-zeros-first", made(&[1, 3, 5, 7, 9, 11, 13, 15, 17, 19]), 10),
        ("all", made(&[]), 0),
    ];
    for profile in PROFILES {
        for block_size in BLOCK_SIZES {
            let mut sample = Sample::new();
            for (name, bytes, _) in &files {
                sample.file(name, bytes.clone());
            }
            let image = Image::new(&sample.finish(), &Options { profile, block_size, ..options() });
            let look = |root: &Path| {
                for (name, bytes, _) in &files {
                    assert!(fs::read(root.join(name)).unwrap() == *bytes, "{name}");
                }
            };
            image.check_with_oracles(look).unwrap();
            for (name, bytes, data) in &files {
                let list = extents(&image.path, &format!("/{name}")).list;
                let stored = list.iter().map(|extent| extent.len).sum::<u64>();
                let stored = stored * u64::from(block_size) / GRANULE as u64;
                let boot = profile == Profile::Boot;
                assert_eq!(stored, if boot { 20 } else { *data }, "{name}");
                // GRUB can't read files that begin with a hole.
                if boot || bytes[17] == 1 {
                    let host = image.beside(name);
                    fs::write(&host, bytes).unwrap();
                    grub_cmp(&image.path, name, &host).unwrap();
                }
            }
        }
    }
}
