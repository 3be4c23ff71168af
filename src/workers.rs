//! Threads that share work: as many as requested, or as many as the system allows.
//!
//! A limit on processes must not cause a failure. Work is therefore done by the calling thread and
//! by any helpers that could be started, and never depends on their number.

use std::iter::Enumerate;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};

use crate::error::{Error, Result};

/// Maximum number of threads that work at once. More would wait for the same disk, and each thread
/// that reads a tree holds several file descriptors, of which a process has 1024 by default.
const MOST: usize = 64;

/// Runs `work` on up to `threads` threads at once, and returns the results.
///
/// `work` returns when no work is left for any thread.
pub(crate) fn share<T: Send>(threads: NonZero<usize>, work: impl Fn() -> T + Sync) -> Vec<T> {
    scope(|scope| {
        let help = |_| Builder::new().spawn_scoped(scope, &work).ok();
        let helpers: Vec<_> = (1..threads.get().min(MOST)).map_while(help).collect();
        let mut done = vec![work()];
        for helper in helpers {
            done.push(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

/// Calls `work` for each of `items`, on several threads at once and in no particular order.
pub(crate) fn for_each<T: Send>(
    threads: NonZero<usize>,
    items: impl ExactSizeIterator<Item = T> + Send,
    work: impl Fn(T) + Sync,
) {
    let Some(most) = NonZero::new(items.len()) else { return };
    let items = Mutex::new(items);
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    share(threads.min(most), || {
        while let Some(item) = next() {
            work(item);
        }
    });
}

/// Items that threads take in order, with their numbers, until none are left or work on one fails.
///
/// All items before a failed one have been taken by then, so the first failure is always found,
/// whichever thread encounters it.
#[derive(Debug)]
pub(crate) struct Queue<I> {
    items: Mutex<Enumerate<I>>,
    has_failed: AtomicBool,
    failure: Mutex<Option<(usize, Error)>>,
}

impl<I: Iterator> Queue<I> {
    pub(crate) fn new(items: impl IntoIterator<IntoIter = I>) -> Self {
        let items = Mutex::new(items.into_iter().enumerate());
        Self { items, has_failed: AtomicBool::new(false), failure: Mutex::new(None) }
    }

    pub(crate) fn next(&self) -> Option<(usize, I::Item)> {
        if self.has_failed.load(Ordering::Relaxed) {
            return None;
        }
        self.items.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Records that work on the item of a number failed.
    pub(crate) fn fail(&self, number: usize, error: Error) {
        self.has_failed.store(true, Ordering::Relaxed);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref().is_none_or(|&(first, _)| number < first) {
            *failure = Some((number, error));
        }
    }

    /// Returns the failure with the lowest number, if any.
    pub(crate) fn finish(self) -> Result<()> {
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::Barrier;

    use super::*;

    const THREE: NonZero<usize> = NonZero::new(3).unwrap();

    #[test]
    fn as_many_as_are_wanted_work_at_once() {
        let all = Barrier::new(3);
        let leaders = share(THREE, || all.wait().is_leader());
        assert_eq!(leaders.len(), 3);
        assert_eq!(leaders.into_iter().filter(|&is_leader| is_leader).count(), 1);
        assert_eq!(share(NonZero::<usize>::MAX, || ()).len(), MOST);
    }

    #[test]
    fn a_panic_of_a_helper_comes_through() {
        let all = Barrier::new(2);
        let caller = std::thread::current().id();
        let work = || {
            all.wait();
            assert_eq!(std::thread::current().id(), caller, "a helper");
        };
        let two = NonZero::new(2).unwrap();
        assert!(catch_unwind(|| share(two, work)).is_err());
    }

    #[test]
    fn each_item_is_worked_on_once() {
        let seen = Mutex::new(Vec::new());
        for_each(THREE, 0..100, |item| seen.lock().unwrap().push(item));
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..100));
        for_each(THREE, 0..0, |_| panic!("no such item"));
    }

    #[test]
    fn the_first_failure_is_the_one_with_the_lowest_number() {
        let queue = Queue::new(0..100);
        let all = Barrier::new(3);
        share(THREE, || {
            // All three have taken a number before one fails.
            let (number, _) = queue.next().unwrap();
            all.wait();
            queue.fail(
                number,
                Error::source(number.to_string(), "cannot read", rustix::io::Errno::IO),
            );
            assert_eq!(queue.next(), None);
        });
        let error = queue.finish().unwrap_err().to_string();
        assert!(error.contains("0: cannot read"), "{error}");

        let queue = Queue::new(["a", "b"]);
        let taken = [queue.next(), queue.next(), queue.next()];
        assert_eq!(taken, [Some((0, "a")), Some((1, "b")), None]);
        queue.finish().unwrap();
    }
}
