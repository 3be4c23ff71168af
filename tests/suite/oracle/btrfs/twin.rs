//! The image that mkfs.btrfs creates from the same tree.

use std::path::Path;

use super::super::tool::run;
use super::super::{Verdict, oracle_error};
use super::mount::mount_btrfs;

/// Creates an image of a tree with mkfs.btrfs, and calls `look` with its mounted root.
///
/// Version 6.2 loses device numbers, nanoseconds and the time of the root, and does not support
/// symlinks of 4095 bytes.
pub fn twin<T>(source: &Path, look: impl FnOnce(&Path) -> T) -> Verdict<T> {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("twin");
    std::fs::File::create(&image).unwrap().set_len(4 << 30).unwrap();
    let args = ["-q".as_ref(), "--rootdir".as_ref(), source.as_os_str(), image.as_os_str()];
    let said = run("mkfs.btrfs", args);
    if !said.ok {
        return oracle_error(format!("mkfs.btrfs: {}", said.all()));
    }
    mount_btrfs(&image, look)
}

#[cfg(test)]
mod tests {
    use super::super::super::Comparison;
    use super::super::super::tool::shell;
    use super::super::tests::Sample;
    use super::*;

    #[test]
    fn a_twin_is_alike_and_another_is_not() {
        let sample = Sample::new();
        let above = sample.beside("above");
        let script = "find $1 -exec touch -h -d @1600000000 {} +; mkdir $2; cp -a $1 $2/tree";
        shell(script, &[&sample.source, &above]);
        let look = |root: &Path| Comparison::exact().compare(&sample.source, &root.join("tree"));
        twin(&above, look).unwrap().unwrap();
        shell("rm $1/tree/link; touch -d @1600000000 $1/tree", &[&above]);
        let error_text = twin(&above, look).unwrap().unwrap_err().0;
        assert_eq!(error_text, "1 differences:\nlink: missing");
        twin(&sample.beside("missing"), |_| ()).unwrap_err();
    }
}
