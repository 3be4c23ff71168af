//! Normalization of the tree of an image, which does nothing without the feature `normalize`.

use super::source::{BuildInput, ResolvedInputs, clamp, epoch};
use crate::error::Result;
use crate::report::{Report, Warning};
use crate::time::Timestamp;

/// A normalization that was done.
#[derive(Debug, Default)]
pub(super) struct Normalization {
    /// Whether there were rules to apply.
    pub(super) has_rules: bool,
    /// Name of the profile, if any.
    pub(super) profile: Option<&'static str>,
    /// SHA-256 of the file of additional rules, in hexadecimal digits.
    pub(super) file_digest: Option<String>,
    /// Rules that fired.
    pub(super) report: Report,
}

/// Applies the rule about hard links, resolves the epoch, normalizes the tree and clamps its
/// timestamps to the epoch.
///
/// The warnings are those about the source, and about secrets that stay in the tree.
pub(super) fn resolve_inputs(
    input: &mut BuildInput,
) -> Result<(ResolvedInputs, Normalization, Vec<Warning>)> {
    input.tree.apply_hard_links(input.hard_links)?;
    // The epoch is derived from the tree before normalization, because rules use it.
    let (epoch, origin) = epoch(&input.tree, input.epoch)?;
    let normalization = input.normalize(epoch)?;
    let resolved = clamp(&mut input.tree, Some(epoch))?;
    let warnings = std::mem::take(&mut input.warnings);
    Ok((ResolvedInputs { epoch: (epoch, origin), ..resolved }, normalization, warnings))
}

#[cfg(feature = "normalize")]
impl BuildInput {
    /// Adds the rules that `detfs mkimage` normalizes a tree by: those for every tree, and those of
    /// the profile that matches the tree. If no profile covers its distribution, there is a
    /// warning.
    ///
    /// # Errors
    /// [`Error::Source`] and [`Error::Changed`] if `os-release` can't be read.
    ///
    /// [`Error::Source`]: crate::Error::Source
    /// [`Error::Changed`]: crate::Error::Changed
    pub fn normalized(mut self) -> Result<Self> {
        use crate::normalize::{Profile, Rules};

        let profile = Profile::of(&self.tree)?;
        self.warnings.extend(Profile::missing(&self.tree, profile)?);
        self.rules = Rules::builtin(profile);
        Ok(self)
    }

    /// Normalizes the tree, and adds warnings about secrets that stay in it.
    pub(super) fn normalize(&mut self, epoch: Timestamp) -> Result<Normalization> {
        use crate::normalize::{Profile, normalize, remaining_secrets};

        let Self { tree, rules, warnings, .. } = self;
        let report = normalize(tree, rules, epoch)?;
        warnings.extend(remaining_secrets(tree, rules, epoch)?);
        Ok(Normalization {
            has_rules: !rules.is_empty(),
            profile: rules.profile().map(Profile::name),
            file_digest: rules.file_digest().map(str::to_owned),
            report,
        })
    }
}

#[cfg(not(feature = "normalize"))]
impl BuildInput {
    pub(super) fn normalize(&mut self, _epoch: Timestamp) -> Result<Normalization> {
        Ok(Normalization::default())
    }
}
