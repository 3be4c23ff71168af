//! A disk with an ESP and a root partition, defined in code instead of in repart.d files.
#![expect(clippy::print_stdout, reason = "an example may")]

use std::error::Error;
use std::thread::available_parallelism;

use detfs::disk::{Definition as Partition, SizePolicy};
use detfs::gpt::{Architecture, PartitionType};
use detfs::repart::{
    CopyFiles, Definition, Minimize, Options, PartitionFormat, PartitionResult, run,
};
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
    let formats = Formats::default();
    let format = |name| formats.find(name).cloned().map(PartitionFormat::FileSystem);

    let mut partition = Partition::new(PartitionType::Esp);
    partition.size = SizePolicy::exactly(300 << 20);
    let mut esp = Definition::new(partition);
    esp.format = format("vfat");
    esp.copy_files = copied("boot");

    let mut root = Definition::new(Partition::new(PartitionType::root(Architecture::X86_64)));
    root.format = format("ext4");
    root.copy_files = copied("");
    root.minimize = Minimize::Guess;
    root.add_validate_fs = true;

    let mut options = Options::new(out.into(), rootfs.into());
    options.seed = Some(Seed(seed.parse()?));
    options.threads = available_parallelism()?;
    let outcome = run(vec![esp, root], &options, &|line| println!("{line}"))?;
    for partition in outcome.partitions.unwrap_or_default() {
        let PartitionResult { identity, offset, size, .. } = partition;
        println!("{} at {offset}, {size} bytes", identity.label);
    }
    Ok(())
}
