//! Boot loaders, devices with large sectors, pipes, and writes by the kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use detfs::Headroom;
use detfs::ReadAt;
use detfs::ext4::Options;
use detfs::tree::{Node, Tree};

use super::sample::{Comb, Image, ROOT, Sample, Solid, metadata, options, write};
use super::{BLOCK_SIZES, PROFILES};
use crate::oracle::{LoopDevice, Mounted, e2fsck, grub_cmp, grub_ls, shell};

fn tree() -> Arc<Tree> {
    let mut sample = Sample::new();
    let directory = sample.directory(ROOT, "d");
    for number in 0..3000 {
        sample.empty(directory, format!("name-{number}"), metadata(0o644));
    }
    sample.content("comb", 400 << 13, Arc::new(Comb(400)));
    let file = sample.content("file", FILE, Arc::new(Solid));
    sample.link(directory, "link", file);
    for len in [4, 59, 60, 100] {
        let target = [vec![b'/'; len - 4], b"file".to_vec()].concat();
        sample.add(ROOT, format!("symlink-{len}"), metadata(0o777), Node::Symlink(target));
    }
    sample.finish()
}

const FILE: u64 = 1_000_001;

/// Writes content to a file next to the image.
fn beside(image: &Image, name: &str, content: &dyn ReadAt, size: u64) -> PathBuf {
    let mut bytes = vec![0; usize::try_from(size).unwrap()];
    content.read_exact_at(0, &mut bytes).unwrap();
    let path = image.beside(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn check(root: &Path) {
    assert_eq!(fs::read_dir(root.join("d")).unwrap().count(), 3001);
    assert!(root.join("d/name-2999").exists());
    let mut expected = vec![0; usize::try_from(FILE).unwrap()];
    Solid.read_exact_at(0, &mut expected).unwrap();
    for path in ["file", "d/link"] {
        assert!(fs::read(root.join(path)).unwrap() == expected, "{path}");
    }
}

#[test]
fn grub_reads_every_profile() {
    let tree = tree();
    for profile in PROFILES {
        for block_size in BLOCK_SIZES {
            let image = Image::new(&tree, &Options { profile, block_size, ..options() });
            let names = grub_ls(&image.path, "d/").unwrap();
            assert_eq!(names.split_whitespace().count(), 3001, "{profile:?} {block_size}");
            let file = beside(&image, "file", &Solid, FILE);
            let comb = beside(&image, "comb", &Comb(400), 400 << 13);
            for path in ["file", "d/link", "symlink-4", "symlink-59", "symlink-60", "symlink-100"] {
                grub_cmp(&image.path, path, &file).unwrap();
            }
            grub_cmp(&image.path, "comb", &comb).unwrap();
        }
    }
}

#[test]
fn a_device_with_sectors_of_4096_bytes() {
    for profile in PROFILES {
        let headroom = Some(Headroom::Bytes(1 << 20));
        let image = Image::new(&tree(), &Options { profile, headroom, ..options() });
        for mode in ["ro", "rw"] {
            let device = LoopDevice::attach(&image.path, &["--sector-size=4096"]);
            let size = shell("blockdev --getss $1", &[device.path()]);
            assert_eq!(size.trim(), "4096");
            let mounted = Mounted::on("ext4", mode, Some(device)).unwrap();
            check(mounted.path());
            if mode == "rw" {
                shell("seq 1000 >$1/new", &[mounted.path()]);
            }
            assert_eq!(mounted.errors(), 0);
        }
        e2fsck(&image.path).unwrap();
    }
}

#[test]
fn a_pipe_gets_the_same_bytes() {
    for profile in PROFILES {
        let options = Options { profile, ..options() };
        let image = Image::new(&tree(), &options);
        let pipe = image.beside("pipe");
        shell("mkfifo $1", &[&pipe]);
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&tree(), &options, &pipe);
        assert!(reader.join().unwrap() == fs::read(&image.path).unwrap(), "{profile:?}");
    }
}

/// e2fsck finds no errors in anything that the kernel has changed.
#[test]
#[ignore = "takes seconds"]
fn a_kernel_writes() {
    for profile in PROFILES {
        for block_size in BLOCK_SIZES {
            let headroom = Some(Headroom::Bytes(32 << 20));
            let options = Options { profile, block_size, headroom, ..options() };
            let image = Image::new(&tree(), &options);
            {
                let mounted = Mounted::new("ext4", "rw", Some(&image.path)).unwrap();
                let directory = mounted.path().join("d");
                for number in 0..400 {
                    fs::write(directory.join(format!("new-{number}")), "").unwrap();
                    fs::create_dir(directory.join(format!("directory-{number}"))).unwrap();
                }
                for number in (0..3000).step_by(3) {
                    fs::remove_file(directory.join(format!("name-{number}"))).unwrap();
                }
                let script = "cd $1; mv file d/moved; echo more >>comb; seq 100000 >new
                    truncate -s 100 d/moved; setfattr -n user.x -v x new; sync -f new";
                shell(script, &[mounted.path()]);
                assert_eq!(mounted.errors(), 0);
            }
            e2fsck(&image.path).unwrap_or_else(|e| panic!("{profile:?} {block_size}: {e:?}"));
            let count = |root: &Path| fs::read_dir(root.join("d")).unwrap().count();
            assert_eq!(image.check_with_oracles(count).unwrap(), 3000 - 1000 + 2 + 800);
        }
    }
}
