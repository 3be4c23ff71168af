//! A directory in which `detfs repart` runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::side::{Answer, Side, Tool, WORKDIR};
use crate::detfs::SEED;
use crate::oracle::shell;

/// A tree, definitions, and the images that are built from them.
pub struct Fixture {
    pub side: Side,
    _scratch: tempfile::TempDir,
}

impl Fixture {
    /// Creates the tree by running a shell script in it.
    pub fn new(script: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let side = Side::new(Tool::Detfs, scratch.path().join("here"));
        side.write("tree/etc/os-release", "ID=test\n");
        fs::create_dir(side.path("repart.d")).unwrap();
        shell(&format!("cd $1; {script}"), &[&side.path("tree")]);
        Self { side, _scratch: scratch }
    }

    /// Replaces all definitions. Each consists of a name, a space, and settings that are separated
    /// by `;` and a space.
    pub fn define(&self, definitions: &[&str]) {
        fs::remove_dir_all(self.side.path("repart.d")).unwrap();
        for definition in definitions {
            let (name, text) = definition.split_once(' ').unwrap();
            let text = text.replace("; ", "\n");
            self.side.write(&format!("repart.d/{name}.conf"), format!("[Partition]\n{text}\n"));
        }
    }

    /// Runs the program with `args` and the common arguments. By default, `--root` is the tree and
    /// the image is `image.raw`.
    pub fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Answer {
        let mut all: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        all.push("--offline=yes".to_owned());
        all.push("--json=short".to_owned());
        if !args.iter().any(|arg| arg.starts_with("--root")) {
            all.push(format!("--root={WORKDIR}/tree"));
        }
        if !args.iter().any(|arg| arg.starts_with("--seed")) {
            all.push(format!("--seed={SEED}"));
        }
        if !args.iter().any(|arg| arg.starts_with("--definitions") || arg.starts_with("--make")) {
            all.push(format!("--definitions={WORKDIR}/repart.d"));
        }
        if !args.iter().any(|arg| !arg.starts_with('-')) {
            all.push(format!("{WORKDIR}/image.raw"));
        }
        let mut env: BTreeMap<_, _> = env.iter().copied().collect();
        env.entry("SOURCE_DATE_EPOCH").or_insert("1750000000");
        let env: Vec<_> =
            env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.side.repart(&all, &env)
    }

    /// Runs a command that must succeed, and returns the partitions by type.
    pub fn make(&self, args: &[&str], env: &[(&str, &str)]) -> BTreeMap<String, Value> {
        let answer = self.run(args, env);
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        let rows: Vec<Value> = serde_json::from_str(&answer.stdout).unwrap();
        rows.into_iter().map(|row| (row["type"].as_str().unwrap().to_owned(), row)).collect()
    }

    /// Returns the path of a split partition file.
    pub fn part(&self, name: &str) -> PathBuf {
        self.side.path(&format!("image.{name}.raw"))
    }
}
