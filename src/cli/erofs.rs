//! Converts the command-line arguments of erofs to options.

use super::format_arguments::{CompressionArgs, ErofsArgs};
use super::patterns::Patterns;
use crate::erofs::{Erofs, is_cluster_size};
use crate::error::{Error, Result};
use crate::size;

impl ErofsArgs {
    /// Returns the format, without compression of the paths that `no_compress` matches.
    pub(super) fn to_format(
        &self,
        args: &CompressionArgs,
        no_compress: &Patterns,
    ) -> Result<Erofs> {
        let cluster_size = self.erofs_cluster_size.as_deref().map(cluster_size).transpose()?;
        Ok(Erofs {
            profile: self.erofs_profile.unwrap_or_default(),
            compression: args.algorithm().map(str::parse).transpose()?,
            uncompressed: no_compress.filter(),
            dedup: args.dedup,
            cluster_size: cluster_size.unwrap_or(Erofs::default().cluster_size),
            fragments: self.fragments,
        })
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("--erofs-profile", self.erofs_profile.is_some()),
            ("--erofs-cluster-size", self.erofs_cluster_size.is_some()),
            ("--fragments", self.fragments),
        ]
    }
}

fn cluster_size(text: &str) -> Result<u32> {
    match size::parse(text).map(u32::try_from) {
        Some(Ok(bytes)) if is_cluster_size(bytes) => Ok(bytes),
        _ => Err(Error::parameter(
            "--erofs-cluster-size",
            format!("{text:?} is not a valid cluster size"),
            "give a power of two from 8K to 1M",
        )),
    }
}
