//! Changes of content, each exact for the format that it is about.

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

/// A file, for what is more than its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) tree: &'a Tree,
    pub(super) id: InodeId,
    pub(super) path: &'a [u8],
    pub(super) epoch: Timestamp,
}

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    Content(Replacement),
    /// Other content and another modification time.
    Stamp(Vec<u8>, Timestamp),
    Remove,
    /// It would have more content than there is memory for.
    TooLong,
}
