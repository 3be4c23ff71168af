//! Reads the members of an archive in order.
//!
//! Programs read the same archive in different ways if its headers contradict each other, so that
//! one of them checks what another one never sees. An archive with such headers is rejected.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::fault::{Fault, Result as Checked};
use super::header::{Dialect, Header};
use super::metadata::metadata;
use super::number;
use super::records::{Attributes, HEADER_MAX, Records};
use super::sparse::{self, Data, Form};
use super::spec::{BLOCK, RawSparseBlock};
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::name::Escaped;
use crate::report::Warning;
use crate::tree::Metadata;

/// A member of an archive.
#[derive(Debug)]
pub(crate) struct Member {
    /// Offset of its header.
    pub(crate) offset: u64,
    /// Name as it is in the archive.
    pub(crate) name: Vec<u8>,
    pub(crate) metadata: Metadata,
    pub(crate) kind: MemberKind,
}

/// Type of a member, with its content.
#[derive(Debug)]
pub(crate) enum MemberKind {
    Directory,
    File {
        size: u64,
        data: Data,
    },
    /// Another name of the member with this name, which may come later.
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    Fifo,
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
}

/// Largest device numbers of Linux.
const MAJOR_MAX: u32 = (1 << 12) - 1;
const MINOR_MAX: u32 = (1 << 20) - 1;

/// Largest size that a header can hold as octal digits.
const OCTAL_MAX: u64 = (1 << 33) - 1;

/// Number of different kinds of ignored metadata that are reported.
const REPORTED: usize = 100;

/// A reader of the members of an archive.
pub(crate) struct Reader {
    stream: Stream,
    global: Records,
    has_global: bool,
    /// Metadata that is not read, with the number of members and the first one.
    unread: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
}

/// Headers that extend the next one.
#[derive(Default)]
struct Extension {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    linkname: Option<Vec<u8>>,
}

impl Extension {
    fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.linkname.is_none()
    }
}

impl Reader {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, global: Records::default(), has_global: false, unread: BTreeMap::new() }
    }

    /// Returns the next member, or `None` after the last one.
    ///
    /// # Errors
    /// [`Error::Archive`] if the archive is truncated, corrupt or ambiguous.
    pub(crate) fn next(&mut self) -> Result<Option<Member>> {
        let mut extension = Extension::default();
        loop {
            let offset = self.stream.position();
            let block = self.block(b"")?;
            if block == [0; BLOCK] {
                if !extension.is_empty() {
                    let fault = Fault::new("the archive ends after an extended header");
                    return Err(self.error(offset, b"", fault));
                }
                return self.end(offset).map(|()| None);
            }
            let header = Header::parse(&block).map_err(|fault| self.no_header(offset, fault))?;
            match header.raw.typeflag {
                b'x' | b'g' | b'L' | b'K' => self.extend(offset, &header, &mut extension)?,
                b'V' if extension.is_empty() => {
                    self.report(b"its volume label", header.name());
                    self.skip_data(offset, &header.name(), header.size().unwrap_or_default())?;
                }
                _ => return self.member(offset, &header, &extension).map(Some),
            }
        }
    }

    /// Returns warnings about metadata that is not read.
    pub(super) fn warnings(&self) -> impl Iterator<Item = Warning> {
        self.unread.iter().map(|(key, (count, first))| {
            let members = match count {
                1 => "1 member".to_owned(),
                count => format!("{count} members, first here"),
            };
            let message = format!("{} of {members} is not read", Escaped(key));
            Warning { path: first.clone(), message }
        })
    }

    fn report(&mut self, key: &[u8], member: Vec<u8>) {
        if self.unread.len() < REPORTED || self.unread.contains_key(key) {
            self.unread.entry(key.to_vec()).or_insert((0, member)).0 += 1;
        }
    }

    /// Returns the error for a fault of a member.
    pub(super) fn error(&self, offset: u64, member: &[u8], fault: Fault) -> Error {
        let Fault { rule, remedy } = fault;
        let archive = self.stream.archive().to_owned();
        Error::Archive { archive, member: member.to_vec(), offset, rule, remedy }
    }

    fn no_header(&self, offset: u64, Fault { rule, .. }: Fault) -> Error {
        let fault = match offset {
            0 => Fault::new(format!("this is not a tar archive: {rule}"))
                .with_remedy("give a directory or a tar archive"),
            _ => Fault::new(format!("no header where one must be: {rule}")),
        };
        self.error(offset, b"", fault)
    }

    fn truncated(&self, member: &[u8]) -> Error {
        let fault = Fault::new("the archive ends before its end-of-archive marker")
            .with_remedy("copy or create the archive again");
        self.error(self.stream.position(), member, fault)
    }

    /// Reads a block of a member.
    fn block(&mut self, member: &[u8]) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        match self.stream.fill(&mut block)? {
            BLOCK => Ok(block),
            count if self.stream.position() == count as u64 => {
                let fault = Fault::new(format!("it has {count} bytes"));
                Err(self.no_header(0, fault))
            }
            _ => Err(self.truncated(member)),
        }
    }

    /// Checks the end of the archive, after its first block of zeros.
    fn end(&mut self, offset: u64) -> Result<()> {
        let block = self.block(b"")?;
        let other = match block.iter().position(|&byte| byte != 0) {
            Some(at) => Some(offset + (BLOCK + at) as u64),
            None => self.stream.find_nonzero()?,
        };
        let Some(at) = other else { return Ok(()) };
        let fault = Fault::new("other bytes follow the end-of-archive marker")
            .with_remedy("join archives by tar --concatenate, or remove what follows");
        Err(self.error(at, b"", fault))
    }

    /// Skips data with its padding.
    fn skip_data(&mut self, offset: u64, member: &[u8], size: u64) -> Result<()> {
        let padded = size
            .checked_next_multiple_of(BLOCK as u64)
            .ok_or_else(|| self.error(offset, member, Fault::new(format!("its size is {size}"))))?;
        match self.stream.skip(padded)? == padded {
            true => Ok(()),
            false => Err(self.truncated(member)),
        }
    }

    /// Reads a header that extends the next one, or all later ones.
    fn extend(&mut self, offset: u64, header: &Header, extension: &mut Extension) -> Result<()> {
        let size = header.size().map_err(|fault| self.error(offset, b"", fault))?;
        let kind = char::from(header.raw.typeflag);
        if size > HEADER_MAX {
            let rule = format!("an extended header of type {kind} has {size} bytes");
            let fault = Fault::new(format!("{rule}, more than {HEADER_MAX} are not read"));
            return Err(self.error(offset, b"", fault.with_remedy("leave the member out")));
        }
        let size = usize::try_from(size).expect("checked above");
        let mut body = vec![0; size.next_multiple_of(BLOCK)];
        if self.stream.fill(&mut body)? < body.len() {
            return Err(self.truncated(b""));
        }
        body.truncate(size);
        let added = self.add_extension(kind, &body, extension);
        added.map_err(|fault| self.error(offset, b"", fault))
    }

    fn add_extension(&mut self, kind: char, body: &[u8], extension: &mut Extension) -> Checked<()> {
        let is_second = match kind {
            'x' => extension.records.replace(Records::parse(body)?).is_some(),
            'L' => extension.name.replace(long_name(body)?).is_some(),
            'K' => extension.linkname.replace(long_name(body)?).is_some(),
            _ => {
                let records = Records::parse(body)?;
                for key in &records.unknown {
                    self.report(key, Vec::new());
                }
                self.has_global = true;
                return self.global.update(records);
            }
        };
        match is_second {
            true => Err(Fault::new(format!("a second extended header of type {kind}"))),
            false => Ok(()),
        }
    }

    fn member(&mut self, offset: u64, header: &Header, extension: &Extension) -> Result<Member> {
        let none = Records::default();
        let own = extension.records.as_ref().unwrap_or(&none);
        let global = std::mem::take(&mut self.global);
        let attributes = Attributes { own, global: &global };
        let of_sparse = attributes.get("GNU.sparse.name");
        let of_records = of_sparse.or_else(|| attributes.get("path")).map(<[u8]>::to_vec);
        let name = of_records.or_else(|| extension.name.clone());
        let name = name.unwrap_or_else(|| header.name());
        let result = self.read_member(offset, &name, header, extension, attributes);
        self.global = global;
        let (metadata, unread, kind) = result.map_err(|error| match error {
            MemberError::Fault(fault) => self.error(offset, &name, fault),
            MemberError::Error(error) => error,
        })?;
        for flag in unread {
            self.report(&[b"file flag ", &*flag].concat(), name.clone());
        }
        for key in &own.unknown {
            self.report(key, name.clone());
        }
        Ok(Member { offset, name, metadata, kind })
    }

    fn read_member(
        &mut self,
        offset: u64,
        name: &[u8],
        header: &Header,
        extension: &Extension,
        attributes: Attributes<'_>,
    ) -> Result<(Metadata, Vec<Vec<u8>>, MemberKind), MemberError> {
        if name.is_empty() || name.contains(&0) {
            return Err(Fault::new("a name that is empty or has a NUL").into());
        }
        check_charset(attributes)?;
        let size = size(header, attributes)?;
        let has_records = extension.records.is_some() || self.has_global;
        let linkname = || {
            let long = extension.linkname.clone();
            let value = attributes.get("linkpath").map(<[u8]>::to_vec).or(long);
            value.unwrap_or_else(|| header.linkname())
        };
        let kind = match (header.raw.typeflag, name.ends_with(b"/")) {
            (b'0' | 0, true) if header.dialect == Dialect::V7 || header.raw.typeflag == 0 => {
                MemberKind::Directory
            }
            (b'0' | 0 | b'7', false) => self.file(offset, name, attributes, size)?,
            (b'0' | b'7', true) => {
                return Err(Fault::new("a regular file whose name ends with a slash").into());
            }
            (b'S', _) => self.gnu_sparse(offset, name, header, size)?,
            (b'1', _) => MemberKind::HardLink(linkname()),
            (b'2', _) => MemberKind::Symlink(linkname()),
            (b'3', _) => {
                let (major, minor) = device(header, attributes)?;
                MemberKind::CharDevice(major, minor)
            }
            (b'4', _) => {
                let (major, minor) = device(header, attributes)?;
                MemberKind::BlockDevice(major, minor)
            }
            (b'5', _) => MemberKind::Directory,
            (b'6', _) => MemberKind::Fifo,
            (other, _) => return Err(unsupported(other).into()),
        };
        match kind {
            MemberKind::File { .. } => {}
            // POSIX has the content again, in archives with extended headers.
            MemberKind::HardLink(_) if has_records => self.skip_data(offset, name, size)?,
            _ if size == 0 => {}
            _ => {
                let rule = format!("its size is {size}, but only regular files have data");
                return Err(Fault::new(rule).into());
            }
        }
        let is_directory = matches!(kind, MemberKind::Directory);
        let (mut metadata, unread) = metadata(header, attributes, is_directory)?;
        if let MemberKind::Symlink(_) = kind {
            // Linux has no other mode for a symlink.
            metadata.mode = 0o777;
        }
        Ok((metadata, unread, kind))
    }

    /// Skips the data of a regular file, which may be sparse.
    fn file(
        &mut self,
        offset: u64,
        name: &[u8],
        attributes: Attributes<'_>,
        stored: u64,
    ) -> Result<MemberKind, MemberError> {
        let data = self.stream.position();
        let Some((size, form)) = sparse::form(attributes)? else {
            self.skip_data(offset, name, stored)?;
            return Ok(MemberKind::File { size: stored, data: Data::Whole(data) });
        };
        let map = match form {
            Form::Records(map) => map,
            Form::Data => self.map_in_data(name, stored)?,
        };
        let taken = self.stream.position() - data;
        let start = self.stream.position();
        let stored = stored - taken;
        let segments = sparse::segments(&map, size, start, stored)?;
        self.skip_data(offset, name, stored)?;
        Ok(MemberKind::File { size, data: Data::Sparse(segments) })
    }

    /// Reads a map of version 1.0: decimal numbers, each followed by a newline, in whole blocks.
    /// The first one is the number of ranges.
    fn map_in_data(&mut self, name: &[u8], stored: u64) -> Result<Vec<(u64, u64)>, MemberError> {
        let mut numbers: Vec<u64> = Vec::new();
        let mut text = Vec::new();
        for _ in 0..stored / BLOCK as u64 {
            for byte in self.block(name)? {
                match byte {
                    b'\n' => {
                        numbers.push(number::decimal("a number of its sparse map", &text)?);
                        text.clear();
                    }
                    byte if text.len() < 20 => {
                        text.push(byte);
                        continue;
                    }
                    _ => return Err(Fault::new("its sparse map has no newline").into()),
                }
                if (numbers.len() as u64 - 1) == numbers[0].saturating_mul(2) {
                    return Ok(sparse::pairs(&numbers[1..])?);
                }
            }
        }
        Err(Fault::new("its sparse map is longer than its data").into())
    }

    /// Reads the map of a sparse file of GNU tar, and skips its data.
    fn gnu_sparse(
        &mut self,
        offset: u64,
        name: &[u8],
        header: &Header,
        stored: u64,
    ) -> Result<MemberKind, MemberError> {
        if header.dialect != Dialect::Gnu {
            return Err(Fault::new("a sparse file in a header that is not of GNU tar").into());
        }
        let gnu = header.gnu();
        let size = number::of_field("realsize", &gnu.realsize)?;
        let size = u64::try_from(size).map_err(|_| Fault::new(format!("realsize is {size}")))?;
        let mut map = Vec::new();
        sparse::add_raw(&mut map, &gnu.sp)?;
        let mut is_extended = gnu.isextended != 0;
        while is_extended {
            let block = self.block(name)?;
            let block = RawSparseBlock::read_from_bytes(&block).expect("it has the size");
            sparse::add_raw(&mut map, &block.sp)?;
            is_extended = block.isextended != 0;
        }
        let segments = sparse::segments(&map, size, self.stream.position(), stored)?;
        self.skip_data(offset, name, stored)?;
        Ok(MemberKind::File { size, data: Data::Sparse(segments) })
    }
}

/// A fault of a member, or an error of the stream.
enum MemberError {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for MemberError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for MemberError {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Returns the name in the body of a long name of GNU tar.
fn long_name(body: &[u8]) -> Checked<Vec<u8>> {
    let name = body.strip_suffix(&[0]).unwrap_or(body);
    match name.is_empty() || name.contains(&0) {
        true => Err(Fault::new("a long name that is empty or has a NUL")),
        false => Ok(name.to_vec()),
    }
}

/// Returns the size of the data, which a header and a record must not disagree about.
fn size(header: &Header, attributes: Attributes<'_>) -> Checked<u64> {
    let Some(size) = attributes.number("size")? else { return header.size() };
    match header.size() {
        Ok(of_header) if of_header != size && size <= OCTAL_MAX => {
            Err(Fault::new(format!("size is {of_header} in its header, but {size} in a record")))
        }
        _ => Ok(size),
    }
}

/// Returns the numbers of a device.
fn device(header: &Header, attributes: Attributes<'_>) -> Checked<(u32, u32)> {
    if header.dialect == Dialect::V7 {
        return Err(Fault::new("a device in a header without device numbers"));
    }
    let of = |name, key, field, max| {
        let number = match attributes.number(key)? {
            Some(number) => i64::try_from(number).expect("a decimal number has 63 bits"),
            None => number::of_field(name, field)?,
        };
        u32::try_from(number).ok().filter(|&number| number <= max).ok_or_else(|| {
            Fault::new(format!("{name} is {number}, Linux allows {max}"))
                .with_remedy("leave the member out")
        })
    };
    Ok((
        of("devmajor", "SCHILY.devmajor", &header.raw.devmajor, MAJOR_MAX)?,
        of("devminor", "SCHILY.devminor", &header.raw.devminor, MINOR_MAX)?,
    ))
}

/// Checks that names are bytes that are stored as they are.
fn check_charset(attributes: Attributes<'_>) -> Checked<()> {
    match attributes.get("hdrcharset") {
        None | Some(b"BINARY" | b"ISO-IR 10646 2000 UTF-8") => Ok(()),
        Some(other) => {
            let rule = format!("the character set of its names is {}", Escaped(other));
            Err(Fault::new(rule))
        }
    }
}

fn unsupported(typeflag: u8) -> Fault {
    let known = match typeflag {
        b'A' => "an ACL of Solaris",
        b'D' => "a directory of an incremental backup of GNU tar",
        b'I' => "an inode without data of star",
        b'M' => "a part of a file of another volume",
        b'N' => "a list of long names of an old GNU tar",
        b'V' => "a volume label with extended headers",
        b'X' => "an extended header of Solaris",
        _ => "unknown",
    };
    Fault::new(format!("its type {} is {known}", Escaped(&[typeflag])))
        .with_remedy("create the archive again, without such members")
}
