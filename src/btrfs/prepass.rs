//! Pass over content between the scan and the plan.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use super::Options;
use super::check::check;
use super::content::{self, ContentOptions, Contents, DataPolicy};
use super::inode::{Property, property};
use super::spec::SECTOR;
use super::subvolumes::Subvolumes;
use crate::error::Result;
use crate::progress::Observer;
use crate::tree::{HoleScan, InodeId, Kind, Tree};

/// Options of [`prepass`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PrepassOptions<'a> {
    /// Number of threads that read. The image does not depend on it.
    pub threads: NonZero<usize>,
    /// Directory for compressed content until it is written; required if anything is compressed.
    pub spool: Option<&'a Path>,
    /// Observer of the progress, in bytes of content.
    pub observer: Option<&'a dyn Observer>,
}

impl fmt::Debug for PrepassOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrepassOptions")
            .field("threads", &self.threads)
            .field("spool", &self.spool)
            .finish_non_exhaustive()
    }
}

impl PrepassOptions<'_> {
    /// Returns options for reading with `threads` threads, without a spool or an observer.
    #[must_use]
    pub fn new(threads: NonZero<usize>) -> Self {
        Self { threads, spool: None, observer: None }
    }
}

/// Compresses content and finds duplicates, as far as `options` request it.
///
/// # Errors
/// The errors of [`plan`](super::plan()) that concern options, [`Error::Source`] and
/// [`Error::Changed`] for content that can't be read or has changed, and [`Error::Output`] if the
/// spool can't be written.
///
/// [`Error::Source`]: crate::Error::Source
/// [`Error::Changed`]: crate::Error::Changed
/// [`Error::Output`]: crate::Error::Output
pub fn prepass(
    tree: &Arc<Tree>,
    scan: &HoleScan,
    options: &Options,
    reading: &PrepassOptions<'_>,
) -> Result<Contents> {
    check(tree, options)?;
    let subvolumes = Subvolumes::new(tree, options)?;
    let policy = |id| {
        let holes = scan.data(id).is_some() && !subvolumes.is_below_boot(id);
        data_policy(&subvolumes, options, id, holes)
    };
    let options = ContentOptions {
        threads: reading.threads,
        dedup: options.dedup,
        max_inline: options.max_inline,
        spool: reading.spool,
        observer: reading.observer,
    };
    content::encode(tree, scan, &policy, &options)
}

fn data_policy(subvolumes: &Subvolumes, options: &Options, id: InodeId, holes: bool) -> DataPolicy {
    let tree = &subvolumes.tree;
    let nodatacow = subvolumes.is_nodatacow(id);
    let compression = match property(tree, id) {
        _ if nodatacow => None,
        Ok(Some(Property::Compress(compression))) => Some(compression),
        Ok(None) if !options.uncompressed.contains(&id) => options.compression,
        _ => None,
    };
    let short = matches!(tree.inode(id).kind, Kind::File { size, .. } if 0 < size && size < SECTOR);
    DataPolicy {
        checksum: !nodatacow,
        compression,
        holes,
        shared: !subvolumes.is_preallocated(id),
        inline: short && !nodatacow,
    }
}
