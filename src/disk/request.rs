//! Requests: everything that a caller asked of an image.

use super::normalization::Normalization;
use super::source::BuildInput;
use super::{image_options, single_options};
use crate::tree::HardLinks;

/// Everything that a caller asked of an image, for its manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Options of the image.
    pub image: ImageRequest,
    /// Patterns of paths that were left out.
    pub exclude: Vec<String>,
    /// Patterns of extended attributes that were left out.
    pub drop_xattr: Vec<String>,
    /// Patterns of extended attributes that were kept.
    pub keep_xattr: Vec<String>,
    /// What became of inodes with several names.
    pub hard_links: HardLinks,
    /// Whether normalization rules were applied to the tree.
    pub has_rules: bool,
    /// Normalization profile, if any.
    pub normalize: Option<&'static str>,
    /// SHA-256 of the file of additional rules, in hexadecimal digits.
    pub rules: Option<String>,
}

/// Options that an image was planned with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ImageRequest {
    /// Those of a disk.
    Disk(image_options::Options),
    /// Those of a file system without a partition table.
    FileSystem(single_options::Options),
}

impl Request {
    pub(super) fn new(
        input: &BuildInput,
        normalization: &Normalization,
        image: ImageRequest,
    ) -> Self {
        let BuildInput { selection, hard_links, .. } = input;
        let exclude = selection.exclude.as_ref();
        Self {
            image,
            exclude: exclude.map_or_else(Vec::new, |filter| filter.patterns().to_vec()),
            drop_xattr: selection.host_xattrs.patterns(false),
            keep_xattr: selection.host_xattrs.patterns(true),
            hard_links: *hard_links,
            has_rules: normalization.has_rules,
            normalize: normalization.profile,
            rules: normalization.file_digest.clone(),
        }
    }
}
