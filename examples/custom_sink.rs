//! A disk image that is built from no directory and written to no file.
#![expect(clippy::print_stdout, reason = "an example may")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use detfs::gpt::Architecture;
use detfs::layout::Options;
use detfs::{BuildInput, Metadata, Node, ReadAt, Sink, Timestamp, TreeBuilder, emit, image};

/// A file whose content is computed while it is read.
struct Squares;

impl ReadAt for Squares {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        for (at, byte) in (offset..).zip(buffer.iter_mut()) {
            [*byte, ..] = (at * at).to_le_bytes();
        }
        Ok(buffer.len())
    }
}

/// A sink that keeps only non-zero data, as an object store would.
#[derive(Default)]
struct Pieces(Mutex<BTreeMap<u64, Vec<u8>>>);

impl Sink for Pieces {
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.insert(offset, bytes.to_vec());
        Ok(())
    }

    fn zeros(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mtime = Timestamp::from_seconds(1_700_000_000);
    let directory = Metadata { mode: 0o755, mtime, ..Metadata::default() };
    let file = Metadata { mode: 0o644, mtime, ..Metadata::default() };

    let mut tree = TreeBuilder::new(directory)?;
    tree.file("/etc/hostname", "example\n", file.clone())?;
    let content = tree.content(Arc::new(Squares))?;
    tree.node("/srv/squares", Node::File { size: 1 << 20, content }, file)?;

    // The tree has no program from which the architecture could be detected.
    let mut input = BuildInput::new(tree.finish()?);
    input.architecture = Some(Architecture::X86_64);
    let plan = image::plan(input, &image::Options::default())?;

    let pieces = Pieces::default();
    emit(&plan.layout, &pieces, &Options::new(NonZero::<usize>::MIN))?;
    let pieces = pieces.0.into_inner()?;
    let bytes: usize = pieces.values().map(Vec::len).sum();
    println!("{} pieces, {bytes} bytes of {}", pieces.len(), plan.layout.size());
    Ok(())
}
