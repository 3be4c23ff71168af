//! Writes fstab and crypttab to where files are copied from, so that they come to the image.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, futimens};

use super::chase::{beneath, resolve, resolve_directory};
use super::fstab::{self, Append};
use super::partition::Partition;
use super::run::Report;
use super::{Options, TreePath};
use crate::disk::Identity;
use crate::error::{Error, Result};
use crate::layout::{Destination, Sink};
use crate::name::HostPath;
use crate::seed;
use crate::time::Timestamp;

/// Writes what is asked for.
///
/// # Errors
/// [`Error::Parameter`] if there is a file that is not to be replaced, or no directory for it.
pub(super) fn write(
    partitions: &[Partition],
    identities: &[Identity],
    options: &Options,
    report: Report<'_>,
) -> Result<()> {
    let source = options.copy_source();
    if let Some(generated) = &options.fstab {
        let target = Target { option: "--generate-fstab", root: source, path: &generated.path };
        match fstab::text(partitions, identities) {
            Some(section) => target.write(&section, generated.append, options)?,
            None => report(&format_args!(
                "MountPoint= is not specified for any eligible partitions, not generating {}",
                HostPath(&generated.path)
            )),
        }
    }
    if let Some(path) = &options.crypttab {
        let target = Target { option: "--generate-crypttab", root: source, path };
        match crypttab(partitions, identities) {
            Some(text) => target.write(&text, Append::No, options)?,
            None => report(&format_args!(
                "EncryptedVolume= is not specified for any eligible partitions, not generating {}",
                HostPath(path)
            )),
        }
    }
    Ok(())
}

/// The lines for all partitions that are encrypted; `None` if there are none.
fn crypttab(partitions: &[Partition], identities: &[Identity]) -> Option<String> {
    let mut lines = String::new();
    for (partition, identity) in partitions.iter().zip(identities) {
        let Some(definition) = &partition.definition else { continue };
        let (Some(volume), Some(_)) = (&definition.encrypted_volume, &definition.encrypt) else {
            continue;
        };
        let uuid = seed::luks(identity.uuid);
        let name = match &*volume.name {
            "" => format!("luks-{uuid}"),
            name => name.to_owned(),
        };
        let key_file = volume.key_file.as_deref().unwrap_or("-");
        let options = volume.options.as_deref().unwrap_or_default();
        lines += format!("{name} UUID={uuid} {key_file} {options}").trim_end();
        lines.push('\n');
    }
    (!lines.is_empty())
        .then(|| format!("# Automatically generated crypttab by systemd-repart\n\n{lines}"))
}

/// A file that is generated.
struct Target<'a> {
    option: &'static str,
    root: &'a Path,
    path: &'a Path,
}

impl Target<'_> {
    fn write(&self, text: &str, append: Append, options: &Options) -> Result<()> {
        let fail = |error: io::Error| {
            Error::output(format!("cannot write {} to the tree", HostPath(self.path)), error)
        };
        let place = self.place()?;
        let Some(directory) = place.parent() else {
            return Err(Error::parameter(self.option, "it is not the path of a file", "give one"));
        };
        let there = match fs::read_to_string(&place) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(fail(error)),
        };
        let text = match (&there, append) {
            (None, _) | (Some(_), Append::Replace) => text.to_owned(),
            (Some(there), Append::Auto) => fstab::merge(text, there),
            (Some(_), Append::No) => {
                return Err(Error::parameter(
                    self.option,
                    format!("{} is in the tree already", HostPath(self.path)),
                    "remove it, or see --append-fstab=",
                ));
            }
        };
        if there.as_ref() == Some(&text) {
            return Ok(());
        }
        // The tree says when it was made, and that is not now.
        let directory_file = File::open(directory).map_err(fail)?;
        let old = mtime(&directory_file).map_err(fail)?;
        let destination = Destination::new(&place, true)?.synced(options.sync);
        let output = destination.create(text.len() as u64)?;
        output.write(0, text.as_bytes()).map_err(fail)?;
        let mode = Permissions::from_mode(0o644);
        output.file().set_permissions(mode).map_err(fail)?;
        set_mtime(output.file(), options.epoch.unwrap_or(old)).map_err(fail)?;
        output.finish()?;
        set_mtime(&directory_file, old).map_err(fail)
    }

    /// Where it is on this machine.
    fn place(&self) -> Result<PathBuf> {
        let path = self.path.as_os_str().as_bytes();
        let fail = || {
            Error::parameter(
                self.option,
                format!("there is no directory in the tree for {}", HostPath(self.path)),
                "make it",
            )
        };
        // A symlink is followed if it leads somewhere.
        let place: Option<TreePath> = match resolve(self.root, path)? {
            Some(place) => Some(place),
            None => resolve_directory(self.root, path)?,
        };
        Ok(beneath(self.root, &place.ok_or_else(fail)?))
    }
}

fn mtime(file: &File) -> io::Result<Timestamp> {
    let metadata = file.metadata()?;
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Ok(Timestamp { seconds: metadata.mtime(), nanoseconds })
}

fn set_mtime(file: &File, time: Timestamp) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() },
    };
    Ok(futimens(file, &times)?)
}
