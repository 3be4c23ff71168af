//! Unified kernel images that are built for a root hash, by a program or by the caller.

use std::fmt;
use std::sync::Arc;

use positioned_io::ReadAt;
use sha2::{Digest, Sha256};

use super::uefi::{Firmware, Pe};
use super::verity::RootHash;
use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::time::Timestamp;
use crate::tree::{InodeId, Metadata, Node, Tree, TreeBuilder};

/// Builds the unified kernel image of a disk, whose command line contains the root hash.
///
/// What it returns is an input of the image, like the tree: no layout version covers it.
pub trait UkiHook: fmt::Debug + Send + Sync {
    /// Builds the image. It is called once for a disk, before the boot partitions are planned.
    ///
    /// # Errors
    /// If the image can't be built.
    fn build(&self, inputs: &UkiInputs) -> Result<UkiContent>;
}

/// Inputs of a unified kernel image.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct UkiInputs {
    /// Root hash of the root file system, or of `/usr`.
    pub root_hash: RootHash,
    /// Architecture of the disk.
    pub architecture: Architecture,
    /// Latest time of anything in the image.
    pub epoch: Timestamp,
}

/// A unified kernel image, which must not change before it is written.
#[derive(Clone)]
pub struct UkiContent {
    /// Size in bytes.
    pub size: u64,
    /// The bytes.
    pub content: Arc<dyn ReadAt + Send + Sync>,
}

impl fmt::Debug for UkiContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UkiContent").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A unified kernel image that a hook has built.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuiltUki {
    /// Path on the boot partition.
    pub path: String,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
}

/// The result of a hook, in a tree of its own.
pub(super) struct HookUki {
    pub(super) tree: Tree,
    pub(super) file: InodeId,
    pub(super) sha256: [u8; 32],
}

/// Name of the file in the tree.
const NAME: &[u8] = b"uki";

/// Runs a hook.
///
/// # Errors
/// [`Error::Unbootable`] if the result is not a unified kernel image for the architecture.
pub(super) fn run(hook: &dyn UkiHook, inputs: &UkiInputs) -> Result<HookUki> {
    let UkiContent { size, content } = hook.build(inputs)?;
    let metadata = Metadata { mode: 0o644, mtime: inputs.epoch, ..Metadata::default() };
    let mut builder = TreeBuilder::new(Metadata { mode: 0o755, ..metadata.clone() })?;
    let content = builder.content(content)?;
    builder.add(TreeBuilder::ROOT, NAME, metadata, Node::File { size, content })?;
    let tree = builder.finish()?;
    let file = tree.find(NAME).expect("it was added");
    let problem = match Pe::read(&tree, file)? {
        None => Some("is not an EFI program"),
        Some(program) if !program.is_uki() => Some("is not a unified kernel image"),
        Some(program) => {
            let runs = Firmware::of(inputs.architecture).is_some_and(|one| one.runs(&program));
            (!runs).then_some("is a unified kernel image for another architecture")
        }
    };
    if let Some(problem) = problem {
        return Err(Error::Unbootable {
            reason: format!(
                "the result of `boot.uki_hook`, which is to be a unified kernel image for {}, \
                 {problem}",
                inputs.architecture
            ),
            remedy: "build it with ukify or another program that links systemd-stub".to_owned(),
        });
    }
    let sha256 = digest(&tree, file, size)?;
    Ok(HookUki { tree, file, sha256 })
}

fn digest(tree: &Tree, file: InodeId, size: u64) -> Result<[u8; 32]> {
    const STEP: usize = 1 << 20;
    let reader = tree.open(file)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; STEP]);
    for start in (0..size).step_by(STEP) {
        let length = usize::try_from(size - start).unwrap_or(STEP).min(STEP);
        reader.read(start, &mut buffer[..length])?;
        hash.update(&buffer[..length]);
    }
    reader.verify()?;
    Ok(hash.finalize().into())
}
