//! A disk with an ESP and a root partition, defined in code instead of in repart.d files.
#![expect(clippy::print_stdout, reason = "an example may")]

use std::error::Error;
use std::thread::available_parallelism;

use detfs::disk::{Definition as Partition, SizePolicy};
use detfs::gpt::{Architecture, PartitionType};
use detfs::repart::{CopyFiles, Definition, Minimize, Options, PartitionFormat, run};
use detfs::{Formats, Seed};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(rootfs), Some(out), Some(seed)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: repart ROOTFS OUT SEED".into());
    };
    let copied = |source: &str| {
        let (source, target) = (source.into(), Vec::new());
        vec![CopyFiles { source, target, fsverity: false }]
    };
    let room = SizePolicy {
        size_min: Some(300 << 20),
        size_max: Some(300 << 20),
        ..SizePolicy::default()
    };
    let formats = Formats::default();
    let format = |name| formats.find(name).cloned().map(PartitionFormat::FileSystem);
    let esp = Definition {
        format: format("vfat"),
        copy_files: copied("boot"),
        ..Definition::new(Partition { size: room, ..Partition::new(PartitionType::Esp) })
    };
    let root = PartitionType::root(Architecture::X86_64);
    let root = Definition {
        format: format("ext4"),
        copy_files: copied(""),
        minimize: Minimize::Guess,
        add_validate_fs: true,
        ..Definition::new(Partition::new(root))
    };

    let options = Options {
        seed: Some(Seed(seed.parse()?)),
        threads: available_parallelism()?,
        ..Options::new(out.into(), rootfs.into())
    };
    let outcome = run(vec![esp, root], &options, &|line| println!("{line}"))?;
    for row in outcome.rows.unwrap_or_default() {
        println!("{} at {}, {} bytes", row.identity.label, row.offset, row.size);
    }
    Ok(())
}
