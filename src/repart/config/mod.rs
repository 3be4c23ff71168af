//! Reads definitions from repart.d files.
//!
//! An invalid setting that systemd-repart ignores is ignored too, with a warning that names the
//! file and line. Everything else is an error.

mod check;
mod context;
mod draft;
mod files;
mod ini;
mod location;
mod refusal;
mod setting_values;
mod settings;
mod specifiers;
mod split_words;
mod types;
pub mod values;

use std::path::{Path, PathBuf};

pub(super) use check::designator;
pub use context::{Compat, Context, HostInfo, Overrides};
pub use types::of as type_of;

use super::Definition;
use crate::error::Result;
use crate::report::Warning;
use draft::Draft;

/// Reads the definitions in `directories`, whose paths begin with `root`, in the order of their
/// names. Of files with the same name, only the one in the first directory counts. Symlinks are
/// resolved within `root`.
///
/// # Errors
/// [`Error::Definition`](crate::Error::Definition) for an error in a file,
/// [`Error::Source`](crate::Error::Source) for a file that can't be read.
pub fn read(
    directories: &[PathBuf],
    root: &Path,
    context: &Context,
) -> Result<(Vec<Definition>, Vec<Warning>)> {
    let mut warnings = Vec::new();
    let mut drafts = Vec::new();
    for found in files::find(directories, root)? {
        let mut draft = Draft::new(found.file.path.clone());
        let text = found.file.read()?;
        settings::take(&mut draft, &found.file.path, &text, context, &mut warnings)?;
        for drop_in in found.drop_ins {
            let text = drop_in.read()?;
            settings::take(&mut draft, &drop_in.path, &text, context, &mut warnings)?;
            draft.definition.drop_ins.push(drop_in.path);
        }
        drafts.push(draft);
    }
    let definitions = check::resolve_all(drafts, context, &mut warnings)?;
    Ok((definitions, warnings))
}

/// Parses definitions from the names and texts of files.
///
/// # Errors
/// [`Error::Definition`](crate::Error::Definition) for an error in a text.
pub fn parse(
    files: &[(&str, String)],
    context: &Context,
) -> Result<(Vec<Definition>, Vec<Warning>)> {
    let mut warnings = Vec::new();
    let mut drafts = Vec::new();
    for (name, text) in files {
        let path = Path::new(name);
        let mut draft = Draft::new(path.into());
        settings::take(&mut draft, path, text.as_bytes(), context, &mut warnings)?;
        drafts.push(draft);
    }
    let definitions = check::resolve_all(drafts, context, &mut warnings)?;
    Ok((definitions, warnings))
}
