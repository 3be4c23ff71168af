//! Format of the image file, and file names that suggest another format.

use std::path::Path;

use clap::ValueEnum;

use crate::error::{Error, Result};
use crate::name::Escaped;

/// The formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ImageFormat {
    /// The bytes of the disk as they are
    Raw,
}

/// Extensions of other disk image formats, archives and compressed files.
const OTHERS: [&str; 27] = [
    "qcow", "qcow2", "qed", "vdi", "vhd", "vhdx", "vmdk", "ova", "ovf", "dmg", "hdd", "iso",
    "simg", "7z", "br", "bz2", "gz", "lz", "lz4", "lzma", "lzo", "tar", "tgz", "xz", "zip", "zst",
    "zstd",
];

/// Rejects a file name that suggests a format other than raw, unless a format is given.
pub(super) fn check(out: &Path, format: Option<ImageFormat>) -> Result<()> {
    let extension = out.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
    match extension.filter(|extension| OTHERS.contains(&extension.as_str())) {
        Some(extension) if format.is_none() => Err(Error::parameter(
            "OUT",
            format!(
                "{} has the extension .{extension}, but a raw image would be written",
                Escaped(out.as_os_str().as_encoded_bytes())
            ),
            "use another name and convert the image, or give --format raw",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_formats_are_refused() {
        for name in ["a.qcow2", "a.VMDK", "a.img.zst", "dir.raw/a.raw.xz", "a.vhd"] {
            assert_eq!(check(Path::new(name), None).unwrap_err().exit_code(), 2, "{name}");
            check(Path::new(name), Some(ImageFormat::Raw)).unwrap();
        }
        for name in ["a", "a.raw", "a.img", "a.ext4", "a.qcow2.raw", "a.qcow2/b", "-", ".gz"] {
            check(Path::new(name), None).unwrap();
        }
    }
}
