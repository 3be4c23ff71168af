//! Renders the bytes of one work item and writes them.

use super::sink::Sink;
use super::work::{WRITE_SIZE, WorkItem};
use super::{Fill, Layout};
use crate::error::{Error, Result};
use crate::tree::InodeId;

/// Returns a function that wraps the error of a sink.
pub(super) fn cannot_write(sink: &dyn Sink) -> impl FnOnce(std::io::Error) -> Error + '_ {
    |error| Error::output(format!("cannot write {}", sink.name()), error)
}

/// A buffer for consecutive bytes of the image.
pub(super) struct WriteBuffer<'a> {
    layout: &'a Layout,
    sink: Option<&'a dyn Sink>,
    buffer: Vec<u8>,
    /// Offset of the buffer in the image.
    start: u64,
    /// Number of bytes in the buffer.
    filled: usize,
    /// Number of these bytes that were written to the sink.
    sent: usize,
    /// Number of these bytes that were passed to observers.
    notified: usize,
    /// Whether bytes are also read into the buffer when the sink shares them.
    keep: bool,
}

/// Converts a length or position within bytes in memory.
fn small(len: u64) -> usize {
    usize::try_from(len).expect("memory has no more bytes than a usize counts")
}

impl<'a> WriteBuffer<'a> {
    /// Creates a buffer that only writes to a sink.
    pub(super) fn to_sink(layout: &'a Layout, sink: &'a dyn Sink) -> Self {
        Self::new(layout, Some(sink), false)
    }

    /// Creates a buffer for items of at most [`WRITE_SIZE`] bytes that are needed in memory. They
    /// are also written to `sink`, if any.
    pub(super) fn to_memory(layout: &'a Layout, sink: Option<&'a dyn Sink>) -> Self {
        Self::new(layout, sink, true)
    }

    fn new(layout: &'a Layout, sink: Option<&'a dyn Sink>, keep: bool) -> Self {
        let buffer = vec![0; small(WRITE_SIZE)];
        Self { layout, sink, buffer, start: 0, filled: 0, sent: 0, notified: 0, keep }
    }

    /// Renders the bytes of an item and writes them to the sink.
    pub(super) fn item(&mut self, item: &WorkItem<'_>) -> Result<()> {
        self.restart(item.range.start);
        let layout = self.layout;
        for part in item.segments() {
            match part.fill {
                None => self.fill(part.len, |_, out| {
                    out.fill(0);
                    Ok(())
                })?,
                Some((Fill::Bytes(number), from)) => {
                    let bytes = &layout.bytes_of(number)[small(from)..];
                    self.fill(part.len, |at, out| {
                        out.copy_from_slice(&bytes[small(at)..][..out.len()]);
                        Ok(())
                    })?;
                }
                Some((Fill::Render(number), from)) => {
                    let render = layout.render_of(number);
                    self.fill(part.len, |at, out| {
                        out.fill(0);
                        render.render(from + at, out)
                    })?;
                }
                Some((Fill::Content { tree, inode }, from)) => {
                    self.content(part.offset, part.len, tree, inode, from)?;
                }
            }
        }
        self.flush()
    }

    /// Returns the bytes of the last item, and reuses the memory of `spare` for the next items.
    pub(super) fn take(&mut self, mut spare: Vec<u8>) -> Vec<u8> {
        spare.resize(small(WRITE_SIZE), 0);
        let mut bytes = std::mem::replace(&mut self.buffer, spare);
        bytes.truncate(self.filled);
        bytes
    }

    fn content(
        &mut self,
        offset: u64,
        len: u64,
        tree: u16,
        inode: InodeId,
        from: u64,
    ) -> Result<()> {
        let reader = self.layout.tree_of(tree).open(inode)?;
        let mut shared = 0;
        if let (Some(sink), Some(file)) = (self.sink, reader.file()) {
            shared = sink.share(offset, file, from, len).min(len);
        }
        if shared > 0 {
            self.flush()?;
            if self.keep {
                self.fill(shared, |at, out| reader.read(from + at, out))?;
                self.sent = self.filled;
            } else {
                if self.layout.is_observed(offset) {
                    let layout = self.layout;
                    for at in (0..shared).step_by(self.buffer.len()) {
                        let take = small((shared - at).min(self.buffer.len() as u64));
                        reader.read(from + at, &mut self.buffer[..take])?;
                        layout.notify(offset + at, &self.buffer[..take]);
                    }
                }
                self.restart(offset + shared);
            }
        }
        self.fill(len - shared, |at, out| reader.read(from + shared + at, out))?;
        reader.verify()
    }

    fn restart(&mut self, start: u64) {
        (self.start, self.filled, self.sent, self.notified) = (start, 0, 0, 0);
    }

    /// Fills the next `len` bytes, split wherever the buffer is full and has to be flushed.
    fn fill(&mut self, len: u64, mut make: impl FnMut(u64, &mut [u8]) -> Result<()>) -> Result<()> {
        let mut done = 0;
        while done < len {
            if self.filled == self.buffer.len() {
                self.flush()?;
                self.restart(self.start + self.filled as u64);
            }
            let free = &mut self.buffer[self.filled..];
            let take = small((len - done).min(free.len() as u64));
            make(done, &mut free[..take])?;
            self.filled += take;
            done += take as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.layout
            .notify(self.start + self.notified as u64, &self.buffer[self.notified..self.filled]);
        self.notified = self.filled;
        let bytes = &self.buffer[self.sent..self.filled];
        if let Some(sink) = self.sink
            && !bytes.is_empty()
        {
            sink.write(self.start + self.sent as u64, bytes).map_err(cannot_write(sink))?;
        }
        self.sent = self.filled;
        Ok(())
    }
}
