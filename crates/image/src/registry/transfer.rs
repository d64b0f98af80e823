//! Downloads a blob from a registry into a layout. It is resumed and retried, and the blob is either complete or
//! absent.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use oci_client::client::BlobResponse;
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::{Client, Reference};

use super::access::{said, said_of_blob};
use crate::digest::{Digest, Hasher, check};
use crate::error::{Error, Result, Said};
use crate::progress::{Progress, Show};

/// How often an interrupted transfer is tried, and the initial wait before the next attempt.
const ATTEMPTS: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Whether it may work a moment later, because the network or the server is at fault and not the request.
pub(crate) fn is_worth_another(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ServerError { code, .. } => *code >= 500 || *code == 429,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| error.code == OciErrorCode::Toomanyrequests)
        }
        OciDistributionError::IoError(_) => true,
        OciDistributionError::RequestError(error) => {
            // This includes what a server sends before it dies, but not an invalid certificate.
            error.is_timeout()
                || error.is_body()
                || error.is_decode()
                || (error.is_connect() || error.is_request()) && !is_about_tls(error)
        }
        _ => false,
    }
}

fn is_about_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.is::<rustls::Error>() || error.to_string().contains("certificate"))
}

/// Whether no server listens there. One that is being started anew is waited for only if it was there before.
fn is_refused(error: &OciDistributionError) -> bool {
    let causes =
        std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused)
}

/// Tries a few times until it works. Says so before it waits, if progress is shown.
pub(crate) async fn retried<T, F>(show: Show, what: &str, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, OciDistributionError>>,
{
    let mut wait = FIRST_WAIT;
    for number in 1.. {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if number < ATTEMPTS && is_worth_another(&error) && !is_refused(&error) => {
                show.note(&format!("{what}: {}; trying again", said(&error)));
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(error) => {
                let error = Error::system(said(&error)).wrap(what);
                return Err(if number > 1 { error.remedy(format!("tried {number} times")) } else { error });
            }
        }
    }
    Err(Error::system(what.to_owned()))
}

/// A blob to be downloaded.
pub(crate) struct Wanted<'a> {
    pub(crate) client: &'a Client,
    pub(crate) image: &'a Reference,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) progress: &'a Arc<Progress>,
}

/// The part of a blob that has arrived so far.
struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Wanted<'_> {
    /// Downloads the blob unless it is there already, and returns whether it did. What has arrived earlier is kept, and
    /// only the rest is requested.
    pub(crate) async fn fetch(&self, layout: &Path) -> Result<bool> {
        let path = layout.join("blobs").join(self.digest.path());
        if is_there(&path, &self.digest, self.size)? {
            self.progress.add(self.size);
            return Ok(false);
        }
        let mut part = Part::open(&path.with_extension("part"), &self.digest, self.size)?;
        let resumed = part.length > 0;
        self.progress.add(part.length);
        self.complete(&mut part).await?;
        if resumed && !part.is_right(&self.digest) {
            // What an earlier pull has left was not the beginning of it.
            part.restart(&self.digest)?;
            self.complete(&mut part).await?;
        }
        part.finish(&path, &self.digest)?;
        Ok(true)
    }

    /// Downloads what is missing of the blob.
    async fn complete(&self, part: &mut Part) -> Result<()> {
        let what = format!("blob {}", self.digest);
        // The counter is reset whenever something has arrived: only a server that sends nothing is given up on.
        let mut failures = 0;
        let mut wait = FIRST_WAIT;
        while part.length < self.size || self.size == 0 && failures == 0 {
            let before = part.length;
            match self.attempt(part).await {
                Ok(()) if part.length == self.size => break,
                Err(Failure::Final(error)) => return Err(error.wrap(what)),
                Err(Failure::Network(error)) if !is_worth_another(&error) => {
                    return Err(Error::system(said_of_blob(&error)).wrap(what));
                }
                Err(Failure::Network(error)) if failures + 1 >= ATTEMPTS => {
                    return Err(Error::system(said_of_blob(&error)).wrap(what).remedy(format!(
                        "the connection broke {ATTEMPTS} times without progress; pull again to resume"
                    )));
                }
                Ok(()) | Err(Failure::Network(_)) => failures += 1,
            }
            if part.length > before {
                (failures, wait) = (1, FIRST_WAIT);
            }
            if failures >= ATTEMPTS {
                return Err(Error::system(format!(
                    "{what}: the server closed the connection after {} of {} bytes",
                    part.length, self.size
                )));
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(8));
        }
        Ok(())
    }

    async fn attempt(&self, part: &mut Part) -> Result<(), Failure> {
        let digest = self.digest.to_string();
        let answer =
            self.client.pull_blob_stream_partial(self.image, digest.as_str(), part.length, None).await;
        let mut stream = match answer.map_err(Failure::Network)? {
            BlobResponse::Partial(stream) => stream.stream,
            BlobResponse::Full(stream) => {
                // The server does not support ranges.
                if part.length > 0 {
                    part.restart(&self.digest).map_err(Failure::Final)?;
                }
                stream.stream
            }
        };
        loop {
            match stream.try_next().await {
                Ok(Some(bytes)) => {
                    if part.length + bytes.len() as u64 > self.size {
                        part.discard();
                        return Err(Failure::Final(Error::invalid(format!(
                            "the registry sends more than the {} bytes that the manifest says",
                            self.size
                        ))));
                    }
                    part.add(&bytes).map_err(Failure::Final)?;
                    self.progress.add(bytes.len() as u64);
                }
                Ok(None) => return Ok(()),
                // The library's verification of the whole is repeated below on what was written.
                Err(_) if part.length == self.size => return Ok(()),
                Err(error) => return Err(Failure::Network(OciDistributionError::IoError(error))),
            }
        }
    }
}

enum Failure {
    Network(OciDistributionError),
    Final(Error),
}

/// Whether the blob is there and correct; a damaged one is downloaded again.
fn is_there(path: &Path, digest: &Digest, size: u64) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() == size => {
            let mut file = File::open(path).said(|| format!("{path:?}"))?;
            let (mut hasher, mut buffer) = (Hasher::like(digest), vec![0; 256 << 10]);
            loop {
                let length = file.read(&mut buffer).said(|| format!("{path:?}"))?;
                if length == 0 {
                    return Ok(hasher.finish() == *digest);
                }
                hasher.update(&buffer[..length]);
            }
        }
        _ => Ok(false),
    }
}

/// Removes what lies in the place of a file that is to be written and would lead elsewhere.
pub(crate) fn no_link(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        fs::remove_file(path).said(|| format!("{path:?}"))?;
    }
    Ok(())
}

impl Part {
    fn open(path: &Path, digest: &Digest, size: u64) -> Result<Self> {
        no_link(path)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
            .open(path)
            .said(|| format!("{path:?}"))?;
        let mut part = Self {
            path: path.to_owned(),
            file: file.try_clone().said(|| "dup")?,
            hasher: Hasher::like(digest),
            length: 0,
        };
        if file.metadata().said(|| format!("{path:?}"))?.len() > size {
            part.restart(digest)?;
        }
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = file.read(&mut buffer).said(|| format!("{path:?}"))?;
            if length == 0 {
                return Ok(part);
            }
            part.hasher.update(&buffer[..length]);
            part.length += length as u64;
        }
    }

    fn restart(&mut self, digest: &Digest) -> Result<()> {
        self.file.set_len(0).said(|| format!("{:?}", self.path))?;
        self.file.rewind().said(|| "seek")?;
        (self.hasher, self.length) = (Hasher::like(digest), 0);
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).said(|| format!("{:?}", self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Whether what has arrived is the blob.
    fn is_right(&self, wanted: &Digest) -> bool {
        self.hasher.clone().finish() == *wanted
    }

    fn finish(self, path: &Path, wanted: &Digest) -> Result<()> {
        if let Err(error) = check(wanted, &self.hasher.clone().finish()) {
            self.discard();
            return Err(error);
        }
        fs::rename(&self.path, path).said(|| format!("{path:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_part_is_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (outside, path) = (dir.path().join("outside"), dir.path().join("blob.part"));
        fs::write(&outside, "keep").expect("a file");
        std::os::unix::fs::symlink(&outside, &path).expect("a link");
        let mut part = Part::open(&path, &Digest::of(b"new"), 10).expect("a part");
        part.add(b"new").expect("write");
        assert_eq!(fs::read(&outside).expect("the file outside"), b"keep");
        assert_eq!(fs::read(&path).expect("the part"), b"new");
    }
}
