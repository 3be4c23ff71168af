//! Checks images with `btrfs check`, by its output as well as by its status.

use std::ffi::OsStr;
use std::path::Path;

use super::super::tool::run;
use super::super::{Verdict, oracle_error};

/// Checks a file system with `btrfs check --check-data-csum`.
///
/// The file system is clean if the status is 0 and nothing is printed except the steps and the
/// summary.
pub fn btrfs_check(image: &Path) -> Verdict {
    let said = run("btrfs", ["check".as_ref(), "--check-data-csum".as_ref(), image.as_os_str()]);
    let clean = said.ok
        && said.stderr.lines().all(is_step)
        && said.stdout.lines().all(|line| is_summary(line, image.as_os_str()))
        && said.stdout.contains(NO_ERROR);
    if clean { Ok(()) } else { oracle_error(format!("btrfs check: {}", said.all())) }
}

const NO_ERROR: &str = " bytes used, no error found\n";

/// `[3/7] checking free space tree`
fn is_step(line: &str) -> bool {
    let shape = line.replace(|c: char| c.is_ascii_digit(), "");
    shape.starts_with("[/] checking ")
}

fn is_summary(line: &str, image: &OsStr) -> bool {
    let counts = [
        "total csum bytes: ",
        "total tree bytes: ",
        "total fs tree bytes: ",
        "total extent tree bytes: ",
        "btree space waste bytes: ",
        "file data blocks allocated: ",
        " referenced ",
    ];
    let is_count = |prefix: &&str| {
        let number = line.strip_prefix(*prefix);
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    line == "Opening filesystem to check..."
        || line.strip_prefix("Checking filesystem on ").is_some_and(|path| image == path)
        || line.starts_with("UUID: ")
        || (line.starts_with("found ") && line.ends_with(NO_ERROR.trim_end()))
        || counts.iter().any(is_count)
}

#[cfg(test)]
mod tests {
    use super::super::super::tool::flip;
    use super::super::tests::Sample;
    use super::*;

    #[test]
    fn clean_images_pass() {
        for options in ["", "-m single", "--csum blake2b -n 4096", "-O ^no-holes -n 65536"] {
            let sample = Sample::with(options);
            btrfs_check(&sample.image)
                .unwrap_or_else(|error_text| panic!("{options}: {error_text:?}"));
        }
    }

    #[test]
    fn a_flipped_bit_is_found() {
        type Offset = fn(&Sample) -> u64;
        let cases: [(&str, Offset); 6] = [
            ("superblock's checksum", |_| 65_536),
            ("superblock's bytes_used", |_| 65_536 + 0x78),
            ("content", Sample::data),
            ("the fs tree", |sample| sample.root("FS_TREE") + 101),
            ("the extent tree's checksum", |sample| sample.root("EXTENT_TREE")),
            ("the free space tree", |sample| sample.root("FREE_SPACE_TREE") + 101 + 9),
        ];
        for (what, offset) in cases {
            let sample = Sample::with("-m single");
            btrfs_check(&sample.image).unwrap();
            flip(&sample.image, offset(&sample));
            assert!(btrfs_check(&sample.image).is_err(), "{what}");
        }
    }

    /// If a copy of metadata other than the first one to be read is broken, `btrfs check` prints a
    /// message but still ends with "no error found".
    #[test]
    fn what_check_forgives_with_status_0_is_found() {
        let sample = Sample::new();
        flip(&sample.image, sample.root("FS_TREE"));
        let said = run("btrfs", ["check".as_ref(), sample.image.as_os_str()]);
        assert!(said.ok, "the premise of this test: {}", said.all());
        let error_text = btrfs_check(&sample.image).unwrap_err().0;
        assert!(error_text.contains("checksum verify failed"), "{error_text}");
    }

    #[test]
    fn steps_are_told_from_complaints() {
        for (line, step) in [
            ("[1/7] checking root items", true),
            ("[7/7] checking quota groups skipped (not enabled on this FS)", true),
            ("checksum verify failed on 30441472 wanted 0x01 found 0x02", false),
            ("WARNING: something", false),
            ("ref mismatch on [13631488 303104] extent item 1, found 2", false),
            ("", false),
        ] {
            assert_eq!(is_step(line), step, "{line}");
        }
    }
}
