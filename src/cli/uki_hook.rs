//! The program of `--uki-hook`, which builds a unified kernel image.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::Arc;

use positioned_io::ReadAt;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use super::spool;
use crate::disk::{UkiContent, UkiHook, UkiInputs, VerityTarget};
use crate::error::{Error, Result};
use crate::hex::hex;
use crate::layout::{Destination, Output};
use crate::name::HostPath;
use crate::stage::{Lock, Scratch, spawn};

/// `PATH` of the program, that of a shell without any configuration.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Lock of a build, which contains the digest of the image.
#[derive(Debug, Clone)]
pub(super) struct UkiLock {
    pub(super) path: PathBuf,
    /// Whether the image must be that of the lock. Otherwise, its digest is written to the lock.
    pub(super) is_locked: bool,
}

/// A program that builds a unified kernel image.
#[derive(Debug)]
pub(super) struct UkiProgram {
    pub(super) program: PathBuf,
    /// Whether the program is run twice, and must build the same image.
    pub(super) is_strict: bool,
    pub(super) lock: Option<UkiLock>,
}

impl UkiHook for UkiProgram {
    fn build(&self, inputs: &UkiInputs) -> Result<UkiContent> {
        let (file, size) = self.run(inputs)?;
        let sha256 = self.digest(&file, size)?;
        if self.is_strict {
            let (again, size) = self.run(inputs)?;
            if self.digest(&again, size)? != sha256 {
                return Err(Error::Refused {
                    path: Vec::new(),
                    rule: "--uki-hook built two different images, which --strict refuses".into(),
                    remedy: "remove what differs between two runs, such as the time".into(),
                });
            }
        }
        self.lock.as_ref().map_or(Ok(()), |lock| lock.check(&sha256))?;
        Ok(UkiContent { size, content: Arc::new(file) })
    }
}

impl UkiProgram {
    /// Runs the program, and returns the file that it has written, which has no name any more, with
    /// its size.
    fn run(&self, inputs: &UkiInputs) -> Result<(File, u64)> {
        let beside = spool().join(format!("detfs-{}", process::id()));
        let scratch = Scratch::beside(&beside, "uki")?;
        let output = scratch.join("uki.efi");
        let program = HostPath(&self.program).to_string();
        let fail = |said: String| Error::Tool {
            tool: "--uki-hook",
            doing: format!("build the unified kernel image with {program}"),
            said,
            remedy: "correct the program, which writes the file $DETFS_OUTPUT",
        };
        let mut command = Command::new(&self.program);
        command
            .arg(&output)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("SOURCE_DATE_EPOCH", inputs.epoch.seconds.to_string())
            .env(hash_variable(inputs.root_hash.target), inputs.root_hash.to_string())
            .env("DETFS_ARCHITECTURE", inputs.architecture.name())
            .env("DETFS_OUTPUT", &output)
            .stdin(Stdio::null())
            // Standard output may be the image.
            .stdout(Stdio::null());
        let (mut child, _registration) = spawn(&mut command, Signal::TERM)
            .map_err(|error| fail(format!("cannot start it: {error}")))?;
        let status = child.wait().map_err(|error| fail(error.to_string()))?;
        if !status.success() {
            return Err(fail(status.to_string()));
        }
        match fs::symlink_metadata(&output) {
            Ok(found) if found.is_file() && found.len() > 0 => {}
            Ok(found) if found.is_file() => return Err(fail("it wrote an empty file".to_owned())),
            Ok(_) => return Err(fail("it wrote something that is not a regular file".to_owned())),
            Err(error) => return Err(fail(format!("it wrote no file: {error}"))),
        }
        let file = File::open(&output).map_err(|error| fail(error.to_string()))?;
        let size = file.metadata().map_err(|error| fail(error.to_string()))?.len();
        Ok((file, size))
    }

    fn digest(&self, file: &File, size: u64) -> Result<[u8; 32]> {
        const STEP: usize = 1 << 20;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; STEP]);
        for start in (0..size).step_by(STEP) {
            let length = usize::try_from(size - start).unwrap_or(STEP).min(STEP);
            let read = ReadAt::read_exact_at(file, start, &mut buffer[..length]);
            let program = self.program.as_os_str().as_encoded_bytes();
            read.map_err(|error| Error::source(program, "cannot read its result", error))?;
            hash.update(&buffer[..length]);
        }
        Ok(hash.finalize().into())
    }
}

/// Returns the variable with the root hash of a file system.
fn hash_variable(target: VerityTarget) -> &'static str {
    match target {
        VerityTarget::Root => "DETFS_ROOT_HASH",
        VerityTarget::Usr => "DETFS_USR_HASH",
    }
}

impl UkiLock {
    /// Compares a digest with that of the lock, or writes it there.
    fn check(&self, sha256: &[u8; 32]) -> Result<()> {
        let mut lock = read(&self.path)?;
        let found = hex(sha256);
        if !self.is_locked {
            lock.uki = Some(found);
            let destination = Destination::new(&self.path, true)?;
            return destination.write(lock.text().as_bytes()).and_then(Output::finish);
        }
        match &lock.uki {
            Some(locked) if *locked == found => Ok(()),
            locked => Err(Error::Differs {
                what: "the unified kernel image",
                specification: "the lock",
                rule: match locked {
                    Some(locked) => format!("its SHA-256 is {found} instead of {locked}"),
                    None => "the lock has none".to_owned(),
                },
                remedy: "build with the same --uki-hook, or recreate the lock with --update".into(),
            }),
        }
    }
}

fn read(path: &Path) -> Result<Lock> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::source(path.as_os_str().as_encoded_bytes(), "cannot read the lock", error)
    })?;
    Lock::parse(path, &text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::disk::RootHash;
    use crate::gpt::Architecture;
    use crate::stage::Options;
    use crate::time::Timestamp;

    /// The lock of an image has its digest, and a locked build takes no other image.
    #[test]
    fn locks_have_the_digest() {
        let directory = tempfile::tempdir().unwrap();
        let [program, path] = ["hook", "lock"].map(|name| directory.path().join(name));
        let options = Options {
            packages: vec!["base".into()],
            mirror: Some("https://mirror/$repo/os/$arch".into()),
            repositories: vec!["core".into()],
            configuration: None,
            architecture: Some("x86_64".into()),
            source_date_epoch: 5,
        };
        let text = Lock::new(options, "7.1.0".into(), Vec::new()).text();
        fs::write(&path, &text).unwrap();
        let build = |content: &str, is_locked| {
            fs::write(&program, format!("#!/bin/sh\nprintf %s {content} >$1\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let lock = Some(UkiLock { path: path.clone(), is_locked });
            let hook = UkiProgram { program: program.clone(), is_strict: false, lock };
            let epoch = Timestamp::from_seconds(5);
            let target = VerityTarget::Root;
            let root_hash = RootHash { target, bytes: [0; 32], is_signed: false };
            let architecture = Architecture::X86_64;
            hook.build(&UkiInputs { root_hash, architecture, epoch })
        };
        let error = build("one", true).unwrap_err();
        assert!(error.to_string().contains("differs from the lock: the lock has none"), "{error}");
        assert_eq!(build("one", false).unwrap().size, 3);
        // printf one | sha256sum
        let digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
        assert_eq!(read(&path).unwrap().uki.as_deref(), Some(digest));
        build("one", true).unwrap();
        let error = build("two", true).unwrap_err();
        assert!(error.to_string().contains(&format!("instead of {digest}")), "{error}");
        assert_eq!(error.exit_code(), 1);
        build("two", false).unwrap();
        build("two", true).unwrap();
    }
}
