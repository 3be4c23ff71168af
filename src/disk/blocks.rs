//! Ranges of files that are copied as they are.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::layout::{Layout, Region, Render};

/// A range of a file that is copied as it is.
#[derive(Debug, Clone)]
pub struct Blocks {
    file: Arc<File>,
    range: Range<u64>,
    path: Vec<u8>,
}

impl Blocks {
    /// Creates a range of a file, in bytes.
    pub(crate) fn range(file: Arc<File>, range: Range<u64>, path: &Path) -> Self {
        Self { file, range, path: path.as_os_str().as_encoded_bytes().to_vec() }
    }

    /// Returns the length of the range in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Returns a layout of `size` bytes with the range at its start. Holes of the file stay holes.
    pub(crate) fn layout(&self, size: u64) -> Result<Layout> {
        let mut layout = Layout::new(size);
        let Range { start, end } = self.range;
        let fail = |error: Errno| Error::source(self.path.clone(), "cannot list its holes", error);
        let mut at = start;
        let render: Arc<dyn Render> =
            Arc::new(FileRender { file: Arc::clone(&self.file), start, path: self.path.clone() });
        let fill = layout.add_render(render);
        while at < end {
            let data = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(data) => data.min(end),
                Err(Errno::NXIO) => break,
                // A device can't report holes.
                Err(Errno::INVAL) => at,
                Err(error) => return Err(fail(error)),
            };
            let hole = match seek(&self.file, SeekFrom::Hole(data)) {
                Ok(hole) => hole.min(end),
                Err(Errno::INVAL | Errno::NXIO) => end,
                Err(error) => return Err(fail(error)),
            };
            let (offset, len) = (data - start, hole - data);
            layout.push_region(Region { offset, len, from: offset, fill });
            at = hole.max(data + 1);
        }
        Ok(layout)
    }
}

/// Renders the bytes of a file from `start` on.
struct FileRender {
    file: Arc<File>,
    start: u64,
    path: Vec<u8>,
}

impl Render for FileRender {
    fn render(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(out, self.start + offset)
            .map_err(|error| Error::source(self.path.clone(), "cannot read", error))
    }
}
