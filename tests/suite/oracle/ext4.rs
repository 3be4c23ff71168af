//! Checks ext4 images with `e2fsck`. Its exit status is 0 for some broken images, so its output is
//! checked too.

use std::ffi::OsStr;
use std::path::Path;

use super::tool::run;
use super::{Verdict, oracle_error};

/// Checks a file system with `e2fsck -fn`.
///
/// The file system is clean if the status is 0 and nothing is printed except the version, the five
/// passes and the summary.
pub fn e2fsck(image: &Path) -> Verdict {
    let said = run("e2fsck", [OsStr::new("-fn"), image.as_os_str()]);
    let version = said.stderr.lines().collect::<Vec<_>>();
    let lines = said.stdout.lines().collect::<Vec<_>>();
    let passes = |lines: &[&str]| {
        lines.iter().zip(1..).all(|(line, n)| line.starts_with(&format!("Pass {n}: ")))
    };
    let clean = said.ok
        && matches!(version[..], [line] if line.starts_with("e2fsck 1."))
        && lines.len() == 6
        && passes(&lines[..5])
        && is_summary(lines[5]);
    if clean { Ok(()) } else { oracle_error(format!("e2fsck: {}", said.all())) }
}

/// `NAME: 13/16384 files (0.0% non-contiguous), 9515/65536 blocks`
fn is_summary(line: &str) -> bool {
    let Some((_, counts)) = line.rsplit_once(": ") else { return false };
    let shape = counts.replace(|c: char| c.is_ascii_digit(), "");
    shape == "/ files (.% non-contiguous), / blocks"
}

#[cfg(test)]
pub mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::super::tool::{flip, shell};
    use super::*;

    /// An ext4 file system with 4 KiB blocks, created by mke2fs, and its source tree.
    pub struct Sample {
        _scratch: TempDir,
        pub image: PathBuf,
        pub source: PathBuf,
    }

    impl Sample {
        pub fn new() -> Self {
            let scratch = tempfile::tempdir().unwrap();
            let source = scratch.path().join("source");
            let image = scratch.path().join("image");
            let script = "mkdir -p $1/dir; echo hello >$1/dir/file; ln -s dir/file $1/link
                head -c 100000 /dev/zero | tr '\\0' x >$1/dir/big
                mke2fs -q -F -t ext4 -b 4096 -O orphan_file,metadata_csum_seed -d $1 $2 32M";
            shell(script, &[&source, &image]);
            Self { _scratch: scratch, image, source }
        }

        /// Returns the number that debugfs prints in response to `request`.
        pub fn debugfs(&self, request: &str) -> u64 {
            let said = run("debugfs", [OsStr::new("-R"), request.as_ref(), self.image.as_os_str()]);
            said.stdout.trim().parse().unwrap_or_else(|_| panic!("{request}: {}", said.all()))
        }

        pub fn flip(&self, offset: u64) {
            flip(&self.image, offset);
        }
    }

    /// Inverts the lowest bit of the superblock's `s_free_blocks_count_lo` and updates the
    /// checksum.
    fn wrong_free_count(sample: &Sample) {
        let file = File::options().read(true).write(true).open(&sample.image).unwrap();
        let mut superblock = [0; 1024];
        file.read_exact_at(&mut superblock, 1024).unwrap();
        superblock[0x0c] ^= 1;
        // crc32c with an initial value of all ones and no final inversion.
        let checksum = !crc32c::crc32c(&superblock[..1020]);
        superblock[1020..].copy_from_slice(&checksum.to_le_bytes());
        file.write_all_at(&superblock, 1024).unwrap();
    }

    #[test]
    fn a_clean_image_passes() {
        let sample = Sample::new();
        e2fsck(&sample.image).unwrap();
        // A label replaces the file name in the summary.
        shell("tune2fs -L 'a: label' $1 >/dev/null", &[&sample.image]);
        e2fsck(&sample.image).unwrap();
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let block = 4096;
        type Offset = fn(&Sample) -> u64;
        let cases: [(&str, Offset); 9] = [
            ("superblock magic", |_| 1024 + 0x38),
            ("superblock checksum", |_| 1024 + 0x3fc),
            ("free inode count, checksum not mended", |_| 1024 + 0x10),
            ("group descriptor checksum", |_| 4096 + 0x1e),
            ("group descriptor free count", |_| 4096 + 0x0c),
            ("block bitmap", |s| s.descriptor_field(0) * 4096 + 3000),
            ("inode mode", |s| s.descriptor_field(8) * 4096 + 256),
            ("inode checksum", |s| s.descriptor_field(8) * 4096 + 256 + 0x7c),
            ("directory block", |s| s.debugfs("bmap dir 0") * 4096 + 4),
        ];
        for (what, offset) in cases {
            let sample = Sample::new();
            e2fsck(&sample.image).unwrap();
            sample.flip(offset(&sample));
            assert!(e2fsck(&sample.image).is_err(), "{what}");
        }
        let sample = Sample::new();
        sample.flip(sample.debugfs("bmap dir 0") * block + block - 1);
        assert!(e2fsck(&sample.image).is_err(), "directory block checksum");
    }

    impl Sample {
        /// Returns a 32-bit field of the first group descriptor.
        fn descriptor_field(&self, offset: u64) -> u64 {
            let mut bytes = [0; 4];
            File::open(&self.image).unwrap().read_exact_at(&mut bytes, 4096 + offset).unwrap();
            u32::from_le_bytes(bytes).into()
        }
    }

    #[test]
    fn what_e2fsck_forgives_with_status_0_is_found() {
        let sample = Sample::new();
        wrong_free_count(&sample);
        let said = run("e2fsck", [OsStr::new("-fn"), sample.image.as_os_str()]);
        assert!(said.ok, "the premise of this test: {}", said.all());
        let error_text = e2fsck(&sample.image).unwrap_err().0;
        assert!(error_text.contains("Free blocks count wrong"), "{error_text}");
    }

    #[test]
    fn summaries_are_told_from_complaints() {
        for (line, summary) in [
            ("a.img: 13/16384 files (0.0% non-contiguous), 9515/65536 blocks", true),
            ("a: b: 1/16 files (100.0% non-contiguous), 1/2 blocks", true),
            ("a.img: ********** WARNING: Filesystem still has errors **********", false),
            ("Free blocks count wrong (1, counted=2).", false),
            ("", false),
        ] {
            assert_eq!(is_summary(line), summary, "{line}");
        }
    }
}
