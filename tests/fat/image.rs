//! Images in sparse files.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use detfs::fat::{Options, Plan, Variant, plan};
use detfs::layout::{Fill, Layout};

use crate::sample::Sample;

pub(crate) struct Image {
    pub(crate) path: PathBuf,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) plan: Plan,
}

/// Writes an image to a sparse file.
fn emit(layout: &Layout, content: &BTreeMap<String, Arc<Vec<u8>>>, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(layout.size()).unwrap();
    for region in layout.regions() {
        let (from, len) = (region.from, usize::try_from(region.len).unwrap());
        match region.fill {
            Fill::Bytes(number) => {
                file.write_all_at(&layout.bytes_of(number)[from as usize..][..len], region.offset)
                    .unwrap();
            }
            Fill::Render(number) => {
                let mut bytes = vec![0; len];
                layout.render_of(number).render(from, &mut bytes).unwrap();
                file.write_all_at(&bytes, region.offset).unwrap();
            }
            Fill::Content { tree, inode } => {
                let path = String::from_utf8(layout.tree_of(tree).path(inode)).unwrap();
                // Files without content in the sample consist of zeros.
                if let Some(bytes) = content.get(&path) {
                    file.write_all_at(&bytes[from as usize..][..len], region.offset).unwrap();
                }
            }
        }
    }
}

impl Image {
    pub(crate) fn new(sample: Sample, options: &Options) -> Self {
        let (tree, content) = sample.finish();
        let mut plan = plan(&tree, options).unwrap();
        plan.layout = plan.layout.seal();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        emit(&plan.layout, &content, &path);
        Self { path, directory, plan }
    }

    pub(crate) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    pub(crate) fn u16(&self, offset: u64) -> u64 {
        u64::from(u16::from_le_bytes(self.read(offset, 2).try_into().unwrap()))
    }

    pub(crate) fn u32(&self, offset: u64) -> u64 {
        u64::from(u32::from_le_bytes(self.read(offset, 4).try_into().unwrap()))
    }

    /// Returns the variant and the number of clusters as a reader determines them by Microsoft's
    /// specification.
    pub(crate) fn as_read(&self) -> (Variant, u64) {
        let either = |short, long| if short == 0 { long } else { short };
        let sector = self.u16(11);
        let fat = either(self.u16(22), self.u32(36));
        let root = (self.u16(17) * 32).div_ceil(sector);
        let total = either(self.u16(19), self.u32(32));
        assert_eq!(total * sector, self.plan.layout.size());
        let data = total - (self.u16(14) + u64::from(self.read(16, 1)[0]) * fat + root);
        let clusters = data / u64::from(self.read(13, 1)[0]);
        let variant = match clusters {
            0..4085 => Variant::Fat12,
            4085..65_525 => Variant::Fat16,
            _ => Variant::Fat32,
        };
        (variant, clusters)
    }

    /// Returns the number of used clusters in the first FAT of a FAT32, and the first free cluster.
    pub(crate) fn used(&self, clusters: u64) -> (u64, u64) {
        let len = usize::try_from(4 * (clusters + 2)).unwrap();
        let fat = self.read(self.u16(14) * self.u16(11), len);
        let free = |entry: &[u8]| entry == [0; 4];
        let used = fat.chunks(4).skip(2).filter(|entry| !free(entry)).count() as u64;
        (used, fat.chunks(4).position(free).unwrap_or_default() as u64)
    }
}
