//! Broken rules of an archive.

/// A rule that a member breaks, with the remedy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) rule: String,
    pub(super) remedy: &'static str,
}

/// Remedy for archives that are corrupt or that programs read in different ways.
pub(super) const RECREATE: &str = "create the archive again, say with GNU tar --format=posix";

impl Fault {
    /// Creates a fault of an archive that is corrupt or ambiguous.
    pub(super) fn new(rule: impl Into<String>) -> Self {
        Self { rule: rule.into(), remedy: RECREATE }
    }

    /// Returns the same fault with another remedy.
    pub(super) fn with_remedy(self, remedy: &'static str) -> Self {
        Self { remedy, ..self }
    }
}

pub(super) type Result<T> = std::result::Result<T, Fault>;
