//! Kernels read the images of the profiles that name them, and squashfs: what each kernel lists of
//! a mounted image is what is listed of the source.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::boot_files::{CANARY, MARKER, REFUSAL, packages_of};
use super::machine::{Outcome, boot_kernel};
use crate::detfs::{mkfs, succeed};
use crate::oracle::shell;

const EPOCH: i64 = 1_700_000_000;

/// Script that creates the tree: content that is compressed and that is not, holes, equal files,
/// files around the size of a block, many names, and all types of nodes.
const MAKE: &str = "
    umask 022; mkdir -p $1/many $1/deep/er; cd $1
    seq 500000 >large; cp large deep/equal; ln large deep/er/link; : >empty
    openssl enc -aes-128-ctr -K 00 -iv 00 </dev/zero 2>/dev/null | head -c 3000001 >random
    truncate -s 8M sparse; printf end >>sparse; head -c 5000000 /dev/zero >zeros
    for size in 1 4095 4096 4097 8191 65536 131072 131073; do head -c $size random >many/$size; head -c $size large >many/text-$size; done
    for n in $(seq 700); do echo $n >\"many/one of seven hundred files $n\"; done
    ln -s large short; ln -s $(printf 'long/%.0s' $(seq 80)) long
    mkfifo fifo; mknod null c 1 3; mknod disk b 259 1000; chmod 4755 many/4095; chmod 1777 deep
    chown 1000:100000 random; chown -h 70000:5 short
    find . -exec touch -h -d @1600000000 {} +; touch -d @1234567890 random";

/// Script that lists a tree for a comparison. $1: the busybox, $2: the tree.
const LIST: &str = "
    b=$1; cd $2
    {
        $b find . -type d -exec $b stat -c '%n %f %u %g %Y' {} +
        $b find . ! -type d -exec $b stat -c '%N %f %u %g %Y %h %s %t %T' {} +
        $b find . -type f -exec $b sha256sum {} +
    } | $b sort";

/// Script that creates the initrd.
///
/// $1: the packages, $2: a directory with the init, the scripts and lists, $3: the initrd. Modules
/// are loaded in the order of their dependencies.
const INITRD: &str = "
    umask 022; rm -rf $3.d; mkdir $3.d; cd $3.d; mkdir bin dev proc sys run mnt modules
    version=$(ls $1/lib/modules)
    depmod -b $1 $version
    for module in erofs squashfs; do
        modprobe -d $1 -S $version --show-depends $module 2>/dev/null
    done | awk '$1 == \"insmod\" && !seen[$2]++ { print $2 }' >$3.list
    number=100
    while read module; do
        case $module in *.xz) xz -dc $module;; *) cat $module;; esac >modules/$number.ko
        number=$((number + 1))
    done <$3.list
    cp $1/bin/busybox bin/; ln -s busybox bin/sh; cp $2/* .; chmod 755 init
    find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 >$3";

const INIT: &str = "#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
bad() { echo; echo REFUSAL $*; $b poweroff -f; $b sleep 999; }
for module in /modules/*; do $b insmod $module || bad $module; done
seen=0
for controller in /sys/class/nvme/*; do
    number=$($b tr -cd 0-9 <$controller/serial)
    format=$($b cat /format-$number)
    $b mount -t $format -o ro /dev/$($b basename $controller)n1 /mnt || bad mount $number
    $b sh /list $b /mnt >/run/list
    $b cmp /expected /run/list || bad image $number: $($b diff /expected /run/list | $b grep '^[-+][^-+]' | $b head -n 4)
    $b umount /mnt
    seen=$((seen + 1))
done
[ $seen = $($b ls / | $b grep -c ^format-) ] || bad $seen disks
echo; echo MARKER
$b poweroff -f
";

/// An image of the tree: the format and its options.
type Image = (&'static str, &'static [&'static str]);

/// squashfs with each codec, and with blocks of different sizes.
const SQUASHFS: [Image; 6] = [
    ("squashfs", &[]),
    ("squashfs", &["--compress=zstd"]),
    ("squashfs", &["--compress=lz4"]),
    ("squashfs", &["--compress=lz4:12", "--squashfs-block-size=1M"]),
    ("squashfs", &["--compress=xz"]),
    ("squashfs", &["--compress=gzip:1", "--squashfs-block-size=4K", "--no-fragments"]),
];

/// Creates the tree.
pub fn make_tree(tree: &Path) {
    fs::create_dir(tree).unwrap();
    fs::write(tree.join("canary"), format!("{CANARY}\n").repeat(2000)).unwrap();
    shell(MAKE, &[tree]);
}

/// Boots the kernel of a release with images of the tree.
fn read_by(release: &str, scratch: &Path, images: &[(Image, PathBuf)]) -> Outcome {
    let packages = packages_of(release);
    let [tree, files, list] = ["tree", "files", "files/list"].map(|name| scratch.join(name));
    let initrd = scratch.join(format!("initrd-{release}"));
    fs::create_dir(&files).unwrap();
    fs::write(&list, LIST).unwrap();
    let busybox = packages.join("bin/busybox");
    let expected = shell("$1 sh $2 $1 $3", &[&busybox, &list, &tree]);
    assert!(expected.lines().count() > 1400, "{expected}");
    fs::write(files.join("expected"), expected).unwrap();
    let init = INIT.replace("MARKER", MARKER).replace("REFUSAL", REFUSAL);
    fs::write(files.join("init"), init).unwrap();
    for (number, ((format, _), _)) in images.iter().enumerate() {
        fs::write(files.join(format!("format-{number}")), format).unwrap();
    }
    shell(INITRD, &[&packages, &files, &initrd]);
    fs::remove_dir_all(&files).unwrap();
    let kernel = shell("ls $1/boot/vmlinuz-*", &[&packages]);
    let disks: Vec<_> = images.iter().map(|(_, path)| path.clone()).collect();
    boot_kernel(Path::new(kernel.trim()), &initrd, &disks)
}

/// Writes images of the tree, and boots the kernel of a release with them.
fn check(release: &str, images: &[Image]) {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("tree");
    make_tree(&tree);
    let write = |(number, &image): (usize, &Image)| {
        let path = scratch.path().join(number.to_string());
        succeed(&mut mkfs(image.0, &tree, &path, EPOCH, image.1));
        (image, path)
    };
    let images: Vec<_> = images.iter().chain(&SQUASHFS).enumerate().map(write).collect();
    match read_by(release, scratch.path(), &images) {
        Outcome::Marker => {}
        other => panic!("{release}: {other:?}"),
    }

    // A changed byte of a file is found. The first ones may be in a block with the superblock.
    let (image, path) = &images[0];
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(CANARY.len()).rposition(|bytes| bytes == CANARY.as_bytes()).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(b"X", u64::try_from(at).unwrap()).unwrap();
    match read_by(release, scratch.path(), &[(*image, path.clone())]) {
        Outcome::Refused(line) => assert!(line.contains("canary"), "{line}"),
        other => panic!("{release}: {other:?}"),
    }
}

/// Linux 5.10 of Debian 11.
#[test]
#[ignore = "takes minutes"]
fn deep_linux_5_10_reads_its_images() {
    check(
        "bullseye",
        &[("erofs", &["--erofs-profile=linux-5.10"]), ("erofs", &["--erofs-profile=linux-5.4"])],
    );
}

/// Linux 6.1 of Debian 12.
#[test]
#[ignore = "takes minutes"]
fn deep_linux_6_1_reads_its_images() {
    check(
        "bookworm",
        &[
            ("erofs", &["--erofs-profile=linux-5.15"]),
            ("erofs", &["--erofs-profile=linux-5.15", "--dedup"]),
            ("erofs", &["--erofs-profile=linux-5.15", "--compress=lz4"]),
            ("erofs", &["--erofs-profile=linux-6.1", "--compress=lz4hc:12", "--dedup"]),
            ("erofs", &["--erofs-profile=linux-6.1", "--compress=lz4", "--fragments"]),
            ("erofs", &["--erofs-profile=linux-6.1", "--compress=lz4hc", "--fragments", "--dedup"]),
        ],
    );
}

/// Linux 6.12 of Debian 13, the first of Debian's with Zstandard in erofs.
#[test]
#[ignore = "takes minutes"]
fn deep_linux_6_12_reads_its_images() {
    check(
        "trixie",
        &[
            ("erofs", &["--dedup"]),
            ("erofs", &["--compress=zstd"]),
            ("erofs", &["--compress=zstd:19", "--fragments", "--dedup"]),
        ],
    );
}
