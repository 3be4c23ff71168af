//! Random definitions, run with systemd-repart and with `detfs repart`: answers, partition tables
//! and images are the same.

use std::fs::{self, File};
use std::ops::{AddAssign, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;

use detfs::gpt::spec::{ENTRIES, ENTRY_SIZE};
use serde_json::Value;

use super::draw::{Case, Run, case};
use super::image::{bytes_differ, delete_entry, differences};
use super::side::{Answer, Side, Tool, WORKDIR};
use crate::oracle::{shell, sid};
use crate::tree::Random;

/// Number of cases, runs and partitions that were compared.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    cases: u32,
    runs: u32,
    /// Runs that both programs refused.
    refused: u32,
    /// Runs in which detfs intentionally deviates.
    excused: u32,
    /// Partitions in the answers.
    partitions: u32,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.cases += other.cases;
        self.runs += other.runs;
        self.refused += other.refused;
        self.excused += other.excused;
        self.partitions += other.partitions;
    }
}

/// Files to which definitions refer, the same for every case.
pub(super) struct Sources {
    small: Vec<u8>,
    large: Vec<u8>,
    key: Vec<u8>,
    certificate: Vec<u8>,
}

impl Sources {
    pub(super) fn new(scratch: &Path) -> Self {
        let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test \
            -keyout $1/key -out $1/certificate 2>/dev/null";
        shell(script, &[scratch]);
        let [key, certificate] =
            ["key", "certificate"].map(|name| fs::read(scratch.join(name)).unwrap());
        let mut random = Random::new(1);
        Self { small: random.bytes(20 << 10), large: random.bytes(3 << 20), key, certificate }
    }

    pub(super) fn put(&self, side: &Side) {
        side.write("tree/small", &self.small);
        side.write("tree/large", &self.large);
        side.write("tree/key", &self.key);
        side.write("tree/certificate", &self.certificate);
        side.write("tree/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        side.write("tree/etc/os-release", "ID=test\nVERSION_ID=7\n");
        side.write("tree/links/file", &self.small);
        for (target, name) in [("file", "relative"), ("/links/file", "absolute")] {
            let link = side.path("tree/links").join(name);
            std::os::unix::fs::symlink(target, link).unwrap();
        }
    }
}

fn prepare(side: &Side, run: &Run, sector: u64) {
    let directory = side.path("repart.d");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    for definition in &run.definitions {
        fs::write(directory.join(&definition.name), definition.text()).unwrap();
    }
    if let Some(size) = run.enlarge {
        let image = File::options().create(true).append(true).open(side.path("image.raw")).unwrap();
        if image.metadata().unwrap().len() < size {
            image.set_len(size).unwrap();
        }
    }
    if let Some(nth) = run.delete {
        delete_entry(&side.path("image.raw"), sector, nth);
    }
    if let Some(script) = &run.source {
        let make = "rm -f $1; truncate -s 60M $1; printf '%s' \"$2\" | sfdisk -q $1
            yes source | dd of=$1 bs=64K seek=1 count=100 conv=notrunc iflag=fullblock status=none";
        shell(make, &[&side.path("source.raw"), Path::new(script)]);
    }
}

/// Returns the ranges of the partitions with file systems in an answer.
fn file_systems(run: &Run, answer: &Value) -> Vec<Range<u64>> {
    let formatted: Vec<String> = run
        .definitions
        .iter()
        .filter(|definition| definition.has_file_system())
        .map(|definition| format!("{WORKDIR}/repart.d/{}", definition.name))
        .collect();
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter(|entry| formatted.iter().any(|file| entry["file"] == **file))
        .map(|entry| {
            let start = entry["offset"].as_u64().unwrap();
            start..start + entry["raw_size"].as_u64().unwrap()
        })
        .collect()
}

/// Returns the range of the backup table in an image. If the image grows, systemd-repart leaves the
/// old backup in place, and detfs does not.
pub(super) fn backup(image: &Path, sector: u64) -> Option<Range<u64>> {
    let end = fs::metadata(image).ok()?.len() / sector * sector;
    let size = sector + u64::from(ENTRIES * ENTRY_SIZE).next_multiple_of(sector);
    Some(end.saturating_sub(size)..end)
}

/// Returns whether an image is longer than its table covers. systemd-repart ignores space that was
/// added at the end in a dry run and, with larger sectors, in a run that changes nothing else.
/// detfs uses that space.
fn is_behind(image: &Path, sector: u64) -> bool {
    let Ok(file) = File::open(image) else { return false };
    let (mut header, len) = ([0; 40], file.metadata().unwrap().len());
    let read = file.read_exact_at(&mut header, sector);
    let other = u64::from_le_bytes(header[32..].try_into().unwrap());
    read.is_ok() && header.starts_with(b"EFI PART") && (other + 1) * sector + sector <= len
}

/// Returns whether two partitions have the same UUID. systemd-repart creates such partitions if the
/// definitions ask for them, and detfs does not.
fn has_double(answer: &Value) -> bool {
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let ids = entries.iter().filter_map(|entry| entry["uuid"].as_str());
    let mut ids: Vec<_> = ids.filter(|id| !id.starts_with("00000000")).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair[0] == pair[1])
}

/// Returns whether a hash tree is created for data that already exists. systemd-repart leaves the
/// hash partition empty, and detfs refuses the run.
fn has_lone_tree(answer: &Value) -> bool {
    let entries = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |entry: &Value, kind: &str, created: bool| {
        let is_tree = entry.get("roothash").is_some_and(|hash| !hash.is_null());
        is_tree && entry["type"] == *kind && (entry["activity"] == "create") == created
    };
    ["root-x86-64", "usr-x86-64"].iter().any(|data| {
        let tree = format!("{data}-verity");
        entries.iter().any(|entry| is(entry, &tree, true))
            && entries.iter().any(|entry| is(entry, data, false))
    })
}

/// Returns the differences between two answers.
pub(super) fn compare_answers(real: &Answer, ours: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if real.code != ours.code {
        found.push(format!("the status is {:?} and {:?}", real.code, ours.code));
    }
    if real.stdout == ours.stdout || !found.is_empty() {
        return found;
    }
    let parse = |text: &str| serde_json::from_str::<Vec<Value>>(text);
    let (Ok(theirs), Ok(mine)) = (parse(&real.stdout), parse(&ours.stdout)) else {
        return vec![format!("the answers are {:?} and {:?}", real.stdout, ours.stdout)];
    };
    for (number, (left, right)) in theirs.iter().zip(&mine).enumerate() {
        for (key, value) in left.as_object().unwrap() {
            if right.get(key) != Some(value) {
                let other = right.get(key).unwrap_or(&Value::Null);
                found.push(format!("partition {number}: {key}: {value} and {other}"));
            }
        }
        let more = right.as_object().unwrap().keys().find(|key| left.get(key).is_none());
        found.extend(more.map(|key| format!("partition {number}: {key} is too much")));
    }
    if theirs.len() != mine.len() {
        found.push(format!("{} partitions and {}", theirs.len(), mine.len()));
    }
    if found.is_empty() {
        found.push(format!("JSON is written {} and {}", real.stdout, ours.stdout));
    }
    found
}

/// Returns the differences between the files of two runs.
pub(super) fn compare_files(sides: &[Side; 2], sector: u64, except: &[Range<u64>]) -> Vec<String> {
    let [real, ours] = sides.each_ref().map(Side::names);
    if real != ours {
        return vec![format!("there are the files {real:?} and {ours:?}")];
    }
    let mut found = Vec::new();
    for name in real.iter().filter(|name| name.ends_with(".raw")) {
        let [left, right] = sides.each_ref().map(|side| side.path(name));
        if name == "image.raw" {
            found.extend(differences(&left, &right, sector, except));
        } else {
            // This is a split partition, and it is not known which one. If its bytes may differ,
            // only its length is compared.
            let difference = bytes_differ(&left, &right, !except.is_empty());
            found.extend(difference.map(|difference| format!("{name}: {difference}")));
        }
    }
    found
}

/// Runs a case on both sides until it ends or the sides differ. Both cases are the same, except in
/// tests of the comparison.
fn check_image(cases: [&Case; 2], sides: &[Side; 2]) -> Result<Counts, String> {
    let [case, other] = cases;
    let mut counts = Counts { cases: 1, ..Counts::default() };
    let mut except = Vec::new();
    for (number, run) in case.runs.iter().enumerate() {
        except.extend(backup(&sides[0].path("image.raw"), case.sector));
        let answer_of = |side: &Side, run: &Run| {
            prepare(side, run, case.sector);
            side.repart(&run.args, &run.env)
        };
        let real = &answer_of(&sides[0], run);
        let ours = &answer_of(&sides[1], &other.runs[number]);
        let answer = serde_json::from_str(&real.stdout).unwrap_or_default();
        except.extend(file_systems(run, &answer));
        if is_behind(&sides[0].path("image.raw"), case.sector)
            || has_double(&answer)
            || has_lone_tree(&answer)
            || real.stderr.contains("reverting to randomized UUID")
        {
            counts.excused += 1;
            break;
        }
        let mut found = compare_answers(real, ours);
        let refused = real.code != Some(0);
        if !refused {
            found.extend(compare_files(sides, case.sector, &except));
        }
        if !found.is_empty() {
            return Err(format!(
                "run {number}: {}\n--- says the real one\n{}--- says ours\n{}",
                found.join("\n"),
                tail(&real.stderr),
                tail(&ours.stderr)
            ));
        }
        counts.runs += 1;
        counts.refused += u32::from(refused);
        let partitions = answer.as_array().map_or(0, Vec::len);
        counts.partitions += u32::try_from(partitions).unwrap();
        // A run that fails leaves the image unchanged in detfs, while systemd-repart may already
        // have enlarged it.
        if refused || !sides[0].path("image.raw").exists() {
            break;
        }
        for side in sides {
            for name in side.names() {
                if name.ends_with(".raw") && name != "image.raw" {
                    fs::remove_file(side.path(&name)).unwrap();
                }
            }
        }
    }
    Ok(counts)
}

/// Returns the last 12 lines of a text.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].iter().map(|line| format!("{line}\n")).collect()
}

/// Runs the cases with these numbers on two threads, and panics if any of them differ.
fn judge_all(numbers: Range<u64>) -> Counts {
    let standard = sid().describe();
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let sources = Sources::new(scratch.path());
    let half = |parity: u64| {
        let numbers = numbers.clone().filter(move |number| number % 2 == parity);
        let sources = &sources;
        move || {
            let mut total = Counts::default();
            let mut failures = Vec::new();
            for number in numbers {
                let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
                let sides = Side::both([Tool::Real, Tool::Detfs], scratch.path());
                sides.iter().for_each(|side| sources.put(side));
                let case = case(number);
                match check_image([&case, &case], &sides) {
                    Ok(counts) => total += counts,
                    Err(text) => failures.push(format!("=== case {number}\n{case}{text}")),
                }
            }
            (total, failures)
        }
    };
    let results = thread::scope(|scope| {
        [0, 1].map(|parity| scope.spawn(half(parity))).map(|thread| thread.join().unwrap())
    });
    let mut total = Counts::default();
    let mut failures = Vec::new();
    for (counts, more) in results {
        total += counts;
        failures.extend(more);
    }
    let shown = failures.iter().take(200).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} cases differ from {standard}\n{shown}", failures.len());
    total
}

/// Returns the range of case numbers. `REPART_CASES=17..18` repeats case 17.
pub(super) fn numbers(count: u64) -> Range<u64> {
    let Ok(text) = std::env::var("REPART_CASES") else { return 0..count };
    let (first, last) = text.split_once("..").expect("REPART_CASES is FIRST..LAST");
    first.parse().unwrap()..last.parse().unwrap()
}

#[test]
#[ignore = "makes a Debian sid, and takes minutes"]
fn random_definitions_have_one_outcome() {
    let numbers = numbers(600);
    let total = judge_all(numbers.clone());
    if numbers.count() >= 500 {
        let Counts { runs, refused, excused, partitions, .. } = total;
        assert!(excused * 10 < runs, "{excused} of {runs} runs were excused");
        assert!(refused * 3 < runs, "{refused} of {runs} runs were refused");
        assert!(partitions > 3 * (runs - refused), "{partitions} partitions in {runs} runs");
    }
}

/// Two runs of systemd-repart agree, and any change to one of them is detected.
#[test]
#[ignore = "makes a Debian sid"]
fn a_difference_is_found() {
    type Change = (&'static str, fn(&mut Run));
    let changes: [Change; 8] = [
        ("status", |run| run.args.push("--no-such-option".to_owned())),
        ("JSON", |run| run.args.push("--json=pretty".to_owned())),
        ("\"other\"", |run| run.set("Label", "other")),
        ("raw_size", |run| run.set("SizeMaxBytes", "9M")),
        ("type", |run| run.set("Type", "srv")),
        ("entry 0", |run| run.set("NoAuto", "yes")),
        ("byte", |run| run.set("CopyBlocks", "/large")),
        ("files", |run| run.args.push("--split=yes".to_owned())),
    ];
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let sources = Sources::new(scratch.path());
    let judge_changed = |change: fn(&mut Run)| {
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
        let sides = Side::both([Tool::Real, Tool::Real], scratch.path());
        sides.iter().for_each(|side| sources.put(side));
        let settings = [("Type", "home"), ("SizeMinBytes", "8M"), ("CopyBlocks", "/small")];
        let case = Case::create(&settings, 32 << 20);
        let mut other = case.clone();
        change(&mut other.runs[0]);
        check_image([&case, &other], &sides)
    };
    assert_eq!(judge_changed(|_| {}).unwrap().partitions, 1);
    for (sign, change) in changes {
        let text = judge_changed(change).unwrap_err();
        assert!(text.contains(sign), "{sign}: {text}");
    }
}
