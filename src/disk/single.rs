//! One file system without a partition table.

use std::sync::Arc;

use uuid::Uuid;

use super::plan::{ImageKind, Plan};
use super::request::{ImageRequest, Request};
pub use super::single_options::Options;
use super::source::BuildInput;
use super::{normalization, source, swap};
use crate::error::{Error, Result};
use crate::format::{Format, FsInputs, Holds, LeaveOut, PlannedFs};
use crate::gpt::PartitionType;
use crate::seed;
use crate::tree::{HoleScan, HoleScanOptions, InodeId, scan_holes};

/// Plans a file system of the whole tree.
///
/// # Errors
/// Those of the file system, and [`Error::Parameter`] if the epoch is out of range.
pub fn plan(mut input: BuildInput, options: &Options) -> Result<Plan> {
    let (mut resolved, normalization, mut warnings) = normalization::resolve_inputs(&mut input)?;
    let image = ImageRequest::FileSystem(options.clone());
    let request = Request::new(&input, &normalization, image);
    let BuildInput { tree, seed, architecture, threads, spool, observer, .. } = input;
    let observer = observer.as_deref();
    let epoch = resolved.epoch.0;
    let format = &options.format;
    check_identity(options)?;
    let leave_out = LeaveOut { locate: &|_| None, all: false };
    let (tree, left_out) = format.leave_out(tree, InodeId::ROOT, &leave_out)?;
    let tree = Arc::new(tree);

    let partition_type = if format.holds().contains(Holds::UNIX) {
        match source::architecture(&tree, architecture) {
            Ok(architecture) => {
                resolved.architecture = Some(architecture);
                PartitionType::root(architecture.0)
            }
            Err(Error::Parameter { .. }) => PartitionType::LinuxGeneric,
            Err(error) => return Err(error),
        }
    } else {
        PartitionType::Esp
    };
    // Content is read only where that is necessary: to derive a seed, and to find holes.
    let has_id = has_id(&**format);
    let digest = seed.is_none() && options.uuid.is_none() && has_id;
    let scan = match format.holds().contains(Holds::HOLES) {
        false if !digest => HoleScan::default(),
        _ => scan_holes(&tree, &HoleScanOptions { threads, digest, observer })?,
    };
    let scans = [scan];
    let uuid = match options.uuid {
        Some(uuid) => uuid,
        None if !has_id => Uuid::nil(),
        None => {
            let seed = source::seed(seed, &scans);
            resolved.seed = Some(seed);
            seed::file_system(seed.0.partition(partition_type.guid(), 0))
        }
    };
    let [scan] = scans;
    let inputs = FsInputs {
        label: options.label.clone(),
        epoch,
        threads,
        spool: spool.as_deref(),
        observer,
        ..FsInputs::new(tree, scan, uuid)
    };
    let prepared = format.prepare(swap::add(options.swapfile.as_ref(), &**format, inputs)?)?;
    let PlannedFs { layout, file_system, warnings: of_content } = match options.size {
        Some(size) => prepared.plan(size, 0).map_err(too_small)?,
        None => prepared.plan_smallest(options.headroom)?,
    };
    warnings.extend(left_out.into_iter().chain(of_content));
    Ok(Plan {
        layout: layout.seal(),
        product: ImageKind::FileSystem(file_system),
        request,
        resolved,
        codecs: prepared.codecs(),
        normalization: normalization.report,
        root_hash: None,
        uki: None,
        boot: None,
        warnings,
    })
}

/// Returns whether file systems of a format have an id.
pub(crate) fn has_id(format: &dyn Format) -> bool {
    format.id(Uuid::nil()).is_some()
}

/// Rejects a UUID or a label for a format that has none.
fn check_identity(options: &Options) -> Result<()> {
    let format = &*options.format;
    let rule = |name: &str| format!("a {} has no {name}", format.name());
    if options.uuid.is_some() && !has_id(format) {
        return Err(Error::parameter("uuid", rule("UUID"), "omit it"));
    }
    if options.label.is_some() && format.label_for("root").is_none() {
        return Err(Error::parameter("label", rule("label"), "omit it"));
    }
    Ok(())
}

/// Names the option in the error for a size that is too small.
fn too_small(error: Error) -> Error {
    match error {
        Error::TooSmall { what, detail, needed, available } => {
            let detail = if detail.is_empty() { what } else { format!("{what}: {detail}") };
            Error::TooSmall { what: "`single.size`".to_owned(), detail, needed, available }
        }
        error => error,
    }
}
