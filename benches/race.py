#!/usr/bin/env python3
"""Race detfs against other ways to get a tree into an image, and print the ratios.

In each round every contestant has one turn, so that a busy moment of the machine hits all; what
counts is the median of the rounds. Sources are read once before, so that they are in the page
cache, and images go to a tmpfs. CPU seconds and the peak of memory are those of the program and
of all that it started. A contestant that is not installed is left out, with a note.

Corpora:
  debian   a Debian system of about 53,000 entries and 1.8 GB, made by mmdebstrap
  small    300,000 small files, 100,000 of them in one directory; mke2fs is left out, whose time
           grows with the square of a directory's size
  linear   10,000, 100,000 and 1,000,000 files: time and memory for each
  reflink  large files on a loop-mounted btrfs that also gets the image: time against the amount
           of data, and how much of it is shared
  btrfs    the Debian system as btrfs, plain and with zstd:3, against mkfs.btrfs --rootdir
  btrfs-small  100,000 small files in 100 directories as btrfs: also the sizes of the images
  erofs    the Debian system as erofs, plain, zstd:3 and lz4hc, against mkfs.erofs, and zstd:3
           against mksquashfs: also the sizes of the images, and the memory
  squashfs the same as squashfs, with every compression, against mksquashfs

Needs root, for the tmpfs and the loop mount, and Linux.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

SEED = "11111111-2222-3333-4444-555555555555"
EPOCH = "1700000000"
MIB = 1 << 20

DEBIAN_PACKAGES = (
    "systemd,systemd-sysv,systemd-boot,udev,linux-image-amd64,grub-pc-bin,grub-efi-amd64-bin,"
    "openssh-server,sudo,btrfs-progs,python3,python3-pip,cloud-init,vim,git,curl,perl,"
    "locales-all,man-db,less,htop,rsync,podman"
)


def note(text):
    print(text, flush=True)


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


class Measure:
    """Wall seconds, CPU seconds and peak memory in MiB of one run; the peak is never below that
    of this interpreter, whose pages the child has until it becomes the program."""

    def __init__(self, command):
        words = [str(word) for word in command]
        start = time.perf_counter()
        with open(os.devnull, "r+b") as null:
            child = subprocess.Popen(words, stdin=null, stdout=null, stderr=subprocess.PIPE)
            complaint = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.wall = time.perf_counter() - start
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss / 1024
        if child.returncode != 0:
            last = complaint.decode(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(f"{words[0]} ended with {child.returncode}: {' '.join(last)}")


class Median:
    def __init__(self, runs):
        for field in ("wall", "cpu", "peak"):
            setattr(self, field, statistics.median(getattr(run, field) for run in runs))


@contextmanager
def mounted(kind, options, source, directory):
    directory.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", kind, "-o", options, source, directory)
    try:
        yield directory
    finally:
        run("umount", directory)


@contextmanager
def loop_btrfs(work, size):
    image = work / "btrfs"
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(size)
    run("mkfs.btrfs", "-q", image, stdout=subprocess.DEVNULL)
    device = subprocess.check_output(["losetup", "--find", "--show", image], text=True).strip()
    try:
        with mounted("btrfs", "rw", device, work / "mounted-btrfs") as directory:
            yield directory
    finally:
        run("losetup", "--detach", device)
        image.unlink()


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def warm(tree):
    """Reads the tree, and returns its entries and bytes."""
    run("tar", "-cf", "-", "-C", tree, ".", stdout=subprocess.DEVNULL)
    entries = size = 0
    for directory, directories, files in os.walk(tree):
        entries += len(directories) + len(files)
        for name in files:
            size += os.lstat(os.path.join(directory, name)).st_size
    return entries, size


class Contestant:
    """A name, the program that has to be there, and what makes its command; `ready` is not timed."""

    def __init__(self, name, program, command, ready=None):
        self.name, self.program, self.command, self.ready = name, program, command, ready

    def missing(self):
        return shutil.which(str(self.program)) is None

    def turn(self, out):
        remove(out)
        if self.ready:
            self.ready(out)
        return Measure(self.command(out))


def race(contestants, out, rounds):
    """Medians by name. Who fails is out of the race, with a note; the first one must not."""
    running = []
    for contestant in contestants:
        if contestant.missing():
            note(f"{contestant.name}: left out, {contestant.program} is not installed")
        else:
            running.append(contestant)
    if not running or running[0] is not contestants[0]:
        sys.exit(f"{contestants[0].program} is needed")
    runs = {contestant.name: [] for contestant in running}
    for number in range(-1, rounds):  # the first is to warm up
        for contestant in list(running):
            try:
                measure = contestant.turn(out)
            except RuntimeError as error:
                if contestant is contestants[0]:
                    raise
                note(f"{contestant.name}: out of the race, {error}")
                running.remove(contestant)
                continue
            if number >= 0:
                runs[contestant.name].append(measure)
        remove(out)
    return {contestant.name: Median(runs[contestant.name]) for contestant in running}


def table(title, medians):
    """Figures of each, and those of the first as a part of each."""
    names = list(medians)
    first = medians[names[0]]
    note(f"\n{title}\n")
    note("| | wall s | CPU s | wall / CPU | peak MiB | wall of detfs | CPU of detfs |")
    note("|---|---|---|---|---|---|---|")
    for name in names:
        it = medians[name]
        note(
            f"| {name} | {it.wall:.2f} | {it.cpu:.2f} | {it.wall / max(it.cpu, 1e-3):.2f} "
            f"| {it.peak:.0f} "
            f"| {first.wall / it.wall:.2f}x | {first.cpu / max(it.cpu, 1e-3):.2f}x |"
        )
    note("")


def sparse_file(size):
    def make(out):
        with open(out, "wb") as file:
            file.truncate(size)

    return make


def detfs_mkfs(detfs, tree, kind="ext4", *more):
    """Without the hash of the image, which the others don't compute either."""
    command = [detfs, "mkfs", kind, tree, "--no-sha256"]
    fixed = ["--seed", SEED, "--source-date-epoch", EPOCH, *more]
    name = " ".join(["detfs mkfs", kind, *more])
    return Contestant(name, detfs, lambda out: [*command, out, *fixed])


def mke2fs(tree, size):
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree]
    return Contestant("mke2fs -d", "mke2fs", lambda out: [*command, out], sparse_file(size))


def newest(root, name):
    """The words that run a program: the installed one, or that of the system in the directory
    `root`, run by that system's loader and with its libraries, so that paths are the same to all."""
    if not root:
        return [name]
    loader = next(root.glob("usr/lib*/ld-linux*.so.*"), root / "no loader")
    libraries = ":".join(str(path) for path in root.glob("usr/lib/*-linux-gnu*"))
    binary = next(root.glob(f"usr/*bin/{name}"), root / f"no {name}")
    return [loader, "--library-path", libraries, binary]


def version(program, option):
    """The first number with a dot that a program says about its version."""
    if not shutil.which(str(program[0])):
        return ""
    done = subprocess.run([*program, option], capture_output=True, text=True)
    found = re.search(r"\d+\.\d[\w.]*", done.stdout + done.stderr)
    return found.group() if found else ""


def mkfs_btrfs(root, tree, size, *more):
    """`size` is that of the file it gets, which what --shrink leaves depends on."""
    program = newest(root, "mkfs.btrfs")
    fixed = ["env", f"SOURCE_DATE_EPOCH={EPOCH}", f"DETERMINISTIC_SEED={SEED}"]
    command = [*fixed, *program, "--quiet", "--uuid", SEED, "--rootdir", tree, *more]
    words = ["mkfs.btrfs", version(program, "--version"), *more]
    name = " ".join(word for word in words if word)
    return Contestant(name, program[0], lambda out: [*command, out], sparse_file(size))


def mkfs_erofs(root, tree, *more):
    program = newest(root, "mkfs.erofs")
    command = ["env", f"SOURCE_DATE_EPOCH={EPOCH}", *program, "--quiet", "-U", SEED, *more]
    name = " ".join(["mkfs.erofs", version(program, "-V"), *more])
    return Contestant(name, program[0], lambda out: [*command, out, tree])


def mksquashfs(root, tree, *more):
    program = newest(root, "mksquashfs")
    command = ["env", f"SOURCE_DATE_EPOCH={EPOCH}", *program, tree]
    name = " ".join(["mksquashfs", version(program, "-version"), *more])
    return Contestant(name, program[0], lambda out: [*command, out, "-noappend", "-quiet", *more])


def cp(tree):
    return Contestant("cp -a", "cp", lambda out: ["cp", "-a", "--reflink=never", tree, out])


def erofs(tree):
    command = ["mkfs.erofs", "--quiet", "-T", EPOCH]
    return Contestant("mkfs.erofs, uncompressed", "mkfs.erofs", lambda out: [*command, out, tree])


def repart(tree, work, size):
    """ESP and ext4 root, as detfs mkimage makes them."""
    definitions = work / "repart.d"
    remove(definitions)
    definitions.mkdir()
    (definitions / "00-esp.conf").write_text(
        "[Partition]\nType=esp\nFormat=vfat\nCopyFiles=/efi:/\nSizeMinBytes=64M\nSizeMaxBytes=64M\n"
    )
    (definitions / "10-root.conf").write_text(
        f"[Partition]\nType=root\nFormat=ext4\nCopyFiles=/:/\nExcludeFiles=/efi/\nSizeMinBytes={size}\n"
    )
    command = ["systemd-repart", "--empty=create", "--size=auto", "--dry-run=no", "--pretty=no"]
    command += [f"--seed={SEED}", f"--definitions={definitions}", f"--root={tree}"]
    usage = subprocess.run(["systemd-repart", "--help"], capture_output=True, text=True).stdout \
        if shutil.which("systemd-repart") else ""
    if "--offline" in usage:
        command.append("--offline=yes")
    return Contestant("systemd-repart", "systemd-repart", lambda out: [*command, out])


def room(entries, size):
    """Enough for the tree in a file system that knows no better."""
    return (size + entries * 4608) * 5 // 4 // (64 * MIB) * (64 * MIB) + 512 * MIB


def debian_tree(options, work):
    tree = work / f"debian-{options.variant}"
    if not tree.exists():
        part = work / "debian.part"
        remove(part)
        include = []
        if options.variant == "important":
            include = ["--aptopt=Apt::Install-Recommends true", f"--include={DEBIAN_PACKAGES}"]
        suite = [line.partition("=")[2] for line in open("/etc/os-release")
                 if line.startswith("VERSION_CODENAME=")][0].strip()
        run("mmdebstrap", "--quiet", f"--variant={options.variant}", *include, suite, part)
        efi = part / "efi/EFI/Linux"
        efi.mkdir(parents=True)
        for kernel in (part / "boot").glob("vmlinuz-*"):
            shutil.copy(kernel, efi / (kernel.name + ".efi"))
        part.rename(tree)
    return tree


def debian(options, work, out):
    tree = debian_tree(options, work)
    entries, size = warm(tree)
    needed = room(entries, size)
    what = f"Debian, {entries} entries, {size / 1e9:.2f} GB"
    contestants = [detfs_mkfs(options.detfs, tree), mke2fs(tree, needed), erofs(tree), cp(tree)]
    table(f"{what}: one file system", race(contestants, out, options.runs))
    fixed = ["--seed", SEED, "--source-date-epoch", EPOCH]
    mkimage = [options.detfs, "mkimage", tree, *fixed]
    image = Contestant("detfs mkimage", options.detfs, lambda to: [*mkimage, to, "--no-sha256"])
    hashed = Contestant("detfs mkimage, with the SHA-256", options.detfs, lambda to: [*mkimage, to])
    contestants = [image, hashed, repart(tree, work, needed)]
    table(f"{what}: a disk", race(contestants, out, options.runs))


def make_files(tree, count, largest, each=200, below=6000):
    """`count` files of less than `below` bytes, `largest` of them in one directory and `each` in
    the others; the same every time."""
    if tree.exists():
        return
    part = tree.with_suffix(".part")
    remove(part)
    part.mkdir(parents=True)
    text = bytes(range(33, 127)) * 128
    directory = part
    for number in range(count):
        place, first = divmod(number - largest, each)
        if number == 0 < largest:
            directory = part / "large"
            directory.mkdir()
        elif number >= largest and first == 0:
            directory = part / f"d{place // 50}" / f"d{place % 50}"
            directory.mkdir(parents=True)
        size = number * 2654435761 % below
        with open(f"{directory}/file-{number * 40503 % 1000003:07}-{number}", "wb", 0) as file:
            file.write(text[:size])
    part.rename(tree)


def small(options, work, out):
    count = int(300_000 * options.scale)
    tree = work / f"small-{count}"
    make_files(tree, count, count // 3)
    entries, size = warm(tree)
    contestants = [detfs_mkfs(options.detfs, tree), cp(tree), erofs(tree)]
    title = f"{entries} entries, {size / 1e9:.2f} GB, {count // 3} in one directory"
    table(title, race(contestants, out, options.runs))


def linear(options, work, out):
    note("\nTime and memory against the number of files\n")
    note("| files | wall s | CPU s | us per file | peak MiB | bytes per inode beyond 64 MiB |")
    note("|---|---|---|---|---|---|")
    for base in (10_000, 100_000, 1_000_000):
        count = int(base * options.scale)
        tree = work / f"linear-{count}"
        make_files(tree, count, 0)
        entries, _ = warm(tree)
        contestant = detfs_mkfs(options.detfs, tree)
        it = race([contestant], out, options.runs)[contestant.name]
        beyond = max(0, it.peak - 64) * MIB / entries
        note(f"| {entries} | {it.wall:.2f} | {it.cpu:.2f} | {it.wall / entries * 1e6:.1f} "
             f"| {it.peak:.0f} | {beyond:.0f} |")
    note("")


def reflink(options, work, _):
    if shutil.which("mkfs.btrfs") is None:
        note("reflink: left out, mkfs.btrfs is not installed")
        return
    note("\nImage on the file system of its source, a btrfs\n")
    note("| data | entries | wall s | CPU s | cp --reflink wall s | shared |\n|---|---|---|---|---|---|")
    with loop_btrfs(work, 32 << 30) as btrfs:
        for files in (1, 4, 16):
            tree = btrfs / f"tree-{files}"
            make_files(tree, int(2000 * options.scale), 0)
            for number in range(files):
                with open(tree / f"large-{number}", "wb") as file:
                    for _ in range(int(128 * options.scale)):
                        file.write(os.urandom(MIB))
            run("sync")
            entries, size = warm(tree)
            cp_reflink = Contestant(
                "cp", "cp", lambda out: ["cp", "-a", "--reflink=always", tree, out])
            image = btrfs / "image"
            contestants = [detfs_mkfs(options.detfs, tree), cp_reflink]
            medians = race(contestants, image, options.runs)
            it = medians["detfs mkfs ext4"]
            contestants[0].turn(image)
            run("sync")
            usage = subprocess.check_output(["btrfs", "filesystem", "du", "-s", "--raw", image],
                                            text=True)
            total, exclusive = (int(word) for word in usage.splitlines()[-1].split()[:2])
            remove(image)
            remove(tree)
            note(f"| {size / 1e9:.2f} GB | {entries} | {it.wall:.2f} | {it.cpu:.2f} "
                 f"| {medians['cp'].wall:.2f} | {(total - exclusive) / max(total, 1):.0%} |")
    note("")


def sizes(title, contestants, out):
    """What the images take: the length of the file, and the blocks that it has."""
    note(f"\n{title}\n\n| | MB long | MB of blocks | length of detfs |\n|---|---|---|---|")
    first = None
    for contestant in contestants:
        if contestant.missing():
            continue
        contestant.turn(out)
        status = out.stat()
        remove(out)
        first = first or status.st_size
        note(f"| {contestant.name} | {status.st_size / 1e6:.1f} "
             f"| {status.st_blocks * 512 / 1e6:.1f} | {first / status.st_size:.2f}x |")
    note("")


def btrfs_pair(options, tree, size, ours=(), theirs=()):
    return [detfs_mkfs(options.detfs, tree, "btrfs", *ours),
            mkfs_btrfs(options.newest, tree, size, *theirs)]


def btrfs(options, work, out):
    tree = debian_tree(options, work)
    entries, size = warm(tree)
    needed = 2 * room(entries, size)
    what = f"Debian, {entries} entries, {size / 1e9:.2f} GB, as btrfs"
    plain = btrfs_pair(options, tree, needed)
    table(what, race([*plain, cp(tree)], out, options.runs))
    zstd = ["--compress", "zstd:3"]
    table(f"{what} with zstd:3",
          race(btrfs_pair(options, tree, needed, zstd, zstd), out, options.runs))


def btrfs_small(options, work, out):
    count = int(100_000 * options.scale)
    tree = work / f"btrfs-small-{count}"
    make_files(tree, count, 0, each=1000, below=6180)
    entries, size = warm(tree)
    needed = 2 * room(entries, size)
    what = f"{entries} entries, {size / 1e6:.0f} MB, as btrfs"
    table(what, race(btrfs_pair(options, tree, needed), out, options.runs))
    smallest = btrfs_pair(options, tree, 4 << 30,
                          ["--headroom", "0", "--btrfs-metadata", "single"],
                          ["--shrink", "-m", "single"])
    sizes(f"{what}: the smallest image", smallest, out)


def race_and_sizes(title, entries, contestants, options, out):
    medians = race(contestants, out, options.runs)
    table(title, medians)
    beyond = max(0, medians[contestants[0].name].peak - 64) * MIB / entries
    note(f"{contestants[0].name} takes {beyond:.0f} bytes per inode beyond 64 MiB.")
    finished = [contestant for contestant in contestants if contestant.name in medians]
    sizes(f"{title}: the images", finished, out)


def erofs_corpus(options, work, out):
    tree = debian_tree(options, work)
    entries, size = warm(tree)
    what = f"Debian, {entries} entries, {size / 1e9:.2f} GB, as erofs"
    ours = lambda *more: detfs_mkfs(options.detfs, tree, "erofs", *more)
    peer = lambda *more: mkfs_erofs(options.newest, tree, *more)
    race_and_sizes(what, entries, [ours(), detfs_mkfs(options.detfs, tree), peer()], options, out)
    squashfs_zstd = mksquashfs(options.newest, tree, "-comp", "zstd", "-Xcompression-level", "3")
    contestants = [ours("--compress", "zstd:3"), peer("-zzstd,level=3"), squashfs_zstd]
    race_and_sizes(f"{what} with zstd:3", entries, contestants, options, out)
    contestants = [ours("--compress", "zstd:3", "--fragments"), squashfs_zstd]
    race_and_sizes(f"{what} with zstd:3 and fragments", entries, contestants, options, out)
    contestants = [ours("--compress", "lz4hc"), peer("-zlz4hc")]
    race_and_sizes(f"{what} with lz4hc", entries, contestants, options, out)


def squashfs_corpus(options, work, out):
    tree = debian_tree(options, work)
    entries, size = warm(tree)
    what = f"Debian, {entries} entries, {size / 1e9:.2f} GB, as squashfs"
    for ours, theirs in [
        ("gzip", ("-comp", "gzip")),
        ("zstd", ("-comp", "zstd")),
        ("zstd:3", ("-comp", "zstd", "-Xcompression-level", "3")),
        ("lz4", ("-comp", "lz4")),
        ("lz4:12", ("-comp", "lz4", "-Xhc")),
        ("xz", ("-comp", "xz")),
    ]:
        contestants = [detfs_mkfs(options.detfs, tree, "squashfs", "--compress", ours),
                       mksquashfs(options.newest, tree, *theirs)]
        race_and_sizes(f"{what} with {ours}", entries, contestants, options, out)


CORPORA = {"debian": debian, "small": small, "linear": linear, "reflink": reflink,
           "btrfs": btrfs, "btrfs-small": btrfs_small, "erofs": erofs_corpus,
           "squashfs": squashfs_corpus}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help="all of them by default")
    here = Path(__file__).resolve().parent.parent
    parser.add_argument("--detfs", type=Path, default=here / "target/release/detfs")
    parser.add_argument("--work", type=Path, default=here / "target/race",
                        help="where the sources are kept for the next time")
    parser.add_argument("--runs", type=int, default=5, help="rounds that count")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the files of a corpus")
    parser.add_argument("--variant", default="important", help="of mmdebstrap; say essential")
    parser.add_argument("--newest", type=Path, metavar="ROOT",
                        help="race the programs of the system in this directory, which are newer")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("run it as root: it mounts a tmpfs")
    unknown = set(options.corpora) - CORPORA.keys()
    if unknown:
        parser.error(f"no such corpus: {', '.join(sorted(unknown))}")
    options.detfs = options.detfs.resolve()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    with open("/proc/cpuinfo") as cpuinfo:
        model = next((line.partition(":")[2].strip() for line in cpuinfo
                      if line.startswith("model name")), "unknown processor")
    note(f"{os.cpu_count()} x {model}, Linux {os.uname().release}, "
         f"load {os.getloadavg()[0]:.1f}, medians of {options.runs} runs")
    with mounted("tmpfs", "size=90%,nr_inodes=4m", "race", work / "out") as out:
        for name in options.corpora or CORPORA:
            CORPORA[name](options, work, out / "image")


if __name__ == "__main__":
    main()
