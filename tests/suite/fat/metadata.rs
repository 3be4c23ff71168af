//! Tests of times, and of metadata that FAT can't store.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use detfs::Timestamp;
use detfs::fat::Options;
use detfs::tree::{FileFlags, Metadata, Xattr};

use super::image::{Image, expected, extracted};
use super::sample::{Sample, metadata, options, pattern, refusal};
use crate::oracle::shell;

#[test]
fn times_are_utc() {
    let cases = [
        ("before", -1, "1980-01-01   0:00", 315_532_800),
        ("first", 315_532_800, "1980-01-01   0:00", 315_532_800),
        ("leap", 951_868_799, "2000-02-29  23:59", 951_868_798),
        ("odd", 1_700_000_001, "2023-11-14  22:13", 1_700_000_000),
        ("summer", 1_720_000_000, "2024-07-03   9:46", 1_720_000_000),
        ("no-leap", 4_107_542_399, "2100-02-28  23:59", 4_107_542_398),
        ("last", 4_354_819_199, "2107-12-31  23:59", 4_354_819_198),
        ("after", 4_354_819_200, "2107-12-31  23:59", 4_354_819_198),
    ];
    let mut sample = Sample::new();
    for (name, seconds, ..) in cases {
        let mtime = Timestamp::from_seconds(seconds);
        sample.file_with(name, Metadata { mtime, ..metadata() }, b"");
    }
    let image = Image::new(sample, &options());
    image.check();
    assert_eq!(image.plan.warnings.len(), 1);
    let message = &image.plan.warnings[0].message;
    assert!(message.starts_with("3 times"), "{message}"); // 2107-12-31 23:59:59 is 1 s too late
    // mdir shows the stored time, whatever the time zone.
    for zone in ["UTC", "America/New_York", "Asia/Kolkata"] {
        let listing = shell(&format!("TZ={zone} mdir -i $1 ::/"), &[&image.path]);
        for (name, _, shown, _) in cases {
            let line = listing.lines().find(|line| line.starts_with(&format!("{name} ")));
            assert!(line.is_some_and(|line| line.contains(shown)), "{name} {shown}\n{listing}");
        }
    }
    extracted(&image);
    for (name, _, _, seconds) in cases {
        // mtools counts 2100 as a leap year when it sets the time of a copy.
        let leap = if seconds > 4_107_542_400 { 86_400 } else { 0 };
        let copy = fs::metadata(image.directory.path().join("out").join(name)).unwrap();
        assert_eq!(copy.mtime(), seconds + leap, "{name}");
    }
}

#[test]
fn a_time_of_the_label_that_is_none_is_refused() {
    for label in [None, Some("LABEL".to_owned())] {
        let mut options = Options { label, ..options() };
        options.epoch.nanoseconds = 1_000_000_000;
        let error = refusal(&Sample::new().tree(), &options);
        assert!(error.to_string().contains("nanoseconds"), "{error}");
    }
}

#[test]
fn what_is_lost_is_told_once() {
    let mut sample = Sample::new();
    let linked = sample.file("a/linked", &pattern(5000, 4));
    for name in ["other", "third"] {
        let parent = sample.directories["a"];
        sample.builder.link(parent, name.as_bytes(), linked).unwrap();
        let bytes = Arc::clone(&sample.content["a/linked"]);
        sample.content.insert(format!("a/{name}"), bytes);
    }
    let xattr = Xattr { name: b"user.x".to_vec(), value: b"1".to_vec() };
    let odd = Metadata { uid: 1, mode: 0o4755, xattrs: vec![xattr], ..metadata() };
    sample.file_with("odd", odd.clone(), b"");
    sample.file_with("group", Metadata { uid: 0, gid: 7, mode: 0o700, ..odd }, b"");
    sample.file_with("flag", Metadata { flags: FileFlags::IMMUTABLE, ..metadata() }, b"");
    let wanted = expected(&sample);
    let image = Image::new(sample, &options());
    image.check();
    assert_eq!(extracted(&image), wanted);
    let told: Vec<_> = image.plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "a/linked: 2 more names for files get a copy each, because FAT has no hard links",
            "/: 2 nodes lose an owner or group other than root",
            "/: 1 node loses a setuid, setgid or sticky bit",
            "/: 1 node loses file flags",
            "/: 2 nodes lose extended attributes",
        ]
    );
}
