//! Decompression of an archive, recognized by its first bytes.

use std::io::{self, BufReader, Read};

use lzma_rust2::XzReader;
use zlib_rs::{Inflate, InflateFlush, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

/// Size of the buffers for compressed data, in bytes.
const BUFFER: usize = 128 << 10;

/// Base-2 logarithm of the largest window of zstd that is decoded, and of the largest dictionary
/// of xz: 128 MiB.
const WINDOW_LOG: u32 = 27;

/// Memory of the decoder of xz besides the dictionary, in KiB.
const XZ_KIB: u32 = 256;

/// Longest header of a frame of zstd, in bytes.
const FRAME_HEADER: usize = 18;

/// Compression of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
    Xz,
    /// A known format that is not an archive that can be read.
    Other(&'static str),
}

/// First bytes of other formats.
const OTHERS: [(&[u8], &str); 13] = [
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4D\x18", "lz4"),
    (b"LZIP", "lzip"),
    (b"\x89LZO\0\r\n\x1A\n", "lzop"),
    (b"\x5D\0\0", "lzma"),
    (b"\x1F\x9D", "compress"),
    (b"070701", "a cpio archive"),
    (b"070702", "a cpio archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"!<arch>\n", "an ar archive"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"hsqs", "a squashfs image"),
];

impl Compression {
    /// Detects the compression of an archive that starts with `head`.
    pub(super) fn detect(head: &[u8]) -> Self {
        let is_skippable = matches!(head, [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
        let other = OTHERS.iter().find(|(magic, _)| head.starts_with(magic));
        match (head, other) {
            ([0x1F, 0x8B, ..], _) => Self::Gzip,
            ([0x28, 0xB5, 0x2F, 0xFD, ..], _) => Self::Zstd,
            _ if is_skippable => Self::Zstd,
            ([0xFD, b'7', b'z', b'X', b'Z', 0, ..], _) => Self::Xz,
            (_, Some((_, name))) => Self::Other(name),
            _ => Self::None,
        }
    }

    /// Returns a reader of the decompressed bytes.
    pub(super) fn reader(self, source: impl Read + 'static) -> Box<dyn Read> {
        match self {
            Self::None | Self::Other(_) => Box::new(source),
            Self::Gzip => Box::new(Gzip { input: Input::new(source), inflate: None }),
            Self::Zstd => Box::new(Zstd::new(source)),
            Self::Xz => Box::new(Xz(XzReader::new_mem_limit(
                BufReader::with_capacity(BUFFER, source),
                true,
                (1 << (WINDOW_LOG - 10)) + XZ_KIB,
            ))),
        }
    }
}

/// Creates an error about compressed data.
fn corrupt(rule: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rule.into())
}

/// Buffered compressed data.
struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    range: std::ops::Range<usize>,
}

impl<R: Read> Input<R> {
    fn new(source: R) -> Self {
        Self { source, buffer: vec![0; BUFFER], range: 0..0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }

    fn consume(&mut self, count: usize) {
        self.range.start += count;
    }

    /// Reads until there are `count` bytes, or until the end of the source.
    fn fill(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.range.len() < count {
            self.buffer.copy_within(self.range.clone(), 0);
            self.range = 0..self.range.len();
            match self.source.read(&mut self.buffer[self.range.end..]) {
                Ok(0) => break,
                Ok(count) => self.range.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.bytes())
    }
}

/// Members of gzip, which may be followed by zeros.
struct Gzip<R> {
    input: Input<R>,
    /// Decoder of a member; `None` before the first and between members.
    inflate: Option<Inflate>,
}

impl<R: Read> Gzip<R> {
    /// Starts the next member. Returns whether there is one.
    fn next(&mut self) -> io::Result<bool> {
        match self.input.fill(2)? {
            [] => return Ok(false),
            [0x1F, 0x8B] | [0x1F, 0x8B, ..] => {}
            _ => {
                while !self.input.fill(1)?.is_empty() {
                    if self.input.bytes().iter().any(|&byte| byte != 0) {
                        return Err(corrupt("gzip: other bytes follow the last member"));
                    }
                    self.input.consume(self.input.bytes().len());
                }
                return Ok(false);
            }
        }
        // 16 is for the header of gzip, 15 for a window of 32 KiB.
        self.inflate = Some(Inflate::new(true, 16 + 15));
        Ok(true)
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            if self.inflate.is_none() && !self.next()? {
                return Ok(0);
            }
            let Some(inflate) = &mut self.inflate else { unreachable!("it was just set") };
            let input = self.input.fill(1)?;
            let is_end = input.is_empty();
            let (read, written) = (inflate.total_in(), inflate.total_out());
            let status = inflate
                .decompress(input, output, InflateFlush::NoFlush)
                .map_err(|error| corrupt(format!("gzip: {}", error.as_str())))?;
            let count = |now: u64, before| {
                usize::try_from(now - before).expect("it is at most the length of the buffer")
            };
            let (read, written) =
                (count(inflate.total_in(), read), count(inflate.total_out(), written));
            self.input.consume(read);
            if status == Status::StreamEnd {
                self.inflate = None;
            } else if is_end && written == 0 {
                return Err(corrupt("gzip: the data ends within a member"));
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }
}

/// Frames of zstd, some of which may be skippable.
struct Zstd<R> {
    input: Input<R>,
    context: DCtx<'static>,
    is_within_frame: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: R) -> Self {
        let mut context = DCtx::create();
        let limit = DParameter::WindowLogMax(WINDOW_LOG);
        context.set_parameter(limit).expect("libzstd has the window");
        Self { input: Input::new(source), context, is_within_frame: false }
    }
}

/// Returns the size of the window of a frame, in bytes, if its header names one.
fn window_size(header: &[u8]) -> Option<u64> {
    let [0x28, 0xB5, 0x2F, 0xFD, descriptor, window, ..] = header else { return None };
    let is_single_segment = descriptor & 0x20 != 0;
    // A frame of a single segment has no window, but the size of its content.
    (!is_single_segment).then(|| {
        let base = 1u64 << (10 + (window >> 3));
        base + base / 8 * u64::from(window & 7)
    })
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            let wanted = if self.is_within_frame { 1 } else { FRAME_HEADER };
            let input = self.input.fill(wanted)?;
            if input.is_empty() && !self.is_within_frame {
                return Ok(0);
            }
            if !self.is_within_frame
                && let Some(size) = window_size(input).filter(|&size| size > 1 << WINDOW_LOG)
            {
                return Err(corrupt(format!(
                    "zstd: a window of {size} bytes, more than {} are not decoded",
                    1 << WINDOW_LOG
                )));
            }
            let is_end = input.is_empty();
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around(&mut *output);
            let hint = self
                .context
                .decompress_stream(&mut to, &mut from)
                .map_err(|code| corrupt(format!("zstd: {}", zstd_safe::get_error_name(code))))?;
            let (read, written) = (from.pos(), to.pos());
            self.input.consume(read);
            self.is_within_frame = hint != 0;
            if written > 0 {
                return Ok(written);
            }
            if is_end && self.is_within_frame {
                return Err(corrupt("zstd: the data ends within a frame"));
            }
        }
    }
}

/// Streams of xz.
struct Xz<R: Read>(XzReader<R>);

impl<R: Read> Read for Xz<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        self.0.read(output).map_err(|error| match (error.raw_os_error(), error.kind()) {
            (Some(_), _) => error,
            (None, io::ErrorKind::OutOfMemory) => corrupt(format!(
                "xz: a dictionary of more than {} bytes, which is not decoded",
                1 << WINDOW_LOG
            )),
            (None, io::ErrorKind::UnexpectedEof) => corrupt("xz: the data ends within a stream"),
            (None, _) => corrupt(format!("xz: {error}")),
        })
    }
}
