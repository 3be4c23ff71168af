use std::io::{Seek, Write};
use std::process::Command;

use super::interface::Encoder;
use super::sample::Sample;
use super::vectors::{VECTORS, Vector, digest};
use super::*;

#[test]
fn the_pinned_versions_are_linked() {
    let lock = include_str!("../../Cargo.lock");
    let version = |name: &str| {
        let at = lock.find(&format!("name = \"{name}\"\nversion = \"")).unwrap();
        lock[at..].split('"').nth(3).unwrap()
    };
    let (_, zstd) = version("zstd-sys").split_once("+zstd.").unwrap();
    assert_eq!(Zstd.version(), zstd);
    assert_eq!(Zlib.version(), format!("zlib-rs {}", version("zlib-rs")));
    assert_eq!(Lzo.version(), format!("lzokay {}", version("lzokay")));
    assert_eq!(Xz.version(), format!("lzma-rust2 {}", version("lzma-rust2")));
    for &codec in ALL {
        assert_eq!(codec.linked_version(), codec.version());
    }
}

#[test]
fn encoders_write_their_vectors() {
    let levels = |codec: &'static dyn Codec| codec.levels().map(move |level| (codec, level));
    let made: Vec<Vector> = ALL
        .iter()
        .copied()
        .flat_map(levels)
        .map(|(codec, level)| (codec.name(), level, Sample::ALL.map(|s| digest(codec, level, s))))
        .collect();
    assert_eq!(made, VECTORS);
}

#[test]
fn decoders_read_what_encoders_write() {
    for &codec in ALL {
        let levels = codec.levels();
        for level in [*levels.start(), *levels.end()] {
            let mut encoder = Encoder::new(codec, level);
            for sample in Sample::ALL {
                for len in [1, 100, 4096, 200_000] {
                    let raw = sample.bytes(len);
                    let encoded = encoder.encode(&raw);
                    let what = format!("{}:{level} of {len} bytes of {sample:?}", codec.name());
                    assert!(encoded.len() <= codec.bound(len), "{what}");
                    assert!(codec.decode(encoded, len).as_ref() == Some(&raw), "{what}");
                    if let Some(less) = len.checked_sub(1) {
                        assert!(codec.decode(encoded, less).is_none(), "{what}");
                    }
                    let truncated = codec.decode(&encoded[..encoded.len() - 1], len);
                    assert!(truncated.as_ref() != Some(&raw), "{what}");
                }
            }
        }
    }
}

/// A larger buffer than the bound changes nothing, so the bound is large enough not to matter.
#[test]
fn the_output_does_not_depend_on_the_size_of_the_buffer() {
    for &codec in ALL {
        for level in codec.levels() {
            let mut encoder = Encoder::new(codec, level);
            let mut encode = codec.encoder(level);
            for sample in Sample::ALL {
                let raw = sample.bytes(128 << 10);
                let mut output = vec![0; 2 * codec.bound(raw.len())];
                let len = encode(&raw, &mut output);
                assert!(encoder.encode(&raw) == &output[..len], "{}:{level}", codec.name());
            }
        }
    }
}

#[test]
fn a_window_is_no_larger_than_the_output_needs() {
    // A frame without its size: a magic, flags, the window, and the header of an empty last block.
    let frame = |window_log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3, 1, 0, 0];
    for (window_log, len, is_read) in
        [(17, 0, true), (18, 0, false), (18, 128 << 10, false), (18, (128 << 10) + 1, true)]
    {
        let decoded = Zstd.decode(&frame(window_log), len);
        assert_eq!(decoded.is_some(), is_read, "{window_log}, {len}");
    }
}

/// The `xz` program reads streams, and finds a changed byte.
#[test]
fn xz_reads_streams() {
    let raw = Sample::Mixed.bytes(128 << 10);
    let mut encoder = Encoder::new(&Xz, 0);
    let mut stream = encoder.encode(&raw).to_vec();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut decode = |stream: &[u8]| {
        file.as_file_mut().rewind().unwrap();
        file.write_all(stream).unwrap();
        Command::new("xz").arg("--decompress").arg("--stdout").arg(file.path()).output().unwrap()
    };
    let output = decode(&stream);
    assert!(output.status.success() && output.stdout == raw, "{:?}", output.stderr);
    let middle = stream.len() / 2;
    stream[middle] ^= 1;
    assert!(!decode(&stream).status.success());
    assert_eq!(Xz.decode(&stream, raw.len()), None);
}

/// The dictionary of a stream is not allocated if it is larger than the output needs.
#[test]
fn a_dictionary_is_no_larger_than_the_output_needs() {
    let raw = Sample::Text.bytes(1 << 20);
    let mut encoder = Encoder::new(&Xz, 0);
    let stream = encoder.encode(&raw);
    assert!(Xz.decode(stream, 1 << 20).as_ref() == Some(&raw));
    assert_eq!(Xz.decode(stream, 128 << 10), None);
}
