//! Cleanup when the program is terminated early.
//!
//! Destructors don't run when a signal terminates a program. Everything that must not be left over
//! is therefore also registered here: files with temporary names, working directories and child
//! processes. A signal handler calls [`put_away`] and then terminates the program.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held by code that must not be interrupted, and by the signal handler until the end.
static GATE: Mutex<()> = Mutex::new(());

static REGISTER: Mutex<Register> = Mutex::new(Register { next: 0, cleanups: BTreeMap::new() });

struct Register {
    next: u64,
    cleanups: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
}

/// A guard that keeps a cleanup registered until it is dropped.
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

/// Registers a cleanup to run on an interrupt.
///
/// Create the object that the cleanup removes and register it in one [`uninterrupted`] action.
pub(crate) fn register(cleanup: impl FnOnce() + Send + 'static) -> Registration {
    let mut register = lock(&REGISTER);
    let number = register.next;
    register.next += 1;
    register.cleanups.insert(number, Box::new(cleanup));
    Registration(number)
}

/// Runs an action so that an interrupt comes either before or after it. Calls must not be nested.
pub(crate) fn uninterrupted<T>(action: impl FnOnce() -> T) -> T {
    let _gate = lock(&GATE);
    action()
}

/// Terminates child processes and removes unfinished files, the latest first.
///
/// Keep the returned value: until it is dropped, nothing else is created or finished.
#[must_use]
pub fn put_away() -> impl Sized {
    let gate = lock(&GATE);
    clean_up();
    gate
}

/// Does the same for a panic that aborts the program, unless it comes from an uninterrupted action
/// or while there is one.
#[cfg(feature = "cli")]
pub(crate) fn put_away_after_panic() {
    if let Ok(_gate) = GATE.try_lock() {
        clean_up();
    }
}

fn clean_up() {
    let cleanups = std::mem::take(&mut lock(&REGISTER).cleanups);
    cleanups.into_values().rev().for_each(|cleanup| cleanup());
}
