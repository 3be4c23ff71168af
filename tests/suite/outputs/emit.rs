//! What `emit` writes to full disks, devices and pipes, and leaves behind if it is killed.

use std::fs::{self, File};
use std::io::Read;
use std::num::NonZero;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::{KIB, MIB};
use detfs::layout::{Destination, Layout, Options, Render, emit};

use crate::oracle::{LoopDevice, Mounted, shell};

/// Environment variable that the tests set for their helpers, which do nothing without it.
const HELPER: &str = "EMIT_HELPER";

struct Fives;

impl Render for Fives {
    fn render(&self, _: u64, out: &mut [u8]) -> detfs::Result<()> {
        out.fill(5);
        Ok(())
    }
}

/// Returns an image of bytes, a long gap, bytes that end within a sector, and a final gap.
fn image() -> (Layout, Vec<u8>) {
    let mut layout = Layout::new(3 * MIB);
    layout.push_bytes(0, vec![3; 700]);
    layout.push_render(MIB, 600 * KIB + 5, Arc::new(Fives));
    let mut bytes = vec![0; 3 << 20];
    bytes[..700].fill(3);
    bytes[1 << 20..][..600 * 1024 + 5].fill(5);
    (layout.seal(), bytes)
}

fn write(layout: &Layout, path: &Path, force: bool) -> detfs::Result<()> {
    let output = Destination::new(path, force)?.create(layout.size())?;
    emit(layout, &output, &Options::new(NonZero::new(2).unwrap()))?;
    output.finish()
}

/// Returns the names in a directory, including hidden ones.
fn list(directory: &Path) -> String {
    shell("ls -A $1", &[directory])
}

#[test]
fn a_file_appears_whole() {
    let (layout, bytes) = image();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let output = Destination::new(&path, false).unwrap().create(layout.size()).unwrap();
    emit(&layout, &output, &Options::new(NonZero::<usize>::MIN)).unwrap();
    assert_eq!(list(directory.path()), "", "it has a name before it is finished");
    output.finish().unwrap();
    assert_eq!(list(directory.path()), "out\n");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 2 * MIB, "it has no holes");
}

#[test]
fn a_file_has_the_mode_of_a_new_one() {
    let (layout, _) = image();
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| fs::metadata(directory.path().join(name)).unwrap().mode();
    File::create(directory.path().join("ordinary")).unwrap();
    write(&layout, &directory.path().join("image"), false).unwrap();
    assert_eq!(mode("image"), mode("ordinary"));
}

#[test]
fn an_existing_file_needs_force() {
    let (layout, bytes) = image();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let expected = format!(
        "output: {} exists; use another name, or `output.force` to replace it",
        path.display()
    );
    let refused = |result: detfs::Result<()>| {
        let error = result.unwrap_err();
        assert_eq!((error.to_string(), error.exit_code()), (expected.clone(), 2));
    };

    fs::write(&path, "old").unwrap();
    refused(Destination::new(&path, false).map(drop));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    write(&layout, &path, true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);

    fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    refused(Destination::new(&path, false).map(drop));
    fs::remove_file(&path).unwrap();

    // A file that is created while the image is written is not replaced either.
    let output = Destination::new(&path, false).unwrap().create(layout.size()).unwrap();
    fs::write(&path, "new").unwrap();
    refused(output.finish());
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(list(directory.path()), "out\n");
}

#[test]
fn no_file_can_be_there() {
    let directory = tempfile::tempdir().unwrap();
    for (path, message) in [
        (
            "missing/out",
            "cannot create missing/out: No such file or directory (os error 2); \
             create the parent directory first",
        ),
        (".", "cannot write .: is a directory; give a file name"),
        ("..", "cannot write ..: is a directory; give a file name"),
        ("out/", "cannot create out/: is a directory; give a file name"),
    ] {
        let full = directory.path().join(path);
        let error = Destination::new(&full, true).unwrap_err().to_string();
        let prefix = format!("{}/", directory.path().display());
        assert_eq!(error.replace(&prefix, ""), message, "{path}");
    }
}

#[test]
fn an_abandoned_output_leaves_nothing() {
    let (layout, _) = image();
    let directory = tempfile::tempdir().unwrap();
    let output = Destination::new(&directory.path().join("out"), false).unwrap();
    drop(output.create(layout.size()).unwrap());
    assert_eq!(list(directory.path()), "");
}

#[test]
fn a_full_disk_leaves_nothing() {
    let (layout, _) = image();
    let mounted = Mounted::new("tmpfs", "size=512k", None).unwrap();
    let path = mounted.path().join("out");
    let error = write(&layout, &path, false).unwrap_err();
    let expected = format!(
        "cannot write {}: No space left on device (os error 28); free some space, or write elsewhere",
        path.display()
    );
    assert_eq!((error.to_string(), error.exit_code()), (expected, 4));
    assert_eq!(list(mounted.path()), "");
}

/// Returns a command that runs a test of this file alone, in another process.
fn helper(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("outputs::emit::{test}"), "--ignored", "--nocapture"]);
    command.env(HELPER, "");
    command
}

/// Helper of [`a_killed_program_leaves_nothing`], which runs it as another process and kills it.
#[test]
#[ignore = "run by another test"]
fn write_forever() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    struct Forever;
    impl Render for Forever {
        fn render(&self, offset: u64, _: &mut [u8]) -> detfs::Result<()> {
            if offset > MIB {
                File::create("started").unwrap();
                thread::sleep(Duration::from_secs(60));
            }
            Ok(())
        }
    }
    let mut layout = Layout::new(4 * MIB);
    layout.push_render(0, 4 * MIB, Arc::new(Forever));
    write(&layout.seal(), Path::new("out"), true).unwrap();
}

#[test]
fn a_killed_program_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("out"), "old").unwrap();
    let mut child = helper("write_forever")
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !directory.path().join("started").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(list(directory.path()), "out\nstarted\n");
    assert_eq!(fs::read(directory.path().join("out")).unwrap(), b"old");
}

#[test]
fn a_block_device_keeps_no_old_bytes() {
    let (layout, bytes) = image();
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    fs::write(&store, vec![0xee; 4 << 20]).unwrap();
    let device = LoopDevice::attach(&store, &[]);
    // An output that is a symlink to a device refers to the device.
    let link = directory.path().join("link");
    symlink(device.path(), &link).unwrap();
    write(&layout, &link, false).unwrap();

    assert!(fs::metadata(device.path()).unwrap().file_type().is_block_device());
    let mut written = Vec::new();
    File::open(device.path()).unwrap().read_to_end(&mut written).unwrap();
    assert_eq!(written.len(), 4 << 20);
    assert!(written[..3 << 20] == bytes, "old bytes are left");
    assert!(written[3 << 20..].iter().all(|&byte| byte == 0xee), "more than the image is written");
}

#[test]
fn a_block_device_may_be_too_small_or_in_use() {
    let (layout, _) = image();
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    fs::write(&store, vec![0xee; 1 << 20]).unwrap();
    let device = LoopDevice::attach(&store, &[]);
    let error = write(&layout, device.path(), true).unwrap_err();
    let expected =
        format!("device {}: 1 MiB is too small; use at least 3M", device.path().display());
    assert_eq!((error.to_string(), error.exit_code()), (expected, 3));
    assert!(fs::read(&store).unwrap().iter().all(|&byte| byte == 0xee));

    shell("mkfs.ext4 -q $1", &[device.path()]);
    let path = device.path().to_owned();
    let mounted = Mounted::on("ext4", "defaults", Some(device)).unwrap();
    let error = Destination::new(&path, true).unwrap_err();
    let busy = "Device or resource busy (os error 16); \
                wait until no other process uses it";
    assert_eq!(error.to_string(), format!("cannot write {}: {busy}", path.display()));
    drop(mounted);
}

/// Helper of another test: writes the image to standard output.
#[test]
#[ignore = "run by another test"]
fn write_to_standard_output() {
    if std::env::var_os(HELPER).is_none() {
        return;
    }
    write(&image().0, Path::new("-"), false).unwrap();
}

#[test]
fn a_stream_gets_all_bytes() {
    let (layout, bytes) = image();
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    shell("mkfifo $1", &[&pipe]);
    let got = thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read(&pipe).unwrap());
        write(&layout, &pipe, false).unwrap();
        reader.join().unwrap()
    });
    assert!(got == bytes, "the pipe differs");

    // The test harness prints a few lines before and after the image.
    let mut child = helper("write_to_standard_output").stdout(Stdio::piped()).spawn().unwrap();
    let mut got = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut got).unwrap();
    assert!(child.wait().unwrap().success());
    let start = got.iter().position(|&byte| byte == 3).unwrap();
    assert!(got[start..].starts_with(&bytes), "the standard output differs");
}
