//! Golden hashes of images: a change of any byte of them is a change of the version of a component.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::detfs::{mkfs, mkimage, succeed};
use crate::oracle::sha256;
use crate::tree::{LATEST, Stress, add_efi, make, stress};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/golden/layout-1.txt");

/// Environment variable that makes the test record the current hashes. This is a decision on the
/// layout, whose reason the commit states.
const BLESS: &str = "DETFS_BLESS";

const SUBVOLUMES: [&str; 5] = [
    "--headroom=0",
    "--subvolume=nested:ro",
    "--subvolume=sparse:nodatacow",
    "--default-subvolume=sparse",
    "--swapfile=swapfile:16M",
];

#[test]
fn layout_1_is_what_it_was() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = |name: &str, fill: &dyn Fn(&Path)| {
        let tree = scratch.path().join(name);
        fs::create_dir(&tree).unwrap();
        fill(&tree);
        tree
    };
    let empty = tree("empty", &|root| {
        let mut plan = stress(Stress { seed: 0, entries: 0, readable: false });
        plan.truncate(1);
        make(root, &plan, 0);
    });
    let small = tree("small", &|root| {
        make(root, &stress(Stress { seed: 10, entries: 300, readable: false }), 0);
        add_efi(root);
    });
    let large = tree("large", &|root| {
        make(root, &stress(Stress { seed: 11, entries: 3000, readable: false }), 0);
    });
    let esp = small.join("efi");
    let x86 = "--architecture=x86-64";
    let out = |name: &str| scratch.path().join(name);
    let disk = |tree: &Path, options: &[&str]| {
        let out = out("image");
        (mkimage(tree, &out, LATEST, options), out)
    };
    let bare = |format: &str, tree: &Path, options: &[&str]| {
        let out = out("image");
        (mkfs(format, tree, &out, LATEST, options), out)
    };
    // squashfs can't store the latest time of the trees.
    let squashfs = |tree: &Path, options: &[&str]| {
        let out = out("image");
        (mkfs("squashfs", tree, &out, 4_000_000_000, options), out)
    };
    let mut hashes = BTreeMap::new();
    for (name, (mut command, out)) in [
        ("ext4 empty", bare("ext4", &empty, &[])),
        ("ext4 small default", bare("ext4", &small, &[])),
        ("ext4 small modern", bare("ext4", &small, &["--ext4-profile=modern"])),
        ("ext4 small boot", bare("ext4", &small, &["--ext4-profile=boot"])),
        ("ext4 small ro", bare("ext4", &small, &["--ext4-profile=ro"])),
        ("ext4 small exact", bare("ext4", &small, &["--headroom=0"])),
        ("ext4 large default", bare("ext4", &large, &[])),
        ("ext4 large modern", bare("ext4", &large, &["--ext4-profile=modern"])),
        ("btrfs empty", bare("btrfs", &empty, &[])),
        ("btrfs small", bare("btrfs", &small, &[])),
        ("btrfs small exact", bare("btrfs", &small, &["--headroom=0"])),
        ("btrfs small old", bare("btrfs", &small, &["--headroom=0", "--btrfs-compat=old"])),
        ("btrfs small single", bare("btrfs", &small, &["--headroom=0", "--btrfs-metadata=single"])),
        ("btrfs small xxhash", bare("btrfs", &small, &["--headroom=0", "--btrfs-checksum=xxhash"])),
        ("btrfs small sha256", bare("btrfs", &small, &["--headroom=0", "--btrfs-checksum=sha256"])),
        (
            "btrfs small blake2b",
            bare("btrfs", &small, &["--headroom=0", "--btrfs-checksum=blake2b"]),
        ),
        (
            "btrfs small 64K nodes",
            bare("btrfs", &small, &["--headroom=0", "--btrfs-node-size=65536"]),
        ),
        ("btrfs small zstd", bare("btrfs", &small, &["--headroom=0", "--compress=zstd"])),
        ("btrfs small zstd:15", bare("btrfs", &small, &["--headroom=0", "--compress=zstd:15"])),
        ("btrfs small zlib", bare("btrfs", &small, &["--headroom=0", "--compress=zlib"])),
        ("btrfs small lzo", bare("btrfs", &small, &["--headroom=0", "--compress=lzo"])),
        ("btrfs small dedup", bare("btrfs", &small, &["--headroom=0", "--dedup"])),
        ("btrfs small subvolumes", bare("btrfs", &small, &SUBVOLUMES)),
        ("btrfs large", bare("btrfs", &large, &[])),
        (
            "btrfs large zstd dedup",
            bare("btrfs", &large, &["--headroom=0", "--compress=zstd", "--dedup"]),
        ),
        ("disk small btrfs", disk(&small, &[x86, "--fs=btrfs", "--compress=zstd:1"])),
        ("disk small bios", disk(&small, &[x86, "--fs=btrfs", "--bios-boot"])),
        ("erofs empty", bare("erofs", &empty, &[])),
        ("erofs small", bare("erofs", &small, &[])),
        ("erofs small linux-5.4", bare("erofs", &small, &["--erofs-profile=linux-5.4"])),
        ("erofs small zstd", bare("erofs", &small, &["--compress=zstd"])),
        ("erofs small lz4", bare("erofs", &small, &["--compress=lz4"])),
        (
            "erofs small lz4hc linux-5.15",
            bare("erofs", &small, &["--compress=lz4hc", "--erofs-profile=linux-5.15"]),
        ),
        ("erofs large", bare("erofs", &large, &[])),
        ("erofs large zstd dedup", bare("erofs", &large, &["--compress=zstd", "--dedup"])),
        (
            "erofs large zstd dedup fragments",
            bare("erofs", &large, &["--compress=zstd", "--dedup", "--fragments"]),
        ),
        (
            "erofs large lz4 fragments 16K",
            bare("erofs", &large, &["--compress=lz4", "--fragments", "--erofs-cluster-size=16K"]),
        ),
        ("erofs large dedup 8K", bare("erofs", &large, &["--dedup", "--erofs-cluster-size=8K"])),
        ("disk small erofs", disk(&small, &[x86, "--fs=erofs"])),
        ("squashfs empty", squashfs(&empty, &[])),
        ("squashfs small", squashfs(&small, &[])),
        ("squashfs small gzip:1", squashfs(&small, &["--compress=gzip:1"])),
        ("squashfs small no fragments", squashfs(&small, &["--no-fragments"])),
        ("squashfs small lz4", squashfs(&small, &["--compress=lz4"])),
        ("squashfs small lz4:12", squashfs(&small, &["--compress=lz4:12"])),
        ("squashfs small xz", squashfs(&small, &["--compress=xz"])),
        ("squashfs small zstd", squashfs(&small, &["--compress=zstd"])),
        (
            "squashfs small zstd:3 1M",
            squashfs(&small, &["--compress=zstd:3", "--squashfs-block-size=1M"]),
        ),
        ("squashfs large 4K", squashfs(&large, &["--squashfs-block-size=4K"])),
        ("vfat esp", bare("vfat", &esp, &[])),
        ("disk small 512", disk(&small, &[x86])),
        ("disk small 4096", disk(&small, &[x86, "--sector-size=4096"])),
        ("disk small esp 33M", disk(&small, &[x86, "--esp-size=33M"])),
        ("disk small grow-to 16G", disk(&small, &[x86, "--grow-to=16G"])),
        ("disk small 256M", disk(&small, &[x86, "--size=256M"])),
        ("disk small label", disk(&small, &[x86, "--label=test"])),
        ("disk large", disk(&large, &[x86])),
    ] {
        succeed(&mut command);
        hashes.insert(name, sha256(&out));
        fs::remove_file(&out).unwrap();
    }
    let mut now = String::new();
    for (name, hash) in &hashes {
        writeln!(now, "{hash}  {name}").unwrap();
    }
    if std::env::var_os(BLESS).is_some() {
        fs::write(FILE, &now).unwrap();
    }
    let golden = fs::read_to_string(FILE).unwrap_or_default();
    assert!(golden == now, "{FILE} says\n{golden}but the images are\n{now}");
}
