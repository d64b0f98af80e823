//! Digests of blobs, image-spec descriptor.md: they ensure that what was read is what was asked for.

use std::fmt::{self, Write as _};
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

use crate::error::{Error, to_io};

/// A digest, by an algorithm that the specification registers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: &'static str,
    hex: String,
}

impl Digest {
    /// The path below `blobs` in a layout.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.algorithm, self.hex)
    }

    /// The first digits, for display.
    pub fn short(&self) -> &str {
        &self.hex[..12]
    }

    /// The SHA-256 digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::Sha256(Sha256::new());
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |problem: &str| {
            Error::invalid(format!(
                "digest {text:?}: {problem}; it has to be sha256: or sha512: with its hexadecimal digits"
            ))
        };
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| wrong("has no algorithm"))?;
        let (algorithm, length) = match algorithm {
            "sha256" => ("sha256", 64),
            "sha512" => ("sha512", 128),
            _ => return Err(wrong("is of an unknown algorithm")),
        };
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != length || !hex.bytes().all(digit) {
            return Err(wrong("has the wrong number of digits for its algorithm"));
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

/// Computes a digest.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts a digest with the same algorithm as another.
    pub(crate) fn like(digest: &Digest) -> Self {
        if digest.algorithm == "sha512" { Self::Sha512(Sha512::new()) } else { Self::Sha256(Sha256::new()) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        match self {
            Self::Sha256(hasher) => Digest { algorithm: "sha256", hex: hex(&hasher.finalize()) },
            Self::Sha512(hasher) => Digest { algorithm: "sha512", hex: hex(&hasher.finalize()) },
        }
    }
}

/// A reader that fails at its end unless it has read exactly what the digest and the size say.
pub(crate) struct Verified<R> {
    source: R,
    hasher: Option<Hasher>,
    wanted: Digest,
    size: u64,
    seen: u64,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(source: R, wanted: &Digest, size: u64) -> Self {
        Self { source, hasher: Some(Hasher::like(wanted)), wanted: wanted.clone(), size, seen: 0 }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.seen += length as u64;
        if self.seen > self.size {
            return Err(to_io(wrong_size(&self.wanted, self.size, "more")));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..length]);
        }
        if length == 0 && !buffer.is_empty() {
            if self.seen < self.size {
                return Err(to_io(wrong_size(&self.wanted, self.size, &self.seen.to_string())));
            }
            if let Some(found) = self.hasher.take().map(Hasher::finish) {
                check(&self.wanted, &found).map_err(to_io)?;
            }
        }
        Ok(length)
    }
}

fn wrong_size(wanted: &Digest, size: u64, found: &str) -> Error {
    Error::invalid(format!(
        "blob {wanted}: it has {found} bytes, and {size} by its descriptor: the image is damaged; get it again"
    ))
}

/// Fails if the contents do not have the expected digest.
pub(crate) fn check(wanted: &Digest, found: &Digest) -> Result<(), Error> {
    if wanted == found {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "blob {wanted}: its content has the digest {found}: the image is damaged or was changed; get it again"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn content_is_what_its_digest_says() {
        let wanted: Digest = ABC.parse().expect("a digest");
        assert_eq!(Digest::of(b"abc"), wanted);
        let read = |bytes: &[u8], size| {
            let mut all = Vec::new();
            let read = Verified::new(bytes, &wanted, size).read_to_end(&mut all);
            read.map_err(|error| error.to_string())
        };
        assert_eq!(read(b"abc", 3), Ok(3));
        for (bytes, size, words) in
            [(&b"abd"[..], 3, "has the digest"), (b"abcd", 3, "more bytes"), (b"ab", 3, "has 2 bytes")]
        {
            assert!(read(bytes, size).expect_err("an error").contains(words));
        }
    }

    #[test]
    fn another_form_is_refused() {
        for text in [
            "",
            "sha256",
            "md5:00",
            "sha256:00",
            &ABC.to_uppercase(),
            "sha256:../../../../../../../../../../../../../../etc/passwdxxxxxxxxxxxx",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
