//! Timestamps to the nanosecond, up to the limits of an inode.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use detfs::Timestamp;
use detfs::ext4::Options;
use detfs::tree::Metadata;

use super::PROFILES;
use super::sample::{Image, ROOT, Sample, metadata, options};
use crate::oracle::{e2fsck, mount_ext4};

const MIN: i64 = -(1 << 31);
const MAX: i64 = (1 << 34) - (1 << 31) - 1;

/// Creates an image with a file for each of these times, named after its position.
fn timed(times: &[(i64, u32)]) -> Image {
    let mut sample = Sample::new();
    for (number, &(seconds, nanoseconds)) in times.iter().enumerate() {
        let mtime = Timestamp { seconds, nanoseconds };
        sample.empty(ROOT, number.to_string(), Metadata { mtime, ..metadata(0o644) });
    }
    Image::new(&sample.finish(), &options())
}

/// Returns the times of a file as reported by the kernel.
///
/// All four must be equal.
fn time(path: &Path) -> (i64, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    let mtime = (found.mtime(), u32::try_from(found.mtime_nsec()).unwrap());
    assert_eq!((found.ctime(), found.ctime_nsec()), (mtime.0, mtime.1.into()), "{path:?}");
    assert_eq!((found.atime(), found.atime_nsec()), (mtime.0, mtime.1.into()), "{path:?}");
    assert_eq!(found.created().unwrap(), found.modified().unwrap(), "{path:?}");
    mtime
}

#[test]
fn times_are_kept() {
    let seconds = [
        MIN,
        MIN + 1,
        -1,
        0,
        1,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + (1 << 31) - 1,
        (1 << 32) + (1 << 31),
        7_258_118_400,
        MISTAKEN.start - 1,
        MISTAKEN.end,
        MAX - 1,
        MAX,
    ];
    let times: Vec<(i64, u32)> = seconds
        .into_iter()
        .flat_map(|second| [0, 1, 999_999_999].map(|nanosecond| (second, nanosecond)))
        .collect();
    let image = timed(&times);
    assert!(image.warnings.is_empty());
    let look = |root: &Path| {
        for (number, expected) in times.iter().enumerate() {
            assert_eq!(time(&root.join(number.to_string())), *expected);
        }
    };
    image.check_with_oracles(look).unwrap();
}

/// The years 2310 to 2378.
///
/// Old kernels encoded times before 1970 like these, and until 2242 e2fsck takes them for such
/// times.
const MISTAKEN: Range<i64> = (1 << 33) + (1 << 31)..3 << 32;

#[test]
fn times_that_only_the_kernel_takes_as_they_are() {
    let times = [(MISTAKEN.start, 0), (MISTAKEN.end - 1, 999_999_999)];
    let image = timed(&times);
    let error_text = e2fsck(&image.path).unwrap_err().0;
    assert_eq!(error_text.matches("are likely pre-1970").count(), times.len(), "{error_text}");
    let found =
        mount_ext4(&image.path, |root| [0, 1].map(|number| time(&root.join(number.to_string()))));
    assert_eq!(found.unwrap(), times);
}

#[test]
fn times_out_of_range_are_clamped_with_a_warning() {
    let times = [
        (0, 5),
        (MIN - 1, 999_999_999),
        (MIN, 0),
        (i64::MIN, 1),
        (MAX, 999_999_999),
        (MAX + 1, 0),
        (i64::MAX, 7),
    ];
    let image = timed(&times);
    let look = |root: &Path| {
        for (number, &given) in times.iter().enumerate() {
            let expected = given.clamp((MIN, 0), (MAX, 999_999_999));
            assert_eq!(time(&root.join(number.to_string())), expected, "{given:?}");
        }
    };
    image.check_with_oracles(look).unwrap();
    let [warning] = &image.warnings[..] else { panic!("{:?}", image.warnings) };
    assert_eq!(warning.path, b"1");
    assert!(warning.message.contains("1901 to 2446"), "{}", warning.message);
    assert!(warning.message.contains("4 in all"), "{}", warning.message);
}

/// Inodes that are not from the tree have the epoch as their time, and the clock is not used
/// anywhere.
#[test]
fn what_has_no_time_has_the_epoch() {
    for epoch in [MIN, -1, 0, 1, 1_700_000_000, 3_900_000_000, MAX] {
        for profile in PROFILES {
            let epoch = Timestamp::from_seconds(epoch);
            let image =
                Image::new(&Sample::new().finish(), &Options { epoch, profile, ..options() });
            let seconds = image.check_with_oracles(|root| {
                let own = root.join("lost+found");
                own.exists().then(|| time(&own))
            });
            if let Some(own) = seconds.unwrap() {
                assert_eq!(own, (epoch.seconds, 0));
            }
            // s_wtime, s_lastcheck and s_mkfs_time with their _hi bytes, which count from 1970
            for (low, high) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
                let low = image.read(1024 + low, 4).try_into().unwrap();
                let found = i64::from(image.read(1024 + high, 1)[0]) << 32
                    | i64::from(u32::from_le_bytes(low));
                assert_eq!(found, epoch.seconds.max(0));
            }
            // s_mtime, the time of the last mount
            assert_eq!(image.read(1024 + 0x2C, 4), [0; 4]);
        }
    }
}
