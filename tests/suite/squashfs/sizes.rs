//! Sizes beside those of mksquashfs.

use super::image::{Image, scratch};
use crate::oracle::shell;

/// Programs and their libraries, as in a root file system.
const PROGRAMS: &str = "/usr/sbin";
const LIBRARIES: &str = "/usr/share/perl";

#[test]
fn sizes_are_those_of_mksquashfs() {
    let source = scratch();
    shell(&format!("cp -a {PROGRAMS} {LIBRARIES} $1"), &[source.path()]);
    for (compress, options) in [
        ("gzip", "-comp gzip"),
        ("gzip:3", "-comp gzip -Xcompression-level 3"),
        ("zstd:3", "-comp zstd -Xcompression-level 3"),
        ("zstd", "-comp zstd"),
        ("lz4", "-comp lz4"),
        ("lz4:12", "-comp lz4 -Xhc -b 65536"),
        ("xz", "-comp xz"),
        ("zstd:2", "-comp zstd -Xcompression-level 2 -no-fragments"),
        ("zstd:1", "-comp zstd -Xcompression-level 1 -b 1048576"),
    ] {
        let scratch = scratch();
        let theirs = scratch.path().join("theirs");
        let script = format!("mksquashfs $1 $2 -quiet -no-progress {options}");
        shell(&script, &[source.path(), &theirs]);
        let mut arguments = vec![format!("--compress={compress}")];
        if options.contains("-no-fragments") {
            arguments.push("--no-fragments".into());
        }
        if let Some((_, bytes)) = options.split_once("-b ") {
            arguments.push(format!("--squashfs-block-size={bytes}"));
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let ours = Image::new(source.path(), &arguments).len();
        let theirs = theirs.metadata().unwrap().len();
        let is_close = ours * 100 <= theirs * 101;
        assert!(is_close, "{compress}: {ours} bytes, and {theirs} of mksquashfs");
    }
}
