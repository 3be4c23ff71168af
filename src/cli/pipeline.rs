//! Pipeline from a directory to an image, shared by all subcommands that build images.

use std::fs;
use std::num::NonZero;
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::fields::FLAGS;
use super::normalize::{self, RequestedRules};
use super::owners::foreign_root;
use super::patterns::Patterns;
use super::progress::Bar;
use super::source::{is_archive, source};
use super::summary::Summary;
use super::terminal::{is_stdout_capable, is_stdout_terminal};
use super::{
    arguments, format, is_inside, is_same, print, print_json_lines, print_notice, print_warning,
    sha256_file, spool, values,
};
use crate::disk::{BuildInput, Manifest, Plan, Selection};
use crate::error::{Error, Result};
use crate::format::Holds;
use crate::gpt::Architecture;
use crate::layout::{Destination, Digest, Options, Output, emit, publish};
use crate::name::{Escaped, HostPath};
use crate::progress::Observer;
use crate::report::Warning;
use crate::seed::Seed;
use crate::time::Timestamp;
use crate::tree::dir::DirOptions;
use crate::tree::host_xattrs::HostXattrs;
use crate::tree::{Ownership, Tree};

/// Inputs and outputs of a build, as they were requested.
#[derive(Clone, Copy)]
pub(super) struct PipelineArgs<'a> {
    pub(super) tree: &'a Path,
    /// A second tree, for another partition.
    pub(super) beside: Option<&'a Path>,
    pub(super) out: &'a Path,
    pub(super) source: &'a arguments::SourceArgs,
    pub(super) output_args: &'a arguments::OutputArgs,
    /// Target architecture, if the command has such an option.
    pub(super) architecture: Option<&'a arguments::Architecture>,
    /// How to normalize the tree, if it is normalized.
    pub(super) normalize_args: Option<&'a arguments::NormalizeArgs>,
    /// Whether everything that depends on the host that makes the image is an error.
    pub(super) is_strict: bool,
    /// Whether ids are derived from the seed.
    pub(super) derives_ids: bool,
    /// Option that requires reading all content before the image is planned.
    pub(super) prepass: Option<&'static str>,
}

/// A build whose arguments have been checked: what remains is to read the tree, to plan an image of
/// it, and to write and report the image.
pub(super) struct Pipeline<'a> {
    args: PipelineArgs<'a>,
    threads: NonZero<usize>,
    seed: Option<Seed>,
    epoch: Option<Timestamp>,
    architecture: Option<Architecture>,
    exclude: Patterns,
    host_xattrs: HostXattrs,
    ownership: Ownership,
    requested: Option<RequestedRules<'a>>,
    destinations: Destinations,
}

/// Destinations of everything that a build writes.
struct Destinations {
    /// `None` for a dry run.
    image: Option<Destination>,
    sha256: Option<Destination>,
    manifest: Option<Destination>,
}

impl<'a> Pipeline<'a> {
    /// Checks the arguments of a build of file systems that can store `holds`.
    pub(super) fn new(args: PipelineArgs<'a>, holds: Holds) -> Result<Self> {
        let source = args.source;
        let seed = values::seed(&source.seed_args)?;
        let threads = values::threads(args.output_args.threads.as_deref())?;
        let epoch = values::epoch(source.source_date_epoch.as_deref())?;
        let architecture = args.architecture.map(values::architecture).transpose()?.flatten();
        let exclude = Patterns::new("--exclude", &source.exclude)?;
        if args.is_strict {
            strict(seed.is_some(), epoch.is_some())?;
        }
        values::drop_or_keep(source)?;
        args.check_beside()?;
        let destinations = args.destinations()?;
        let requested = args.normalize_args.map(RequestedRules::read).transpose()?;
        Ok(Self {
            args,
            threads,
            seed,
            epoch,
            architecture,
            exclude,
            host_xattrs: host_xattrs(source, holds),
            ownership: source.owner_args.ownership()?,
            requested,
            destinations,
        })
    }

    /// Reads the second tree, if there is one.
    pub(super) fn read_beside(&self) -> Result<Option<(Tree, Vec<Warning>)>> {
        let Some(path) = self.args.beside else { return Ok(None) };
        let (threads, host_xattrs) = (self.threads, self.host_xattrs.clone());
        let options = DirOptions { threads, host_xattrs, ..DirOptions::default() };
        source(path)?.read(&options).map(Some)
    }

    /// Reads the tree, plans an image of it, and writes and reports the image.
    pub(super) fn run(self, plan: impl FnOnce(BuildInput) -> Result<Plan>) -> Result<()> {
        self.print_reasons_to_read();
        let verbosity = self.args.output_args.verbosity;
        let bar = if verbosity.quiet { None } else { Bar::new() };
        let planned =
            self.read(bar.clone()).and_then(|(input, of_host)| Ok((plan(input)?, of_host)));
        bar.iter().for_each(|bar| bar.clear());
        let (plan, of_host) = planned?;
        let mut warnings = self.warnings(&plan.warnings);
        warnings.extend(of_host.map(|warning| warning.to_string()));
        let written = self.write(&plan, bar.as_deref());
        warnings.iter().for_each(|warning| print_warning(warning));
        written
    }

    /// Reads the tree, with the rules to normalize it by. The warning is about what looks like
    /// something of the host; a manifest, which describes the image, does not have it.
    pub(super) fn read(&self, bar: Option<Arc<Bar>>) -> Result<(BuildInput, Option<Warning>)> {
        let observer = bar.map(|bar| bar as _);
        let selection =
            Selection { exclude: self.exclude.filter(), host_xattrs: self.host_xattrs.clone() };
        let source = source(self.args.tree)?;
        let mut input = BuildInput::read(&*source, selection, self.threads, observer)?;
        input.tree.change_owners(&self.ownership)?;
        input.warnings.extend(foreign_root(&input.tree));
        let Self { seed, epoch, architecture, .. } = *self;
        let hard_links = self.args.source.hardlinks;
        let spool = Some(spool());
        let input = BuildInput { hard_links, seed, epoch, architecture, spool, ..input };
        let Some(requested) = &self.requested else { return Ok((input, None)) };
        let input = requested.apply(input)?;
        let warning = RequestedRules::check(&input, self.args.is_strict)?;
        Ok((input, warning))
    }

    /// Prints why a dry run takes as long as the image, if it has to read all content.
    fn print_reasons_to_read(&self) {
        let args = &self.args;
        if !args.output_args.dry_run || args.output_args.verbosity.quiet {
            return;
        }
        if args.derives_ids && self.seed.is_none() {
            print_notice(
                &"--dry-run: all content is read, because the ids are derived from it; \
                          give --seed to avoid that",
            );
        }
        if let Some(option) = args.prepass {
            print_notice(&format_args!(
                "--dry-run: all content is read, because the plan depends on it with {option}"
            ));
        }
    }

    /// Returns the warnings of a plan together with those about arguments without effect.
    pub(super) fn warnings(&self, of_plan: &[Warning]) -> Vec<String> {
        let of_plan = of_plan.iter().map(|warning| FLAGS.text(&warning.to_string()));
        let of_xattrs = self.host_xattrs.unmatched().map(|(pattern, is_kept)| {
            let option = if is_kept { "--keep-xattr" } else { "--drop-xattr" };
            format!("{option}: no extended attribute matches \"{}\"", Escaped(pattern))
        });
        of_plan.chain(self.exclude.warnings()).chain(of_xattrs).collect()
    }

    fn write(self, plan: &Plan, bar: Option<&Bar>) -> Result<()> {
        let Self { args, threads, destinations, .. } = self;
        let Destinations { image, sha256, manifest } = destinations;
        let Some(image) = image else { return args.report(plan, &[], None).map(drop) };
        let ranges = args.digests(plan);
        let observer = bar.map(|bar| bar as &dyn Observer);
        let options = Options { observer, digests: &ranges, ..Options::new(threads) };
        let output = image.create(plan.layout.size())?;
        let emitted = emit(&plan.layout, &output, &options);
        bar.iter().for_each(|bar| bar.flush());
        let flushed = emitted.and_then(|digests| output.flush().map(|()| digests));
        bar.iter().for_each(|bar| bar.clear());
        let digests = flushed?;
        let sha256 = sha256
            .zip(digests.first())
            .map(|(destination, digest)| destination.write(&sha256_file::line(args.out, digest)));
        let sha256 = sha256.transpose()?;
        // The report comes first: a caller that sees a failure must not find an image.
        let manifest = args.report(plan, &digests, manifest)?;
        publish([output].into_iter().chain(sha256).chain(manifest))
    }
}

impl<'a> PipelineArgs<'a> {
    /// Returns the inputs and outputs of a disk, which has one tree and no prepass.
    pub(super) fn of_disk(args: &'a arguments::Mkimage) -> Self {
        Self {
            tree: &args.tree,
            beside: None,
            out: args.out.path(),
            source: &args.source,
            output_args: &args.output_args,
            architecture: Some(&args.architecture),
            normalize_args: Some(&args.normalize_args),
            is_strict: args.strict,
            derives_ids: true,
            prepass: None,
        }
    }
}

impl PipelineArgs<'_> {
    /// Rejects a second tree that is inside the first, or the other way round.
    fn check_beside(&self) -> Result<()> {
        let Self { tree, beside: Some(path), .. } = self else { return Ok(()) };
        // Trees that can't be opened are reported when they are read.
        let is_inside =
            |inner: &Path, outer| is_inside::is_inside(outer, &inner.join("x")) == Ok(true);
        if is_inside(path, tree) || is_inside(tree, path) {
            return Err(Error::parameter(
                "esp.tree",
                format!("one of {} and {} is inside the other", HostPath(path), HostPath(tree)),
                "give a separate directory, or use `esp.from` for one in the tree",
            ));
        }
        Ok(())
    }

    /// Returns all destinations, after checking whatever can be checked in advance.
    fn destinations(&self) -> Result<Destinations> {
        let manifest = self.output_args.manifest.as_deref();
        let fault = |parameter, rule, remedy| Err(Error::parameter(parameter, rule, remedy));
        if is_stdout(self.out) && self.output_args.json {
            return fault("--json", "the image is written to standard output", "use --manifest");
        }
        if is_stdout(self.out) && is_stdout_terminal() && !self.output_args.dry_run {
            let remedy = "redirect the output, or give a file";
            return fault("OUT", "an image is not written to a terminal", remedy);
        }
        if manifest.is_some_and(is_stdout) {
            return fault("--manifest", "`-` is not a file", "use --json");
        }
        if is_stdout_pipe(self.out) {
            return fault("OUT", "it is standard output, which has the summary", "use `-`");
        }
        if manifest.is_some_and(is_stdout_pipe) {
            return fault("--manifest", "it is standard output", "use --json");
        }
        let sha256 = self.output_args.sha256_file.then(|| sha256_file::path(self.out));
        let sha256 = sha256.transpose()?;
        let others = [(Some(self.out), "the image"), (sha256.as_deref(), "the file of the hash")];
        for (other, name) in others {
            if let (Some(manifest), Some(other)) = (manifest, other)
                && is_same(manifest, other)?
            {
                let rule = format!("it is the same file as {name}");
                return Err(Error::parameter("--manifest", rule, "use different files"));
            }
        }
        format::check(self.out, self.output_args.format)?;
        let file = |parameter, path: Option<&Path>| {
            let found = path.map(|path| self.destination(parameter, path)).transpose()?;
            Ok::<_, Error>(found.flatten())
        };
        let manifest = file("--manifest", manifest)?;
        let sha256 = file("--sha256-file", sha256.as_deref())?;
        Ok(Destinations { image: self.destination("OUT", self.out)?, sha256, manifest })
    }

    /// Returns the ranges of the image to hash: only what is written or shown, because hashing
    /// takes as long as everything else.
    fn digests(&self, plan: &Plan) -> Vec<Range<u64>> {
        let arguments::OutputArgs { json, manifest, sha256_file, .. } = self.output_args;
        let is_shown = !self.output_args.no_sha256 && !self.output_args.verbosity.quiet;
        if *json || manifest.is_some() {
            plan.ranges()
        } else if *sha256_file || is_shown {
            plan.ranges().into_iter().take(1).collect()
        } else {
            Vec::new()
        }
    }

    fn destination(&self, parameter: &'static str, path: &Path) -> Result<Option<Destination>> {
        let arguments::OutputArgs { dry_run, force, no_sync, .. } = *self.output_args;
        let destination = (!dry_run).then(|| Destination::new(path, force)).transpose()?;
        let destination = destination.map(|destination| destination.synced(!no_sync));
        let file = if is_stdout(path) { standard_output_file() } else { Some(path.to_owned()) };
        let Some(file) = file else { return Ok(destination) };
        for tree in [self.tree].into_iter().chain(self.beside) {
            if is_archive(tree) && is_same(tree, &file)? {
                let rule = format!("{} is the archive with the tree", HostPath(&file));
                return Err(Error::parameter(parameter, rule, "write it elsewhere"));
            }
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

    /// Prints a report on the image and writes the manifest, which has no name yet. A dry run has
    /// no digests.
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
        let is_verbose = self.output_args.verbosity.verbose;
        if self.output_args.json {
            print_json_lines(&json())?;
            if is_verbose {
                let lines = normalize::lines(&plan.normalization, plan.resolved.epoch.1);
                lines.iter().for_each(|line| print_notice(line));
            }
        } else if !self.output_args.verbosity.quiet {
            let is_stdout = is_stdout(self.out);
            let summary = Summary {
                plan,
                out: self.out,
                is_written: !self.output_args.dry_run,
                sha256: digests.first().copied(),
                epoch_from: match self.source.source_date_epoch {
                    Some(_) => "given",
                    None => "from SOURCE_DATE_EPOCH",
                },
                is_verbose,
                has_bar: !is_stdout && is_stdout_capable(),
            };
            match is_stdout {
                true => summary.text().lines().for_each(|line| print_notice(&line)),
                false => print(&summary.text())?,
            }
        }
        Ok(manifest)
    }
}

/// Rejects a seed and an epoch that would be derived from the tree.
fn strict(has_seed: bool, has_epoch: bool) -> Result<()> {
    let (what, remedy) = match (has_seed, has_epoch) {
        (true, true) => return Ok(()),
        (false, true) => ("the seed", "give --seed"),
        (true, false) => ("the epoch", "give --source-date-epoch"),
        (false, false) => ("the seed and the epoch", "give --seed and --source-date-epoch"),
    };
    Err(Error::Refused {
        path: Vec::new(),
        rule: format!("{what} would be derived from the tree, which --strict refuses"),
        remedy: remedy.into(),
    })
}

/// Returns the selection of extended attributes for file systems that can store `holds`.
fn host_xattrs(source: &arguments::SourceArgs, holds: Holds) -> HostXattrs {
    let arguments::SourceArgs { drop_xattr, keep_xattr, .. } = source;
    let start = HostXattrs::default();
    let start = match holds.contains(Holds::COMPRESSION_PROPERTY) {
        true => start.for_btrfs(),
        false => start,
    };
    let dropped = drop_xattr.iter().fold(start, |all, one| all.leave_out(one.as_str()));
    keep_xattr.iter().fold(dropped, |all, one| all.keep(one.as_str()))
}

/// Returns whether a path such as `/dev/stdout` is the pipe or socket that is standard output.
fn is_stdout_pipe(path: &Path) -> bool {
    let Ok(stdout) = fs::metadata("/proc/self/fd/1") else { return false };
    let kind = stdout.file_type();
    let is_same = |found: fs::Metadata| (found.dev(), found.ino()) == (stdout.dev(), stdout.ino());
    (kind.is_fifo() || kind.is_socket()) && fs::metadata(path).is_ok_and(is_same)
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
