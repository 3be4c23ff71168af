//! Sources of the content of regular files.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use positioned_io::ReadAt;

use crate::error::{Error, Result};

/// Reference to the content of a file: an index within one of the tree's sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentId {
    pub(crate) index: u32,
    pub(crate) source: u16,
}

/// A source of file content.
pub(crate) trait ContentSource: Send + Sync {
    /// Opens the content at `index`.
    ///
    /// `path` returns the path for error messages.
    fn open(&self, index: u32, path: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>>;
}

/// Open content of a file.
pub(crate) trait ContentReader {
    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// If there are fewer bytes, the error names the file.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Returns the host file that holds the content, if the bytes are those of one file at the same
    /// offsets, so that the kernel can copy or share them.
    fn file(&self) -> Option<&File> {
        None
    }

    /// Returns the first part of `range` that may contain data, or `None` if all of `range` is
    /// zeros.
    ///
    /// This only saves reading zeros: to return all of `range` is always correct.
    fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        (!range.is_empty()).then_some(range)
    }

    /// Checks, after the last read, that the content has not changed since the tree was built.
    fn verify(&self) -> Result<()> {
        Ok(())
    }
}

/// Content supplied by a caller of the library.
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

/// Content that consists of these bytes followed by zeros.
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
