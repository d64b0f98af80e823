//! Archives of images, as written by `docker save`, `podman save`, `skopeo copy` and `buildah push`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result, Said, of_io, to_io};
use crate::limits::{Limits, MOST_DOCUMENT, read_bounded};
use crate::stream::{damaged, decompressed, is_compressed};
use crate::tar;

/// No archive of an image has more entries than this, since it has only a few for each layer.
const MOST_ENTRIES: usize = 100_000;

/// Nor a name that is longer, in bytes: that of a blob has a digest in it. Names are kept as long as the archive is open.
const LONGEST_NAME: usize = 512;

/// What an archive has inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An OCI layout.
    Oci,
    /// An image in Docker's format, with `manifest.json`.
    Docker,
    /// Something else, which is taken for a root file system.
    Other,
}

/// Determines the kind of an archive: of a plain one from all its files, of a compressed one from its first names, reading on
/// while they could be those of an image. docker 25 and newer write both kinds in one archive; the OCI layout, which has the
/// digests, is preferred then.
///
/// # Errors
/// The archive cannot be read, or does not show its kind within the usual limits.
pub(crate) fn kind(path: &Path) -> io::Result<Kind> {
    let file = open(path)?;
    let mut begin = [0; 8];
    let length = file.read_at(&mut begin, 0)?;
    if !is_compressed(&begin[..length]) {
        return kind_of_plain(file).map_err(to_io);
    }
    let mut reader = tar::Reader::new(Bounded::new(&file, Limits::default(), |_| {
        Error::invalid(
            "is larger than images usually are, and what was read does not show its kind: name it as oci-archive:, docker-archive: or rootfs:",
        )
    })?);
    let (mut seen_manifest, mut seen_file) = (false, false);
    loop {
        let Some(entry) = reader.next().map_err(to_io)? else {
            return match (seen_manifest, seen_file) {
                (true, _) => Ok(Kind::Docker),
                (false, false) => Ok(Kind::Other),
                (false, true) => Err(to_io(without_order())),
            };
        };
        let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        match name {
            b"oci-layout" => return Ok(Kind::Oci),
            b"manifest.json" => seen_manifest = true,
            // Both have directories, and only what is in them tells.
            _ if entry.kind == tar::Kind::Directory && is_alone(name) => {}
            _ if is_of_an_image(name) => seen_file = true,
            _ => return Ok(Kind::Other),
        }
    }
}

fn without_order() -> Error {
    Error::invalid(
        "has the files of an image, but neither oci-layout nor manifest.json, so its layers have no order: save the image again with a newer program, or name it as rootfs: if it is a root file system",
    )
}

fn kind_of_plain(file: File) -> Result<Kind> {
    let walked = file.try_clone().said(|| "dup")?;
    let Some((files, links)) = walk(walked)? else { return Ok(Kind::Other) };
    let archive = Archive { file: Arc::new(file), files, links };
    if archive.files.contains_key(&b"oci-layout"[..]) {
        return Ok(Kind::Oci);
    }
    if archive.files.contains_key(&b"manifest.json"[..]) {
        let text = archive.read("manifest.json", MOST_DOCUMENT).unwrap_or_default();
        let is_of_save = is_manifest(&text, |name| archive.file(name).is_ok());
        return Ok(if is_of_save { Kind::Docker } else { Kind::Other });
    }
    let mut names = archive.files.keys().chain(archive.links.keys());
    if !archive.files.is_empty() && names.all(|name| is_of_an_image(name)) {
        return Err(without_order());
    }
    Ok(Kind::Other)
}

/// Whether this is what `docker save` writes into manifest.json, of files that there are.
pub(crate) fn is_manifest(text: &[u8], is_there: impl Fn(&str) -> bool) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Image {
        config: String,
        layers: Vec<String>,
    }
    let images: Vec<Image> = serde_json::from_slice(text).unwrap_or_default();
    let files = |image: &Image| is_there(&image.config) && image.layers.iter().all(|name| is_there(name));
    !images.is_empty() && images.iter().all(files)
}

/// Whether this is the name of a directory that is in no other one.
fn is_alone(name: &[u8]) -> bool {
    !name.strip_suffix(b"/").unwrap_or(name).contains(&b'/')
}

/// Whether a file of this name may belong to an image: a blob, or what `docker save` writes, where programs call layers as
/// they like.
fn is_of_an_image(name: &[u8]) -> bool {
    let mut parts = name.splitn(2, |byte| *byte == b'/');
    let (first, rest) = (parts.next().unwrap_or_default(), parts.next());
    let stem = first.split(|byte| *byte == b'.').next().unwrap_or_default();
    let stem = stem.strip_prefix(b"sha256:").unwrap_or(stem);
    let is_digest = stem.len() == 64 && stem.iter().all(u8::is_ascii_hexdigit);
    let of_save = match rest {
        None => {
            let endings: [&[u8]; 5] = [b".tar", b".gz", b".tgz", b".zst", b".json"];
            first == b"repositories" || endings.iter().any(|ending| first.ends_with(ending))
        }
        Some(rest) => matches!(rest, b"layer.tar" | b"json" | b"VERSION"),
    };
    first == b"blobs" || is_digest || of_save
}

/// Opens a regular file for reading, and nothing that could block the reader.
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().read(true).custom_flags(rootling_sys::file::OPEN_FLAGS.bits()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(to_io(Error::invalid("is not a regular file")))
}

/// An archive whose files can be read in any order.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    file: Arc<File>,
    /// The offset and the length of each file.
    files: HashMap<Vec<u8>, (u64, u64)>,
    /// Links in older archives, from a layer to an identical one.
    links: HashMap<Vec<u8>, Vec<u8>>,
}

impl Archive {
    /// Opens an archive. A compressed one is decompressed into `scratch`, a directory that is removed later.
    pub(crate) fn open(path: &Path, scratch: &Path, limits: &Limits) -> Result<Self> {
        let mut file = open(path).said(|| format!("{path:?}"))?;
        let mut begin = [0; 8];
        let length = file.read_at(&mut begin, 0).said(|| format!("{path:?}"))?;
        if is_compressed(&begin[..length]) {
            file = whole(&file, scratch, limits).said(|| format!("{path:?}"))?;
        }
        let copy = file.try_clone().said(|| "dup")?;
        Self::index(copy, file).map_err(|error| error.wrap(format!("{path:?}")))
    }

    fn index(walked: File, file: File) -> Result<Self> {
        let Some((files, links)) = walk(walked)? else {
            return Err(Error::invalid("has more entries than an archive of images can have"));
        };
        Ok(Self { file: Arc::new(file), files, links })
    }

    /// Opens a file of the archive; also returns its length.
    pub(crate) fn file(&self, name: &str) -> Result<(Part, u64)> {
        let wanted = name.strip_prefix("./").unwrap_or(name).as_bytes();
        let found = self.files.get(wanted).or_else(|| self.files.get(self.links.get(wanted)?));
        let (at, length) = *found.ok_or_else(|| {
            Error::invalid(format!(
                "the archive has no file {name:?}: it is not complete, or no archive of an image"
            ))
        })?;
        Ok((Part { file: Arc::clone(&self.file), at, left: length }, length))
    }

    /// The contents of a small file.
    pub(crate) fn read(&self, name: &str, most: u64) -> Result<Vec<u8>> {
        read_bounded(self.file(name)?.0, most, name).map_err(of_io)
    }
}

/// The offset and the length of each file, and the links; nothing if there are more than an image has.
type Walked = Option<(HashMap<Vec<u8>, (u64, u64)>, HashMap<Vec<u8>, Vec<u8>>)>;

fn walk(mut file: File) -> Result<Walked> {
    // It may have been written or read before.
    file.rewind().said(|| "lseek")?;
    let mut reader = tar::Reader::seeking(file);
    let (mut files, mut links) = (HashMap::new(), HashMap::new());
    while let Some(entry) = reader.next()? {
        if entry.name.len().max(entry.target.len()) > LONGEST_NAME {
            continue;
        }
        let plain = |path: &[u8]| path.strip_prefix(b"./").unwrap_or(path).to_vec();
        let name = plain(&entry.name);
        match entry.kind {
            tar::Kind::File if entry.sparse.is_none() => {
                let _ = files.insert(name, (reader.position()?, entry.size));
            }
            tar::Kind::SymbolicLink | tar::Kind::HardLink => {
                let target = if entry.kind == tar::Kind::HardLink {
                    plain(&entry.target)
                } else {
                    joined(&name, &entry.target)
                };
                links.insert(name, target);
            }
            _ => {}
        }
        if files.len() + links.len() > MOST_ENTRIES {
            return Ok(None);
        }
    }
    Ok(Some((files, links)))
}

/// The target of a link, as a name in the archive.
fn joined(link: &[u8], target: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = link.split(|byte| *byte == b'/').collect();
    names.pop();
    for name in target.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            other => names.push(other),
        }
    }
    names.join(&b'/')
}

/// Decompresses the archive into an unnamed file.
fn whole(file: &File, scratch: &Path, limits: &Limits) -> io::Result<File> {
    let mut to = tempfile::tempfile_in(scratch)?;
    io::copy(&mut Bounded::new(file, *limits, |exceeded| exceeded)?, &mut to)?;
    Ok(to)
}

/// An archive that is decompressed while it is read, up to a limit.
struct Bounded<'a> {
    from: Box<dyn Read + 'a>,
    limits: Limits,
    /// The number of bytes before and after decompression.
    compressed: u64,
    size: u64,
    /// Makes the error from that of the limit.
    exceeded: fn(Error) -> Error,
}

impl<'a> Bounded<'a> {
    fn new(file: &'a File, limits: Limits, exceeded: fn(Error) -> Error) -> io::Result<Self> {
        let compressed = file.metadata()?.len();
        Ok(Self { from: decompressed(file)?, limits, compressed, size: 0, exceeded })
    }
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer).map_err(damaged)?;
        self.size += length as u64;
        let within = self.limits.bytes(self.size, self.size, self.compressed);
        within.map_err(|error| to_io((self.exceeded)(error)))?;
        Ok(length)
    }
}

/// A part of a file, read without moving its offset.
#[derive(Debug)]
pub(crate) struct Part {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut builder = ::tar::Builder::new(file.reopen().expect("a file"));
        let first = names.first().copied().unwrap_or_default();
        let content = |name: &str| match name {
            "manifest.json" => format!(r#"[{{"Config": "{first}", "Layers": ["./{first}"]}}]"#),
            name => name.to_owned(),
        };
        for name in names {
            let mut header = ::tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(content(name).len() as u64);
            builder.append_data(&mut header, name, content(name).as_bytes()).expect("append");
        }
        builder.finish().expect("an archive");
        file
    }

    #[test]
    fn an_archive_is_recognised_by_its_names() {
        let hex = "0".repeat(64);
        let blob = format!("blobs/sha256/{hex}");
        for (names, wanted) in [
            (vec![blob.as_str(), "index.json", "manifest.json", "oci-layout"], Kind::Oci),
            (vec![&hex, "manifest.json", "repositories"], Kind::Docker),
            (vec!["x/VERSION", "x/json", "x/layer.tar", "config.json", "manifest.json"], Kind::Docker),
            (vec!["layer 1", "config", "manifest.json"], Kind::Docker),
            (vec!["bin/sh", "etc/manifest.json"], Kind::Other),
            (vec![], Kind::Other),
        ] {
            assert_eq!(kind(archive(&names).path()).expect("a kind"), wanted, "{names:?}");
        }
        let old = format!("{hex}/layer.tar");
        let error = kind(archive(&[&old, "repositories"]).path()).expect_err("no manifest").to_string();
        assert!(error.contains("neither oci-layout nor manifest.json"), "{error}");
    }

    #[test]
    fn an_archive_that_grows_without_showing_its_kind_is_not_read_on() {
        let path = tempfile::NamedTempFile::new().expect("a file");
        let mut header = ::tar::Header::new_ustar();
        header.set_size(1 << 40);
        header.set_path(format!("blobs/sha256/{}", "0".repeat(64))).expect("a name");
        header.set_cksum();
        let mut encoder = zstd::Encoder::new(path.reopen().expect("a file"), 1).expect("an encoder");
        io::Write::write_all(&mut encoder, header.as_bytes()).expect("write");
        io::copy(&mut io::repeat(0).take(crate::limits::FREE * 2), &mut encoder).expect("write");
        encoder.finish().expect("write");
        let error = kind(path.path()).expect_err("too large").to_string();
        assert!(error.contains("name it as oci-archive:"), "{error}");
    }

    #[test]
    fn names_that_no_image_has_are_not_kept() {
        let file = archive(&["a"]);
        let mut builder = ::tar::Builder::new(file.reopen().expect("a file"));
        let (long, mut header) = ("n".repeat(5000), ::tar::Header::new_gnu());
        header.set_size(0);
        builder.append_data(&mut header.clone(), &long, &[][..]).expect("append");
        header.set_entry_type(::tar::EntryType::Symlink);
        builder.append_link(&mut header, "link", &long).expect("append");
        builder.finish().expect("an archive");
        let scratch = tempfile::tempdir().expect("a directory");
        let archive = Archive::open(file.path(), scratch.path(), &Limits::default()).expect("an archive");
        assert!(archive.files.is_empty() && archive.links.is_empty(), "{archive:?}");
    }

    #[test]
    fn a_compressed_archive_is_opened_whatever_lies_in_the_scratch_directory() {
        let scratch = tempfile::tempdir().expect("a directory");
        let plain = std::fs::read(archive(&["a"]).path()).expect("an archive");
        let path = scratch.path().join("archive");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, &plain).expect("compress");
        std::fs::write(&path, encoder.finish().expect("compress")).expect("write");
        let archive = Archive::open(&path, scratch.path(), &Limits::default()).expect("an archive");
        assert_eq!(archive.read("a", 100).expect("content"), b"a");
        let left = rootling_sys::directory::entries(scratch.path()).expect("a list");
        assert_eq!(left.len(), 1, "the file has no name");
    }

    #[test]
    fn a_hard_link_leads_to_the_same_name_with_and_without_a_dot() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut builder = ::tar::Builder::new(file.reopen().expect("a file"));
        let mut header = ::tar::Header::new_ustar();
        header.set_size(1);
        builder.append_data(&mut header, "a/layer.tar", &b"a"[..]).expect("append");
        // The crate leaves out the dot of a name, but not of what a link leads to.
        for (name, target) in [("b/layer.tar", "./a/layer.tar"), ("c/layer.tar", "a/layer.tar")] {
            let mut header = ::tar::Header::new_ustar();
            header.set_entry_type(::tar::EntryType::Link);
            header.set_size(0);
            header.set_link_name_literal(target).expect("a link");
            builder.append_data(&mut header, name, &[][..]).expect("append");
        }
        builder.finish().expect("an archive");
        let scratch = tempfile::tempdir().expect("a directory");
        let archive = Archive::open(file.path(), scratch.path(), &Limits::default()).expect("an archive");
        for name in ["a/layer.tar", "b/layer.tar", "c/layer.tar"] {
            assert_eq!(archive.read(name, 10).expect("content"), b"a", "{name}");
        }
    }

    #[test]
    fn files_are_read_in_any_order_and_links_lead_to_others() {
        let file = archive(&["a/layer.tar", "b/layer.tar"]);
        let scratch = tempfile::tempdir().expect("a directory");
        let mut archive = Archive::open(file.path(), scratch.path(), &Limits::default()).expect("an archive");
        archive.links.insert(b"c/layer.tar".to_vec(), joined(b"c/layer.tar", b"../a/layer.tar"));
        for (name, content) in [("b/layer.tar", "b/layer.tar"), ("c/layer.tar", "a/layer.tar")] {
            assert_eq!(archive.read(name, 100).expect("content"), content.as_bytes());
        }
        assert!(archive.read("d", 100).expect_err("none").to_string().contains("no file \"d\""));
        assert!(archive.read("a/layer.tar", 3).is_err());
    }
}
