//! The built-in set of partitions: a BIOS boot partition, if it is asked for; an EFI system
//! partition, if there is something for it; and the root file system.

use std::sync::Arc;

use super::file_system::Content;
use super::manifest::Parameters;
use super::{
    ALIGNMENT, Definition, Disk, Identity, Partition, Plan, Product, Root, Source, Vfat, esp,
    identify, source,
};
use crate::btrfs::Reading;
use crate::error::{Error, Result};
use crate::gpt::{Geometry, PartitionType, SectorSize};
use crate::layout::Layout;
use crate::report::Warning;
use crate::size::{Headroom, round_up};
use crate::time::Timestamp;
use crate::tree::{SurveyOptions, Tree, survey};

/// The size in bytes of a BIOS boot partition. GRUB's core image takes a tenth of it.
const BIOS_BOOT: u64 = ALIGNMENT;

/// How to make a disk image of a tree.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The root file system.
    pub root: Root,
    /// The size of the whole image in bytes, of which the root takes what is left; `None` for the
    /// smallest that leaves the root's headroom.
    pub size: Option<u64>,
    /// Bytes in a sector of the disk.
    pub sector_size: SectorSize,
    /// The size of the ESP in bytes, rounded up to MiB, which also asks for one when the tree has
    /// nothing for it; `None` for twice its content and at least a FAT32.
    pub esp_size: Option<u64>,
    /// Bytes in a sector of the ESP's file system, at least those of the disk; `None` for as many.
    pub esp_sector_size: Option<SectorSize>,
    /// Whether there is a BIOS boot partition: 1 MiB for a boot loader to be put into.
    pub bios_boot: bool,
}

/// Plans a disk image.
///
/// The ESP holds what the tree has under `/efi`, else under `/boot` when that has a directory
/// `EFI`; the root file system keeps the empty directory. Without such content there is an ESP
/// only if a size is given for it. A BIOS boot partition comes first, then the ESP, then the root,
/// which can grow when the image is put on a larger disk.
///
/// # Errors
/// Those of the file systems, and [`Error::Parameter`] if the architecture can't be told from the
/// tree, the epoch is out of range, the size is no multiple of the sector size, or sectors of the
/// ESP are smaller than those of the disk.
pub fn plan(source: Source, options: &Options) -> Result<Plan> {
    if let Some(sectors) = options.esp_sector_size
        && sectors.bytes() < options.sector_size.bytes()
    {
        let (of_esp, of_disk) = (sectors.bytes(), options.sector_size.bytes());
        return Err(Error::parameter(
            "--esp-sector-size",
            format!("{of_esp} is less than the {of_disk} bytes in a sector of the disk"),
            format!("give {of_disk}, or leave it out"),
        ));
    }
    let Source { mut tree, seed, epoch, architecture, threads, spool } = source;
    let mut basis = source::clamp(&mut tree, epoch)?;
    let architecture = source::architecture(&tree, architecture)?;
    basis.architecture = Some(architecture);
    let epoch = basis.epoch.0;

    let (root, esp) = split(tree, epoch, options.esp_size.is_some())?;
    let wanted = SurveyOptions { threads, digest: seed.is_none() };
    let mut surveys = vec![survey(&root, &wanted)?];
    if wanted.digest {
        for tree in esp.iter() {
            surveys.push(survey(tree, &wanted)?);
        }
    }
    let seed = source::seed(seed, &surveys);
    let facts = surveys.swap_remove(0);
    basis.seed = Some(seed);

    let definition = Definition {
        label: options.root.label().cloned(),
        ..Definition::new(PartitionType::root(architecture.0))
    };
    let before = [
        options.bios_boot.then_some(PartitionType::BiosBoot),
        esp.is_some().then_some(PartitionType::Esp),
    ];
    let before = before.into_iter().flatten().map(Definition::new);
    let definitions: Vec<_> = before.chain([definition]).collect();
    let mut identities = identify(seed.0, &definitions);

    let identity = identities.pop().expect("the root is the last partition");
    let mut identities = identities.into_iter();
    let mut placed = Placed { sector_size: options.sector_size, ..Placed::default() };
    if options.bios_boot
        && let Some(identity) = identities.next()
    {
        placed.add(identity, BIOS_BOOT, None);
    }
    for (tree, identity) in esp.iter().zip(identities) {
        let content = plan_esp(tree, &identity, epoch, placed.end(), options)?;
        placed.add(identity, content.file_system.size, Some(content));
    }
    let reading = Reading { threads, spool: spool.as_deref() };
    let (uuid, label) = (identity.file_system, identity.label.clone());
    let planner = options.root.prepare(root, facts, uuid, label, epoch, &reading)?;
    let size = match options.size {
        Some(total) => {
            let start = placed.end();
            let tail = Geometry::tail(options.sector_size);
            let end = total.saturating_sub(tail) / ALIGNMENT * ALIGNMENT;
            let room = end.saturating_sub(start);
            let content = planner.plan(Some(room), None).or_else(|error| {
                // What is missing is missing in the image: say the size of that.
                let Error::TooSmall { what, rule, .. } = error else { return Err(error) };
                let least = planner.plan(None, Some(Headroom::Bytes(0)))?.file_system.size;
                let least = start + round_up(least, ALIGNMENT) + ALIGNMENT;
                let remedy = format!("an image of at least {least} bytes holds the tree");
                Err(Error::TooSmall { what, rule, remedy })
            })?;
            placed.add(identity, room, Some(content));
            total
        }
        None => {
            let content = planner.plan(None, options.root.headroom())?;
            placed.add(identity, round_up(content.file_system.size, ALIGNMENT), Some(content));
            placed.end() + ALIGNMENT
        }
    };

    let Placed { sector_size, partitions, contents, warnings } = placed;
    let mut parameters = Parameters::of_image(options);
    parameters.compressed_by(planner.codecs());
    let disk = Disk { uuid: seed.0.disk(), sector_size, size, partitions };
    Ok(Plan {
        layout: disk.compose(contents)?,
        parameters,
        product: Product::Disk(disk),
        basis,
        warnings,
    })
}

/// Partitions one after the other.
#[derive(Debug, Default)]
struct Placed {
    sector_size: SectorSize,
    partitions: Vec<Partition>,
    contents: Vec<Layout>,
    warnings: Vec<Warning>,
}

impl Placed {
    /// Where the next partition starts, in bytes.
    fn end(&self) -> u64 {
        self.partitions.last().map_or(ALIGNMENT, |last| last.start + last.size)
    }

    /// Adds a partition of `size` bytes, a multiple of [`ALIGNMENT`].
    fn add(&mut self, identity: Identity, size: u64, content: Option<Content>) {
        let (start, mut layout, mut file_system) = (self.end(), Layout::new(size), None);
        if let Some(content) = content {
            layout = content.layout;
            file_system = Some(content.file_system);
            self.warnings.extend(content.warnings);
        }
        self.partitions.push(Partition { identity, start, size, file_system });
        self.contents.push(layout);
    }
}

/// Takes a tree apart: what the root file system holds, and what the ESP holds, if there is one.
fn split(tree: Tree, epoch: Timestamp, wanted: bool) -> Result<(Arc<Tree>, Option<Arc<Tree>>)> {
    match esp::find(&tree) {
        Some(directory) => {
            let (root, esp) = (tree.hollow(&[directory])?, tree.subtree(directory)?);
            Ok((Arc::new(root), Some(Arc::new(esp))))
        }
        None if wanted => Ok((Arc::new(tree), Some(Arc::new(esp::empty(epoch)?)))),
        None => Ok((Arc::new(tree), None)),
    }
}

fn plan_esp(
    tree: &Arc<Tree>,
    identity: &Identity,
    epoch: Timestamp,
    start: u64,
    options: &Options,
) -> Result<Content> {
    let sector_size = options.esp_sector_size.unwrap_or(options.sector_size).bytes();
    let vfat = Vfat { sector_size, label: Some("ESP".to_owned()) };
    let size = match options.esp_size {
        Some(size) => round_up(size, ALIGNMENT),
        None => esp::size(tree, &vfat, epoch)?,
    };
    vfat.plan(tree, identity.file_system, epoch, start, Some(size)).map_err(|error| match error {
        Error::TooSmall { rule, remedy, .. } => {
            Error::TooSmall { what: "the ESP's size (--esp-size)".into(), rule, remedy }
        }
        error => error,
    })
}
