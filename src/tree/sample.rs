//! Trees that shell scripts make, for the tests of readers.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::dir::DirOptions;
use super::{Directory, Source, Tree};
use crate::disk::{BuildInput, single};
use crate::format::Format;
use crate::{Seed, Timestamp, Uuid};

/// Makes a tree with everything that a format stores, in the current directory.
pub(crate) const EVERYTHING: &str = r#"
    for size in 1 4095 4096 4097 8192 65535 65536 65537 131071 131072 131073 400000; do
        seq $size | head -c $size >size-$size
        yes | head -c $size >same-$size
    done
    for size in 1 4095 4096 4097 65536 131073; do
        head -c $size /dev/urandom >random-$size
        (head -c $size /dev/urandom; seq $size) >mixed-$size
    done
    seq 200000 | head -c 1048576 >size-1048576
    for size in $(seq 4000 1111 90000); do seq 30000 | head -c $size >text-$size; done
    touch empty
    head -c 300000 /dev/zero >zeros
    (head -c 200000 /dev/zero; seq 100; head -c 500000 /dev/zero) >holes
    truncate -s 500000 sparse; seq 100 | dd of=sparse bs=1 seek=200000 conv=notrunc status=none
    seq 60 >text; cp text twin; cp random-131073 random-twin; ln text link
    (head -c 131072 random-131073; seq 9) >random-start
    mkdir sub sub/sub empty-dir; ln text sub/other-link
    ln -s text symlink; ln -s "$(printf '%04000d' 7)" long-symlink
    mkfifo pipe; mknod character c 4095 1048575; mknod block b 8 300
    chown 1000:70000 size-1; chown 4000000000:0 sub; chmod 7751 sub; chmod 0 pipe
    touch -d @0 zeros; touch -d @4294967295 text; touch -d @1600000000 size-* mixed-*
    mkdir names
    (cd names; for i in $(seq 700); do touch "a-rather-long-name-of-a-file-$i"; done; touch '!' z)
    for file in size-* same-* text; do
        setfattr -n user.shared -v "$(printf '%0100d' 1)" $file
    done
    setfattr -n user.small -v x text
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" text
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" -h symlink
    setfattr -n trusted.name -v "$(printf '%0300d' 1)" names
    setfattr -n security.other -v y -h pipe
    setfattr -n user.empty names
    setfattr -n user.many -v z sub
"#;

/// A directory with a tree, and space for an image of it.
pub(crate) struct SampleTree(TempDir);

impl SampleTree {
    /// Runs scripts in the root of an empty tree.
    pub(crate) fn new(scripts: &[&str]) -> Self {
        let sample = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(sample.0.path().join("tree")).unwrap();
        for script in scripts {
            sample.change(script);
        }
        sample
    }

    /// Runs a script in the root of the tree.
    pub(crate) fn change(&self, script: &str) {
        run(script, &self.0.path().join("tree"));
    }

    /// Reads the tree.
    pub(crate) fn read(&self) -> Tree {
        let source = Directory::new(self.0.path().join("tree"));
        source.read(&DirOptions::default()).unwrap().0
    }

    /// Runs a script that makes the file `image` of the directory `tree`, and returns the image.
    pub(crate) fn image(&self, script: &str) -> Vec<u8> {
        run(script, self.0.path());
        std::fs::read(self.0.path().join("image")).unwrap()
    }

    /// Plans an image with times up to `epoch`, and returns it.
    pub(crate) fn plan(&self, format: impl Format + 'static, epoch: i64) -> Vec<u8> {
        let input = BuildInput {
            seed: Some(Seed(Uuid::from_u128(1))),
            epoch: Some(Timestamp::from_seconds(epoch)),
            spool: Some(self.0.path().to_owned()),
            ..BuildInput::new(self.read())
        };
        let options = single::Options::new(Arc::new(format));
        single::plan(input, &options).unwrap().layout.to_bytes()
    }
}

fn run(script: &str, directory: &Path) {
    let mut command = Command::new("sh");
    let output = command.args(["-euc", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
