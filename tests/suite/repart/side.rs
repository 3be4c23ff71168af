//! One of the two programs, in its own directory with the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::detfs::detfs;
use crate::oracle::sid;

/// Placeholder for the directory of a side in arguments, definitions and answers.
pub const WORKDIR: &str = "$HERE";

/// Program that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Real,
    Detfs,
}

/// A program and its working directory.
#[derive(Debug)]
pub struct Side {
    pub tool: Tool,
    pub directory: PathBuf,
}

/// Result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Side {
    /// Creates an empty directory. It must be below `/dev/shm` if the sid system is to see it.
    pub fn new(tool: Tool, directory: PathBuf) -> Self {
        fs::create_dir(&directory).unwrap();
        Self { tool, directory }
    }

    /// Creates both sides in `scratch`.
    pub fn both(tools: [Tool; 2], scratch: &Path) -> [Self; 2] {
        let [left, right] = tools;
        [Self::new(left, scratch.join("left")), Self::new(right, scratch.join("right"))]
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file and creates its parent directories.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Runs the program with systemd-repart's command line.
    pub fn repart<A: AsRef<str>>(&self, args: &[A], env: &[(String, String)]) -> Answer {
        let here = self.directory.to_str().unwrap();
        let mut command = match self.tool {
            Tool::Real => sid().command("systemd-repart"),
            Tool::Detfs => detfs(["repart"]),
        };
        command.args(args.iter().map(|arg| arg.as_ref().replace(WORKDIR, here)));
        command.envs(env.iter().map(|(name, value)| (name, value.replace(WORKDIR, here))));
        self.answer(&mut command)
    }

    fn answer(&self, command: &mut Command) -> Answer {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let here = self.directory.to_str().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(here, WORKDIR);
        Answer {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Returns the names of the files in the directory, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
