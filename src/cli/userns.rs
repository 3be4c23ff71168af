//! Root for those who are not: the program runs itself in a user namespace.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::print_error;
use crate::interrupt::spawn;
use crate::name::HostPath;
use crate::stage::ended_by;

/// All users and groups that /etc/subuid and /etc/subgid give, and oneself as root.
const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--map-auto", "--mount", "--"];

/// Runs the program with the same arguments as root of a user namespace, and gives its exit code.
pub(super) fn run_in(arguments: &[OsString]) -> u8 {
    if let Err(said) = probe() {
        print_error(&format_args!(
            "{said}; no user namespace with all users can be made: run as root, or install \
             newuidmap (uidmap), give yourself a range in /etc/subuid and /etc/subgid, and don't be \
             in a chroot or a container that forbids it"
        ));
        return 4;
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new("unshare");
    // A new namespace clears the signal: it is set inside.
    let bound = ended_by("TERM");
    command.args(UNSHARE).arg(bound.get_program()).args(bound.get_args());
    command.arg(program).args(arguments.iter().skip(1));
    // It puts away what it has made itself.
    let spawned = spawn(&mut command, Signal::TERM);
    match spawned.and_then(|(mut child, _registration)| child.wait()) {
        Ok(status) => {
            let code = status.code().or(status.signal().map(|signal| 128 + signal));
            code.and_then(|code| u8::try_from(code).ok()).unwrap_or(4)
        }
        Err(error) => {
            print_error(&format_args!("cannot start unshare: {error}"));
            4
        }
    }
}

/// Tries whether there can be such a namespace, or gives what `unshare` says of it.
fn probe() -> Result<(), String> {
    let mut command = Command::new("unshare");
    let bound = ended_by("TERM");
    command.args(UNSHARE).arg(bound.get_program()).args(bound.get_args()).arg("true");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // Where the kernel refuses, unshare of util-linux 2.38 leaves a child behind that waits for ever,
    // and whoever waits for the end of what is said would wait for that.
    command.stderr(Stdio::piped()).process_group(0);
    let cannot = |error: io::Error| format!("cannot start unshare: {error}");
    let mut child = command.spawn().map_err(cannot)?;
    let status = child.wait().map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // There is none if unshare is another one.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let mut said = String::new();
    let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
    Err(said.trim().lines().next_back().unwrap_or("unshare fails").to_owned())
}

/// Says what a tree that was made there is to whoever sees it from outside.
pub(super) fn explain(tree: &Path) {
    let words = UNSHARE.map(|word| format!("{word} ")).concat();
    print_error(&format_args!(
        "{tree}: outside of its user namespace the owners are others; make an image of it with \
         `detfs build`, or with `unshare {words}detfs mkimage {tree} OUT`",
        tree = HostPath(tree)
    ));
}
