//! Where package managers run: the same for all hosts, and without a way to the host's state.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::Signal;

use crate::error::{Error, Result};
use crate::interrupt::spawn;

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What comes before every program: the same rights for new files, and perhaps another clock. Its
/// library is the host's, also where the host's root is under another name.
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

/// The root gets what scriptlets expect of a running system, in a mount namespace of its own, so
/// that nothing of it stays in the tree; and there is no network, no process, no name and no device of
/// the host: an initrd that is made of those that are found in `/sys` fits one machine alone.
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

/// The namespaces of that.
const UNSHARE: [&str; 9] =
    ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--"];

/// A command for a program that comes as its arguments, which gets a signal when the thread that
/// starts it ends, however that comes: else it would go on with nobody to wait for it.
pub(crate) fn ended_by(signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal, "--"]);
    command
}

/// A shell script with an environment that does not depend on the host, for a program that comes as
/// its arguments. `clock` is how far the time that it sees is from the real one, as faketime
/// understands it.
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
        // The times of files are as they are: packages set them.
        command.env("FAKETIME", offset).env("NO_FAKE_STAT", "1");
    }
    command
}

/// A command that runs as it is, with the network.
pub(super) fn outside(epoch: i64, clock: Option<&str>) -> Command {
    let mut command = ended_by("TERM");
    command.arg("sh");
    script(command, "", epoch, clock)
}

/// A command that runs with a root of its own.
pub(super) fn inside(root: &Path, epoch: i64, clock: Option<&str>) -> Command {
    // unshare waits for its child whatever milder signals come.
    let mut command = ended_by("KILL");
    command.args(UNSHARE).arg("sh");
    let mut command = script(command, INSIDE, epoch, clock);
    command.arg(root);
    command
}

/// The error where the program that starts all others can't be started, or does not know what it is
/// told.
pub(super) fn no_setpriv(said: String) -> Error {
    Error::Tool {
        tool: "setpriv",
        doing: "be started".into(),
        said,
        remedy: "install util-linux, 2.33 or later",
    }
}

/// What a program did.
pub(super) struct Done {
    pub(super) success: bool,
    /// What it wrote to standard output, if that was wanted.
    pub(super) output: String,
    /// What it wrote to standard error.
    pub(super) errors: String,
}

/// Where standard output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// To this process's standard error: it is progress.
    Shown,
    Taken,
}

/// Runs a command to its end. What it says on standard error is shown and kept.
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
        // In memory, since one thread can't read two pipes.
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

/// Shows what comes, until there is no more, and keeps it.
#[expect(clippy::disallowed_methods, reason = "the program has printed it")]
fn shown(mut from: impl Read) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        // If even that fails there is nobody to tell.
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
