//! Checks erofs images with `fsck.erofs`, and mounts them with the kernel.

use std::ffi::OsStr;
use std::path::Path;

use super::tool::run;
use super::{Comparison, KernelLog, LoopDevice, Mounted, Verdict, fingerprint, oracle_error};

/// Checks a file system with `fsck.erofs --extract`, which reads all metadata and all content.
///
/// The file system is clean if the status is 0 and nothing is printed.
pub fn fsck_erofs(image: &Path) -> Verdict {
    let said = run("fsck.erofs", [OsStr::new("--extract"), image.as_os_str()]);
    match said.ok && said.all().is_empty() {
        true => Ok(()),
        false => oracle_error(format!("fsck.erofs: {}", said.all())),
    }
}

/// Mounts an image read-only and calls `look` with its root.
///
/// The kernel must not log warnings about the device, and no byte of the image may change.
pub fn mount_erofs<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let before = fingerprint(image);
    let device = LoopDevice::attach(image, &[]);
    let log = KernelLog::from_now();
    let mounted = Mounted::on("erofs", "ro", Some(device))?;
    let seen = look(mounted.path());
    let device = mounted.unmounted();
    let logged = log.warnings(device.path());
    drop(device);
    if !logged.is_empty() {
        return oracle_error(format!("the kernel says\n{}", logged.join("\n")));
    }
    if fingerprint(image) != before {
        return oracle_error("mounting it read-only changed the image");
    }
    Ok(seen)
}

/// Checks the image of the tree at `source` with every oracle.
pub fn check_image(image: &Path, source: &Path, comparison: &Comparison) -> Verdict {
    fsck_erofs(image)?;
    mount_erofs(image, |root| comparison.compare(source, root))?
}

/// Returns what `dump.erofs` prints about an image.
pub fn dump_erofs(image: &Path, options: &[&str]) -> String {
    let options = options.iter().map(OsStr::new);
    let said = run("dump.erofs", options.chain([image.as_os_str()]));
    assert!(said.ok, "dump.erofs: {}", said.all());
    said.stdout
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::tool::{flip, shell};
    use super::*;

    /// An erofs made by mkfs.erofs, and its source tree.
    struct Sample {
        _scratch: TempDir,
        image: PathBuf,
        source: PathBuf,
    }

    impl Sample {
        fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let (source, image) = (scratch.path().join("source"), scratch.path().join("image"));
            let script = "mkdir -p $1/dir; echo hello >$1/dir/file; ln -s dir/file $1/link
                seq 100000 >$1/dir/big; mkfs.erofs --quiet -zlz4hc $2 $1";
            shell(script, &[&source, &image]);
            Self { _scratch: scratch, image, source }
        }

        /// Returns the offset of `bytes`, which occur once in the image.
        fn find(&self, bytes: &[u8]) -> u64 {
            let image = fs::read(&self.image).unwrap();
            let mut found =
                (0..image.len()).filter(|&at| image[at..].starts_with(bytes)).map(|at| at as u64);
            let at = found.next().unwrap();
            assert_eq!(found.next(), None);
            at
        }
    }

    #[test]
    fn a_clean_image_passes() {
        let sample = Sample::new();
        check_image(&sample.image, &sample.source, &Comparison::exact()).unwrap();
        assert!(dump_erofs(&sample.image, &["-s"]).contains("sb_csum"));
    }

    #[test]
    fn a_wrong_superblock_is_found() {
        let sample = Sample::new();
        flip(&sample.image, 1024 + 16);
        fsck_erofs(&sample.image).unwrap_err();
        mount_erofs(&sample.image, |_| ()).unwrap_err();
    }

    #[test]
    fn a_wrong_directory_is_found() {
        let sample = Sample::new();
        // The entry of `.` comes first: its name starts after three entries.
        let names = sample.find(b"...bigfile");
        let nid = names - 4 * 12;
        let file = fs::File::options().write(true).open(&sample.image).unwrap();
        file.write_all_at(&u64::MAX.to_le_bytes(), nid).unwrap();
        fsck_erofs(&sample.image).unwrap_err();
    }

    #[test]
    fn wrong_compressed_data_is_found() {
        let sample = Sample::new();
        let file = fs::File::options().write(true).open(&sample.image).unwrap();
        let last = file.metadata().unwrap().len() - 4096;
        file.write_all_at(&[0xff; 4096], last).unwrap();
        fsck_erofs(&sample.image).unwrap_err();
        let compare = |root: &Path| fs::read(root.join("dir/big")).map(drop);
        assert!(!mount_erofs(&sample.image, compare).is_ok_and(|read| read.is_ok()));
    }

    #[test]
    fn changed_content_is_seen_by_the_comparison_alone() {
        let sample = Sample::new();
        flip(&sample.image, sample.find(b"hello"));
        let look = |root: &Path| Comparison::exact().compare(&sample.source, root);
        mount_erofs(&sample.image, look).unwrap_err();
    }
}
