//! A disk whose `/usr` is a protected erofs boots: an initrd opens it by the halves of its root
//! hash, as systemd's generators do, and mounts it below a root that stays writable.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ROOT_UUID;
use super::boot_files::{CANARY, LINK, MAKE, packages, packages_of};
use super::verity::{INITRD, boots_only_unchanged, script};
use crate::detfs::{mkimage, succeed};
use crate::oracle::{partitions, shell};
use crate::tree::Random;

const EPOCH: i64 = 1_700_000_000;

/// Script that adds `/usr` to the tree of [`MAKE`].
const ADD_USR: &str = "
    umask 022; mkdir -p $1/usr/share; cd $1; mv many etc/large usr/share/; rm etc/hard etc/link
    find etc bin usr -type f ! -name sums -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >etc/sums";

const INITRD_INIT: &str = "#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
$b mkdir -p /run/cryptsetup
bad() { echo REFUSAL $* >/dev/ttyS0; $b poweroff -f; $b sleep 999; }
for module in /modules/*; do $b insmod $module; done
for word in $($b cat /proc/cmdline); do
    case $word in usrhash=*) hash=${word#usrhash=};; root=PARTUUID=*) root=${word#root=PARTUUID=};; esac
done
uuid() { echo $1 | $b sed 's/^\\(.\\{8\\}\\)\\(.\\{4\\}\\)\\(.\\{4\\}\\)\\(.\\{4\\}\\)/\\1-\\2-\\3-\\4-/'; }
data=$(uuid $(echo $hash | $b cut -c1-32)); tree=$(uuid $(echo $hash | $b cut -c33-64))
for second in 1 2 3 4 5 6 7 8 9 10; do
    root_device=$(/bin/blkid -t PARTUUID=$root -o device) && break
    $b sleep 1
done
data_device=$(/bin/blkid -t PARTUUID=$data -o device)
tree_device=$(/bin/blkid -t PARTUUID=$tree -o device)
/bin/veritysetup open $data_device usr $tree_device $hash || bad veritysetup
$b mount -t ext4 -o ro $root_device /root || bad mount root
$b mount -t erofs -o ro /dev/mapper/usr /root/usr || bad mount usr
exec $b switch_root /root /sbin/init
";

const INIT: &str = "#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev; mount -t tmpfs tmp /run
exec >/dev/ttyS0 2>&1
echo
bad() { echo REFUSAL $*; poweroff -f; sleep 999; }
cd /
grep -q '^/dev/mapper/usr /usr erofs ro,' /proc/mounts || bad $(grep usr /proc/mounts)
sha256sum -c etc/sums >/run/sums 2>&1 || bad $(grep -v ': OK' /run/sums)
[ $(ls usr/share/many | wc -l) = 3000 ] || bad many
mount -o remount,rw / || bad remount
echo written >etc/written || bad write
echo written 2>/dev/null >usr/written && bad writable
mount -o remount,ro / || bad remount-ro
echo MARKER
poweroff -f
";

/// Creates the tree and the hook, and returns their paths.
fn files(scratch: &Path, packages: &Path) -> (PathBuf, PathBuf) {
    let path = |name: &str| scratch.join(name);
    let (tree, hook) = (path("tree"), path("hook"));
    for directory in ["sbin", "usr"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    // It is not compressed, and takes blocks of its own.
    let canary = [CANARY.as_bytes(), &Random::new(7).bytes(1 << 16)].concat();
    fs::write(tree.join("usr/canary"), canary).unwrap();
    script(&tree.join("sbin/init"), INIT);
    shell(MAKE, &[packages, &tree]);
    shell(ADD_USR, &[&tree]);
    script(&path("init"), INITRD_INIT);
    shell(INITRD, &[packages, &path("init"), &path("initrd")]);
    script(&path("link"), &format!("#!/bin/sh\nset -e\n{LINK}"));
    script(
        &hook,
        &format!(
            "#!/bin/sh\nset -e; d=$(dirname $1); mkdir -p $d/efi/EFI/BOOT
            echo root=PARTUUID={ROOT_UUID} usrhash=$DETFS_USR_HASH console=ttyS0,115200 loglevel=4 panic=-1 mitigations=off >$d/cmdline
            {}/link {} $d $d/cmdline {}
            mv $d/efi/EFI/BOOT/BOOTX64.EFI $1",
            scratch.to_str().unwrap(),
            packages.to_str().unwrap(),
            path("initrd").to_str().unwrap()
        ),
    );
    (tree, hook)
}

/// Boots a disk with an erofs of these options by these packages, and a spoiled copy of it.
fn check(packages: &Path, options: &[&str]) {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, hook) = files(scratch.path(), packages);
    let image = scratch.path().join("image");
    let hook = format!("--uki-hook={}", hook.to_str().unwrap());
    let common = ["--verity", "--usr-fs=erofs", "--boot=uki", &hook, "--require-bootable"];
    let options = [&common[..], options, &["--headroom=8M", "--json"]].concat();
    let output = succeed(&mut mkimage(&tree, &image, EPOCH, &options));
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = partitions(&image, 512).unwrap();
    let [_, data, hash, _] = &*found else { panic!("{found:?}") };
    boots_only_unchanged(&image, data, hash, &manifest);
}

/// Debian 12's Linux 6.1 reads LZ4.
#[test]
#[ignore = "takes minutes"]
fn deep_a_protected_usr_of_lz4_boots() {
    check(&packages(), &["--erofs-profile=linux-6.1", "--compress=lz4hc", "--fragments"]);
}

/// Debian 13's Linux 6.12 reads Zstandard.
#[test]
#[ignore = "takes minutes"]
fn deep_a_protected_usr_of_zstd_boots() {
    check(&packages_of("trixie"), &["--compress=zstd"]);
}
