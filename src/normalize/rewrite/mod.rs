//! Rewrites of content, each specific to a format.

mod jks;
mod pyc;
mod shadow;
mod stamp;
mod substitute;

pub(super) use jks::jks;
pub(super) use pyc::pyc;
pub(super) use shadow::shadow_day;
pub(super) use stamp::update_stamp;
pub(super) use substitute::{EPOCH, TooLong, missing_group, substitute};

use crate::time::Timestamp;
use crate::tree::{InodeId, Replacement, Tree};

/// A file, for rewrites that need more than its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) tree: &'a Tree,
    pub(super) id: InodeId,
    pub(super) path: &'a [u8],
    pub(super) epoch: Timestamp,
}

/// Result of rewriting a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    Content(Replacement),
    /// New content and a new modification time.
    Stamp(Vec<u8>, Timestamp),
    Remove,
    /// The new content would exceed the memory budget.
    TooLong,
}
