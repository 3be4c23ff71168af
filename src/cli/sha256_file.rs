//! The file with the SHA-256 of an image that `--sha256-file` asks for.

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the path of the file for an image, whose name has `.sha256` appended.
pub(super) fn path(image: &Path) -> Result<PathBuf> {
    let is_file = !image.exists() || image.is_file();
    let Some(name) = image.file_name().filter(|_| is_file && image != Path::new("-")) else {
        return Err(Error::parameter(
            "--sha256-file",
            "the image is not written to a regular file",
            "omit it: the summary shows the SHA-256, and so do --manifest and --json",
        ));
    };
    let mut name = name.to_owned();
    name.push(".sha256");
    Ok(image.with_file_name(name))
}

/// Returns a line that `sha256sum --check` accepts in the directory of the image.
pub(super) fn line(image: &Path, digest: &dyn Display) -> Vec<u8> {
    let name = match image.file_name().expect("a file has a name").as_bytes() {
        // Alone, it is the standard input.
        b"-" => b"./-",
        name => name,
    };
    let mut escaped = Vec::new();
    for &byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            other => escaped.push(other),
        }
    }
    let mark = if escaped == name { "" } else { "\\" };
    [format!("{mark}{digest}  ").as_bytes(), &escaped, b"\n"].concat()
}
