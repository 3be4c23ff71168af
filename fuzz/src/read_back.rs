//! Hostile images of the file systems that can be read.

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use arbitrary::Arbitrary;
use detfs::format::{Format, FsInputs};
use detfs::tree::{HoleScanOptions, Kind, scan_holes};
use detfs::{Timestamp, Tree, Uuid};

use crate::image_of;

/// Maximum size of the content of a tree that is planned, in bytes.
const CONTENT_MAX: u64 = 8 << 20;

/// A change of an image.
#[derive(Debug, Arbitrary)]
pub struct Change {
    /// Whether `at` counts from the end.
    from_end: bool,
    at: u32,
    value: Value,
}

#[derive(Debug, Arbitrary)]
enum Value {
    Flip(u8),
    Byte(u8),
    Half(u16),
    Word(u32),
    Long(u64),
    /// The bytes at another place.
    Copy {
        at: u32,
        len: u8,
    },
}

impl Change {
    /// Changes bytes of the image, which is not empty.
    pub fn apply(&self, image: &mut [u8]) {
        // Small numbers reach every byte of a small image, and the start and the end of others.
        let at = self.at as usize % image.len();
        let at = if self.from_end { image.len() - 1 - at } else { at };
        let mut write = |bytes: &[u8]| {
            let len = bytes.len().min(image.len() - at);
            image[at..at + len].copy_from_slice(&bytes[..len]);
        };
        match self.value {
            Value::Flip(bit) => image[at] ^= 1 << (bit % 8),
            Value::Byte(byte) => write(&[byte]),
            Value::Half(half) => write(&half.to_le_bytes()),
            Value::Word(word) => write(&word.to_le_bytes()),
            Value::Long(long) => write(&long.to_le_bytes()),
            Value::Copy { at: from, len } => {
                let from = from as usize % image.len();
                let len = usize::from(len).min(image.len() - from.max(at));
                image.copy_within(from..from + len, at);
            }
        }
    }
}

/// Plans a tree and builds the image.
///
/// # Errors
///
/// Returns the error with which the format refuses the tree.
pub fn plan(format: &dyn Format, tree: Arc<Tree>, epoch: Timestamp) -> detfs::Result<Vec<u8>> {
    let scan = scan_holes(&tree, &HoleScanOptions::default())?;
    let mut inputs = FsInputs::new(tree, scan, Uuid::nil());
    inputs.epoch = epoch;
    inputs.threads = NonZero::<usize>::MIN;
    inputs.spool = Some(Path::new("/dev/shm"));
    let plan = format.prepare(inputs)?.plan_smallest(None)?;
    Ok(image_of(&plan.layout.seal()))
}

/// Reads the tree of an image, and plans it again. Returns the image of that plan, or `None` if the
/// image is invalid, if its content is too large, or if the format refuses the tree.
///
/// # Panics
///
/// Panics if the library does, or if the content of a tree that is valid can't be read although
/// `is_valid`, which says whether the whole file system was.
pub fn plan_again(
    format: &dyn Format,
    image: &Arc<Vec<u8>>,
    epoch: Timestamp,
    is_valid: bool,
) -> Option<Vec<u8>> {
    let tree = match format.read(Arc::clone(image) as _, image.len() as u64) {
        Ok(tree) => tree,
        Err(error) => {
            assert!(!is_valid, "{error}");
            crate::refused(&error);
            return None;
        }
    };
    let size = |inode: &detfs::tree::Inode| match inode.kind {
        Kind::File { size, .. } => size,
        _ => 0,
    };
    let content = tree.inodes().iter().map(size).fold(0, u64::saturating_add);
    if content > CONTENT_MAX {
        return None;
    }
    let scan = scan_holes(&tree, &HoleScanOptions::default());
    assert!(scan.is_ok() || !is_valid, "content can't be read");
    plan(format, Arc::new(tree), epoch).map_err(|error| crate::refused(&error)).ok()
}

/// Checks an image, of which `is_valid` says whether it passed the whole check of its reader.
/// Returns whether its tree could be planned again.
///
/// # Panics
///
/// Panics if the library does, or if a tree that was read, planned and read again differs.
pub fn check(format: &dyn Format, image: Vec<u8>, epoch: Timestamp, is_valid: bool) -> bool {
    let Some(again) = plan_again(format, &Arc::new(image), epoch, is_valid) else { return false };
    let again = Arc::new(again);
    let third = plan_again(format, &again, epoch, true).expect("it is an image of ours");
    assert!(third == *again, "an image of the tree of an image is another one");
    true
}
