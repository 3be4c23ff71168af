//! Violated rules.

use std::fmt::{self, Display};

/// A rule of a file system format that an image breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Location: for example the tree and the key of an item, or the address of a block.
    pub place: String,
    /// The rule, with the values.
    pub rule: String,
}

impl Violation {
    /// Creates a violation from its location and the rule.
    pub(crate) fn new(place: impl Display, rule: impl Display) -> Self {
        Self { place: place.to_string(), rule: rule.to_string() }
    }
}

impl Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}

impl std::error::Error for Violation {}

/// Result of functions that read an image.
pub type Result<T> = std::result::Result<T, Violation>;
