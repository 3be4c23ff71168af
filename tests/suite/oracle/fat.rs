//! Checks FAT images with `fsck.fat`, and reads them with mtools.

use std::ffi::OsStr;
use std::path::Path;

use super::tool::run;
use super::{Verdict, oracle_error};

/// Checks a FAT file system with `fsck.fat -n`.
///
/// The exit status is 0 even if the boot sectors differ, so nothing may be printed except the
/// version and the summary.
pub fn fsck_fat(image: &Path) -> Verdict {
    let said = run("fsck.fat", [OsStr::new("-n"), image.as_os_str()]);
    let lines = said.stdout.lines().collect::<Vec<_>>();
    let clean = said.ok
        && said.stderr.is_empty()
        && matches!(lines[..], [version, summary]
            if version.starts_with("fsck.fat 4.") && is_summary(summary, image));
    if clean { Ok(()) } else { oracle_error(format!("fsck.fat: {}", said.all())) }
}

/// `IMAGE: 2 files, 2/129022 clusters`
fn is_summary(line: &str, image: &Path) -> bool {
    let Some(counts) = line.strip_prefix(&format!("{}: ", image.display())) else { return false };
    counts.replace(|c: char| c.is_ascii_digit(), "") == " files, / clusters"
}

/// Runs a program of mtools on an image and returns what it prints.
pub fn mtools(
    image: &Path,
    tool: &str,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Verdict<String> {
    let mut all = vec![OsStr::new("-i").to_owned(), image.into()];
    all.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
    let said = run(tool, all);
    if said.ok && said.stderr.is_empty() {
        Ok(said.stdout)
    } else {
        oracle_error(format!("{tool}: {}", said.all()))
    }
}

/// Extracts all files of a FAT file system into an empty directory, with their times.
pub fn extract_fat(image: &Path, to: &Path) -> Verdict {
    if mtools(image, "mdir", ["-b", "::/"])?.is_empty() {
        return Ok(()); // mcopy calls an empty directory an error
    }
    mtools(image, "mcopy", ["-sQmnp".as_ref(), "::/*".as_ref(), to.as_os_str()]).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;

    use tempfile::TempDir;

    use super::super::Comparison;
    use super::super::tool::flip;
    use super::super::tool::shell;
    use super::*;

    /// Creates a FAT32 file system with mkfs.fat, with 512-byte sectors, 32 reserved sectors and
    /// `dir/a long file name`.
    fn sample() -> (TempDir, std::path::PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let image = scratch.path().join("image");
        let script = "mkdir -p $1/source/dir; seq 5000 >\"$1/source/dir/a long file name\"
            mkfs.fat -C -F 32 -n ESP $1/image 65536 >/dev/null
            mcopy -s -i $1/image $1/source/dir ::";
        shell(script, &[scratch.path()]);
        (scratch, image)
    }

    #[test]
    fn a_clean_image_passes() {
        let (scratch, image) = sample();
        fsck_fat(&image).unwrap();
        let copy = scratch.path().join("copy");
        fs::create_dir(&copy).unwrap();
        extract_fat(&image, &copy).unwrap();
        let same = Comparison::names_and_content();
        same.compare(&scratch.path().join("source"), &copy).unwrap();
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let sector = 512;
        for (what, offset) in [
            ("signature", 510),
            ("sectors of a FAT", 0x24),
            ("FSInfo free count", sector + 488),
            ("boot sector's serial number, so that the backup differs", 0x43),
            ("backup boot sector", 6 * sector + 0x43),
            ("media byte in the first FAT", 32 * sector),
            ("chain of the directory in the first FAT", 32 * sector + 3 * 4),
            ("dirty flag", 0x41),
        ] {
            let (_scratch, image) = sample();
            flip(&image, offset);
            fsck_fat(&image).expect_err(what);
        }
    }

    #[test]
    fn a_boot_sector_that_differs_from_its_backup_is_found_in_spite_of_status_0() {
        let (_scratch, image) = sample();
        flip(&image, 6 * 512 + 0x43);
        let said = run("fsck.fat", [OsStr::new("-n"), image.as_os_str()]);
        assert!(said.ok, "the premise of this test: {}", said.all());
        fsck_fat(&image).unwrap_err();
    }

    #[test]
    fn mtools_complains_too() {
        let (scratch, image) = sample();
        // Sets the total sector count to 1100, too few for FAT32.
        let file = File::options().write(true).open(&image).unwrap();
        file.write_all_at(&1100u32.to_le_bytes(), 0x20).unwrap();
        extract_fat(&image, scratch.path()).unwrap_err();
    }
}
