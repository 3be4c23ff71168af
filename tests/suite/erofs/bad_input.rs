//! Inputs that can't be stored in erofs are rejected with one line that names the path, the rule
//! and a remedy, and no output is left.

use super::image::{scratch, tree};
use crate::bad_input::{UNREPRESENTABLE, USAGE, check};
use crate::detfs::{mkfs, mkimage};
use crate::tree::LATEST;

#[test]
fn parameters_out_of_range() {
    let source = tree("seq 9999 >file");
    let results = scratch();
    let out = results.path().join("image");
    for (options, code, words) in [
        (&["--label=seventeen-bytes-a"][..], USAGE, &["--label", "17", "16"][..]),
        (
            &["--label=sixteen-bytes-ab", "--erofs-profile=linux-6.1"],
            USAGE,
            &["--label", "15", "linux-6.1"],
        ),
        (&["--size=100001"], USAGE, &["--size", "102400"]),
        (&["--size=16T"], USAGE, &["--size"]),
        (&["--size=4096"], UNREPRESENTABLE, &["--size", "at least"]),
        (&["--erofs-cluster-size=4K"], USAGE, &["--erofs-cluster-size", "8K to 1M"]),
        (&["--erofs-cluster-size=96K"], USAGE, &["--erofs-cluster-size"]),
        (&["--erofs-profile=linux-5.3"], USAGE, &["--erofs-profile", "linux-5.3"]),
    ] {
        check(&mut mkfs("erofs", source.path(), &out, LATEST, options), code, words);
        assert!(!out.exists());
    }
    for (options, words) in [
        (&["--headroom=10%"][..], &["--headroom", "read-only"][..]),
        (&["--swapfile=swap:1M"], &["--swapfile", "erofs"]),
        (&["--btrfs-metadata=dup"], &["--btrfs-metadata", "btrfs"]),
        (&["--inodes=3"], &["--inodes", "ext4"]),
    ] {
        let options = [&["--fs=erofs", "--architecture=x86-64"], options].concat();
        check(&mut mkimage(source.path(), &out, LATEST, &options), USAGE, words);
        assert!(!out.exists());
    }
    let of_erofs = ["--erofs-profile=linux-6.1", "--architecture=x86-64"];
    let words = ["--erofs-profile", "only valid for erofs"];
    check(&mut mkimage(source.path(), &out, LATEST, &of_erofs), USAGE, &words);
}

#[test]
fn a_file_that_is_too_large() {
    let results = scratch();
    let out = results.path().join("image");
    let source = tree("mkdir d; truncate -s 17T d/file");
    let words = ["d/file", "17592186036224", "leave it out"];
    check(&mut mkfs("erofs", source.path(), &out, LATEST, &[]), UNREPRESENTABLE, &words);
    assert!(!out.exists());
}
