//! Walks from header to header.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use tar::Header;

use super::pax::{MOST_EXTENSION, Records};
use super::{Entry, Kind, Time, sparse};
use crate::error::{Error, Result, Said, of_io, shown};
use crate::limits::read_bounded;

/// No file is longer: off_t, in which the kernel counts, has a sign.
const MOST_SIZE: u64 = i64::MAX as u64;

const BLOCK: u64 = 512;

/// Reads an archive.
pub(crate) struct Reader<R> {
    source: R,
    /// How data that nobody wants is skipped; returns how much there was.
    pass: fn(&mut R, u64) -> io::Result<u64>,
    /// Data of the entry that has not been read yet, and the padding of its last block.
    left: u64,
    padding: u64,
    /// Of global extended headers. Shared, since each entry has all of them.
    global: Rc<Records>,
}

/// What headers have said about the next entry.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    records: Option<Records>,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        let pass = |source: &mut R, length| io::copy(&mut source.take(length), &mut io::sink());
        Self { source, pass, left: 0, padding: 0, global: Rc::default() }
    }

    /// The source, positioned after the archive.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// The next entry; its data is read with [`Read`].
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut ahead = Ahead::default();
        loop {
            self.skip(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let Some(header) = self.header()? else { return Ok(None) };
            let size = number(&header, SIZE, header.entry_size())?;
            let kind = header.entry_type().as_byte();
            if matches!(kind, b'L' | b'K' | b'x' | b'g') {
                self.set_data(size)?;
                let data = read_bounded(&mut *self, MOST_EXTENSION, "a name or an extended header")
                    .map_err(of_io)?;
                let name = || data.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
                match kind {
                    b'L' => ahead.name = Some(name()),
                    b'K' => ahead.target = Some(name()),
                    b'g' => Rc::make_mut(&mut self.global).read(&data)?,
                    _ => ahead.records.get_or_insert_with(|| Records::clone(&self.global)).read(&data)?,
                }
                continue;
            }
            return self.entry(&header, kind, size, ahead).map(Some);
        }
    }

    fn entry(&mut self, header: &Header, kind: u8, size: u64, ahead: Ahead) -> Result<Entry> {
        let records = ahead.records.map_or_else(|| Rc::clone(&self.global), Rc::new);
        let size = records.number("size")?.unwrap_or(size);
        let name = records.get("GNU.sparse.name").or_else(|| records.get("path")).map(<[u8]>::to_vec);
        let name = name.or(ahead.name).unwrap_or_else(|| header.path_bytes().into_owned());
        let target = records.get("linkpath").map(<[u8]>::to_vec).or(ahead.target);
        let target = target.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let id = |key, field, of_header: io::Result<u64>| -> Result<u32> {
            let id = match records.number(key)? {
                Some(id) => id,
                None => number(header, field, of_header)?,
            };
            let valid = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
            valid.ok_or_else(|| {
                Error::invalid(format!("{}: {key} {id} is larger than Linux allows", shown(&name)))
            })
        };
        let mtime = match records.time("mtime")? {
            Some(time) => time,
            None => Time { seconds: number(header, MTIME, header.mtime())? as i64, nanoseconds: 0 },
        };
        let (uid, gid) = (id("uid", UID, header.uid())?, id("gid", GID, header.gid())?);
        let mut entry = Entry {
            target: target.unwrap_or_default(),
            kind: kind_of(kind, &name),
            mode: number(header, MODE, header.mode().map(u64::from))? as u32 & 0o7777,
            uid,
            gid,
            mtime,
            atime: records.time("atime")?,
            size,
            xattrs: records.xattrs(),
            sparse: None,
            name,
        };
        // For an entry without data the size means something else, if anything.
        let has_data = matches!(entry.kind, Kind::File | Kind::Other(_));
        self.set_data(if has_data { size } else { 0 })?;
        self.find_sparse(header, kind, &records, &mut entry)?;
        Ok(entry)
    }

    fn find_sparse(&mut self, header: &Header, kind: u8, records: &Records, entry: &mut Entry) -> Result<()> {
        if entry.kind != Kind::File {
            return Ok(());
        }
        let found = if kind == b'S' {
            // The blocks of its map are not part of the data.
            Some(sparse::of_header(header, &mut self.source)?)
        } else if records.get("GNU.sparse.major") == Some(b"1") {
            let size = records.number("GNU.sparse.realsize")?.unwrap_or(entry.size);
            Some((sparse::of_data(self)?.0, size))
        } else {
            sparse::of_records(records)?
        };
        if let Some((map, size)) = found {
            if sparse::check(&map, size)? != self.left {
                return Err(Error::invalid(format!(
                    "{}: the map of a sparse file does not match the length of its data: the archive is damaged",
                    shown(&entry.name)
                )));
            }
            entry.size = size;
            entry.sparse = Some(map);
        }
        Ok(())
    }

    fn set_data(&mut self, size: u64) -> Result<()> {
        if size > MOST_SIZE {
            return Err(Error::invalid(format!(
                "an entry has {size} bytes, which is more than a file can have: the archive is damaged"
            )));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    /// The next header; `None` at the end, which is marked by two empty blocks or just by the end of the file.
    fn header(&mut self) -> Result<Option<Header>> {
        for _ in 0..2 {
            let mut header = Header::new_old();
            if !self.block(header.as_mut_bytes())? {
                return Ok(None);
            }
            if header.as_bytes().iter().any(|byte| *byte != 0) {
                check_sum(&header)?;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Reads another block; returns whether there was one.
    fn block(&mut self, block: &mut [u8; 512]) -> Result<bool> {
        let mut length = 0;
        while length < block.len() {
            match self.source.read(&mut block[length..]) {
                Ok(0) if length == 0 => return Ok(false),
                Ok(0) => return Err(cut_off()),
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(of_io(error)),
            }
        }
        Ok(true)
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        let skipped = (self.pass)(&mut self.source, length).map_err(of_io)?;
        if skipped == length { Ok(()) } else { Err(cut_off()) }
    }
}

impl Reader<File> {
    /// Reads from a file, in which data is skipped without being read.
    pub(crate) fn seeking(source: File) -> Self {
        let pass = |file: &mut File, length: u64| {
            let (at, end) = (file.stream_position()?, file.metadata()?.len());
            let length = length.min(end.saturating_sub(at));
            file.seek(SeekFrom::Start(at + length)).map(|_| length)
        };
        Self { source, pass, left: 0, padding: 0, global: Rc::default() }
    }

    /// The offset in the file at which the data of the current entry begins.
    pub(crate) fn position(&mut self) -> Result<u64> {
        self.source.stream_position().said(|| "lseek")
    }
}

/// The position of a number in a header: tar(5).
type Field = std::ops::Range<usize>;
const MODE: Field = 100..108;
const UID: Field = 108..116;
const GID: Field = 116..124;
const SIZE: Field = 124..136;
const MTIME: Field = 136..148;

/// Parses a number of a header. Some programs leave a field blank if they do not know the value.
fn number(header: &Header, field: Field, found: io::Result<u64>) -> Result<u64> {
    let is_blank = || header.as_bytes()[field].iter().all(|byte| matches!(byte, 0 | b' '));
    match found {
        Err(_) if is_blank() => Ok(0),
        other => other.map_err(of_io),
    }
}

fn cut_off() -> Error {
    Error::invalid("the archive ends in the middle of an entry: it is cut off; get it again")
}

fn kind_of(flag: u8, name: &[u8]) -> Kind {
    match flag {
        // From the time before archives had directories.
        b'0' | 0 if name.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymbolicLink,
        b'3' | b'4' => Kind::Device,
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Other(other),
    }
}

/// Verifies the sum of a header's bytes, in which the bytes of the sum itself count as blanks; some old programs
/// summed signed bytes.
fn check_sum(header: &Header) -> Result<()> {
    let bytes = header.as_bytes();
    let counted = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
    let unsigned: u32 = bytes.iter().enumerate().map(|each| u32::from(counted(each))).sum();
    let signed: i32 = bytes.iter().enumerate().map(|each| i32::from(counted(each) as i8)).sum();
    match header.cksum() {
        Ok(sum) if sum == unsigned || sum as i32 == signed => Ok(()),
        _ => {
            Err(Error::invalid("a header has a wrong checksum: this is not a tar archive, or it is damaged"))
        }
    }
}

impl<R: Read> Read for Reader<R> {
    /// Reads data of the current entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.source.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(crate::error::to_io(cut_off()));
        }
        self.left -= length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, EntryType};

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header
    }

    #[test]
    fn long_names_and_links_of_gnu_are_read() {
        let (name, target) = ("d/".repeat(150) + "file", "t".repeat(200));
        let mut builder = Builder::new(Vec::new());
        builder.append_data(&mut header(EntryType::Regular, 5), &name, &b"hello"[..]).expect("append");
        builder.append_link(&mut header(EntryType::Symlink, 0), "link", &target).expect("append");
        let archive = builder.into_inner().expect("an archive");
        let mut reader = Reader::new(&archive[..]);
        let entry = reader.next().expect("an entry").expect("one");
        assert_eq!((entry.name, entry.kind, entry.uid, entry.gid), (name.into_bytes(), Kind::File, 7, 8));
        let mut data = String::new();
        reader.read_to_string(&mut data).expect("data");
        assert_eq!(data, "hello");
        let entry = reader.next().expect("an entry").expect("one");
        assert_eq!((entry.target, entry.kind), (target.into_bytes(), Kind::SymbolicLink));
        assert!(reader.next().expect("an end").is_none());
    }

    #[test]
    fn an_extension_without_an_end_is_refused() {
        let mut extended = header(EntryType::XHeader, 1 << 40);
        extended.set_cksum();
        let source = extended.as_bytes().chain(io::repeat(b'a'));
        let error = Reader::new(source).next().expect_err("too long").to_string();
        assert!(error.contains("is larger than 1.0 MiB"), "{error}");
    }

    #[test]
    fn what_is_no_archive_is_told_from_one_that_is_cut_off() {
        let mut builder = Builder::new(Vec::new());
        builder.append_data(&mut header(EntryType::Regular, 600), "a", &[0; 600][..]).expect("append");
        let archive = builder.into_inner().expect("an archive");
        for (bytes, words) in [
            (&archive[..100], "cut off"),
            (&archive[..700], "cut off"),
            (&[b'x'; 512][..], "not a tar archive"),
        ] {
            let mut reader = Reader::new(bytes);
            let found = reader.next().and_then(|_| reader.next()).map(drop);
            assert!(found.expect_err("an error").to_string().contains(words), "{words}");
        }
        assert!(Reader::new(&[][..]).next().expect("an empty one").is_none());
    }

    #[test]
    fn a_size_that_no_file_can_have_is_refused() {
        for size in [u64::MAX, u64::MAX - 511, 1 << 63] {
            for kind in [EntryType::Regular, EntryType::XHeader, EntryType::new(b'V')] {
                let mut header = header(kind, size);
                header.set_cksum();
                let error = Reader::new(&header.as_bytes()[..]).next().expect_err("too large").to_string();
                assert!(error.contains("more than a file can have"), "{error}");
            }
            let mut builder = Builder::new(Vec::new());
            let text = size.to_string();
            builder.append_pax_extensions([("size", text.as_bytes())]).expect("append");
            builder.append_data(&mut header(EntryType::Regular, 0), "a", &[][..]).expect("append");
            let archive = builder.into_inner().expect("an archive");
            let error = Reader::new(&archive[..]).next().expect_err("too large").to_string();
            assert!(error.contains("more than a file can have"), "{error}");
        }
    }

    #[test]
    fn extended_headers_are_bounded_together() {
        let value = vec![b'x'; 600 << 10];
        for kind in [EntryType::XGlobalHeader, EntryType::XHeader] {
            let mut builder = Builder::new(Vec::new());
            for key in ["a", "b"] {
                let rest = [format!(" {key}=").as_bytes(), &value, b"\n"].concat();
                let record = [(rest.len() + 6).to_string().as_bytes(), &rest].concat();
                let mut header = header(kind, record.len() as u64);
                builder.append_data(&mut header, "x", &record[..]).expect("append");
            }
            builder.append_data(&mut header(EntryType::Regular, 0), "file", &[][..]).expect("append");
            let archive = builder.into_inner().expect("an archive");
            let error = Reader::new(&archive[..]).next().expect_err("too much").to_string();
            assert!(error.contains("more than 1.0 MiB of extended headers"), "{error}");
        }
    }
}
