//! Options of mkfs programs, as `SYSTEMD_REPART_MKFS_OPTIONS_*` has them.

use crate::erofs::{Erofs, is_cluster_size};
use crate::error::{Error, Result};
use crate::size;
use crate::squashfs::Squashfs;

/// Variables with the options of a program, and the options that are supported.
const EROFS: (&str, &str) = (
    "SYSTEMD_REPART_MKFS_OPTIONS_EROFS",
    "use -z, -C with a power of two from 8192 to 1048576, and -E with dedupe, fragments, \
     all-fragments and ztailpacking",
);
const SQUASHFS: (&str, &str) = (
    "SYSTEMD_REPART_MKFS_OPTIONS_SQUASHFS",
    "use -comp, -Xcompression-level, -b and -no-fragments with valid values",
);

/// Refuses a word of a variable: without the option, the image would be another one.
fn refuse<T>((variable, remedy): (&'static str, &str), word: &str) -> Result<T> {
    Err(Error::parameter(variable, format!("{word:?} is not supported"), remedy))
}

/// Converts options of mkfs.erofs.
pub(super) fn erofs(words: &str) -> Result<Erofs> {
    let mut format = Erofs::default();
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        // A value may follow its letter in the same word.
        let letter = word.get(..2).unwrap_or(word);
        let value = match word.get(2..) {
            None | Some("") => words.next(),
            value => value,
        };
        match (letter, value) {
            ("-z", Some(value)) => match value.replacen(",level=", ":", 1).parse() {
                Ok(compression) => format.compression = Some(compression),
                Err(_) => return refuse(EROFS, value),
            },
            ("-C", Some(value)) => match value.parse() {
                Ok(bytes) if is_cluster_size(bytes) => format.cluster_size = bytes,
                _ => return refuse(EROFS, value),
            },
            ("-E", Some(value)) => {
                for feature in value.split(',') {
                    match feature {
                        "dedupe" => format.dedup = true,
                        "fragments" | "all-fragments" => format.fragments = true,
                        // The profile decides, and it is the default one.
                        "ztailpacking" => {}
                        _ => return refuse(EROFS, feature),
                    }
                }
            }
            _ => return refuse(EROFS, word),
        }
    }
    Ok(format)
}

/// Converts options of mksquashfs.
pub(super) fn squashfs(words: &str) -> Result<Squashfs> {
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
                _ => return refuse(SQUASHFS, value),
            },
            _ => return refuse(SQUASHFS, word),
        }
        words.next();
    }
    let compression = level.map_or_else(|| name.to_owned(), |level| format!("{name}:{level}"));
    match compression.parse() {
        Ok(compression) => Ok(Squashfs { compression, ..format }),
        Err(_) => refuse(SQUASHFS, &compression),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::erofs;
    use crate::squashfs::Compression;

    #[test]
    fn options_of_mkfs_erofs_are_converted() {
        use erofs::Compression as C;
        for (words, compression, cluster_size, dedup, fragments) in [
            ("", None, 131_072, false, false),
            ("-zlz4", Some(C::Lz4), 131_072, false, false),
            ("-z zstd -C 65536", Some(C::Zstd { level: 3 }), 65536, false, false),
            ("-zzstd,level=19 -Ededupe", Some(C::Zstd { level: 19 }), 131_072, true, false),
            (
                "-E all-fragments -zlz4hc,level=12",
                Some(C::Lz4hc { level: 12 }),
                131_072,
                false,
                true,
            ),
            ("-C1048576 -Efragments,dedupe,ztailpacking -zlz4", Some(C::Lz4), 1 << 20, true, true),
        ] {
            let found = erofs(words).unwrap();
            let found = (found.compression, found.cluster_size, found.dedup, found.fragments);
            assert_eq!(found, (compression, cluster_size, dedup, fragments), "{words}");
        }
    }

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
            assert!(error.starts_with(&format!("{}: {word:?} is not", SQUASHFS.0)), "{error}");
        }
        for (words, word) in [
            ("-z", "-z"),
            ("-zdeflate", "deflate"),
            ("-zlzma -C65536", "lzma"),
            ("-zzstd,level=99", "zstd,level=99"),
            ("-zlz4 -C 4096", "4096"),
            ("-C 64K", "64K"),
            ("-C", "-C"),
            ("-E legacy-compress", "legacy-compress"),
            ("-E dedupe,fragments=65536", "fragments=65536"),
            ("-E ztailpacking,^dedupe", "^dedupe"),
            ("-E", "-E"),
            ("--all-root", "--all-root"),
        ] {
            let error = erofs(words).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: {word:?} is not", EROFS.0)), "{error}");
        }
    }
}
