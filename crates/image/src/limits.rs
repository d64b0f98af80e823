//! Limits on what an image may cost, since its maker may want to fill the disk.

use std::io::{self, Read};

use crate::error::{Error, to_io};

/// Limits for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of entries in all layers together.
    pub entries: u64,
    /// The size of all layers together when unpacked, in bytes.
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
}

impl Limits {
    /// Counts another entry.
    pub(crate) fn entry(&self, used: &mut Used) -> Result<(), Error> {
        used.entries += 1;
        if used.entries > self.entries {
            return Err(Error::invalid(format!(
                "the image has more than {} entries; if that is right, allow more with --max-entries",
                self.entries
            )));
        }
        Ok(())
    }

    /// Checks the number of bytes from all layers, and from one layer with this many compressed bytes.
    pub(crate) fn bytes(&self, all: u64, layer: u64, compressed: u64) -> Result<(), Error> {
        if all > self.size {
            return Err(Error::invalid(format!(
                "the image has more than {} unpacked; if that is right, allow more with --max-size",
                size(self.size)
            )));
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
