//! Reads definitions from repart.d files.
//!
//! What is wrong in a way that systemd-repart overlooks gives a warning with the file and line,
//! and the setting counts as not given; everything else is an error.

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

/// What definitions are read with.
#[derive(Debug, Clone)]
pub struct Context {
    /// Whose os-release and machine id specifiers stand for; `None` for those of the machine.
    pub root: Option<PathBuf>,
    /// What `root` and the like mean.
    pub native: Architecture,
    /// What all types that belong to an architecture are turned into.
    pub architecture: Option<Architecture>,
    /// What specifiers of the machine stand for.
    pub host: HostInfo,
    /// Formats that are used instead of those in the files.
    pub overrides: Overrides,
    /// Which definitions count.
    pub filter: Filter,
    /// Which faults of systemd-repart are wanted.
    pub compat: Compat,
}

impl Context {
    /// The root whose os-release and machine id count.
    fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// The type with a name or UUID.
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

/// What specifiers of the machine stand for. An image that has them is not the same elsewhere.
#[derive(Debug, Clone, Default)]
pub struct HostInfo {
    /// The boot id: `%b`.
    pub boot_id: Option<String>,
    /// The host name: `%H`, and `%l` without the domain.
    pub name: Option<String>,
    /// The pretty host name: `%q`.
    pub pretty_name: Option<String>,
    /// The release of the kernel: `%v`.
    pub kernel: Option<String>,
}

/// Formats that are used instead of those in the files.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Instead of every `Format=`.
    pub all: Option<String>,
    /// For partitions by what they are for (`root`, `usr`, `esp`...), whether they have a `Format=`
    /// or not.
    pub designators: BTreeMap<String, String>,
}

/// Which faults of systemd-repart are wanted, for images that are the same as its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compat {
    /// `GrowFileSystem=no` counts only with `ReadOnly=yes`.
    pub grow: bool,
    /// `Flags=` with a bit below 48 leaves a partition without any attribute.
    pub flags: bool,
}

/// Reads the definitions of directories, whose paths begin with `root`; symlinks do not lead out
/// of that. Of files with the same name the first directory's counts; they are in the order of
/// their names.
///
/// # Errors
/// [`Error::Definition`] for what is wrong in a file, [`Error::Source`] for what can't be read.
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

/// Reads definitions from texts with the names of their files.
///
/// # Errors
/// [`Error::Definition`] for what is wrong in one.
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

/// Where something is written.
#[derive(Debug, Clone, Copy)]
struct Location<'a> {
    file: &'a Path,
    /// From 1; 0 for the file as a whole.
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
