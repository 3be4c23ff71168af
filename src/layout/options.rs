//! Options for writing an image.

use std::fmt;
use std::num::NonZero;
use std::ops::Range;

use crate::error::Error;

/// Options for writing an image.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Number of threads that produce the bytes; the bytes don't depend on it.
    pub threads: NonZero<usize>,
    /// Called from each of these threads with the number of bytes of the image, zeros included,
    /// that the thread has just completed.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
    /// Ranges of the image, in bytes, to compute digests of. They may overlap.
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
    /// Returns options for writing with `threads` threads, without progress or digests.
    #[must_use]
    pub fn new(threads: NonZero<usize>) -> Self {
        Self { threads, progress: None, digests: &[] }
    }

    pub(super) fn done(&self, bytes: u64) {
        if let Some(progress) = self.progress {
            progress(bytes);
        }
    }
}

/// Number of a failed item, and its error.
pub(super) type Failure = (usize, Error);
