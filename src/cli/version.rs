//! `detfs --version`.

use std::env::consts::{ARCH, OS};

use super::arguments::Version;
use super::print;
use super::repart::SYSTEMD_VERSION;
use crate::disk::LayoutVersion;
use crate::error::Result;

/// The C library that the program is linked with.
const C_LIBRARY: &str = if cfg!(target_env = "musl") { "musl" } else { "gnu" };

pub(super) fn run(args: &Version) -> Result<()> {
    let mut text = concat!("detfs ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
    if args.verbose {
        let layout = LayoutVersion::current();
        text += &format!("target {ARCH}-{OS}-{C_LIBRARY}\n");
        text += &format!("systemd-repart {SYSTEMD_VERSION}\n");
        text += &format!("layout {layout}\n");
        for (name, version) in layout.components() {
            text += &format!("{name} {version}\n");
        }
    }
    print(&text)
}
