//! The newest pacman, which supports a fixed time and writes other files of its own.

use std::ffi::OsStr;

use super::fixture::{detfs, image, packages, source_at};
use crate::detfs::{PROGRAM, succeed};
use crate::oracle::{shell, sid};

/// Shell script that runs a program with the keys of the packages, from paths that are visible
/// inside the sid system.
const STAGE: &str = r#"
mkdir -p /etc/pacman.d/gnupg
mount --bind "$1/packages/gnupg" /etc/pacman.d/gnupg
shift
exec "$@""#;

#[test]
#[ignore = "makes a Debian sid"]
fn another_pacman_makes_the_same_image() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let [copy, program, here, there, lock] =
        ["packages", "detfs", "here", "there", "lock"].map(|name| scratch.path().join(name));
    shell("cp -a $1 $2; cp $3 $4", &[packages(), &copy, PROGRAM.as_ref(), &program]);
    let lock = format!("--lock={}", lock.display());
    let mut command = detfs([OsStr::new("stage"), OsStr::new("pacman"), here.as_os_str()]);
    succeed(command.args(source_at(&copy)).arg(&lock));

    let version = sid().command("pacman").arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major = version.split("Pacman v").nth(1).and_then(|rest| rest.split('.').next()).unwrap();
    assert!(major.parse::<u32>().unwrap() >= 7, "{version}");
    let mut command = sid().command("sh");
    command.args(["-euc", STAGE, "sh"]).arg(scratch.path()).arg(&program);
    command.args(["stage", "pacman"]).arg(&there).args(source_at(&copy));
    let output = succeed(command.args([&lock, "--locked"]));
    // The message says which files may differ.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("its own files in the tree may differ"), "{said}");

    let plain = ["--normalize=none"];
    assert_ne!(image(&here, &plain).0, image(&there, &plain).0);
    assert_eq!(image(&here, &[]).0, image(&there, &[]).0);
    assert!(there.join("var/lib/pacman/local/app-1.0-1/desc").exists());
}
