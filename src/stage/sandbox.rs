//! Environment in which package managers run: the same on all hosts, and without access to the
//! host's state.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::Signal;

use super::child::spawn;
use crate::error::{Error, Result};

/// Search path for programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Start of every script: a fixed umask and, if requested, another clock. The faketime library is
/// that of the host, even where the host's root has another path.
const START: &str = r#"
umask 022
if [ "${FAKETIME-}" ]; then
    for library in /usr/lib*/faketime/libfaketime.so.1 /usr/lib/*/faketime/libfaketime.so.1; do
        if [ -e "$library" ]; then export LD_PRELOAD="${host-}$library"; fi
    done
    [ "${LD_PRELOAD-}" ] || { echo "error: no libfaketime.so.1: install faketime" >&2; exit 1; }
fi
exec "$@"
"#;

/// Script that prepares the root for scriptlets, which expect a running system.
///
/// It runs in a mount namespace, so that nothing it mounts stays in the tree. The host's network,
/// processes, name and devices are hidden: an initrd built from the devices found in `/sys` would
/// only fit one machine.
const INSIDE: &str = r#"
root=$1
shift
hostname localhost 2>/dev/null || echo localhost >/proc/sys/kernel/hostname
mount -t proc -o nosuid,noexec,nodev proc "$root/proc"
mount -t tmpfs -o mode=555,ro,nosuid,noexec,nodev sys "$root/sys"
mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mkdir -m 1777 "$root/dev/shm"
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"
mount -t proc -o nosuid,noexec,nodev proc /proc
host=/proc/1/root
"#;

/// Command that creates the namespaces for `INSIDE`.
const UNSHARE: [&str; 9] =
    ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--"];

/// Returns a command that runs the program appended to its arguments, and sends it `signal` when
/// the thread that started it ends for whatever reason.
///
/// Otherwise the program would keep running without anyone waiting for it.
pub(crate) fn ended_by(signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]);
    command
}

/// Returns a shell command that runs the program appended to its arguments in an environment that
/// does not depend on the host.
///
/// `clock` is the offset of the clock that the program sees, in faketime's syntax.
fn script(mut command: Command, script: &str, epoch: i64, clock: Option<&str>) -> Command {
    command
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", "/root")
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .args(["-euc", &format!("{script}{START}"), "sh"]);
    if let Some(offset) = clock {
        // File times are not faked, because packages set them.
        command.env("FAKETIME", offset).env("NO_FAKE_STAT", "1");
    }
    command
}

/// Returns a command that runs outside any namespace, with network access.
pub(super) fn outside(epoch: i64, clock: Option<&str>) -> Command {
    let mut command = ended_by("TERM");
    command.arg("sh");
    script(command, "", epoch, clock)
}

/// Returns a command that runs in namespaces prepared for `root`.
pub(super) fn inside(root: &Path, epoch: i64, clock: Option<&str>) -> Command {
    // Only KILL ends unshare at once: it waits for its child whatever weaker signal it gets.
    let mut command = ended_by("KILL");
    command.args(UNSHARE).arg("sh");
    let mut command = script(command, INSIDE, epoch, clock);
    command.arg(root);
    command
}

/// Returns the error for the case that setpriv, which starts all other programs, can't be started
/// or does not support its arguments.
pub(super) fn no_setpriv(said: String) -> Error {
    Error::Tool {
        tool: "setpriv",
        doing: "be started".into(),
        said,
        remedy: "install util-linux, 2.33 or later",
    }
}

/// Result of running a program.
pub(super) struct Done {
    pub(super) success: bool,
    /// Standard output, if it was captured.
    pub(super) output: String,
    /// Standard error.
    pub(super) errors: String,
}

/// Destination of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// This process's standard error, for progress.
    Shown,
    Taken,
}

/// Runs a command to completion.
///
/// Its standard error is shown and captured.
#[expect(clippy::disallowed_methods, reason = "the program prints by itself")]
pub(super) fn run(command: &mut Command, output: Output) -> Result<Done> {
    let failed = |error: io::Error| Error::output("cannot read what a program says", error);
    let mut taken = None;
    match output {
        Output::Shown => {
            let stderr = fcntl_dupfd_cloexec(io::stderr(), 0);
            let stderr = stderr.map_err(|error| Error::output("cannot write messages", error))?;
            command.stdout(stderr);
        }
        // Captured in a memory file, because one thread can't read from two pipes.
        Output::Taken => {
            let file = memfd_create(c"output", MemfdFlags::CLOEXEC).map(File::from);
            let file = taken.insert(file.map_err(|error| failed(error.into()))?);
            command.stdout(file.try_clone().map_err(failed)?);
        }
    }
    command.stderr(Stdio::piped());
    let spawned = spawn(command, Signal::KILL);
    let (mut child, _registration) = spawned.map_err(|error| no_setpriv(error.to_string()))?;
    let errors = child.stderr.take().map(shown).unwrap_or_default();
    let status = child.wait().map_err(failed)?;
    let mut output = Vec::new();
    if let Some(mut file) = taken {
        file.rewind().and_then(|()| file.read_to_end(&mut output)).map_err(failed)?;
    }
    Ok(Done {
        success: status.success(),
        output: String::from_utf8_lossy(&output).into_owned(),
        errors: String::from_utf8_lossy(&errors).into_owned(),
    })
}

/// Shows everything that can be read, and returns it.
#[expect(clippy::disallowed_methods, reason = "the program has printed it")]
fn shown(mut from: impl Read) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        // If this fails too, there is nowhere to report it.
        let _ = io::stderr().write_all(&buffer[..length]);
        all.extend_from_slice(&buffer[..length]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_host_is_seen() {
        let done =
            run(outside(5, None).args(["sh", "-c", "env; umask; pwd"]), Output::Taken).unwrap();
        let mut lines: Vec<_> = done.output.lines().collect();
        lines.sort();
        let expected = [
            "/",
            "0022",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
            "SOURCE_DATE_EPOCH=5",
            "TZ=UTC",
        ];
        assert_eq!(lines, expected);
        assert!(done.success);
        let done =
            run(outside(5, None).args(["sh", "-c", "echo no >&2; exit 3"]), Output::Taken).unwrap();
        assert!(!done.success && done.errors == "no\n" && done.output.is_empty());
    }
}
