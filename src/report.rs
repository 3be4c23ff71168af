//! What a builder tells beside the image: everything that was not taken over as it was.

use std::fmt;

use crate::name::Escaped;

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The path in the source that it is about; empty for the whole tree.
    pub path: Vec<u8>,
    /// What was done or not taken over, as a sentence without a full stop.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Escaped(&self.path), self.message)
    }
}
