//! The lines that make a first image and boot it.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::detfs::PROGRAM;
use crate::oracle::{extract, extract_fat, fsck_fat, partitions, require_root, shell};

/// The lines of the README, which start with this line there.
const START: &str = "```sh boot\n";

/// Lines that make an image of Debian and boot it, as long as the README has none.
const LINES: &str = r#"sudo mmdebstrap --variant=minbase --include=linux-image-amd64,systemd-boot,systemd-sysv,dbus \
    --customize-hook='chroot "$1" passwd --delete root' bookworm rootfs
sudo detfs mkimage rootfs debian.raw --boot systemd-boot --cmdline console=ttyS0 \
    --headroom 256M --require-bootable
sudo chown "$(id -u)" debian.raw
qemu-system-x86_64 -m 1G -nographic -bios /usr/share/ovmf/OVMF.fd \
    -drive file=debian.raw,format=raw,if=virtio
"#;

/// Script that runs the boot loader's own installer.
///
/// $1: the tree, $2: the directory for the files of the ESP. The installer needs the mount points
/// of an ESP and of the kernel's processes.
const BOOTCTL: &str = "
    mkdir $1/efi $2
    export SYSTEMD_RELAX_ESP_CHECKS=1
    unshare --mount sh -ec '
        mount -t tmpfs tmpfs $1/efi; mount --bind /proc $1/proc
        chroot $1 bootctl install --no-variables --esp-path=/efi 2>&1
        cp -a $1/efi/. $2' sh $1 $2
    rmdir $1/efi";

fn lines() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let block = readme.split_once(START).and_then(|(_, rest)| rest.split_once("```"));
    block.map_or_else(|| LINES.to_owned(), |(lines, _)| lines.to_owned())
}

/// A shell with everything that it runs.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Runs lines in a directory until they print a login prompt.
fn run_until_login(lines: &str, directory: &Path) {
    let log = directory.join("log");
    let output = File::create(&log).unwrap();
    let programs = Path::new(PROGRAM).parent().unwrap().display();
    let mut command = Command::new("sh");
    command
        .args(["-ec", &format!("sudo() {{ \"$@\"; }}\n{lines}")])
        .current_dir(directory)
        .env("PATH", format!("{programs}:/usr/sbin:/usr/bin:/sbin:/bin"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .process_group(0);
    let mut running = Shell(command.spawn().unwrap());
    const STEP: Duration = Duration::from_secs(1);
    for _ in 0..1800 {
        sleep(STEP);
        let printed = fs::read(&log).unwrap();
        let printed = String::from_utf8_lossy(&printed);
        if printed.contains(" login: ") {
            return;
        }
        let ended = running.0.try_wait().unwrap();
        assert!(ended.is_none() && !printed.contains("Kernel panic"), "{ended:?}: {printed}");
    }
    panic!("no login prompt: {}", fs::read_to_string(&log).unwrap());
}

/// The image boots to a login prompt, and its boot loader is what the installer of the boot loader
/// writes, except for the random seed.
#[test]
#[ignore = "installs Debian and boots it"]
fn the_first_image_boots() {
    require_root();
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    run_until_login(&lines(), scratch.path());

    let path = |name: &str| scratch.path().join(name);
    let image = path("debian.raw");
    let found = partitions(&image, 512).unwrap();
    assert!(found[0].is_esp(), "{found:?}");
    extract(&image, &found[0], &path("esp"));
    fsck_fat(&path("esp")).unwrap();
    fs::create_dir(path("files")).unwrap();
    extract_fat(&path("esp"), &path("files")).unwrap();
    shell(BOOTCTL, &[&path("rootfs"), &path("installed")]);
    let installed = shell("cd $1; find EFI loader -type f | LC_ALL=C sort", &[&path("installed")]);
    let expected = "EFI/BOOT/BOOTX64.EFI\nEFI/systemd/systemd-bootx64.efi\nloader/entries.srel\n\
                    loader/loader.conf\nloader/random-seed\n";
    assert_eq!(installed, expected);
    for file in installed.lines().filter(|file| *file != "loader/random-seed") {
        let [ours, theirs] = ["files", "installed"].map(|name| path(name).join(file));
        assert!(fs::read(ours).unwrap() == fs::read(theirs).unwrap(), "{file}");
    }
    assert!(!path("files/loader/random-seed").exists());
    let entries = shell("ls $1/loader/entries; cat $1/loader/entries/*", &[&path("files")]);
    let root = &found[1].uuid;
    assert!(entries.starts_with("debian-") && entries.contains(&format!("=PARTUUID={root} rw")));
}
