//! Deep trees: processor time grows linearly with the depth of a directory, and the number of open
//! descriptors is independent of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use crate::detfs::{PROGRAM, detfs, mkfs, mkimage, succeed};
use crate::oracle::{btrfs, e2fsck, run, shell};

const EPOCH: i64 = 1_700_000_000;

/// A directory with a single chain of nested directories, each of which has a file.
struct Deep(PathBuf);

impl Deep {
    fn new(parent: &str, levels: usize) -> Self {
        let deep = Self(tempfile::tempdir_in(parent).unwrap().keep());
        let mut at = openat(CWD, &deep.0, OFlags::RDONLY, Mode::empty()).unwrap();
        for _ in 0..levels {
            mkdirat(&at, c"d", Mode::RWXU).unwrap();
            // "z" sorts after the directory "d", so that the walk back up is tested as well.
            let file = openat(&at, c"z", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
            File::from(file).write_all(b"z").unwrap();
            at = openat(&at, c"d", OFlags::RDONLY, Mode::empty()).unwrap();
        }
        deep
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        shell("rm -rf $1", &[&self.0]);
    }
}

/// Returns the processor time of `detfs ARGUMENTS` in seconds, the lower of two runs.
fn seconds(tree: &Path, arguments: &str) -> f64 {
    let script = format!(
        "TIMEFORMAT='%U %S'; for run in 1 2; do {{ time \"$1\" {arguments} >$3 2>&1; }} 2>&1; done |
         awk '{{ print $1 + $2 }}' | sort -n | head -n 1"
    );
    let output = tree.with_extension("said");
    let arguments = [OsStr::new("-euc"), script.as_ref(), "bash".as_ref(), PROGRAM.as_ref()];
    let paths = [tree.as_os_str(), output.as_os_str()];
    let said = run("bash", arguments.into_iter().chain(paths));
    let _ = fs::remove_file(output);
    said.stdout.trim().parse().unwrap_or_else(|error| panic!("{}: {error}", said.all()))
}

#[test]
fn time_grows_with_the_depth_and_not_with_its_square() {
    let (low, high) = (Deep::new("/dev/shm", 1500), Deep::new("/dev/shm", 6000));
    let arguments = "mkfs ext4 $2 /dev/null";
    let ratio = seconds(&high.0, arguments) / seconds(&low.0, arguments);
    // The ratio is 4 if time is linear in the depth, and 16 if it is quadratic.
    assert!(ratio < 8.0, "four times as deep took {ratio} times as long");
}

/// Makes the tree a Debian tree, so that all rules apply to it.
fn make_debian(tree: &Path) {
    shell("mkdir $1/etc; echo ID=debian >$1/etc/os-release", &[tree]);
}

#[test]
#[ignore = "takes seconds"]
fn rules_go_to_any_depth() {
    let tree = Deep::new("/dev/shm", 20_000);
    make_debian(&tree.0);
    succeed(detfs(["normalize", "--check"]).arg(&tree.0));
}

#[test]
#[ignore = "deep: makes a hundred thousand levels"]
fn deep_a_hundred_thousand_levels() {
    let tree = Deep::new("/dev/shm", 100_000);
    make_debian(&tree.0);
    let image = tree.0.with_extension("image");
    succeed(&mut mkfs("ext4", &tree.0, &image, EPOCH, &["--force"]));
    e2fsck(&image).unwrap();
    succeed(&mut mkfs("btrfs", &tree.0, &image, EPOCH, &["--force"]));
    btrfs::btrfs_check(&image).unwrap();
    for fs in ["--fs=ext4", "--fs=btrfs"] {
        succeed(&mut mkimage(&tree.0, &image, EPOCH, &[fs, "--architecture=x86-64", "--force"]));
    }
    fs::remove_file(&image).unwrap();
}
