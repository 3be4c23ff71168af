//! Reads squashfs images with unsquashfs, with sqfs2tar of squashfs-tools-ng, and with the kernel.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::tool::{run, shell};
use super::{Comparison, Mounted, Verdict, fingerprint, oracle_error};

/// Checks an image built from the tree at `source` with every oracle.
pub fn check_image(image: &Path, source: &Path, comparison: &Comparison) -> Verdict {
    let comparison = comparison.clone().in_squashfs();
    unsquashfs(image, |root| comparison.compare(source, root))??;
    sqfs2tar(image, |root| comparison.clone().without_sockets().compare(source, root))??;
    mount_squashfs(image, |root| comparison.compare(source, root))?
}

/// Extracts an image with unsquashfs and calls `look` with the extracted tree.
pub fn unsquashfs<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let scratch = tempfile::tempdir_in(image.parent().unwrap()).unwrap();
    let root = scratch.path().join("root");
    let arguments: [&OsStr; 5] =
        ["-no-progress".as_ref(), "-quiet".as_ref(), "-d".as_ref(), root.as_ref(), image.as_ref()];
    let said = run("unsquashfs", arguments);
    match said.ok && said.stderr.is_empty() {
        true => Ok(look(&root)),
        false => oracle_error(format!("unsquashfs: {}", said.all())),
    }
}

/// Returns what `unsquashfs -stat` says about an image.
pub fn stat(image: &Path) -> String {
    let said = run("unsquashfs", [OsStr::new("-stat"), image.as_os_str()]);
    assert!(said.ok, "unsquashfs: {}", said.all());
    said.stdout
}

/// Extracts an image with sqfs2tar and tar, and calls `look` with the extracted tree.
pub fn sqfs2tar<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let scratch = tempfile::tempdir_in(image.parent().unwrap()).unwrap();
    let (archive, root) = (scratch.path().join("archive"), scratch.path().join("root"));
    fs::create_dir(&root).unwrap();
    let script = "sqfs2tar -r . \"$1\" 2>&1 >\"$2\" || echo failed";
    let said = shell(script, &[image, &archive]);
    let is_about_sockets =
        |line: &str| line.starts_with("WARNING: ") && line.ends_with(": cannot pack socket");
    let is_expected = |line: &str| is_about_sockets(line) || line.starts_with("Skipping ");
    if !said.lines().all(is_expected) {
        return oracle_error(format!("sqfs2tar: {said}"));
    }
    // tar names every time in the future, and every further name of a socket.
    let script = "tar -C $2 --xattrs --xattrs-include='*' -xpf $1 2>&1 || true";
    let said = shell(script, &[&archive, &root]);
    let is_expected = |line: &str| {
        line.ends_with(" s in the future")
            || line.contains("Cannot hard link to")
            || line.contains("Exiting with failure status")
    };
    match said.lines().all(is_expected) {
        true => Ok(look(&root)),
        false => oracle_error(format!("tar: {said}")),
    }
}

/// Mounts an image read-only and calls `look` with its root. No byte of the image may change.
///
/// The kernel does not name the device in what it logs about a squashfs; a problem fails the mount
/// or a system call.
pub fn mount_squashfs<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let before = fingerprint(image);
    let mounted = Mounted::new("squashfs", "ro", Some(image))?;
    let seen = look(mounted.path());
    drop(mounted);
    match fingerprint(image) == before {
        true => Ok(seen),
        false => oracle_error("mounting it read-only changed the image"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::tool::flip;
    use super::*;

    /// A tree, and an image of it by mksquashfs.
    struct Sample {
        _scratch: TempDir,
        source: PathBuf,
        image: PathBuf,
    }

    impl Sample {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let (source, image) = (scratch.path().join("source"), scratch.path().join("image"));
            let script = "mkdir -p $1/dir; seq 100000 >$1/file; seq 10 >$1/dir/small
                ln $1/file $1/linked; find $1 -exec touch -d @1600000000 {} +
                mksquashfs $1 $2 -quiet -no-progress";
            shell(script, &[&source, &image]);
            Self { _scratch: scratch, source, image }
        }

        fn check(&self) -> Verdict {
            check_image(&self.image, &self.source, &Comparison::exact())
        }
    }

    #[test]
    fn an_image_of_mksquashfs_is_accepted() {
        Sample::new().check().unwrap();
        let said = stat(&Sample::new().image);
        assert!(said.contains("Compression gzip\n"), "{said}");
    }

    #[test]
    fn another_tree_is_found_by_every_oracle() {
        let sample = Sample::new();
        shell(
            "printf x | dd of=$1/file conv=notrunc status=none; touch -d @1600000000 $1/file",
            &[&sample.source],
        );
        let compare = |root: &Path| Comparison::exact().compare(&sample.source, root);
        unsquashfs(&sample.image, compare).unwrap().unwrap_err();
        sqfs2tar(&sample.image, compare).unwrap().unwrap_err();
        mount_squashfs(&sample.image, compare).unwrap().unwrap_err();
    }

    #[test]
    fn a_broken_superblock_is_found_by_every_oracle() {
        let sample = Sample::new();
        // The offset of the table of ids.
        flip(&sample.image, 48);
        unsquashfs(&sample.image, |_| ()).unwrap_err();
        sqfs2tar(&sample.image, |_| ()).unwrap_err();
        mount_squashfs(&sample.image, |_| ()).unwrap_err();
    }

    #[test]
    fn broken_content_is_found_by_every_oracle() {
        let sample = Sample::new();
        flip(&sample.image, 1000);
        unsquashfs(&sample.image, |_| ()).unwrap_err();
        sqfs2tar(&sample.image, |_| ()).unwrap_err();
        let read = |root: &Path| fs::read(root.join("file")).map(drop).map_err(drop);
        assert!(!matches!(mount_squashfs(&sample.image, read), Ok(Ok(()))));
    }
}
