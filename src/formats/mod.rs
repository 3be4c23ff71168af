//! The registry of file system formats.

#[cfg(test)]
#[cfg(feature = "repart")]
mod tests;
#[cfg(test)]
#[cfg(all(feature = "btrfs", feature = "erofs", feature = "squashfs"))]
mod thread_order;
#[cfg(test)]
#[cfg(feature = "repart")]
mod toy;

use std::io;
use std::sync::Arc;

use positioned_io::ReadAt;

use crate::ext4::Ext4;
use crate::fat::Vfat;
use crate::format::Format;

/// File system formats by name, each with the options that are used where none are given.
#[derive(Debug, Clone)]
pub struct Formats(Vec<Arc<dyn Format>>);

impl Default for Formats {
    /// Returns all formats of this crate with their default options.
    fn default() -> Self {
        Self(vec![
            Arc::new(Ext4::default()),
            #[cfg(feature = "btrfs")]
            Arc::new(crate::btrfs::Btrfs::default()),
            #[cfg(feature = "erofs")]
            Arc::new(crate::erofs::Erofs::default()),
            #[cfg(feature = "squashfs")]
            Arc::new(crate::squashfs::Squashfs::default()),
            Arc::new(Vfat::default()),
        ])
    }
}

impl Formats {
    /// Adds a format, or replaces the one of the same name.
    #[must_use]
    pub fn with(mut self, format: impl Format + 'static) -> Self {
        let format: Arc<dyn Format> = Arc::new(format);
        match self.0.iter_mut().find(|other| other.name() == format.name()) {
            Some(other) => *other = format,
            None => self.0.push(format),
        }
        self
    }

    /// Returns the format with a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Format>> {
        self.0.iter().find(|format| format.name() == name)
    }

    /// Returns all formats.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Format> {
        self.0.iter().map(|format| &**format)
    }

    /// Returns the names of all formats.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.iter().map(Format::name)
    }

    /// Returns the format of the file system on an image or a device of `size` bytes. `None` if it
    /// has none of these formats.
    ///
    /// # Errors
    /// If an offset that may hold a signature can't be read.
    pub fn recognize(&self, image: &dyn ReadAt, size: u64) -> io::Result<Option<&Arc<dyn Format>>> {
        for format in &self.0 {
            if format.recognize(image, size)? {
                return Ok(Some(format));
            }
        }
        Ok(None)
    }
}
