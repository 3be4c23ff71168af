//! Reports of the changes that rules made or would make to a tree.

use serde::Serialize;

use crate::name::Escaped;
use crate::report::Warning;

/// Report about a set of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rules that fired, in order.
    pub fired: Vec<Fired>,
}

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Fired {
    /// Returns the warning about a disabled rule that would have fired.
    pub(super) fn into_warning(self) -> Option<Warning> {
        let Self { rule, verb, reason, paths, .. } = self;
        let mut paths = paths.into_iter();
        let path = paths.next()?;
        let others: Vec<_> = paths.map(|path| Escaped(&path).to_string()).collect();
        let also = match &*others {
            [] => String::new(),
            others => format!(" (and {})", others.join(", ")),
        };
        let message =
            format!("stays in the image{also}, although the rule {rule} would {verb} it: {reason}");
        Some(Warning { path, message })
    }
}

/// A rule that fired, as a record to be written as JSON.
#[derive(Debug, Clone, Serialize)]
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
