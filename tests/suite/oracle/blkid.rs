//! Properties of file systems as libblkid finds them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::tool::run;

/// Returns the properties that blkid finds in an image.
pub fn blkid(image: &Path) -> BTreeMap<String, String> {
    let said =
        run("blkid", ["-p", "-o", "export"].map(OsStr::new).iter().chain([&image.as_os_str()]));
    let pairs = said.stdout.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
