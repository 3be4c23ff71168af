//! Where workers wait for each other: before the end of what is observed, all of it is made.

use std::sync::{Condvar, Mutex, PoisonError};

/// Barriers in an image that a known number of workers come to in order.
pub(super) struct Gate {
    barriers: Vec<u64>,
    /// For each barrier, how many workers have not come to it yet.
    missing: Mutex<Vec<usize>>,
    arrived: Condvar,
}

/// A worker on its way through the image.
pub(super) struct Passage<'a> {
    gate: &'a Gate,
    /// The next barrier.
    next: usize,
}

impl Gate {
    pub(super) fn new(barriers: Vec<u64>, workers: usize) -> Self {
        let missing = Mutex::new(vec![workers; barriers.len()]);
        Self { barriers, missing, arrived: Condvar::new() }
    }

    /// Each worker enters once.
    pub(super) fn enter(&self) -> Passage<'_> {
        Passage { gate: self, next: 0 }
    }

    fn arrive(&self, barrier: usize) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing[barrier] -= 1;
        self.arrived.notify_all();
    }

    fn wait(&self, barrier: usize) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        while missing[barrier] > 0 {
            missing = self.arrived.wait(missing).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Passage<'_> {
    /// Waits, if there is a barrier at or before this place, for all workers to come to it.
    pub(super) fn reach(&mut self, offset: u64) {
        while self.gate.barriers.get(self.next).is_some_and(|&barrier| barrier <= offset) {
            let barrier = self.next;
            self.next += 1;
            self.gate.arrive(barrier);
            self.gate.wait(barrier);
        }
    }
}

/// A worker that ends, for whatever reason, keeps nobody waiting.
impl Drop for Passage<'_> {
    fn drop(&mut self) {
        (self.next..self.gate.barriers.len()).for_each(|barrier| self.gate.arrive(barrier));
    }
}
