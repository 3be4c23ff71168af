//! Warnings about everything that could not be stored as it was.

use std::fmt;

use crate::name::Escaped;

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The path in the source that the warning is about; empty for the whole tree.
    pub path: Vec<u8>,
    /// The action taken or the part that was omitted, as a sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Escaped(&self.path), self.message)
    }
}
