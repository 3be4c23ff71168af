//! A format with as little as a format needs: a magic number and the content of all files.

use std::io;
use std::sync::Arc;

use crate::error::Result;
use crate::format::*;
use crate::size::{Headroom, KIB, MIB};
use crate::tree::{Kind, Tree};

pub(super) const MAGIC: &[u8; 4] = b"toy!";

#[derive(Debug)]
pub(super) struct Toy;

impl Format for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }
    fn layout_version(&self) -> u32 {
        1
    }
    fn recognize(&self, image: &dyn crate::ReadAt, size: u64) -> io::Result<bool> {
        let mut magic = [0; 4];
        Ok(size >= 4 * KIB && image.read_exact_at(0, &mut magic).map(|()| magic == *MAGIC)?)
    }
    fn limits(&self, _: u32) -> Result<SizeLimits> {
        Ok(SizeLimits { min: 4 * KIB, max: u64::MAX, multiple: 1 })
    }
    fn holds(&self) -> Holds {
        Holds::UNIX
    }
    fn for_partition(&self, _: &PartitionSettings<'_>) -> Result<Arc<dyn Format>> {
        Ok(Arc::new(Self))
    }
    fn prepare(&self, inputs: FsInputs<'_>) -> Result<Box<dyn PreparedFs>> {
        Ok(Box::new(inputs.tree))
    }
}

impl PreparedFs for Arc<Tree> {
    fn plan(&self, size: u64, _: u64) -> Result<PlannedFs> {
        let (mut layout, mut end) = (crate::layout::Layout::new(size), 4 * KIB);
        layout.push_bytes(0, MAGIC.to_vec());
        let number = layout.add_tree(Arc::clone(self));
        for (id, inode) in self.iter() {
            if let Kind::File { size, .. } = inode.kind {
                layout.push_content(end, size, number, id, 0);
                end += size;
            }
        }
        let file_system = FileSystem::new("toy", crate::Uuid::nil(), String::new(), size);
        Ok(PlannedFs { layout, file_system, warnings: Vec::new() })
    }
    fn plan_smallest(&self, _: Option<Headroom>) -> Result<PlannedFs> {
        self.plan(MIB, 0)
    }
}
