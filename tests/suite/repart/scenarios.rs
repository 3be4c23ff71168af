//! Selected cases that random definitions do not reach: systemd-repart and `detfs repart` give the
//! same answers and the same images.

use std::fs;
use std::ops::Range;

use super::differential::{Sources, backup, compare_answers, compare_files};
use super::side::{Answer, Side, Tool, WORKDIR};
use crate::oracle::shell;

/// Both programs with the same files.
struct Both {
    sides: [Side; 2],
    scratch: tempfile::TempDir,
    sector: u64,
}

const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1750000000");

impl Both {
    fn new() -> Self {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let sources = Sources::new(scratch.path());
        let sides = Side::both([Tool::Real, Tool::Detfs], scratch.path());
        sides.iter().for_each(|side| sources.put(side));
        Self { sides, scratch, sector: 512 }
    }

    fn write(&self, name: &str, content: &str) {
        self.sides.iter().for_each(|side| side.write(name, content));
    }

    /// Replaces all definitions. The first word of each text is its name.
    fn define(&self, definitions: &[&str]) {
        for side in &self.sides {
            let _ = fs::remove_dir_all(side.path("repart.d"));
        }
        for definition in definitions {
            let (name, text) = definition.split_once(' ').unwrap();
            let text = text.split(' ').collect::<Vec<_>>().join("\n");
            self.write(&format!("repart.d/{name}.conf"), &format!("[Partition]\n{text}\n"));
        }
    }

    /// Runs both programs with `args` and the common arguments.
    fn run(&self, args: &[&str]) -> Answer {
        self.run_except(args, &[])
    }

    /// Like `run`, but does not compare the partitions of the types in `except`, whose bytes depend
    /// on the program that wrote the file system.
    fn run_except(&self, args: &[&str], except: &[&str]) -> Answer {
        let image = format!("{WORKDIR}/image.raw");
        let mut all = vec![
            "--offline=yes".to_owned(),
            format!("--root={WORKDIR}/tree"),
            "--seed=11111111-2222-3333-4444-555555555555".to_owned(),
            "--json=pretty".to_owned(),
        ];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        if !args.iter().any(|arg| arg.contains("definitions") || arg.contains("make-ddi")) {
            all.push(format!("--definitions={WORKDIR}/repart.d"));
        }
        if !args.iter().any(|arg| arg.ends_with(".raw") && !arg.starts_with("--")) {
            all.push(image);
        }
        let env = [EPOCH].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let old = backup(&self.sides[0].path("image.raw"), self.sector);
        let [real, ours] = self.sides.each_ref().map(|side| side.repart(&all, &env));
        let mut found = compare_answers(&real, &ours);
        let mut ranges = ranges(&real, except);
        ranges.extend(old);
        found.extend(compare_files(&self.sides, self.sector, &ranges));
        assert!(
            found.is_empty(),
            "{args:?}: {}\n--- says the real one\n{}\n--- says ours\n{}",
            found.join("\n"),
            real.stderr,
            ours.stderr
        );
        assert_eq!(real.code, Some(0), "{args:?}: {}", real.stderr);
        ours
    }

    fn read(&self, name: &str) -> [String; 2] {
        self.sides.each_ref().map(|side| fs::read_to_string(side.path(name)).unwrap())
    }
}

/// Returns the byte ranges of the partitions of these types.
fn ranges(answer: &Answer, types: &[&str]) -> Vec<Range<u64>> {
    let entries: Vec<serde_json::Value> = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let wanted = entries.iter().filter(|entry| types.iter().any(|kind| entry["type"] == **kind));
    wanted
        .map(|entry| {
            let start = entry["offset"].as_u64().unwrap();
            start..start + entry["raw_size"].as_u64().unwrap()
        })
        .collect()
}

fn roothash(answer: &Answer) -> String {
    let entries: Vec<serde_json::Value> = serde_json::from_str(&answer.stdout).unwrap();
    let known = entries.iter().find_map(|entry| entry["roothash"].as_str());
    known.expect("there is a hash tree").to_owned()
}

#[test]
#[ignore = "makes a Debian sid"]
fn partitions_are_copied_from_an_image() {
    let both = Both::new();
    both.define(&[
        "10-esp Type=esp CopyBlocks=/large SizeMinBytes=8M Label=one",
        "20-swap Type=swap Format=swap SizeMinBytes=2M SizeMaxBytes=2M",
        "30-other Type=12345678-9abc-4def-8123-456789abcdef CopyBlocks=/small Flags=0x3100000000000000",
    ]);
    let source = format!("{WORKDIR}/source.raw");
    both.run(&["--empty=create", "--size=40M", &source]);
    let from = format!("--copy-from={source}");
    both.run(&["--empty=create", "--size=auto", &from, "--definitions=/"]);
    // Partitions are also copied to an existing image, together with new definitions.
    both.define(&["10-root Type=root SizeMinBytes=5M", "20-esp Type=esp SizeMinBytes=1M"]);
    both.write("copy.raw", "");
    shell(
        "truncate -s 64M $1 $2",
        &both.sides.each_ref().map(|s| s.path("copy.raw")).each_ref().map(|p| &**p),
    );
    let copy = format!("{WORKDIR}/copy.raw");
    both.run(&["--empty=force", "--dry-run=no", &from, "--exclude-partitions=swap", &copy]);
}

#[test]
#[ignore = "makes a Debian sid"]
fn partitions_are_copied_with_the_gaps_between_them() {
    // Gaps before the first partition, of less than a grain, of one grain, of many grains, and
    // after the last partition.
    let table = "label: gpt\nstart=4096,size=100\nstart=4200,size=2048,name=x\n\
        start=8192,size=9000\nstart=34816,size=2048\n";
    let both = Both::new();
    for side in &both.sides {
        let script = "truncate -s 40M $1; printf '%s' \"$2\" | sfdisk -q $1
            printf content | dd of=$1 bs=1 seek=17825792 conv=notrunc status=none
            sfdisk -q --disk-id $1 11111111-2222-4333-8444-555555555555";
        shell(script, &[&side.path("source.raw"), std::path::Path::new(table)]);
        for number in 1..5 {
            let script = "sfdisk -q --part-uuid $1 $2 11111111-2222-4333-8444-00000000000$2";
            let number = number.to_string();
            shell(script, &[&side.path("source.raw"), std::path::Path::new(&number)]);
        }
    }
    let from = format!("--copy-from={WORKDIR}/source.raw");
    for grain in ["512", "4096", "65536", "1M", "4M"] {
        let grain = format!("--grain-size={grain}");
        for size in ["--size=auto", "--size=60M"] {
            both.run(&["--empty=create", size, &from, "--definitions=/", &grain]);
            both.sides.iter().for_each(|side| fs::remove_file(side.path("image.raw")).unwrap());
        }
    }
    // The partitions of the last image come first.
    both.define(&["10-swap Type=swap SizeMaxBytes=1M"]);
    let other = format!("{WORKDIR}/other.raw");
    both.run(&["--empty=create", "--size=20M", &other]);
    let other = format!("--copy-from={other}");
    let image = format!("{WORKDIR}/both.raw");
    both.run(&["--empty=create", "--size=auto", &from, &other, "--definitions=/", &image]);
}

#[test]
#[ignore = "makes a Debian sid"]
fn the_boot_catalog_is_the_same() {
    for (sector, extra) in [("512", None), ("4096", None), ("2048", Some("--grain-size=64K"))] {
        let mut both = Both::new();
        both.sector = sector.parse().unwrap();
        both.define(&["10-esp Type=esp CopyBlocks=/large", "20-root Type=root CopyBlocks=/small"]);
        let size = format!("--sector-size={sector}");
        let mut args = vec![
            "--empty=create",
            "--size=auto",
            &size,
            "--el-torito=yes",
            "--el-torito-system=A SYSTEM",
            "--el-torito-volume=VOLUME_1",
            "--el-torito-publisher=SOMEBODY",
        ];
        args.extend(extra);
        both.run(&args);
    }
}

#[test]
#[ignore = "makes a Debian sid"]
fn signatures_are_joined() {
    let both = Both::new();
    both.define(&[
        "10-data Type=usr Verity=data VerityMatchKey=usr CopyBlocks=/large",
        "20-hash Type=usr-verity Verity=hash VerityMatchKey=usr Minimize=best",
        "30-sig Type=usr-verity-sig Verity=signature VerityMatchKey=usr SplitName=%t.%U",
    ]);
    let deferred = "--defer-partitions=usr-x86-64-verity-sig";
    let answer = both.run(&["--empty=create", "--size=auto", deferred]);
    let hash = roothash(&answer);
    let script = "cd $1; printf %s \"$2\" >hash; \
        openssl smime -sign -binary -noattr -in hash -inkey key -signer certificate -outform der -out sig";
    let (scratch, text) = (both.scratch.path(), std::path::Path::new(&hash));
    shell(script, &[scratch, text]);
    for side in &both.sides {
        fs::copy(scratch.join("sig"), side.path("sig")).unwrap();
    }
    let certificate = format!("--certificate={WORKDIR}/tree/certificate");
    let join = format!("--join-signature={hash}:{WORKDIR}/sig");
    both.run(&["--dry-run=no", &certificate, &join]);
    both.run(&["--split=yes"]);
}

#[test]
#[ignore = "makes a Debian sid"]
fn calls_of_an_image_builder_add_to_one_image() {
    let both = Both::new();
    both.define(&[
        "00-esp Type=esp CopyBlocks=/large SizeMinBytes=20M SizeMaxBytes=20M",
        "10-root Type=root CopyBlocks=/small SizeMinBytes=10M",
        "20-var Type=var SizeMinBytes=5M Format=empty FactoryReset=yes",
    ]);
    let auto = "--size=auto";
    both.run(&[
        "--empty=create",
        auto,
        "--defer-partitions=esp,xbootldr",
        "--defer-partitions-empty=yes",
    ]);
    both.run(&["--empty=allow", auto, "--dry-run=no", "--defer-partitions-factory-reset=yes"]);
    both.run(&["--empty=allow", auto, "--dry-run=no"]);
    both.run(&["--empty=allow", auto, "--dry-run=no", "--split=yes"]);
}

#[test]
#[ignore = "makes a Debian sid"]
fn definitions_are_read_the_same_way() {
    let both = Both::new();
    both.write("tree/etc/os-release", "ID=arch\nVERSION_ID=7\nIMAGE_ID=img\nIMAGE_VERSION='1 2'\n");
    both.define(&[
        "10-root Type=root Label=%o-%w-%a-%M SizeMinBytes=1.5M SplitName=%t-%n-%U-%T-%%",
        "20-home Type=home Label=%m SizeMinBytes=3M Weight=7",
        "30-srv Type=srv SizeMinBytes=2M MakeDirectories=/x",
        "40-masked Type=srv SizeMinBytes=2M",
    ]);
    both.write("other.d/20-home.conf", "[Partition]\nType=swap\n");
    both.write("other.d/25-more.conf", "# comment\n; too\n[Partition]\nType=linux-generic\nLabel=a\\\n b\nUnknown=1\n[Other]\nType=esp\n");
    both.write(
        "other.d/05-first.conf",
        "[Partition]\nType=root-arm64\nSizeMinBytes=1M\nWeight=2000000\n",
    );
    both.write("repart.d/20-home.conf.d/50-later.conf", "[Partition]\nSizeMinBytes=4M\nLabel=\n");
    both.write(
        "other.d/20-home.conf.d/40-sooner.conf",
        "[Partition]\nPaddingMinBytes=1M\nWeight=9\n",
    );
    both.write("repart.d/30-srv.conf.d/10.conf", "[Partition]\nMakeDirectories=\nPriority=-5\n");
    both.write("repart.d/40-masked.conf", "");
    both.write("repart.d/50-not", "[Partition]\nnonsense\n");
    for side in &both.sides {
        std::os::unix::fs::symlink("/dev/null", side.path("repart.d/25-more.conf.d")).unwrap();
        std::os::unix::fs::symlink("/dev/null", side.path("other.d/99-null.conf")).unwrap();
    }
    let [one, two] = ["repart.d", "other.d"].map(|name| format!("--definitions={WORKDIR}/{name}"));
    both.run_except(&["--empty=create", "--size=200M", &one, &two, "--split=yes"], &["srv"]);
    both.run_except(
        &["--empty=force", "--dry-run=no", &two, &one, "--architecture=arm64"],
        &["srv"],
    );
    let include = "--include-partitions=root,linux-generic";
    both.run(&["--empty=force", "--dry-run=no", &one, &two, include]);
    for side in &both.sides {
        shell(
            "cd $1; mkdir -p tree/usr/lib tree/etc/repart.d; cp -r other.d tree/usr/lib/repart.d; \
            printf '[Partition]\\nType=esp\\n' >tree/etc/repart.d/05-first.conf",
            &[&side.directory],
        );
    }
    both.run(&["--empty=force", "--dry-run=no", "--definitions="]);
}

#[test]
#[ignore = "makes a Debian sid"]
fn supplements_are_merged_or_not() {
    let supplement = |size: &str| {
        let both = Both::new();
        both.define(&[
            "10-esp Type=esp CopyBlocks=/small SizeMinBytes=4M SizeMaxBytes=4M",
            "20-home Type=home SizeMinBytes=3M SizeMaxBytes=9M Weight=5",
            "30-more Type=srv SupplementFor=20-home SizeMinBytes=6M Weight=50 PaddingWeight=3",
        ]);
        both.run(&["--empty=create", size]);
        both.define(&[
            "10-esp Type=esp SizeMinBytes=4M",
            "15-esp Type=xbootldr SupplementFor=10-esp SizeMinBytes=5M",
            "20-home Type=home SizeMinBytes=3M",
        ]);
        both.run(&["--dry-run=no", "--size=80M"]);
    };
    supplement("--size=auto");
    supplement("--size=40M");
}

#[test]
#[ignore = "makes a Debian sid"]
fn file_systems_have_the_same_bounds() {
    for (sector, fat) in [
        (512, ""),
        (4096, ""),
        (512, " FileSystemSectorSize=512"),
        (512, " FileSystemSectorSize=2048"),
    ] {
        for given in [true, false] {
            if !given && sector != 512 {
                continue;
            }
            let mut both = Both::new();
            both.sector = sector;
            both.define(&[
                &format!("10-esp Type=esp Format=vfat MakeDirectories=/a{fat}"),
                "20-root Type=root MakeDirectories=/a",
                "30-home Type=home Format=btrfs SizeMinBytes=1M",
                "40-swap Type=swap",
                "50-xbootldr Type=xbootldr AddValidateFS=yes SizeMaxBytes=1M",
            ]);
            let size = format!("--sector-size={sector}");
            let mut args = vec!["--empty=create", "--size=auto"];
            args.extend(given.then_some(&*size));
            both.run_except(&args, &["esp", "root-x86-64", "home", "xbootldr"]);
        }
    }
}

#[test]
#[ignore = "makes a Debian sid"]
fn fstab_is_the_same() {
    let both = Both::new();
    let mounted = [
        "10-root Type=root Format=ext4 MountPoint=/b MountPoint=/a:ro,x-foo",
        "20-esp Type=esp Format=vfat MountPoint=/efi",
        "30-tmp Type=tmp Format=btrfs MountPoint=/var/tmp:nosuid",
        "40-xbootldr Type=xbootldr Format=ext4 MountPoint=/boot",
        "50-swap Type=swap MountPoint=/swap",
        "60-srv Type=srv MountPoint=/srv",
    ];
    both.define(&mounted);
    both.write("tree/etc/fstab", "# mine\nLABEL=x /x ext4 ro 0 0");
    for (append, image) in [("auto", "1"), ("auto", "2"), ("", "3"), ("replace", "4")] {
        both.define(if image == "3" { &mounted[..2] } else { &mounted });
        let [append, image] =
            [format!("--append-fstab={append}"), format!("{WORKDIR}/{image}.raw")];
        let [root, definitions] =
            [format!("--root={WORKDIR}/tree"), format!("--definitions={WORKDIR}/repart.d")];
        let args = [
            "--empty=create",
            "--size=auto",
            "--offline=yes",
            "--generate-fstab=/etc/fstab",
            "--generate-crypttab=/etc/crypttab",
            "--seed=11111111-2222-3333-4444-555555555555",
            &append,
            &image,
            &root,
            &definitions,
        ];
        let [real, ours] = both.sides.each_ref().map(|side| side.repart(&args, &[]));
        assert_eq!((real.code, ours.code), (Some(0), Some(0)), "{}\n{}", real.stderr, ours.stderr);
        let [theirs, mine] = both.read("tree/etc/fstab");
        assert_eq!(theirs, mine);
        assert!(theirs.contains("UUID=") && theirs.contains("# mine") != image.contains('4'));
        assert!(both.sides.iter().all(|side| !side.path("tree/etc/crypttab").exists()));
    }
}

#[test]
#[ignore = "makes a Debian sid"]
fn without_an_image_there_is_only_a_size() {
    let both = Both::new();
    both.define(&["10-root Type=root SizeMinBytes=33M", "20-esp Type=esp PaddingMinBytes=1M"]);
    for image in ["-", ""] {
        let [real, ours] = both.sides.each_ref().map(|side| {
            let definitions = format!("--definitions={WORKDIR}/repart.d");
            side.repart(&[&*definitions, "--size=auto", "--json=pretty", image], &[])
        });
        assert_eq!((real.code, &*real.stdout), (Some(0), ""));
        assert_eq!((ours.code, &*ours.stdout), (Some(0), ""));
        let line = "Automatically determined minimal disk image size as 45M.";
        for answer in [real, ours] {
            assert!(answer.stderr.lines().any(|said| said == line), "{}", answer.stderr);
        }
    }
}
