//! A bootable tree: a kernel with its command line as one EFI program, and busybox as init.
//!
//! Debian's cloud kernel has NVMe, the GPT and ext4 built in and needs no initrd for them. For
//! btrfs, an initrd loads the module.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::oracle::{require_root, shell};

/// Printed by the machine at the beginning of a line if all checks succeed.
pub const MARKER: &str = "DETFS-BOOT-OK";
/// Printed by the machine with a description if a check fails.
pub const REFUSAL: &str = "DETFS-BOOT-BAD";
/// A line of one file in the tree.
pub const CANARY: &str = "a canary that sings in one place only";

/// Script that unpacks the kernel and the boot stub from Debian's packages without installing them.
///
/// They are kept in cargo's target directory.
const DOWNLOAD: &str = "
    test -e $1/done && exit
    rm -rf $1; mkdir -p $1/packages; chmod 755 $1/packages; cd $1/packages
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \\(linux-image-.*\\)/\\1/p')
    apt-get download -q $kernel systemd-boot-efi busybox-static >$1/log 2>&1
    for package in *.deb; do dpkg-deb -x $package $1; done
    : >$1/done";

/// Script that creates the tree.
///
/// $1: the packages, $2: the tree. It sets the umask, which it would inherit from the caller
/// otherwise.
pub const MAKE: &str = "
    umask 022; mkdir -p $2; cd $2
    mkdir -p bin sbin etc dev proc sys run tmp mnt efi/EFI/BOOT many
    cp $(command -v resize2fs) bin/
    ldd bin/resize2fs | grep -o '/[^ ]*' | while read library; do cp --parents -L $library .; done
    cp $1/bin/busybox bin/
    for name in sh mount cat grep sync poweroff sha256sum sleep ls wc umount seq rm swapon swapoff; do ln -s busybox bin/$name; done
    seq 300000 >etc/large; : >etc/empty; ln -s large etc/link; ln etc/large etc/hard
    truncate -s 4M etc/sparse; printf end >>etc/sparse
    for n in $(seq 3000); do echo $n >\"many/one of three thousand files $n\"; done
    find etc bin many -type f ! -name sums -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >etc/sums";

/// Script that creates the initrd.
///
/// $1: the packages, $2: the init of the initrd, $3: the initrd. Modules are loaded in the order of
/// their dependencies.
const INITRD: &str = "
    umask 022; mkdir $3.d; cd $3.d; mkdir bin dev proc sys root modules
    version=$(ls $1/lib/modules)
    depmod -b $1 $version
    modprobe -d $1 -S $version --show-depends btrfs | awk '$1 == \"insmod\" { print $2 }' >$3.list
    number=10
    while read module; do cp $module modules/$number.ko; number=$((number + 1)); done <$3.list
    cp $1/bin/busybox bin/; ln -s busybox bin/sh; install -m 755 $2 init
    find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 >$3";

const INITRD_INIT: &str = "#!/bin/sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
for second in 1 2 3 4 5 6 7 8 9 10; do
    root=$($b findfs UUID=ROOT) && break
    $b sleep 1
done
$b mount -t btrfs -o ro $root /root || echo REFUSAL mount $root >/dev/ttyS0
exec $b switch_root /root /sbin/init
";

/// Script that links the EFI program.
///
/// $1: the packages, $2: the tree, $3: the kernel's command line, $4: the initrd, which may be
/// empty. The stub finds the sections by their names. They are placed after the stub's own
/// sections.
pub const LINK: &str = "
    stub=$1/usr/lib/systemd/boot/efi/linuxx64.efi.stub
    end=0
    for section in $(objdump -h $stub | awk '$1 ~ /^[0-9]+$/ { print $3 \":\" $4 }'); do
        next=$((0x${section%:*} + 0x${section#*:}))
        if [ $next -gt $end ]; then end=$next; fi
    done
    set -- $1 $2 $3 $4 $(( (end + 0xffff) & ~0xffff ))
    objcopy \\
        --add-section .osrel=/etc/os-release --change-section-vma .osrel=$5 \\
        --add-section .cmdline=$3 --change-section-vma .cmdline=$(($5 + 0x10000)) \\
        --add-section .initrd=$4 --change-section-vma .initrd=$(($5 + 0x20000)) \\
        --add-section .linux=$(ls $1/boot/vmlinuz-*) --change-section-vma .linux=$(($5 + 0x4000000)) \\
        $stub $2/efi/EFI/BOOT/BOOTX64.EFI";

const INIT: &str = "#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev; mount -t tmpfs tmp /run; mount -t sysfs sys /sys
exec >/dev/ttyS0 2>&1
echo
bad() { echo REFUSAL $*; poweroff -f; sleep 999; }
cd /
sha256sum -c etc/sums >/run/sums 2>&1 || bad $(grep -v ': OK' /run/sums)
[ $(ls many | wc -l) = 3000 ] || bad many
for disk in /dev/nvme*n1; do
    [ -b ${disk}p1 ] && continue
    mount -t ext4 $disk /mnt || bad mount $disk
    resize2fs $disk >/run/grown 2>&1 || bad $disk $(cat /run/grown)
    seq 100000 >/mnt/new && sync && rm /mnt/new && umount /mnt || bad $disk
done
mount -o remount,rw / || bad remount
if [ -e /swap/swapfile ]; then
    swapon /swap/swapfile && grep -q ^/swap/swapfile /proc/swaps && swapoff /swap/swapfile || bad swap
fi
echo written >/etc/written && sync && [ \"$(cat /etc/written)\" = written ] || bad write
mount -o remount,ro / || bad remount-ro
echo MARKER
poweroff -f
";

/// A bootable tree.
pub struct BootFiles {
    pub tree: PathBuf,
}

impl BootFiles {
    /// Creates the tree.
    ///
    /// The kernel finds its root by the UUID `root`, which is that of the partition for ext4 and
    /// that of the file system for btrfs, since Debian 12's kernel does not expose partition UUIDs
    /// to an initrd.
    pub fn new(scratch: &Path, format: &str, root: &str) -> Self {
        let packages = packages();
        let tree = scratch.join("tree");
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::create_dir_all(tree.join("sbin")).unwrap();
        fs::write(tree.join("etc/canary"), format!("{CANARY}\n")).unwrap();
        let init = INIT.replace("MARKER", MARKER).replace("REFUSAL", REFUSAL);
        fs::write(tree.join("sbin/init"), init).unwrap();
        fs::set_permissions(tree.join("sbin/init"), fs::Permissions::from_mode(0o755)).unwrap();
        shell(MAKE, &[&packages, &tree]);
        let initrd = scratch.join("initrd");
        match format {
            "btrfs" => {
                let init = scratch.join("init");
                fs::write(&init, INITRD_INIT.replace("ROOT", root).replace("REFUSAL", REFUSAL))
                    .unwrap();
                shell(INITRD, &[&packages, &init, &initrd]);
            }
            _ => fs::write(&initrd, "").unwrap(),
        }
        link(&packages, &tree, &initrd, &format!("root=PARTUUID={root} rootfstype={format} ro"));
        Self { tree }
    }
}

/// Adds a kernel to a tree that has an init and a directory for its ESP.
///
/// The root is ext4 on the partition with the UUID `root`.
pub fn add_kernel(tree: &Path, root: &str, more: &str) {
    let none = tempfile::NamedTempFile::new().unwrap();
    let line = format!("root=PARTUUID={root} rootfstype=ext4 rw {more}");
    link(&packages(), tree, none.path(), &line);
}

pub fn packages() -> PathBuf {
    require_root();
    assert_eq!(std::env::consts::ARCH, "x86_64", "the boot test is one of x86-64");
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot");
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    shell(DOWNLOAD, &[&packages]);
    packages
}

/// Script that unpacks the kernel of a Debian release, and adds the other packages.
///
/// $1: the directory, which is kept in cargo's target directory, $2: the release, $3: the packages
/// of [`DOWNLOAD`].
const DOWNLOAD_KERNEL: &str = "
    test -e $1/done && exit
    rm -rf $1; mkdir -p $1/apt/lists/partial $1/apt/cache/archives/partial; cd $1/apt
    key=/usr/share/keyrings/debian-archive-keyring.gpg
    echo \"deb [signed-by=$key] http://deb.debian.org/debian $2 main\" >sources.list
    own=\"-o Dir::State::lists=$PWD/lists -o Dir::State::status=/dev/null -o Dir::Cache=$PWD/cache\"
    own=\"$own -o Dir::Etc::sourcelist=$PWD/sources.list -o Dir::Etc::sourceparts=-\"
    apt-get $own update >log 2>&1
    kernel=$(apt-cache $own depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \\(linux-image-.*\\)/\\1/p')
    apt-get $own download -q $kernel >>log 2>&1
    dpkg-deb -x *.deb $1; rm -r lists cache *.deb
    test -e $1/lib || ln -s usr/lib $1/lib
    mkdir -p $1/usr/lib; cp -a $3/usr/lib/systemd $1/usr/lib/; cp -a $3/bin $1/
    : >$1/done";

/// Returns the same packages as [`packages`], but with the kernel of another Debian release.
pub fn packages_of(release: &str) -> PathBuf {
    let others = packages();
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kernel-{release}"));
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    shell(DOWNLOAD_KERNEL, &[&packages, Path::new(release), &others]);
    packages
}

fn link(packages: &Path, tree: &Path, initrd: &Path, line: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let console = "console=ttyS0,115200 loglevel=4 panic=-1";
    fs::write(&file, format!("{line} rootwait {console} mitigations=off")).unwrap();
    shell(LINK, &[packages, tree, file.path(), initrd]);
}
