//! Where the bytes of regular files come from.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use positioned_io::ReadAt;

use crate::error::{Error, Result};

/// The content of one file: a number within one of the sources of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentId {
    pub(crate) index: u32,
    pub(crate) source: u16,
}

/// A place that file content comes from.
pub(crate) trait ContentSource: Send + Sync {
    /// Opens content number `index`. `path` makes the path for error messages.
    fn open(&self, index: u32, path: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>>;
}

/// Opened content of one file.
pub(crate) trait ContentReader {
    /// Fills `buffer` with the bytes at `offset`. It is an error that names the file if there are
    /// fewer.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The file behind the content, if its bytes are those of one file at the same offsets, so
    /// that the kernel can copy or share them.
    fn file(&self) -> Option<&File> {
        None
    }

    /// The first part of a range that may be other than zeros; `None` if it is all zeros.
    ///
    /// Knowing that saves reading them, and is all that it does: `range` itself is always right.
    fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        (!range.is_empty()).then_some(range)
    }

    /// Checks, after the last read, that the content is still what the tree was made from.
    fn verify(&self) -> Result<()> {
        Ok(())
    }
}

/// Content that a caller of the library supplies.
#[derive(Default)]
pub(crate) struct UserContent(pub(crate) Vec<Arc<dyn ReadAt + Send + Sync>>);

struct UserReader {
    reader: Arc<dyn ReadAt + Send + Sync>,
    path: Vec<u8>,
}

impl ContentSource for UserContent {
    fn open(&self, index: u32, path: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>> {
        let reader = Arc::clone(&self.0[index as usize]);
        Ok(Box::new(UserReader { reader, path: path() }))
    }
}

impl ContentReader for UserReader {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.reader
            .read_exact_at(offset, buffer)
            .map_err(|error| Error::source(self.path.clone(), "cannot read the content", error))
    }
}

/// One file of these bytes and of zeros from there on.
pub(crate) struct ZeroPaddedContent(pub(crate) Arc<[u8]>);

impl ContentSource for ZeroPaddedContent {
    fn open(&self, _: u32, _: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

impl ContentReader for ZeroPaddedContent {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let bytes = &self.0[start..];
        let (head, rest) = buffer.split_at_mut(bytes.len().min(buffer.len()));
        head.copy_from_slice(&bytes[..head.len()]);
        rest.fill(0);
        Ok(())
    }

    fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        let range = range.start..range.end.min(self.0.len() as u64);
        (!range.is_empty()).then_some(range)
    }
}
