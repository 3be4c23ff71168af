//! erofs-utils, squashfs-tools and GRUB of Debian sid read images with all options.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::boot::make_kernels_tree;
use crate::detfs::{mkfs, succeed};
use crate::oracle::{Comparison, Verdict, shell, sid};

const EPOCH: i64 = 1_700_000_000;

/// A tree on `/dev/shm`, which the system shares.
struct Fixture {
    scratch: TempDir,
    tree: PathBuf,
    image: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let [tree, image] = ["tree", "image"].map(|name| scratch.path().join(name));
        make_kernels_tree(&tree);
        shell(
            "setfattr -n user.short -v value $1/empty; setfattr -n trusted.long -v $(seq -s, 900) $1",
            &[&tree],
        );
        Self { scratch, tree, image }
    }

    fn write(&self, format: &str, options: &[&str]) {
        succeed(mkfs(format, &self.tree, &self.image, EPOCH, options).arg("--force"));
    }

    /// Runs a program of the system, and returns everything that it prints if it succeeds.
    fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = sid().command(program).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Extracts the image with the arguments of a program, and compares the result with the tree.
    fn extract(
        &self,
        program: &str,
        arguments: impl Fn(&str, &str) -> Vec<String>,
        comparison: &Comparison,
    ) -> Result<Verdict, String> {
        let root = self.scratch.path().join("root");
        let _ = fs::remove_dir_all(&root);
        let arguments = arguments(self.image.to_str().unwrap(), root.to_str().unwrap());
        Self::run(program, &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(comparison.compare(&self.tree, &root))
    }

    /// Changes the first byte of a text in the image.
    fn spoil(&self, text: &[u8]) {
        let bytes = fs::read(&self.image).unwrap();
        let at = bytes.windows(text.len()).position(|bytes| bytes == text).unwrap();
        let file = File::options().write(true).open(&self.image).unwrap();
        file.write_all_at(b"X", u64::try_from(at).unwrap()).unwrap();
    }

    /// Compares a file of the image with that of the tree by GRUB.
    fn grub_cmp(&self, path: &str) -> Result<String, String> {
        let (image, inside) = (self.image.to_str().unwrap(), format!("(loop0)/{path}"));
        let said = Self::run(
            "grub-fstest",
            &[image, "cmp", &inside, self.tree.join(path).to_str().unwrap()],
        )?;
        if said.is_empty() { Ok(said) } else { Err(said) }
    }
}

#[test]
#[ignore = "makes a Debian sid"]
fn deep_erofs_utils_read_all_options() {
    let fixture = Fixture::new();
    let exact = Comparison::exact().clamped_to(EPOCH);
    let extract = |comparison: &Comparison| {
        let arguments = |image: &str, root: &str| {
            ["--preserve", "--xattrs", &format!("--extract={root}"), image]
                .map(str::to_owned)
                .to_vec()
        };
        fixture.extract("fsck.erofs", arguments, comparison)
    };
    for options in [
        &["--erofs-profile=linux-5.4"][..],
        &["--erofs-profile=linux-5.10"],
        &["--erofs-profile=linux-5.15"],
        &["--erofs-profile=linux-5.15", "--dedup"],
        &["--erofs-profile=linux-5.15", "--compress=lz4"],
        &["--erofs-profile=linux-6.1", "--compress=lz4hc:12", "--fragments", "--dedup"],
        &["--compress=lz4hc", "--dedup"],
        &["--compress=zstd"],
        &["--compress=zstd:22", "--fragments"],
        &["--compress=zstd", "--fragments", "--dedup", "--no-compress=/many"],
    ] {
        fixture.write("erofs", options);
        extract(&exact).unwrap().unwrap_or_else(|error| panic!("{options:?}: {error:?}"));
        let image = fixture.image.to_str().unwrap();
        let said = Fixture::run("dump.erofs", &["-s", image]).unwrap();
        assert!(said.contains("sb_csum"), "{said}");
        let said = Fixture::run("dump.erofs", &["--path=/random", image]).unwrap();
        assert!(said.contains("Size: 3000001"), "{said}");
    }
    // What is not a valid image is found.
    fixture.spoil(&[0xe2, 0xe1, 0xf5, 0xe0]);
    extract(&exact).unwrap_err();
}

#[test]
#[ignore = "makes a Debian sid"]
fn deep_squashfs_tools_read_all_options() {
    let fixture = Fixture::new();
    let exact = Comparison::exact().clamped_to(EPOCH).in_squashfs();
    let extract = || {
        let arguments = |image: &str, root: &str| {
            ["-no-progress", "-quiet", "-d", root, image].map(str::to_owned).to_vec()
        };
        fixture.extract("unsquashfs", arguments, &exact)
    };
    for options in [
        &[][..],
        &["--compress=gzip:1", "--no-fragments"],
        &["--compress=zstd", "--squashfs-block-size=1M"],
        &["--compress=zstd:22", "--squashfs-block-size=4K"],
        &["--compress=lz4"],
        &["--compress=lz4:12", "--no-fragments"],
        &["--compress=xz", "--squashfs-block-size=256K"],
    ] {
        fixture.write("squashfs", options);
        extract().unwrap().unwrap_or_else(|error| panic!("{options:?}: {error:?}"));
    }
    fixture.spoil(b"hsqs");
    extract().unwrap_err();
}

/// GRUB reads plain erofs and chunks without holes, and squashfs with gzip.
#[test]
#[ignore = "makes a Debian sid"]
fn deep_grub_reads_what_is_said() {
    let fixture = Fixture::new();
    let files =
        ["large", "random", "empty", "many/4097", "many/text-131073", "short", "deep/er/link"];
    for (format, options, reads_holes) in [
        ("erofs", &["--erofs-profile=linux-5.10"][..], true),
        ("erofs", &[], false),
        ("erofs", &["--dedup"], false),
        ("squashfs", &[], true),
        ("squashfs", &["--no-fragments"], true),
    ] {
        fixture.write(format, options);
        for path in ["zeros", "sparse"] {
            assert_eq!(fixture.grub_cmp(path).is_ok(), reads_holes, "{options:?}: {path}");
        }
        for path in files {
            fixture.grub_cmp(path).unwrap_or_else(|said| panic!("{options:?}: {path}: {said}"));
        }
        let other = fixture.tree.join("many/4097");
        let content = fs::read(&other).unwrap();
        fs::write(&other, [b"X", &content[1..]].concat()).unwrap();
        fixture.grub_cmp("many/4097").unwrap_err();
        fs::write(&other, content).unwrap();
        shell("touch -d @1600000000 $1", &[&other]);
    }
    for (format, options) in [
        ("erofs", &["--erofs-profile=linux-5.15", "--compress=lz4"][..]),
        ("erofs", &["--compress=zstd"]),
        ("squashfs", &["--compress=zstd"]),
    ] {
        fixture.write(format, options);
        fixture.grub_cmp("large").unwrap_err();
    }
}
