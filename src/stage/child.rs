//! Child processes that don't survive an interrupt.

use std::io;
use std::process::{Child, Command};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::interrupt::{Registration, register, uninterrupted};

/// Spawns a command. On an interrupt, it is sent `signal` and given some time to terminate. If the
/// kernel is too old to do that safely, no cleanup is registered, and the command has to terminate
/// by itself when its parent does.
pub(crate) fn spawn(
    command: &mut Command,
    signal: Signal,
) -> io::Result<(Child, Option<Registration>)> {
    uninterrupted(|| {
        let child = command.spawn()?;
        let registration = register_child(&child, signal);
        Ok((child, registration))
    })
}

fn register_child(child: &Child, signal: Signal) -> Option<Registration> {
    const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    Some(register(move || {
        // The process may have terminated already.
        let _ = pidfd_send_signal(&handle, signal);
        let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&PATIENCE));
    }))
}
