//! What rules did to a tree, or would do.

use serde::Serialize;

use crate::name::Escaped;
use crate::report::Warning;

/// What a set of rules did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The rules that fired, in their order.
    pub fired: Vec<Fired>,
}

/// A rule that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its name.
    pub rule: String,
    /// What it does, in one word. Any rule may `refuse` what it can't change.
    pub verb: &'static str,
    /// Why.
    pub reason: String,
    /// What to do about it, if it refuses the tree.
    pub remedy: Option<String>,
    /// Whether what it does depends on the epoch.
    pub by_epoch: bool,
    /// The paths on which it fired, in the order of the tree. Of a directory that is removed it is
    /// the directory alone.
    pub paths: Vec<Vec<u8>>,
}

impl Report {
    /// How many paths rules fired on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.fired.iter().map(|fired| fired.paths.len()).sum()
    }
}

impl Fired {
    /// The warning about a rule that would fire, if it were not off.
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
            format!("it is in the image{also}, though the rule {rule} would {verb} it: {reason}");
        Some(Warning { path, message })
    }
}

/// A rule that fired, as a record to be written as JSON.
#[derive(Debug, Clone, Serialize)]
pub struct FiredRecord {
    /// Its name.
    pub rule: String,
    /// What it does, in one word.
    pub verb: &'static str,
    /// Why.
    pub reason: String,
    /// What to do about it, if it refuses the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The paths on which it fired.
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
