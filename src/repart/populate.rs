//! Populates the tree of a partition from `CopyFiles=`, `MakeDirectories=` and `MakeSymlinks=`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::root_path::{beneath, join, resolve, resolve_directory, split, strip};
use super::validate::Validate;
use super::{CopyFiles, Definition, Subvolume, TreePath};
use crate::error::{Error, Result};
use crate::format::{self, Format, Holds, LeaveOut};
use crate::name::Escaped;
use crate::place;
use crate::report::Warning;
#[cfg(feature = "tar")]
use crate::tar::Tar;
use crate::time::Timestamp;
#[cfg(feature = "tar")]
use crate::tree::Source;
use crate::tree::dir::{self, DirOptions, Exclude};
use crate::tree::host_xattrs::HostXattrs;
use crate::tree::{HardLinks, InodeId, Kind, NameTaken, Tree, TreeMerge};

/// Directories whose content only matters to the running system, and is not copied.
const TRANSIENT: [&[u8]; 6] = [b"proc", b"sys", b"dev", b"tmp", b"run", b"var/tmp"];

/// The inputs that a tree is populated from.
pub(super) struct PopulateRequest<'a> {
    pub(super) definition: &'a Definition,
    /// The format of the file system.
    pub(super) format: &'a dyn Format,
    /// The root that files are copied from.
    pub(super) copy_source: &'a Path,
    /// The tree of that root, if its files are not copied as they are.
    pub(super) tree: Option<&'a Tree>,
    /// The path of the new or existing image, without symlinks: the image must not contain itself.
    pub(super) image: Option<PathBuf>,
    /// Directories of a root file system that are left empty.
    pub(super) empty_dirs: &'a [TreePath],
    pub(super) validate: Option<&'a Validate>,
    /// Timestamp of the inodes that are created; `None` for the newest copied timestamp.
    pub(super) epoch: Option<Timestamp>,
    pub(super) threads: NonZero<usize>,
    /// Directory for the content of compressed archives.
    #[cfg(feature = "tar")]
    pub(super) spool: &'a Path,
    pub(super) hard_links: HardLinks,
    /// Whether all hard links of an excluded file are excluded.
    pub(super) excludes_by_inode: bool,
    /// Whether FAT leaves out everything that it can't store.
    pub(super) vfat_leaves_out: bool,
}

/// A populated tree with its warnings.
pub(super) struct Populated {
    pub(super) tree: Tree,
    pub(super) warnings: Vec<Warning>,
    pub(super) subvolumes: Vec<format::Subvolume>,
}

/// Populates the tree of a partition.
///
/// # Errors
/// The errors of reading the sources, and [`Error::Definition`] for settings that contradict each
/// other.
pub(super) fn populate(request: &PopulateRequest<'_>) -> Result<Populated> {
    let definition = request.definition;
    let mut work = Populator {
        request,
        merge: TreeMerge::new(),
        warnings: Vec::new(),
        has_root: false,
        hidden: request.hidden_inodes()?,
    };
    let locate = |setting| move |error| definition.locate_path(setting, error);
    for line in &definition.copy_files {
        work.copy(line).map_err(locate("CopyFiles"))?;
    }
    for path in &definition.make_directories {
        work.merge.make_directory(path).map_err(locate("MakeDirectories"))?;
    }
    for link in &definition.make_symlinks {
        work.symlink(&link.path, &link.target).map_err(locate("MakeSymlinks"))?;
    }
    if let Some(validate) = request.validate {
        let xattrs = &mut work.merge.metadata(TreeMerge::ROOT).xattrs;
        for xattr in validate.xattrs() {
            xattrs.retain(|there| there.name != xattr.name);
            xattrs.push(xattr);
        }
    }
    let Populator { merge, mut warnings, .. } = work;
    let mut tree = merge.finish(request.epoch)?;
    tree.apply_hard_links(request.hard_links)?;
    let left_out = request.leave_out(tree)?;
    tree = left_out.0;
    warnings.extend(left_out.1);
    let mut subvolumes: Vec<format::Subvolume> = Vec::new();
    let wanted = match request.format.holds().contains(Holds::SUBVOLUMES) {
        true => &*definition.subvolumes,
        false => &[],
    };
    for subvolume in wanted {
        let Subvolume { path, read_only, nodatacow, .. } = subvolume;
        let is_directory = tree.find(path).map(|id| tree.inode(id).kind == Kind::Directory);
        match is_directory {
            Some(true) if path.is_empty() => {
                if *read_only || *nodatacow {
                    let message =
                        "flags of Subvolumes=/ have no effect: it is the top level".into();
                    warnings.push(Warning { path: Vec::new(), message });
                }
            }
            // Merged definitions may both name it.
            Some(true) if subvolumes.iter().any(|other| other.path == *path) => {}
            Some(true) => subvolumes.push(format::Subvolume {
                path: path.clone(),
                read_only: *read_only,
                nodatacow: *nodatacow,
            }),
            Some(false) => return Err(subvolume.fault("is not a directory")),
            None => return Err(subvolume.fault("is not in the file system")),
        }
    }
    Ok(Populated { tree, warnings, subvolumes })
}

impl Subvolume {
    fn fault(&self, rule: &str) -> Error {
        Error::Definition {
            file: self.file.clone(),
            line: self.line,
            rule: format!("Subvolumes=: /{} {rule}", Escaped(&self.path)),
            remedy: "copy it, make it with MakeDirectories=, or leave it out".into(),
        }
    }
}

/// A path in the source that is excluded.
struct Excluded {
    path: TreePath,
    /// Whether the directory itself is kept, and only its content is excluded.
    content: bool,
}

impl Excluded {
    fn takes(&self, path: &[u8]) -> bool {
        let Self { path: excluded, content } = self;
        strip(path, excluded).is_some_and(|rest| !content || !rest.is_empty())
    }
}

/// Device and inode number, and whether only the content of the directory is excluded.
type HiddenInodes = BTreeSet<(u64, u64, bool)>;

struct Populator<'a> {
    request: &'a PopulateRequest<'a>,
    merge: TreeMerge,
    warnings: Vec<Warning>,
    /// Whether the root has already taken over the metadata of a copied directory.
    has_root: bool,
    hidden: HiddenInodes,
}

impl Populator<'_> {
    /// Carries out a line of `CopyFiles=`.
    fn copy(&mut self, line: &CopyFiles) -> Result<()> {
        let PopulateRequest { definition, copy_source, .. } = self.request;
        let whole = |excluded: &(TreePath, bool), path: &[u8]| strip(path, &excluded.0).is_some();
        if definition.exclude_files.iter().any(|excluded| whole(excluded, &line.source))
            || definition.exclude_files_target.iter().any(|excluded| whole(excluded, &line.target))
        {
            return Ok(());
        }
        let Some(source) = resolve(copy_source, &line.source)? else {
            self.warn(&line.source, "nothing to copy");
            return Ok(());
        };
        if self.request.tree.is_some_and(|tree| tree.find(&source).is_none()) {
            self.warn(&line.source, "nothing to copy, because it was removed from the tree");
            return Ok(());
        }
        if line.fsverity {
            self.warn(&line.source, "fs-verity is not preserved; the files are copied without it");
        }
        if TRANSIENT.contains(&&*source) {
            self.warn(&line.source, "its content is not copied: a running system creates it");
        }
        let kind = fs::metadata(beneath(copy_source, &source))
            .map_err(|error| Error::source(&*source, "cannot read its status", error))?
            .file_type();
        match split(&source) {
            _ if kind.is_dir() => self.directory(line, &source),
            // systemd-repart can't copy a file to the root.
            #[cfg(feature = "tar")]
            Some(_) if kind.is_file() && line.target.is_empty() => self.archive(line, &source),
            Some((directory, name)) if kind.is_file() => self.file(line, directory, name),
            _ => Err(definition.fault(
                &["CopyFiles"],
                format!("CopyFiles=/{} is neither a directory nor a file", Escaped(&line.source)),
                "copy the directory that it is in",
            )),
        }
    }

    fn warn(&mut self, path: &[u8], message: &str) {
        self.warnings.push(Warning { path: path.to_vec(), message: message.into() });
    }

    /// Copies the content of a directory into the target directory.
    fn directory(&mut self, line: &CopyFiles, source: &[u8]) -> Result<()> {
        let excluded = self.request.excluded(line, source)?;
        let unknown = Mutex::new(BTreeMap::new());
        let exclude = |path: &[u8]| {
            let path = join(source, path);
            let hides = || {
                self.hides(&path).unwrap_or_else(|error| {
                    let mut unknown = unknown.lock().unwrap_or_else(PoisonError::into_inner);
                    unknown.insert(path.clone(), error);
                    true
                })
            };
            excluded.iter().any(|excluded| excluded.takes(&path)) || hides()
        };
        if let Some(image) = self.image_within(source)?
            && !image.iter().enumerate().any(|(at, &byte)| byte == b'/' && exclude(&image[..at]))
            && !exclude(&image)
        {
            return Err(self.holds_itself(line));
        }
        let (tree, warnings) = self.read(source, &exclude)?;
        let unknown = unknown.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, error)) = unknown.into_iter().next() {
            return Err(Error::source(path, "cannot read its status", error));
        }
        self.warnings.extend(warnings);
        self.merge_directory(line, &tree)
    }

    /// Unpacks a tar archive into the root.
    #[cfg(feature = "tar")]
    fn archive(&mut self, line: &CopyFiles, source: &[u8]) -> Result<()> {
        let PopulateRequest { definition, copy_source, spool, tree, .. } = self.request;
        if tree.is_some() {
            return Err(definition.fault(
                &["CopyFiles"],
                format!("CopyFiles=/{} is an archive, which no rule applies to", Escaped(source)),
                "unpack it into the tree",
            ));
        }
        if self.image_within(source)?.is_some() {
            return Err(self.holds_itself(line));
        }
        let excluded = self.request.excluded(line, source)?;
        let exclude = |path: &[u8]| {
            let path = join(source, path);
            excluded.iter().any(|excluded| excluded.takes(&path))
        };
        let tar = Tar::open(beneath(copy_source, source))?.with_spool(spool);
        let (tree, warnings) = tar.read(&self.request.dir_options(&exclude))?;
        self.warnings.extend(warnings);
        self.merge_directory(line, &tree)
    }

    /// Merges a tree into the target directory.
    fn merge_directory(&mut self, line: &CopyFiles, tree: &Tree) -> Result<()> {
        let there = self.merge.find(&line.target)?;
        let directory = self.merge.make_directory(&line.target)?;
        let is_root = line.target.is_empty() && !self.has_root;
        if there.is_none() || is_root {
            self.merge.adopt(directory, tree, InodeId::ROOT);
            self.has_root |= is_root;
        }
        self.merge.merge(directory, tree)
    }

    /// Copies a file to a target path that must not exist.
    fn file(&mut self, line: &CopyFiles, source: &[u8], name: &[u8]) -> Result<()> {
        if self.image_within(source)?.is_some_and(|image| image == name) {
            return Err(self.holds_itself(line));
        }
        let (tree, warnings) = self.read(source, &|path| path != name)?;
        self.warnings.extend(warnings);
        let (definition, target) = (self.request.definition, Escaped(&line.target));
        let Some((directory, new_name)) = split(&line.target) else {
            return Err(definition.fault(
                &["CopyFiles"],
                format!("CopyFiles=/{} is a file and can't be the root", Escaped(&line.source)),
                "give its path in the file system",
            ));
        };
        let Some(file) = tree.find(name) else {
            let path = join(source, name);
            return Err(Error::Changed { path, rule: "it was removed while it was copied".into() });
        };
        let directory = self.merge.make_directory(directory)?;
        let taken = self.merge.find(&line.target)?.is_some();
        match self.merge.file(directory, new_name, &tree, file) {
            Ok(()) if !taken => Ok(()),
            Ok(()) | Err(NameTaken) => Err(definition.fault(
                &["CopyFiles"],
                format!("CopyFiles= copies two files to /{target}"),
                "copy one of them elsewhere",
            )),
        }
    }

    /// Returns the path of the image relative to a directory of the source, if it is in that
    /// directory.
    fn image_within(&self, source: &[u8]) -> Result<Option<TreePath>> {
        let PopulateRequest { copy_source, image: Some(image), .. } = self.request else {
            return Ok(None);
        };
        let directory = place::real(&beneath(copy_source, source))
            .map_err(|error| Error::source(source, "cannot find it", error))?;
        let path = image.strip_prefix(directory).ok();
        Ok(path.map(|path| path.as_os_str().as_bytes().to_vec()))
    }

    fn holds_itself(&self, line: &CopyFiles) -> Error {
        self.request.definition.fault(
            &["CopyFiles"],
            format!("the image is inside the source of CopyFiles=/{}", Escaped(&line.source)),
            "write it elsewhere, or leave it out with ExcludeFiles=",
        )
    }

    fn read(
        &self,
        source: &[u8],
        exclude: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<(Tree, Vec<Warning>)> {
        let PopulateRequest { copy_source, .. } = self.request;
        if let Some(tree) = self.request.tree {
            return Ok((part(tree, source, exclude)?, Vec::new()));
        }
        let options = self.request.dir_options(exclude);
        let (tree, mut warnings) = dir::read(&beneath(copy_source, source), &options)?;
        for warning in &mut warnings {
            warning.path = join(source, &warning.path);
        }
        Ok((tree, warnings))
    }

    /// Returns whether a path in the source is a hard link of an excluded file, or an entry of a
    /// directory whose content is excluded.
    fn hides(&self, path: &[u8]) -> io::Result<bool> {
        if self.hidden.is_empty() {
            return Ok(false);
        }
        let has = |path: &[u8], content| {
            let metadata = beneath(self.request.copy_source, path).symlink_metadata()?;
            Ok::<_, io::Error>(self.hidden.contains(&(metadata.dev(), metadata.ino(), content)))
        };
        let within = |(directory, _): (&[u8], _)| has(directory, true);
        Ok(has(path, false)? || split(path).map(within).transpose()?.unwrap_or(false))
    }

    fn symlink(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let definition = self.request.definition;
        let fault = |rule: &str, remedy: &str| {
            definition.fault(
                &["MakeSymlinks"],
                format!("MakeSymlinks=/{}: {rule}", Escaped(path)),
                remedy,
            )
        };
        let directory = match split(path) {
            Some((directory, _)) => self.merge.find(directory)?,
            None => None,
        };
        let directory = directory.filter(|&found| self.merge.is_directory(found));
        let (Some(directory), Some((_, name))) = (directory, split(path)) else {
            return Err(fault("no such directory", "make it with MakeDirectories="));
        };
        let made = self.merge.symlink(directory, name, target);
        made.map_err(|NameTaken| {
            fault("the path already exists", "leave the symlink out, or exclude the path")
        })
    }
}

/// Returns a directory of a tree without the paths in it that `exclude` selects.
fn part(tree: &Tree, directory: &[u8], exclude: &dyn Fn(&[u8]) -> bool) -> Result<Tree> {
    let directory = tree.find(directory).ok_or_else(|| {
        let rule = "it was removed from the tree".to_owned();
        Error::Changed { path: directory.to_vec(), rule }
    })?;
    let part = tree.subtree(directory)?;
    let mut excluded = BTreeSet::new();
    let mut pending = vec![(InodeId::ROOT, Vec::new())];
    while let Some((directory, path)) = pending.pop() {
        for (at, entry) in part.entry_range(directory).zip(part.entries(directory)) {
            let path = join(&path, part.name(entry));
            if exclude(&path) {
                excluded.insert(at);
            } else if part.inode(entry.inode()).kind == Kind::Directory {
                pending.push((entry.inode(), path));
            }
        }
    }
    part.without_entries(&excluded)
}

impl PopulateRequest<'_> {
    /// Returns the options for reading a source without excluded paths.
    fn dir_options<'a>(&self, exclude: &'a Exclude<'a>) -> DirOptions<'a> {
        let host_xattrs = match self.format.holds().contains(Holds::COMPRESSION_PROPERTY) {
            true => HostXattrs::default().for_btrfs(),
            false => HostXattrs::default(),
        };
        let (threads, exclude) = (self.threads, Some(exclude));
        DirOptions { threads, exclude, host_xattrs, ..DirOptions::default() }
    }

    /// Returns the paths to exclude from a directory that is copied.
    fn excluded(&self, line: &CopyFiles, source: &[u8]) -> Result<Vec<Excluded>> {
        let content_of = |path: TreePath| Excluded { path, content: true };
        // A transient directory is not excluded if the source is a path in it.
        let is_above = |path: &[u8]| path != source && strip(source, path).is_some();
        let transient = TRANSIENT.into_iter().filter(|path| !is_above(path));
        let mut all: Vec<_> = transient.map(|path| content_of(path.to_vec())).collect();
        // If exclusion is by inode, `hides` covers these paths.
        let by_path = self.definition.exclude_files.iter().filter(|_| !self.excludes_by_inode);
        for (path, content) in by_path {
            if let Some(path) = resolve_directory(self.copy_source, path)? {
                all.push(Excluded { path, content: *content });
            }
        }
        for (path, content) in &self.definition.exclude_files_target {
            if let Some(rest) = strip(path, &line.target) {
                all.push(Excluded { path: join(source, rest), content: *content });
            }
        }
        if line.target.is_empty() {
            let mounts = self.empty_dirs.iter().map(|path| join(source, path));
            let transient = TRANSIENT.iter().map(|path| join(source, path));
            let is_root = !self.empty_dirs.is_empty() || self.is_root();
            all.extend(mounts.chain(transient).filter(|_| is_root).map(content_of));
        }
        Ok(all)
    }

    /// Leaves out files that FAT can't store and does not need.
    fn leave_out(&self, tree: Tree) -> Result<(Tree, Vec<Warning>)> {
        let locate = |target: &[u8]| {
            let target = target.strip_prefix(b"/")?;
            let lines = &self.definition.copy_files;
            lines.iter().find_map(|line| Some(join(&line.target, strip(target, &line.source)?)))
        };
        let leave_out = LeaveOut { locate: &locate, all: self.vfat_leaves_out };
        self.format.leave_out(tree, InodeId::ROOT, &leave_out)
    }

    fn is_root(&self) -> bool {
        use crate::gpt::{PartitionType, Role};
        matches!(self.definition.partition.partition_type, PartitionType::Of(Role::Root, _))
    }

    /// Returns the inodes that are excluded under any name, if exclusion is by inode as in
    /// systemd-repart.
    fn hidden_inodes(&self) -> Result<HiddenInodes> {
        let mut hidden = HiddenInodes::new();
        if !self.excludes_by_inode {
            return Ok(hidden);
        }
        for (path, content) in &self.definition.exclude_files {
            if let Some(path) = resolve(self.copy_source, path)? {
                let metadata = fs::metadata(beneath(self.copy_source, &path))
                    .map_err(|error| Error::source(&*path, "cannot read its status", error))?;
                hidden.insert((metadata.dev(), metadata.ino(), *content));
            }
        }
        Ok(hidden)
    }
}
