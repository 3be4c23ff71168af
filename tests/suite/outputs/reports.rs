//! If the printed output or the description of an image can't be written, no image is left.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::detfs::{SEED, detfs, mkfs, mkimage, succeed};
use crate::oracle::{Mounted, sha256, shell};

const EPOCH: i64 = 1_700_000_000;

struct Fixture {
    scratch: TempDir,
    results: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let results = scratch.path().join("results");
        shell(
            "cd $1; mkdir -p tree/etc repart.d results; echo NAME=test >tree/etc/os-release
            printf '[Partition]\nType=linux-generic\nFormat=ext4\nCopyFiles=/\nSizeMaxBytes=32M\n\
            SplitName=a\n' >repart.d/a.conf",
            &[scratch.path()],
        );
        Self { scratch, results }
    }

    /// Returns a command for each way to create the image.
    fn commands(&self, more: &[&str]) -> Vec<Command> {
        let (tree, out) = (self.scratch.path().join("tree"), self.results.join("image"));
        let config = self.scratch.path().join("image.toml");
        let manifest = more.iter().find_map(|option| option.strip_prefix("--manifest="));
        let manifest = manifest.map(|path| format!("manifest = {path:?}\n")).unwrap_or_default();
        let text = format!(
            "source-date-epoch = {EPOCH}\n[image]\ntree = {tree:?}\nout = {out:?}\narchitecture = \
             \"x86-64\"\n{manifest}"
        );
        fs::write(&config, text).unwrap();
        let mut build = detfs(["build"]);
        build.arg(config).args(more.iter().filter(|option| !option.starts_with("--manifest")));
        let mut mkimage = mkimage(&tree, &out, EPOCH, more);
        mkimage.arg("--architecture=x86-64");
        vec![
            mkimage,
            mkfs("ext4", &tree, &out, EPOCH, more),
            mkfs("btrfs", &tree, &out, EPOCH, more),
            build,
        ]
    }

    fn repart(&self, options: &[&str]) -> Command {
        let mut command = detfs(["repart", "--dry-run=no", "--definitions"]);
        command.arg(self.scratch.path().join("repart.d")).arg("--copy-source");
        command.arg(self.scratch.path().join("tree")).arg(format!("--seed={SEED}"));
        command.args(options).arg(self.results.join("image.raw"));
        command.env("SOURCE_DATE_EPOCH", EPOCH.to_string());
        command
    }

    /// Runs a command that must fail without leaving another file in the output directory.
    fn fails(&self, command: &mut Command, code: i32) {
        let before = names(&self.results);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command:?}: {said}");
        assert!(said.contains("No space left on device"), "{command:?}: {said}");
        assert_eq!(names(&self.results), before, "{command:?}");
    }
}

fn names(directory: &Path) -> BTreeSet<OsString> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_full_standard_output() {
    let fixture = Fixture::new();
    let manifest = format!("--manifest={}", fixture.results.join("manifest").display());
    for options in [&[][..], &["--json"], &[&*manifest], &[&*manifest, "--json"]] {
        for mut command in fixture.commands(options) {
            fixture.fails(command.stdout(full()), 4);
        }
    }
    let out = fixture.results.join("image");
    fs::write(&out, "old").unwrap();
    for mut command in fixture.commands(&["--force"]) {
        fixture.fails(command.stdout(full()), 4);
        assert_eq!(fs::read(&out).unwrap(), b"old");
    }
}

#[test]
fn a_manifest_that_can_not_be_written() {
    let fixture = Fixture::new();
    for mut command in fixture.commands(&["--manifest=/dev/full"]) {
        fixture.fails(&mut command, 4);
    }
    let small = Mounted::new("tmpfs", "size=64k", None).unwrap();
    shell("head -c 64K /dev/zero >$1", &[&small.path().join("full")]);
    let manifest = format!("--manifest={}", small.path().join("manifest").display());
    for mut command in fixture.commands(&[&manifest]) {
        fixture.fails(&mut command, 4);
    }
    assert_eq!(names(small.path()), BTreeSet::from(["full".into()]));
}

#[test]
fn a_full_standard_output_of_repart() {
    let fixture = Fixture::new();
    let new = ["--empty=create", "--size=auto", "--split=yes"];
    let json = [&new[..], &["--json=pretty"]].concat();
    fixture.fails(fixture.repart(&new).stdout(full()), 1);
    fixture.fails(fixture.repart(&json).stdout(full()), 1);
    // An existing image keeps its partition table.
    succeed(&mut fixture.repart(&["--empty=create", "--size=128M"]));
    let image = fixture.results.join("image.raw");
    let table = || shell("sfdisk --dump $1", &[&image]);
    let (before, hash) = (table(), sha256(&image));
    shell("cp $1/a.conf $1/b.conf", &[&fixture.scratch.path().join("repart.d")]);
    fixture.fails(fixture.repart(&["--json=short"]).stdout(full()), 1);
    assert_eq!(table(), before);
    succeed(&mut fixture.repart(&[]));
    assert!(table() != before && sha256(&image) != hash);
}
