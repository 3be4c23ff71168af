//! Reads definitions from repart.d files.
//!
//! An invalid setting that systemd-repart ignores is ignored too, with a warning that names the
//! file and line. Everything else is an error.

mod check;
mod files;
mod ini;
mod settings;
mod specifiers;
mod split_words;
mod types;
pub mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use check::designator;
pub use types::of as type_of;

use super::{Definition, Filter};
use crate::error::{Error, Result};
use crate::gpt::{Architecture, PartitionType};
use crate::report::Warning;
use settings::Draft;

/// The inputs for reading definitions.
#[derive(Debug, Clone)]
pub struct Context {
    /// The root whose os-release and machine ID specifiers expand to; `None` for the root of the
    /// host.
    pub root: Option<PathBuf>,
    /// The native architecture, which types such as `root` and the specifier `%a` refer to.
    pub native: Architecture,
    /// The architecture that replaces the architecture of all types, if any.
    pub architecture: Option<Architecture>,
    /// The values of host specifiers.
    pub host: HostInfo,
    /// Formats that override those in the files.
    pub overrides: Overrides,
    /// The definitions to read.
    pub filter: Filter,
    /// Bugs of systemd-repart to reproduce.
    pub compat: Compat,
}

impl Context {
    /// Returns the root of os-release and the machine ID.
    fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// Returns the type with a name or UUID.
    #[must_use]
    pub fn partition_type(&self, name: &str) -> Option<PartitionType> {
        match (types::parse(name, self.native)?, self.architecture) {
            (PartitionType::Of(role, _), Some(architecture)) => {
                Some(PartitionType::Of(role, architecture))
            }
            (found, _) => Some(found),
        }
    }
}

/// Values of specifiers that depend on the host. An image that uses them can't be reproduced on
/// another host.
#[derive(Debug, Clone, Default)]
pub struct HostInfo {
    /// The boot ID: `%b`.
    pub boot_id: Option<String>,
    /// The host name: `%H`, and `%l` without the domain.
    pub name: Option<String>,
    /// The pretty host name: `%q`.
    pub pretty_name: Option<String>,
    /// The kernel release: `%v`.
    pub kernel: Option<String>,
}

/// Formats that override those in the files.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Replaces every `Format=`.
    pub all: Option<String>,
    /// Formats by designator (`root`, `usr`, `esp`...), for partitions with or without a `Format=`.
    pub designators: BTreeMap<String, String>,
}

/// Bugs of systemd-repart to reproduce, for images identical to those that it writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compat {
    /// `GrowFileSystem=no` is ignored unless the partition is read-only.
    pub grow: bool,
    /// `Flags=` with a bit below 48 clears all attributes of the partition.
    pub flags: bool,
}

/// Reads the definitions in `directories`, whose paths begin with `root`, in the order of their
/// names. Of files with the same name, only the one in the first directory counts. Symlinks are
/// resolved within `root`.
///
/// # Errors
/// [`Error::Definition`] for an error in a file, [`Error::Source`] for a file that can't be read.
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
/// [`Error::Definition`] for an error in a text.
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

/// A location in a definition file.
#[derive(Debug, Clone, Copy)]
struct Location<'a> {
    file: &'a Path,
    /// The line, from 1; 0 for the file as a whole.
    line: u32,
}

impl Location<'_> {
    fn error(&self, rule: impl Into<String>, remedy: impl Into<String>) -> Error {
        let (rule, remedy) = (rule.into(), remedy.into());
        Error::Definition { file: self.file.into(), line: self.line, rule, remedy }
    }

    fn warning(&self, message: impl Into<String>) -> Warning {
        let path = self.file.as_os_str().as_encoded_bytes();
        let line = format!(":{}", self.line);
        Warning { path: [path, line.as_bytes()].concat(), message: message.into() }
    }
}
