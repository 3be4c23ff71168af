//! Manual pages and completions, checked with the programs that read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::detfs::succeed;

#[path = "../../examples/assets/generate.rs"]
mod generate;

/// Generates all files in a temporary directory.
fn assets() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    generate::generate(directory.path()).unwrap();
    directory
}

fn pages(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("man")).unwrap();
    let mut pages: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

/// Formats a page with groff, which reports what is wrong on standard error.
fn format(page: &Path) -> Output {
    let mut man = Command::new("man");
    succeed(
        man.env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8").args(["--warnings", "-l"]).arg(page),
    )
}

fn has_errors(page: &Path) -> bool {
    let output = Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(page).output();
    !output.unwrap().status.success()
}

#[test]
fn manual_pages_are_formatted() {
    let directory = assets();
    let pages = pages(directory.path());
    assert_eq!(pages.len(), 18, "{pages:?}");
    for page in &pages {
        let output = format(page);
        assert!(output.stderr.is_empty(), "{page:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!has_errors(page), "{page:?}");
    }
    let broken = directory.path().join("broken.1");
    fs::write(&broken, ".TH X 1\n.nonsense\n.RE 5\n").unwrap();
    assert!(has_errors(&broken));
    assert!(!format(&broken).stderr.is_empty());

    let mkimage = format(&directory.path().join("man/detfs-mkimage.1"));
    let text = String::from_utf8(mkimage.stdout).unwrap();
    for part in ["EXAMPLES", "EXIT CODES", "ENVIRONMENT", "--seed-string", "ESP AND DISK"] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn shells_complete_options() {
    let directory = assets();
    let completions = directory.path().join("completions");
    let run = |shell: &str, script: &str, file: &str| {
        let mut command = Command::new(shell);
        command.env("HOME", directory.path()).arg("-c").arg(script);
        command.args((shell == "bash").then_some("bash")).arg(completions.join(file));
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    };
    let bash = "source $1; COMP_WORDS=(detfs mkimage --seed-s) COMP_CWORD=2
        _detfs detfs --seed-s mkimage; printf '%s' \"${COMPREPLY[*]}\"";
    assert_eq!(run("bash", bash, "detfs.bash"), "--seed-string");
    let fish = "source $argv[1]; complete -C 'detfs mkimage --seed-s'";
    assert!(run("fish", fish, "detfs.fish").starts_with("--seed-string"));
    // zsh completes only in an interactive shell.
    succeed(Command::new("zsh").arg("-n").arg(completions.join("_detfs")));
}
