//! The error type of the library.
//!
//! Every error names its subject (a path in the tree, an option, an output), the rule that was
//! broken and, where there is one, the remedy. Paths are bytes and are shown escaped.

use std::io;
use std::path::PathBuf;

use crate::name::{Escaped, HostPath};
use crate::size::{exact, typed};

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why an image can't be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is invalid, or conflicts with another one.
    #[error("{field}: {rule}; {remedy}")]
    Parameter {
        /// The option, as a dotted name: `ext4.block_size`, `label`. The texts name other options
        /// in the same way, in backticks.
        field: &'static str,
        /// The problem, with the value.
        rule: String,
        /// A valid alternative.
        remedy: String,
    },
    /// A definition file is invalid.
    #[error("{}:{}{rule}; {remedy}", HostPath(file), line_number(*line))]
    Definition {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1; 0 for the file as a whole.
        line: u32,
        /// The problem, with the value.
        rule: String,
        /// A valid alternative.
        remedy: String,
    },
    /// An image has no usable partition table.
    #[error("{}: {rule}; {remedy}", HostPath(image))]
    Label {
        /// The image.
        image: PathBuf,
        /// The content that was found.
        rule: String,
        /// A valid alternative.
        remedy: &'static str,
    },
    /// The requested file system can't store a node of the tree.
    #[error("{}: {rule}; {remedy}", Escaped(path))]
    Unrepresentable {
        /// Path in the tree, without a leading slash; empty for the root.
        path: Vec<u8>,
        /// The limit of the file system, with the numbers.
        rule: String,
        /// How to avoid the error.
        remedy: String,
    },
    /// A [normalization](crate::normalize) rule rejects something in the tree.
    #[error("{}: {rule}; {remedy}", Escaped(path))]
    Refused {
        /// Path in the tree, without a leading slash.
        path: Vec<u8>,
        /// The rule, the other paths that it rejects, and the reason.
        rule: String,
        /// How to avoid the error.
        remedy: String,
    },
    /// The image would not boot, though that was requested.
    #[error("the image would not boot: {reason}; {remedy}")]
    Unbootable {
        /// What is missing or wrong.
        reason: String,
        /// How to avoid the error.
        remedy: String,
    },
    /// The requested size is too small for the content.
    #[error(
        "{what}: {} is too small{}; use at least {}",
        exact(*available),
        in_parentheses(detail),
        typed(*needed)
    )]
    TooSmall {
        /// The file system, image or device, such as `ext4`.
        what: String,
        /// The shortage in the units of the file system, or its cause; may be empty.
        detail: String,
        /// The smallest sufficient size, in bytes.
        needed: u64,
        /// The size, in bytes.
        available: u64,
    },
    /// A source could not be read.
    #[error("{}: {operation}: {source}; {}", Escaped(path), source_remedy(source))]
    Source {
        /// Path in the source tree; empty for its root.
        path: Vec<u8>,
        /// The failed operation, such as `cannot open`.
        operation: &'static str,
        /// The error from the system.
        source: io::Error,
    },
    /// A source file changed between listing the tree and reading the file.
    #[error("{}: {rule}; build from a tree that nothing writes to", Escaped(path))]
    Changed {
        /// Path in the source tree.
        path: Vec<u8>,
        /// The change.
        rule: String,
    },
    /// A program that creates a tree failed.
    #[error("{tool}: cannot {doing}: {said}; {remedy}")]
    Tool {
        /// The program.
        tool: &'static str,
        /// The failed operation.
        doing: String,
        /// The error message of the program.
        said: String,
        /// How to avoid the error.
        remedy: &'static str,
    },
    /// A result differs from its specification.
    #[error("{what} differs from {specification}: {rule}; {remedy}")]
    Differs {
        /// The result, such as `the list of packages`.
        what: &'static str,
        /// The specification, such as `the lock`.
        specification: &'static str,
        /// All differences.
        rule: String,
        /// How to resolve them.
        remedy: String,
    },
    /// An archive is truncated, corrupt or ambiguous, or has a member that a tree can't have.
    #[error("{}: {}at byte {offset}: {rule}; {remedy}", HostPath(archive), member_name(member))]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// Name of the member in the archive; empty for the archive as a whole.
        member: Vec<u8>,
        /// Offset of the member's header in the decompressed archive, or of the fault.
        offset: u64,
        /// The problem, with the value.
        rule: String,
        /// How to avoid the error.
        remedy: &'static str,
    },
    /// An [observer](crate::progress::Observer) has cancelled the build.
    #[error("the build was cancelled; start it again for an image")]
    Cancelled,
    /// The image could not be written.
    #[error("{operation}: {source}; {}", output_remedy(source))]
    Output {
        /// The failed operation and its object.
        operation: String,
        /// The error from the system.
        source: io::Error,
    },
}

fn line_number(line: u32) -> String {
    match line {
        0 => " ".into(),
        line => format!("{line}: "),
    }
}

fn member_name(member: &[u8]) -> String {
    match member {
        b"" => String::new(),
        member => format!("{} ", Escaped(member)),
    }
}

/// Returns the detail of an error in parentheses, after a space; nothing for an empty detail.
pub(crate) fn in_parentheses(detail: &str) -> String {
    match detail {
        "" => String::new(),
        detail => format!(" ({detail})"),
    }
}

fn source_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run with read permission, or leave it out",
        io::ErrorKind::NotFound => "check the path",
        _ => "check the underlying file system",
    }
}

fn output_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space, or write elsewhere"
        }
        io::ErrorKind::PermissionDenied => "write elsewhere, or run with write permission",
        io::ErrorKind::NotFound => "create the parent directory first",
        io::ErrorKind::IsADirectory => "give a file name",
        io::ErrorKind::ResourceBusy => "wait until no other process uses it",
        io::ErrorKind::NotConnected => "redirect the output to a file or a program",
        io::ErrorKind::BrokenPipe => "keep the reading program running until the end",
        _ => "check the underlying file system or device",
    }
}

impl Error {
    /// Creates an [`Error::Parameter`]: the value of `field` breaks `rule`, and `remedy` helps.
    pub fn parameter(
        field: &'static str,
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Parameter { field, rule: rule.into(), remedy: remedy.into() }
    }

    /// Creates an [`Error::Unrepresentable`].
    pub fn unrepresentable(
        path: impl Into<Vec<u8>>,
        rule: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Unrepresentable { path: path.into(), rule: rule.into(), remedy: remedy.into() }
    }

    /// Returns the same error with `path` as the path of what can't be represented.
    pub(crate) fn with_path(self, path: &[u8]) -> Self {
        match self {
            Self::Unrepresentable { rule, remedy, .. } => {
                Self::Unrepresentable { path: path.to_vec(), rule, remedy }
            }
            error => error,
        }
    }

    /// Creates an [`Error::Source`].
    pub fn source(
        path: impl Into<Vec<u8>>,
        operation: &'static str,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Source { path: path.into(), operation, source: source.into() }
    }

    /// Creates an [`Error::Output`].
    pub fn output(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Output { operation: operation.into(), source: source.into() }
    }

    /// Returns the exit code of a program that fails with this error.
    ///
    /// - 1: a difference
    /// - 2: invalid parameters, definitions and partition tables
    /// - 3: input that can't be represented or is rejected
    /// - 4: input and output
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Parameter { .. } | Self::Definition { .. } | Self::Label { .. } => 2,
            Self::Unrepresentable { .. }
            | Self::Refused { .. }
            | Self::Archive { .. }
            | Self::Unbootable { .. }
            | Self::TooSmall { .. } => 3,
            Self::Source { .. }
            | Self::Changed { .. }
            | Self::Output { .. }
            | Self::Tool { .. }
            | Self::Cancelled => 4,
            Self::Differs { .. } => 1,
        }
    }
}
