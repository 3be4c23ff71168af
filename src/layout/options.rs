//! Options for writing an image.

use std::fmt;
use std::num::NonZero;
use std::ops::Range;

use crate::error::Error;
use crate::progress::Observer;

/// Options for writing an image.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Options<'a> {
    /// Number of threads that produce the bytes; the bytes don't depend on it.
    pub threads: NonZero<usize>,
    /// Observer of the progress, in bytes of the image.
    pub observer: Option<&'a dyn Observer>,
    /// Ranges to compute digests of, in bytes, such as [`Plan::ranges`](crate::disk::Plan::ranges).
    /// They may overlap, and must end within the image.
    pub digests: &'a [Range<u64>],
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

impl Options<'_> {
    /// Returns options for writing with `threads` threads, without an observer or digests.
    #[must_use]
    pub fn new(threads: NonZero<usize>) -> Self {
        Self { threads, observer: None, digests: &[] }
    }
}

/// Number of a failed item, and its error.
pub(super) type Failure = (usize, Error);
