//! The content of members, which stays where the archive is.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sparse::{Data, Segment};
use crate::error::{Error, Result};
use crate::spool::Spool;
use crate::tree::{ContentReader, ContentSource};

/// Bytes of an archive that can be read at any offset, as often as needed.
#[derive(Clone)]
pub(super) enum Store {
    /// An archive that is a file and is not compressed.
    File(Arc<ArchiveFile>),
    Spool(Arc<Spool>),
}

/// An uncompressed archive in a file.
pub(super) struct ArchiveFile {
    file: File,
    /// Offset of the archive in the file.
    start: u64,
    stamp: Stamp,
    path: PathBuf,
}

/// Inode, length and times of a file, which change if it is replaced or modified.
type Stamp = [i128; 7];

fn stamp(file: &File) -> io::Result<Stamp> {
    let status = file.metadata()?;
    Ok([
        status.dev().into(),
        status.ino().into(),
        status.size().into(),
        status.mtime().into(),
        status.mtime_nsec().into(),
        status.ctime().into(),
        status.ctime_nsec().into(),
    ])
}

impl ArchiveFile {
    pub(super) fn new(file: File, start: u64, path: &Path) -> io::Result<Self> {
        let stamp = stamp(&file)?;
        Ok(Self { file, start, stamp, path: path.to_owned() })
    }

    /// Returns the length of the archive.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.stamp[2]).unwrap_or_default().saturating_sub(self.start)
    }

    fn failure(&self, error: io::Error) -> Error {
        Error::source(self.path.as_os_str().as_bytes(), "cannot read", error)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(buffer, self.start + offset).or_else(|error| {
            // If the file became shorter, report it as changed.
            self.verify()?;
            Err(self.failure(error))
        })
    }

    fn verify(&self) -> Result<()> {
        match stamp(&self.file).map_err(|error| self.failure(error))? == self.stamp {
            true => Ok(()),
            false => Err(Error::Changed {
                path: self.path.as_os_str().as_bytes().to_vec(),
                rule: "the archive was changed after its members were listed".into(),
            }),
        }
    }
}

impl Store {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match self {
            Self::File(file) => file.read_at(offset, buffer),
            Self::Spool(spool) => spool.read_at(offset, buffer),
        }
    }

    fn verify(&self) -> Result<()> {
        match self {
            Self::File(file) => file.verify(),
            Self::Spool(_) => Ok(()),
        }
    }
}

/// Places of the content of all files.
#[derive(Default)]
pub(super) struct Places {
    files: Vec<Place>,
    segments: Vec<Segment>,
}

enum Place {
    /// Offset in the archive.
    Whole(u64),
    /// Range of the segments of a sparse file.
    Sparse(Range<usize>),
}

impl Places {
    /// Adds a file, and returns its index; `None` if there are too many.
    pub(super) fn add(&mut self, data: Data) -> Option<u32> {
        let index = u32::try_from(self.files.len()).ok()?;
        self.files.push(match data {
            Data::Whole(offset) => Place::Whole(offset),
            Data::Sparse(segments) => {
                let start = self.segments.len();
                self.segments.extend(segments);
                Place::Sparse(start..self.segments.len())
            }
        });
        Some(index)
    }
}

/// The content of the files of an archive.
pub(super) struct TarContent {
    pub(super) places: Arc<Places>,
    pub(super) store: Store,
}

impl ContentSource for TarContent {
    fn open(&self, index: u32, _: &dyn Fn() -> Vec<u8>) -> Result<Box<dyn ContentReader>> {
        let places = Arc::clone(&self.places);
        Ok(Box::new(TarReader { places, store: self.store.clone(), index: index as usize }))
    }
}

struct TarReader {
    places: Arc<Places>,
    store: Store,
    index: usize,
}

impl TarReader {
    /// Returns the segments that end after `offset`.
    fn segments_from(&self, range: &Range<usize>, offset: u64) -> &[Segment] {
        let segments = &self.places.segments[range.clone()];
        let first = segments.partition_point(|segment| segment.offset + segment.length <= offset);
        &segments[first..]
    }
}

impl ContentReader for TarReader {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let range = match &self.places.files[self.index] {
            Place::Whole(start) => return self.store.read_at(start + offset, buffer),
            Place::Sparse(range) => range,
        };
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        for segment in self.segments_from(range, offset) {
            if segment.offset >= end {
                break;
            }
            let from = segment.offset.max(offset);
            let to = (segment.offset + segment.length).min(end);
            let index = |at: u64| usize::try_from(at - offset).expect("it is within the buffer");
            let data = segment.data + (from - segment.offset);
            self.store.read_at(data, &mut buffer[index(from)..index(to)])?;
        }
        Ok(())
    }

    fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let Place::Sparse(segments) = &self.places.files[self.index] else { return Some(range) };
        let segment = self.segments_from(segments, range.start).first()?;
        let start = segment.offset.max(range.start);
        let end = (segment.offset + segment.length).min(range.end);
        (start < end).then_some(start..end)
    }

    // Verifying once, after the last read, is enough: any earlier change is still visible then.
    fn verify(&self) -> Result<()> {
        self.store.verify()
    }
}
