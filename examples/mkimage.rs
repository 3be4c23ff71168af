//! The equivalent of `detfs mkimage ROOTFS OUT --seed UUID` in another program.

use std::error::Error;
use std::path::Path;
use std::thread::available_parallelism;

use detfs::layout::{Destination, Options, emit};
use detfs::tree::dir::{self, DirOptions};
use detfs::{BuildInput, Seed, image};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(rootfs), Some(out), Some(seed)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: mkimage ROOTFS OUT SEED".into());
    };
    let threads = available_parallelism()?;

    let options = DirOptions { threads, ..DirOptions::default() };
    let (tree, _warnings) = dir::read(Path::new(&rootfs), &options)?;
    let source = BuildInput { seed: Some(Seed(seed.parse()?)), threads, ..BuildInput::new(tree) };
    let plan = image::plan(source, &image::Options::default())?;

    let output = Destination::new(Path::new(&out), false)?.create(plan.layout.size())?;
    emit(&plan.layout, &output, &Options::new(threads))?;
    output.finish()?;
    Ok(())
}
