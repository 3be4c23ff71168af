//! `--dry-run` reports the image that would be made, and writes nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::detfs::{PROGRAM, SEED, mkfs, mkimage, succeed};
use crate::oracle::shell;

const EPOCH: i64 = 1_700_000_000;

fn fixture() -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    shell(
        "cd $1; mkdir -p tree/efi/EFI/BOOT tree/usr/lib tree/usr/share out
        echo x >tree/efi/EFI/BOOT/BOOTX64.EFI
        printf 'ID=test\n' >tree/usr/lib/os-release
        yes | head -c 300K >tree/usr/share/text; head -c 5000 /dev/urandom >tree/usr/share/random",
        &[scratch.path()],
    );
    scratch
}

fn names(directory: &Path) -> BTreeSet<OsString> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Returns the JSON that a command prints, and its standard error.
fn json(command: &mut Command) -> (Value, String) {
    let output = succeed(command.arg("--json"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), stderr)
}

/// Removes all hashes, and returns their number.
fn remove_hashes(value: &mut Value) -> usize {
    match value {
        Value::Object(map) => {
            let own = usize::from(map.remove("sha256").is_some());
            own + map.values_mut().map(remove_hashes).sum::<usize>()
        }
        Value::Array(values) => values.iter_mut().map(remove_hashes).sum(),
        _ => 0,
    }
}

/// Returns a command with more options.
type With<'a> = &'a dyn Fn(&[&str]) -> Command;

#[test]
fn the_report_is_that_of_the_image() {
    let fixture = fixture();
    let (tree, out) = (fixture.path().join("tree"), fixture.path().join("out"));
    let (image, manifest) = (out.join("image"), out.join("manifest"));
    let manifest_option = format!("--manifest={}", manifest.display());
    let amd64 = "--architecture=x86-64";
    let commands: [With<'_>; 5] = [
        &|more| mkimage(&tree, &image, EPOCH, &[&[amd64], more].concat()),
        &|more| mkimage(&tree, &image, EPOCH, &[&[amd64, "--size=200M"], more].concat()),
        &|more| {
            let btrfs = [amd64, "--fs=btrfs", "--compress=zstd"];
            mkimage(&tree, &image, EPOCH, &[&btrfs, more].concat())
        },
        &|more| mkfs("ext4", &tree, &image, EPOCH, more),
        &|more| mkfs("vfat", &tree, &image, EPOCH, more),
    ];
    for command in commands {
        let (planned, _) = json(&mut command(&["--dry-run", &manifest_option]));
        assert_eq!(names(&out), BTreeSet::new());
        let (mut written, _) = json(&mut command(&[]));
        assert!(remove_hashes(&mut written) > 0);
        assert_eq!(planned, written);
        // Files that exist are neither refused nor replaced.
        let before = fs::metadata(&image).unwrap().modified().unwrap();
        fs::write(&manifest, "mine").unwrap();
        let (again, _) = json(&mut command(&["--dry-run", &manifest_option]));
        assert_eq!(again, planned);
        assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), before);
        assert_eq!(fs::read(&manifest).unwrap(), b"mine");
        assert_eq!(names(&out), BTreeSet::from(["image".into(), "manifest".into()]));
        fs::remove_file(&image).unwrap();
        fs::remove_file(&manifest).unwrap();
    }
}

#[test]
fn what_is_wrong_is_refused_as_without_it() {
    let fixture = fixture();
    let (tree, out) = (fixture.path().join("tree"), fixture.path().join("out/image"));
    let inside = tree.join("image");
    for (code, out, option) in [(3, &out, "--size=1M"), (2, &inside, "--size=auto")] {
        let mut command = mkimage(&tree, out, EPOCH, &["--architecture=x86-64", option]);
        let refused = command.output().unwrap();
        let planned = command.arg("--dry-run").output().unwrap();
        assert_eq!(planned.status.code(), Some(code));
        assert_eq!((planned.stderr, planned.stdout), (refused.stderr, refused.stdout));
    }
}

/// Content is only read where ids or sizes depend on it, which is said.
#[test]
fn content_is_read_only_if_necessary() {
    let fixture = fixture();
    let (tree, out) = (fixture.path().join("tree"), fixture.path().join("out/image"));
    let trace = fixture.path().join("trace");
    let read = |arguments: &[&str]| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=pread64,read", "-o"]).arg(&trace).arg(PROGRAM);
        strace.args(arguments).arg(&tree).arg(&out).args(["--source-date-epoch=1700000000"]);
        let stderr = String::from_utf8(succeed(strace.arg("--dry-run")).stderr).unwrap();
        let files = ["usr/share/random", "usr/share/text"].map(|name| {
            fs::read_to_string(&trace).unwrap().contains(&format!("{}>", tree.join(name).display()))
        });
        (files, stderr.lines().filter(|line| line.contains("all content")).count())
    };
    let seed = format!("--seed={SEED}");
    let mkimage = ["mkimage", "--architecture=x86-64", &seed];
    // Long files are searched for holes.
    assert_eq!(read(&mkimage), ([false, true], 0));
    assert_eq!(read(&[&mkimage[..], &["--fs=btrfs"]].concat()), ([false, true], 0));
    assert_eq!(read(&["mkfs", "vfat", &seed]), ([false, false], 0));
    assert_eq!(read(&["mkfs", "ext4", &format!("--uuid={SEED}")]), ([false, true], 0));
    assert_eq!(read(&["mkfs", "ext4"]), ([true, true], 1));
    assert_eq!(read(&mkimage[..2]), ([true, true], 1));
    for option in ["--compress=zstd", "--dedup"] {
        let options = [&mkimage[..], &["--fs=btrfs", option]].concat();
        assert_eq!(read(&options), ([true, true], 1), "{option}");
    }
}

#[test]
#[ignore = "deep: 60,000 files"]
#[expect(clippy::disallowed_types, reason = "a test may measure")]
fn deep_a_dry_run_is_short() {
    let fixture = fixture();
    shell(
        "cd $1/tree/usr; for d in $(seq 600); do mkdir $d
        head -c 2M /dev/urandom >all; split -a 3 -n 100 all $d/; done; rm all",
        &[fixture.path()],
    );
    let (tree, out) = (fixture.path().join("tree"), fixture.path().join("out/image"));
    let time = |option: &str| {
        let start = std::time::Instant::now();
        succeed(&mut mkimage(&tree, &out, EPOCH, &["--architecture=x86-64", "--force", option]));
        start.elapsed()
    };
    let least = |option| (0..3).map(|_| time(option)).min().unwrap();
    let (image, planned) = (least("--format=raw"), least("--dry-run"));
    assert!(planned.as_secs_f64() < 0.3 * image.as_secs_f64(), "{planned:?} of {image:?}");
}
