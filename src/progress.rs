//! Progress of the long phases of a build, and a way to cancel it.

use std::fmt::{self, Display};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A phase of a build that takes time in proportion to the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The tree is read. Progress counts its names, and the total is not known.
    Read,
    /// Content is read to find holes, and to derive a seed if none is given.
    Scan,
    /// Content is compressed or compared before the image is planned.
    Encode,
    /// The image is written.
    Write,
    /// The image is written and hashed at the same time.
    Hash,
}

impl Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Scan => "scan",
            Self::Encode => "encode",
            Self::Write => "write",
            Self::Hash => "hash",
        })
    }
}

/// State of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Bytes that are done, unless the [`Phase`] says otherwise; holes count too.
    pub done: u64,
    /// Bytes of the whole phase; 0 if not known.
    pub total: u64,
}

/// An observer of the progress of a build.
///
/// Every function and closure that takes a [`Progress`] is one:
///
/// ```
/// use std::ops::ControlFlow;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// use detfs::progress::{Observer, Progress};
///
/// static IS_CANCELLED: AtomicBool = AtomicBool::new(false);
///
/// let observer: &dyn Observer = &|_: Progress| match IS_CANCELLED.load(Ordering::Relaxed) {
///     true => ControlFlow::Break(()),
///     false => ControlFlow::Continue(()),
/// };
/// # let _ = observer;
/// ```
pub trait Observer: Send + Sync {
    /// Observes progress. After a `Break`, the phase ends with [`Error::Cancelled`].
    ///
    /// The calls come from several threads, and `done` may be less than in an earlier call.
    fn observe(&self, progress: Progress) -> ControlFlow<()>;
}

impl<F: Fn(Progress) -> ControlFlow<()> + Send + Sync> Observer for F {
    fn observe(&self, progress: Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// Counter of what is done of a phase.
pub(crate) struct Meter<'a> {
    observer: Option<&'a dyn Observer>,
    phase: Phase,
    done: AtomicU64,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(observer: Option<&'a dyn Observer>, phase: Phase, total: u64) -> Self {
        Self { observer, phase, done: AtomicU64::new(0), total }
    }

    /// Adds what a thread has just completed.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks for it.
    pub(crate) fn add(&self, count: u64) -> Result<()> {
        let &Self { observer: Some(observer), phase, total, .. } = self else { return Ok(()) };
        let done = self.done.fetch_add(count, Ordering::Relaxed).saturating_add(count);
        match observer.observe(Progress { phase, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
