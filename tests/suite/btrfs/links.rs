//! Hard links up to their limit, long names and long symlink targets.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::image::{Image, check_with_oracles, everything, mkfs_btrfs, tree};
use super::inspect::items;
use crate::oracle::btrfs::{DumpedTrees, session};
use crate::oracle::{Mounted, grub_cmp, shell};

/// Creates a file with `links` names, half of them in one directory and the rest in many.
fn linked(links: usize) -> Mounted {
    let host = Mounted::new("tmpfs", "size=1g,nr_inodes=200000", None).unwrap();
    let first = host.path().join("first");
    fs::write(&first, "x").unwrap();
    for directory in 0..10 {
        fs::create_dir(host.path().join(directory.to_string())).unwrap();
    }
    for link in 1..links {
        let directory = if link < links / 2 { 0 } else { link % 10 };
        let name = format!("{directory}/{}-{link}", "l".repeat(link % 40));
        fs::hard_link(&first, host.path().join(name)).unwrap();
    }
    host
}

/// The link count is limited because the run time of btrfs check is quadratic in it.
#[test]
fn many_links() {
    let image = check_with_oracles(linked(7000).path(), &[]);
    assert!(items(&image.path, "fs", "INODE_EXTREF") > 1000);
}

#[test]
#[ignore = "takes minutes"]
fn more_links_are_checked() {
    check_with_oracles(linked(30_000).path(), &[]);
}

/// The maximum number of links of an inode, and one more.
#[test]
#[ignore = "takes seconds"]
fn the_most_links() {
    let host = linked(65_535);
    let first = host.path().join("first");
    let image = Image::new(host.path(), &[]);
    DumpedTrees::read(&image.path).unwrap().sound().unwrap();
    image.mounted(|root| everything().compare(host.path(), root)).unwrap();
    image.mounted(|root| assert_eq!(fs::metadata(root.join("first")).unwrap().nlink(), 65_535));
    let beyond = items(&image.path, "fs", "INODE_EXTREF");
    assert!(beyond > 50_000, "{beyond}");
    let script = "cd $1; ! ln first one-more 2>/dev/null; rm -r 3; ln first one-more";
    session(&image.path, "rw", |root| shell(script, &[root])).unwrap();

    fs::hard_link(&first, host.path().join("one-too-many")).unwrap();
    let out = image.beside("refused");
    let output = mkfs_btrfs(host.path(), &out, &[]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("65536") && message.contains("65535"), "{message}");
}

/// An inode reference item that fills a leaf, and the references that overflow it.
#[test]
fn references_that_fill_an_item() {
    // Each entry takes 10 bytes and the name. Entries of 10 + 240 bytes fit 65 times into 16,258
    // bytes.
    for (count, beyond) in [(64, 0), (65, 0), (66, 1), (70, 5)] {
        let source = tree(": >000");
        for link in 0..count {
            let name = format!("{link:03}-{}", "l".repeat(236));
            fs::hard_link(source.path().join("000"), source.path().join(name)).unwrap();
        }
        fs::remove_file(source.path().join("000")).unwrap();
        let image = check_with_oracles(source.path(), &[]);
        assert_eq!(items(&image.path, "fs", "INODE_EXTREF"), beyond, "{count}");
    }
}

#[test]
fn links_of_everything_that_has_them() {
    let source = tree(
        "mkdir a b; mkfifo a/fifo; mknod a/char c 4095 1048575; ln -s target a/link; seq 9 >a/file
        for name in fifo char link file; do ln -P a/$name b/$name; ln -P a/$name $name; done
        for n in $(seq 10 99); do echo $n >a/$n; ln a/$n b/$((110 - n)); done",
    );
    check_with_oracles(source.path(), &[]);
}

#[test]
fn long_names_and_targets() {
    let source = tree(":");
    for at in 0..200 {
        let name = format!("{at:03}-{}", "n".repeat(251));
        fs::write(source.path().join(&name), name).unwrap();
    }
    for len in [1, 2047, 2048, 2049, 3949, 3950, 4094, 4095] {
        symlink("t".repeat(len), source.path().join(format!("link-{len}"))).unwrap();
    }
    for options in [&[][..], &["--btrfs-max-inline=0", "--compress=zstd"]] {
        let image = check_with_oracles(source.path(), options);
        let name = format!("{:03}-{}", 7, "n".repeat(251));
        grub_cmp(&image.path, &name, &source.path().join(&name)).unwrap();
    }
    // Not all targets fit into a leaf of 4096 bytes.
    let image = Image::new(source.path(), &[]);
    let out = image.beside("refused");
    let small = ["--btrfs-node-size=4096"];
    let output = mkfs_btrfs(source.path(), &out, &small).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("link-") && message.contains("node-size"), "{message}");
    for len in [3950, 4094, 4095] {
        fs::remove_file(source.path().join(format!("link-{len}"))).unwrap();
    }
    check_with_oracles(source.path(), &small);
}

#[test]
#[ignore = "takes seconds"]
fn many_names_in_a_directory() {
    let source = tree("mkdir many; cd many; seq 20000 | xargs touch -d @1600000000");
    for options in [&[][..], &["--btrfs-node-size=4096"]] {
        let image = check_with_oracles(source.path(), options);
        image.mounted(|root| {
            // Entries are listed in the byte order of their names.
            let names = |at: &Path| {
                let list = fs::read_dir(at).unwrap();
                list.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
            };
            assert!(names(&root.join("many")).is_sorted());
        });
    }
}
