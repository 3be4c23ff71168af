//! Tar archives as sources of trees.
//!
//! An archive becomes the tree that root would get by unpacking it into an empty directory, with
//! numeric owners, devices and extended attributes, for any user. The order of members with
//! different paths does not matter. Content stays in an archive that is an uncompressed file. What
//! is decompressed or comes from a pipe is written once to an unnamed temporary file.
//!
//! Archives that different programs read in different ways are rejected: see [`Tar`].

mod acl;
mod compression;
mod fault;
mod header;
mod members;
mod metadata;
mod number;
mod reader;
mod records;
#[cfg(test)]
mod samples;
mod sparse;
mod spec;
mod store;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Seek;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use members::Members;
use reader::Reader;
use stream::Stream;

use crate::error::{Error, Result};
use crate::progress::{Meter, Phase};
use crate::report::Warning;
use crate::tree::dir::DirOptions;
use crate::tree::{Source, Tree};

/// A tar archive as a source: plain, or compressed by gzip, zstd or xz.
///
/// - Forms: ustar, PAX with global headers, long names and sparse files of GNU tar, PAX sparse
///   files of the versions 0.0, 0.1 and 1.0, extended attributes and ACLs of star, GNU tar and
///   libarchive, device numbers of star.
/// - Owners are the numbers of the archive. Names of users and groups are never looked up.
/// - A name that starts with a slash is one below the root. A `..` is refused.
/// - A directory without a member has mode 0755, owner 0:0, and 1970-01-01 as its time.
/// - Of several members with one path, the last one counts. A directory with members can't be
///   replaced by something else, and nothing can be below what is not a directory.
/// - A hard link refers to the node that has the path at that moment, or else in the end.
/// - An archive ends with two blocks of zeros, and only zeros may follow.
///
/// ```no_run
/// use std::num::NonZero;
/// use std::path::Path;
///
/// use detfs::{BuildInput, Tar};
///
/// # fn main() -> detfs::Result<()> {
/// let tar = Tar::open("rootfs.tar.zst")?.with_spool("/var/tmp");
/// let input = BuildInput::read(&tar, Default::default(), NonZero::<usize>::MIN, None)?;
/// # drop(input);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tar {
    file: File,
    /// Offset of the archive in a regular file.
    start: Option<u64>,
    path: PathBuf,
    spool: Option<PathBuf>,
}

impl Tar {
    /// Opens an archive.
    ///
    /// # Errors
    /// [`Error::Source`] if it can't be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path);
        let file = file.map_err(|error| Error::source(bytes(path), "cannot open", error))?;
        Self::from_file(file, path)
    }

    /// Creates the source from an open file or pipe, such as standard input. A file is read from
    /// its position on. `path` is for messages.
    ///
    /// # Errors
    /// [`Error::Source`] if the file can't be read.
    pub fn from_file(mut file: File, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let source = |error| Error::source(bytes(&path), "cannot read", error);
        let is_file = file.metadata().map_err(source)?.is_file();
        let start = is_file.then(|| file.stream_position()).transpose().map_err(source)?;
        Ok(Self { file, start, path, spool: None })
    }

    /// Sets the directory for a temporary file with the content of an archive that is compressed or
    /// a pipe.
    #[must_use]
    pub fn with_spool(self, directory: impl AsRef<Path>) -> Self {
        Self { spool: Some(directory.as_ref().to_owned()), ..self }
    }
}

impl Source for Tar {
    /// Reads the archive. A pipe can be read only once.
    ///
    /// # Errors
    /// [`Error::Archive`] for an archive that is truncated, corrupt or ambiguous, or whose members
    /// don't make a tree; [`Error::Source`] and [`Error::Output`] for what the system refuses.
    fn read(&self, options: &DirOptions<'_>) -> Result<(Tree, Vec<Warning>)> {
        let file = self.file.try_clone();
        let file = file.map_err(|error| Error::source(bytes(&self.path), "cannot read", error))?;
        let (stream, store) = Stream::open(file, self.start, &self.path, self.spool.as_deref())?;
        let mut reader = Reader::new(stream);
        let mut members = Members::new(self.path.clone());
        let meter = Meter::new(options.observer, Phase::Read, 0);
        while let Some(member) = reader.next()? {
            members.add(member)?;
            meter.add(1)?;
        }
        let (tree, mut warnings) = members.finish(store, options)?;
        warnings.extend(reader.warnings());
        Ok((tree, warnings))
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
