//! Reads kernel log messages about a device.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::tool::require_root;

/// The kernel log from a point in time onwards.
#[derive(Debug)]
pub struct KernelLog(File);

impl KernelLog {
    /// Starts reading at the current end of the log.
    pub fn from_now() -> Self {
        require_root();
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        let mut log = File::options().read(true).custom_flags(nonblock).open("/dev/kmsg").unwrap();
        log.seek(SeekFrom::End(0)).unwrap();
        Self(log)
    }

    /// Returns the lines logged since then that name `device` and are at least warnings.
    pub fn warnings(mut self, device: &Path) -> Vec<String> {
        let name = device.file_name().unwrap().to_str().unwrap().to_owned();
        let mut found = Vec::new();
        let mut record = vec![0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(len) => {
                    // Each read returns one record: `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`.
                    let text = String::from_utf8_lossy(&record[..len]).into_owned();
                    let (head, line) = text.split_once(';').expect("a record has a head");
                    let priority: u32 = head.split(',').next().unwrap().parse().unwrap();
                    if priority & 7 <= WARNING && names(line, &name) {
                        found.push(line.lines().next().unwrap_or_default().to_owned());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return found,
                // Some records were overwritten before they were read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }
}

/// Log level of warnings.
///
/// More severe levels have smaller numbers.
const WARNING: u32 = 4;

/// Returns whether a line contains `name`, not merely as a prefix of a longer name.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        !line[at + name.len()..].starts_with(|next: char| next.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tool::shell;
    use super::*;

    #[test]
    fn warnings_of_the_device_are_found_and_nothing_else() {
        let device = Path::new("/dev/nodevice1");
        let say = |line: &str| shell(&format!("echo '{line}' >/dev/kmsg"), &[]);
        say("<4>BTRFS warning (device nodevice1): before");
        let log = KernelLog::from_now();
        say("<6>BTRFS info (device nodevice1): mounted");
        say("<4>BTRFS warning (device nodevice12): another device");
        assert_eq!(log.warnings(device), [""; 0]);
        for line in [
            "<4>BTRFS warning (device nodevice1): something",
            "<3>BTRFS error (device nodevice1 state EA): something",
            "<2>BTRFS: Transaction aborted (device nodevice1)",
        ] {
            let log = KernelLog::from_now();
            say(line);
            assert_eq!(log.warnings(device), [&line[3..]]);
        }
    }
}
