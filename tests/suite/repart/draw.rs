//! Random definitions and command lines for a first run and for later runs on the same image.
//!
//! Known intentional differences are not generated: see `deviations.rs`.

use std::fmt;

use super::side::WORKDIR;
use crate::tree::Random;

/// A definition file.
#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub settings: Vec<(&'static str, String)>,
}

impl Definition {
    pub fn text(&self) -> String {
        let lines = self.settings.iter().map(|(key, value)| format!("{key}={value}\n"));
        format!("[Partition]\n{}", lines.collect::<String>())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.0 == key).map(|setting| setting.1.as_str())
    }

    /// Returns whether the bytes of the partition depend on the program that wrote the file system.
    pub fn has_file_system(&self) -> bool {
        matches!(self.get("Format"), Some("ext4" | "vfat" | "btrfs"))
    }
}

/// A run of the program.
#[derive(Debug, Clone)]
pub struct Run {
    pub definitions: Vec<Definition>,
    /// Size in bytes to which a shorter image is enlarged before the run.
    pub enlarge: Option<u64>,
    /// Index of the used table entry that is deleted before the run, modulo the number of used
    /// entries.
    pub delete: Option<u64>,
    /// Script for `sfdisk` that creates the partitions of `source.raw`, from which partitions are
    /// copied.
    pub source: Option<String>,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
}

/// Consecutive runs on the same image.
#[derive(Debug, Clone)]
pub struct Case {
    pub sector: u64,
    pub runs: Vec<Run>,
}

impl Run {
    /// Sets a setting of the first definition.
    pub fn set(&mut self, key: &'static str, value: &str) {
        let settings = &mut self.definitions[0].settings;
        settings.retain(|setting| setting.0 != key);
        settings.push((key, value.to_owned()));
    }
}

impl Case {
    /// Returns a case of a single run that creates an image with one partition.
    pub fn create(settings: &[(&'static str, &str)], size: u64) -> Self {
        let settings = settings.iter().map(|&(key, value)| (key, value.to_owned())).collect();
        let args = [
            "--definitions=$HERE/repart.d",
            "--root=$HERE/tree",
            "--offline=yes",
            "--json=short",
            "--empty=create",
            "--seed=11111111-2222-3333-4444-555555555555",
            &format!("--size={size}"),
            "$HERE/image.raw",
        ];
        let run = Run {
            definitions: vec![Definition { name: "10-part.conf".to_owned(), settings }],
            enlarge: None,
            delete: None,
            source: None,
            args: args.map(str::to_owned).to_vec(),
            env: Vec::new(),
        };
        Self { sector: 512, runs: vec![run] }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.runs {
            if let Some(size) = run.enlarge {
                writeln!(f, "truncate -s '>{size}' image.raw")?;
            }
            if let Some(nth) = run.delete {
                writeln!(f, "entry {nth} is deleted")?;
            }
            if let Some(script) = &run.source {
                writeln!(f, "sfdisk source.raw <<END\n{script}END")?;
            }
            for definition in &run.definitions {
                writeln!(f, "--- {}\n{}", definition.name, definition.text().trim_end())?;
            }
            for (name, value) in &run.env {
                write!(f, "{name}={value} ")?;
            }
            writeln!(f, "systemd-repart {}", run.args.join(" "))?;
        }
        Ok(())
    }
}

const TYPES: [&str; 17] = [
    "linux-generic",
    "linux-generic",
    "root",
    "root",
    "usr",
    "home",
    "home",
    "srv",
    "var",
    "tmp",
    "esp",
    "xbootldr",
    "swap",
    "root-arm64",
    "usr-x86-64",
    "0fc63daf-8483-4772-8e79-3d69d8477de5",
    "12345678-9abc-4def-8123-456789abcdef",
];

/// Values of `CopyBlocks=`. The file `/missing` does not exist.
const COPIED: [&str; 8] =
    ["/small", "/small", "/small", "/small", "/large", "/large", "/large", "/missing"];

/// Values of `--empty=` for an existing image. The last value is refused.
const EXISTING: [&str; 8] =
    ["allow", "allow", "allow", "refuse", "refuse", "refuse", "refuse", "require"];

const MIB: u64 = 1 << 20;

/// Properties that all definitions of a case share.
#[derive(Debug, Clone, Copy)]
struct Validity {
    /// Whether everything fits in 4 MiB.
    tiny: bool,
}

fn chance(random: &mut Random, percent: u64) -> bool {
    random.below(100) < percent
}

/// Returns a random size in bytes, and its text as a user would write it.
fn size(random: &mut Random, taste: Validity) -> (u64, String) {
    let limit =
        if taste.tiny { 300 << 10 } else { random.pick(&[MIB, 20 * MIB, 150 * MIB, 700 * MIB]) };
    let bytes = 1 + random.below(limit);
    match random.below(4) {
        0 => (bytes, bytes.to_string()),
        1 if bytes >= MIB => (bytes / MIB * MIB, format!("{}M", bytes / MIB)),
        2 => (bytes / 4096 * 4096, format!("{}", bytes / 4096 * 4096)),
        _ => (bytes.div_ceil(1024) * 1024, format!("{}K", bytes.div_ceil(1024))),
    }
}

fn bounds(
    random: &mut Random,
    taste: Validity,
    keys: [&'static str; 2],
    settings: &mut Vec<(&'static str, String)>,
) {
    let (min, max) = (size(random, taste), size(random, taste));
    let least = taste.tiny || chance(random, 40);
    // The minimum and the maximum occasionally contradict each other.
    let most = chance(random, 35) && (max.0 >= min.0 || !least || chance(random, 5));
    if least {
        settings.push((keys[0], min.1));
    }
    if most {
        settings.push((keys[1], max.1));
    }
}

fn room(random: &mut Random, taste: Validity, settings: &mut Vec<(&'static str, String)>) {
    bounds(random, taste, ["SizeMinBytes", "SizeMaxBytes"], settings);
    if chance(random, 30) {
        bounds(random, taste, ["PaddingMinBytes", "PaddingMaxBytes"], settings);
    }
    for (key, percent, limit) in
        [("Weight", 45, 3000), ("PaddingWeight", 25, 2000), ("Priority", 25, 4)]
    {
        if chance(random, percent) {
            settings.push((key, random.below(limit).to_string()));
        }
    }
}

fn uuid(random: &mut Random) -> String {
    let digits = format!("{:016x}{:016x}", random.next(), random.next());
    let (a, rest) = digits.split_at(8);
    format!("{a}-{}-4{}-8{}-{}", &rest[..4], &rest[5..8], &rest[9..12], &rest[12..])
}

fn flags(random: &mut Random, settings: &mut Vec<(&'static str, String)>) {
    if chance(random, 15) {
        let bits = (random.next() & random.next()) & !((1 << 48) - 1);
        let text = if chance(random, 50) { format!("{bits:#x}") } else { bits.to_string() };
        settings.push(("Flags", text));
    }
    if chance(random, 15) {
        settings.push(("NoAuto", random.pick(&["yes", "no", "1", "off"]).to_owned()));
    }
    let read_only = chance(random, 15).then(|| random.pick(&["yes", "no"]));
    settings.extend(read_only.map(|value| ("ReadOnly", value.to_owned())));
    if chance(random, 15) {
        let value = if read_only == Some("yes") { random.pick(&["yes", "no"]) } else { "yes" };
        settings.push(("GrowFileSystem", value.to_owned()));
    }
}

fn content(random: &mut Random, taste: Validity, settings: &mut Vec<(&'static str, String)>) {
    let swap = settings.iter().any(|setting| setting.1 == "swap");
    match random.below(100) {
        0..15 => settings.push(("Format", "empty".to_owned())),
        15..22 if !taste.tiny && !swap => {
            file_system(random, settings);
            return;
        }
        22..26 => settings.push(("Format", "swap".to_owned())),
        26..34 => settings.push(("CopyBlocks", random.pick(&COPIED).to_owned())),
        _ => {}
    }
    room(random, taste, settings);
}

fn file_system(random: &mut Random, settings: &mut Vec<(&'static str, String)>) {
    let format = random.pick(&["ext4", "ext4", "vfat", "vfat", "btrfs"]);
    let least = if format == "btrfs" { 300 } else { 40 };
    let fixed = format!("{}M", least + random.below(40));
    settings.push(("Format", format.to_owned()));
    settings.push(("SizeMinBytes", fixed.clone()));
    settings.push(("SizeMaxBytes", fixed));
    if format == "btrfs" || chance(random, 30) {
        settings.push(("MakeDirectories", "/a/b \"/c\" '/d e'".to_owned()));
    }
    match format {
        "vfat" if chance(random, 60) => {
            let line = random.pick(&["/links", "/links:/", "/links:/EFI/x"]);
            settings.push(("CopyFiles", line.to_owned()));
        }
        "btrfs" => {
            let lists = [
                "/a",
                "/ /c",
                "/c:ro \"/d e\"",
                "/a/b:nodatacow /a",
                "/c:bogus",
                "/:ro",
                "/missing",
            ];
            settings.push(("Subvolumes", random.pick(&lists).to_owned()));
            if chance(random, 20) {
                settings.push(("Subvolumes", "/c".to_owned()));
                settings.push(("DefaultSubvolume", "/c".to_owned()));
            }
        }
        _ => {}
    }
}

/// Returns a script for a disk with gaps between its partitions, and perhaps before the first and
/// after the last.
fn source(random: &mut Random) -> String {
    let mut text = format!("label: gpt\nlabel-id: {}\nfirst-lba: 34\n", uuid(random));
    let grain = random.pick(&[1, 8, 2048]);
    let mut at = random.pick(&[34, 40, 2048, 2048, 2048, 6144]);
    let types = [
        "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
        "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
        "933AC7E1-2EB4-4F13-B844-0E14E2AEF915",
        "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
        "12345678-9ABC-4DEF-8123-456789ABCDEF",
    ];
    for _ in 0..1 + random.below(5) {
        at = (at + if chance(random, 50) { random.below(9000) } else { 0 }).next_multiple_of(grain);
        let size = (1 + random.below(9000)).next_multiple_of(grain);
        let (kind, id, name) = (random.pick(&types), uuid(random), random.pick(&["", "a", "b c"]));
        text += &format!("start={at}, size={size}, type={kind}, uuid={id}, name=\"{name}\"\n");
        at += size;
    }
    text
}

fn partition(random: &mut Random, taste: Validity, name: String) -> Definition {
    let mut settings = vec![("Type", random.pick(&TYPES).to_owned())];
    content(random, taste, &mut settings);
    if chance(random, 20) {
        let labels = ["one", "one", "two words", "", "Ünïcödé", "%%-x", "a-b_c.d"];
        settings.push(("Label", random.pick(&labels).to_owned()));
    }
    if chance(random, 15) {
        let uuid = if chance(random, 20) { "null".to_owned() } else { uuid(random) };
        settings.push(("UUID", uuid));
    }
    if chance(random, 15) {
        let names = ["%t.%n", "part-%n", "%U", "%T", "-"];
        settings.push(("SplitName", random.pick(&names).to_owned()));
    }
    flags(random, &mut settings);
    Definition { name, settings }
}

/// Returns the definitions of a data partition, its hash tree and perhaps a signature, for `root`
/// or `usr`.
fn verity(random: &mut Random, kind: &str) -> Vec<Definition> {
    let definition = |suffix: &str, role: &str, more: &[(&'static str, String)]| {
        let mut settings = vec![
            ("Type", format!("{kind}{suffix}")),
            ("Verity", role.to_owned()),
            ("VerityMatchKey", kind.to_owned()),
        ];
        settings.extend_from_slice(more);
        Definition { name: format!("50-{kind}{suffix}.conf"), settings }
    };
    let copied = chance(random, 50);
    let data = if copied {
        vec![("CopyBlocks", random.pick(&["/small", "/large"]).to_owned())]
    } else {
        let size = format!("{}K", 4 * (1 + random.below(2000)));
        vec![("SizeMinBytes", size.clone()), ("SizeMaxBytes", size)]
    };
    let mut hash = Vec::new();
    if copied && chance(random, 60) {
        hash.push(("Minimize", "best".to_owned()));
    } else if chance(random, 50) {
        hash.push(("SizeMinBytes", format!("{}K", 4 * (1 + random.below(200)))));
    }
    if chance(random, 30) {
        let sizes = ["1024", "2048", "4096"];
        hash.push(("VerityDataBlockSizeBytes", random.pick(&sizes).to_owned()));
        hash.push(("VerityHashBlockSizeBytes", random.pick(&sizes).to_owned()));
    }
    let mut all = vec![definition("", "data", &data), definition("-verity", "hash", &hash)];
    if chance(random, 40) {
        all.push(definition("-verity-sig", "signature", &[]));
    }
    all
}

fn definitions(random: &mut Random, taste: Validity) -> Vec<Definition> {
    let mut all = Vec::new();
    for number in 0..1 + random.below(6) {
        all.push(partition(random, taste, format!("{}0-part.conf", number + 1)));
    }
    if !taste.tiny && chance(random, 12) {
        let kind = random.pick(&["root", "usr"]);
        all.extend(verity(random, kind));
    }
    all.sort_by(|left, right| left.name.cmp(&right.name));
    all
}

/// Returns the approximate number of bytes that the definitions request.
fn wanted(definitions: &[Definition]) -> u64 {
    let bytes = |text: &str| {
        let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let unit = match &text[digits.len()..] {
            "K" => 1 << 10,
            "M" => MIB,
            _ => 1,
        };
        digits.parse::<u64>().unwrap() * unit
    };
    let of = |definition: &Definition| {
        let least = definition.get("SizeMinBytes").map_or(10 * MIB, bytes);
        least + definition.get("PaddingMinBytes").map_or(0, bytes)
    };
    definitions.iter().map(of).sum()
}

fn image_size(random: &mut Random, taste: Validity, definitions: &[Definition]) -> u64 {
    let wanted = wanted(definitions) + MIB;
    match random.below(10) {
        _ if taste.tiny => (64 << 10) + random.below(5 * MIB),
        0..4 => wanted * (70 + random.below(60)) / 100,
        4..8 => wanted * 2 + random.below(200 * MIB),
        _ => wanted + random.below(4 << 30),
    }
}

fn common(random: &mut Random, sector: u64, split: bool) -> (Vec<String>, Vec<(String, String)>) {
    let mut args = vec![
        format!("--definitions={WORKDIR}/repart.d"),
        format!("--root={WORKDIR}/tree"),
        "--offline=yes".to_owned(),
        format!("--json={}", random.pick(&["short", "pretty"])),
        format!("--certificate={WORKDIR}/tree/certificate"),
        format!("--private-key={WORKDIR}/tree/key"),
    ];
    if sector != 512 || chance(random, 20) {
        args.push(format!("--sector-size={sector}"));
    }
    if split {
        args.push("--split=yes".to_owned());
    }
    let mut env = vec![("SOURCE_DATE_EPOCH".to_owned(), "1750000000".to_owned())];
    if chance(random, 8) {
        env.push(("SYSTEMD_LOG_LEVEL".to_owned(), "debug".to_owned()));
        if chance(random, 50) {
            env.push(("SYSTEMD_UTF8".to_owned(), "0".to_owned()));
        }
    }
    (args, env)
}

fn selection(random: &mut Random) -> Option<String> {
    let lists = [
        "esp,xbootldr",
        "home",
        "root-x86-64-verity-sig,usr-x86-64-verity-sig",
        "linux-generic,swap,tmp",
        "root",
        "12345678-9abc-4def-8123-456789abcdef",
    ];
    let option = match random.below(100) {
        0..20 => "defer-partitions",
        20..28 => "exclude-partitions",
        28..34 => "include-partitions",
        _ => return None,
    };
    Some(format!("--{option}={}", random.pick(&lists)))
}

/// Returns the case with this number.
pub fn case(number: u64) -> Case {
    let random = &mut Random::new(0x0de7_f500 + number);
    let taste = Validity { tiny: chance(random, 15) };
    let sector = random.pick(&[512, 512, 512, 512, 1024, 2048, 4096, 4096]);
    let seed = uuid(random);
    let grain = chance(random, 15).then(|| random.pick(&["512", "8192", "65536", "1048576"]));
    let first = first_run(random, taste, sector, &seed, grain);
    let mut runs = vec![first];
    while chance(random, if runs.len() == 1 { 60 } else { 30 }) && runs.len() < 4 {
        let before = runs[runs.len() - 1].definitions.clone();
        runs.push(next_run(random, taste, sector, &seed, grain, before));
    }
    Case { sector, runs }
}

fn first_run(
    random: &mut Random,
    taste: Validity,
    sector: u64,
    seed: &str,
    grain: Option<&str>,
) -> Run {
    let definitions = definitions(random, taste);
    let split = chance(random, 12);
    let (mut args, env) = common(random, sector, split);
    args.push(format!("--seed={seed}"));
    args.extend(grain.map(|grain| format!("--grain-size={grain}")));
    args.extend(selection(random));
    let size = image_size(random, taste, &definitions);
    let enlarge = chance(random, 20).then_some(size);
    if enlarge.is_some() {
        args.push(format!(
            "--empty={}",
            random.pick(&["allow", "require", "force", "force", "refuse"])
        ));
        args.push(format!("--dry-run={}", random.pick(&["yes", "no", "no"])));
        if chance(random, 50) {
            args.push("--size=auto".to_owned());
        }
    } else {
        args.push("--empty=create".to_owned());
        let auto = chance(random, 40);
        args.push(if auto { "--size=auto".to_owned() } else { format!("--size={size}") });
    }
    let source = (!taste.tiny && chance(random, 12)).then(|| source(random));
    if source.is_some() {
        args.push(format!("--copy-from={WORKDIR}/source.raw"));
    }
    args.push(format!("{WORKDIR}/image.raw"));
    Run { definitions, enlarge, delete: None, source, args, env }
}

fn next_run(
    random: &mut Random,
    taste: Validity,
    sector: u64,
    seed: &str,
    grain: Option<&str>,
    mut definitions: Vec<Definition>,
) -> Run {
    for _ in 0..random.below(3) {
        let at = random.index(definitions.len());
        match random.below(3) {
            0 if definitions.len() > 1 => drop(definitions.remove(at)),
            1 => {
                let name = format!("{}-new.conf", 10 + random.below(80));
                definitions.retain(|definition| definition.name != name);
                definitions.push(partition(random, taste, name));
                definitions.sort_by(|left, right| left.name.cmp(&right.name));
            }
            _ if definitions[at].get("Verity").is_none() => {
                let is_room = |key: &str| {
                    key.starts_with("Size") || key.starts_with("Padding") || key == "Weight"
                };
                let definition = &mut definitions[at];
                if !definition.has_file_system() {
                    definition.settings.retain(|setting| !is_room(setting.0));
                    room(random, taste, &mut definition.settings);
                }
            }
            _ => {}
        }
    }
    let split = chance(random, 10);
    let (mut args, env) = common(random, sector, split);
    args.push(format!("--seed={seed}"));
    args.extend(grain.map(|grain| format!("--grain-size={grain}")));
    if chance(random, 50) {
        args.extend(selection(random));
    }
    args.push(format!("--dry-run={}", random.pick(&["no", "no", "no", "yes"])));
    args.push(format!("--empty={}", random.pick(&EXISTING)));
    let size = image_size(random, taste, &definitions);
    let mut enlarge = None;
    match random.below(5) {
        0 => args.push("--size=auto".to_owned()),
        1 | 2 => args.push(format!("--size={size}")),
        3 => enlarge = Some(size / sector * sector),
        _ => {}
    }
    args.push(format!("{WORKDIR}/image.raw"));
    let delete = chance(random, 20).then(|| random.below(100));
    Run { definitions, enlarge, delete, source: None, args, env }
}
