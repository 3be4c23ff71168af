//! The hash tree of a layout that is not written yet.

use std::io;

use super::leaf_hashes::LeafHashes;
use super::parameters::Parameters;
use super::tree::HashTree;
use crate::error::Result;
use crate::layout::{ByteObserver, Layout, Options, Sink, emit};

/// A sink that hashes the data and does not keep it.
struct HashSink(LeafHashes);

impl Sink for HashSink {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.observe(offset, bytes);
        Ok(())
    }

    fn zeros(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl HashTree {
    /// Computes the hash tree of a sealed layout, for what depends on the root hash and comes
    /// before the data in an image, such as a boot loader's entries. All content is read.
    ///
    /// # Errors
    /// Those of [`emit`], and [`Error::Parameter`](crate::Error::Parameter) for sizes that a hash
    /// tree can't have.
    pub fn of_layout(
        layout: &Layout,
        parameters: Parameters,
        options: &Options<'_>,
    ) -> Result<Self> {
        let sink = HashSink(LeafHashes::new(parameters)?);
        emit(layout, &sink, options)?;
        Ok(sink.0.finish(options.threads))
    }
}
