//! Small images before e2fsck.

use std::process::Command;
use std::sync::Arc;

use uuid::Uuid;

use super::{Options, Profile, plan};
use crate::size::Headroom;
use crate::time::Timestamp;
use crate::tree::{Metadata, Node, Survey, Tree, TreeBuilder, Xattr};

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

/// Runs `e2fsck -fn`; it must say nothing but its passes and the summary.
fn check(image: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, image).unwrap();
    let output = Command::new("e2fsck").arg("-fn").arg(file.path()).output().expect("e2fsck");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let noise = |line: &&str| !line.starts_with("Pass ") && !line.contains(" files (");
    let complaints: Vec<&str> = text.lines().filter(noise).collect();
    assert!(output.status.success() && complaints.is_empty(), "{text}");
    assert_eq!(text.lines().count(), 6, "{text}");
}

fn image(tree: &Arc<Tree>, options: &Options) -> Vec<u8> {
    plan(tree, &Survey::default(), options).unwrap().layout.seal().to_bytes()
}

#[test]
fn every_profile_and_block_size_is_clean() {
    for profile in [Profile::Default, Profile::Modern, Profile::Boot, Profile::Ro] {
        for block_size in [1024, 2048, 4096] {
            for headroom in [None, Some(Headroom::Bytes(0))] {
                for files in [0, 1, 100, 2000] {
                    let options = Options { profile, block_size, headroom, ..options() };
                    println!("{profile:?} {block_size} {headroom:?} {files}");
                    check(&image(&tree(files), &options));
                }
            }
        }
    }
}
