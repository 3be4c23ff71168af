//! Names finished images.

use std::io;
use std::os::fd::OwnedFd;

use super::name::Pending;
use super::{Kind, Output, exists, text};
use crate::error::{Error, Result};
use crate::interrupt::uninterrupted;

/// Flushes outputs to their disks, then gives the files among them their names, in this order, and
/// flushes the names.
///
/// No name appears before all content is on the disk. If a file can't be named, the names given
/// before it are removed again, except for those that replaced another file.
///
/// # Errors
/// [`Error::Output`] if anything can't be written or named, [`Error::Parameter`] if a file has
/// appeared in the meantime that may not be replaced.
pub fn publish(outputs: impl IntoIterator<Item = Output>) -> Result<()> {
    let mut outputs: Vec<_> = outputs.into_iter().collect();
    outputs.iter().try_for_each(Output::flush)?;
    // Do everything that can fail before the first file is named.
    let directories: Vec<_> = outputs.iter().map(Output::open_directory).collect::<Result<_>>()?;
    uninterrupted(|| take_names(&mut outputs))?;
    outputs.iter().zip(directories).try_for_each(|(output, directory)| {
        directory.map_or(Ok(()), |directory| output.flush_name(directory.as_ref()))
    })
}

/// Names all outputs, or none if one fails.
fn take_names(outputs: &mut [Output]) -> Result<()> {
    for at in 0..outputs.len() {
        if let Err(error) = outputs[at].take_name() {
            outputs[..at].iter().for_each(Output::lose_name);
            return Err(error);
        }
    }
    Ok(())
}

impl Output {
    fn take_name(&mut self) -> Result<()> {
        let name = match &mut self.kind {
            Kind::File { name, .. } => name,
            Kind::Device(head) => {
                let failed =
                    |error| Error::output(format!("cannot finish {}", text(&self.path)), error);
                head.write(&self.file).map_err(failed)?;
                return self.flush();
            }
            Kind::Stream | Kind::Existing => return Ok(()),
        };
        name.publish(&self.file).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&self.path),
            _ => Error::output(format!("cannot finish {}", text(&self.path)), error),
        })
    }

    fn lose_name(&self) {
        if let Kind::File { name, .. } = &self.kind {
            name.withdraw();
        }
    }

    /// Opens the directory to flush after naming: `None` if the output has no name or is not
    /// flushed, `Some(None)` if the directory is not readable.
    fn open_directory(&self) -> Result<Option<Option<OwnedFd>>> {
        let Kind::File { name, .. } = &self.kind else { return Ok(None) };
        if !self.sync {
            return Ok(None);
        }
        let opened = name.open_directory().map(Some);
        opened.map_err(|error| {
            Error::output(format!("cannot open the directory of {}", text(&self.path)), error)
        })
    }

    fn flush_name(&self, directory: Option<&OwnedFd>) -> Result<()> {
        Pending::flush(&self.file, directory).map_err(|error| {
            let path = text(&self.path);
            Error::output(
                format!("{path} is complete, but its name can't be synced to the disk"),
                error,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::layout::Destination;

    #[test]
    fn names_come_together() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["one", "two", "three"].map(|name| directory.path().join(name));
        let outputs = || {
            paths.clone().map(|path| Destination::new(&path, false).unwrap().create(10).unwrap())
        };
        let made = outputs();
        fs::write(&paths[2], "new").unwrap();
        assert!(matches!(publish(made), Err(Error::Parameter { .. })));
        assert!(!paths[0].exists() && !paths[1].exists());
        assert_eq!(fs::read(&paths[2]).unwrap(), b"new");
        fs::remove_file(&paths[2]).unwrap();
        publish(outputs()).unwrap();
        assert!(paths.iter().all(|path| path.exists()));
    }
}
