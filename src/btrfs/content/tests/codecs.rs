//! Compressors, checked against independent decompressors.

use std::io::Write;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::*;
use crate::btrfs::content::compress::ExtentEncoders;
use crate::btrfs::content::limits::SECTOR;

/// Runs a program with `input` as its standard input, and returns its output.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that has seen enough may end before it has read all.
        let write = move || stdin.write_all(input).err();
        std::thread::Builder::new().spawn_scoped(scope, write).unwrap();
        child.wait_with_output().unwrap()
    });
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

const INFLATE: &str = "
import sys, zlib
inflater = zlib.decompressobj(15)
out = inflater.decompress(sys.stdin.buffer.read())
assert inflater.eof and not inflater.unused_data
sys.stdout.buffer.write(out)
";

/// Decompresses LZO1X as described in the kernel's documentation of the stream.
fn lzo1x(input: &[u8]) -> Option<Vec<u8>> {
    let mut input = input.iter().copied().map(usize::from);
    let mut output = Vec::new();
    // A length that does not fit the instruction: each zero stands for 255.
    fn long(input: &mut impl Iterator<Item = usize>, base: usize) -> Option<usize> {
        let mut length = base;
        loop {
            match input.next()? {
                0 => length += 255,
                last => return Some(length + last),
            }
        }
    }
    // How many literals the last instruction copied; 4 stands for more.
    let mut state = 0;
    let mut first = true;
    loop {
        let instruction = input.next()?;
        let (distance, length, literals) = match instruction {
            18.. if first => (0, 0, instruction - 17),
            0..16 if state == 0 => {
                let length = if instruction == 0 { long(&mut input, 18)? } else { instruction + 3 };
                (0, 0, length)
            }
            0..16 => {
                let distance = (input.next()? << 2) + (instruction >> 2);
                match state {
                    4 => (distance + 2049, 3, instruction & 3),
                    _ => (distance + 1, 2, instruction & 3),
                }
            }
            16..32 => {
                let short = instruction & 7;
                let length = if short == 0 { long(&mut input, 9)? } else { short + 2 };
                let (low, high) = (input.next()?, input.next()?);
                let distance = 16384 + ((instruction & 8) << 11) + (low >> 2) + (high << 6);
                if distance == 16384 {
                    let end = (length, input.next()) == (3, None);
                    return end.then_some(output);
                }
                (distance, length, low & 3)
            }
            32..64 => {
                let short = instruction & 31;
                let length = if short == 0 { long(&mut input, 33)? } else { short + 2 };
                let (low, high) = (input.next()?, input.next()?);
                (1 + (low >> 2) + (high << 6), length, low & 3)
            }
            64..128 => {
                let distance = (input.next()? << 3) + ((instruction >> 2) & 7) + 1;
                (distance, 3 + ((instruction >> 5) & 1), instruction & 3)
            }
            _ => {
                let distance = (input.next()? << 3) + ((instruction >> 2) & 7) + 1;
                (distance, 5 + ((instruction >> 5) & 3), instruction & 3)
            }
        };
        first = false;
        for _ in 0..length {
            output.push(output[output.len().checked_sub(distance)?]);
        }
        for _ in 0..literals {
            output.push(u8::try_from(input.next()?).unwrap());
        }
        state = literals.min(4);
    }
}

/// Decompresses the LZO container as the kernel does.
///
/// The lengths must be those of the sectors of a file.
fn lzo(input: &[u8], mut left: usize) -> Option<Vec<u8>> {
    let word = |at: usize| {
        let bytes = input.get(at..at + 4)?.try_into().unwrap();
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if word(0)? != input.len() {
        return None;
    }
    let (mut at, mut output) = (4, Vec::new());
    while left > 0 {
        if SECTOR - at % SECTOR < 4 {
            at = at.next_multiple_of(SECTOR);
        }
        let length = word(at)?;
        let sector = lzo1x(input.get(at + 4..at + 4 + length)?)?;
        if sector.len() != left.min(SECTOR) {
            return None;
        }
        left -= sector.len();
        output.extend(sector);
        at += 4 + length;
    }
    (at == input.len()).then_some(output)
}

fn decompress(compression: Compression, compressed: &[u8], len: usize) -> Result<Vec<u8>, String> {
    match compression {
        Compression::Zlib { .. } => run("python3", &["-c", INFLATE], compressed),
        Compression::Lzo => lzo(compressed, len).ok_or_else(|| "this is no LZO".into()),
        // The kernel has no more memory than for this window.
        Compression::Zstd { .. } => run("zstd", &["-d", "-c", "-M128KB"], compressed),
    }
}

fn check(compression: Compression, compressed: &[u8], raw: &[u8]) {
    let decompressed = decompress(compression, compressed, raw.len());
    assert!(decompressed.as_deref() == Ok(raw), "{compression} of {} bytes", raw.len());
}

const ALL: [Compression; 9] = [
    Compression::Zlib { level: 1 },
    Compression::Zlib { level: 3 },
    Compression::Zlib { level: 6 },
    Compression::Zlib { level: 9 },
    Compression::Lzo,
    Compression::Zstd { level: 1 },
    Compression::Zstd { level: 3 },
    Compression::Zstd { level: 9 },
    Compression::Zstd { level: 15 },
];

/// Returns short runs of noise between zeros, for which the kernel's LZO has to pad.
fn runs(len: usize, seed: u8) -> Vec<u8> {
    let mut sector = Vec::new();
    let (mut used, mut number) = (0, 0u8);
    while used < len {
        let run = (7 + (usize::from(number) * 5 + usize::from(seed)) % 17).min(len - used);
        sector.extend(noise(run, seed + number));
        sector.extend([0; 9]);
        used += run;
        number += 1;
    }
    sector.resize(SECTOR, 0);
    sector
}

/// Returns every kind of content that an extent may have.
fn contents() -> Vec<Vec<u8>> {
    let mut mixed = text(40 * K, 1);
    mixed.extend(noise(20 * K, 2));
    mixed.extend(mixed.clone());
    mixed.extend([0; 8000]);
    let mut far = noise(2000, 4);
    far.extend([7; 2000]);
    far.extend(noise(300, 4));
    let mut contents = vec![mixed, far, noise(128 * K, 3), vec![0; 128 * K], text(128 * K, 5)];
    contents.extend([1, 2, 3, 4, 5, 17, 239, 300, 4095, 4096, 4097].map(|len| text(len, 6)));
    contents.extend([1, 238, 239, 2048, 8191].map(|len| noise(len, 7)));
    contents.extend([1, 10, 5000].map(|len| vec![b'x'; len]));
    contents
}

#[test]
fn other_programs_read_it() {
    let mut codecs = ExtentEncoders::default();
    for raw in contents() {
        // Levels differ in what they find, and in short content there is nothing to find.
        for compression in ALL.iter().filter(|c| raw.len() > 8192 || c.level() <= Some(1)) {
            check(*compression, codecs.compress(*compression, &raw).unwrap(), &raw);
        }
    }
}

#[test]
fn other_programs_refuse_what_is_wrong() {
    let raw = text(128 * K, 1);
    let mut codecs = ExtentEncoders::default();
    for compression in ALL {
        let compressed = codecs.compress(compression, &raw).unwrap();
        let short = &compressed[..compressed.len() - 1];
        assert!(decompress(compression, short, raw.len()).is_err(), "{compression}");
        let long = [compressed, b"x"].concat();
        assert!(decompress(compression, &long, raw.len()).is_err(), "{compression}");
    }
    assert!(
        decompress(Compression::Lzo, codecs.compress(Compression::Lzo, &raw).unwrap(), 5).is_err()
    );
    let frame = run("zstd", &["-c", "--no-content-size"], &noise(300 * K, 1)).unwrap();
    assert!(decompress(Compression::Zstd { level: 1 }, &frame, 0).is_err());
}

/// Decompresses an extent written by Linux 6.18, in which the third length does not fit into the
/// first sector.
#[test]
fn the_kernel_s_lzo() {
    let raw = [runs(1600, 3), runs(1545, 9), vec![0; 8192]].concat();
    let written = include_bytes!("linux.lzo");
    assert_eq!(written[4094..4096], [0, 0]);
    check(Compression::Lzo, written, &raw);
}

/// Sectors of many compressed lengths put a length at every position near the end of a sector.
#[test]
fn no_length_of_lzo_crosses_a_sector() {
    let mut codecs = ExtentEncoders::default();
    let mut padded = [0; 4];
    for len in 1500..1900 {
        let raw = [runs(1600, 3), runs(len, 9), vec![0; 8192]].concat();
        let compressed = codecs.compress(Compression::Lzo, &raw).unwrap();
        check(Compression::Lzo, compressed, &raw);
        let mut at = 4;
        for _ in 0..3 {
            let left = SECTOR - at % SECTOR;
            if left < 4 {
                assert!(compressed[at..at + left].iter().all(|&byte| byte == 0));
                padded[left] += 1;
                at += left;
            }
            let length = u32::from_le_bytes(compressed[at..at + 4].try_into().unwrap());
            at += 4 + usize::try_from(length).unwrap();
        }
    }
    assert!(padded[1..].iter().all(|&count| count > 0), "{padded:?}");
}

#[test]
fn a_used_codec_makes_what_a_fresh_one_does() {
    let mut used = ExtentEncoders::default();
    for raw in contents().into_iter().rev().chain(contents()) {
        for compression in ALL {
            let mut fresh = ExtentEncoders::default();
            let expected = fresh.compress(compression, &raw).unwrap().to_vec();
            assert!(used.compress(compression, &raw).unwrap() == expected, "{compression}");
        }
    }
}

/// A change of these bytes changes images: a new version of a compressor is a new version of the
/// layout.
#[test]
fn the_compressed_bytes_stay_what_they_are() {
    let raw = &contents()[0];
    let mut codecs = ExtentEncoders::default();
    let made = ALL.map(|compression| {
        let digest = Sha256::digest(codecs.compress(compression, raw).unwrap());
        let shown: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{compression} {shown}")
    });
    assert_eq!(made, GOLDEN);
}

#[rustfmt::skip]
const GOLDEN: [&str; 9] = [
    "zlib:1 a52ebc35c760f0384e08b639368a521b14b14729563e97edf317627f1a34184d",
    "zlib:3 f54703fbc8e8ff4b2fa43014563878ea13106c6ec9a3bf4dc4dfbeb6895f8e7a",
    "zlib:6 0206b488feefc0a2f388feac5a4ac9907f8cc499e49a2f635572109864d2c81f",
    "zlib:9 ed2f4fb58a568e9694f17cade4a30e119007093ebd5620f906b1360589871c4e",
    "lzo a87461cb5a1df9e7618a3118168a9243bd5e0fc9a0eea50573bf17ebb7c5e5c2",
    "zstd:1 067aae04af1dc123aefaa3d056d3ddb8f6c8d1f4bbf9e81aa8294350e072930b",
    "zstd:3 7471efc0e637b34c2968102132c9819a3309114066d4cf658208cbc1be9018f5",
    "zstd:9 b12f4176c04dcf265062c5a8d64d6bd66eaabd1d0de81c042d346c514578d081",
    "zstd:15 f3c21b6f880c203d8e7b82b12e6db67d592bee5d12aeeb397f053a8e3560ba7f",
];

#[test]
fn compression_from_text() {
    for (text, expected) in [
        ("zstd", Compression::Zstd { level: 3 }),
        ("zstd:1", Compression::Zstd { level: 1 }),
        ("zstd:15", Compression::Zstd { level: 15 }),
        ("zlib", Compression::Zlib { level: 3 }),
        ("zlib:9", Compression::Zlib { level: 9 }),
        ("lzo", Compression::Lzo),
    ] {
        assert_eq!(text.parse::<Compression>().unwrap(), expected, "{text}");
        assert_eq!(expected.to_string().parse::<Compression>().unwrap(), expected, "{text}");
    }
    for (text, rule) in [
        ("zstd:0", "zstd has no level 0; use a level from 1 to 15"),
        ("zstd:16", "zstd has no level 16; use a level from 1 to 15"),
        ("zlib:10", "zlib has no level 10; use a level from 1 to 9"),
        ("zstd:256", "unknown compression `zstd:256`; use"),
        ("zstd:+3", "unknown compression `zstd:+3`; use"),
        ("zstd:-1", "unknown compression `zstd:-1`; use"),
        ("zstd:", "unknown compression `zstd:`; use"),
        ("lzo:1", "unknown compression `lzo:1`; use"),
        ("ZSTD", "unknown compression `ZSTD`; use"),
        ("", "unknown compression ``; use"),
    ] {
        let error = text.parse::<Compression>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("btrfs.compression: {rule}")), "{error}");
    }
    assert_eq!(ALL.map(Compression::number), [1, 1, 1, 1, 2, 3, 3, 3, 3]);
}
