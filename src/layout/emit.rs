//! Writes a layout to a sink.
//!
//! The layout is split into [work items](super::work). The offset of every byte is already fixed,
//! so threads take items as they become free and the bytes can't depend on the scheduling. A sink
//! that needs its bytes in order, or any digest, is served by [`super::ordered`] instead.

use super::digest::Digest;
use super::options::Options;
use super::sink::Sink;
use super::work::{LARGE, WorkItems};
use super::write_buffer::{WriteBuffer, cannot_write};
use super::{Layout, ordered};
use crate::error::Result;
use crate::progress::{Meter, Phase};
use crate::workers::{Queue, share};

/// Writes an image and returns the requested digests, in the order of the request.
///
/// # Errors
/// [`Error::Source`] and [`Error::Changed`] for content that can't be read or has changed since the
/// tree was listed, [`Error::Output`] for a sink that fails, [`Error::Cancelled`] if the observer
/// asks for it. Of several errors, the one with the
/// lowest offset in the image is returned.
///
/// # Panics
/// If the layout is not sealed.
///
/// [`Error::Source`]: crate::Error::Source
/// [`Error::Changed`]: crate::Error::Changed
/// [`Error::Output`]: crate::Error::Output
/// [`Error::Cancelled`]: crate::Error::Cancelled
pub fn emit(layout: &Layout, sink: &dyn Sink, options: &Options<'_>) -> Result<Vec<Digest>> {
    if sink.in_order() || !options.digests.is_empty() {
        return ordered::emit(layout, sink, options);
    }
    let meter = Meter::new(options.observer, Phase::Write, layout.size());
    for items in WorkItems::new(layout, LARGE, u64::MAX) {
        emit_part(layout, items, sink, options, &meter)?;
    }
    Ok(Vec::new())
}

fn emit_part(
    layout: &Layout,
    items: WorkItems<'_>,
    sink: &dyn Sink,
    options: &Options<'_>,
    meter: &Meter<'_>,
) -> Result<()> {
    let queue = Queue::new(items);
    share(options.threads, || {
        let mut buffer = WriteBuffer::to_sink(layout, sink);
        while let Some((number, item)) = queue.next() {
            let result = match item.is_zeros() {
                true => sink.zeros(item.range.start, item.len()).map_err(cannot_write(sink)),
                false => buffer.item(&item),
            };
            if let Err(error) = result.and_then(|()| meter.add(item.len())) {
                queue.fail(number, error);
            }
        }
    });
    queue.finish()
}
