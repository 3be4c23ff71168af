//! An emulated PC with disks and a serial line that reports the result. It boots a disk by UEFI, or
//! a kernel.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::boot_files::{MARKER, REFUSAL};
use crate::oracle::shell;

/// The result of a boot.
#[derive(Debug)]
pub enum Outcome {
    /// The system reported success.
    Marker,
    /// The system reported a failed check with this line.
    Refused(String),
    /// The end of the output before the machine stopped, hung or panicked.
    Failed(#[expect(dead_code, reason = "printed in the message of a failure")] String),
}

/// A machine that is switched off when the value is dropped.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots from an image by UEFI, with `others` as additional disks.
///
/// The machine may write to all of them.
pub fn boot(image: &Path, others: &[PathBuf]) -> Outcome {
    let scratch = tempfile::tempdir().unwrap();
    let (log, variables) = (scratch.path().join("serial"), scratch.path().join("variables"));
    shell("cp /usr/share/OVMF/OVMF_VARS_4M.fd $1", &[&variables]);
    let mut command = machine(&log, others);
    command
        .args(["-drive", "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"])
        .args(["-drive", &format!("if=pflash,format=raw,file={}", file(&variables))])
        .args(["-drive", &format!("if=none,id=disk,format=raw,cache=unsafe,file={}", file(image))])
        .args(["-device", "nvme,drive=disk,serial=disk,bootindex=1"]);
    outcome(command, &log)
}

/// Boots a kernel with an initrd. Each of the disks has the serial number `other` and its index.
pub fn boot_kernel(kernel: &Path, initrd: &Path, disks: &[PathBuf]) -> Outcome {
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("serial");
    let mut command = machine(&log, disks);
    command
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0,115200 loglevel=4 panic=-1 mitigations=off"]);
    outcome(command, &log)
}

fn file(path: &Path) -> String {
    path.to_str().unwrap().replace(',', ",,")
}

/// Returns the command of a machine with these disks, whose serial line is written to `log`.
///
/// The processor is emulated, since `/dev/kvm` may not work even if it exists. `cx16=off` is set
/// because QEMU 7 emulates cmpxchg16b in a way that makes kernels fault.
fn machine(log: &Path, disks: &[PathBuf]) -> Command {
    fs::write(log, "").unwrap();
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35,smm=off", "-accel", "tcg", "-cpu", "max,cx16=off"])
        .args(["-m", "512", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", &format!("file:{}", file(log))])
        .stdin(Stdio::null());
    for (number, other) in disks.iter().enumerate() {
        let drive = format!("if=none,id=d{number},format=raw,cache=unsafe,file={}", file(other));
        let device = format!("nvme,drive=d{number},serial=other{number}");
        command.args(["-drive", &drive, "-device", &device]);
    }
    command
}

/// Runs a machine until it reports a result or fails.
fn outcome(mut command: Command, log: &Path) -> Outcome {
    let mut machine = match command.spawn() {
        Ok(child) => Machine(child),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("the boot test needs qemu-system-x86, which is not installed; `tests/run` does")
        }
        Err(error) => panic!("{command:?}: {error}"),
    };
    const STEP: Duration = Duration::from_millis(250);
    const STEPS: u32 = 4 * 240;
    for step in 0..STEPS {
        sleep(STEP);
        let off = machine.0.try_wait().unwrap().is_some();
        let printed = String::from_utf8_lossy(&fs::read(log).unwrap()).replace('\r', "");
        if let Some(line) = printed.lines().find(|line| line.starts_with(REFUSAL)) {
            return Outcome::Refused(line.to_owned());
        }
        let marker = printed.lines().any(|line| line == MARKER);
        // The machine switches itself off after the marker. Only then is the image no longer
        // written to.
        if marker && off {
            return Outcome::Marker;
        }
        let stuck = ["Kernel panic", "BdsDxe: No bootable", "BdsDxe: failed to load Boot0001"];
        if off || step + 1 == STEPS || stuck.iter().any(|sign| printed.contains(sign)) {
            let tail: Vec<_> = printed.lines().rev().take(30).collect();
            return Outcome::Failed(tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
    unreachable!("the last step returns")
}
