//! Pipeline from a directory to an image, shared by all subcommands that build images.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::normalize::{self, RequestedRules};
use super::patterns::Patterns;
use super::{
    arguments, format, is_inside, is_same, print, print_error, print_json_lines, progress, spool,
    summary, values,
};
use crate::disk::{BuildInput, Manifest, Plan};
use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::layout::{Destination, Digest, Options, Output, emit, publish};
use crate::name::{Escaped, HostPath};
use crate::normalize::Profile;
use crate::report::Warning;
use crate::seed::Seed;
use crate::tree::Tree;
use crate::tree::dir::{self, DirOptions};
use crate::tree::host_xattrs::HostXattrs;

/// Step that runs before the tree is read.
pub(super) type First<'a> = &'a dyn Fn() -> Result<()>;

/// Inputs and outputs of a build.
#[derive(Clone, Copy)]
pub(super) struct Pipeline<'a> {
    pub(super) tree: &'a Path,
    /// A second tree, for another partition.
    pub(super) beside: Option<&'a Path>,
    pub(super) out: &'a Path,
    pub(super) source: &'a arguments::SourceArgs,
    pub(super) output_args: &'a arguments::OutputArgs,
    /// Whether the tree is written to a btrfs.
    pub(super) btrfs: bool,
    /// How to normalize the tree, if it is normalized.
    pub(super) normalize_args: Option<&'a arguments::NormalizeArgs>,
    /// Creates the tree if necessary, after all other arguments were checked.
    pub(super) first: Option<First<'a>>,
}

impl Pipeline<'_> {
    /// Reads the tree, plans an image of it and writes the image.
    pub(super) fn run(
        &self,
        architecture: Option<Architecture>,
        plan: impl FnOnce(BuildInput) -> Result<Plan>,
    ) -> Result<()> {
        let args = self.source;
        let threads = values::threads(args.threads.as_deref())?;
        let seed = args.seed.as_deref().map(|text| values::uuid("--seed", text)).transpose()?;
        let seed = seed.map(Seed);
        let epoch = values::epoch(args.source_date_epoch.as_deref())?;
        let exclude = Patterns::new("--exclude", &args.exclude)?;
        let (image, manifest) = self.destinations()?;
        let requested = self.normalize_args.map(RequestedRules::read).transpose()?;
        self.first.map_or(Ok(()), |first| first())?;

        let excluded = |path: &[u8]| exclude.matches(path);
        let host_xattrs = self.host_xattrs();
        let options =
            DirOptions { threads, exclude: Some(&excluded), host_xattrs: host_xattrs.clone() };
        let (tree, warnings) = dir::read(self.tree, &options)?;
        let normalize_args =
            requested.map(|requested| requested.of(&tree)).transpose()?.unwrap_or_default();
        let rules = normalize_args.rules;
        let spool = Some(spool());
        let source = BuildInput { tree, seed, epoch, architecture, threads, spool, rules };
        let mut plan = plan(source)?;
        plan.warnings.splice(0..0, warnings.into_iter().chain(normalize_args.warning));
        plan.parameters.normalize = normalize_args.profile.map(Profile::name);
        plan.parameters.rules = normalize_args.digest;
        plan.parameters.exclude.clone_from(&args.exclude);
        plan.parameters.drop_xattr.clone_from(&args.drop_xattr);
        plan.parameters.keep_xattr.clone_from(&args.keep_xattr);
        plan.warnings.iter().for_each(|warning| print_error(warning));
        exclude.report_unmatched();
        for (pattern, is_kept) in host_xattrs.unmatched() {
            let option = if is_kept { "--keep-xattr" } else { "--drop-xattr" };
            print_error(&format!(
                "{option}: no extended attribute matches \"{}\"",
                Escaped(pattern)
            ));
        }
        normalize::lines(&plan.normalization, plan.resolved.epoch.1)
            .iter()
            .for_each(|line| print_error(line));

        // Hashing takes longer than everything else, so only the hashes that are requested are
        // computed.
        let wanted = self.output_args.json || manifest.is_some();
        let digests = if wanted { plan.ranges() } else { Vec::new() };
        let bar = progress::bar(plan.layout.size());
        let tick = |bytes| bar.iter().for_each(|bar| bar.inc(bytes));
        let options = Options { progress: Some(&tick), digests: &digests, ..Options::new(threads) };
        let output = image.create(plan.layout.size())?;
        let emitted = emit(&plan.layout, &output, &options);
        bar.iter().for_each(|bar| bar.finish_and_clear());
        let digests = emitted?;
        output.flush()?;
        // The report comes first: a caller that sees a failure must not find an image.
        let manifest = self.report(&plan, &digests, manifest)?;
        publish([output].into_iter().chain(manifest))
    }

    /// Reads the second tree, if there is one.
    pub(super) fn read_beside(
        &self,
        parameter: &'static str,
    ) -> Result<Option<(Tree, Vec<Warning>)>> {
        let Some(path) = self.beside else { return Ok(None) };
        // Trees that can't be opened are reported when they are read.
        let is_inside =
            |inner: &Path, outer| is_inside::is_inside(outer, &inner.join("x")) == Ok(true);
        if is_inside(path, self.tree) || is_inside(self.tree, path) {
            return Err(Error::parameter(
                parameter,
                format!(
                    "one of {} and {} is inside the other",
                    HostPath(path),
                    HostPath(self.tree)
                ),
                "give a separate directory, or use --esp-from for one in the tree",
            ));
        }
        let threads = values::threads(self.source.threads.as_deref())?;
        let host_xattrs = self.host_xattrs();
        let options = DirOptions { threads, host_xattrs, ..DirOptions::default() };
        dir::read(path, &options).map(Some)
    }

    /// Returns the destinations of the image and the manifest, after checking whatever can be
    /// checked in advance.
    fn destinations(&self) -> Result<(Destination, Option<Destination>)> {
        let manifest = self.output_args.manifest.as_deref();
        let fault = |parameter, rule, remedy| Err(Error::parameter(parameter, rule, remedy));
        if is_stdout(self.out) && self.output_args.json {
            return fault("--json", "the image is written to standard output", "use --manifest");
        }
        if manifest.is_some_and(is_stdout) {
            return fault("--manifest", "`-` is not a file", "use --json");
        }
        if let Some(manifest) = manifest
            && is_same(manifest, self.out)?
        {
            return fault("--manifest", "it is the same file as the image", "use different files");
        }
        format::check(self.out, self.output_args.format)?;
        let manifest = manifest.map(|path| self.destination("--manifest", path)).transpose()?;
        Ok((self.destination("OUT", self.out)?, manifest))
    }

    fn destination(&self, parameter: &'static str, path: &Path) -> Result<Destination> {
        let destination =
            Destination::new(path, self.output_args.force)?.synced(!self.output_args.no_sync);
        let file = if is_stdout(path) { standard_output_file() } else { Some(path.to_owned()) };
        let Some(file) = file else { return Ok(destination) };
        for tree in [self.tree].into_iter().chain(self.beside) {
            match is_inside::is_inside(tree, &file) {
                Ok(false) => {}
                Ok(true) => {
                    return Err(Error::parameter(
                        parameter,
                        format!("{} is inside the tree", HostPath(&file)),
                        "write it elsewhere",
                    ));
                }
                // A tree that can't be opened is reported when it is read. If it contains a
                // directory without access, not all of it can be read.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(error) => {
                    let operation =
                        format!("cannot determine whether {} is in the tree", HostPath(&file));
                    return Err(Error::output(operation, error));
                }
            }
        }
        Ok(destination)
    }

    fn host_xattrs(&self) -> HostXattrs {
        let arguments::SourceArgs { drop_xattr, keep_xattr, .. } = self.source;
        let start = HostXattrs::default();
        let start = if self.btrfs { start.for_btrfs() } else { start };
        let dropped = drop_xattr.iter().fold(start, |all, one| all.leave_out(one.as_str()));
        keep_xattr.iter().fold(dropped, |all, one| all.keep(one.as_str()))
    }

    /// Prints a report on the image and writes the manifest, which has no name yet.
    fn report(
        &self,
        plan: &Plan,
        digests: &[Digest],
        manifest: Option<Destination>,
    ) -> Result<Option<Output>> {
        let json = || {
            let record = Manifest::new(plan, digests);
            serde_json::to_string_pretty(&record).expect("its keys are strings") + "\n"
        };
        let manifest = manifest.map(|manifest| manifest.write(json().as_bytes())).transpose()?;
        match (self.output_args.json, is_stdout(self.out)) {
            (true, _) => print_json_lines(&json())?,
            (_, true) => {
                summary::of(plan, self.out).lines().for_each(|line| print_error(&line));
            }
            (_, false) => print(&summary::of(plan, self.out))?,
        }
        Ok(manifest)
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// Returns the path of standard output, if it is a file.
fn standard_output_file() -> Option<PathBuf> {
    // For anything but a file, the target of the kernel's link is not the path of a file.
    let path = fs::read_link("/proc/self/fd/1").ok()?;
    fs::metadata(&path).is_ok_and(|found| found.is_file()).then_some(path)
}
