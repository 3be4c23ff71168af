//! The equivalent of `detfs mkimage ROOTFS OUT --seed UUID` in another program.
#![expect(clippy::print_stderr, reason = "an example may")]

use std::error::Error;
use std::path::Path;
use std::thread::available_parallelism;

use detfs::layout::Options;
use detfs::{BuildInput, Destination, Seed, emit, image};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(rootfs), Some(out), Some(seed)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: mkimage ROOTFS OUT SEED".into());
    };
    let threads = available_parallelism()?;

    let mut input = BuildInput::from_dir(Path::new(&rootfs))?.normalized()?;
    input.seed = Some(Seed(seed.parse()?));
    input.threads = threads;
    let plan = image::plan(input, &image::Options::default())?;
    for warning in &plan.warnings {
        eprintln!("{warning}");
    }

    let output = Destination::new(Path::new(&out), false)?.create(plan.layout.size())?;
    emit(&plan.layout, &output, &Options::new(threads))?;
    output.finish()?;
    Ok(())
}
