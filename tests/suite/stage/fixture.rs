//! A repository of packages, and pacman with its keys.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::detfs::{PROGRAM, SEED, succeed};
use crate::oracle::{require_root, run, sha256};

pub const EPOCH: &str = "1700000000";

/// Shell script that runs a command with a directory mounted as pacman's keyring.
const WITH_KEYS: &str = r#"
mount --bind "$1" /etc/pacman.d/gnupg
shift
exec "$@""#;

/// Returns the directory with the packages, which `tests/packages` creates once in each run.
pub fn packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        require_root();
        let fixture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = fs::remove_dir_all(&fixture);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages");
        let said = run("bash", [script.as_os_str(), fixture.as_os_str()]);
        assert!(said.ok, "tests/packages: {}", said.all());
        fs::create_dir_all("/etc/pacman.d/gnupg").unwrap();
        fixture
    })
}

/// Returns a command that runs the program with `arguments` and the keys of the packages as those
/// of the host.
pub fn detfs(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("unshare");
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(["--mount", "sh", "-euc", WITH_KEYS, "sh"])
        .arg(packages().join("gnupg"))
        .arg(PROGRAM)
        .args(arguments);
    command
}

/// Returns the arguments that select the packages of the repository.
pub fn source() -> Vec<String> {
    source_at(packages())
}

/// Returns the same arguments for a copy of the repository.
pub fn source_at(copy: &Path) -> Vec<String> {
    [
        "--package=app",
        "--package=linux",
        "--repo=core",
        &format!("--mirror=file://{}", copy.display()),
        &format!("--source-date-epoch={EPOCH}"),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Returns the command `detfs stage pacman OUT` with these packages.
pub fn stage(out: &Path, more: &[&str]) -> Command {
    let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), out.as_os_str()]);
    command.args(source()).args(more);
    command
}

/// Builds an image of a tree, and returns its hash and its manifest.
pub fn image(tree: &Path, more: &[&str]) -> (String, serde_json::Value) {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("image");
    let mut command =
        crate::detfs::detfs([OsStr::new("mkimage"), tree.as_os_str(), out.as_os_str()]);
    command.args([&format!("--seed={SEED}"), &format!("--source-date-epoch={EPOCH}")]);
    command.args(["--json", "--architecture=x86-64"]).args(more);
    let output = succeed(&mut command);
    (sha256(&out), serde_json::from_slice(&output.stdout).unwrap())
}

/// Returns the names of the rules that fired for an image.
pub fn rules(manifest: &serde_json::Value) -> Vec<String> {
    let fired = manifest["normalization"].as_array().map_or(&[][..], Vec::as_slice);
    fired.iter().map(|fired| fired["rule"].as_str().unwrap().to_owned()).collect()
}
