//! An erofs in memory, built from no directory. It needs only the feature `erofs`.
#![expect(clippy::print_stdout, reason = "an example may")]

use std::error::Error;
use std::num::NonZero;
use std::sync::Arc;

use detfs::layout::{Options, WriteAtSink};
use detfs::{BuildInput, Erofs, Metadata, Timestamp, TreeBuilder, emit, single};

fn main() -> Result<(), Box<dyn Error>> {
    let mtime = Timestamp::from_seconds(1_700_000_000);
    let directory = Metadata { mode: 0o755, mtime, ..Metadata::default() };
    let file = Metadata { mode: 0o644, mtime, ..Metadata::default() };
    let mut tree = TreeBuilder::new(directory)?;
    let release = "usr/lib/extension-release.d/extension-release.example";
    tree.file(release, "ID=_any\n", file)?;

    let options = single::Options::new(Arc::new(Erofs::default()));
    let plan = single::plan(BuildInput::new(tree.finish()?), &options)?;
    let image = WriteAtSink::new(Vec::new());
    emit(&plan.layout, &image, &Options::new(NonZero::<usize>::MIN))?;
    let image = image.into_inner();
    println!("an extension image of {} bytes", image.len());
    Ok(())
}
