//! Requests: everything that a caller asked of an image.

use super::source::BuildInput;
use super::{image_options, single_options};

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
    /// Whether normalization rules were applied to the tree.
    pub has_rules: bool,
    /// Normalization profile, if any.
    pub normalize: Option<&'static str>,
    /// SHA-256 of the file of additional rules, in hexadecimal digits.
    pub rules: Option<String>,
}

/// Options of an image.
#[derive(Debug, Clone)]
pub enum ImageRequest {
    /// Those of a disk.
    Disk(image_options::Options),
    /// Those of a file system without a partition table.
    FileSystem(single_options::Options),
}

impl Request {
    pub(super) fn image(input: &BuildInput, options: &image_options::Options) -> Self {
        Self::new(input, ImageRequest::Disk(options.clone()))
    }

    pub(super) fn single(input: &BuildInput, options: &single_options::Options) -> Self {
        Self::new(input, ImageRequest::FileSystem(options.clone()))
    }

    fn new(input: &BuildInput, image: ImageRequest) -> Self {
        let BuildInput { selection, rules, .. } = input;
        let exclude = selection.exclude.as_ref();
        Self {
            image,
            exclude: exclude.map_or_else(Vec::new, |filter| filter.patterns().to_vec()),
            drop_xattr: selection.host_xattrs.patterns(false),
            keep_xattr: selection.host_xattrs.patterns(true),
            has_rules: !rules.is_empty(),
            normalize: rules.profile().map(crate::normalize::Profile::name),
            rules: rules.file_digest().map(str::to_owned),
        }
    }
}
