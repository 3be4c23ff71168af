//! Reasons why values are rejected.

use crate::error::Error;

/// The reason why a value is rejected.
pub(super) enum Refusal {
    /// An error that systemd-repart ignores: it is reported as a warning, and the setting is
    /// ignored.
    Ignored(String),
    /// An error that ends the run.
    Fatal(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl From<&str> for Refusal {
    fn from(rule: &str) -> Self {
        Self::Ignored(rule.to_owned())
    }
}

impl From<String> for Refusal {
    fn from(rule: String) -> Self {
        Self::Ignored(rule)
    }
}

/// The result of parsing or applying a value.
pub(super) type SettingResult<T = ()> = Result<T, Refusal>;
