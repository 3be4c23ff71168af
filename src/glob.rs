//! Glob patterns for paths relative to the root of the tree, with or without a leading slash.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A set of patterns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globs(GlobSet);

/// The error for an invalid pattern.
pub(crate) type Fault = globset::Error;

impl Globs {
    pub(crate) fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Fault> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let path = pattern.as_ref().trim_start_matches('/').trim_end_matches('/');
            let mut glob = GlobBuilder::new(path);
            glob.literal_separator(true).backslash_escape(true).empty_alternates(true);
            set.add(glob.build()?);
        }
        set.build().map(Self)
    }

    /// Returns whether a path without a leading slash matches any of the patterns.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        self.0.is_match(OsStr::from_bytes(path))
    }

    /// Sets `numbers` to the indices of the patterns that a path matches, in ascending order.
    pub(crate) fn matching(&self, path: &[u8], numbers: &mut Vec<usize>) {
        self.0.matches_into(OsStr::from_bytes(path), numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_start_at_the_root() {
        for (pattern, path, expected) in [
            ("var/cache", &b"var/cache"[..], true),
            ("/var/cache/", b"var/cache", true),
            ("var/cache", b"usr/var/cache", false),
            ("*.pyc", b"a.pyc", true),
            ("*.pyc", b"usr/a.pyc", false),
            ("**/*.pyc", b"a.pyc", true),
            ("**/*.pyc", b"usr/lib/\xff.pyc", true),
            ("var/log/**", b"var/log", false),
            ("var/log/**", b"var/log/a/b", true),
            ("{proc,sys}/*", b"sys/x", true),
            ("lib{,64}/x", b"lib/x", true),
            ("lib{,64}/x", b"lib64/x", true),
            ("lib{,64}/x", b"lib32/x", false),
            ("a\\*", b"a*", true),
            ("a\\*", b"ab", false),
            (".*", b".hidden", true),
        ] {
            let globs = Globs::new([pattern]).unwrap();
            assert_eq!(globs.matches(path), expected, "{pattern}");
        }
        assert!(Globs::new(["a["]).is_err());
        let (globs, mut numbers) = (Globs::new(["a/*", "b", "**/c"]).unwrap(), vec![7]);
        globs.matching(b"a/c", &mut numbers);
        assert_eq!(numbers, [0, 2]);
    }
}
