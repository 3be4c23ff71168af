//! `detfs stage pacman`.

use std::fs;
use std::io;
use std::path::Path;

use super::configuration;
use crate::cli::arguments::{PackagesArgs, StagePacman};
use crate::cli::{is_same, print_notice, print_warning, text_of, values};
use crate::error::{Error, Result};
use crate::gpt::Architecture;
use crate::layout::{Destination, Output};
use crate::name::HostPath;
use crate::size::count;
use crate::stage::{Lock, Options, Staged, Staging};
use crate::time::civil;

const MIRROR: &str = "https://geo.mirror.pkgbuild.com";
const ARCHIVE: &str = "https://archive.archlinux.org";
const USUAL_PATH: &str = "$repo/os/$arch";
const REPOSITORIES: [&str; 2] = ["core", "extra"];
const ARCHITECTURE: &str = "x86_64";
const DAY: i64 = 24 * 60 * 60;

pub(in crate::cli) fn run(args: &StagePacman, is_quiet: bool) -> Result<()> {
    let (options, locked) = resolved(args)?;
    // An unwritable destination is reported before anything is fetched.
    let destination = match &args.lock {
        Some(path) if !args.locked => Some(replaceable(path, &args.out)?),
        _ => None,
    };
    let staging = Staging {
        options: &options,
        configuration: args.packages.pacman_conf.as_deref(),
        cache: args.packages.cache.as_deref(),
        locked: locked.as_ref(),
        clock: args.clock_offset.as_deref(),
    };
    let Staged { lock, complaints } = staging.run(&args.out)?;
    for complaint in complaints {
        print_warning(&format_args!("pacman: {complaint}; the tree may be incomplete"));
    }
    if let Some(before) = locked {
        if let (Some(now), Some(then)) = (&lock.options.mirror, &before.options.mirror)
            && now != then
        {
            print_warning(&format_args!("the locked packages came from {now} instead of {then}"));
        }
        if before.pacman != lock.pacman {
            print_warning(&format_args!(
                "pacman is {}, but was {} when the lock was made: its own files in the tree may \
             differ",
                lock.pacman, before.pacman
            ));
        }
    }
    if let Some(destination) = destination
        && let Err(error) = destination.write(lock.text().as_bytes()).and_then(Output::finish)
    {
        // A tree without its lock is incomplete. The directory contains nothing but the tree.
        let _ = fs::remove_dir_all(&args.out);
        return Err(error);
    }
    if !is_quiet {
        let packages = count(lock.packages.len() as u64, "package");
        print_notice(&format_args!("{}: {packages}", HostPath(&args.out)));
    }
    Ok(())
}

/// Returns the destination of a lock, which must not exist, be empty, or be another lock.
fn replaceable(path: &Path, tree: &Path) -> Result<Destination> {
    let fail = |rule| Err(Error::parameter("--lock", rule, "give another name"));
    if is_same(path, tree)? {
        return fail("it is the same path as the tree".into());
    }
    let shown = HostPath(path);
    match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => return fail(format!("{shown} is a symlink")),
        Ok(found) if found.is_file() => match fs::read_to_string(path) {
            Ok(text) if text.is_empty() || Lock::is_one(&text) => {}
            Ok(_) => return fail(format!("{shown} exists and is not a lock")),
            Err(error) => return fail(format!("cannot read {shown}: {error}")),
        },
        Ok(_) => return fail(format!("{shown} exists and is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return fail(format!("cannot read {shown}: {error}")),
    }
    Destination::new(path, true)
}

/// Returns the epoch that packages see as the current time.
pub(in crate::cli) fn epoch(args: &StagePacman) -> Result<i64> {
    Ok(resolved(args)?.0.source_date_epoch)
}

/// Returns the options, and the lock that they must agree with.
fn resolved(args: &StagePacman) -> Result<(Options, Option<Lock>)> {
    match (&args.lock, args.locked) {
        (Some(path), true) => {
            let lock = read(path)?;
            Ok((as_locked(&args.packages, &lock)?, Some(lock)))
        }
        _ => Ok((options(&args.packages)?, None)),
    }
}

fn read(path: &Path) -> Result<Lock> {
    let remedy = "create it first, without --locked (for detfs build, without `locked = true`)";
    Lock::parse(path, &text_of("--lock", path, remedy)?)
}

/// Returns the options of a lock, after checking that the arguments agree with them. Only the
/// mirror may differ: packages are verified by their hashes, and mirrors drop old packages.
fn as_locked(args: &PackagesArgs, lock: &Lock) -> Result<Options> {
    let mut differing = Vec::new();
    let mut agree = |option: &'static str, agrees: bool| {
        if !agrees {
            differing.push(option);
        }
    };
    let locked = &lock.options;
    agree("--package", args.package.is_empty() || args.package == locked.packages);
    agree("--repo", args.repo.is_empty() || args.repo == locked.repositories);
    let architecture = architecture(args);
    agree("--architecture", architecture.is_none() || architecture == locked.architecture);
    let is_from = args.mirror.is_some() || args.snapshot.is_some();
    let mirror = is_from.then(|| server(args)).transpose()?;
    agree("--mirror or --snapshot", mirror.is_none() || locked.mirror.is_some());
    let epoch = values::epoch(args.source_date_epoch.as_deref())?;
    let agrees = epoch.is_none_or(|epoch| epoch.seconds == locked.source_date_epoch);
    agree("--source-date-epoch or $SOURCE_DATE_EPOCH", agrees);
    let configuration = args.pacman_conf.as_deref().map(configuration::digest).transpose()?;
    if configuration.is_none() && locked.configuration.is_some() {
        return Err(Error::parameter(
            "--pacman-conf",
            "the lock was made with a pacman.conf",
            "give a pacman.conf with the same settings",
        ));
    }
    if configuration != locked.configuration {
        return Err(Error::Differs {
            what: "the pacman.conf",
            specification: "the lock",
            rule: "the settings of --pacman-conf differ".into(),
            remedy: "give a pacman.conf with the same settings, or recreate the lock (detfs build \
                 --update, detfs stage pacman without --locked)"
                .into(),
        });
    }
    match &*differing {
        [] => Ok(Options { mirror: mirror.or(locked.mirror.clone()), ..locked.clone() }),
        differing => Err(Error::Differs {
            what: "the command line",
            specification: "the lock",
            rule: format!("{} has another value", differing.join(", ")),
            remedy: "omit these options, or recreate the lock (detfs build --update, detfs stage \
                     pacman without --locked)"
                .into(),
        }),
    }
}

/// Returns the options that the arguments request.
pub(super) fn options(args: &PackagesArgs) -> Result<Options> {
    if args.package.is_empty() {
        return Err(Error::parameter(
            "--package",
            "no package is given",
            "name the packages to install, for example --package base",
        ));
    }
    let typed_epoch = values::epoch(args.source_date_epoch.as_deref())?;
    let source_date_epoch = match (typed_epoch, &args.snapshot) {
        (Some(epoch), _) => epoch.seconds,
        (None, Some(day)) => date(day)? * DAY,
        (None, None) => {
            return Err(Error::parameter(
                "--source-date-epoch",
                "no epoch is given",
                "give the same time for all builds, such as a date, or a --snapshot",
            ));
        }
    };
    let configuration = args.pacman_conf.as_deref().map(configuration::digest).transpose()?;
    let of_ours = configuration.is_none();
    let repositories = match &*args.repo {
        [] if of_ours => REPOSITORIES.map(str::to_owned).to_vec(),
        args => args.to_vec(),
    };
    let options = Options {
        packages: args.package.clone(),
        mirror: of_ours.then(|| server(args)).transpose()?,
        repositories,
        configuration,
        architecture: of_ours.then(|| architecture(args).unwrap_or_else(|| ARCHITECTURE.into())),
        source_date_epoch,
    };
    options.check()?;
    Ok(options)
}

/// Returns the architecture by its Arch Linux name. Names that only Arch Linux has are kept.
fn architecture(args: &PackagesArgs) -> Option<String> {
    let typed = args.architecture.as_ref()?;
    Some(match typed.parse() {
        Ok(Architecture::X86_64) => "x86_64".into(),
        Ok(Architecture::Arm64) => "aarch64".into(),
        _ => typed.clone(),
    })
}

/// Returns the address of packages, with `$repo` and `$arch`.
fn server(args: &PackagesArgs) -> Result<String> {
    let mirror = args.mirror.as_deref().map(|url| url.trim_end_matches('/'));
    match (mirror, &args.snapshot) {
        (Some(url), None) if url.contains("$repo") => Ok(url.into()),
        (Some(url), Some(_)) if url.contains("$repo") => Err(Error::parameter(
            "--mirror",
            "a URL with $repo has no place for the day of the --snapshot",
            "give the base URL of a mirror of the Arch Linux Archive",
        )),
        (url, None) => Ok(format!("{}/{USUAL_PATH}", url.unwrap_or(MIRROR))),
        (url, Some(day)) => {
            date(day)?;
            Ok(format!("{}/repos/{day}/{USUAL_PATH}", url.unwrap_or(ARCHIVE)))
        }
    }
}

/// Returns the number of days from 1970-01-01 to a date.
fn date(text: &str) -> Result<i64> {
    let written = |day: &i64| {
        let (year, month, day) = civil(*day);
        format!("{year:04}/{month:02}/{day:02}") == text
    };
    // Up to the year 2106.
    (0..50_000).find(written).ok_or_else(|| {
        Error::parameter(
            "--snapshot",
            format!("{text:?} is not a date"),
            "give year, month and day, as in 2026/11/23",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fields::FLAGS;

    fn args() -> PackagesArgs {
        PackagesArgs {
            package: vec!["base".into()],
            mirror: None,
            snapshot: None,
            repo: Vec::new(),
            pacman_conf: None,
            cache: None,
            architecture: None,
            source_date_epoch: Some("5".into()),
        }
    }

    #[test]
    fn mirrors_and_snapshots_are_addresses() {
        for (mirror, snapshot, expected) in [
            (None, None, "https://geo.mirror.pkgbuild.com/$repo/os/$arch"),
            (Some("file:///a/"), None, "file:///a/$repo/os/$arch"),
            (Some("http://h/$repo"), None, "http://h/$repo"),
            (
                None,
                Some("2026/11/23"),
                "https://archive.archlinux.org/repos/2026/11/23/$repo/os/$arch",
            ),
            (Some("http://h"), Some("2026/11/23"), "http://h/repos/2026/11/23/$repo/os/$arch"),
        ] {
            let [mirror, snapshot] = [mirror, snapshot].map(|text| text.map(str::to_owned));
            assert_eq!(server(&PackagesArgs { mirror, snapshot, ..args() }).unwrap(), expected);
        }
        // By `date -u -d 2026-11-23 +%s`.
        let snapshot = Some("2026/11/23".to_owned());
        let options =
            options(&PackagesArgs { snapshot, source_date_epoch: None, ..args() }).unwrap();
        assert_eq!(options.source_date_epoch, 1_795_392_000);
        assert_eq!(options.repositories, ["core", "extra"]);
    }

    #[test]
    fn architectures_have_the_names_of_arch_linux() {
        for (typed, expected) in [
            (None, None),
            (Some("amd64"), Some("x86_64")),
            (Some("x86-64"), Some("x86_64")),
            (Some("x86_64"), Some("x86_64")),
            (Some("arm64"), Some("aarch64")),
            (Some("armv7h"), Some("armv7h")),
            (Some("i686"), Some("i686")),
        ] {
            let args = PackagesArgs { architecture: typed.map(str::to_owned), ..args() };
            assert_eq!(architecture(&args).as_deref(), expected, "{typed:?}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let snapshot = |day: &str| PackagesArgs { snapshot: Some(day.into()), ..args() };
        let mirror = |url: &str| PackagesArgs { mirror: Some(url.into()), ..args() };
        for (parameter, args) in [
            ("--package", PackagesArgs { package: Vec::new(), ..args() }),
            ("--package", PackagesArgs { package: vec!["-x".into()], ..args() }),
            ("--repo", PackagesArgs { repo: vec!["a]".into()], ..args() }),
            ("--source-date-epoch", PackagesArgs { source_date_epoch: None, ..args() }),
            ("--snapshot", snapshot("2026/02/29")),
            ("--snapshot", snapshot("2026/2/9")),
            ("--snapshot", snapshot("yesterday")),
            ("--mirror", mirror("mirror.example")),
            (
                "--mirror",
                PackagesArgs { snapshot: Some("2026/11/23".into()), ..mirror("http://$repo") },
            ),
            ("--pacman-conf", PackagesArgs { pacman_conf: Some("/dev/null".into()), ..args() }),
        ] {
            let error = options(&args).unwrap_err();
            assert!(FLAGS.error(&error).starts_with(parameter), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
