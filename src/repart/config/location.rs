//! Locations in definition files.

use std::path::Path;

use crate::error::Error;
use crate::report::Warning;

/// A location in a definition file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location<'a> {
    pub(super) file: &'a Path,
    /// The line, from 1; 0 for the file as a whole.
    pub(super) line: u32,
}

impl Location<'_> {
    /// Returns an error at this location.
    pub(super) fn error(&self, rule: impl Into<String>, remedy: impl Into<String>) -> Error {
        let (rule, remedy) = (rule.into(), remedy.into());
        Error::Definition { file: self.file.into(), line: self.line, rule, remedy }
    }

    /// Returns a warning at this location.
    pub(super) fn warning(&self, message: impl Into<String>) -> Warning {
        let path = self.file.as_os_str().as_encoded_bytes();
        let line = format!(":{}", self.line);
        Warning { path: [path, line.as_bytes()].concat(), message: message.into() }
    }
}
