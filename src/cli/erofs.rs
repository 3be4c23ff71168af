//! Converts the command-line arguments of erofs to options.

use super::format_arguments::{CompressionArgs, ErofsArgs};
use super::patterns::Patterns;
use crate::erofs::Erofs;
use crate::error::Result;

impl ErofsArgs {
    /// Returns the format, and the patterns of paths that it contains.
    pub(super) fn to_format(&self, args: &CompressionArgs) -> Result<(Erofs, Vec<Patterns>)> {
        let no_compress = args.patterns()?;
        let erofs = Erofs {
            profile: self.erofs_profile.unwrap_or_default(),
            compression: args.algorithm().map(str::parse).transpose()?,
            uncompressed: no_compress.filter(),
            dedup: args.dedup,
            fragments: self.fragments,
        };
        Ok((erofs, vec![no_compress]))
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![("--erofs-profile", self.erofs_profile.is_some()), ("--fragments", self.fragments)]
    }
}
