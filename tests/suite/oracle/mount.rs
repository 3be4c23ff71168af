//! Mounts images with the kernel, read-only on a loop device, and verifies that they stay
//! unchanged.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};
use sha2::{Digest, Sha256};

use super::tool::{require_root, run};
use super::{Verdict, oracle_error};

/// A loop device that is detached when the value is dropped.
///
/// It is attached and detached explicitly. With `mount -o loop`, the kernel decides when to detach
/// the device, and the backing file may be read before that.
#[derive(Debug)]
pub struct LoopDevice(PathBuf);

impl LoopDevice {
    pub fn attach(image: &Path, options: &[&str]) -> Self {
        require_root();
        let mut args: Vec<&OsStr> = vec!["--find".as_ref(), "--show".as_ref()];
        args.extend(options.iter().map(|option| OsStr::new(*option)));
        args.push(image.as_os_str());
        let said = run("losetup", args);
        assert!(said.ok, "losetup: {}", said.all());
        Self(said.stdout.trim().into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        run("sync", [""; 0]);
        let said = run("losetup", [OsStr::new("--detach"), self.0.as_os_str()]);
        if !said.ok && !std::thread::panicking() {
            panic!("losetup: {}", said.all());
        }
    }
}

/// A mount that is unmounted when the value is dropped.
#[derive(Debug)]
pub struct Mounted {
    directory: PathBuf,
    /// Detached after unmounting, since fields are dropped after `drop` has run.
    device: Option<LoopDevice>,
    _parent: tempfile::TempDir,
}

impl Mounted {
    /// Mounts `image`, or no device (for `tmpfs`), on a new directory.
    pub fn new(kind: &str, options: &str, image: Option<&Path>) -> Verdict<Self> {
        Self::on(kind, options, image.map(|image| LoopDevice::attach(image, &[])))
    }

    /// Mounts `device`, or no device, on a new directory.
    pub fn on(kind: &str, options: &str, device: Option<LoopDevice>) -> Verdict<Self> {
        require_root();
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("mounted");
        fs::create_dir(&directory).unwrap();
        let what = device.as_ref().map_or(OsStr::new("none"), |device| device.0.as_os_str());
        let args: [&OsStr; 6] = [
            "-t".as_ref(),
            kind.as_ref(),
            "-o".as_ref(),
            options.as_ref(),
            what,
            directory.as_os_str(),
        ];
        let said = run("mount", args);
        if !said.ok {
            return oracle_error(format!("mount: {}", said.all()));
        }
        Ok(Self { directory, device, _parent: parent })
    }

    /// Returns the root of the mounted file system.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Unmounts the file system and leaves the device attached.
    pub fn unmounted(mut self) -> LoopDevice {
        self.device.take().expect("mounted from a file")
    }

    /// Unmounts an ext4 file system and returns the number of errors that the kernel found in it.
    ///
    /// The count is read from the device after unmounting. While the file system is mounted, a
    /// worker updates the count at some later time, and unmounting waits for that worker.
    pub fn errors(self) -> u32 {
        /// Device offset of `s_error_count`.
        ///
        /// The superblock is at 1024.
        const S_ERROR_COUNT: u64 = 1024 + 0x194;
        let device = self.unmounted();
        let mut count = [0; 4];
        File::open(device.path()).unwrap().read_exact_at(&mut count, S_ERROR_COUNT).unwrap();
        u32::from_le_bytes(count)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut said = run("umount", [self.directory.as_os_str()]);
        for _ in 0..100 {
            // A child process of another thread keeps our open files until it calls exec.
            if said.ok || !said.stderr.contains("busy") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            said = run("umount", [self.directory.as_os_str()]);
        }
        if !said.ok && !std::thread::panicking() {
            panic!("umount: {}", said.all());
        }
    }
}

/// Returns a hash of a file, skipping holes, which make up most of a large image.
pub fn fingerprint(file: &Path) -> [u8; 32] {
    let file = File::open(file).unwrap();
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    let mut end = 0;
    while let Ok(mut at) = seek(&file, SeekFrom::Data(end)) {
        end = seek(&file, SeekFrom::Hole(at)).unwrap();
        while at < end {
            let len = usize::try_from((end - at).min(1 << 20)).unwrap();
            file.read_exact_at(&mut buffer[..len], at).unwrap();
            hash.update(at.to_le_bytes());
            hash.update(&buffer[..len]);
            at += len as u64;
        }
    }
    hash.finalize().into()
}

/// Mounts an ext4 image read-only and calls `look` with its root.
///
/// Returns an error if the kernel counted errors while the image was mounted, or if any byte of the
/// image changed.
pub fn mount_ext4<T>(image: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let before = fingerprint(image);
    let mounted = Mounted::new("ext4", "ro", Some(image))?;
    let seen = look(mounted.path());
    let errors = mounted.errors();
    if errors != 0 {
        return oracle_error(format!("the kernel found {errors} errors"));
    }
    if fingerprint(image) != before {
        return oracle_error("mounting it read-only changed the image");
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::super::Comparison;
    use super::super::ext4::tests::Sample;
    use super::super::tool::shell;
    use super::*;

    #[test]
    fn a_clean_image_mounts_and_stays_the_same() {
        let sample = Sample::new();
        let text = mount_ext4(&sample.image, |root| fs::read_to_string(root.join("dir/file")));
        assert_eq!(text.unwrap().unwrap(), "hello\n");
    }

    #[test]
    fn a_broken_superblock_does_not_mount() {
        let sample = Sample::new();
        sample.flip(1024 + 0x3fc);
        mount_ext4(&sample.image, |_| ()).unwrap_err();
    }

    #[test]
    fn a_broken_directory_is_counted() {
        let sample = Sample::new();
        sample.flip(sample.debugfs("bmap dir 0") * 4096 + 4095);
        let error_text = mount_ext4(&sample.image, |root| {
            fs::read_dir(root.join("dir")).unwrap().for_each(drop);
        });
        let error_text = error_text.unwrap_err().0;
        assert!(error_text.contains("the kernel found"), "{error_text}");
    }

    #[test]
    fn a_write_is_noticed() {
        let sample = Sample::new();
        let error_text = mount_ext4(&sample.image, |root| {
            shell("mount -o remount,rw $1; echo x >$1/new; mount -o remount,ro $1", &[root]);
        });
        let error_text = error_text.unwrap_err().0;
        assert!(error_text.contains("changed the image"), "{error_text}");
    }

    #[test]
    fn a_changed_byte_of_content_is_seen_by_the_comparison_alone() {
        let sample = Sample::new();
        let exact = Comparison::names_and_content().without("lost+found");
        let look = |root: &Path| exact.compare(&sample.source, root);
        mount_ext4(&sample.image, look).unwrap().unwrap();
        sample.flip(sample.debugfs("bmap dir/big 3") * 4096 + 17);
        super::super::e2fsck(&sample.image).unwrap();
        mount_ext4(&sample.image, look).unwrap().unwrap_err();
    }
}
