//! Content of new partitions that follows from their definitions.

use std::io::{self, Seek};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{major, minor};

use super::{Definition, Minimize, Options, root_path};
use crate::disk::Blocks;
use crate::disk::content::Content;
use crate::error::{Error, Result};
use crate::name::{Escaped, HostPath};

/// Major and minor number of `/dev/zero`.
const ZERO: (u32, u32) = (1, 5);

/// Returns the size in bytes that a content determines, with free space for writing for
/// [`Minimize::Guess`]. `None` if the content takes any size.
pub(super) fn size(content: &Content, minimize: Minimize) -> Result<Option<u64>> {
    match (content, minimize) {
        (Content::Blocks(blocks), _) => Ok(Some(blocks.size())),
        (Content::Planned(planned), _) => Ok(Some(planned.file_system.size)),
        (_, Minimize::Off)
        | (Content::Nothing | Content::Zeros | Content::Bytes(_) | Content::Swap { .. }, _) => {
            Ok(None)
        }
        (Content::FileSystem(prepared), Minimize::Best) => prepared.smallest_size().map(Some),
        (Content::FileSystem(prepared), Minimize::Guess) => prepared.roomy_size().map(Some),
    }
}

/// Returns the blocks that a definition copies as they are, if any.
pub(super) fn blocks(definition: &Definition, options: &Options) -> Result<Option<Content>> {
    let Some(path) = &definition.copy_blocks else {
        return Ok(definition.blocks.clone().map(Content::Blocks));
    };
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let (mut file, path) = root_path::open(root, path).map_err(|error| match error {
        Error::Source { path, operation, source } if source.kind() == io::ErrorKind::NotFound => {
            let rule = format!("CopyBlocks=/{}: {operation}: {source}", Escaped(&path));
            definition.fault(&["CopyBlocks"], rule, "give the path of an existing image")
        }
        error => error,
    })?;
    let fail = |error| Error::source(path.as_os_str().as_encoded_bytes(), "cannot read", error);
    let refuse = |rule: &str, remedy: &str| {
        Err(definition.fault(
            &["CopyBlocks"],
            format!("CopyBlocks={} {rule}", HostPath(&path)),
            remedy,
        ))
    };
    let metadata = file.metadata().map_err(fail)?;
    let kind = metadata.file_type();
    if (kind.is_block_device() || kind.is_char_device()) && options.root.is_some() {
        return refuse(
            "is a device, and `repart.root` is given",
            "copy it to a file, or leave `repart.root` out",
        );
    }
    if kind.is_char_device() && (major(metadata.rdev()), minor(metadata.rdev())) == ZERO {
        return Ok(Some(Content::Zeros));
    }
    if kind.is_char_device() {
        return refuse(
            "is a device that returns different bytes each time",
            "copy from it to a file, and use that file",
        );
    }
    if !kind.is_file() && !kind.is_block_device() {
        return refuse("is not a regular file", "give the path of an image");
    }
    let size = file.seek(io::SeekFrom::End(0)).map_err(fail)?;
    if size == 0 || !size.is_multiple_of(512) {
        return Err(definition.fault(
            &["CopyBlocks"],
            format!("CopyBlocks={} has {size} bytes", HostPath(&path)),
            "give a non-empty file whose size is a multiple of 512 bytes",
        ));
    }
    Ok(Some(Content::Blocks(Blocks::range(Arc::new(file), 0..size, &path))))
}
