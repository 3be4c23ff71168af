//! Mounts btrfs images with the kernel, and checks its error counters and its log.

use std::ffi::OsStr;
use std::path::Path;

use super::super::fingerprint;
use super::super::tool::run;
use super::super::{KernelLog, LoopDevice, Mounted, Verdict, oracle_error};

/// Mounts an image and calls `act` with its root.
///
/// The kernel must not count errors while the image is mounted, nor log warnings about the device
/// until it is unmounted.
pub fn session<T>(image: &Path, options: &str, act: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let device = LoopDevice::attach(image, &[]);
    // What is already logged may be about another image, to which the device referred before.
    let log = KernelLog::from_now();
    let name = device.path().to_owned();
    let mounted = match Mounted::on("btrfs", options, Some(device)) {
        Ok(mounted) => mounted,
        Err(error_text) => {
            let logged = log.warnings(&name).join("\n");
            return oracle_error(format!("{error_text:?}\n{logged}"));
        }
    };
    let outcome = act(mounted.path());
    let path = mounted.path().as_os_str();
    let stats = run("btrfs", [OsStr::new("device"), "stats".as_ref(), "--check".as_ref(), path]);
    // As long as the loop device is attached, its name can't refer to another image.
    let device = mounted.unmounted();
    let logged = log.warnings(device.path());
    drop(device);
    if !logged.is_empty() {
        return oracle_error(format!("the kernel says\n{}", logged.join("\n")));
    }
    if !stats.ok || stats.stdout.lines().count() != 5 {
        return oracle_error(format!("the kernel counted errors: {}", stats.all()));
    }
    Ok(outcome)
}

/// Mounts an image read-only and calls `look` with its root.
///
/// The kernel must not report problems, and no byte of the image may change.
pub fn mount_btrfs<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    mount_btrfs_with(image, "ro", look)
}

/// Does the same as [`mount_btrfs`] with other mount options, which must include `ro`.
pub fn mount_btrfs_with<T>(
    image: &Path,
    options: &str,
    look: impl FnOnce(&Path) -> T,
) -> Verdict<T> {
    let before = fingerprint(image);
    let seen = session(image, options, look)?;
    if fingerprint(image) != before {
        return oracle_error("mounting it read-only changed the image");
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::Comparison;
    use super::super::super::tool::flip;
    use super::super::super::tool::shell;
    use super::super::tests::Sample;
    use super::*;

    #[test]
    fn a_clean_image_mounts_and_stays_the_same() {
        let sample = Sample::new();
        let look = |root: &Path| Comparison::exact().compare(&sample.source, root);
        mount_btrfs(&sample.image, look).unwrap().unwrap();
    }

    #[test]
    fn a_broken_superblock_does_not_mount() {
        let sample = Sample::new();
        flip(&sample.image, 65_536);
        mount_btrfs(&sample.image, |_| ()).unwrap_err();
    }

    #[test]
    fn broken_content_is_found_when_it_is_read() {
        let sample = Sample::new();
        flip(&sample.image, sample.data());
        mount_btrfs(&sample.image, |_| ()).unwrap();
        let read = |root: &Path| fs::read(root.join("dir/big")).unwrap_err();
        let error_text = mount_btrfs(&sample.image, read).unwrap_err().0;
        assert!(error_text.contains("csum failed"), "{error_text}");
    }

    #[test]
    fn a_broken_copy_of_a_tree_block_is_found_though_another_serves() {
        let sample = Sample::new();
        let blocks = ["FS_TREE", "CSUM_TREE", "EXTENT_TREE"].map(|tree| sample.root(tree));
        blocks.iter().for_each(|&block| flip(&sample.image, block + 200));
        let read = |root: &Path| shell("find $1 -ls; cat $1/dir/big", &[root]);
        // The kernel selects the copy to read by the process ID.
        let found = (0..8).any(|_| mount_btrfs(&sample.image, read).is_err());
        assert!(found);
    }

    #[test]
    fn a_write_is_noticed() {
        let sample = Sample::new();
        let error_text = mount_btrfs(&sample.image, |root| {
            shell("mount -o remount,rw $1; echo x >$1/new; mount -o remount,ro $1", &[root]);
        });
        let error_text = error_text.unwrap_err().0;
        assert!(error_text.contains("changed the image"), "{error_text}");
    }
}
