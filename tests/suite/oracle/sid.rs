//! A Debian unstable system, which has the newest systemd-repart and pacman, and the newest readers
//! of file systems.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::tool::{require_root, shell};

/// The version of systemd-repart that detfs follows.
pub const REFERENCE: u32 = 262;

/// Script that creates the system.
///
/// Packages are unpacked but never configured, which takes a tenth of the time. Whether an outdated
/// package list is accepted depends on the apt configuration of the host.
const MAKE: &str = "
    age=$(apt-config dump Acquire::Check-Valid-Until)
    mmdebstrap --quiet --variant=extract ${age:+--aptopt=\"$age\"} --include=\"$2\" sid \"$1\"";

/// The packages of systemd-repart, pacman and the readers of file systems, with the programs that
/// they run and the libraries that systemd-repart loads at run time.
const PACKAGES: &str = "base-files,btrfs-progs,coreutils,cryptsetup-bin,dash,dosfstools,\
    e2fsprogs,erofs-utils,gnupg,grub-common,hostname,libblkid1,libcryptsetup12,libfdisk1,mount,\
    mtools,openssl,pacman-package-manager,squashfs-tools,systemd-repart,util-linux";

/// Script that enters the system.
///
/// Its mounts vanish when the command exits, and `/dev/shm` is shared with the host. The root is a
/// mount point because pacman looks for the mount point that it writes to.
const ENTER: &str = "
    mount --bind \"$1\" \"$1\"
    mount -t proc proc \"$1/proc\"
    mount --bind /dev/shm \"$1/dev/shm\"
    exec chroot \"$@\"";

/// A Debian sid with the packages that systemd-repart and pacman need.
#[derive(Debug)]
pub struct Sid {
    root: PathBuf,
    version: u32,
}

/// Returns the system, which is created once for these packages and kept in cargo's target
/// directory.
///
/// # Panics
/// If the system can't be created, or if its systemd-repart is older than [`REFERENCE`].
pub fn sid() -> &'static Sid {
    static SID: OnceLock<Sid> = OnceLock::new();
    SID.get_or_init(|| {
        require_root();
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sid");
        let stamp = root.join("packages");
        if fs::read_to_string(&stamp).ok().as_deref() != Some(PACKAGES) {
            let part = root.with_extension("part");
            let _ = fs::remove_dir_all(&part);
            shell(MAKE, &[&part, Path::new(PACKAGES)]);
            fs::write(part.join("packages"), PACKAGES).unwrap();
            let _ = fs::remove_dir_all(&root);
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

    /// Returns the version of systemd-repart, for the start of failure messages.
    pub fn describe(&self) -> String {
        let note = if self.version == REFERENCE { "" } else { ", which is not the standard" };
        format!("systemd-repart {}{note}", self.version)
    }

    /// Returns a command that runs `program` in the system.
    ///
    /// The program shares only `/dev/shm` with the host and keeps its temporary files there.
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
