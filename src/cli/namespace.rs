//! Root for those who are not: the program runs itself in a user namespace.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::complain;

/// All users and groups that /etc/subuid and /etc/subgid give, and oneself as root.
const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--map-auto", "--mount", "--"];

/// Runs the program with the same arguments as root of a user namespace, and gives its exit code;
/// `None` if it is root already.
pub(super) fn enter(arguments: &[OsString]) -> Option<u8> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let mut probe = Command::new("unshare");
    probe.args(UNSHARE).arg("true").stdin(Stdio::null()).stdout(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        complain(
            &"unshare: no user namespace with all users can be made; run as root, or install \
              newuidmap (uidmap) and give yourself a range in /etc/subuid and /etc/subgid",
        );
        return Some(4);
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg(program).args(arguments.iter().skip(1));
    let code = match command.status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(4),
        Err(error) => {
            complain(&format_args!("cannot start unshare: {error}"));
            4
        }
    };
    Some(code)
}

/// Says what a tree that was made there is to whoever sees it from outside.
pub(super) fn explain(tree: &Path) {
    let words = UNSHARE.map(|word| format!("{word} ")).concat();
    complain(&format_args!(
        "{tree}: outside of its user namespace the owners are others; make an image of it with \
         `detfs build`, or with `unshare {words}detfs mkimage {tree} OUT`",
        tree = tree.display()
    ));
}
