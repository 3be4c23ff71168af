//! Images of mkfs.erofs: what the reader finds is what the kernel shows.

use std::path::Path;

use detfs::Erofs;

use super::image::{scratch, tree};
use crate::oracle::erofs::mount_erofs;
use crate::oracle::{shell, sid};
use crate::read_back::{image_of_mounted, image_of_read};

/// Makes files of which parts are equal, files that compress more or less, and other nodes.
const SCRIPT: &str = "
    seq 200000 >a; (head -c 50001 a; seq 9; tail -c 500000 a) >b; head -c 70000 /dev/urandom >c
    (seq 5; cat c b) >d; head -c 5000 c >e; for size in $(seq 100 997 9000); do
        head -c $size b >b-$size; done
    truncate -s 300000 hole; seq 9 >>hole; mkdir -p dir/dir; ln a dir/link; ln -s a dir/symlink
    mkfifo pipe; mknod device b 259 70000; chown 70000:5 a; chmod 7751 dir; touch -d @-5.25 b
    for number in $(seq 500); do touch dir/dir/some-name-$number; done
    for file in b-*; do setfattr -n user.a.b -v $(printf %0100d 1) $file; done
    setfattr -n trusted.c -v d a; setfacl -m u:7:rx b dir";

fn compare(image: &Path, options: &str) {
    let ours = image_of_read(&Erofs::default(), image);
    let ours = ours.unwrap_or_else(|error| panic!("{options}: {error:?}"));
    let kernel = mount_erofs(image, image_of_mounted);
    let kernel = kernel.unwrap_or_else(|error| panic!("{options}: {error:?}"));
    assert!(ours == kernel, "{options}: the kernel shows another tree");
}

#[test]
fn the_reader_finds_what_the_kernel_shows() {
    // mkfs.erofs 1.5 can't write chunks to a tmpfs.
    let scratch = tempfile::tempdir_in("/var/tmp").unwrap();
    let image = scratch.path().join("image");
    let source = tree(SCRIPT);
    for options in [
        "",
        "-x0 -Eforce-inode-extended",
        "-T1600000000",
        "-Enoinline_data,nosbcrc",
        "--chunksize=4096",
        "--chunksize=65536 -Eforce-chunk-indexes",
        "-zlz4",
        "-zlz4 -Elegacy-compress",
        "-zlz4hc,12 -C65536",
        "-zlz4hc --max-extent-bytes=8192",
        "-zlz4hc -C16384 -Eztailpacking",
        "-zlz4 -Efragments",
        "-zlz4hc -C65536 -Eall-fragments,ztailpacking",
        "-zlz4hc -C16384 -Ededupe",
    ] {
        let script = format!("mkfs.erofs --quiet {options} $2 $1");
        shell(&script, &[source.path(), &image]);
        compare(&image, options);
    }
}

#[test]
fn another_tree_is_found() {
    let source = tree("seq 10 >a");
    let image = source.path().with_extension("image");
    shell("mkfs.erofs --quiet $2 $1; touch -d @5 $1/a", &[source.path(), &image]);
    let ours = image_of_read(&Erofs::default(), &image).unwrap();
    assert!(ours != image_of_mounted(source.path()));
    std::fs::remove_file(image).unwrap();
}

#[test]
fn several_devices_are_refused() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let script = "mkfs.erofs --quiet --chunksize=4096 --blobdev=$2.blob $2 $1";
    shell(script, &[tree("seq 9999 >a").path(), &image]);
    let error = image_of_read(&Erofs::default(), &image).unwrap_err();
    assert!(format!("{error:?}").contains("several devices are not supported"), "{error:?}");
}

/// The newest mkfs.erofs has all algorithms, and clusters that several extents share.
#[test]
#[ignore = "makes a Debian sid"]
fn the_reader_finds_what_the_kernel_shows_of_new_images() {
    let scratch = scratch();
    let image = scratch.path().join("image");
    let source = tree(SCRIPT);
    for options in [
        "-zzstd",
        "-zzstd,9 -C65536 -Efragments,ztailpacking",
        "-zdeflate -C65536",
        "-zdeflate,9 -Eall-fragments,dedupe",
        "-zlzma -C65536",
        "-zlzma,9 -C16384 -Eztailpacking,dedupe",
        "-zlz4hc -C16384 -Ededupe",
        "-zzstd -C65536 -Ededupe,all-fragments",
        "-zlz4 -Efragments,dedupe",
        "-zlz4hc:zstd --xattr-prefix=user.a",
        "--chunksize=4096",
    ] {
        let mut command = sid().command("mkfs.erofs");
        command.arg("--quiet").args(options.split(' ')).arg(&image).arg(source.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{options}: {output:?}");
        compare(&image, options);
    }
}
