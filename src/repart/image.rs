//! The image that a run creates or extends.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::outcome::Report;
use super::{Empty, Options, Size};
use crate::error::{Error, Result};
use crate::gpt::{self, Geometry, ReadGpt, SectorSize, Table, TableState};
use crate::layout::{Destination, Output, Sink};
use crate::name::HostPath;
use crate::seed::Seed;
use crate::size::{MIB, format_bytes, round_down, round_up};

/// Unit that image sizes are rounded up to, in bytes.
const UNIT: u64 = 4096;

/// A new or existing image.
pub(super) struct Image {
    path: PathBuf,
    state: State,
    /// Size of the image, in bytes.
    size: u64,
    sector_size: SectorSize,
    /// The existing partition table, if it is kept.
    table: Option<Table>,
    /// Whether writes are synced to the disk.
    sync: bool,
    /// Whether zeros are discarded, so that they take no space.
    discard: bool,
}

enum State {
    New(Destination),
    File(File),
    Device(File),
}

impl Image {
    /// Opens the image, if there is one, and reads its partition table.
    pub(super) fn open(options: &Options, report: Report<'_>) -> Result<Option<Self>> {
        let Some(path) = &options.image else {
            return match options.empty {
                Empty::Refuse | Empty::Allow => Ok(None),
                Empty::Require | Empty::Force | Empty::Create => Err(Error::parameter(
                    "repart.empty",
                    "no image to apply it to",
                    "give the path of the image",
                )),
            };
        };
        let image = match options.empty {
            Empty::Create => Self::new(path, options)?,
            _ => Self::existing(path, options, report)?,
        };
        Ok(Some(image))
    }

    fn new(path: &Path, options: &Options) -> Result<Self> {
        if options.size == Size::Keep {
            return Err(Error::parameter(
                "repart.empty",
                "the new image has no size",
                "give `repart.size`, a number of bytes or auto",
            ));
        }
        if !options.replace && exists(path)? {
            return Err(Error::parameter(
                "repart.empty",
                format!("{} exists", HostPath(path)),
                "remove it, or use `repart.empty=force` to replace its content",
            ));
        }
        Ok(Self {
            path: path.into(),
            state: State::New(Destination::new(path, options.replace)?.synced(options.sync)),
            size: 0,
            sector_size: options.sector_size.unwrap_or_default(),
            table: None,
            sync: options.sync,
            discard: options.discard,
        })
    }

    fn existing(path: &Path, options: &Options, report: Report<'_>) -> Result<Self> {
        let fail = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::source(path.as_os_str().as_encoded_bytes(), "cannot open", error)
            }
            _ => Error::output(format!("cannot open {}", HostPath(path)), error),
        };
        let writes = !options.dry_run || options.size != Size::Keep;
        let mut file = OpenOptions::new().read(true).write(writes).open(path).map_err(fail)?;
        let size = file.seek(SeekFrom::End(0)).map_err(fail)?;
        let kind = file.metadata().map_err(fail)?.file_type();
        let device = kind.is_block_device();
        if !device && !kind.is_file() {
            return Err(Error::parameter(
                "repart.image",
                format!("{} is neither a file nor a block device", HostPath(path)),
                "give the path of an image",
            ));
        }
        let of_device = if device { device_sector_size(&file)? } else { None };
        let label = gpt::read(&file, size, options.sector_size.or(of_device))?;
        let other =
            |rule: &str, remedy| Error::Label { image: path.into(), rule: rule.into(), remedy };
        let table = match (label, options.empty) {
            (_, Empty::Force) => None,
            (TableState::None, Empty::Refuse) => {
                return Err(other(
                    "it has no partition table",
                    "create one with `repart.empty=allow`",
                ));
            }
            (TableState::None, _) => None,
            (_, Empty::Require) => {
                return Err(other(
                    "it already has a partition table",
                    "replace it with `repart.empty=force`",
                ));
            }
            (TableState::Other(kind), _) => {
                let rule = format!("its partition table is of another kind, {kind}");
                return Err(other(&rule, "replace it with `repart.empty=force`"));
            }
            (TableState::Damaged(error), _) => {
                return Err(other(&error.to_string(), "or replace it with `repart.empty=force`"));
            }
            (TableState::Contradictory(error), _) => return Err(error),
            (TableState::Gpt(gpt), _) => {
                let ReadGpt { table, warnings, .. } = *gpt;
                for warning in &warnings {
                    report(&format_args!("{}: {}", HostPath(path), warning.message));
                }
                Some(table)
            }
        };
        let known = table.as_ref().map(|table| table.geometry.sector_size());
        let sector_size = known.or(options.sector_size).or(of_device).unwrap_or_default();
        let state = if device { State::Device(file) } else { State::File(file) };
        let (sync, discard) = (options.sync, options.discard);
        Ok(Self { path: path.into(), state, size, sector_size, table, sync, discard })
    }

    /// Resizes the image as requested; `least` is the size that its partitions need.
    pub(super) fn resize(&mut self, size: Size, least: u64, report: Report<'_>) -> Result<()> {
        match size {
            Size::Keep => Ok(()),
            Size::Auto => self.grow(least, report),
            Size::Bytes(bytes) => {
                let rounded = round_up(bytes, UNIT);
                if rounded != bytes {
                    report(&format_args!(
                        "`repart.size` is rounded up from {bytes} to {rounded}, a multiple of {UNIT}"
                    ));
                }
                self.grow(rounded, report)
            }
        }
    }

    /// Grows the image to at least `bytes` bytes. The partition table of an existing image is moved
    /// at once, so that it is intact whatever the outcome of the run.
    fn grow(&mut self, bytes: u64, report: Report<'_>) -> Result<()> {
        let path = HostPath(&self.path);
        match &self.state {
            State::New(_) => {
                self.size = bytes;
                return Ok(());
            }
            State::Device(_) => return Ok(()),
            State::File(_) if bytes <= self.size => {
                if bytes < self.size {
                    let (old, new) = (format_bytes(self.size), format_bytes(bytes));
                    report(&format_args!(
                        "File '{path}' already is of requested size or larger, not growing. \
                         ({old} >= {new})"
                    ));
                }
                return Ok(());
            }
            State::File(file) => {
                let fail = |error| Error::output(format!("cannot grow {path}"), error);
                file.set_len(bytes).map_err(fail)?;
                let (old, new) = (format_bytes(self.size), format_bytes(bytes));
                report(&format_args!("File '{path}' grown from {old} to {new} by truncation."));
            }
        }
        self.size = bytes;
        if let (Some(_), State::File(file)) = (&self.table, &self.state)
            && let TableState::Gpt(gpt) = gpt::read(file, bytes, Some(self.sector_size))?
        {
            let ReadGpt { table, old_backup, .. } = *gpt;
            let again = file.try_clone().map_err(|error| Error::output("cannot grow", error))?;
            let output = Output::update(&self.path, again, self.sync, self.discard);
            write_table(&table, &output)?;
            if let Some(Range { start, end }) = old_backup {
                let cleared = output.zeros(start, end - start);
                cleared.map_err(|error| Error::output("cannot clear the old table", error))?;
            }
            output.finish()?;
            self.table = Some(table);
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the image file, unless the image is new.
    pub(super) fn file(&self) -> Option<&File> {
        match &self.state {
            State::New(_) => None,
            State::File(file) | State::Device(file) => Some(file),
        }
    }

    /// Returns the size of the image, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn sector_size(&self) -> SectorSize {
        self.sector_size
    }

    /// Returns whether the image has a partition table that is kept.
    pub(super) fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Returns the existing partitions with their numbers.
    pub(super) fn partitions(&self) -> Vec<(u32, gpt::Partition)> {
        let entries = self.table.iter().flat_map(|table| (0..).zip(&table.partitions));
        entries.filter_map(|(number, entry)| Some((number, entry.clone()?))).collect()
    }

    /// Returns the range that partitions can use, in bytes.
    pub(super) fn usable(&self) -> Result<Range<u64>> {
        Ok(self.table(Seed(uuid::Uuid::nil()))?.geometry.usable())
    }

    /// Returns the range between the partition table and the first usable byte, in bytes.
    pub(super) fn free(&self) -> Result<Range<u64>> {
        let geometry = self.table(Seed(uuid::Uuid::nil()))?.geometry;
        let entries = geometry.primary_entries().offset(self.sector_size);
        let size = geometry.entry_sectors() * u64::from(self.sector_size.bytes());
        Ok(entries + size..geometry.usable().start)
    }

    /// Returns a copy of the partition table, or a new one for an image that has none.
    pub(super) fn table(&self, seed: Seed) -> Result<Table> {
        match &self.table {
            Some(table) => Ok(table.clone()),
            // A file may end with a partial sector, which is not used.
            None => Ok(Table {
                geometry: Geometry::aligned(
                    round_down(self.size, self.sector_size.bytes().into()),
                    self.sector_size,
                )?,
                uuid: seed.disk(),
                mbr: None,
                partitions: Vec::new(),
            }),
        }
    }

    /// Opens the image for writing. An image that gets a new partition table is cleared first; of a
    /// device, which may be large and slow, only the first and the last MiB, where other programs
    /// look for signatures.
    pub(super) fn into_output(self) -> Result<Output> {
        let size = self.size;
        let cleared = match &self.state {
            _ if self.table.is_some() => [0..0, 0..0],
            State::Device(_) if size > 2 * MIB => [0..MIB, size - MIB..size],
            _ => [0..size, 0..0],
        };
        let output = match self.state {
            State::New(destination) => {
                let output = destination.create(self.size)?;
                if !self.discard {
                    output.allocate(self.size)?;
                }
                return Ok(output);
            }
            State::File(file) | State::Device(file) => {
                Output::update(&self.path, file, self.sync, self.discard)
            }
        };
        for Range { start, end } in cleared {
            output
                .zeros(start, end - start)
                .map_err(|error| Error::output(format!("cannot clear {}", output.name()), error))?;
        }
        Ok(output)
    }
}

/// Returns whether `path` exists, even as a dangling symlink.
pub(super) fn exists(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::output(format!("cannot look for {}", HostPath(path)), error)),
    }
}

/// Writes both copies of a table, and nothing between them. The backup is written first, so that at
/// any time one of the copies is intact on the disk.
pub(super) fn write_table(table: &Table, output: &Output) -> Result<()> {
    let layout = gpt::plan(table)?.seal();
    let usable = table.geometry.usable().start;
    let (primary, backup) =
        layout.regions().split_at(layout.regions().partition_point(|it| it.offset < usable));
    for copy in [backup, primary] {
        for region in copy {
            let crate::layout::Fill::Bytes(number) = region.fill else { continue };
            let written = output.write(region.offset, layout.bytes_of(number));
            written
                .map_err(|error| Error::output(format!("cannot write {}", output.name()), error))?;
        }
        output.barrier()?;
    }
    Ok(())
}

pub(super) fn device_sector_size(device: &File) -> Result<Option<SectorSize>> {
    let bytes = rustix::fs::ioctl_blksszget(device);
    let bytes = bytes.map_err(|error| Error::output("cannot read its sector size", error))?;
    SectorSize::new(bytes).map(Some)
}
