//! What is put away when the program is ended before its time.
//!
//! Destructors don't run when a signal ends a program. So what must not be left behind is also
//! registered here: files under temporary names, directories of work, and programs that were
//! started. A signal handler calls [`put_away`] and then ends the program.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Held by code that must not be interrupted, and by the signal handler to the end.
static GATE: Mutex<()> = Mutex::new(());

static REGISTER: Mutex<Register> = Mutex::new(Register { next: 0, cleanups: BTreeMap::new() });

struct Register {
    next: u64,
    cleanups: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
}

/// Keeps a cleanup registered; it is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Registration(u64);

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&REGISTER).cleanups.remove(&self.0);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers what is to be done on an interrupt. Make what it removes and register it together
/// without being [interrupted](uninterrupted).
pub(crate) fn register(cleanup: impl FnOnce() + Send + 'static) -> Registration {
    let mut register = lock(&REGISTER);
    let number = register.next;
    register.next += 1;
    register.cleanups.insert(number, Box::new(cleanup));
    Registration(number)
}

/// Does something as a whole: an interrupt comes before or after it. Not within itself.
pub(crate) fn uninterrupted<T>(action: impl FnOnce() -> T) -> T {
    let _gate = lock(&GATE);
    action()
}

/// Starts a command. An interrupt sends it a signal and waits a while for its end; where the kernel
/// is too old to do that safely, it has to end by itself when its parent does.
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
        // It may have ended already.
        let _ = pidfd_send_signal(&handle, signal);
        let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&PATIENCE));
    }))
}

/// Removes a directory in which programs that were killed just now may still do something.
pub(crate) fn remove_directory(path: &Path) {
    for _ in 0..50 {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}

/// Stops the programs that were started and removes what is unfinished, the latest first. Keep what
/// it returns: as long as it is there nothing is made or finished any more.
#[must_use]
pub fn put_away() -> impl Sized {
    let gate = lock(&GATE);
    let cleanups = std::mem::take(&mut lock(&REGISTER).cleanups);
    cleanups.into_values().rev().for_each(|cleanup| cleanup());
    gate
}
