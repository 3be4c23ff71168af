//! Trees around each boundary of the format.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::image::{Image, check_with_oracles, scratch, tree};
use crate::oracle::{Comparison, shell, squashfs};
use crate::tree::Random;

fn check(tree: &Path) -> Image {
    shell("find $1 -exec touch -h -d @1600000000 {} +", &[tree]);
    check_with_oracles(tree, &[])
}

/// A header has at most 256 entries.
#[test]
fn directories_of_256_entries() {
    let source = scratch();
    for count in [1, 255, 256, 257, 512, 513] {
        let directory = source.path().join(count.to_string());
        fs::create_dir(&directory).unwrap();
        for number in 0..count {
            fs::write(directory.join(format!("{number:03}")), []).unwrap();
        }
    }
    check(source.path());
}

/// Listings around one, two and three metadata blocks: a header of 12 bytes, and entries of 8 bytes
/// and a name.
#[test]
fn listings_of_8_kib() {
    let source = scratch();
    for blocks in 1..4_usize {
        for delta in -14..=14_isize {
            let directory = source.path().join(format!("{blocks}.{delta}"));
            fs::create_dir(&directory).unwrap();
            let mut left = (blocks * 8192).checked_add_signed(delta - 12).unwrap();
            for number in 0.. {
                let len = left.clamp(8 + 4, 100 + 8) - 8;
                fs::write(directory.join(format!("{number:0len$}")), []).unwrap();
                left = left.saturating_sub(len + 8);
                if left == 0 {
                    break;
                }
            }
        }
    }
    check(source.path());
}

/// A directory whose index is long, and names of the greatest length.
#[test]
fn long_listings() {
    let source = scratch();
    let directory = source.path().join("many");
    fs::create_dir(&directory).unwrap();
    for number in 0..1500 {
        fs::write(directory.join(format!("{number:0255}")), []).unwrap();
    }
    let mixed = source.path().join("mixed");
    fs::create_dir(&mixed).unwrap();
    for number in 0..700 {
        match number % 3 {
            0 => fs::create_dir(mixed.join(number.to_string())).unwrap(),
            1 => fs::write(mixed.join(number.to_string()), "x").unwrap(),
            _ => symlink("x".repeat(number), mixed.join(number.to_string())).unwrap(),
        }
    }
    symlink("t".repeat(4095), source.path().join("long")).unwrap();
    check(source.path());
}

/// The numbers of two entries of a directory differ by 2^15 and more.
#[test]
fn distant_inode_numbers() {
    let source = tree(
        "mkdir a; ln -s . first; seq 40000 | (cd a && xargs -n 1000 touch); : >z
         ln first zz; for n in 7 40000; do ln a/$n link-$n; done",
    );
    check_with_oracles(source.path(), &[]);
}

#[test]
fn files_of_whole_blocks() {
    for block in [4096_u64, 131_072] {
        let source = scratch();
        let mut random = Random::new(block);
        for len in [0, 1, block - 1, block, block + 1, 2 * block - 1, 2 * block, 2 * block + 1] {
            let content = random.bytes(len);
            fs::write(source.path().join(format!("random-{len}")), &content).unwrap();
            let text = "text ".repeat(usize::try_from(len / 5 + 1).unwrap());
            let text = &text[..usize::try_from(len).unwrap()];
            fs::write(source.path().join(format!("text-{len}")), text).unwrap();
            fs::write(source.path().join(format!("zeros-{len}")), vec![0; content.len()]).unwrap();
        }
        shell("find $1 -exec touch -d @1600000000 {} +", &[source.path()]);
        let option = format!("--squashfs-block-size={block}");
        check_with_oracles(source.path(), &[&option]);
        check_with_oracles(source.path(), &[&option, "--no-fragments"]);
    }
}

/// A metadata block holds 512 fragments.
#[test]
fn blocks_of_512_fragments() {
    for count in [512, 513] {
        let source = scratch();
        for number in 0..count {
            fs::write(source.path().join(number.to_string()), Random::new(number).bytes(4095))
                .unwrap();
        }
        shell("find $1 -exec touch -d @1600000000 {} +", &[source.path()]);
        let image = check_with_oracles(source.path(), &["--squashfs-block-size=4096"]);
        let said = squashfs::stat(&image.path);
        assert!(said.contains(&format!("Number of fragments {count}\n")), "{said}");
    }
}

/// A metadata block holds 2048 ids, and 1024 references of the export table.
#[test]
fn blocks_of_2048_ids() {
    for count in [1023, 1024, 2047, 2048, 2049] {
        // The root belongs to user and group 0.
        let source = tree(&format!(
            "seq {} | xargs touch; for n in $(seq {}); do chown $n:$n $n; done",
            count - 1,
            count - 1
        ));
        let image = check_with_oracles(source.path(), &[]);
        let said = squashfs::stat(&image.path);
        for name in ["ids", "inodes"] {
            assert!(said.contains(&format!("Number of {name} {count}\n")), "{name}: {said}");
        }
    }
}

/// Sets that are shared, values that are stored out of line, and sets around the 512 that a
/// metadata block holds.
#[test]
fn extended_attributes() {
    let source = tree(
        "long=$(head -c 3000 /dev/zero | tr '\\0' x); mkdir d; ln -s . l; mkfifo p; mknod c c 1 3
         for n in a b c d l p; do
             [ -e $n ] || : >$n
             setfattr -h -n trusted.same -v \"$long\" $n; setfattr -h -n security.$n -v 1 $n
         done
         for n in e f; do : >$n; setfattr -n user.same -v \"$long\" $n; done
         for n in g h; do : >$n; setfattr -n user.empty $n; done",
    );
    let image = check_with_oracles(source.path(), &[]);
    let said = squashfs::stat(&image.path);
    assert!(said.contains("Number of xattr ids 8\n"), "{said}");
    for count in [511, 512, 513] {
        let script = "for n in $(seq COUNT); do : >$n; setfattr -n user.n -v value-$n $n; done";
        let source = tree(&script.replace("COUNT", &count.to_string()));
        let image = check_with_oracles(source.path(), &[]);
        let said = squashfs::stat(&image.path);
        assert!(said.contains(&format!("Number of xattr ids {count}\n")), "{said}");
    }
}

/// Content that starts beyond 4 GiB of the image.
#[test]
#[ignore = "deep: more than 4 GiB of content"]
fn deep_content_beyond_4_gib() {
    let source = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut random = Random::new(1);
    for number in 0..17 {
        fs::write(source.path().join(format!("{number:02}")), random.bytes(256 << 20)).unwrap();
    }
    shell("seq 100000 >$1/text; find $1 -exec touch -d @1600000000 {} +", &[source.path()]);
    let scratch = tempfile::tempdir_in("/var/tmp").unwrap();
    let image = scratch.path().join("image");
    let mut command = crate::detfs::mkfs("squashfs", source.path(), &image, 1_700_000_000, &[]);
    crate::detfs::succeed(command.arg("--compress=zstd:1"));
    let compare = |root: &Path| Comparison::exact().compare(source.path(), root);
    squashfs::mount_squashfs(&image, compare).unwrap().unwrap();
}
