//! Patterns of paths from the root of the tree, with or without a slash before them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};

/// Makes a set of patterns; `parameter` is what they were given with.
pub(super) fn new(parameter: &'static str, patterns: &[String]) -> Result<GlobSet> {
    let fault = |error: &globset::Error| {
        Error::parameter(parameter, error.to_string(), "put a \\ before what is no pattern")
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let path = pattern.trim_start_matches('/').trim_end_matches('/');
        let glob = GlobBuilder::new(path).literal_separator(true).backslash_escape(true).build();
        set.add(glob.map_err(|error| fault(&error))?);
    }
    set.build().map_err(|error| fault(&error))
}

/// Whether a path without a leading slash matches any of them.
pub(super) fn matches(globs: &GlobSet, path: &[u8]) -> bool {
    globs.is_match(OsStr::from_bytes(path))
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
            ("a\\*", b"a*", true),
            ("a\\*", b"ab", false),
            (".*", b".hidden", true),
        ] {
            let globs = new("--exclude", &[pattern.to_owned()]).unwrap();
            assert_eq!(matches(&globs, path), expected, "{pattern}");
        }
        let error = new("--exclude", &["a[".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("--exclude: "), "{error}");
    }
}
