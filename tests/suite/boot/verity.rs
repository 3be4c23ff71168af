//! A protected root boots: a hook builds the kernel's image with the root hash and with an initrd
//! that opens the partitions by its halves, as systemd's generators do, and the kernel verifies
//! each block of the root that it reads.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::boot_files::{CANARY, LINK, MAKE, MARKER, REFUSAL, packages};
use super::machine::{Outcome, boot};
use crate::detfs::{mkimage, succeed};
use crate::oracle::{Partition, extract, partitions, shell, verity};

const EPOCH: i64 = 1_700_000_000;

/// Script that creates the initrd.
///
/// $1: the packages, $2: the init of the initrd, $3: the initrd. Modules are loaded in the order of
/// their dependencies.
pub const INITRD: &str = "
    umask 022; mkdir $3.d; cd $3.d; mkdir bin dev proc sys run root modules
    version=$(ls $1/lib/modules)
    depmod -b $1 $version
    for module in dm-verity sha256 erofs; do
        modprobe -d $1 -S $version --show-depends $module 2>/dev/null
    done | awk '$1 == \"insmod\" && !seen[$2]++ { print $2 }' >$3.list
    number=100
    while read module; do
        case $module in *.xz) xz -dc $module;; *) cat $module;; esac >modules/$number.ko
        number=$((number + 1))
    done <$3.list
    for program in veritysetup blkid; do
        cp $(command -v $program) bin/
        ldd bin/$program | grep -o '/[^ ]*' | while read library; do cp --parents -L $library .; done
    done
    cp $1/bin/busybox bin/; ln -s busybox bin/sh; install -m 755 $2 init
    find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 >$3";

const INITRD_INIT: &str = "#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
$b mkdir -p /run/cryptsetup
bad() { echo REFUSAL $* >/dev/ttyS0; $b poweroff -f; $b sleep 999; }
for module in /modules/*; do $b insmod $module; done
for word in $($b cat /proc/cmdline); do
    case $word in roothash=*) hash=${word#roothash=};; root=*) bad $word;; esac
done
uuid() { echo $1 | $b sed 's/^\\(.\\{8\\}\\)\\(.\\{4\\}\\)\\(.\\{4\\}\\)\\(.\\{4\\}\\)/\\1-\\2-\\3-\\4-/'; }
data=$(uuid $(echo $hash | $b cut -c1-32)); tree=$(uuid $(echo $hash | $b cut -c33-64))
for second in 1 2 3 4 5 6 7 8 9 10; do
    data_device=$(/bin/blkid -t PARTUUID=$data -o device) && break
    $b sleep 1
done
tree_device=$(/bin/blkid -t PARTUUID=$tree -o device)
/bin/veritysetup open $data_device root $tree_device $hash || bad veritysetup
$b mount -t ext4 -o ro /dev/mapper/root /root || bad mount
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
grep -q '^/dev/mapper/root / ext4 ro,' /proc/mounts || bad $(grep ' / ' /proc/mounts)
sha256sum -c etc/sums >/run/sums 2>&1 || bad $(grep -v ': OK' /run/sums)
mount -o remount,rw / 2>/dev/null && bad remount
echo MARKER
poweroff -f
";

/// Writes an executable script.
pub fn script(path: &Path, text: &str) {
    let text = text.replace("MARKER", MARKER).replace("REFUSAL", REFUSAL);
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Creates the tree and the hook, and returns their paths.
fn files(scratch: &Path) -> (PathBuf, PathBuf) {
    let packages = packages();
    let path = |name: &str| scratch.join(name);
    let (tree, hook) = (path("tree"), path("hook"));
    fs::create_dir_all(tree.join("etc")).unwrap();
    fs::create_dir_all(tree.join("sbin")).unwrap();
    fs::write(tree.join("etc/canary"), format!("{CANARY}\n")).unwrap();
    script(&tree.join("sbin/init"), INIT);
    shell(MAKE, &[&packages, &tree]);
    script(&path("init"), INITRD_INIT);
    shell(INITRD, &[&packages, &path("init"), &path("initrd")]);
    script(&path("link"), &format!("#!/bin/sh\nset -e\n{LINK}"));
    script(
        &hook,
        &format!(
            "#!/bin/sh\nset -e; d=$(dirname $1); mkdir -p $d/efi/EFI/BOOT
            echo roothash=$DETFS_ROOT_HASH console=ttyS0,115200 loglevel=4 panic=-1 mitigations=off >$d/cmdline
            {}/link {} $d $d/cmdline {}
            mv $d/efi/EFI/BOOT/BOOTX64.EFI $1",
            scratch.to_str().unwrap(),
            packages.to_str().unwrap(),
            path("initrd").to_str().unwrap()
        ),
    );
    (tree, hook)
}

#[test]
#[ignore = "takes minutes"]
fn deep_a_protected_root_boots() {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, hook) = files(scratch.path());
    let image = scratch.path().join("image");
    let hook = format!("--uki-hook={}", hook.to_str().unwrap());
    let options = ["--verity", "--boot=uki", &hook, "--require-bootable", "--json"];
    let output = succeed(&mut mkimage(&tree, &image, EPOCH, &options));
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = partitions(&image, 512).unwrap();
    let [_, data, hash] = &*found else { panic!("{found:?}") };
    boots_only_unchanged(&image, data, hash, &manifest);
}

/// Checks the hash tree of a protected file system, that the image boots, and that a changed byte
/// of the file with [`CANARY`] is refused.
pub(super) fn boots_only_unchanged(
    image: &Path,
    data: &Partition,
    hash: &Partition,
    manifest: &Value,
) {
    let scratch = tempfile::tempdir().unwrap();
    let [data_file, hash_file] = ["data", "hash"].map(|name| scratch.path().join(name));
    extract(image, data, &data_file);
    extract(image, hash, &hash_file);
    let root_hash = manifest["verity"]["root_hash"].as_str().unwrap();
    verity::verify(&data_file, &hash_file, root_hash).unwrap();
    match boot(image, &[]) {
        Outcome::Marker => {}
        other => panic!("{other:?}"),
    }

    // A changed byte of a file, whose block the kernel then refuses to read.
    let bytes = fs::read(&data_file).unwrap();
    let at = bytes.windows(CANARY.len()).position(|bytes| bytes == CANARY.as_bytes()).unwrap();
    let file = File::options().write(true).open(image).unwrap();
    file.write_all_at(b"X", data.start + u64::try_from(at).unwrap()).unwrap();
    match boot(image, &[]) {
        Outcome::Refused(line) => assert!(line.contains("canary"), "{line}"),
        other => panic!("{other:?}"),
    }
}
