//! Converts the command-line arguments of btrfs to options.

use super::format_arguments::{BtrfsArgs, CompressionArgs};
use super::patterns::Patterns;
use super::print_warning;
use crate::btrfs::Btrfs;
use crate::error::{Error, Result};
use crate::format::Subvolume;
use crate::size;

impl BtrfsArgs {
    /// Returns the format, without compression of the paths that `no_compress` matches, and the
    /// patterns of paths that it contains besides.
    pub(super) fn to_format(
        &self,
        compression: &CompressionArgs,
        no_compress: &Patterns,
    ) -> Result<(Btrfs, Patterns)> {
        let nodatacow = Patterns::new("--nodatacow", &self.nodatacow)?;
        let default = Btrfs::default();
        let node_size = self.btrfs_node_size.as_deref().map(node_size).transpose()?;
        let max_inline = self.btrfs_max_inline.as_deref().map(max_inline).transpose()?;
        let subvolumes = self.subvolume.iter().map(|text| subvolume(text));
        let btrfs = Btrfs {
            compat: self.btrfs_compat.unwrap_or(default.compat),
            checksum: self.btrfs_checksum.unwrap_or(default.checksum),
            node_size: node_size.unwrap_or(default.node_size),
            metadata: self.btrfs_metadata.unwrap_or(default.metadata),
            max_inline: max_inline.unwrap_or(default.max_inline),
            compression: compression.algorithm().map(str::parse).transpose()?,
            uncompressed: no_compress.filter(),
            nodatacow: nodatacow.filter(),
            dedup: compression.dedup,
            subvolumes: subvolumes.collect(),
            default_subvolume: self.default_subvolume.clone().map(String::into_bytes),
            copy_links: self.copy_links,
        };
        Ok((btrfs, nodatacow))
    }

    /// Warns about options that have no effect without other options.
    pub(super) fn report_without_effect(&self) {
        if self.copy_links && self.subvolume.is_empty() {
            print_warning(&"--copy-links has no effect without --subvolume");
        }
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--btrfs-compat", self.btrfs_compat.is_some()),
            ("--btrfs-checksum", self.btrfs_checksum.is_some()),
            ("--btrfs-node-size", self.btrfs_node_size.is_some()),
            ("--btrfs-metadata", self.btrfs_metadata.is_some()),
            ("--btrfs-max-inline", self.btrfs_max_inline.is_some()),
            ("--nodatacow", !self.nodatacow.is_empty()),
            ("--subvolume", !self.subvolume.is_empty()),
            ("--default-subvolume", self.default_subvolume.is_some()),
            ("--copy-links", self.copy_links),
        ]
    }
}

fn node_size(text: &str) -> Result<u32> {
    match size::parse(text).map(u32::try_from) {
        Some(Ok(bytes @ (4096 | 8192 | 16384 | 32768 | 65536))) => Ok(bytes),
        _ => Err(Error::parameter(
            "--btrfs-node-size",
            format!("{text:?} is not a valid node size"),
            "give 4096, 8192, 16384, 32768 or 65536",
        )),
    }
}

fn max_inline(text: &str) -> Result<u32> {
    match size::parse(text).map(u32::try_from) {
        Some(Ok(bytes)) if bytes <= 4095 => Ok(bytes),
        _ => Err(Error::parameter(
            "--btrfs-max-inline",
            format!("{text:?} is not a valid size of inline files"),
            "give a number of bytes from 0 to 4095",
        )),
    }
}

/// Parses a subvolume. Flags are taken from the end, so that the path may contain colons.
fn subvolume(text: &str) -> Subvolume {
    let (mut path, mut read_only, mut nodatacow) = (text, false, false);
    loop {
        let (rest, option) = match path.rsplit_once(':') {
            Some((rest, "ro")) => (rest, &mut read_only),
            Some((rest, "nodatacow")) => (rest, &mut nodatacow),
            _ => break,
        };
        (path, *option) = (rest, true);
    }
    Subvolume { path: path.into(), read_only, nodatacow }
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::cli::fields::FLAGS;
    use crate::disk::Swapfile;

    #[test]
    fn values_are_understood() {
        for text in ["65536", "64K", "64KiB"] {
            assert_eq!(node_size(text).unwrap(), 65536);
        }
        assert_eq!(max_inline("2K").unwrap(), 2048);
        assert_eq!(max_inline("0").unwrap(), 0);
        assert_eq!(max_inline("4095").unwrap(), 4095);
        for (text, path, read_only, nodatacow) in [
            ("/swap", "/swap", false, false),
            ("a:ro", "a", true, false),
            ("a:nodatacow", "a", false, true),
            ("a:ro:nodatacow", "a", true, true),
            ("a:nodatacow:ro", "a", true, true),
            ("a:b:ro", "a:b", true, false),
            ("a:rw", "a:rw", false, false),
            ("ro", "ro", false, false),
        ] {
            let expected = Subvolume { path: path.into(), read_only, nodatacow };
            assert_eq!(subvolume(text), expected, "{text}");
        }
        for (text, path, size) in
            [("/swap/file:512M", "/swap/file", 512 << 20), ("a:b:40K", "a:b", 40 << 10)]
        {
            assert_eq!(
                values::swapfile(text).unwrap(),
                Swapfile { path: path.into(), size },
                "{text}"
            );
        }
    }

    #[test]
    fn other_values_are_refused_by_name() {
        for (parameter, result) in [
            ("--btrfs-node-size", node_size("2048").map(drop)),
            ("--btrfs-node-size", node_size("16k").map(drop)),
            ("--btrfs-node-size", node_size("128K").map(drop)),
            ("--btrfs-node-size", node_size("4T").map(drop)),
            ("--btrfs-max-inline", max_inline("4K").map(drop)),
            ("--btrfs-max-inline", max_inline("-1").map(drop)),
            ("--swapfile", values::swapfile("/swapfile").map(drop)),
            ("--swapfile", values::swapfile("/swapfile:").map(drop)),
            ("--swapfile", values::swapfile("/swapfile:much").map(drop)),
        ] {
            let error = result.unwrap_err();
            assert!(FLAGS.error(&error).starts_with(&format!("{parameter}: ")), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
