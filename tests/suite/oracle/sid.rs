//! Debian's unstable, in which systemd-repart and pacman are newest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::tool::{require_root, shell};

/// The version whose behaviour is the standard.
pub const REFERENCE: u32 = 262;

/// Packages are unpacked and never configured, which takes a tenth of the time. Whether an old
/// package list will do is a matter of the apt of this system.
const MAKE: &str = "
    age=$(apt-config dump Acquire::Check-Valid-Until)
    mmdebstrap --quiet --variant=extract ${age:+--aptopt=\"$age\"} --include=\"$2\" sid \"$1\"";

/// systemd-repart with programs that it starts and libraries that it loads when it needs them, and
/// pacman with what it is started with.
const PACKAGES: &str = "base-files,btrfs-progs,coreutils,cryptsetup-bin,dash,dosfstools,\
    e2fsprogs,erofs-utils,gnupg,hostname,libblkid1,libcryptsetup12,libfdisk1,mount,mtools,openssl,\
    pacman-package-manager,systemd-repart,util-linux";

/// Mounts that vanish with the command, and the same paths under `/dev/shm` inside and outside. The
/// root is one, for pacman looks for the one that it writes to.
const ENTER: &str = "
    mount --bind \"$1\" \"$1\"
    mount -t proc proc \"$1/proc\"
    mount --bind /dev/shm \"$1/dev/shm\"
    exec chroot \"$@\"";

/// A Debian sid with as much as the two need.
#[derive(Debug)]
pub struct Sid {
    root: PathBuf,
    version: u32,
}

/// The system, made once and kept with the build's other results.
///
/// # Panics
/// If it can't be made, or if its systemd-repart is older than [`REFERENCE`].
pub fn sid() -> &'static Sid {
    static SID: OnceLock<Sid> = OnceLock::new();
    SID.get_or_init(|| {
        require_root();
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sid");
        if !root.exists() {
            let part = root.with_extension("part");
            let _ = fs::remove_dir_all(&part);
            shell(MAKE, &[&part, Path::new(PACKAGES)]);
            fs::rename(&part, &root).unwrap();
        }
        Sid::at(root)
    })
}

impl Sid {
    #[expect(clippy::print_stderr, reason = "the log of the tests says what they are about")]
    fn at(root: PathBuf) -> Self {
        let mut sid = Self { root, version: 0 };
        let output = sid.command("systemd-repart").arg("--version").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        sid.version = version.unwrap_or_else(|| {
            panic!(
                "no systemd-repart in {}: {output:?}; remove it to make it anew",
                sid.root.display()
            )
        });
        assert!(sid.version >= REFERENCE, "systemd-repart is {}", sid.version);
        eprintln!("the oracle is systemd-repart {}, the standard {REFERENCE}", sid.version);
        sid
    }

    /// What a failure says first.
    pub fn describe(&self) -> String {
        let note = if self.version == REFERENCE { "" } else { ", which is not the standard" };
        format!("systemd-repart {}{note}", self.version)
    }

    /// A command of a program in the system. It sees `/dev/shm` and nothing else of this one, and
    /// keeps scratch files there.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-euc", ENTER, "sh"])
            .arg(&self.root)
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TMPDIR", "/dev/shm")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "makes a Debian sid"]
    fn the_version_is_told() {
        let said = sid().describe();
        assert!(said.starts_with("systemd-repart 2"), "{said}");
    }

    #[test]
    #[ignore = "makes a Debian sid"]
    fn what_it_does_is_seen_and_what_it_refuses() {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let image = scratch.path().join("image");
        let mut command = sid().command("systemd-repart");
        command.args(["--offline=yes", "--definitions=/", "--empty=create", "--size=5M"]);
        let output = command.arg(&image).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(fs::metadata(&image).unwrap().len(), 5 << 20);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("exists"), "{output:?}");
    }

    #[test]
    #[should_panic(expected = "no systemd-repart in")]
    fn a_system_without_it_is_a_failure() {
        let scratch = tempfile::tempdir().unwrap();
        Sid::at(scratch.path().to_owned());
    }
}
