//! Detects fakeroot and pseudo: preloaded libraries that stand in for the C library, and show an
//! ordinary user the owners, modes and devices that root would have created.

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

/// Prefixes of the library names.
const LIBRARIES: [&str; 2] = ["libfakeroot", "libpseudo"];

/// Time limit for an answer of the library, which asks a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the library that fakes file metadata for this program, if there is one.
///
/// # Errors
/// [`Error::Parameter`] if the environment requests a library that is not loaded, as in a
/// statically linked program, or that does not answer: the image would have the owners and devices
/// that are on disk.
pub(super) fn library() -> Result<Option<&'static str>> {
    let Some((parameter, library)) = asked_for() else { return Ok(None) };
    let fault = |rule: String, remedy: &str| Err(Error::parameter(parameter, rule, remedy));
    // This must come first, because reading a file asks the library too.
    if !answers() {
        return fault(
            format!("{library} is requested, but its server does not answer"),
            "restart fakeroot or pseudo",
        );
    }
    match fs::read("/proc/self/maps") {
        Err(error) => {
            return fault(
                format!("cannot determine whether {library} is loaded: /proc/self/maps: {error}"),
                "mount /proc",
            );
        }
        Ok(maps) if !contains(&maps, library) => {
            return fault(
                format!("{library} is requested but not loaded, so faked owners are not visible"),
                "use a dynamically linked detfs that loads it, or unset the variable to take \
                 owners, modes and devices as they are on disk",
            );
        }
        Ok(_) => {}
    }
    Ok(Some(library))
}

/// Returns the variable that requests a library, and the prefix of the library's name.
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

/// Returns whether the library remembers a change. Without its server, some calls block forever,
/// and others return what is on disk.
fn answers() -> bool {
    let (sender, receiver) = mpsc::channel();
    let requested =
        thread::Builder::new().spawn(move || sender.send(remembers().is_ok_and(|it| it)));
    // If no thread can be started, the library is not checked.
    requested.is_err() || receiver.recv_timeout(PATIENCE) == Ok(true)
}

/// Sets the owner and mode of a file in memory as only root can, and returns whether they are
/// reported back. The mode has no permissions, because on disk libraries keep those of the owner.
/// The change is made twice, because a library that got no answer may report anything.
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
