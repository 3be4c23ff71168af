//! Swaps to files with the kernel.

use std::path::Path;

use super::tool::run;
use super::{Verdict, oracle_error};

/// Enables and disables swapping to a file of a mounted file system.
///
/// Returns the number of bytes that the kernel uses for swapping, which is one page less than the
/// file size.
pub fn swap_to(file: &Path) -> Verdict<u64> {
    let on = run("swapon", ["--fixpgsz".as_ref(), file.as_os_str()]);
    if !on.ok || !on.stderr.is_empty() {
        return oracle_error(format!("swapon: {}", on.all()));
    }
    let shown = run("swapon", ["--show=NAME,SIZE", "--bytes", "--noheadings", "--raw"]);
    let off = run("swapoff", [file.as_os_str()]);
    if !off.ok {
        return oracle_error(format!("swapoff: {}", off.all()));
    }
    let name = file.to_str().unwrap();
    let size = shown.stdout.lines().find_map(|line| line.strip_prefix(name));
    match size.and_then(|size| size.trim().parse().ok()) {
        Some(size) => Ok(size),
        None => oracle_error(format!("swapon shows {}", shown.all())),
    }
}
