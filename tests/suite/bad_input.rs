//! Invalid input is refused with a one-line error that names the path, the rule and a remedy, and
//! no files are left over.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::detfs::{copy_program, detfs, is_usage, mkfs, mkimage, succeed};
use crate::oracle::{Mounted, require_root, shell};

const EPOCH: i64 = 1_700_000_000;
/// Exit codes of the program.
pub const USAGE: i32 = 2;
pub const UNREPRESENTABLE: i32 = 3;
pub const INPUT_OUTPUT: i32 = 4;

/// A small tree and an empty output directory.
struct Fixture {
    scratch: TempDir,
    tree: PathBuf,
    results: PathBuf,
}

impl Fixture {
    /// Creates the tree by running a shell script in it.
    fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (tree, results) = (scratch.path().join("tree"), scratch.path().join("results"));
        let make = "mkdir -p $1/etc $2; cd $1; echo NAME=test >etc/os-release";
        shell(make, &[&tree, &results]);
        shell(&format!("cd $1; {script}"), &[&tree]);
        Self { scratch, tree, results }
    }

    fn out(&self) -> PathBuf {
        self.results.join("image")
    }

    fn mkimage(&self, options: &[&str]) -> Command {
        let mut command = mkimage(&self.tree, &self.out(), EPOCH, options);
        command.arg("--architecture=x86-64");
        command
    }

    fn mkfs(&self, format: &str, options: &[&str]) -> Command {
        mkfs(format, &self.tree, &self.out(), EPOCH, options)
    }

    /// Runs a command that must be refused and must not leave a file in the output directory.
    fn refused(&self, command: &mut Command, code: i32, words: &[&str]) {
        let before = names(&self.results);
        check(command, code, words);
        assert_eq!(names(&self.results), before, "{command:?} left something behind");
    }
}

fn names(directory: &Path) -> BTreeSet<OsString> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

/// Checks that `command` fails with `code` and a one-line error message that contains all `words`,
/// in any case. The rule comes first in the message and the remedy after a semicolon.
pub fn check(command: &mut Command, code: i32, words: &[&str]) {
    let mut output = command.output();
    // Another thread that is about to start a program may still hold this one open for writing.
    while output.as_ref().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy) {
        sleep(Duration::from_millis(20));
        output = command.output();
    }
    let output = output.unwrap();
    check_message(&format!("{command:?}"), output.status.code(), &output.stderr, code, words);
    assert_eq!(output.stdout, b"", "{command:?}");
}

fn check_message(what: &str, status: Option<i32>, stderr: &[u8], code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(stderr);
    assert_eq!(status, Some(code), "{what}: {message}");
    let is_usage = is_usage(&message);
    let lines = message.lines().filter(|line| !line.starts_with("warning:"));
    assert!(is_usage || lines.count() == 1, "{what}: {message}");
    let lower = message.to_lowercase();
    for word in words {
        assert!(lower.contains(&word.to_lowercase()), "{what}: no {word:?} in: {message}");
    }
    let remedy = message.trim_end().rsplit_once("; ").map_or("", |(_, remedy)| remedy);
    assert!(is_usage || remedy.len() > 5, "{what}: no remedy in: {message}");
}

#[test]
fn the_ground_is_sound() {
    let fixture = Fixture::new("mkdir -p efi/EFI; echo x >efi/EFI/x; echo x >file");
    succeed(&mut fixture.mkimage(&[]));
    assert_eq!(names(&fixture.results), BTreeSet::from(["image".into()]));
    let vfat = Fixture::new("rm -r etc; echo x >file");
    succeed(&mut vfat.mkfs("vfat", &[]));
    assert_eq!(names(&vfat.results), BTreeSet::from(["image".into()]));
}

#[test]
fn parameters_out_of_range() {
    let fixture = Fixture::new(":");
    let with = |options: &[&str]| {
        let mut command = detfs(["mkimage"]);
        command.arg(&fixture.tree).arg(fixture.out()).arg("--architecture=x86-64").args(options);
        command
    };
    for (options, words) in [
        (&["--seed=nonsense"][..], &["--seed", "nonsense"][..]),
        (&["--seed=11111111-2222-3333-4444-55555555555"], &["--seed"]),
        (&["--source-date-epoch=x"], &["--source-date-epoch", "x"]),
        (&["--source-date-epoch=99999999999"], &["--source-date-epoch", "99999999999"]),
        (&["--source-date-epoch=-99999999999"], &["--source-date-epoch", "99999999999"]),
        (&["--source-date-epoch=15032385536"], &["--source-date-epoch", "15032385536"]),
        (&["--sector-size=1024"], &["--sector-size", "1024"]),
        (&["--size=12q"], &["--size", "12q"]),
        (&["--ext4-profile=none"], &["--ext4-profile", "none"]),
    ] {
        fixture.refused(&mut with(options), USAGE, words);
    }
    let mut command = with(&[]);
    command.env("SOURCE_DATE_EPOCH", "yesterday");
    fixture.refused(&mut command, USAGE, &["SOURCE_DATE_EPOCH", "yesterday"]);
}

#[test]
fn a_tree_that_is_none() {
    let fixture = Fixture::new("echo x >file; ln -s . link");
    for name in ["file", "missing"] {
        let path = fixture.tree.join(name);
        let output = mkimage(&path, &fixture.out(), EPOCH, &[]).output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(UNREPRESENTABLE | INPUT_OUTPUT)), "{name}: {output:?}");
        check_message(name, code, &output.stderr, code.unwrap(), &[path.to_str().unwrap()]);
        assert!(names(&fixture.results).is_empty());
    }
}

#[test]
fn an_unreadable_file() {
    require_root();
    let fixture = Fixture::new("mkdir dir; echo x >dir/secret; chmod 600 dir/secret");
    fs::set_permissions(fixture.scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&fixture.results, fs::Permissions::from_mode(0o777)).unwrap();
    let program = fixture.scratch.path().join("detfs");
    copy_program(&program);
    let mut command = Command::new(program);
    command.env_clear().args(fixture.mkimage(&[]).get_args()).uid(65_534).gid(65_534);
    fixture.refused(&mut command, INPUT_OUTPUT, &["dir/secret", "permission denied"]);

    let script = "rm dir/secret; mkdir dir/closed; chmod 700 dir/closed";
    shell(&format!("cd $1; {script}"), &[&fixture.tree]);
    fixture.refused(&mut command, INPUT_OUTPUT, &["dir/closed", "permission denied"]);
}

/// A full pipe stops the program while it writes the first file of the tree, and the last file is
/// then changed before it is read.
#[test]
fn a_file_that_changes_while_it_is_read() {
    let make = "head -c 64M /dev/urandom >a-large; head -c 1M /dev/urandom >z-late";
    for (change, word) in [
        ("truncate -s 1000 $1/z-late", "z-late"),
        ("truncate -s 0 $1/z-late", "z-late"),
        ("echo more >>$1/z-late", "z-late"),
        ("sleep 0.01; printf x | dd of=$1/z-late conv=notrunc status=none", "z-late"),
        ("rm $1/z-late", "z-late"),
    ] {
        let fixture = Fixture::new(make);
        let mut command = mkfs("ext4", &fixture.tree, Path::new("-"), EPOCH, &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 4096]).unwrap();
        shell(change, &[&fixture.tree]);
        std::io::copy(&mut stdout, &mut std::io::sink()).unwrap();
        let output = child.wait_with_output().unwrap();
        check_message(change, output.status.code(), &output.stderr, INPUT_OUTPUT, &[word]);
    }
}

#[test]
fn names_that_fat_does_not_hold() {
    for (make, words) in [
        ("echo x >'efi/EFI/a:b'", &["efi/EFI/a:b"][..]),
        ("echo x >'efi/EFI/what?'", &["efi/EFI/what?"]),
        ("echo x >'efi/EFI/dot.'", &["efi/EFI/dot."]),
        ("echo x >\"efi/EFI/$(printf '\\377')\"", &["efi/EFI/\\xff"]),
        ("echo x >\"efi/EFI/$(printf 'a\\nb')\"", &["efi/EFI/a\\nb"]),
        ("echo x >efi/EFI/readme; echo x >efi/EFI/README", &["efi/EFI/", "readme", "README"]),
        ("echo x >efi/EFI/ä; echo x >efi/EFI/Ä", &["efi/EFI/ä", "efi/EFI/Ä"]),
        ("ln -s x efi/EFI/link", &["efi/EFI/link"]),
        ("mkfifo efi/EFI/fifo", &["efi/EFI/fifo"]),
    ] {
        let fixture = Fixture::new(&format!("mkdir -p efi/EFI; {make}"));
        fixture.refused(&mut fixture.mkimage(&[]), UNREPRESENTABLE, words);
    }
}

#[test]
fn a_file_too_large_for_fat() {
    let fixture = Fixture::new("mkdir -p efi/EFI; truncate -s 4G efi/EFI/large");
    fixture.refused(&mut fixture.mkimage(&[]), UNREPRESENTABLE, &["efi/EFI/large", "4294967295"]);
}

#[test]
fn an_esp_smaller_than_its_content() {
    let fixture = Fixture::new("mkdir -p efi/EFI; truncate -s 40M efi/EFI/large");
    let mut command = fixture.mkimage(&["--esp-size=33M"]);
    fixture.refused(&mut command, UNREPRESENTABLE, &["--esp-size"]);
}

#[test]
fn an_xattr_and_links_that_ext4_does_not_hold() {
    let fixture = Fixture::new(":");
    // An ext4 source can hold neither of these.
    let source = Mounted::new("tmpfs", "size=64m,nr_inodes=1000", None).unwrap();
    let script = "mkdir $1/dir; : >$1/dir/file
        setfattr -n trusted.large -v $(head -c 5000 /dev/zero | tr '\\0' x) $1/dir/file";
    shell(script, &[source.path()]);
    let mut command = mkfs("ext4", source.path(), &fixture.out(), EPOCH, &[]);
    fixture.refused(&mut command, UNREPRESENTABLE, &["dir/file", "trusted.large", "5000"]);

    let source = Mounted::new("tmpfs", "size=256m,nr_inodes=100000", None).unwrap();
    fs::write(source.path().join("first"), "x").unwrap();
    for link in 0..64_999 {
        fs::hard_link(source.path().join("first"), source.path().join(format!("l{link}"))).unwrap();
    }
    let mut command = mkfs("ext4", source.path(), &fixture.out(), EPOCH, &[]);
    succeed(&mut command);
    fs::remove_file(fixture.out()).unwrap();
    fs::hard_link(source.path().join("first"), source.path().join("one-too-many")).unwrap();
    fixture.refused(&mut command, UNREPRESENTABLE, &["first", "65001", "65000"]);
}

#[test]
fn a_size_too_small_for_the_tree() {
    let fixture = Fixture::new("head -c 20M /dev/urandom >large");
    fixture.refused(&mut fixture.mkimage(&["--size=8M"]), UNREPRESENTABLE, &["root-x86-64 "]);
    fixture.refused(&mut fixture.mkfs("ext4", &["--size=8M"]), UNREPRESENTABLE, &["blocks"]);
    // What is missing is missing in the image, whichever partition it is missing for.
    let needed = "use at least 68M";
    for size in ["0", "1M", "40M", "67M"] {
        let size = format!("--size={size}");
        let options = ["--esp-size=40M", &size];
        fixture.refused(&mut fixture.mkimage(&options), UNREPRESENTABLE, &[needed]);
    }
}

/// An error while the output is examined does not count as an absent output.
#[test]
fn an_output_that_cannot_be_looked_at_is_not_replaced() {
    let fixture = Fixture::new("");
    symlink("image", fixture.out()).unwrap();
    let words = ["image", "too many levels of symbolic links"];
    fixture.refused(&mut fixture.mkfs("ext4", &["--force"]), INPUT_OUTPUT, &words);
    let manifest = fixture.results.join("manifest");
    fs::remove_file(fixture.out()).unwrap();
    symlink("manifest", &manifest).unwrap();
    let mut command = fixture.mkfs("ext4", &["--force"]);
    command.arg("--manifest").arg(&manifest);
    fixture.refused(&mut command, INPUT_OUTPUT, &["manifest", "too many levels"]);
}

#[test]
fn an_output_inside_the_tree() {
    let fixture = Fixture::new("mkdir dir");
    symlink(fixture.tree.join("dir"), fixture.results.join("link")).unwrap();
    for out in [
        fixture.tree.join("image"),
        fixture.tree.join("dir/image"),
        fixture.results.join("link/image"),
    ] {
        let mut command = mkimage(&fixture.tree, &out, EPOCH, &["--architecture=x86-64"]);
        fixture.refused(&mut command, USAGE, &[out.to_str().unwrap()]);
        assert_eq!(names(&fixture.tree), BTreeSet::from(["dir".into(), "etc".into()]));
        assert!(names(&fixture.tree.join("dir")).is_empty());
    }
}

#[test]
fn a_standard_output_inside_the_tree() {
    let fixture = Fixture::new("mkdir dir");
    let inside = fixture.tree.join("dir/image");
    let stdout = || File::create(&inside).unwrap();
    for mut command in [
        mkfs("ext4", &fixture.tree, Path::new("-"), EPOCH, &[]),
        mkimage(&fixture.tree, Path::new("-"), EPOCH, &["--architecture=x86-64"]),
    ] {
        check(command.stdout(stdout()), USAGE, &[inside.to_str().unwrap(), "inside the tree"]);
        assert_eq!(fs::metadata(&inside).unwrap().len(), 0);
    }
    // Outside the tree, a regular file is accepted as standard output.
    let outside = File::create(fixture.out()).unwrap();
    let mut command = mkfs("ext4", &fixture.tree, Path::new("-"), EPOCH, &[]);
    succeed(command.stdout(outside));
    assert!(fs::metadata(fixture.out()).unwrap().len() > 1 << 20);
}

#[test]
fn an_output_named_as_another_format() {
    let fixture = Fixture::new(":");
    for name in ["image.qcow2", "image.vhd", "image.VMDK", "image.img.zst", "image.raw.gz"] {
        let out = fixture.results.join(name);
        let config = fixture.scratch.path().join("image.toml");
        let text = format!("source-date-epoch = 1\n[image]\ntree = \"tree\"\nout = {out:?}\n");
        fs::write(&config, text).unwrap();
        let words = [out.to_str().unwrap(), "raw", "--format raw"];
        let mut mkimage = mkimage(&fixture.tree, &out, EPOCH, &["--architecture=x86-64"]);
        fixture.refused(&mut mkimage, USAGE, &words);
        let mut mkfs = mkfs("ext4", &fixture.tree, &out, EPOCH, &[]);
        fixture.refused(&mut mkfs, USAGE, &words);
        let words = [out.to_str().unwrap(), "raw", "`format` raw"];
        fixture.refused(detfs(["build"]).arg(&config), USAGE, &words);
        succeed(mkfs.arg("--format=raw"));
        succeed(mkimage.args(["--format=raw", "--force"]));
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn an_output_that_exists() {
    let fixture = Fixture::new(":");
    fs::write(fixture.out(), "precious").unwrap();
    let mut command = fixture.mkimage(&[]);
    let out = fixture.out();
    fixture.refused(&mut command, USAGE, &[out.to_str().unwrap(), "--force"]);
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    succeed(command.arg("--force"));
    assert!(fs::metadata(&out).unwrap().len() > 1 << 20);
}

/// `/proc/self/fd/1`, to which `/dev/stdout` leads, is refused if standard output is a regular
/// file, or a pipe, which the summary goes to.
#[test]
fn an_output_that_the_system_names() {
    let fixture = Fixture::new(":");
    let out = Path::new("/proc/self/fd/1");
    let mut command = mkimage(&fixture.tree, out, EPOCH, &["--architecture=x86-64", "--force"]);
    let stdout = File::create(fixture.out()).unwrap();
    check(command.stdout(stdout), USAGE, &["/proc/self/fd/1", "or - for the standard output"]);
    let options = ["--architecture=x86-64", "--manifest=/dev/stdout"];
    let mut command = mkimage(&fixture.tree, Path::new("/dev/stdout"), EPOCH, &options[..1]);
    check(&mut command, USAGE, &["OUT: it is standard output", "use `-`"]);
    let mut command = mkimage(&fixture.tree, &fixture.out(), EPOCH, &options);
    fixture.refused(&mut command, USAGE, &["--manifest: it is standard output", "use --json"]);
}

#[test]
fn a_full_disk() {
    let fixture = Fixture::new("head -c 32M /dev/urandom >large");
    let small = Mounted::new("tmpfs", "size=8m", None).unwrap();
    let out = small.path().join("image");
    let options = ["--architecture=x86-64", "--normalize=none"];
    let mut command = mkimage(&fixture.tree, &out, EPOCH, &options);
    check(&mut command, INPUT_OUTPUT, &[out.to_str().unwrap(), "no space left"]);
    assert!(names(small.path()).is_empty());

    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = mkfs("ext4", &fixture.tree, Path::new("-"), EPOCH, &[]);
    check(command.stdout(full), INPUT_OUTPUT, &["no space left"]);
}

#[test]
fn an_output_directory_that_is_missing() {
    let fixture = Fixture::new(":");
    let out = fixture.results.join("missing/image");
    let mut command = mkimage(&fixture.tree, &out, EPOCH, &["--architecture=x86-64"]);
    fixture.refused(&mut command, INPUT_OUTPUT, &[out.to_str().unwrap()]);
}

/// A program that is killed at any moment leaves no file under the final name.
#[test]
fn a_kill_at_any_moment() {
    let fixture = Fixture::new("for n in 1 2 3 4; do head -c 32M /dev/urandom >file-$n; done");
    let mut killed = 0;
    for delay in [0, 2, 5, 10, 20, 40, 60, 80, 120, 160, 240, 320] {
        let mut command = fixture.mkimage(&["--threads=1"]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.signal().is_some() {
            killed += 1;
            assert!(!fixture.out().exists(), "{delay} ms");
        } else {
            assert!(status.success());
            fs::remove_file(fixture.out()).unwrap();
        }
    }
    assert!(killed >= 3, "only {killed} builds were killed before they ended");
    // Temporary files of killed runs do not prevent another build.
    succeed(&mut fixture.mkimage(&[]));
}
