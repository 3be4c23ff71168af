//! Comparison of the content of files.

use crate::error::Result;
use crate::tree::{InodeId, Kind, Tree};

/// Number of bytes that are compared at once.
const STEP: usize = 1 << 20;

/// Returns whether two nodes are regular files with the same content.
pub(super) fn is_same(tree: &Tree, one: InodeId, of: &Tree, other: InodeId) -> Result<bool> {
    let (Kind::File { size, content: first }, Kind::File { size: of_other, content: second }) =
        (tree.inode(one).kind, of.inode(other).kind)
    else {
        return Ok(false);
    };
    if size != of_other || (std::ptr::eq(tree, of) && first == second) {
        return Ok(size == of_other);
    }
    let (one, other) = (tree.open(one)?, of.open(other)?);
    let (mut left, mut right) = (vec![0; STEP], vec![0; STEP]);
    for start in (0..size).step_by(STEP) {
        let length = usize::try_from(size - start).unwrap_or(STEP).min(STEP);
        one.read(start, &mut left[..length])?;
        other.read(start, &mut right[..length])?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
    }
    one.verify()?;
    other.verify()?;
    Ok(true)
}
