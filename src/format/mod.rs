//! File system formats: what each format implements, so that disks, partitions and programs can use
//! all of them in the same way.
//!
//! A [`Format`] is a value: a file system format together with its options, such as
//! [`Ext4`](crate::Ext4). [`image`](crate::image) and [`single`](crate::single) take one, and
//! definitions of partitions find one by its name in [`Formats`](crate::Formats).
//!
//! A caller can implement the trait for a format of its own. Of its functions, `prepare` is called
//! once for each file system. Then [`PreparedFs::plan`] is called if the size is known, which it
//! has to check, or else [`PreparedFs::plan_smallest`]; the file system can be smaller than its
//! partition. A root file system needs [`Holds::UNIX`].

mod holds;
mod inputs;
mod label;
mod limits;
mod parameter;
mod planned;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use positioned_io::ReadAt;
use uuid::Uuid;

pub use holds::Holds;
pub use inputs::{FsInputs, LeaveOut, PartitionSettings, Subvolume};
pub(crate) use label::truncate;
pub use limits::SizeLimits;
pub(crate) use limits::empty_size;
pub use parameter::{Parameters, Value};
pub use planned::{FileSystem, PlannedFs};

use crate::error::{Error, Result};
use crate::probe;
use crate::report::Warning;
use crate::size::Headroom;
use crate::tree::{InodeId, Tree};

/// Versions of the programs that compress content, keyed by the names of their codecs.
pub type CodecVersions = BTreeMap<&'static str, &'static str>;

/// A file system format with its options.
pub trait Format: Debug + Send + Sync {
    /// Returns the name by which `mount` and `blkid` know the format.
    fn name(&self) -> &'static str;

    /// Returns the version of the bytes that this format writes: the same tree, options and version
    /// give the same bytes.
    fn layout_version(&self) -> u32;

    /// Returns whether an image or a device of `size` bytes has a file system of this format.
    ///
    /// By default, that is decided by libblkid's signature with the name of the format.
    ///
    /// # Errors
    /// If an offset that may hold a signature can't be read.
    fn recognize(&self, image: &dyn ReadAt, size: u64) -> io::Result<bool> {
        let found = probe::signatures(image, size)?;
        Ok(found.iter().any(|signature| signature.kind == self.name()))
    }

    /// Returns the sizes that a file system of this format can have on a disk with sectors of
    /// `sector_size` bytes.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an option that is out of range.
    fn limits(&self, sector_size: u32) -> Result<SizeLimits>;

    /// Returns the smallest size in bytes of a partition that systemd-repart creates for the
    /// format, if there is one. `is_boot` is whether firmware or a boot loader reads the partition.
    fn partition_min(&self, is_boot: bool, sector_size: u32) -> Option<u64> {
        let _ = (is_boot, sector_size);
        None
    }

    /// Returns the properties of a tree that the format can store.
    fn holds(&self) -> Holds;

    /// Returns whether nothing can be written to a file system of this format.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Returns the options as the manifest records them.
    fn parameters(&self) -> Parameters {
        Parameters::new()
    }

    /// Returns this format with the settings of a repart.d partition.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a setting that the format does not accept.
    fn for_partition(&self, settings: &PartitionSettings<'_>) -> Result<Arc<dyn Format>>;

    /// Returns the id of a file system with this UUID, in the form that `blkid` shows. `None` if
    /// file systems of this format have no id.
    fn id(&self, uuid: Uuid) -> Option<String> {
        Some(uuid.to_string())
    }

    /// Returns the label of a file system in a partition with the name `partition`. `None` for no
    /// label.
    fn label_for(&self, partition: &str) -> Option<String> {
        Some(partition.to_owned())
    }

    /// Returns the tree without the nodes below `directory` that a file system of this format does
    /// without, and a warning for each of them.
    ///
    /// # Errors
    /// Those of changing a tree.
    fn leave_out(
        &self,
        tree: Tree,
        directory: InodeId,
        leave_out: &LeaveOut<'_>,
    ) -> Result<(Tree, Vec<Warning>)> {
        let _ = (directory, leave_out);
        Ok((tree, Vec::new()))
    }

    /// Does all the work for a file system of a tree that does not depend on its size.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] with the first path that the format can't store,
    /// [`Error::Parameter`] for an option that is out of range, and the errors of reading content.
    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>>;

    /// Reads the tree of a file system of `size` bytes, with its content by reference.
    ///
    /// The default implementation is that of a format that can only be written.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the format can't be read.
    fn read(&self, image: Arc<dyn ReadAt + Send + Sync>, size: u64) -> Result<Tree> {
        let _ = (image, size);
        let rule = format!("{} file systems can't be read", self.name());
        Err(Error::parameter("format", rule, "mount the file system, and read the directory"))
    }
}

/// A file system that is ready to be planned for any size.
pub trait PreparedFs: Send + Sync {
    /// Plans the file system with a size in bytes, at the byte `start` of its disk.
    ///
    /// # Errors
    /// [`Error::TooSmall`] if the tree does not fit, and [`Error::Parameter`] for a size that the
    /// format can't have.
    fn plan(&self, size: u64, start: u64) -> Result<PlannedFs>;

    /// Plans the smallest file system that leaves the headroom. `None` for the default headroom of
    /// the format.
    ///
    /// # Errors
    /// [`Error::Unrepresentable`] if no size is large enough.
    fn plan_smallest(&self, headroom: Option<Headroom>) -> Result<PlannedFs>;

    /// Returns the size in bytes for `Minimize=best`: that of a file system without headroom.
    ///
    /// # Errors
    /// Those of [`plan_smallest`](Self::plan_smallest).
    fn smallest_size(&self) -> Result<u64> {
        Ok(self.plan_smallest(Some(Headroom::Bytes(0)))?.file_system.size)
    }

    /// Returns the smallest size in bytes that [`plan`](Self::plan) accepts.
    ///
    /// # Errors
    /// Those of [`plan_smallest`](Self::plan_smallest).
    fn minimal_size(&self) -> Result<u64> {
        self.smallest_size()
    }

    /// Returns the size in bytes for `Minimize=guess`, with free space for changes.
    ///
    /// # Errors
    /// Those of [`plan_smallest`](Self::plan_smallest).
    fn roomy_size(&self) -> Result<u64> {
        Ok(self.plan_smallest(None)?.file_system.size)
    }

    /// Returns the compressors of the content, with their versions.
    fn codecs(&self) -> CodecVersions {
        CodecVersions::new()
    }
}
