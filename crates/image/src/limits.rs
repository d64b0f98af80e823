//! Limits on what an image may cost, since its maker may want to fill the disk.

use std::io::{self, Read};

use crate::error::{Error, to_io};

/// The size limit in bytes of an index, a manifest or a configuration; registries allow 4 MiB.
pub(crate) const MOST_DOCUMENT: u64 = 4 << 20;

/// Limits for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all layers together, and the directories that are made for them without being entries.
    pub entries: u64,
    /// Bytes of all layers together, unpacked, and what their sparse files and attributes take of the disk.
    pub size: u64,
    /// The largest ratio of a layer's unpacked to its compressed size, which applies once it is larger than 256
    /// MiB.
    pub ratio: u64,
}

/// Up to this size, in bytes, any ratio is permitted.
pub(crate) const FREE: u64 = 256 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 1_000_000, size: 64 << 30, ratio: 200 }
    }
}

/// What one image has used of the limits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    entries: u64,
    /// Bytes of the disk that are not among those of the archives: what sparse files and attributes take.
    beside: u64,
}

impl Used {
    /// Whether there was no entry.
    pub(crate) fn is_nothing(self) -> bool {
        self.entries == 0
    }
}

/// What a part of a sparse file takes of the disk at least, in bytes.
const BLOCK: u64 = 4096;

impl Limits {
    /// Counts another entry.
    pub(crate) fn entry(&self, used: &mut Used) -> Result<(), Error> {
        self.more(used, 1)
    }

    /// Counts what was made for an entry, or the entry itself.
    pub(crate) fn more(&self, used: &mut Used, count: u64) -> Result<(), Error> {
        used.entries += count;
        if used.entries > self.entries {
            return Err(Error::invalid(format!(
                "the image has more than {} entries; if that is right, allow more with --max-entries",
                self.entries
            )));
        }
        Ok(())
    }

    /// Counts the parts of a sparse file, offset and length, as the blocks that they take: one for each byte, if these lie far
    /// from each other.
    pub(crate) fn parts(&self, used: &mut Used, map: &[(u64, u64)]) -> Result<(), Error> {
        let bytes = |(offset, length): &(u64, u64)| {
            let last = offset.saturating_add(length - 1);
            (last / BLOCK - offset / BLOCK + 1).saturating_mul(BLOCK)
        };
        let parts = map.iter().filter(|(_, length)| *length > 0);
        self.beside(used, parts.map(bytes).fold(0, u64::saturating_add))
    }

    /// Counts the extended attributes of an entry, which a global header gives to each.
    pub(crate) fn attributes(&self, used: &mut Used, all: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Error> {
        self.beside(used, all.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum())
    }

    fn beside(&self, used: &mut Used, bytes: u64) -> Result<(), Error> {
        used.beside = used.beside.saturating_add(bytes);
        if used.beside > self.size { Err(self.too_large()) } else { Ok(()) }
    }

    fn too_large(&self) -> Error {
        Error::invalid(format!(
            "the image has more than {} unpacked; if that is right, allow more with --max-size",
            size(self.size)
        ))
    }

    /// Checks the bytes that have come of all layers, and of one, of which so many were compressed.
    pub(crate) fn bytes(&self, all: u64, layer: u64, compressed: u64) -> Result<(), Error> {
        if all > self.size {
            return Err(self.too_large());
        }
        if layer > FREE && layer / compressed.max(1) >= self.ratio {
            return Err(Error::invalid(format!(
                "a layer is more than {} times as large as it was compressed; if that is right, allow more with --max-ratio",
                self.ratio
            )));
        }
        Ok(())
    }
}

/// Each directory on the way to a file is open.
pub(crate) fn raise_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // With a lower limit, a deep path results in an error that says so.
    let _ = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
}

/// Fails if few descriptors are left: with too few, what has been made could not be removed either.
pub(crate) fn check_descriptors() -> Result<(), Error> {
    const NEEDED: usize = 16;
    raise_descriptors();
    let pipes: io::Result<Vec<_>> = (0..NEEDED / 2).map(|_| io::pipe()).collect();
    pipes.map(drop).map_err(|error| {
        let error = Error::from(error).wrap("pipe");
        if error.is(nix::errno::Errno::EMFILE) {
            return error.remedy(format!(
                "{NEEDED} more files have to be open at the same time: allow more with `ulimit -n`"
            ));
        }
        error
    })
}

/// Formats a size for display.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = bytes.saturating_mul(10) / 1024;
    while tenths >= 10240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Reads at most `most` bytes from a source that states its own length.
pub(crate) fn read_bounded(source: impl Read, most: u64, what: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(to_io(Error::invalid(format!("{what} is larger than {}", size(most)))));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_what_is_allowed_at_most() {
        let limits = Limits { entries: 2, size: FREE * 2, ratio: 10 };
        let mut used = Used::default();
        assert!(limits.entry(&mut used).is_ok() && limits.entry(&mut used).is_ok());
        assert!(limits.entry(&mut used).expect_err("one too many").to_string().contains("--max-entries"));
        assert!(limits.bytes(FREE, FREE, 1).is_ok(), "a small layer of any ratio");
        assert!(limits.bytes(2 * FREE, FREE, FREE).is_ok());
        assert!(
            limits
                .bytes(2 * FREE + 1, FREE + 1, FREE)
                .expect_err("too large")
                .to_string()
                .contains("--max-size")
        );
        assert!(
            limits
                .bytes(FREE + 10, FREE + 10, FREE / 20)
                .expect_err("a bomb")
                .to_string()
                .contains("--max-ratio")
        );
    }

    #[test]
    fn sizes_are_shown_for_people() {
        for (bytes, text) in [(0, "0.0 KiB"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 40, "5.0 TiB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
