//! `detfs build` with repart.d files makes the image that `detfs repart` makes of a normalized
//! tree.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::detfs::{SEED, detfs, succeed};
use crate::oracle::{gpt, sha256, shell};

const EPOCH: &str = "1700000000";

struct Fixture(TempDir);

impl Fixture {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        shell(
            "cd $1; mkdir -p tree/efi/loader tree/etc tree/root tree/usr/lib tree/var/log repart.d
            printf 'ID=debian\\nVERSION_ID=12\\n' >tree/etc/os-release
            echo x >tree/efi/loader/loader.conf; echo x >tree/usr/lib/a; echo x >tree/usr/lib/skip
            ln tree/usr/lib/a tree/usr/lib/b; ln -s a tree/usr/lib/c
            cp -a tree clean; rm clean/usr/lib/skip
            head -c 512 /dev/urandom >tree/efi/loader/random-seed
            echo secret >tree/root/.bash_history; echo log >tree/var/log/dpkg.log
            part() { printf '[Partition]\\n%b\\n' \"$2\" >repart.d/$1.conf; }
            part 10-esp 'Type=esp\\nFormat=vfat\\nCopyFiles=/efi:/\\nSizeMinBytes=40M'
            part 20-root 'Type=root\\nFormat=ext4\\nLabel=%o-%w\\nCopyFiles=/\\nExcludeFiles=/efi/\\nMinimize=best'
            part 30-srv 'Type=srv\\nFormat=btrfs\\nCopyFiles=/root:/root\\nSizeMinBytes=128M'",
            &[scratch.path()],
        );
        Self(scratch)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Builds with the definitions and more lines in the table `[image]`.
    fn build(&self, lines: &str, options: &[&str]) -> Output {
        let text = format!(
            "seed = \"{SEED}\"\nsource-date-epoch = {EPOCH}\n[image]\ntree = \"tree\"\n\
             out = \"image\"\narchitecture = \"arm64\"\ndefinitions = \"repart.d\"\n\
             exclude = [\"usr/lib/skip\"]\n{lines}"
        );
        fs::write(self.path("image.toml"), text).unwrap();
        detfs(["build"]).arg(self.path("image.toml")).args(options).output().unwrap()
    }

    fn hash(&self, lines: &str) -> String {
        let output = self.build(lines, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        gpt(&self.path("image"), 512).unwrap();
        sha256(&self.path("image"))
    }

    fn refuses(&self, lines: &str, options: &[&str], code: i32, part: &str) {
        let output = self.build(lines, options);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.lines().last().is_some_and(|line| line.contains(part)), "{said}");
        let names = shell("ls -A $1 | grep -v '^image$'", &[self.0.path()]);
        assert_eq!(names, "clean\nimage.toml\nrepart.d\ntree\n");
    }
}

#[test]
fn the_tree_is_normalized() {
    let fixture = Fixture::new();
    let mut repart = detfs(["repart", "--empty=create", "--size=auto", "--architecture=arm64"]);
    repart.arg(format!("--seed={SEED}")).env("SOURCE_DATE_EPOCH", EPOCH);
    repart.arg("--root").arg(fixture.path("clean"));
    repart.arg("--definitions").arg(fixture.path("repart.d")).arg(fixture.path("expected"));
    succeed(&mut repart);
    let expected = sha256(&fixture.path("expected"));
    fs::remove_file(fixture.path("expected")).unwrap();
    assert_eq!(fixture.hash(""), expected);
    assert_ne!(fixture.hash("normalize = \"none\"\n"), expected);
    // The image is the build's own.
    assert_eq!(fixture.hash(""), expected);
    assert_eq!(shell("ls $1/tree/root/.bash_history | wc -l", &[fixture.0.path()]), "1\n");
}

#[test]
fn a_dry_run_lists_the_partitions() {
    let fixture = Fixture::new();
    let planned = succeed_with(&fixture.build("", &["--dry-run", "--json"]));
    assert!(!fixture.path("image").exists());
    assert_eq!(planned, succeed_with(&fixture.build("", &["--json"])));
    let planned: serde_json::Value = serde_json::from_str(&planned).unwrap();
    assert_eq!(planned.as_array().unwrap().len(), 3);
    assert_eq!(planned[1]["label"], "debian-12");
    assert!(succeed_with(&fixture.build("", &["--dry-run"])).contains("debian-12"));
    assert_eq!(succeed_with(&fixture.build("", &["--dry-run", "--quiet"])), "");
}

fn succeed_with(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn what_the_definitions_decide_is_refused() {
    let fixture = Fixture::new();
    for key in [
        "fs = \"ext4\"",
        "bios-boot = true",
        "esp-size = \"64M\"",
        "label = \"x\"",
        "manifest = \"m.json\"",
        "swapfile = \"/swap:1M\"",
    ] {
        let name = key.split(' ').next().unwrap();
        let part = format!("image.toml:9: `{name}` has no meaning with `definitions`");
        fixture.refuses(&format!("{key}\n"), &[], 2, &part);
    }
    fixture.refuses("definition = \"x\"\n", &[], 2, ":9: [image] has no key `definition`");
    fixture.refuses("size = \"much\"\n", &[], 2, ":9: `size`: ");
    fs::write(fixture.path("tree/etc/hostname"), "host\n").unwrap();
    fixture.refuses("", &["--strict"], 3, "this host");
    fs::remove_file(fixture.path("tree/etc/hostname")).unwrap();
    fs::write(fixture.path("image"), "mine").unwrap();
    fixture.refuses("", &[], 2, "exists");
    assert_eq!(fs::read(fixture.path("image")).unwrap(), b"mine");
    fs::remove_file(fixture.path("image")).unwrap();
    let definition = fixture.path("repart.d/20-root.conf");
    let text = fs::read_to_string(&definition).unwrap();
    fs::write(&definition, text + "Encrypt=key-file\n").unwrap();
    fixture.refuses("", &[], 2, "20-root.conf:8: Encrypt=key-file is not supported");
}
