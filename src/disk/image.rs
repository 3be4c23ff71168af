//! Disk images with the built-in set of partitions: a BIOS boot partition, if requested; an EFI
//! system partition, if there is content for it; XBOOTLDR and `/usr` partitions, if requested; and
//! the root file system.

use std::sync::Arc;

use uuid::Uuid;

use super::assembly::{Assembly, Composed};
use super::boot::{self, BootPartition, Divided};
use super::boot_check;
use super::boot_files::{BootFiles, RootDevice};
pub use super::boot_method::BootMethod;
use super::content::Content;
use super::definition::{Definition, SizePolicy};
pub use super::esp::EspSource;
pub use super::image_options::Options;
use super::partition::{ALIGNMENT, Identity, identify};
use super::plan::{ImageKind, Plan};
use super::request::{ImageRequest, Request};
use super::source::{self, BuildInput};
use super::uki_hook::{BuiltUki, UkiInputs};
pub use super::verity::Verity;
use super::verity::{ProtectedFs, RootHash, VerityTarget};
use super::{esp, normalization, swap, uki_hook, verity};
use crate::error::{Error, Result};
use crate::format::{Format, FsInputs, Holds, PreparedFs};
use crate::gpt::spec::NAME_UNITS;
use crate::gpt::{Architecture, PartitionType, Role};
use crate::layout;
use crate::report::Warning;
use crate::size::round_up;
use crate::time::Timestamp;
use crate::tree::{HoleScan, HoleScanOptions, Tree, scan_holes};

/// Size of a BIOS boot partition, in bytes. GRUB's core image takes a tenth of it.
const BIOS_BOOT: u64 = ALIGNMENT;

/// Plans a disk image.
///
/// The source of the ESP's content is [`Options::esp`]; the root file system keeps the empty
/// directory. Without such content, there is an ESP only if a size is given for it. The order of
/// the partitions is BIOS boot, ESP, XBOOTLDR, `/usr`, root: the root can grow when the image is
/// written to a larger disk. A protected file system is followed by its hash tree and the
/// signature.
///
/// # Errors
/// Those of the file systems, [`Error::Unbootable`] if the tree does not have the requested boot
/// files, and [`Error::Parameter`] if
///
/// - the architecture can't be detected from the tree,
/// - the epoch is out of range,
/// - the size is not a multiple of the sector size,
/// - sectors of the ESP are smaller than those of the disk,
/// - the boot files are contradictory, or there is no UEFI firmware for the architecture,
/// - a format can't store a root file system,
/// - there is a format for `/usr` and no hash tree, or
/// - no mount point is free for the content of the ESP.
pub fn plan(mut input: BuildInput, options: &Options) -> Result<Plan> {
    check(options)?;
    let esp = esp::mount(&mut input.tree, &options.esp, options.has_xbootldr())?;
    let (mut resolved, normalization, mut warnings) = normalization::resolve_inputs(&mut input)?;
    let image = ImageRequest::Disk(options.clone());
    let request = Request::new(&input, &normalization, image);
    let normalization = normalization.report;
    let architecture = source::architecture(&input.tree, input.architecture)?;
    resolved.architecture = Some(architecture);
    let epoch = resolved.epoch.0;

    let whole = (options.boot != BootMethod::None).then(|| input.tree.clone());
    let divided = boot::divide(input.tree, esp, epoch, options)?;
    let Divided { system, root, usr, mut boot, esp_from, mount_points, warnings: of_boot } =
        divided;
    if let Some(swapfile) = &options.swapfile {
        swapfile.check_reachable(&mount_points)?;
    }
    warnings.extend(of_boot);
    resolved.esp_from = esp_from;
    let observer = input.observer.as_deref();
    let digest = input.seed.is_none();
    let scans = scan(
        [&root].into_iter().chain(&usr),
        &boot,
        &HoleScanOptions { threads: input.threads, digest, observer },
    )?;
    let seed = source::seed(input.seed, &scans);
    resolved.seed = Some(seed);

    let definitions = definitions(&boot, architecture.0, options);
    let mut identities = identify(seed.0, &definitions);
    let identity = |role| {
        let kind = PartitionType::Of(role, architecture.0);
        let mut found = identities.iter().filter(|identity| identity.partition_type == kind);
        found.next().expect("every tree has its partition")
    };
    let root_uuid = identity(Role::Root).uuid;
    check_name(&identity(Role::Root).label)?;
    let mut scans = scans.into_iter();
    let mut inputs = |tree: &Arc<Tree>, role| {
        let Identity { label, file_system, .. } = identity(role);
        let scan = scans.next().expect("every tree is scanned");
        FsInputs {
            label: Some(label.clone()),
            epoch,
            sector_size: options.sector_size.bytes(),
            threads: input.threads,
            spool: input.spool.as_deref(),
            observer,
            ..FsInputs::new(Arc::clone(tree), scan, *file_system)
        }
    };
    let of_root = swap::add(options.swapfile.as_ref(), &*options.root, inputs(&root, Role::Root))?;
    let prepared: Arc<dyn PreparedFs> = options.root.prepare(of_root)?.into();
    let mut codecs = prepared.codecs();
    let write = layout::Options { observer, ..layout::Options::new(input.threads) };
    let protect = |verity: &Verity| match options.usr.as_deref().zip(usr.as_ref()) {
        None => verity.protect(VerityTarget::Root, (&*options.root, &*prepared), seed.0, &write),
        Some((format, usr)) => {
            let usr = format.prepare(inputs(usr, Role::Usr))?;
            codecs.extend(usr.codecs());
            verity.protect(VerityTarget::Usr, (format, &*usr), seed.0, &write)
        }
    };
    let protected = options.verity.as_ref().map(protect).transpose()?;
    protected.iter().for_each(|protected| protected.set_ids(&mut identities));
    let root_hash = protected.as_ref().map(|protected| protected.root_hash);
    let mut uki = None;
    if let Some(tree) = whole {
        let (root, target) = ((root_uuid, root_hash), (architecture.0, epoch));
        let (built, of_files) = add_boot_files(&tree, &mut boot, options, root, target)?;
        uki = built;
        warnings.extend(of_files);
    }
    let trees = boot_check::Trees::new(&system, &boot);
    let contents = PartitionContents { boot: &boot, root: prepared, protected, epoch, options };
    let assembly = contents.assembly(definitions, identities)?;
    let Composed { disk, layout, warnings: of_disk } =
        assembly.compose(options.size, seed.0.disk())?;
    warnings.extend(of_disk);
    let boot = trees.check(&disk, architecture.0)?;
    warnings.extend(boot.warnings.iter().cloned());
    let product = ImageKind::Disk(disk);
    let boot = Some(boot);
    Ok(Plan {
        layout,
        product,
        request,
        resolved,
        normalization,
        codecs,
        root_hash,
        uki,
        boot,
        warnings,
    })
}

/// Scans `trees`, and those of the boot partitions too if the seed is derived from them.
fn scan<'a>(
    trees: impl Iterator<Item = &'a Arc<Tree>>,
    boot: &'a [BootPartition],
    options: &HoleScanOptions<'_>,
) -> Result<Vec<HoleScan>> {
    let others = boot.iter().filter(|_| options.digest).map(|partition| &*partition.tree);
    trees.map(|tree| &**tree).chain(others).map(|tree| scan_holes(tree, options)).collect()
}

/// Adds the requested boot files to the boot partitions, for a root partition with the GUID `root`
/// unless it has a root hash. Returns the image that a hook has built.
fn add_boot_files(
    tree: &Tree,
    boot: &mut [BootPartition],
    options: &Options,
    (root, root_hash): (Uuid, Option<RootHash>),
    (architecture, epoch): (Architecture, Timestamp),
) -> Result<(Option<BuiltUki>, Vec<Warning>)> {
    let built = match (&options.uki_hook, root_hash) {
        (Some(hook), Some(root_hash)) => {
            Some(uki_hook::run(&**hook, &UkiInputs { root_hash, architecture, epoch })?)
        }
        _ => None,
    };
    let files = BootFiles {
        tree,
        method: options.boot,
        command_line: options.cmdline.as_deref(),
        architecture,
        epoch,
        root: match root_hash {
            Some(RootHash { target: VerityTarget::Root, bytes, .. }) => RootDevice::Verity(bytes),
            Some(RootHash { target: VerityTarget::Usr, bytes, .. }) => {
                RootDevice::PartitionAndUsr(root, bytes)
            }
            None => RootDevice::Partition(root),
        },
        built: built.as_ref(),
    };
    let warnings = files.add_to(boot)?;
    let path = files.built_path()?;
    let uki = path.zip(built.as_ref()).map(|(path, built)| BuiltUki { path, sha256: built.sha256 });
    Ok((uki, warnings))
}

/// Rejects options that contradict each other.
fn check(options: &Options) -> Result<()> {
    if let Some(sectors) = options.esp_sector_size
        && sectors.bytes() < options.sector_size.bytes()
    {
        let (of_esp, of_disk) = (sectors.bytes(), options.sector_size.bytes());
        return Err(Error::parameter(
            "esp.sector_size",
            format!("{of_esp} bytes are less than the disk's sector size of {of_disk} bytes"),
            format!("give {of_disk}, or omit it"),
        ));
    }
    if let Some(text) = &options.cmdline {
        check_cmdline(text, options.boot)?;
    }
    check_verity(options)?;
    check_uki_hook(options)?;
    let problem = |format: &Arc<dyn Format>| {
        let is_suitable = format.holds().contains(Holds::UNIX);
        (!is_suitable).then(|| format!("{} can't store a root file system", format.name()))
    };
    if let Some(rule) = problem(&options.root) {
        return Err(Error::parameter("root", rule, "use another format"));
    }
    if let Some(rule) = options.usr.as_ref().and_then(problem) {
        return Err(Error::parameter("image.usr", rule, "use another format"));
    }
    Ok(())
}

/// Rejects options that mean nothing for a root that is never written to, and a `/usr` without a
/// hash tree.
fn check_verity(options: &Options) -> Result<()> {
    let refuse = |field, rule| {
        let remedy = "omit it, since nothing is ever written to a protected root file system";
        Err(Error::parameter(field, rule, remedy))
    };
    match (&options.verity, &options.usr) {
        (None, Some(_)) => {
            let rule = "only a protected /usr gets a partition of its own";
            return Err(Error::parameter("image.usr", rule, "give `image.verity`"));
        }
        (None, None) | (Some(_), Some(_)) => return Ok(()),
        (Some(_), None) => {}
    }
    if options.headroom.is_some() {
        return refuse("headroom", "has no use with `image.verity`");
    }
    if options.swapfile.is_some() {
        return refuse("swapfile", "has no use with `image.verity`");
    }
    Ok(())
}

/// Rejects a hook that would have no root hash or no place for its result.
fn check_uki_hook(options: &Options) -> Result<()> {
    let fault = |rule, remedy| Err(Error::parameter("boot.uki_hook", rule, remedy));
    match (&options.uki_hook, &options.verity, options.boot) {
        (None, ..) => Ok(()),
        (Some(_), None, _) => fault("there is no root hash", "give `image.verity`"),
        (Some(_), _, BootMethod::None) => {
            fault("nothing is added to the boot partitions", "give `boot.method=uki`")
        }
        (Some(_), Some(_), _) => Ok(()),
    }
}

/// Rejects options of the kernel that no entry can have.
fn check_cmdline(text: &str, method: BootMethod) -> Result<()> {
    let (rule, remedy) = match method {
        BootMethod::None => {
            ("there are no entries without `boot.method`", "give `boot.method=systemd-boot`")
        }
        BootMethod::Uki => (
            "a unified kernel image has its command line inside",
            "change it where that image is built",
        ),
        BootMethod::SystemdBoot if text.contains(char::is_control) => {
            ("it contains a control character", "give it on one line")
        }
        BootMethod::SystemdBoot => return Ok(()),
    };
    Err(Error::parameter("boot.cmdline", rule, remedy))
}

/// Rejects a label that a file system can store, but a partition table can't.
fn check_name(label: &str) -> Result<()> {
    match label.encode_utf16().count() {
        ..=NAME_UNITS => Ok(()),
        units => Err(Error::parameter(
            "label",
            format!(
                "label is {units} UTF-16 code units, and the name of the partition, which is the \
                 same, allows {NAME_UNITS}"
            ),
            "use a shorter label",
        )),
    }
}

/// Returns the definitions of all partitions, in disk order.
///
/// Partitions with contents have no size yet.
fn definitions(
    boot: &[BootPartition],
    architecture: Architecture,
    options: &Options,
) -> Vec<Definition> {
    let mut definitions = Vec::new();
    if options.bios_boot {
        let size = SizePolicy::exactly(BIOS_BOOT);
        definitions.push(Definition { size, ..Definition::new(PartitionType::BiosBoot) });
    }
    definitions.extend(boot.iter().map(|partition| Definition::new(partition.partition_type)));
    let label = options.label.as_ref();
    let protected = |target, label| {
        let verity = options.verity.as_ref();
        verity
            .into_iter()
            .flat_map(move |verity| verity::definitions(architecture, target, label, verity))
    };
    if options.usr.is_some() {
        definitions.extend(protected(VerityTarget::Usr, None));
    }
    match (&options.usr, &options.verity) {
        (None, Some(_)) => definitions.extend(protected(VerityTarget::Root, label)),
        _ => {
            let root = PartitionType::root(architecture);
            definitions.push(Definition { label: label.cloned(), ..Definition::new(root) });
        }
    }
    definitions
}

/// Contents of the built-in list of partitions.
struct PartitionContents<'a> {
    boot: &'a [BootPartition],
    root: Arc<dyn PreparedFs>,
    protected: Option<ProtectedFs>,
    epoch: Timestamp,
    options: &'a Options,
}

impl PartitionContents<'_> {
    /// Combines the definitions with their contents and sizes; the root takes the remaining space,
    /// unless it is protected.
    fn assembly(
        self,
        mut definitions: Vec<Definition>,
        identities: Vec<Identity>,
    ) -> Result<Assembly> {
        let Self { boot, root, protected, epoch, options } = self;
        let mut contents = Vec::new();
        contents.extend(options.bios_boot.then_some(Content::Nothing));
        for partition in boot {
            let at = contents.len();
            definitions[at].size = SizePolicy::exactly(partition.size(epoch, options)?);
            let prepared = partition.prepare(&identities[at], epoch, options)?;
            contents.push(Content::FileSystem(prepared));
        }
        let sector_size = options.sector_size;
        if let Some(protected) = protected {
            let is_root = protected.root_hash.target == VerityTarget::Root;
            let at = contents.len();
            contents.extend(protected.contents(&mut definitions[at..]));
            if is_root {
                return Ok(Assembly::new(
                    &definitions,
                    identities,
                    contents,
                    ALIGNMENT,
                    sector_size,
                ));
            }
        }
        let definition = definitions.last_mut().expect("the root is the last partition");
        contents.push(match options.size {
            Some(_) => {
                definition.size = SizePolicy { size_min: Some(ALIGNMENT), ..SizePolicy::default() };
                Content::FileSystem(root)
            }
            None => {
                let planned = root.plan_smallest(options.headroom)?;
                let size = round_up(planned.file_system.size, ALIGNMENT);
                definition.size = SizePolicy::exactly(size);
                Content::Planned(planned.into())
            }
        });
        Ok(Assembly::new(&definitions, identities, contents, ALIGNMENT, sector_size))
    }
}
