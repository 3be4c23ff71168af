//! Images at the limits of the format.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, seek};

use super::image::{Image, scratch, tree};
use crate::detfs::{mkfs, mkimage, succeed};
use crate::oracle::{Comparison, blkid, erofs, extract, partitions};
use crate::tree::{LATEST, Random, Stress, make, stress};
use crate::{KIB, MIB};

const PROFILES: [&str; 5] = ["linux-5.4", "linux-5.10", "linux-5.15", "linux-6.1", "linux-6.10"];

#[test]
fn a_tree_with_every_kind_of_node_is_what_it_was() {
    let source = scratch();
    make(source.path(), &stress(Stress { seed: 20, entries: 500, readable: false }), 0);
    for profile in PROFILES {
        let image = Image::checked(source.path(), &[&format!("--erofs-profile={profile}")]);
        // What a profile allows is used only where the tree needs it.
        let chunks = image.features().contains("chunked_file");
        assert!(!chunks || profile >= "linux-5.15", "{profile}");
    }
}

/// An empty root and its superblock share a block.
#[test]
fn an_empty_tree_takes_one_block() {
    let image = Image::checked(tree("").path(), &[]);
    assert_eq!(image.size(), 4 * KIB);
    assert_eq!(image.features(), "sb_csum mtime");
}

/// Files, directories and symlinks of all sizes around those at which their layout changes.
#[test]
fn tails_are_inline_wherever_they_fit() {
    let source = tree("");
    let mut random = Random::new(7);
    for len in [0, 1, 31, 32, 33, 2911, 2912, 2913, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192]
    {
        fs::write(source.path().join(format!("file-{len}")), random.bytes(len)).unwrap();
        let with_xattr = source.path().join(format!("xattr-{len}"));
        fs::write(&with_xattr, random.bytes(len)).unwrap();
        let value = vec![b'x'; usize::try_from(random.below(3000)).unwrap()];
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&with_xattr, "user.value", &value, flags).unwrap();
    }
    for len in [1, 59, 60, 4000, 4031, 4032, 4033, 4095] {
        std::os::unix::fs::symlink("t".repeat(len), source.path().join(format!("link-{len}")))
            .unwrap();
    }
    for count in [1, 2, 13, 14, 15, 16, 29, 30, 31, 300] {
        let directory = source.path().join(format!("directory-{count}"));
        fs::create_dir(&directory).unwrap();
        for number in 0..count {
            fs::write(directory.join(format!("{number:0>250}")), "").unwrap();
        }
    }
    // Names around those of the directory itself and its parent.
    for name in ["!", "+", ".-", "...", "..-", "..a", "A", "~"] {
        fs::write(source.path().join(name), name).unwrap();
    }
    Image::checked(source.path(), &[]);
}

#[test]
fn shared_and_long_extended_attributes_are_what_they_were() {
    let source = tree(
        "for i in $(seq 300); do : >$i; setfattr -n security.selinux -v system_u:object_r:usr_t $i
            setfattr -n user.number -v $((i % 5)) $i; done
        for i in $(seq 400); do setfattr -n trusted.many-$i -v common 1 2; done
        setfattr -n user.long -v $(head -c 60000 /dev/zero | tr '\\0' x) 3
        setfattr -n user.long -v $(head -c 60000 /dev/zero | tr '\\0' x) 4
        mkdir d; setfacl -m u:7:rx d; setfacl -d -m u:7:rx d",
    );
    Image::checked(source.path(), &[]);
}

/// The largest owners, counts and times are kept, and files without them have small inodes.
#[test]
fn inodes_are_compact_only_if_that_loses_nothing() {
    let make = |last: &str| {
        let script = format!(
            "seq -f %g 200 | xargs touch; {last}
            find . -exec touch -h -d @1600000000 {{}} +"
        );
        tree(&script)
    };
    let image_of = |source: &Path, epoch| {
        let scratch = scratch();
        let path = scratch.path().join("image");
        succeed(&mut mkfs("erofs", source, &path, epoch, &[]));
        erofs::check_image(&path, source, &Comparison::exact()).unwrap();
        fs::metadata(&path).unwrap().len()
    };
    let source = make("");
    let (compact, extended) =
        (image_of(source.path(), 1_600_000_000), image_of(source.path(), 1_600_000_001));
    // 201 inodes of 32 and of 64 bytes, and 4 KiB of names.
    assert_eq!((compact, extended), (12 * KIB, 20 * KIB));
    for last in ["chown 65536 1", "chgrp 4294967294 2", "truncate -s 4G 3"] {
        image_of(make(last).path(), 1_600_000_000);
    }
    let source = make("");
    crate::oracle::shell(
        "touch -d @1599999999.999999999 $1/1; touch -d @-5.5 $1/2",
        &[source.path()],
    );
    image_of(source.path(), 1_600_000_000);
}

/// Returns the ranges of data of a file.
fn data(file: &Path) -> Vec<(u64, u64)> {
    let file = File::open(file).unwrap();
    let (mut ranges, mut end) = (Vec::new(), 0);
    while let Ok(start) = seek(&file, SeekFrom::Data(end)) {
        end = seek(&file, SeekFrom::Hole(start)).unwrap();
        ranges.push((start, end));
    }
    ranges
}

#[test]
fn holes_stay_holes() {
    let source = tree("truncate -s 4M sparse; truncate -s 3G hole; truncate -s 300001 odd");
    let write = |name: &str, offset, len| {
        let file = File::options().write(true).open(source.path().join(name)).unwrap();
        file.write_all_at(&Random::new(offset).bytes(len), offset).unwrap();
    };
    write("sparse", 0, 16 * KIB);
    write("sparse", MIB, 16 * KIB);
    write("sparse", 4 * MIB - 4 * KIB, 4 * KIB);
    write("odd", 290_816, 300_001 - 290_816);
    let image = Image::checked(source.path(), &[]);
    assert_eq!(image.features(), "sb_csum mtime chunked_file");
    assert!(image.size() < 100 * KIB, "{}", image.size());
    let found = erofs::mount_erofs(&image.path, |root| {
        ["sparse", "hole", "odd"].map(|name| data(&root.join(name)))
    });
    let sparse = vec![(0, 16 * KIB), (MIB, MIB + 16 * KIB), (4 * MIB - 4 * KIB, 4 * MIB)];
    assert_eq!(found.unwrap(), [sparse, vec![], vec![(290_816, 300_001)]]);
    // Kernels before 5.15 read zeros.
    fs::remove_file(source.path().join("hole")).unwrap();
    let plain = Image::checked(source.path(), &["--erofs-profile=linux-5.10"]);
    assert_eq!(plain.features(), "sb_csum mtime");
    assert!(plain.size() > 4 * MIB);
}

/// A given size is that of the image, and the file system is as small as without it.
#[test]
fn free_space_comes_after_the_file_system() {
    let source = tree("seq 1000 >file");
    let smallest = Image::checked(source.path(), &[]);
    let larger = Image::checked(source.path(), &["--size=1M"]);
    assert_eq!(larger.size(), MIB);
    let (smallest, larger) = (fs::read(&smallest.path).unwrap(), fs::read(&larger.path).unwrap());
    assert!(larger.starts_with(&smallest));
    assert!(larger[smallest.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn label_and_uuid_are_those_that_were_requested() {
    let source = tree("");
    let uuid = "01234567-89ab-4cde-8f01-23456789abcd";
    let image = Image::checked(source.path(), &["--uuid", uuid, "--label=sixteen-bytes-ab"]);
    for (field, value) in [("UUID", uuid), ("LABEL", "sixteen-bytes-ab"), ("TYPE", "erofs")] {
        assert_eq!(blkid(&image.path)[field], value);
    }
}

#[test]
fn a_disk_has_an_erofs_as_its_root() {
    let source = tree("mkdir -p efi/EFI usr/bin; echo x >efi/EFI/x; seq 9999 >usr/bin/file");
    let scratch = scratch();
    let (out, root) = (scratch.path().join("image"), scratch.path().join("root"));
    succeed(&mut mkimage(source.path(), &out, LATEST, &["--fs=erofs", "--architecture=x86-64"]));
    let partitions = partitions(&out, 512).unwrap();
    extract(&out, &partitions[1], &root);
    erofs::check_image(&root, source.path(), &Comparison::exact().hollow("efi")).unwrap();
    assert_eq!(blkid(&root)["LABEL"], "root-x86-64");
}
