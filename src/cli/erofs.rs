//! Converts the command-line arguments of erofs to options.

use super::format_arguments::{CompressionArgs, ErofsArgs};
use super::patterns::Patterns;
use crate::erofs::Erofs;
use crate::error::Result;

impl ErofsArgs {
    /// Returns the format, without compression of the paths that `no_compress` matches.
    pub(super) fn to_format(
        &self,
        args: &CompressionArgs,
        no_compress: &Patterns,
    ) -> Result<Erofs> {
        Ok(Erofs {
            profile: self.erofs_profile.unwrap_or_default(),
            compression: args.algorithm().map(str::parse).transpose()?,
            uncompressed: no_compress.filter(),
            dedup: args.dedup,
            fragments: self.fragments,
        })
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![("--erofs-profile", self.erofs_profile.is_some()), ("--fragments", self.fragments)]
    }
}
