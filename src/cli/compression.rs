//! Command-line arguments of formats that can compress content.

use super::format_arguments::{CompressArg, CompressionArgs};
use super::patterns::Patterns;
use super::print_warning;
use crate::error::Result;

impl CompressionArgs {
    /// Parses the patterns of paths that are not compressed.
    pub(super) fn patterns(&self) -> Result<Patterns> {
        Patterns::new("--no-compress", &self.no_compress)
    }

    /// Returns the requested compression; `None` for none.
    pub(super) fn algorithm(&self) -> Option<&str> {
        self.compress.compress.as_deref().filter(|&text| text != "none")
    }

    /// Returns the option that requires reading all content before the image is planned, if any.
    pub(super) fn prepass(&self) -> Option<&'static str> {
        match self.algorithm() {
            Some(_) => Some("--compress"),
            None => self.dedup.then_some("--dedup"),
        }
    }

    /// Warns about options that have no effect without other options.
    pub(super) fn report_without_effect(&self) {
        if !self.no_compress.is_empty() && self.algorithm().is_none() {
            print_warning(&"--no-compress has no effect without --compress");
        }
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![("--no-compress", !self.no_compress.is_empty()), ("--dedup", self.dedup)]
    }
}

impl CompressArg {
    /// Returns the name of the option, with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![("--compress", self.compress.is_some())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btrfs::Compression;
    use crate::cli::fields::FLAGS;

    fn arg(text: &str) -> CompressArg {
        CompressArg { compress: Some(text.to_owned()) }
    }

    fn parse(text: &str) -> Result<Option<Compression>> {
        let (no_compress, dedup) = (Vec::new(), false);
        let args = CompressionArgs { compress: arg(text), no_compress, dedup };
        args.algorithm().map(str::parse).transpose()
    }

    #[test]
    fn values_are_understood() {
        for (text, expected) in [
            ("none", None),
            ("lzo", Some(Compression::Lzo)),
            ("zlib:9", Some(Compression::Zlib { level: 9 })),
            ("zstd", Some(Compression::Zstd { level: 3 })),
            ("zstd:15", Some(Compression::Zstd { level: 15 })),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn other_values_are_refused_by_name() {
        for text in ["zstd:0", "zstd:16", "zlib:10", "lzo:1", "xz", ""] {
            let error = parse(text).unwrap_err();
            assert!(FLAGS.error(&error).starts_with("--compress: "), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
