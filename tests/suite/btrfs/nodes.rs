//! Device numbers, owners, modes and times at their limits.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::image::{Image, check_with_oracles, everything, mkfs_at, scratch, tree};
use crate::detfs::succeed;
use crate::oracle::btrfs::{check_image, mount_btrfs};
use crate::oracle::{Mounted, shell};
use crate::tree::{LATEST, set_mtime};

#[test]
fn device_numbers() {
    let numbers = [(0, 0), (0, 1), (1, 3), (255, 255), (255, 256), (256, 0), (259, 70_000)];
    let source = tree(":");
    for (major, minor) in numbers.into_iter().chain([(4095, 1_048_575), (4095, 0), (0, 1_048_575)])
    {
        let script = format!(
            "cd $1; mknod c-{major}-{minor} c {major} {minor}
            mknod b-{major}-{minor} b {major} {minor}"
        );
        shell(&script, &[source.path()]);
    }
    check_with_oracles(source.path(), &[]);
}

#[test]
fn modes_and_owners() {
    let source = tree(
        "for mode in 0000 0111 1644 2644 4711 6755 7777; do
            : >$mode; mkdir d$mode; chmod $mode $mode d$mode
        done
        for id in 0 1 65535 65536 4294967294; do : >u$id; chown $id:$id u$id; done; chmod 1777 .",
    );
    check_with_oracles(source.path(), &[]);
}

/// Times have 64 bits of seconds. Times later than the epoch are clamped to it.
#[test]
fn times_at_the_limits() {
    let scratch = scratch();
    let file = scratch.path().join("host");
    shell("truncate -s 256M $1; mkfs.btrfs -q $1 >/dev/null", &[&file]);
    let host = Mounted::new("btrfs", "rw", Some(&file)).unwrap();
    let far = 1 << 55;
    let seconds =
        [-far, -(1 << 33), -(1 << 31) - 1, -1, 0, 1, (1 << 31) - 1, 1 << 32, 1 << 34, far];
    for second in seconds {
        for nanosecond in [0, 1, 999_999_999] {
            let at = host.path().join(format!("{second}.{nanosecond}"));
            fs::write(&at, "x").unwrap();
            set_mtime(&at, (second, nanosecond));
        }
    }
    shell("cd $1; ln -s x link; mkdir directory; mkfifo fifo", &[host.path()]);
    for (name, second) in [("link", -5), ("directory", 1 << 35), ("fifo", 7)] {
        set_mtime(&host.path().join(name), (second, 123_456_789));
    }
    set_mtime(host.path(), (1_600_000_000, 5));
    for epoch in [LATEST, 1_700_000_000, 0, -1] {
        let image = scratch.path().join("image");
        succeed(mkfs_at(epoch, host.path(), &image, &[]).arg("--force"));
        check_image(&image, host.path(), &everything().clamped_to(epoch)).unwrap();
    }
}

/// The root directory keeps its modification time, which is its change time too.
#[test]
fn the_root_has_its_own_time() {
    let source = tree("echo x >file; touch -d @1500000000.25 file; touch -d @1400000000.5 .");
    let image = Image::new(source.path(), &[]);
    let look = |root: &Path| {
        let metadata = fs::metadata(root).unwrap();
        (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ino())
    };
    let found = mount_btrfs(&image.path, look).unwrap();
    assert_eq!(found, (1_400_000_000, 500_000_000, 1_400_000_000, 256));
}
