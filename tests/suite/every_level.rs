//! Every level of the read-only formats gives one image, whatever the number of threads and the
//! processor.

use std::fs;
use std::process::Command;

use crate::detfs::{mkfs, native, succeed};
use crate::oracle::{sha256, shell};

const EPOCH: i64 = 1_700_000_000;

/// Returns the arguments of `--compress` for the levels of an algorithm.
fn levels(algorithm: &str, levels: impl Iterator<Item = u32>) -> Vec<String> {
    levels.map(|level| format!("{algorithm}:{level}")).collect()
}

#[test]
#[ignore = "deep: compresses hundreds of times, under an emulator too"]
fn deep_same_image_from_another_program_at_every_level() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let [tree, out] = ["tree", "image"].map(|name| scratch.path().join(name));
    let script =
        "mkdir -p $1/many; cd $1; seq 60000 >text; cp text same; head -c 300000 /bin/ls >program
        openssl enc -aes-128-ctr -K 00 -iv 00 </dev/zero 2>/dev/null | head -c 150001 >random
        for n in $(seq 200); do seq $n $((n * 3)) >many/$n; done
        { cat random; head -c 90000 text; head -c 200000 random; } >mixed
        find . -exec touch -h -d @1600000000 {} +";
    shell(script, &[&tree]);
    let hash = |command: &mut Command| {
        succeed(command);
        let hash = sha256(&out);
        fs::remove_file(&out).unwrap();
        hash
    };
    let erofs = [levels("zstd", 1..=22), levels("lz4hc", 1..=12), vec!["lz4".to_owned()]].concat();
    let squashfs = [
        levels("gzip", 1..=9),
        levels("zstd", 1..=22),
        levels("lz4", 0..=12),
        vec!["xz".to_owned()],
    ];
    let shared = ["--fragments", "--dedup"];
    let erofs = erofs.into_iter().map(|algorithm| ("erofs", algorithm, &shared[..]));
    let squashfs = squashfs.concat().into_iter().map(|algorithm| ("squashfs", algorithm, &[][..]));
    for (format, algorithm, options) in erofs.chain(squashfs) {
        let command = |threads| {
            let compress = format!("--compress={algorithm}");
            let options = [&[&*compress, "--threads", threads][..], options].concat();
            mkfs(format, &tree, &out, EPOCH, &options)
        };
        let expected = hash(&mut native(&command("1")));
        for threads in ["1", "3"] {
            let found = hash(&mut command(threads));
            assert_eq!(found, expected, "{format}, {algorithm}, {threads} threads");
        }
    }
}
