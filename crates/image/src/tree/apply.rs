//! Makes what the entries of an archive describe.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};
use rootling_sys as sys;

use super::attributes::{self, Owner, Was};
use super::layer::{Layer, Meaning};
use super::notes::Notes;
use super::place::{Way, components, os};
use super::remove::{names, remove_at};
use crate::error::{Error, Result, Said, shown};
use crate::limits::{Limits, Used};
use crate::tar::{Entry, Kind, Reader};

/// How much of a file is held in memory, in bytes.
const BUFFER: usize = 128 << 10;

/// A root file system that is being made.
pub(crate) struct Tree {
    way: Way,
    me: Owner,
    limits: Limits,
    used: Used,
    notes: Notes,
    buffer: Vec<u8>,
}

impl Tree {
    /// Starts in an open, empty directory.
    pub(crate) fn new(root: OwnedFd, limits: Limits) -> Result<Self> {
        let me = Owner::current();
        Ok(Self {
            way: Way::new(root)?,
            me,
            limits,
            used: Used::default(),
            notes: Notes::default(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Applies all entries of an archive; their size counts towards the limits.
    pub(crate) fn apply(&mut self, reader: &mut Reader<impl Read>, layer: &mut Layer) -> Result<()> {
        while let Some(entry) = reader.next()? {
            self.limits.entry(&mut self.used)?;
            let name = entry.name.clone();
            self.entry(reader, &entry, layer).map_err(|error| {
                let text = error.to_string();
                let named = shown(&name);
                if text.contains(&named) { error } else { error.wrap(named) }
            })?;
        }
        Ok(())
    }

    /// Whether no archive had an entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.used.is_nothing()
    }

    /// Finishes, and returns what could not be kept.
    pub(crate) fn finish(self) -> Result<Notes> {
        self.way.leave()?;
        Ok(self.notes)
    }

    fn entry(&mut self, reader: &mut Reader<impl Read>, entry: &Entry, layer: &mut Layer) -> Result<()> {
        let path = components(&entry.name)?;
        let Some((name, parents)) = path.split_last() else { return self.root(entry) };
        match layer.meaning(name) {
            Meaning::File => {}
            Meaning::Nothing => return Ok(()),
            Meaning::Wrong => {
                return Err(Error::invalid(format!(
                    "{}: a whiteout for a name that no file can have",
                    shown(&entry.name)
                )));
            }
            Meaning::Whiteout(hidden) => return self.whiteout(parents, Some(hidden), layer),
            Meaning::Opaque => return self.whiteout(parents, None, layer),
        }
        if matches!(entry.kind, Kind::Device | Kind::Other(_)) {
            let count =
                if entry.kind == Kind::Device { &mut self.notes.devices } else { &mut self.notes.others };
            *count += 1;
            return Ok(());
        }
        self.limits.attributes(&mut self.used, &entry.xattrs)?;
        self.way.go(parents, true)?;
        self.limits.more(&mut self.used, self.way.made())?;
        layer.make(&path);
        let had = match entry.kind {
            Kind::File => self.file(reader, entry, name)?,
            Kind::HardLink => return self.hard_link(entry, &path),
            Kind::Directory => self.directory(name)?,
            Kind::SymbolicLink => {
                self.replace(name, |dir| symlinkat(os(&entry.target), Some(dir), os(name)))?
            }
            Kind::Fifo | Kind::Device | Kind::Other(_) => {
                self.replace(name, |dir| mknodat(Some(dir), os(name), SFlag::S_IFIFO, Mode::S_IRUSR, 0))?
            }
        };
        let was = Was { there: had, gives_group: self.way.gives_group() };
        attributes::set(self.way.end(), name, entry, self.me, was, &mut self.notes)
    }

    /// Applies the entry of the root itself: `./`.
    fn root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(Error::invalid(format!("{}: the root is not a directory", shown(&entry.name))));
        }
        self.way.back_to(0)?;
        // Through /proc, since a directory has no name within itself by which its attributes could be set.
        let was = Was { there: true, gives_group: false };
        attributes::set(self.way.end(), b".", entry, self.me, was, &mut self.notes)?;
        self.way.end_mut().set_times(attributes::times(entry));
        Ok(())
    }

    /// Makes a directory; returns whether there was one already.
    fn directory(&mut self, name: &[u8]) -> Result<bool> {
        let dir = self.way.end();
        let at = Some(dir.as_raw_fd());
        let make = || mkdirat(at, os(name), Mode::from_bits_truncate(0o755));
        match make() {
            Ok(()) => Ok(false),
            Err(Errno::EEXIST) => {
                let found = fstatat(at, os(name), AtFlags::AT_SYMLINK_NOFOLLOW)
                    .said(|| format!("stat {}", shown(name)))?;
                if sys::file::kind(found.st_mode) == SFlag::S_IFDIR {
                    return Ok(true);
                }
                remove_at(dir, name)?;
                make().said(|| format!("mkdir {}", shown(name))).map(|()| false)
            }
            Err(errno) => Err(errno).said(|| format!("mkdir {}", shown(name))),
        }
    }

    /// Makes something new with this name, replacing what is there.
    fn replace<T>(&self, name: &[u8], mut make: impl FnMut(RawFd) -> Result<T, Errno>) -> Result<bool> {
        self.replaced(name, &mut make).map(|_| false)
    }

    fn replaced<T>(&self, name: &[u8], make: &mut dyn FnMut(RawFd) -> Result<T, Errno>) -> Result<T> {
        let dir = self.way.end();
        match make(dir.as_raw_fd()) {
            Err(Errno::EEXIST) => {
                remove_at(dir, name)?;
                make(dir.as_raw_fd())
            }
            other => other,
        }
        .said(|| format!("make {}", shown(name)))
    }

    fn file(&mut self, reader: &mut Reader<impl Read>, entry: &Entry, name: &[u8]) -> Result<bool> {
        self.limits.parts(&mut self.used, entry.sparse.as_deref().unwrap_or_default())?;
        // O_EXCL: whatever is there, a FIFO or a link, is never opened.
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut open = |dir| openat(Some(dir), os(name), flags, mode).map(sys::fds::adopt);
        let mut file = std::fs::File::from(self.replaced(name, &mut open)?);
        match &entry.sparse {
            None => self.copy(reader, &mut file, u64::MAX).said(|| format!("write {}", shown(name)))?,
            Some(map) => {
                for (offset, length) in map {
                    file.seek(SeekFrom::Start(*offset)).said(|| "seek")?;
                    self.copy(reader, &mut file, *length).said(|| format!("write {}", shown(name)))?;
                }
                file.set_len(entry.size)
                    .said(|| format!("truncate {} to {} bytes", shown(name), entry.size))?;
            }
        }
        Ok(false)
    }

    fn copy(
        &mut self,
        reader: &mut Reader<impl Read>,
        file: &mut std::fs::File,
        length: u64,
    ) -> std::io::Result<()> {
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let got = reader.read(&mut self.buffer[..most])?;
            if got == 0 {
                break;
            }
            file.write_all(&self.buffer[..got])?;
            left -= got as u64;
        }
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, path: &[&[u8]]) -> Result<()> {
        let target = components(&entry.target)?;
        if target == path {
            return Ok(());
        }
        let missing = || {
            Error::invalid(format!(
                "{}: a hard link to {}, which the image does not have",
                shown(&entry.name),
                shown(&entry.target)
            ))
        };
        let (old, parents) = target.split_last().ok_or_else(missing)?;
        let source = self.way.open(parents)?.ok_or_else(missing)?;
        let from = Some(source.as_raw_fd());
        let found = fstatat(from, os(old), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|_| missing())?;
        if sys::file::kind(found.st_mode) == SFlag::S_IFDIR {
            return Err(Error::invalid(format!("{}: a hard link to a directory", shown(&entry.name))));
        }
        let name = path.last().copied().unwrap_or_default();
        self.replaced(name, &mut |dir| linkat(from, os(old), Some(dir), os(name), AtFlags::empty())).map(drop)
    }

    /// Removes what the layers below have under this name, or in the whole directory.
    fn whiteout(&mut self, parents: &[&[u8]], hidden: Option<&[u8]>, layer: &mut Layer) -> Result<()> {
        if !layer.has_others_below() || !self.way.go(parents, false)? {
            return Ok(());
        }
        let mut path = parents.to_vec();
        match hidden {
            Some(name) => {
                path.push(name);
                hide(self.way.end(), name, &path, layer)
            }
            None => hide_below(self.way.end(), &path, layer),
        }
    }
}

/// Removes the file at `path`, whose last name is in this directory, except for what the layer itself has made.
fn hide(dir: BorrowedFd<'_>, name: &[u8], path: &[&[u8]], layer: &Layer) -> Result<()> {
    if !layer.has_made(path) {
        return remove_at(dir, name);
    }
    match super::place::enter(dir, name) {
        Ok(below) => hide_below(below.as_fd(), path, layer),
        // A file that this layer has made.
        Err(_) => Ok(()),
    }
}

fn hide_below(dir: BorrowedFd<'_>, path: &[&[u8]], layer: &Layer) -> Result<()> {
    for name in names(dir)? {
        hide(dir, name.as_bytes(), &[path, &[name.as_bytes()]].concat(), layer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of so many parts of one byte each, every one in a block of its own.
    fn sparse(parts: usize) -> Vec<u8> {
        let map: Vec<String> = (0..parts).map(|part| format!("{},1", part * 4096)).collect();
        let (map, size) = (map.join(","), (parts * 4096).to_string());
        let mut builder = tar::Builder::new(Vec::new());
        let records = [("GNU.sparse.map", map.as_bytes()), ("GNU.sparse.size", size.as_bytes())];
        builder.append_pax_extensions(records).expect("append");
        let mut header = tar::Header::new_gnu();
        header.set_size(parts as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, "sparse", &vec![b'x'; parts][..]).expect("append");
        builder.into_inner().expect("an archive")
    }

    #[test]
    fn directories_that_only_a_name_asks_for_count_as_entries() {
        let apply = |names: &[&str]| {
            let dir = tempfile::tempdir().expect("a directory");
            let root = std::fs::File::open(dir.path()).expect("open");
            let mut tree =
                Tree::new(root.into(), Limits { entries: 10, ..Limits::default() }).expect("a tree");
            let mut builder = tar::Builder::new(Vec::new());
            for name in names {
                let mut header = tar::Header::new_gnu();
                header.set_size(0);
                header.set_mode(0o644);
                builder.append_data(&mut header, name, &[][..]).expect("append");
            }
            let archive = builder.into_inner().expect("an archive");
            tree.apply(&mut Reader::new(&archive[..]), &mut Layer::new(true, true))
        };
        apply(&["a/b/c/d/file", "a/b/c/d/other", "a/b/c/e/third"]).expect("five directories, three files");
        let error =
            apply(&["1/a/b/c/file", "2/a/b/c/file", "3/a/b/c/file"]).expect_err("too many").to_string();
        assert!(error.contains("more than 10 entries"), "{error}");
    }

    #[test]
    fn attributes_of_a_global_header_count_for_each_entry() {
        let value = vec![b'x'; 400 << 10];
        let rest = [&b" SCHILY.xattr.user.a="[..], &value, b"\n"].concat();
        let record = [(rest.len() + 6).to_string().as_bytes(), &rest].concat();
        let apply = |entries: usize| {
            let dir = tempfile::tempdir().expect("a directory");
            let root = std::fs::File::open(dir.path()).expect("open");
            let mut tree =
                Tree::new(root.into(), Limits { size: 1 << 20, ..Limits::default() }).expect("a tree");
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::XGlobalHeader);
            header.set_size(record.len() as u64);
            builder.append_data(&mut header, "x", &record[..]).expect("append");
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(0);
            for number in 0..entries {
                builder.append_data(&mut header, number.to_string(), &[][..]).expect("append");
            }
            let archive = builder.into_inner().expect("an archive");
            tree.apply(&mut Reader::new(&archive[..]), &mut Layer::new(true, true))
        };
        apply(2).expect("less than a megabyte");
        let error = apply(3).expect_err("more than a megabyte").to_string();
        assert!(error.contains("--max-size"), "{error}");
    }

    #[test]
    fn parts_of_sparse_files_count_as_the_blocks_that_they_take() {
        let apply = |parts: usize| {
            let dir = tempfile::tempdir().expect("a directory");
            let root = std::fs::File::open(dir.path()).expect("open");
            let mut tree =
                Tree::new(root.into(), Limits { size: 1 << 20, ..Limits::default() }).expect("a tree");
            let archive = sparse(parts);
            tree.apply(&mut Reader::new(&archive[..]), &mut Layer::new(true, true))
        };
        apply(200).expect("less than a megabyte");
        let error = apply(300).expect_err("more than a megabyte").to_string();
        assert!(error.contains("more than 1.0 MiB") && error.contains("--max-size"), "{error}");
    }
}
