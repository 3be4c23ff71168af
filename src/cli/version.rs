//! `detfs --version`.

use super::arguments::Version;
use super::print;
use crate::disk::LayoutVersion;
use crate::error::Result;

pub(super) fn run(args: &Version) -> Result<()> {
    let mut text = concat!("detfs ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    if args.verbose {
        let layout = LayoutVersion::current();
        text += &format!("layout {layout}\n");
        for (name, version) in layout.components() {
            text += &format!("{name} {version}\n");
        }
    }
    print(&text)
}
