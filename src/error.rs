//! The one error type of the library.
//!
//! Every error names what it is about (a path in the tree, a parameter, an output), the rule that
//! was broken and, where there is one, the remedy. Paths are bytes and are shown escaped.

use std::io;
use std::path::PathBuf;

use crate::name::{Escaped, HostPath};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an image can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is wrong, or does not go with another one.
    #[error("{parameter}: {rule}; {remedy}")]
    Parameter {
        /// The parameter as the caller knows it, say `--seed`.
        parameter: &'static str,
        /// What is wrong with it, with the value.
        rule: String,
        /// What would be right.
        remedy: String,
    },
    /// A definition file is wrong.
    #[error("{}:{}{rule}; {remedy}", HostPath(file), line_number(*line))]
    Definition {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1; 0 for the file as a whole.
        line: u32,
        /// What is wrong, with the value.
        rule: String,
        /// What would be right.
        remedy: String,
    },
    /// An image has no partition table that can be worked with.
    #[error("{}: {rule}; {remedy}", HostPath(image))]
    Label {
        /// The image.
        image: PathBuf,
        /// What is on it.
        rule: String,
        /// What would be right.
        remedy: &'static str,
    },
    /// A node of the tree can't be stored in the file system that is asked for.
    #[error("{}: {rule}; {remedy}", Escaped(path))]
    Unrepresentable {
        /// Path in the tree, without a leading slash; empty for the root.
        path: Vec<u8>,
        /// What the file system can't hold, with the numbers.
        rule: String,
        /// What to do about it.
        remedy: String,
    },
    /// A rule of [normalisation](crate::normalize) refuses what the tree has.
    #[error("{}: {rule}; {remedy}", Escaped(path))]
    Refused {
        /// Path in the tree, without a leading slash.
        path: Vec<u8>,
        /// The rule, what else it refuses, and why.
        rule: String,
        /// What to do about it.
        remedy: String,
    },
    /// The tree does not fit the size that is asked for.
    #[error("{what}: {rule}; {remedy}")]
    TooSmall {
        /// The file system or partition, say `ext4`.
        what: String,
        /// The shortfall, in the units of the file system.
        rule: String,
        /// The size that would do.
        remedy: String,
    },
    /// Reading the source failed.
    #[error("{}: {operation}: {source}; {}", Escaped(path), source_remedy(source))]
    Source {
        /// Path in the source tree; empty for its root.
        path: Vec<u8>,
        /// What was being done, say `cannot open`.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A source file was not the same when it was read as when the tree was listed.
    #[error("{}: {rule}; build from a tree that nothing writes to", Escaped(path))]
    Changed {
        /// Path in the source tree.
        path: Vec<u8>,
        /// What changed.
        rule: String,
    },
    /// A program that makes a tree failed.
    #[error("{tool}: cannot {doing}: {said}; {remedy}")]
    Tool {
        /// The program.
        tool: &'static str,
        /// What it was to do.
        doing: String,
        /// What it said.
        said: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Something is not what it was said to be.
    #[error("it differs from {what}: {rule}; {remedy}")]
    Differs {
        /// What says how it should be.
        what: String,
        /// All differences.
        rule: String,
        /// What to do about them.
        remedy: String,
    },
    /// Writing the image failed.
    #[error("{operation}: {source}; {}", output_remedy(source))]
    Output {
        /// What was being done, and to what.
        operation: String,
        /// What the system said.
        source: io::Error,
    },
}

fn line_number(line: u32) -> String {
    match line {
        0 => " ".into(),
        line => format!("{line}: "),
    }
}

fn source_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "read it as a user who may, or leave it out",
        io::ErrorKind::NotFound => "check the path, or build from a tree that nothing writes to",
        _ => "check the file system that it is on",
    }
}

fn output_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or write elsewhere"
        }
        io::ErrorKind::PermissionDenied => "write where you may, or as a user who may",
        io::ErrorKind::NotFound => "make its directory first",
        io::ErrorKind::IsADirectory => "give the name of a file",
        io::ErrorKind::ResourceBusy => "wait until nothing else uses it",
        io::ErrorKind::NotConnected => "redirect it to a file or a program",
        io::ErrorKind::BrokenPipe => "keep the reader until the end",
        _ => "check the file system or device that it is on",
    }
}

impl Error {
    /// Makes an [`Error::Parameter`].
    pub fn parameter(
        parameter: &'static str,
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Parameter { parameter, rule: rule.into(), remedy: remedy.into() }
    }

    /// Makes an [`Error::Unrepresentable`].
    pub fn unrepresentable(
        path: impl Into<Vec<u8>>,
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Unrepresentable { path: path.into(), rule: rule.into(), remedy: remedy.into() }
    }

    /// Makes an [`Error::Source`].
    pub fn source(
        path: impl Into<Vec<u8>>,
        operation: &'static str,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Source { path: path.into(), operation, source: source.into() }
    }

    /// Makes an [`Error::Output`].
    pub fn output(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Output { operation: operation.into(), source: source.into() }
    }

    /// The exit code of a program that fails with this error: 1 for a difference, 2 for parameters and definitions, 3
    /// for input that can't be represented or is refused, 4 for input and output.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Parameter { .. } | Self::Definition { .. } | Self::Label { .. } => 2,
            Self::Unrepresentable { .. } | Self::Refused { .. } | Self::TooSmall { .. } => 3,
            Self::Source { .. }
            | Self::Changed { .. }
            | Self::Output { .. }
            | Self::Tool { .. } => 4,
            Self::Differs { .. } => 1,
        }
    }
}
