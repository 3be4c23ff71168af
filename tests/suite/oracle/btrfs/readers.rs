//! Readers of btrfs-progs that have their own code for traversing the trees.

use std::ffi::OsStr;
use std::path::Path;

use super::super::tool::{run, shell};
use super::super::{Mounted, Verdict, oracle_error};
use super::mount::mount_btrfs_with;

fn btrfs<'a>(args: impl IntoIterator<Item = &'a OsStr>) -> Verdict<String> {
    let said = run("btrfs", args);
    if said.ok { Ok(said.stdout) } else { oracle_error(format!("btrfs: {}", said.all())) }
}

/// Extracts files, directories and symlinks of an image into an empty directory.
pub fn restore(image: &Path, to: &Path) -> Verdict {
    let said =
        run("btrfs", ["restore".as_ref(), OsStr::new("-Sxmi"), image.as_os_str(), to.as_os_str()]);
    // With -i, errors do not stop it, but they are printed.
    if said.ok && said.all().is_empty() {
        Ok(())
    } else {
        oracle_error(format!("btrfs restore: {}", said.all()))
    }
}

/// Mounts an image read-only, sends a read-only subvolume, and receives it in another file system.
///
/// Calls `look` with the original and the received subvolume.
pub fn send<T>(
    image: &Path,
    options: &str,
    subvolume: &str,
    look: impl FnOnce(&Path, &Path) -> T,
) -> Verdict<T> {
    let scratch = tempfile::tempdir().unwrap();
    let (stream, other) = (scratch.path().join("stream"), scratch.path().join("other"));
    shell("truncate -s 4G $1; mkfs.btrfs -q $1 >/dev/null", &[&other]);
    let other = Mounted::new("btrfs", "rw", Some(&other)).unwrap();
    let sent = mount_btrfs_with(image, options, |root| {
        let original = root.join(subvolume);
        btrfs(["send".as_ref(), OsStr::new("-qf"), stream.as_os_str(), original.as_os_str()])?;
        let to = other.path().as_os_str();
        btrfs(["receive".as_ref(), OsStr::new("-qf"), stream.as_os_str(), to])?;
        let name = original.file_name().unwrap();
        Ok(look(&original, &other.path().join(name)))
    });
    sent?
}

/// Finds the root tree from the superblock, and by searching all metadata.
pub fn find_root(image: &Path) -> Verdict {
    let said = run("btrfs-find-root", [image.as_os_str()]);
    if said.ok && said.stdout.contains("Found tree root at ") {
        Ok(())
    } else {
        oracle_error(format!("btrfs-find-root: {}", said.all()))
    }
}

/// Checks that `btrfs rescue super-recover` finds no bad superblock.
pub fn recover(image: &Path) -> Verdict {
    let said = run("btrfs", ["rescue".as_ref(), OsStr::new("super-recover"), image.as_os_str()]);
    if said.ok && said.all() == "All supers are valid, no need to recover\n" {
        Ok(())
    } else {
        oracle_error(format!("btrfs rescue super-recover: {}", said.all()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::Comparison;
    use super::super::super::tool::flip;
    use super::super::tests::Sample;
    use super::*;

    #[test]
    fn restored_files_are_compared() {
        let sample = Sample::new();
        let to = sample.beside("restored");
        fs::create_dir(&to).unwrap();
        restore(&sample.image, &to).unwrap();
        let comparison = Comparison::names_and_content().without_nodes();
        comparison.compare(&sample.source, &to).unwrap();

        flip(&sample.image, sample.data() + 5);
        let to = sample.beside("again");
        fs::create_dir(&to).unwrap();
        restore(&sample.image, &to)
            .and_then(|()| comparison.compare(&sample.source, &to))
            .unwrap_err();
    }

    #[test]
    fn a_subvolume_is_sent() {
        let sample = Sample::new();
        sample.change("btrfs -q subvolume snapshot -r $1 $1/snapshot");
        let exact = Comparison::exact();
        send(&sample.image, "ro", "snapshot", |_, received| {
            exact.compare(&sample.source, received)
        })
        .unwrap()
        .unwrap();
        // Neither a plain directory nor a writable subvolume can be sent.
        send(&sample.image, "ro", "dir", |_, _| ()).unwrap_err();
        sample.change("btrfs -q subvolume create $1/writable");
        send(&sample.image, "ro", "writable", |_, _| ()).unwrap_err();
        flip(&sample.image, sample.data());
        send(&sample.image, "ro", "snapshot", |_, _| ()).unwrap_err();
    }

    #[test]
    fn the_root_tree_is_found() {
        let sample = Sample::with("-m single");
        find_root(&sample.image).unwrap();
        flip(&sample.image, sample.root("ROOT_TREE") + 101);
        find_root(&sample.image).unwrap_err();
    }

    #[test]
    fn bad_superblocks_are_told() {
        let sample = Sample::new();
        recover(&sample.image).unwrap();
        for at in [65_536 + 64, (64 << 20) + 4095] {
            flip(&sample.image, at);
            recover(&sample.image).unwrap_err();
            flip(&sample.image, at);
        }
    }
}
