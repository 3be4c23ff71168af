//! Decompression of clusters.

use super::super::spec::algorithm;
use crate::codec::{Codec, Lz4, Xz, Zlib, Zstd};

/// A compression of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compression {
    /// A number of [`algorithm`].
    pub(super) algorithm: u8,
    /// LZ4 that is followed by other bytes, instead of being at the end after zeros
    /// (`LZ4_0PADDING`).
    pub(super) is_unpadded: bool,
    /// Whether the stream may have more bytes than the extent (`PARTIAL_REF`).
    pub(super) is_partial: bool,
}

impl Compression {
    /// Returns the name of the algorithm.
    pub(super) fn name(self) -> &'static str {
        match self.algorithm {
            algorithm::LZ4 => "LZ4",
            algorithm::LZMA => "LZMA",
            algorithm::DEFLATE => "DEFLATE",
            _ => "Zstandard",
        }
    }

    /// Decompresses the `len` bytes of an extent. Returns `None` if there are no such bytes.
    pub(super) fn decode(self, data: &[u8], len: usize) -> Option<Vec<u8>> {
        let padding = match self.is_unpadded {
            true => 0,
            false => data.iter().position(|&byte| byte != 0)?,
        };
        let data = &data[padding..];
        let decoded = match self.algorithm {
            algorithm::LZ4 if self.is_partial || self.is_unpadded => Lz4::decode_start(data, len),
            algorithm::LZ4 => Lz4.decode(data, len),
            algorithm::LZMA => micro_lzma(data, len),
            // One extra byte reveals a stream that is longer.
            algorithm::DEFLATE => Zlib::inflate_start(data, len + usize::from(!self.is_partial)),
            _ if self.is_partial => Zstd::decode_start(data, len),
            _ => Zstd.decode(data, len),
        };
        decoded.filter(|decoded| decoded.len() == len)
    }
}

/// Decompresses an LZMA stream whose first byte, which would be zero, is replaced by the inverted
/// properties.
fn micro_lzma(data: &[u8], len: usize) -> Option<Vec<u8>> {
    let (first, rest) = data.split_first()?;
    Xz::decode_lzma(!first, &[&[0], rest].concat(), len)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::codec;

    /// Returns text, and its streams by all algorithms, without padding.
    fn streams() -> (Vec<u8>, [(u8, Vec<u8>); 4]) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..20_000).map(|number| format!("{number}\n")).collect();
        std::fs::write(file.path(), &text).unwrap();
        let text = text.into_bytes();
        let encode =
            |codec, level| codec::verified(codec, level).unwrap().encoder().encode(&text).to_vec();
        let zlib = encode(&Zlib, 6);
        let options = ["--format=raw", "--lzma1=preset=6,lc=2,lp=1,pb=1", "--stdout"];
        let output = Command::new("xz").args(options).arg(file.path()).output().unwrap();
        assert!(output.status.success() && output.stdout[0] == 0);
        let mut lzma = output.stdout;
        // (pb * 5 + lp) * 9 + lc
        lzma[0] = !((5 + 1) * 9 + 2);
        let streams = [
            (algorithm::LZ4, encode(&Lz4, 3)),
            (algorithm::LZMA, lzma),
            (algorithm::DEFLATE, zlib[2..zlib.len() - 4].to_vec()),
            (algorithm::ZSTD, encode(&Zstd, 3)),
        ];
        (text, streams)
    }

    #[test]
    fn whole_streams_and_their_starts_are_decoded() {
        let (text, streams) = streams();
        for (algorithm, stream) in streams {
            let decode = |is_partial, data: &[u8], len| {
                Compression { algorithm, is_unpadded: false, is_partial }.decode(data, len)
            };
            let padded = [&[0; 100][..], &stream].concat();
            for len in [text.len(), text.len() - 1, 4096, 1] {
                assert!(decode(true, &padded, len).is_some_and(|it| it == text[..len]), "{len}");
            }
            assert!(decode(false, &padded, text.len()).is_some_and(|it| it == text));
            // LZMA does not mark its end.
            let is_short = algorithm != algorithm::LZMA;
            assert_eq!(decode(false, &padded, text.len() - 1).is_none(), is_short, "{algorithm}");
            for is_partial in [false, true] {
                assert_eq!(decode(is_partial, &padded, text.len() + 1), None, "{algorithm}");
                let half = &stream[..stream.len() / 2];
                assert_eq!(decode(is_partial, half, text.len()), None, "{algorithm}");
                assert_eq!(decode(is_partial, &[0; 100], 1), None, "{algorithm}");
            }
        }
    }

    #[test]
    fn lz4_is_followed_by_other_bytes_without_padding() {
        let (text, [(algorithm, mut stream), ..]) = streams();
        stream.extend([1; 500]);
        let decode = |is_unpadded| {
            Compression { algorithm, is_unpadded, is_partial: false }.decode(&stream, text.len())
        };
        assert!(decode(true).is_some_and(|it| it == text));
        assert_eq!(decode(false), None);
    }
}
