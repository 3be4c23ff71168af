//! Options of mkfs programs, as `SYSTEMD_REPART_MKFS_OPTIONS_*` has them.

use crate::error::{Error, Result};
use crate::size;
use crate::squashfs::Squashfs;

/// The variable with the options of mksquashfs.
const SQUASHFS: &str = "SYSTEMD_REPART_MKFS_OPTIONS_SQUASHFS";

/// Converts options of mksquashfs. Others than the supported ones are refused, since the image
/// would be another one.
pub(super) fn squashfs(words: &str) -> Result<Squashfs> {
    let refuse = |word: &str| {
        Err(Error::parameter(
            SQUASHFS,
            format!("{word:?} is not supported"),
            "use -comp, -Xcompression-level, -b and -no-fragments with valid values",
        ))
    };
    let mut format = Squashfs::default();
    let (mut name, mut level) = (format.compression.name(), None);
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        match (word, words.clone().next()) {
            ("-no-fragments", _) => {
                format.fragments = false;
                continue;
            }
            ("-comp", Some(value)) => name = value,
            ("-Xcompression-level", Some(value)) => level = Some(value),
            ("-b", Some(value)) => match size::parse(value).map(u32::try_from) {
                Some(Ok(bytes)) => format.block_size = bytes,
                _ => return refuse(value),
            },
            _ => return refuse(word),
        }
        words.next();
    }
    let compression = level.map_or_else(|| name.to_owned(), |level| format!("{name}:{level}"));
    match compression.parse() {
        Ok(compression) => Ok(Squashfs { compression, ..format }),
        Err(_) => refuse(&compression),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::squashfs::Compression;

    #[test]
    fn options_of_mksquashfs_are_converted() {
        for (words, compression, block_size, fragments) in [
            ("", Compression::Gzip { level: 9 }, 131_072, true),
            ("-comp zstd", Compression::Zstd { level: 15 }, 131_072, true),
            ("-Xcompression-level 3 -comp zstd", Compression::Zstd { level: 3 }, 131_072, true),
            ("-Xcompression-level 1", Compression::Gzip { level: 1 }, 131_072, true),
            ("-no-fragments  -b 1M", Compression::Gzip { level: 9 }, 1 << 20, false),
        ] {
            let found = squashfs(words).unwrap();
            let found = (found.compression, found.block_size, found.fragments);
            assert_eq!(found, (compression, block_size, fragments), "{words}");
        }
    }

    #[test]
    fn other_options_are_refused_by_name() {
        for (words, word) in [
            ("-noappend", "-noappend"),
            ("-comp", "-comp"),
            ("-comp lzo", "lzo"),
            ("-comp zstd -Xcompression-level 23", "zstd:23"),
            ("-b 1Q", "1Q"),
            ("-no-fragments -all-root", "-all-root"),
        ] {
            let error = squashfs(words).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{SQUASHFS}: {word:?} is not")), "{error}");
        }
    }
}
