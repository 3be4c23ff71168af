//! Digest of a pacman.conf.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::cli::text_of;
use crate::error::{Error, Result};
use crate::glob::Globs;
use crate::hex::hex;
use crate::name::HostPath;
use crate::place::is_absence;

/// Returns a digest of the settings in a pacman.conf that affect the tree.
pub(super) fn digest(path: &Path) -> Result<String> {
    if path.exists() && !path.is_file() {
        let rule =
            format!("{} is not a regular file, and pacman has to read it again", HostPath(path));
        return Err(Error::parameter("--pacman-conf", rule, "give a regular file"));
    }
    let mut lines = String::new();
    decisive(path, INCLUDES, &mut lines)?;
    Ok(hex(&Sha256::digest(lines)))
}

const REMEDY: &str = "give readable files";

/// Maximum depth of includes, as in pacman.
const INCLUDES: usize = 10;

/// Appends the lines of a pacman.conf and of its includes, except the locations of packages and
/// keys. These differ between machines, and packages are verified by their own hashes.
fn decisive(path: &Path, depth: usize, lines: &mut String) -> Result<()> {
    let fault = |rule| Error::parameter("--pacman-conf", rule, REMEDY);
    let Some(depth) = depth.checked_sub(1) else {
        return Err(fault(format!("includes are nested too deeply at {}", HostPath(path))));
    };
    let unreadable = |error| fault(format!("cannot read {}: {error}", HostPath(path)));
    let text = text_of("--pacman-conf", path, REMEDY)?;
    for line in text.lines().map(str::trim) {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match key.trim() {
            "Server" | "CacheServer" | "XferCommand" | "GPGDir" => {}
            "Include" => {
                for path in included(value.trim()).map_err(unreadable)? {
                    decisive(&path, depth, lines)?;
                }
            }
            key if key.is_empty() || key.starts_with('#') => {}
            key if value.is_empty() => *lines += &format!("{key}\n"),
            key => *lines += &format!("{key} = {}\n", value.trim()),
        }
    }
    Ok(())
}

/// Returns the existing files that match a glob(3) pattern, sorted.
#[expect(clippy::disallowed_methods, reason = "what is listed is sorted")]
fn included(pattern: &str) -> io::Result<Vec<PathBuf>> {
    // pacman runs in `/`.
    let mut paths = vec![PathBuf::from("/")];
    for name in pattern.split('/').filter(|name| !name.is_empty()) {
        if !name.contains(['*', '?', '[', '\\']) {
            paths.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let glob = Globs::new([name.replace('{', "[{]").replace('}', "[}]")]);
        let glob = glob.map_err(io::Error::other)?;
        let mut found = Vec::new();
        for directory in paths {
            let entries = match fs::read_dir(directory) {
                Err(error) if is_absence(&error) => continue,
                entries => entries?,
            };
            for entry in entries {
                let (path, own) = entry.map(|entry| (entry.path(), entry.file_name()))?;
                let is_hidden = own.as_bytes().starts_with(b".") && !name.starts_with('.');
                if glob.matches(own.as_bytes()) && !is_hidden {
                    found.push(path);
                }
            }
        }
        found.sort();
        paths = found;
    }
    let there = |path: PathBuf| match path.metadata() {
        Err(error) if is_absence(&error) => None,
        found => Some(found.map(|_| path)),
    };
    paths.into_iter().filter_map(there).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn configurations_are_told_apart_by_what_they_decide() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        let decided = |text: &str| {
            let text = text.replace("HERE", scratch.path().to_str().unwrap());
            fs::write(path("pacman.conf"), text).unwrap();
            let mut lines = String::new();
            decisive(&path("pacman.conf"), INCLUDES, &mut lines).map(|()| lines)
        };
        let text = "[options]\n# x\nGPGDir = /a\nNoExtract = usr/share/doc/*\n[core]\nServer = file:///a\n";
        let elsewhere =
            "[options]\n GPGDir=/b\n  NoExtract = usr/share/doc/*\n\n[core]\nServer=file:///b\n";
        let expected = "[options]\nNoExtract = usr/share/doc/*\n[core]\n";
        assert_eq!(decided(text).unwrap(), expected);
        assert_eq!(decided(elsewhere).unwrap(), expected);
        assert_eq!(decided(&text.replace(" = ", "=")).unwrap(), expected);
        assert_ne!(decided(&text.replace("NoExtract", "NoUpgrade")).unwrap(), expected);
        // An include that can't be accessed is an error, unlike a missing include.
        symlink("loop", path("loop")).unwrap();
        for include in ["HERE/loop", "HERE/loop/*.conf"] {
            assert!(decided(&format!("Include = {include}\n")).is_err(), "{include}");
        }
        assert_eq!(decided("Include = HERE/nothing\nInclude = HERE/nothing/*\n").unwrap(), "");
        // Included lines count as if they were in the file itself, whatever the name of the
        // included file.
        fs::create_dir(path("more")).unwrap();
        fs::write(path("more/b.conf"), "[core]\nInclude = /no/such/file\n").unwrap();
        fs::write(path("more/a.conf"), "NoExtract = usr/share/doc/*\n").unwrap();
        fs::write(path("mirrorlist"), "Server = file:///c\n").unwrap();
        fs::write(path("more/.c.conf"), "NoExtract = of no interest\n").unwrap();
        for pattern in ["HERE/more/*.conf", "HERE/m*e/?.conf", "HERE/[a-m]ore/*"] {
            let text = format!("[options]\nInclude = {pattern}\nInclude = HERE/mirrorlist\n");
            assert_eq!(decided(&text).unwrap(), expected, "{pattern}");
        }
        let error = decided("Include = HERE/pacman.conf\n").unwrap_err();
        assert!(error.to_string().contains("includes are nested too deeply"), "{error}");
    }
}
