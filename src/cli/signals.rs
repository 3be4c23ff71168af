//! Handles signals that end the program: unfinished files are removed first.

use std::ffi::c_int;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::interrupt::{put_away, put_away_after_panic};

/// Starts handling SIGHUP, SIGINT and SIGTERM, except those that were ignored when the program was
/// started, as by `nohup`. The program is still terminated by the signal, so that its parent sees
/// the signal in the exit status.
pub(super) fn watch() {
    let signals: Vec<_> =
        [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&it| !is_ignored(it)).collect();
    let (ready, watching) = mpsc::channel();
    let watch = move || {
        let Ok(mut signals) = Signals::new(&signals) else { return };
        drop(ready);
        if let Some(signal) = signals.forever().next() {
            let _kept = put_away();
            let _ = emulate_default_handler(signal);
        }
    };
    // Without the thread, a signal ends the program at once, and the next run removes the files
    // that are left.
    if thread::Builder::new().name("signals".into()).spawn(watch).is_ok() {
        // Nothing is ever sent. The call returns once the sender is dropped: when the handlers are
        // installed or the thread has given up.
        let _: Result<(), _> = watching.recv();
    }
}

/// Has unfinished files removed if a panic aborts the program. If it unwinds instead, destructors
/// do that.
pub(super) fn watch_panics() {
    if cfg!(panic = "abort") {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            put_away_after_panic();
        }));
    }
}

/// Ends the program by SIGPIPE, which Rust programs ignore.
pub(super) fn end_by_closed_pipe() {
    let _ = emulate_default_handler(SIGPIPE);
}

fn is_ignored(signal: c_int) -> bool {
    // Reading by lines calls no `stat`, which would never return in a fakeroot-like library whose
    // server is gone.
    let Ok(status) = File::open("/proc/self/status") else { return false };
    let mut lines = BufReader::new(status).lines().map_while(Result::ok);
    let ignored =
        lines.find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (signal - 1) & 1 == 1)
}
