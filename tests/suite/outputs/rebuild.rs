//! `detfs build` replaces what it made itself, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::detfs::{SEED, detfs, mkimage, succeed};
use crate::oracle::{sha256, shell};

const EPOCH: i64 = 1_700_000_000;
const OTHER_SEED: &str = "99999999-2222-3333-4444-555555555555";

struct Fixture(TempDir);

impl Fixture {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        shell("mkdir $1/tree; echo 1 >$1/tree/file", &[scratch.path()]);
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Builds with lines before the tables and in the table `[image]`.
    fn build(&self, seed: Option<&str>, manifest: bool, more: &[&str]) -> Output {
        let seed = seed.map(|seed| format!("seed = \"{seed}\"\n")).unwrap_or_default();
        let manifest = if manifest { "manifest = \"manifest\"\n" } else { "" };
        let text = format!(
            "source-date-epoch = {EPOCH}\n{seed}[image]\ntree = \"tree\"\nout = \"image\"\n\
             architecture = \"x86-64\"\nnormalize = \"none\"\n{manifest}"
        );
        fs::write(self.path("image.toml"), text).unwrap();
        let mut command = detfs(["build"]);
        command.arg(self.path("image.toml")).args(more).output().unwrap()
    }

    fn succeeds(&self, seed: Option<&str>, manifest: bool) {
        let output = self.build(seed, manifest, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Checks that a build is refused without `--force`, and changes nothing.
    fn refuses(&self, seed: Option<&str>, manifest: bool) {
        let state = || {
            shell(
                "cd $1; find image manifest -printf '%p %i %T@ %C@\\n' 2>&1 || true",
                &[self.0.path()],
            )
        };
        if !self.path("manifest").exists() {
            fs::write(self.path("manifest"), "").unwrap();
        }
        let before = state();
        let output = self.build(seed, manifest, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("exists") && said.contains("--force"), "{said}");
        assert_eq!(state(), before);
    }
}

#[test]
fn own_outputs_are_replaced() {
    for (seed, manifest) in [(Some(SEED), false), (Some(SEED), true), (None, true)] {
        let fixture = Fixture::new();
        let hash = || sha256(&fixture.path("image"));
        fixture.succeeds(seed, manifest);
        let first = hash();
        fixture.succeeds(seed, manifest);
        assert_eq!(hash(), first);
        // The same build of a changed tree.
        fs::write(fixture.path("tree/file"), "2").unwrap();
        fixture.succeeds(seed, manifest);
        let second = hash();
        assert_ne!(second, first);
        if manifest {
            let json = fs::read_to_string(fixture.path("manifest")).unwrap();
            assert!(json.contains(&second));
            // Either of both may be missing, if the seed is known.
            for (name, other) in [("image", true), ("manifest", false)] {
                fs::remove_file(fixture.path(name)).unwrap();
                match seed {
                    Some(_) => fixture.succeeds(seed, manifest),
                    None => {
                        fixture.refuses(seed, other);
                        fs::remove_file(fixture.path("manifest")).unwrap();
                        let _ = fs::remove_file(fixture.path("image"));
                        fixture.succeeds(seed, manifest);
                    }
                }
            }
            assert_eq!(hash(), second);
        }
    }
}

#[test]
fn other_files_are_refused() {
    let fixture = Fixture::new();
    fixture.succeeds(None, false);
    fixture.refuses(None, false);
    // An image of another seed.
    let options = ["--architecture=x86-64", "--force"];
    let seed = format!("--seed={OTHER_SEED}");
    let mut other = mkimage(&fixture.path("tree"), &fixture.path("image"), EPOCH, &options);
    let arguments = other.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
    let arguments = arguments.iter().filter(|it| !it.to_string_lossy().starts_with("--seed"));
    other = detfs(arguments);
    succeed(other.arg(seed));
    fixture.refuses(Some(SEED), false);
    fixture.succeeds(Some(OTHER_SEED), false);
    // Files that are no images and no manifests.
    fs::write(fixture.path("image"), "mine").unwrap();
    fixture.refuses(Some(SEED), false);
    fs::remove_file(fixture.path("image")).unwrap();
    fs::write(fixture.path("manifest"), "{\"schema\": 1}").unwrap();
    fixture.refuses(Some(SEED), true);
    fs::remove_file(fixture.path("manifest")).unwrap();
    fixture.succeeds(Some(SEED), true);
    // A manifest of an image with another seed.
    fs::remove_file(fixture.path("image")).unwrap();
    let seed = format!("--seed={OTHER_SEED}");
    let manifest = format!("--manifest={}", fixture.path("manifest").display());
    let mut other = detfs(["mkimage", "--architecture=x86-64", "--force", &seed, &manifest]);
    succeed(other.args([fixture.path("tree"), fixture.path("other")]));
    fixture.refuses(Some(SEED), true);
    fs::remove_file(fixture.path("manifest")).unwrap();
    fixture.succeeds(Some(SEED), true);
    // A link to an image is not an image.
    fs::rename(fixture.path("image"), fixture.path("elsewhere")).unwrap();
    symlink("elsewhere", fixture.path("image")).unwrap();
    fixture.refuses(Some(SEED), true);
    let output = fixture.build(Some(SEED), true, &["--force"]);
    assert!(output.status.success());
}

#[test]
fn a_hash_is_recognized() {
    let fixture = Fixture::new();
    fixture.succeeds(Some(SEED), false);
    let config = fs::read_to_string(fixture.path("image.toml")).unwrap();
    fs::write(fixture.path("image.toml"), format!("{config}sha256-file = true\n")).unwrap();
    let build = || detfs(["build"]).arg(fixture.path("image.toml")).output().unwrap();
    assert!(build().status.success());
    assert!(build().status.success());
    for (text, code) in [("my notes\n", 2), ("", 2)] {
        fs::write(fixture.path("image.sha256"), text).unwrap();
        assert_eq!(build().status.code(), Some(code), "{text}");
        assert_eq!(fs::read_to_string(fixture.path("image.sha256")).unwrap(), text);
    }
}

/// A directory without definitions, such as one with a mistake in its name, is refused.
#[test]
fn definitions_that_are_not_there_replace_nothing() {
    let fixture = Fixture::new();
    fixture.succeeds(Some(SEED), false);
    let before = sha256(&fixture.path("image"));
    fs::create_dir(fixture.path("empty")).unwrap();
    for directory in ["nowhere", "empty"] {
        let text = format!(
            "source-date-epoch = {EPOCH}\nseed = \"{SEED}\"\n[image]\ntree = \"tree\"\n\
             out = \"image\"\ndefinitions = \"{directory}\"\n"
        );
        fs::write(fixture.path("image.toml"), text).unwrap();
        let output = detfs(["build"]).arg(fixture.path("image.toml")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("`definitions`: there is no definition"), "{said}");
        assert_eq!(sha256(&fixture.path("image")), before);
    }
}

#[test]
fn a_dry_run_of_a_build_writes_nothing() {
    let fixture = Fixture::new();
    let names = || shell("ls -A $1", &[fixture.0.path()]);
    let json = |more: &[&str]| {
        let output = fixture.build(Some(SEED), true, &[&["--json"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let planned = json(&["--dry-run"]);
    assert_eq!(names(), "image.toml\ntree\n");
    let lines = |json: &str| {
        let lines = json.lines().filter(|line| !line.contains("\"sha256\""));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&planned), lines(&json(&[])));
    assert!(!planned.contains("sha256"));
}
