//! Reports: warnings about everything that could not be stored as it was, and normalization rules
//! that fired.

use std::fmt;

use serde::Serialize;

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

/// Report of the changes that normalization rules made or would make to a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Rules that fired, in order.
    pub fired: Vec<Fired>,
}

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// Name of the rule.
    pub rule: String,
    /// Verb of the action. Any rule may `refuse` what it can't change.
    pub verb: &'static str,
    /// Reason for the rule.
    pub reason: String,
    /// Suggested remedy, if the rule refuses the tree.
    pub remedy: Option<String>,
    /// Whether the effect depends on the epoch.
    pub by_epoch: bool,
    /// Paths on which the rule fired, in tree order. For a removed directory only the directory
    /// itself is listed.
    pub paths: Vec<Vec<u8>>,
}

impl Report {
    /// Returns the number of paths on which rules fired.
    #[must_use]
    pub fn count(&self) -> usize {
        self.fired.iter().map(|fired| fired.paths.len()).sum()
    }
}

/// A rule that fired, as a record to be written as JSON.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FiredRecord {
    /// Name of the rule.
    pub rule: String,
    /// Verb of the action.
    pub verb: &'static str,
    /// Reason for the rule.
    pub reason: String,
    /// Suggested remedy, if the rule refuses the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Paths on which the rule fired.
    pub paths: Vec<String>,
}

impl From<&Fired> for FiredRecord {
    fn from(fired: &Fired) -> Self {
        let paths = fired.paths.iter().map(|path| Escaped(path).to_string());
        Self {
            rule: fired.rule.clone(),
            verb: fired.verb,
            reason: fired.reason.clone(),
            remedy: fired.remedy.clone(),
            paths: paths.collect(),
        }
    }
}
