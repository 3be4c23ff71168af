//! Converts the command-line arguments of squashfs to options.

use super::format_arguments::{CompressArg, SquashfsArgs};
use crate::error::{Error, Result};
use crate::size;
use crate::squashfs::Squashfs;

impl SquashfsArgs {
    pub(super) fn to_format(&self, compress: &CompressArg) -> Result<Squashfs> {
        let default = Squashfs::default();
        let block_size = self.squashfs_block_size.as_deref().map(block_size).transpose()?;
        let compression = compress.compress.as_deref().map(str::parse).transpose()?;
        Ok(Squashfs {
            compression: compression.unwrap_or(default.compression),
            block_size: block_size.unwrap_or(default.block_size),
            fragments: !self.no_fragments,
        })
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--squashfs-block-size", self.squashfs_block_size.is_some()),
            ("--no-fragments", self.no_fragments),
        ]
    }
}

fn block_size(text: &str) -> Result<u32> {
    match size::parse(text).map(u32::try_from) {
        Some(Ok(bytes)) if bytes.is_power_of_two() && (4096..=1 << 20).contains(&bytes) => {
            Ok(bytes)
        }
        _ => Err(Error::parameter(
            "--squashfs-block-size",
            format!("{text:?} is not a valid block size"),
            "give a power of two from 4096 to 1M",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fields::FLAGS;
    use crate::squashfs::Compression;

    fn format(compress: &str, block_size: &str) -> Result<Squashfs> {
        let compress = CompressArg { compress: Some(compress.into()) };
        let squashfs_block_size = Some(block_size.into());
        SquashfsArgs { squashfs_block_size, no_fragments: false }.to_format(&compress)
    }

    #[test]
    fn values_are_understood() {
        for (compress, compression) in [
            ("gzip", Compression::Gzip { level: 9 }),
            ("gzip:1", Compression::Gzip { level: 1 }),
            ("zstd", Compression::Zstd { level: 15 }),
            ("zstd:22", Compression::Zstd { level: 22 }),
            ("lz4", Compression::Lz4 { level: 0 }),
            ("lz4:12", Compression::Lz4 { level: 12 }),
            ("xz", Compression::Xz),
        ] {
            assert_eq!(format(compress, "1M").unwrap().compression, compression);
        }
        for (text, bytes) in [("4096", 4096), ("64K", 65536), ("1MiB", 1 << 20)] {
            assert_eq!(format("gzip", text).unwrap().block_size, bytes);
        }
    }

    #[test]
    fn other_values_are_refused_by_name() {
        for (option, compress, block_size) in [
            ("--compress", "gzip:0", "4K"),
            ("--compress", "gzip:10", "4K"),
            ("--compress", "zstd:23", "4K"),
            ("--compress", "zstd:+3", "4K"),
            ("--compress", "zstd:", "4K"),
            ("--compress", "lz4:13", "4K"),
            ("--compress", "xz:6", "4K"),
            ("--compress", "lzo", "4K"),
            ("--compress", "none", "4K"),
            ("--squashfs-block-size", "gzip", "2K"),
            ("--squashfs-block-size", "gzip", "96K"),
            ("--squashfs-block-size", "gzip", "2M"),
            ("--squashfs-block-size", "gzip", "4k"),
        ] {
            let error = format(compress, block_size).unwrap_err();
            assert!(FLAGS.error(&error).starts_with(&format!("{option}: ")), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
