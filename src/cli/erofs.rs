//! Converts the command-line arguments of erofs to options.

use super::format_arguments::ErofsArgs;
use crate::erofs::Erofs;

impl ErofsArgs {
    pub(super) fn to_format(&self) -> Erofs {
        Erofs { profile: self.erofs_profile.unwrap_or_default() }
    }

    /// Returns the names of all options, each with whether it was given.
    pub(super) fn given(&self) -> Vec<(&'static str, bool)> {
        vec![("--erofs-profile", self.erofs_profile.is_some())]
    }
}
