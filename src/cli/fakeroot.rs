//! Libraries that show an ordinary user the owners, modes and devices that a real root would have
//! made: fakeroot and pseudo. They are preloaded and answer in place of the C library.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::error::{Error, Result};

/// Names of the libraries start with these.
const LIBRARIES: [&str; 2] = ["libfakeroot", "libpseudo"];

/// How long a library may take to answer: it asks a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the library that fakes what this program sees of files, if there is one.
///
/// # Errors
/// [`Error::Parameter`] if the environment asks for one that is not loaded, as in a program that is
/// linked statically, or does not answer: the image would have the owners and devices as they are
/// on disk.
pub(super) fn library() -> Result<Option<&'static str>> {
    let Some((parameter, library)) = asked_for() else { return Ok(None) };
    let fault = |rule: String, remedy: &str| Err(Error::parameter(parameter, rule, remedy));
    // Before anything else: reading a file asks the library too.
    if !answers() {
        return fault(
            format!("{library} is asked for but its server does not answer"),
            "start fakeroot or pseudo again",
        );
    }
    match fs::read("/proc/self/maps") {
        Err(error) => {
            return fault(
                format!("cannot see whether {library} is loaded: /proc/self/maps: {error}"),
                "mount /proc",
            );
        }
        Ok(maps) if !contains(&maps, library) => {
            return fault(
                format!("{library} is asked for but not loaded, so faked owners can't be seen"),
                "use a dynamically linked detfs that loads it, or unset the variable to take \
                 owners, modes and devices as they are on disk",
            );
        }
        Ok(_) => {}
    }
    Ok(Some(library))
}

/// Returns the variable that asks for a library, and the start of the library's name.
fn asked_for() -> Option<(&'static str, &'static str)> {
    let preload = variable("LD_PRELOAD").unwrap_or_default();
    let preloaded = LIBRARIES.into_iter().find(|name| contains(preload.as_bytes(), name));
    let key = variable("FAKEROOTKEY").map(|_| ("FAKEROOTKEY", LIBRARIES[0]));
    preloaded.map(|library| ("LD_PRELOAD", library)).or(key)
}

fn variable(name: &str) -> Option<OsString> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read here alone")]
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Whether the library remembers a change. Without its server some calls wait for ever, and some
/// show what is on disk.
fn answers() -> bool {
    let (sender, receiver) = mpsc::channel();
    let requested =
        thread::Builder::new().spawn(move || sender.send(remembers().is_ok_and(|it| it)));
    // Where no thread can be made, nothing waits for an answer.
    requested.is_err() || receiver.recv_timeout(PATIENCE) == Ok(true)
}

/// Changes a file in memory as only root may. Permissions are none: on disk, libraries leave the
/// owner's. Twice, for a library that got no answer may show anything.
fn remembers() -> io::Result<bool> {
    let file = File::from(memfd_create(c"detfs", MemfdFlags::CLOEXEC)?);
    for id in [1, 2] {
        fchown(&file, Some(id), Some(id))?;
        file.set_permissions(Permissions::from_mode(0o0))?;
        let status = file.metadata()?;
        if (status.uid(), status.gid(), status.mode() & 0o777) != (id, id, 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
