//! Disk images with the built-in set of partitions: a BIOS boot partition, if requested; an EFI
//! system partition, if there is content for it; an XBOOTLDR partition, if requested; and the root
//! file system.

use super::boot::{self, Divided};
use super::definition::Definition;
pub use super::esp::EspSource;
use super::file_system::PlannedFs;
pub use super::image_options::Options;
use super::parameters::Parameters;
use super::partition::{ALIGNMENT, Disk, Identity, Partition, identify};
use super::place::{Candidate, Place, Presence, SizeRange, SpaceRequest, place};
use super::plan::{ImageKind, Plan};
use super::root::Planner;
use super::source::BuildInput;
use super::{esp, source};
use crate::btrfs::PrepassOptions;
use crate::error::{Error, Result};
use crate::gpt::{Geometry, PartitionType};
use crate::layout::Layout;
use crate::name::Escaped;
use crate::size::round_up;
use crate::tree::{HoleScanOptions, scan_holes};

/// Size of a BIOS boot partition, in bytes. GRUB's core image takes a tenth of it.
const BIOS_BOOT: u64 = ALIGNMENT;

/// Plans a disk image.
///
/// The source of the ESP's content is [`Options::esp`]; the root file system keeps the empty
/// directory. Without such content, there is an ESP only if a size is given for it. The order of
/// the partitions is BIOS boot, ESP, XBOOTLDR, root: the root can grow when the image is written to
/// a larger disk.
///
/// # Errors
/// Those of the file systems, and [`Error::Parameter`] if
///
/// - the architecture can't be detected from the tree,
/// - the epoch is out of range,
/// - the size is not a multiple of the sector size,
/// - sectors of the ESP are smaller than those of the disk, or
/// - no mount point is free for the content of the ESP.
pub fn plan(source: BuildInput, options: &Options) -> Result<Plan> {
    if let Some(sectors) = options.esp_sector_size
        && sectors.bytes() < options.sector_size.bytes()
    {
        let (of_esp, of_disk) = (sectors.bytes(), options.sector_size.bytes());
        return Err(Error::parameter(
            "--esp-sector-size",
            format!("{of_esp} bytes are less than the disk's sector size of {of_disk} bytes"),
            format!("give {of_disk}, or omit it"),
        ));
    }
    let BuildInput { mut tree, seed, epoch, architecture, threads, spool, rules } = source;
    let esp = esp::mount(&mut tree, &options.esp, options.has_xbootldr())?;
    let (mut resolved, normalization, mut warnings) =
        source::resolve_inputs(&mut tree, epoch, &rules)?;
    let architecture = source::architecture(&tree, architecture)?;
    resolved.architecture = Some(architecture);
    let epoch = resolved.epoch.0;

    let divided = boot::divide(tree, esp, architecture.0, epoch, options)?;
    let Divided { root, boot, esp_from, mount_points, warnings: of_boot } = divided;
    if let Some(swapfile) = options.root.swapfile() {
        swapfile.check_reachable(&mount_points)?;
    }
    warnings.extend(of_boot);
    let wanted = HoleScanOptions { threads, digest: seed.is_none() };
    let mut scans = vec![scan_holes(&root, &wanted)?];
    if wanted.digest {
        for partition in &boot {
            scans.push(scan_holes(&partition.tree, &wanted)?);
        }
    }
    let seed = source::seed(seed, &scans);
    let facts = scans.swap_remove(0);
    resolved.seed = Some(seed);

    let definition = Definition {
        label: options.root.label().cloned(),
        ..Definition::new(PartitionType::root(architecture.0))
    };
    let before = options.bios_boot.then_some(PartitionType::BiosBoot).into_iter();
    let before = before.chain(boot.iter().map(|partition| partition.partition_type));
    let definitions: Vec<_> = before.map(Definition::new).chain([definition]).collect();
    let identities = identify(seed.0, &definitions);

    let reading = PrepassOptions { threads, spool: spool.as_deref() };
    let identity = identities.last().expect("the root is the last partition");
    let (uuid, label) = (identity.file_system, identity.label.clone());
    let planner = options.root.prepare(root, facts, uuid, label, epoch, &reading)?;
    let mut sizes = Vec::new();
    sizes.extend(options.bios_boot.then_some(BIOS_BOOT));
    for partition in &boot {
        sizes.push(partition.size(epoch, options)?);
    }
    let placed = match options.size {
        Some(total) => Placed::within(total, &identities, &sizes, &planner, options)?,
        None => Placed::smallest(&identities, &sizes, &planner, options)?,
    };
    let Placed { size, places, root } = placed;

    let mut partitions = Vec::new();
    let mut contents = Vec::new();
    let (mut boot, mut root) = (boot.iter(), Some(root));
    for (identity, Place { start, size, .. }) in identities.into_iter().zip(places) {
        let content = match identity.partition_type {
            PartitionType::BiosBoot => None,
            PartitionType::Esp | PartitionType::Xbootldr => {
                let partition = boot.next().expect("each has its identity, in the same order");
                Some(partition.plan(&identity, epoch, start, size, options)?)
            }
            _ => root.take(),
        };
        let (mut layout, mut file_system) = (Layout::new(size), None);
        if let Some(content) = content {
            layout = content.layout;
            file_system = Some(content.file_system);
            warnings.extend(content.warnings);
        }
        partitions.push(Partition { identity, start, size, file_system });
        contents.push(layout);
    }
    let sector_size = options.sector_size;
    let mut parameters = Parameters::of_image(options);
    parameters.compressed_by(planner.codecs());
    parameters.esp_from = esp_from.map(|path| Escaped(&path).to_string());
    let disk = Disk { uuid: seed.0.disk(), sector_size, size, partitions };
    Ok(Plan {
        layout: disk.compose(contents)?,
        parameters,
        product: ImageKind::Disk(disk),
        resolved,
        normalization,
        warnings,
    })
}

/// Places of the partitions, and the root file system planned for its place.
struct Placed {
    /// Size of the disk in bytes.
    size: u64,
    places: Vec<Place>,
    root: PlannedFs,
}

impl Placed {
    /// Places the partitions on a disk of `size` bytes, where the root gets the remaining space.
    fn within(
        size: u64,
        identities: &[Identity],
        sizes: &[u64],
        planner: &Planner,
        options: &Options,
    ) -> Result<Self> {
        let any = SizeRange { min: ALIGNMENT, max: u64::MAX };
        let places = place_all(size, identities, sizes, any, options);
        let available = places.as_ref().map_or(0, |places| places[sizes.len()].size);
        let root = planner.plan(Some(available), None).or_else(|error| {
            // The missing space is missing in the image, so report the size that the image needs.
            let Error::TooSmall { what, rule, .. } = error else { return Err(error) };
            let least = around(sizes) + round_up(planner.minimal_size()?, ALIGNMENT);
            let remedy = format!("an image of at least {least} bytes holds the tree");
            Err(Error::TooSmall { what, rule, remedy })
        })?;
        let places = places.expect("a file system takes more than nothing");
        Ok(Self { size, places, root })
    }

    /// Places the partitions on the smallest disk that holds the root.
    fn smallest(
        identities: &[Identity],
        sizes: &[u64],
        planner: &Planner,
        options: &Options,
    ) -> Result<Self> {
        let root = planner.plan(None, options.root.headroom())?;
        let available = round_up(root.file_system.size, ALIGNMENT);
        let size = around(sizes) + available;
        let places = place_all(size, identities, sizes, SizeRange::exactly(available), options);
        Ok(Self { size, places: places.expect("the disk was made for them"), root })
    }
}

/// Returns the bytes of a disk that the root can't use: partitions of the given sizes, the
/// partition tables and the free space next to them.
fn around(sizes: &[u64]) -> u64 {
    ALIGNMENT + sizes.iter().sum::<u64>() + ALIGNMENT
}

/// Places partitions of the given sizes, then the root.
fn place_all(
    size: u64,
    identities: &[Identity],
    sizes: &[u64],
    root: SizeRange,
    options: &Options,
) -> Option<Vec<Place>> {
    let demands = sizes.iter().map(|&size| SizeRange::exactly(size)).chain([root]);
    let candidate = |(identity, size): (&Identity, SizeRange)| Candidate {
        partition_type: identity.partition_type.guid(),
        request: SpaceRequest { size, weight: 1, ..SpaceRequest::none() },
        priority: 0,
        presence: Presence::New,
        group: None,
        merge: None,
    };
    let candidates: Vec<_> = identities.iter().zip(demands).map(candidate).collect();
    let end = size.saturating_sub(Geometry::tail(options.sector_size));
    let placed = place(ALIGNMENT..end.max(ALIGNMENT), ALIGNMENT, &candidates).ok()?;
    placed.places.into_iter().collect()
}
