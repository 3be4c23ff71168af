//! Runs the program again in a user namespace, as root of that namespace.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{print_error, print_notice};
use crate::name::HostPath;
use crate::stage::{ended_by, spawn};

/// Arguments of `unshare` for a namespace with all users and groups that /etc/subuid and
/// /etc/subgid provide, and the current user as root.
const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--map-auto", "--mount", "--"];

/// Runs the program with the same arguments as root of a user namespace, and returns its exit code.
pub(super) fn run_in(arguments: &[OsString]) -> u8 {
    if let Err(said) = probe() {
        print_error(&format_args!(
            "{said}; cannot create a user namespace with all users: run as root, or install \
             newuidmap (uidmap), add a range for your user to /etc/subuid and /etc/subgid, and \
             don't run in a chroot or a container that forbids it"
        ));
        return 4;
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new("unshare");
    // Entering a namespace clears the parent-death signal, so it is set inside.
    let bound = ended_by("TERM");
    command.args(UNSHARE).arg(bound.get_program()).args(bound.get_args());
    command.arg(program).args(arguments.iter().skip(1));
    // On SIGTERM, the child removes its unfinished files itself.
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

/// Checks that such a namespace can be created; returns the message of `unshare` if not.
fn probe() -> Result<(), String> {
    let mut command = Command::new("unshare");
    let bound = ended_by("TERM");
    command.args(UNSHARE).arg(bound.get_program()).args(bound.get_args()).arg("true");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // If the kernel refuses, unshare of util-linux 2.38 leaves a child that waits forever. The
    // child would keep standard error open, and reading to its end would block.
    command.stderr(Stdio::piped()).process_group(0);
    let cannot = |error: io::Error| format!("cannot start unshare: {error}");
    let mut child = command.spawn().map_err(cannot)?;
    let status = child.wait().map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Other versions of unshare leave no process group to kill.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let mut said = String::new();
    let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
    Err(said.trim().lines().next_back().unwrap_or("unshare fails").to_owned())
}

/// Explains that the tree has other owners outside of the user namespace, and how to build an image
/// of it.
pub(super) fn explain(tree: &Path) {
    let words = UNSHARE.map(|word| format!("{word} ")).concat();
    print_notice(&format_args!(
        "{tree}: outside of its user namespace the tree has other owners; make an image of it \
         with `detfs build`, or with `unshare {words}detfs mkimage {tree} OUT`",
        tree = HostPath(tree)
    ));
}
