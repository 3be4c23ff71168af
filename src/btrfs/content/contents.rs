//! Result of the prepass.

use std::fmt;
use std::sync::Arc;

use super::compress::Compression;
use crate::spool::Spool;
use crate::tree::InodeId;

/// Form in which content is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Uncompressed, as in the file.
    Plain,
    /// Compressed, as in the spool.
    Compressed {
        /// Offset in the spool. It differs from run to run.
        at: u64,
        /// Compressed size in bytes, not rounded.
        len: u32,
        /// Compression algorithm and level.
        compression: Compression,
    },
}

/// A range of a file that is stored as a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtentCandidate {
    /// Offset in the file, a multiple of 4096.
    pub(crate) from: u64,
    /// Length in the file in bytes, not rounded. Only the last candidate of a file may end within a
    /// sector.
    pub(crate) len: u64,
    /// Form in which it is stored.
    pub(crate) encoding: Encoding,
    /// Index of the first candidate, in tree order, with the same content and form of storage; its
    /// own index if it is the first. Equal candidates differ only in `from`.
    pub(crate) same_as: u32,
}

/// Content of a file that is stored in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inline {
    /// Form in which it is stored.
    pub(crate) encoding: Encoding,
}

/// Results of the prepass over the content of a tree; the default is for a tree without files.
#[derive(Default)]
pub struct Contents {
    pub(super) candidates: Vec<ExtentCandidate>,
    /// By inode: index of its first candidate, with one more entry after the last inode's.
    pub(super) first: Vec<u32>,
    /// Sorted.
    pub(super) inline: Vec<(InodeId, Inline)>,
    pub(super) spool: Option<Arc<Spool>>,
    /// Files of which no candidate became smaller, sorted.
    pub(super) incompressible: Vec<InodeId>,
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("candidates", &self.candidates.len())
            .field("inline", &self.inline.len())
            .finish_non_exhaustive()
    }
}

impl Contents {
    /// Returns the candidates of a file, in order; empty for inline files and other inodes.
    pub(crate) fn candidates(&self, file: InodeId) -> &[ExtentCandidate] {
        &self.candidates[self.first_candidate(file) as usize..self.first[file.index() + 1] as usize]
    }

    /// Returns the index of the first candidate of a file; the others follow it.
    pub(crate) fn first_candidate(&self, file: InodeId) -> u32 {
        self.first[file.index()]
    }

    /// Returns the content of a file that is stored in a leaf.
    pub(crate) fn inline(&self, file: InodeId) -> Option<Inline> {
        let at = self.inline.binary_search_by_key(&file, |&(file, _)| file).ok()?;
        Some(self.inline[at].1)
    }

    /// Returns whether compression of a file was tried and saved nothing.
    pub(crate) fn is_incompressible(&self, file: InodeId) -> bool {
        self.incompressible.binary_search(&file).is_ok()
    }

    /// Returns the compressed content; `None` if nothing was to be compressed.
    pub(crate) fn spool(&self) -> Option<&Arc<Spool>> {
        self.spool.as_ref()
    }
}
