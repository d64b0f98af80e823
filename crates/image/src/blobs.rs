//! The source of blobs: either the directory of a layout or an archive.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use oci_spec::image::Descriptor;
use rootling_sys::file::OPEN_FLAGS;
use rootling_sys::mount::openat2;
use serde::de::DeserializeOwned;

use crate::archive::Archive;
use crate::digest::{Digest, Verified};
use crate::error::{Error, Result, Said, of_io};
use crate::limits::{MOST_DOCUMENT, read_bounded};

/// Nothing leads out of a layout.
const INSIDE: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// The files of a layout.
pub(crate) enum Blobs {
    /// A directory, opened with O_PATH.
    Directory(OwnedFd),
    /// A tar archive of a layout.
    Archive(Archive),
}

impl Blobs {
    /// The files in a directory.
    pub(crate) fn directory(path: &Path) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let open = File::options().read(true).custom_flags(flags.bits()).open(path);
        Ok(Self::Directory(open?.into()))
    }

    /// Opens a file of the layout, and returns its length. Whatever is there, no link is followed and nothing
    /// blocks.
    pub(crate) fn file(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64)> {
        let directory = match self {
            Self::Archive(archive) => {
                return archive.file(name).map(|(part, length)| (Box::new(part) as _, length));
            }
            Self::Directory(directory) => directory,
        };
        let fd = openat2(directory.as_fd(), Path::new(name), OPEN_FLAGS, INSIDE)
            .said(|| format!("{name:?} of the layout"))?;
        let file = File::from(fd);
        let found = file.metadata().said(|| name.to_owned())?;
        if !found.is_file() {
            return Err(Error::invalid(format!("{name:?} of the layout is not a regular file")));
        }
        Ok((Box::new(file), found.len()))
    }

    /// Whether the blob is there, whatever it is and whether or not it can be read.
    pub(crate) fn exists(&self, digest: &Digest) -> Result<bool> {
        self.has(&format!("blobs/{}", digest.path()))
    }

    /// Whether there is something of this name.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        let directory = match self {
            Self::Archive(archive) => return Ok(archive.file(name).is_ok()),
            Self::Directory(directory) => directory,
        };
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        match openat2(directory.as_fd(), Path::new(name), flags, INSIDE) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno).said(|| format!("{name:?} of the layout")),
        }
    }

    /// Opens a blob. Reading it fails at its end unless its contents match the descriptor.
    pub(crate) fn blob(&self, descriptor: &Descriptor) -> Result<Verified<Box<dyn Read + Send>>> {
        let digest = digest_of(descriptor)?;
        let (file, _) = self.file(&format!("blobs/{}", digest.path()))?;
        Ok(Verified::new(file, &digest, descriptor.size()))
    }

    /// The contents of a small blob.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size() > MOST_DOCUMENT {
            return Err(Error::invalid(format!(
                "blob {}: it is larger than a document may be, 4 MiB",
                descriptor.digest()
            )));
        }
        read_bounded(self.blob(descriptor)?, MOST_DOCUMENT, "a document").map_err(of_io)
    }

    /// The contents of a small file.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        read_bounded(self.file(name)?.0, MOST_DOCUMENT, name).map_err(of_io)
    }
}

/// The digest in a descriptor; its algorithm must be known.
pub(crate) fn digest_of(descriptor: &Descriptor) -> Result<Digest> {
    descriptor.digest().to_string().parse()
}

/// Parses a JSON document.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::invalid(format!("{what} cannot be read: {error}")))
}
