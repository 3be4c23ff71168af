//! Images in memory.

use std::io;
use std::num::NonZero;

use detfs::layout::{Layout, Options, Sink, WriteAtSink, emit};

/// Memory that is initially zero, so that no pages are used for the zeros of an image.
#[derive(Debug)]
struct Memory(WriteAtSink<Vec<u8>>);

impl Sink for Memory {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(offset, bytes)
    }

    fn zeros(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Builds the image.
///
/// # Panics
///
/// Panics if the image can't be built or does not have the planned size.
pub fn image_of(layout: &Layout) -> Vec<u8> {
    let size = usize::try_from(layout.size()).expect("it fits the memory");
    let memory = Memory(WriteAtSink::new(vec![0; size]));
    emit(layout, &memory, &Options::new(NonZero::<usize>::MIN)).expect("content in memory");
    let image = memory.0.into_inner();
    assert_eq!(image.len(), size, "it was written beyond the end");
    image
}
