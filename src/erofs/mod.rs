//! erofs: plans a read-only file system from a tree, with every address assigned before a byte is
//! written.

mod spec;
