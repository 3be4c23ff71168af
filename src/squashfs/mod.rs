//! squashfs 4.0: a compressed file system that is only read.

mod spec;
