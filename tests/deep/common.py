# A small tree, commands that write images of it, and the check of a directory after a command.

import hashlib
import os
import pathlib
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("DETFS", REPOSITORY / "target/debug/detfs")).resolve()
FIXED = ["--seed=11111111-2222-3333-4444-555555555555", "--source-date-epoch=1700000000"]
DEFINITIONS = {
    "10-esp": "Type=esp\nFormat=vfat\nCopyFiles=/efi:/\nSizeMinBytes=40M\nSizeMaxBytes=40M",
    "20-root": "Type=root\nFormat=ext4\nCopyFiles=/\nSizeMinBytes=64M\nSizeMaxBytes=64M",
}


def make_tree(tree, blob):
    """Makes a tree of all kinds of nodes, with `blob` bytes of content that does not compress."""
    for name in ["efi/EFI/BOOT", "etc", "usr/lib/many", "home"]:
        (tree / name).mkdir(parents=True)
    (tree / "efi/EFI/BOOT/BOOTX64.EFI").write_bytes(b"MZ" * 50_000)
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tree / "usr/lib/text").write_text("".join(f"{n}\n" for n in range(60_000)))
    # Blocks that differ in content, from a generator that is the same for ever.
    with open(tree / "usr/lib/blob", "wb") as file:
        for n in range(0, blob, 64):
            file.write(hashlib.sha512(str(n).encode()).digest())
    with open(tree / "usr/lib/sparse", "wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"data")
    for n in range(40):
        (tree / f"usr/lib/many/{n}").write_text("x" * (n * 97))
    os.symlink("hosts", tree / "etc/link")
    os.link(tree / "etc/hosts", tree / "home/hosts")
    os.mkfifo(tree / "home/fifo")
    os.setxattr(tree / "etc/hosts", "user.test", b"value")


class Case:
    """A command that writes one image, or several, to a directory."""

    def __init__(self, name, arguments, old=None):
        self.name = name
        self.arguments = arguments
        # Content of an image that is there before.
        self.old = old
        self.expected = None
        # Seconds that an undisturbed run takes.
        self.duration = None

    def command(self):
        return [PROGRAM, *self.arguments]

    def prepare(self, out):
        """Empties the directory and puts the old image there."""
        for entry in out.iterdir():
            entry.unlink()
        if self.old:
            (out / "image.raw").write_bytes(self.old)
        return hashes(out)

    def learn(self, out):
        """Runs the command undisturbed, to know what it writes."""
        before = self.prepare(out)
        started = time.monotonic()
        run = subprocess.run(self.command(), capture_output=True, text=True)
        self.duration = time.monotonic() - started
        assert run.returncode == 0, f"{self.name}: {run.stderr}"
        self.expected = hashes(out)
        assert self.expected != before and len(self.expected) >= 1, self.name


def cases(scratch, tree, out):
    """The commands under test, each a writer of its own."""
    definitions = scratch / "repart.d"
    definitions.mkdir()
    for name, text in DEFINITIONS.items():
        (definitions / f"{name}.conf").write_text(f"[Partition]\n{text}\n")
    image = out / "image.raw"
    repart = ["repart", "--empty=create", "--size=auto", "--offline=yes", "--split=yes", FIXED[0]]
    repart += ["--architecture=x86-64", f"--root={tree}", f"--definitions={definitions}", image]
    disk = ["mkimage", tree, image, "--architecture=x86-64", *FIXED]
    return [
        Case("mkimage", disk),
        Case("mkimage --force", [*disk, "--force"], old=b"an old image"),
        Case("mkfs ext4", ["mkfs", "ext4", tree, image, *FIXED]),
        Case("mkfs btrfs", ["mkfs", "btrfs", tree, image, "--compress=zstd", "--headroom=0", *FIXED]),
        Case("repart --split", repart),
    ]


def hashes(directory):
    """Returns the hash of each file of a directory."""
    found = {}
    for path in sorted(directory.iterdir()):
        with open(path, "rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def partial(case, before, after):
    """Lists the names that hold neither the old content nor the new one."""
    return [
        f"{name} is neither the old image nor the new one"
        for name in case.expected
        if name in after and after[name] not in (before.get(name), case.expected[name])
    ] + [f"{name} is gone" for name in before if name not in after]


def finish(script, failures, summary):
    """Prints the failures, each one once, and ends the script."""
    for failure in dict.fromkeys(failures):
        print(f"FAILED  {failure}")
    print(f"{script}: {summary}, {len(failures)} failures")
    sys.exit(1 if failures else 0)

