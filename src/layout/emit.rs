//! Writes a layout to a sink.
//!
//! The layout is [cut](super::cut) into items. Where every byte goes was fixed before, so threads
//! take the items as they come: the bytes can't depend on the scheduling. A sink that needs its
//! bytes in order, or digests, which need them too, take the way of [`super::ordered`].

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::digest::Digest;
use super::sink::Sink;
use super::work::{LARGE, WorkItems};
use super::write_buffer::{WriteBuffer, cannot_write};
use super::{Layout, ordered};
use crate::error::{Error, Result};
use crate::workers::share;

/// How to write an image.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How many threads make the bytes; the bytes don't depend on it.
    pub threads: NonZero<usize>,
    /// Called from these threads each time so many more bytes of the image, zeros included, are
    /// done.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
    /// Ranges of the image, in bytes, whose digests are wanted. They may overlap.
    pub digests: &'a [Range<u64>],
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("threads", &self.threads)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

impl Options<'_> {
    /// Writes with so many threads, and nothing else.
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

/// The number of an item and why it can't be written.
pub(super) type Failure = (usize, Error);

/// Writes an image; gives the digests that are asked for, in their order.
///
/// # Errors
/// [`Error::Source`] and [`Error::Changed`] for content that can't be read or is not what it was,
/// [`Error::Output`] for a sink that fails. Of several, it is the first one by place in the image.
///
/// # Panics
/// If the layout is not sealed.
pub fn emit(layout: &Layout, sink: &dyn Sink, options: &Options<'_>) -> Result<Vec<Digest>> {
    if sink.in_order() || !options.digests.is_empty() {
        return ordered::emit(layout, sink, options);
    }
    for cut in WorkItems::new(layout, LARGE) {
        emit_part(layout, cut, sink, options)?;
    }
    Ok(Vec::new())
}

fn emit_part(
    layout: &Layout,
    cut: WorkItems<'_>,
    sink: &dyn Sink,
    options: &Options<'_>,
) -> Result<()> {
    let cut = Mutex::new(cut.enumerate());
    let failed = AtomicBool::new(false);
    let work = || -> Result<(), Failure> {
        let mut gather = WriteBuffer::to_sink(layout, sink);
        // An item is only taken when all before it are: the first failure is always among them.
        while !failed.load(Ordering::Relaxed) {
            let next = cut.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, item)) = next else { break };
            let result = match item.is_zeros() {
                true => sink.zeros(item.range.start, item.len()).map_err(cannot_write(sink)),
                false => gather.item(&item),
            };
            if let Err(error) = result {
                failed.store(true, Ordering::Relaxed);
                return Err((number, error));
            }
            options.done(item.len());
        }
        Ok(())
    };
    let failures = share(options.threads, work).into_iter().filter_map(Result::err);
    failures.min_by_key(|&(number, _)| number).map_or(Ok(()), |(_, error)| Err(error))
}
