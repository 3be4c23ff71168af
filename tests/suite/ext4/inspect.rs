//! Parses the output of debugfs and dumpe2fs.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use crate::oracle::run;

/// Returns the output of debugfs for a request.
pub fn debugfs(image: &Path, request: &str) -> String {
    ask(image, request, &[])
}

/// Runs a request with debugfs that changes the image.
pub fn debugfs_writes(image: &Path, request: &str) {
    ask(image, request, &["-w"]);
}

/// Runs debugfs.
///
/// Its status is 0 even if a request fails, but then it prints an error.
fn ask(image: &Path, request: &str, options: &[&str]) -> String {
    let mut args: Vec<&OsStr> = options.iter().map(OsStr::new).collect();
    args.extend(["-R".as_ref(), request.as_ref(), image.as_os_str()]);
    let said = run("debugfs", args);
    assert!(said.ok && said.stderr.lines().count() == 1, "{request}: {}", said.all());
    said.stdout
}

/// Returns the value of a field in the output of `dumpe2fs -h`.
pub fn superblock_field(image: &Path, name: &str) -> String {
    let said = run("dumpe2fs", ["-h".as_ref(), image.as_os_str()]);
    assert!(said.ok, "{}", said.all());
    let value = said.stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {}", said.stdout)).trim().to_owned()
}

/// Returns the number after `name` in the output of `debugfs stat`.
pub fn inode_field(image: &Path, path: &str, name: &str) -> u64 {
    let text = debugfs(image, &format!("stat {path}"));
    let (_, behind) = text.split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("{text}"));
    let number = behind.split_whitespace().next().unwrap();
    number.parse().unwrap_or_else(|error| panic!("{name} {number}: {error}"))
}

/// Returns the numbers after `name` in the output of `debugfs stat` for many files.
pub fn inode_fields(image: &Path, paths: impl Iterator<Item = String>, name: &str) -> Vec<u64> {
    let mut requests = tempfile::NamedTempFile::new().unwrap();
    paths.for_each(|path| writeln!(requests, "stat {path}").unwrap());
    let said = run("debugfs", ["-f".as_ref(), requests.path().as_os_str(), image.as_os_str()]);
    assert!(said.ok && said.stderr.lines().count() == 1, "{}", said.all());
    let behind = said.stdout.lines().filter_map(|line| Some(line.split_once(name)?.1));
    behind.map(|text| text.trim_start_matches(':').trim().parse().unwrap()).collect()
}

/// Returns the physical block of a logical block of a file.
pub fn block_of(image: &Path, path: &str, logical: u64) -> u64 {
    debugfs(image, &format!("bmap {path} {logical}")).trim().parse().unwrap()
}

/// An extent of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub logical: u64,
    pub start: u64,
    pub len: u64,
}

/// The extent tree of a file.
#[derive(Debug)]
pub struct Extents {
    pub depth: u64,
    /// The blocks of the tree, parents first.
    pub index: Vec<u64>,
    pub list: Vec<Extent>,
}

/// Reads the extent tree of a file.
pub fn extents(image: &Path, path: &str) -> Extents {
    let text = debugfs(image, &format!("ex {path}"));
    let mut extents = Extents { depth: 0, index: Vec::new(), list: Vec::new() };
    for line in text.lines().skip(1) {
        let words = line.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        match numbers[..] {
            [level, depth, _, _, logical, _, start, _, len] if level == depth => {
                extents.depth = depth;
                extents.list.push(Extent { logical, start, len });
            }
            [level, depth, _, _, _, _, block, _] if level < depth => extents.index.push(block),
            _ => panic!("{line}"),
        }
    }
    extents
}

/// Returns the number of levels of a directory's index below the root, and all hashes of all its
/// nodes.
pub fn index(image: &Path, path: &str) -> (u32, Vec<u32>) {
    let text = debugfs(image, &format!("htree_dump {path}"));
    let levels = text.lines().find_map(|line| line.trim().strip_prefix("Indirect levels: "));
    let hashes = text.lines().filter_map(|line| {
        let (_, behind) = line.trim().strip_prefix("Entry #")?.split_once("Hash 0x")?;
        u32::from_str_radix(behind.split(',').next()?, 16).ok()
    });
    (levels.expect("it is indexed").parse().unwrap(), hashes.collect())
}
