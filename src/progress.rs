//! Progress of the long phases of a build, and a way to cancel it.

use std::fmt::{self, Display};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// A phase of a build that takes time in proportion to the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Content is read to find holes, and to derive a seed if none is given.
    Scan,
    /// Content is compressed or compared before the image is planned.
    Encode,
    /// The image is written.
    Write,
}

impl Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scan => "scan",
            Self::Encode => "encode",
            Self::Write => "write",
        })
    }
}

/// State of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Bytes that are done; holes count too.
    pub done: u64,
    /// Bytes of the whole phase.
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

/// Counter of the bytes of a phase that are done.
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

    /// Adds bytes that a thread has just completed.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks for it.
    pub(crate) fn add(&self, bytes: u64) -> Result<()> {
        let &Self { observer: Some(observer), phase, total, .. } = self else { return Ok(()) };
        let done = self.done.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match observer.observe(Progress { phase, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
