//! Writes to file systems the way a newly installed system does.

use std::fs::File;
use std::path::Path;

use super::super::tool::{run, shell};
use super::super::{Comparison, Verdict, oracle_error};
use super::mount::session;
use super::{btrfs_check, copied};

/// Runs a shell script that may fail.
///
/// Returns its stdout, or an error with its output.
fn script(what: &str, script: &str, args: &[&Path]) -> Verdict<String> {
    let mut all = vec!["-euc".as_ref(), script.as_ref(), what.as_ref()];
    all.extend(args.iter().map(|path| path.as_os_str()));
    let said = run("sh", all);
    if said.ok { Ok(said.stdout) } else { oracle_error(format!("{what}: {}", said.all())) }
}

/// Mounts an image, writes to it, and checks it afterwards.
fn written(image: &Path, act: impl FnOnce(&Path) -> Verdict) -> Verdict {
    // Deleted files are cleaned up at every commit.
    session(image, "rw,commit=1", act)??;
    btrfs_check(image)
}

/// Script that writes about as much as the first boot of a system.
const FEW: &str = "cd $1; was=$(stat -c %.Y .); mkdir new; cd new
    seq 100000 >file; sync file; mv file moved; ln moved link; : >gone; sync; rm gone
    for n in $(seq 500); do echo \"small file $n\" >small-$n; done
    head -c 20M /dev/urandom >large; sync large; sum=$(sha256sum <large)
    setfattr -n user.name -v value large; chmod 600 large; chown 5:6 large
    cd ..; sync -f .; test \"$(sha256sum <new/large)\" = \"$sum\"
    rm -r new; touch -d @$was .; sync -f .";

/// Script of further administration tasks, which need unallocated space.
const MUCH: &str = "root=$1; was=$(stat -c %.Y $root)
    scrubbed() { btrfs scrub start -B $root | grep -q 'no errors found'; }
    scrubbed
    btrfs -q balance start --full-balance $root
    btrfs filesystem defragment -r $root
    find $root -xdev -type f -size +3M -exec btrfs filesystem defragment -czstd {} +
    mkdir $root/received; btrfs -q subvolume snapshot -r $root $root/received/snapshot
    mkdir $root/received/in
    btrfs -q send -f $2 $root/received/snapshot; btrfs -q receive -f $2 $root/received/in
    rm $2; btrfs -q balance start --full-balance $root; scrubbed";

const CLEAN: &str = "root=$1; btrfs -q subvolume delete $root/received/snapshot
    btrfs -q subvolume delete $root/received/in/snapshot; rm -r $root/received
    btrfs subvolume sync $root >/dev/null; touch -d @$2 $root; sync -f $root";

fn much(root: &Path, scratch: &Path) -> Verdict {
    let was = shell("stat -c %.Y $1", &[root]);
    script("much", MUCH, &[root, &scratch.join("stream")])?;
    let (one, two) = (root.join("received/snapshot"), root.join("received/in/snapshot"));
    // A nested subvolume appears in a snapshot as a directory with this inode number, which is not
    // sent.
    let holes = shell("find $1 -mindepth 1 -inum 2 -printf '%P\\n'", &[&one]);
    let comparison = holes.lines().fold(Comparison::exact(), Comparison::without);
    comparison.compare(&two, &one)?;
    script("clean", CLEAN, &[root, Path::new(was.trim())]).map(drop)
}

/// Writes to a copy of an image as a first boot does.
pub fn first_boot(image: &Path, compare: impl Fn(&Path) -> Verdict) -> Verdict {
    let (_scratch, copy) = copied(image);
    // The first session only mounts and unmounts the image.
    written(&copy, |_| Ok(()))?;
    written(&copy, |root| {
        script("first boot", FEW, &[root])?;
        compare(root)
    })?;
    session(&copy, "ro", compare)?
}

/// Runs the first boot and the administration tasks on a copy of an image, which needs at least
/// half a gibibyte of free space.
///
/// The original content must stay unchanged.
pub fn exercise(image: &Path, compare: impl Fn(&Path) -> Verdict) -> Verdict {
    let (scratch, copy) = copied(image);
    written(&copy, |root| {
        compare(root)?;
        script("first boot", FEW, &[root])?;
        much(root, scratch.path())?;
        compare(root)
    })?;
    session(&copy, "ro", compare)?
}

/// Grows a copy of an image by a gibibyte, runs the same operations, and shrinks the copy again.
pub fn grow(image: &Path, compare: impl Fn(&Path) -> Verdict) -> Verdict {
    let (scratch, copy) = copied(image);
    let file = File::options().write(true).open(&copy).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len + (1 << 30)).unwrap();
    written(&copy, |root| {
        script("grow", "btrfs filesystem resize max $1", &[root])?;
        compare(root)?;
        script("first boot", FEW, &[root])?;
        much(root, scratch.path())?;
        compare(root)
    })?;
    let len = len + (1 << 29);
    written(&copy, |root| {
        let resize = format!("btrfs filesystem resize {len} $1");
        script("shrink", &resize, &[root])?;
        compare(root)
    })?;
    file.set_len(len).unwrap();
    btrfs_check(&copy)?;
    session(&copy, "ro", compare)?
}

#[cfg(test)]
mod tests {
    use super::super::super::tool::flip;
    use super::super::tests::Sample;
    use super::*;

    type Oracle = fn(&Path, &dyn Fn(&Path) -> Verdict) -> Verdict;
    const ALL: [(&str, Oracle); 3] = [
        ("first boot", |image, compare| first_boot(image, compare)),
        ("exercise", |image, compare| exercise(image, compare)),
        ("grow", |image, compare| grow(image, compare)),
    ];

    #[test]
    #[ignore = "takes seconds"]
    fn what_the_kernel_made_stands_it() {
        let sample = Sample::new();
        let compare = |root: &Path| Comparison::exact().compare(&sample.source, root);
        for (what, oracle) in ALL {
            oracle(&sample.image, &compare).unwrap_or_else(|found| panic!("{what}: {found:?}"));
        }
    }

    #[test]
    #[ignore = "takes seconds"]
    fn what_is_broken_does_not() {
        let sample = Sample::new();
        flip(&sample.image, sample.data());
        for (what, oracle) in ALL {
            oracle(&sample.image, &|_| Ok(())).expect_err(what);
        }
        let sample = Sample::new();
        for (what, oracle) in ALL {
            oracle(&sample.image, &|_| oracle_error("another content")).expect_err(what);
        }
    }

    #[test]
    fn a_full_file_system_is_none_to_boot_from() {
        let sample = Sample::new();
        sample.change("for n in 256 128 64 32 16 8 4 2 1; do fallocate -l ${n}M $1/$n || :; done");
        first_boot(&sample.image, |_| Ok(())).unwrap_err();
    }
}
