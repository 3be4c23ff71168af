//! Values that are used where none are given, as far as they change bytes.

/// Version of all defaults, of the clamping of times, of the windows of holes, of swap areas, and
/// of entries of boot loaders.
pub(super) const LAYOUT_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::io;
    use std::sync::Arc;

    use positioned_io::ReadAt;

    use super::super::{ALIGNMENT, esp, image_options};
    use super::*;
    use crate::format::{Format, FsInputs};
    use crate::formats::Formats;
    use crate::size::{GIB, MIB};
    use crate::tree::{
        GRANULE, HoleScan, Metadata, Node, SCAN_MIN_SIZE, Tree, TreeBuilder, WINDOW,
    };

    const GOLDEN: &str = include_str!("../../testdata/golden/defaults.txt");

    /// Content that is not read by a plan.
    struct Ones;

    impl ReadAt for Ones {
        fn read_at(&self, _: u64, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(1);
            Ok(buffer.len())
        }
    }

    /// Returns a tree of `count` files of 1 GiB.
    fn tree(count: u8) -> Arc<Tree> {
        let mut builder = TreeBuilder::new(Metadata::default()).unwrap();
        for number in 0..count {
            let content = builder.content(Arc::new(Ones)).unwrap();
            let node = Node::File { size: GIB, content };
            builder.add(TreeBuilder::ROOT, &[b'a' + number], Metadata::default(), node).unwrap();
        }
        Arc::new(builder.finish().unwrap())
    }

    /// Returns a line for each default of a format. Sizes are in bytes: those that 0 and 3 GiB of
    /// files take are without headroom, with the default one, and for `Minimize=guess`.
    fn format_lines(format: &dyn Format) -> String {
        let name = format.name();
        let parameters = serde_json::to_string(&format.parameters()).unwrap();
        let mut lines = format!("{name}: {parameters}\n");
        let minima = [(false, 512), (true, 512), (true, 4096)];
        let minima = minima.map(|(is_boot, sector)| format.partition_min(is_boot, sector));
        writeln!(lines, "{name}: partitions of at least {minima:?}").unwrap();
        let is_compressed = || {
            let inputs = FsInputs::new(tree(0), HoleScan::default(), crate::Uuid::nil());
            !format.prepare(inputs).unwrap().codecs().is_empty()
        };
        // The size of compressed content is no default.
        let counts = if is_compressed() { &[0][..] } else { &[0, 3] };
        for &count in counts {
            let inputs = FsInputs::new(tree(count), HoleScan::default(), crate::Uuid::nil());
            let prepared = format.prepare(inputs).unwrap();
            let default = prepared.plan_smallest(None).unwrap().file_system.size;
            let sizes =
                [prepared.smallest_size().unwrap(), default, prepared.roomy_size().unwrap()];
            writeln!(lines, "{name}: {count} GiB take {sizes:?}").unwrap();
        }
        lines
    }

    #[test]
    fn defaults_are_those_of_their_version() {
        let mut now = format!("defaults {LAYOUT_VERSION}\n");
        Formats::default().iter().for_each(|format| now += &format_lines(format));
        let image_options::Options { root, sector_size, esp_fat, xbootldr, bios_boot, .. } =
            image_options::Options::default();
        writeln!(
            now,
            "disk: {}, sectors {}, {esp_fat:?}, XBOOTLDR {xbootldr}, BIOS boot {bios_boot}",
            root.name(),
            sector_size.bytes()
        )
        .unwrap();
        writeln!(now, "disk: alignment {ALIGNMENT}").unwrap();
        for (content, is_variant_given) in [(0, false), (0, true), (300 * MIB, false)] {
            let sizes = [512, 4096].map(|sector| esp::size(content, is_variant_given, sector));
            writeln!(now, "ESP: {content} take {sizes:?}, variant {is_variant_given}").unwrap();
        }
        writeln!(now, "holes: {GRANULE} in {WINDOW}, files from {SCAN_MIN_SIZE}").unwrap();
        assert!(
            now == GOLDEN,
            "the defaults are\n{now}instead of\n{GOLDEN}raise the version of the component \
             `defaults`, or take the change back"
        );
    }
}
