//! Trees of Arch Linux packages, installed by pacman itself.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use sha2::{Digest, Sha256};

use super::lock::{Lock, Package};
use super::options::Options;
use super::sandbox::{Done, Output, inside, no_setpriv, outside, run};
use super::scratch::{Scratch, has_no_locks};
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::name::HostPath;
use crate::place::{is_absence, real};

/// Parameters for building a tree.
#[derive(Debug, Clone, Copy)]
pub struct Staging<'a> {
    /// Options that determine the content.
    pub options: &'a Options,
    /// A pacman.conf to use instead of one generated from the options.
    pub configuration: Option<&'a Path>,
    /// Directory in which packages are kept for later runs.
    pub cache: Option<&'a Path>,
    /// Lock that the packages must match.
    pub locked: Option<&'a Lock>,
    /// Offset of the clock that pacman sees, in faketime's syntax (such as `+400d`), to find out
    /// what depends on the time.
    pub clock: Option<&'a str>,
}

/// A tree that was built.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Staged {
    /// Record of what went into the tree.
    pub lock: Lock,
    /// Errors after which pacman went on: scriptlets and hooks that failed.
    pub complaints: Vec<String>,
}

impl Staging<'_> {
    /// Builds the tree at `out`, which must not exist, and returns a record of what went into it.
    ///
    /// pacman's progress is shown on standard error. The caller must be root, possibly in a user
    /// namespace.
    ///
    /// # Errors
    /// [`Error::Tool`] if pacman fails; [`Error::Differs`] if the packages to install differ from
    /// those in the lock; [`Error::Parameter`] and [`Error::Output`] if the tree or its parts can't
    /// be written. In any of these cases there is no tree at `out`.
    pub fn run(&self, out: &Path) -> Result<Staged> {
        let Self { options, configuration, cache, locked, clock } = *self;
        options.check()?;
        let out = &absolute(out)?;
        match out.symlink_metadata() {
            Err(error) if is_absence(&error) => {}
            Err(error) => {
                return Err(Error::output(format!("cannot look for {}", HostPath(out)), error));
            }
            Ok(_) => {
                return Err(Error::parameter(
                    "output",
                    format!("{} exists", HostPath(out)),
                    "remove it, or give another name",
                ));
            }
        }
        let scratch = Scratch::beside(out, "stage")?;
        let version = version(options)?;
        let work = scratch.directory("work", 0o700)?;
        if mtime(&work)? < options.source_date_epoch {
            return Err(Error::parameter(
                "epoch",
                "it is in the future, and so later than the times of installed files",
                "give a time in the past",
            ));
        }
        let cache = match cache {
            Some(cache) if is_within(cache, out)? => {
                return Err(Error::parameter(
                    "stage.cache",
                    "it is inside the tree",
                    "give another directory",
                ));
            }
            Some(cache) => {
                let failed =
                    |error| Error::output(format!("cannot use {}", HostPath(cache)), error);
                fs::create_dir_all(cache).map_err(failed)?;
                absolute(cache)?
            }
            None => scratch.directory("work/cache", 0o755)?,
        };
        let _lock = lock_cache(&cache)
            .map_err(|error| Error::output(format!("cannot lock {}", HostPath(&cache)), error))?;
        let configuration = match configuration {
            Some(path) => absolute(path)?,
            None => scratch.file("work/pacman.conf", &configured(options, &version))?,
        };
        let root = scratch.directory("root", 0o755)?;
        for (path, mode) in DIRECTORIES {
            scratch.directory(&format!("root/{path}"), mode)?;
        }
        let pacman = Pacman {
            epoch: options.source_date_epoch,
            clock,
            log: scratch.file("work/pacman.log", "")?,
            hooks: scratch.directory("work/hooks", 0o755)?,
            root,
            configuration,
            cache,
        };
        pacman.shown("fetch the lists of packages", false, &["-Sy"], &[])?;
        let mut packages = pacman.resolved(&options.packages)?;
        agree(locked, &packages)?;
        can_be_cached(&pacman.cache, &packages)?;
        pacman.shown("fetch packages", false, &["-Sw"], &options.packages)?;
        for package in &mut packages {
            package.sha256 = sha256(&pacman.cache.join(&package.file))?;
        }
        agree(locked, &packages)?;
        let errors = pacman.shown("install packages", true, &["-S"], &options.packages)?;
        scratch.finish(out)?;
        let lock = Lock::new(options.clone(), version, packages);
        Ok(Staged { lock, complaints: complaints(&errors) })
    }
}

/// Directories that are mount points or are used by pacman, and so must exist before the first
/// package is installed. Their modes are those of the package `filesystem`.
const DIRECTORIES: [(&str, u32); 11] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/lib/pacman", 0o755),
    ("var/log", 0o755),
];

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|error| Error::output(format!("cannot find {}", HostPath(path)), error))
}

/// Returns whether a path leads into a directory that does not exist yet.
fn is_within(path: &Path, directory: &Path) -> Result<bool> {
    let place = |path: &Path| {
        real(path).map_err(|error| Error::output(format!("cannot find {}", HostPath(path)), error))
    };
    Ok(place(path)?.starts_with(place(directory)?))
}

/// Locks the cache until the returned file is dropped, because two runs of pacman would remove each
/// other's files.
///
/// Returns `None` if the file system does not support locks or the cache is read-only.
fn lock_cache(cache: &Path) -> io::Result<Option<File>> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let name = cache.join(".lock");
    // The file may already exist and belong to another user, so do not require write access.
    let lock = File::open(&name)
        .or_else(|_| File::options().write(true).create(true).truncate(false).open(&name));
    let lock = match lock {
        Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            return Ok(None);
        }
        lock => lock?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
        Err(TryLockError::WouldBlock) => {
            // If this fails too, there is nowhere to report it.
            #[expect(clippy::disallowed_methods, reason = "the path is escaped")]
            let _ = writeln!(io::stderr(), "waiting for another run that uses {}", HostPath(cache));
            lock.lock()?;
        }
    }
    Ok(Some(lock))
}

/// Rejects a cache that pacman can't add the packages to. pacman would put them in another
/// directory, and leave them there.
fn can_be_cached(cache: &Path, packages: &[Package]) -> Result<()> {
    let is_complete = packages.iter().all(|package| cache.join(&package.file).exists());
    match access(cache, Access::WRITE_OK) {
        Err(error) if !is_complete => Err(Error::parameter(
            "stage.cache",
            format!("{} can't be written: {error}", HostPath(cache)),
            "give a writable directory, or one that has all packages",
        )),
        _ => Ok(()),
    }
}

/// Returns the modification time of a file, which is set by the file system's clock.
fn mtime(path: &Path) -> Result<i64> {
    let found = path.metadata();
    let found =
        found.map_err(|error| Error::output(format!("cannot access {}", HostPath(path)), error))?;
    Ok(found.mtime())
}

fn agree(locked: Option<&Lock>, packages: &[Package]) -> Result<()> {
    let Some(lock) = locked else { return Ok(()) };
    let differences = lock.differences(packages);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Differs {
        what: "the list of packages",
        specification: "the lock",
        rule: differences.join(", "),
        remedy: "build from a mirror that still has the locked packages, such as an archive \
             of their day (`stage.mirror`), or recreate the lock without `stage.locked`"
            .into(),
    })
}

/// Returns the version of the installed pacman.
fn version(options: &Options) -> Result<String> {
    let mut command = outside(options.source_date_epoch, None);
    let done = run(command.args(["pacman", "--version"]), Output::Taken)?;
    let words = done.output.split_whitespace();
    let version = words.skip_while(|word| *word != "Pacman").nth(1);
    match version.and_then(|word| word.strip_prefix('v')) {
        Some(version) if done.success => Ok(version.into()),
        _ if done.errors.contains("setpriv") => Err(no_setpriv(last_line(&done))),
        _ => Err(Error::Tool {
            tool: "pacman",
            doing: "be started".into(),
            said: last_line(&done),
            remedy: "install it: pacman-package-manager on Debian, pacman elsewhere",
        }),
    }
}

/// Returns a pacman.conf for the options.
///
/// It uses nothing of the host apart from the keys.
fn configured(options: &Options, version: &str) -> String {
    let major: u32 = version.split('.').next().and_then(|part| part.parse().ok()).unwrap_or(0);
    let architecture = options.architecture.as_deref().unwrap_or("auto");
    let mut text = format!(
        "[options]\nArchitecture = {architecture}\nSigLevel = Required DatabaseOptional\n\
         ParallelDownloads = 5\n",
    );
    if major >= 7 {
        // pacman's sandbox requires a separate user and a kernel with Landlock, and pacman already
        // runs in a sandbox here.
        text += "DisableSandbox\n";
    }
    for repository in &options.repositories {
        let mirror = options.mirror.as_deref().unwrap_or_default();
        text += &format!("[{repository}]\nServer = {mirror}\n");
    }
    text
}

struct Pacman<'a> {
    root: PathBuf,
    configuration: PathBuf,
    cache: PathBuf,
    log: PathBuf,
    /// Empty directory in place of the host's hooks: the hooks of packages are in the tree.
    hooks: PathBuf,
    epoch: i64,
    clock: Option<&'a str>,
}

impl Pacman<'_> {
    fn run(
        &self,
        doing: &str,
        is_inside: bool,
        operation: &[&str],
        packages: &[String],
        output: Output,
    ) -> Result<Done> {
        let mut command = match is_inside {
            true => inside(&self.root, self.epoch, self.clock),
            false => outside(self.epoch, self.clock),
        };
        command.arg("pacman").args(operation).arg("--noconfirm");
        for (option, path) in [
            ("--config", self.configuration.clone()),
            ("--root", self.root.clone()),
            ("--dbpath", self.root.join("var/lib/pacman")),
            ("--hookdir", self.hooks.clone()),
            ("--cachedir", self.cache.clone()),
            ("--logfile", self.log.clone()),
        ] {
            command.arg(option).arg(path);
        }
        let done = run(command.arg("--").args(packages), output)?;
        match done.success {
            true => Ok(done),
            false => Err(Error::Tool {
                tool: "pacman",
                doing: doing.into(),
                said: last_line(&done),
                remedy: remedy(&done.errors),
            }),
        }
    }

    /// Runs pacman, shows its output, and returns what it wrote to standard error.
    fn shown(
        &self,
        doing: &str,
        is_inside: bool,
        operation: &[&str],
        packages: &[String],
    ) -> Result<String> {
        Ok(self.run(doing, is_inside, operation, packages, Output::Shown)?.errors)
    }

    /// Returns all packages that would be installed for `packages`, without their hashes.
    fn resolved(&self, packages: &[String]) -> Result<Vec<Package>> {
        let operation = ["-Sp", "--print-format", "%r %n %v %l"];
        let doing = "resolve the dependencies of the packages";
        let text = self.run(doing, false, &operation, packages, Output::Taken)?.output;
        let packages = text.lines().filter_map(|line| {
            let mut words = line.splitn(4, ' ').map(str::to_owned);
            let (repository, name, version) = (words.next()?, words.next()?, words.next()?);
            let file = words.next()?.rsplit('/').next()?.to_owned();
            Some(Package { name, version, repository, file, sha256: String::new() })
        });
        Ok(packages.collect())
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut Hasher(&mut hash)));
    read.map_err(|error| Error::output(format!("cannot read {}", HostPath(path)), error))?;
    Ok(hex(&hash.finalize()))
}

struct Hasher<'a>(&'a mut Sha256);

impl Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns pacman's errors, each with the last message of the program that failed.
fn complaints(errors: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut last = None;
    for line in errors.lines() {
        let Some(complaint) = line.strip_prefix("error: ") else {
            last = Some(line);
            continue;
        };
        complaints.push(match last.take() {
            Some(said) => format!("{complaint}: {said}"),
            None => complaint.into(),
        });
    }
    complaints
}

/// Returns the last error message, or else the last line.
fn last_line(done: &Done) -> String {
    let lines = done.errors.lines().map(str::trim);
    let mut errors = lines.clone().filter(|line| line.starts_with("error:"));
    let line = errors.next_back().or_else(|| lines.rev().find(|line| !line.is_empty()));
    line.unwrap_or("no error message").into()
}

/// Returns the remedy for a failure, according to pacman's messages.
fn remedy(errors: &str) -> &'static str {
    const REMEDIES: [(&[&str], &str); 6] = [
        // The file does not match its signature, so no key would help.
        (
            &["\" is invalid"],
            "the package or its signature was modified: remove it from `stage.cache`, or fetch it \
             from another `stage.mirror`",
        ),
        (
            &["target not found"],
            "check the name of the package and the repositories (`stage.repositories`)",
        ),
        (
            &["unable to satisfy dependency", "could not satisfy dependencies"],
            "add the repository that has the dependency (`stage.repositories`)",
        ),
        (
            &[
                "PGP signature",
                "signature from",
                "missing required signature",
                "required key missing",
                "keyring",
                "GPGME",
            ],
            "fetch the keys (pacman-key --init, pacman-key --populate archlinux), or give a \
             `stage.configuration` with the GPGDir and SigLevel that the packages are signed for",
        ),
        (
            &["invalid or corrupted", "checksum"],
            "remove the package from `stage.cache`, or fetch it from another `stage.mirror`",
        ),
        (
            &[
                "failed retrieving",
                "failed to synchronize",
                "failed to update",
                "failed to retrieve",
                "Could not resolve host",
            ],
            "check the network, and the address or the day of `stage.mirror`",
        ),
    ];
    let known = REMEDIES.iter().find(|(texts, _)| texts.iter().any(|text| errors.contains(text)));
    known.map_or("see its messages above", |(_, remedy)| remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_have_what_the_version_knows() {
        let options = Options {
            packages: vec!["base".into()],
            mirror: Some("https://mirror/$repo/os/$arch".into()),
            repositories: vec!["core".into(), "extra".into()],
            configuration: None,
            architecture: Some("x86_64".into()),
            source_date_epoch: 5,
        };
        let old = configured(&options, "6.0.2");
        assert_eq!(
            old,
            "[options]\nArchitecture = x86_64\nSigLevel = Required DatabaseOptional\n\
             ParallelDownloads = 5\n[core]\nServer = https://mirror/$repo/os/$arch\n[extra]\n\
             Server = https://mirror/$repo/os/$arch\n"
        );
        assert!(configured(&options, "7.1.0").contains("\nDisableSandbox\n"));
    }

    #[test]
    fn complaints_have_what_was_said_before() {
        let errors = "a\nb\nerror: failed\nerror: again\nc\n";
        assert_eq!(complaints(errors), ["failed: b", "again"]);
    }

    #[test]
    fn failures_have_remedies() {
        for (errors, part) in [
            ("error: target not found: nothing\n", "`stage.repositories`"),
            (
                "error: a: signature from \"x\" is unknown trust\nerror: failed to commit transaction (invalid or corrupted package (PGP signature))\n",
                "pacman-key",
            ),
            ("error: failed retrieving file 'core.db' from h : x\n", "`stage.mirror`"),
            ("error: something\n", "above"),
        ] {
            assert!(remedy(errors).contains(part), "{errors}");
        }
        let done = Done {
            success: false,
            output: String::new(),
            errors: "error: first\nerror: second\nwarning: x\n".into(),
        };
        assert_eq!(last_line(&done), "error: second");
    }
}
