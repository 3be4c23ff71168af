//! Reasons why a node can't be read.

use rustix::io::Errno;

/// Reason why a node can't be read.
#[derive(Debug)]
pub(super) enum NodeError {
    /// The node does not exist, or is not what its directory listed.
    Replaced,
    /// A system call failed: the operation, and the error.
    Refused(&'static str, Errno),
    /// A file system that the kernel generates is mounted on the node.
    Kernel(&'static str),
}

/// Converts a system call error to a [`NodeError`].
pub(super) fn refused(operation: &'static str) -> impl FnOnce(Errno) -> NodeError {
    move |error| match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO => NodeError::Replaced,
        _ => NodeError::Refused(operation, error),
    }
}
