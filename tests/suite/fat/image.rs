//! Images in sparse files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use detfs::fat::{Options, Plan, Variant, plan};
use detfs::layout::{Fill, Layout};

use super::sample::Sample;
use crate::oracle::{extract_fat, fsck_fat};

pub struct Image {
    pub path: PathBuf,
    pub directory: tempfile::TempDir,
    pub plan: Plan,
}

/// Writes an image to a sparse file.
fn emit(layout: &Layout, content: &BTreeMap<String, Arc<Vec<u8>>>, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(layout.size()).unwrap();
    for region in layout.regions() {
        let [from, len] = [region.from, region.len].map(|n| usize::try_from(n).unwrap());
        match region.fill {
            Fill::Bytes(number) => {
                file.write_all_at(&layout.bytes_of(number)[from..][..len], region.offset).unwrap();
            }
            Fill::Render(number) => {
                let mut bytes = vec![0; len];
                layout.render_of(number).render(region.from, &mut bytes).unwrap();
                file.write_all_at(&bytes, region.offset).unwrap();
            }
            Fill::Content { tree, inode } => {
                let path = String::from_utf8(layout.tree_of(tree).path(inode)).unwrap();
                // Files without content in the sample consist of zeros.
                if let Some(bytes) = content.get(&path) {
                    file.write_all_at(&bytes[from..][..len], region.offset).unwrap();
                }
            }
        }
    }
}

/// Returns all paths below a directory, and the content of files.
fn listing(root: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let path = prefix.clone() + entry.file_name().to_str().unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push((entry.path(), format!("{path}/")));
                found.insert(path, None);
            } else {
                found.insert(path, Some(fs::read(entry.path()).unwrap()));
            }
        }
    }
    found
}

/// Returns the files that mtools copies from an image to `out` in its directory.
pub fn extracted(image: &Image) -> BTreeMap<String, Option<Vec<u8>>> {
    let out = image.directory.path().join("out");
    fs::create_dir(&out).unwrap();
    extract_fat(&image.path, &out).unwrap();
    listing(&out)
}

/// Returns the expected paths and content.
pub fn expected(sample: &Sample) -> BTreeMap<String, Option<Vec<u8>>> {
    let files = sample.content.iter().map(|(path, bytes)| (path.clone(), Some(bytes.to_vec())));
    let directories = sample.directories.keys().filter(|path| !path.is_empty());
    files.chain(directories.map(|path| (path.clone(), None))).collect()
}

impl Image {
    pub fn new(sample: Sample, options: &Options) -> Self {
        let (tree, content) = sample.finish();
        let mut plan = plan(&tree, options).unwrap();
        plan.layout = plan.layout.seal();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        emit(&plan.layout, &content, &path);
        Self { path, directory, plan }
    }

    /// Checks the image with fsck.fat, and that readers see the planned variant.
    pub fn check(&self) {
        fsck_fat(&self.path).unwrap();
        let (variant, clusters) = self.as_read();
        assert_eq!(variant, self.plan.variant, "{clusters} clusters");
    }

    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        File::open(&self.path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let file = File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }

    pub fn u16(&self, offset: u64) -> u64 {
        u64::from(u16::from_le_bytes(self.read(offset, 2).try_into().unwrap()))
    }

    pub fn u32(&self, offset: u64) -> u64 {
        u64::from(u32::from_le_bytes(self.read(offset, 4).try_into().unwrap()))
    }

    /// Returns the variant and the number of clusters as a reader determines them by Microsoft's
    /// specification.
    pub fn as_read(&self) -> (Variant, u64) {
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
    pub fn used(&self, clusters: u64) -> (u64, u64) {
        let len = usize::try_from(4 * (clusters + 2)).unwrap();
        let fat = self.read(self.u16(14) * self.u16(11), len);
        let free = |entry: &[u8]| entry == [0; 4];
        let used = fat.chunks(4).skip(2).filter(|entry| !free(entry)).count() as u64;
        (used, fat.chunks(4).position(free).unwrap_or_default() as u64)
    }
}
