//! Checks of small images with e2fsck.

use std::process::Command;
use std::sync::Arc;

use uuid::Uuid;

use super::{Options, Profile, plan};
use crate::size::Headroom;
use crate::size::typed;
use crate::time::Timestamp;
use crate::tree::{FileFlags, HoleScan, Metadata, Node, Tree, TreeBuilder, Xattr};

fn options() -> Options {
    Options {
        uuid: Uuid::from_u128(0x1234_5678),
        hash_seed: Uuid::from_u128(0x9abc),
        label: b"root".to_vec(),
        epoch: Timestamp::from_seconds(1_700_000_000),
        block_size: 4096,
        profile: Profile::Default,
        size: None,
        headroom: None,
        multiple: 1 << 20,
        grow_to: None,
        inodes: None,
    }
}

fn metadata(mode: u16) -> Metadata {
    Metadata { mode, mtime: Timestamp::from_seconds(1_600_000_000), ..Metadata::default() }
}

fn tree(files: usize) -> Arc<Tree> {
    let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
    for index in 0..files {
        let bytes = vec![b'x'; index * 37 % 9000];
        let size = bytes.len() as u64;
        let content = builder.content(Arc::new(bytes)).unwrap();
        let mut data = metadata(0o644);
        if index % 3 == 0 {
            data.xattrs = vec![Xattr { name: b"user.k".to_vec(), value: vec![1; index % 200] }];
        }
        let name = format!("file-{index}");
        builder
            .add(TreeBuilder::ROOT, name.as_bytes(), data, Node::File { size, content })
            .unwrap();
    }
    Arc::new(builder.finish().unwrap())
}

/// Runs `e2fsck -fn`, which must print only its passes and the summary.
fn check(image: &[u8], case: &str) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, image).unwrap();
    let output = Command::new("e2fsck").arg("-fn").arg(file.path()).output().expect("e2fsck");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let noise = |line: &&str| !line.starts_with("Pass ") && !line.contains(" files (");
    let complaints: Vec<&str> = text.lines().filter(noise).collect();
    assert!(output.status.success() && complaints.is_empty(), "{case}: {text}");
    assert_eq!(text.lines().count(), 6, "{case}: {text}");
}

fn image(tree: &Arc<Tree>, options: &Options) -> Vec<u8> {
    plan(tree, &HoleScan::default(), options).unwrap().layout.seal().to_bytes()
}

#[test]
fn every_profile_and_block_size_is_clean() {
    for profile in [Profile::Default, Profile::Modern, Profile::Boot, Profile::Ro] {
        for block_size in [1024, 2048, 4096] {
            for headroom in [None, Some(Headroom::Bytes(0))] {
                for files in [0, 1, 100, 2000] {
                    let options = Options { profile, block_size, headroom, ..options() };
                    let case = format!("{profile:?} {block_size} {headroom:?} {files}");
                    check(&image(&tree(files), &options), &case);
                }
            }
        }
    }
}

#[test]
fn the_smallest_size_fits_and_one_block_less_is_refused() {
    for profile in [Profile::Default, Profile::Modern, Profile::Ro] {
        for block_size in [1024, 4096] {
            for files in [0, 100, 3000] {
                let tree = tree(files);
                let exact = Options {
                    profile,
                    block_size,
                    headroom: Some(Headroom::Bytes(0)),
                    // Otherwise, a small file system of a given size has fewer.
                    inodes: Some(4000),
                    ..options()
                };
                let smallest = plan(&tree, &HoleScan::default(), &exact).unwrap().layout;
                let size = smallest.size();
                let fixed = |size| Options { size: Some(size), ..exact.clone() };
                let again = plan(&tree, &HoleScan::default(), &fixed(size)).unwrap().layout;
                assert!(smallest.seal().to_bytes() == again.seal().to_bytes(), "{size}");
                let less = fixed(size - u64::from(block_size));
                let error = plan(&tree, &HoleScan::default(), &less).unwrap_err().to_string();
                assert!(error.contains("too small (1 block of"), "{error}");
                assert!(error.ends_with(&format!("use at least {}", typed(size))), "{error}");
            }
        }
    }
}

/// The last group is as short as possible, and superblock copies are in the way of tables.
#[test]
#[ignore = "takes seconds"]
fn sizes_around_group_boundaries_are_clean() {
    let tree = tree(300);
    let group = 8192;
    let options = Options { block_size: 1024, ..options() };
    for groups in [1, 2, 3, 9, 16, 17, 25] {
        for extra in [0, 1, 3, 200, group - 1] {
            for profile in [Profile::Default, Profile::Ro] {
                let size = Some((1 + groups * group + extra) * 1024);
                let case = format!("{groups} groups and {extra} blocks, {profile:?}");
                check(&image(&tree, &Options { size, profile, ..options.clone() }), &case);
            }
        }
    }
}

#[test]
fn options_out_of_range_are_refused() {
    let tree = tree(3);
    let extremes = [u64::MAX, u64::MAX >> 1, u64::MAX >> 9, 1 << 55];
    let mut cases: Vec<(String, Options)> = Vec::new();
    let mut case = |name: String, change: &dyn Fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        cases.push((name, options));
    };
    case("nanoseconds".into(), &|options| options.epoch.nanoseconds = 1_000_000_000);
    for extreme in extremes {
        for block_size in [1024, 4096] {
            let name = |what| format!("{what} of {extreme} with blocks of {block_size}");
            case(name("size"), &|options| {
                *options = Options { block_size, size: Some(extreme), ..options.clone() };
            });
            case(name("headroom"), &|options| {
                let headroom = Some(Headroom::Bytes(extreme));
                *options = Options { block_size, headroom, ..options.clone() };
            });
            case(name("multiple"), &|options| {
                *options = Options { block_size, multiple: extreme, ..options.clone() };
            });
        }
    }
    for (name, options) in cases {
        let error = plan(&tree, &HoleScan::default(), &options).expect_err(&name).to_string();
        assert!(!error.contains("too small"), "{name}: {error}");
    }
}

/// The inodes for a very large headroom are given up for the tree in few steps.
#[test]
fn a_fixed_size_is_found_soon_whatever_the_headroom() {
    let tree = tree(3);
    for size in [1 << 20, 3 << 20, 64 << 20] {
        for headroom in [1 << 44, 1 << 55, u64::MAX] {
            let of = |headroom| {
                let headroom = Some(Headroom::Bytes(headroom));
                plan(
                    &tree,
                    &HoleScan::default(),
                    &Options { size: Some(size), headroom, ..options() },
                )
                .unwrap()
            };
            assert_eq!(of(headroom).layout.seal().size(), size, "{headroom}");
        }
    }
}

#[test]
fn flags_are_for_files_and_directories() {
    for (node, kept) in [
        (Node::Directory, true),
        (Node::Fifo, false),
        (Node::Symlink(b"target".to_vec()), false),
        (Node::CharDevice(1, 3), false),
    ] {
        for flags in FileFlags::all() {
            let case = format!("{node:?} {flags:?}");
            let mut builder = TreeBuilder::new(metadata(0o755)).unwrap();
            let data = Metadata { flags, ..metadata(0o644) };
            builder.add(TreeBuilder::ROOT, b"node", data, node.clone()).unwrap();
            let tree = Arc::new(builder.finish().unwrap());
            match kept || !(FileFlags::IMMUTABLE | FileFlags::APPEND).contains(flags) {
                true => check(&image(&tree, &options()), &case),
                false => {
                    let error = plan(&tree, &HoleScan::default(), &options()).expect_err(&case);
                    assert!(error.to_string().starts_with("node: "), "{error}");
                }
            }
        }
    }
}
