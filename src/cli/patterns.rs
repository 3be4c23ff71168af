//! Path patterns of command-line options, which record whether they have matched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::print_warning;
use crate::error::{Error, Result};
use crate::glob::Globs;
use crate::tree::PathFilter;

/// The patterns of one option. Clones share the record of matches.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    option: &'static str,
    globs: Globs,
    patterns: Arc<[(String, AtomicBool)]>,
}

impl Patterns {
    pub(super) fn new(option: &'static str, patterns: &[String]) -> Result<Self> {
        let globs = Globs::new(patterns).map_err(|error| {
            Error::parameter(option, error.to_string(), "escape literal characters with \\")
        })?;
        let unmatched = |pattern: &String| (pattern.clone(), AtomicBool::new(false));
        Ok(Self { option, globs, patterns: patterns.iter().map(unmatched).collect() })
    }

    /// Returns a filter of the paths that match; `None` if no patterns were given.
    pub(super) fn filter(&self) -> Option<PathFilter> {
        let given: Vec<_> = self.patterns.iter().map(|(pattern, _)| pattern.clone()).collect();
        let patterns = self.clone();
        (!given.is_empty()).then(|| PathFilter::new(given, move |path| patterns.matches(path)))
    }

    /// Returns whether any of the patterns matches a path without a leading slash.
    fn matches(&self, path: &[u8]) -> bool {
        let mut numbers = Vec::new();
        self.globs.matching(path, &mut numbers);
        for &number in &numbers {
            self.patterns[number].1.store(true, Ordering::Relaxed);
        }
        !numbers.is_empty()
    }

    /// Returns the patterns that have not matched any path.
    fn unmatched(&self) -> impl Iterator<Item = &str> {
        let unmatched =
            self.patterns.iter().filter(|(_, matched)| !matched.load(Ordering::Relaxed));
        unmatched.map(|(pattern, _)| pattern.as_str())
    }

    /// Returns a warning about each pattern that has not matched any path. The warnings are not
    /// part of the manifest, because the image does not depend on them.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.unmatched().map(|pattern| format!("{}: {pattern:?} matches no path", self.option))
    }

    /// Prints these warnings.
    pub(super) fn report_unmatched(&self) {
        self.warnings().for_each(|warning| print_warning(&warning));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_match_nothing_are_known() {
        let given = ["/etc/*", "var", "**/x"].map(str::to_owned);
        let patterns = Patterns::new("--exclude", &given).unwrap();
        assert_eq!(patterns.filter().unwrap().patterns(), given);
        assert!(Patterns::new("--exclude", &[]).unwrap().filter().is_none());
        assert_eq!(patterns.unmatched().collect::<Vec<_>>(), given);
        let shared = patterns.clone();
        assert!(shared.matches(b"etc/x") && !shared.matches(b"usr"));
        assert_eq!(patterns.unmatched().collect::<Vec<_>>(), ["var"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused_by_name() {
        let error = Patterns::new("--exclude", &["a[".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("--exclude: "), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
