//! Writes a layout to a sink.
//!
//! The layout is split into [work items](super::work). The offset of every byte is already fixed,
//! so threads take items as they become free and the bytes can't depend on the scheduling. A sink
//! that needs its bytes in order, or any digest, is served by [`super::ordered`] instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::digest::Digest;
use super::options::{Failure, Options};
use super::sink::Sink;
use super::work::{LARGE, WorkItems};
use super::write_buffer::{WriteBuffer, cannot_write};
use super::{Layout, ordered};
use crate::error::Result;
use crate::workers::share;

/// Writes an image and returns the requested digests, in the order of the request.
///
/// # Errors
/// [`Error::Source`] and [`Error::Changed`] for content that can't be read or has changed since the
/// tree was listed, [`Error::Output`] for a sink that fails. Of several errors, the one with the
/// lowest offset in the image is returned.
///
/// # Panics
/// If the layout is not sealed.
///
/// [`Error::Source`]: crate::Error::Source
/// [`Error::Changed`]: crate::Error::Changed
/// [`Error::Output`]: crate::Error::Output
pub fn emit(layout: &Layout, sink: &dyn Sink, options: &Options<'_>) -> Result<Vec<Digest>> {
    if sink.in_order() || !options.digests.is_empty() {
        return ordered::emit(layout, sink, options);
    }
    for items in WorkItems::new(layout, LARGE) {
        emit_part(layout, items, sink, options)?;
    }
    Ok(Vec::new())
}

fn emit_part(
    layout: &Layout,
    items: WorkItems<'_>,
    sink: &dyn Sink,
    options: &Options<'_>,
) -> Result<()> {
    let items = Mutex::new(items.enumerate());
    let failed = AtomicBool::new(false);
    let work = || -> Result<(), Failure> {
        let mut buffer = WriteBuffer::to_sink(layout, sink);
        // Items are taken in order, so every item before a failed one has been taken too, and the
        // first failure in the image is always among the results.
        while !failed.load(Ordering::Relaxed) {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, item)) = next else { break };
            let result = match item.is_zeros() {
                true => sink.zeros(item.range.start, item.len()).map_err(cannot_write(sink)),
                false => buffer.item(&item),
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
