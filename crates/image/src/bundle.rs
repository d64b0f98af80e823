//! A bundle that exists either completely or not at all: it is made in a directory next to its final path, and
//! renamed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{RenameFlags, renameat2};
use nix::sys::signal::Signal;
use rootling_runtime::{HelperEnd, HelperIds, HelperProcess, Host};
use rootling_sys::poll::readable;
use rootling_sys::signals::Signals;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result, Said};
use crate::limits::check_descriptors;
use crate::tree::remove;

/// A bundle that is being made. If it is not put in its place, it must be removed with [`clear`].
pub struct Bundle {
    place: PathBuf,
    /// The directory next to it, which is locked while somebody works in it.
    staging: PathBuf,
    _lock: File,
    force: bool,
}

/// The part between a bundle's name and a number in the name of the directory that the bundle is made in.
const UNPACKING: &str = ".unpacking-";

impl Bundle {
    /// Starts a bundle at `place`. With `force`, an existing bundle is replaced.
    ///
    /// # Errors
    /// Something exists there already.
    pub fn begin(place: &Path, force: bool) -> Result<Self> {
        check_descriptors()?;
        let place = std::path::absolute(place).said(|| format!("{place:?}"))?;
        let name =
            place.file_name().ok_or_else(|| Error::invalid(format!("bundle {place:?}: it has no name")))?;
        check_place(&place, force)?;
        let parent = place.parent().unwrap_or(Path::new("/"));
        let prefix = prefix(name);
        for number in 0..10_000 {
            let staging = parent.join(format!("{prefix}{}-{number}", std::process::id()));
            // Other users of the host must not run set-user-id programs of an image.
            match fs::DirBuilder::new().mode(0o700).create(&staging) {
                Ok(()) => {
                    let locked = File::open(&staging).and_then(|lock| {
                        lock.try_lock()?;
                        Ok(lock)
                    });
                    let locked = locked.inspect_err(|_| drop(fs::remove_dir(&staging)));
                    let lock = locked.said(|| format!("{staging:?}"))?;
                    return Ok(Self { place, staging, _lock: lock, force });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::invalid(format!(
                        "bundle {place:?}: there is no directory {parent:?}; create it first"
                    )));
                }
                Err(error) => return Err(error).said(|| format!("{staging:?}")),
            }
        }
        Err(Error::system(format!("bundle {place:?}: no name is free for a directory beside it")))
    }

    /// The directories that earlier processes have left because they were killed before they could clean up.
    pub fn stale(&self) -> Vec<PathBuf> {
        let parent = self.place.parent().unwrap_or(Path::new("/"));
        let prefix = prefix(self.place.file_name().unwrap_or_default());
        let entries = rootling_sys::directory::entries(parent).unwrap_or_default();
        let ours = |entry: &rootling_sys::directory::Entry| {
            entry.is_directory && entry.name.to_string_lossy().starts_with(&prefix)
        };
        let paths = entries.iter().filter(|entry| ours(entry)).map(|entry| parent.join(&entry.name));
        let is_free = |path: &PathBuf| {
            let own =
                fs::symlink_metadata(path).is_ok_and(|found| found.uid() == nix::unistd::geteuid().as_raw());
            own && *path != self.staging && File::open(path).is_ok_and(|dir| dir.try_lock().is_ok())
        };
        paths.filter(is_free).collect()
    }

    /// The directory in which the bundle is made.
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// The final path of the bundle.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the bundle in its place. If a path is returned, the former bundle is there and must be removed.
    ///
    /// # Errors
    /// Something has appeared there meanwhile.
    pub fn commit(&self) -> Result<Option<PathBuf>> {
        check_place(&self.place, self.force)?;
        let rename = |flags| renameat2(None, &self.staging, None, &self.place, flags);
        let error = match rename(RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => return Ok(None),
            Err(Errno::EEXIST) => match rename(RenameFlags::RENAME_EXCHANGE) {
                Ok(()) => return Ok(Some(self.staging.clone())),
                Err(error) => error,
            },
            // Not every file system supports the flags; the plain call itself replaces an empty directory.
            Err(Errno::EINVAL) => match rename(RenameFlags::empty()) {
                Ok(()) => return Ok(None),
                Err(error) => error,
            },
            Err(error) => error,
        };
        Err(error).said(|| format!("rename to {:?}", self.place))
    }
}

/// The first part of the name of a directory in which a bundle is made. A long name is cut, since no name of a file may
/// have more than 255 bytes.
fn prefix(name: &OsStr) -> String {
    const MOST: usize = 200;
    let name = name.to_string_lossy();
    let end =
        name.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|end| *end <= MOST).last();
    format!(".{}{UNPACKING}", &name[..end.unwrap_or(0)])
}

/// Removes a directory in which nothing has been made except these empty ones. This takes no descriptor and no process, of
/// which there may be none: that may be why nothing has been made. Returns whether it is gone.
pub fn remove_empty(path: &Path, below: &[&str]) -> bool {
    for name in below {
        let _ = fs::remove_dir(path.join(name));
    }
    fs::remove_dir(path).is_ok()
}

/// Removes a directory of a bundle, with the ids that own its files.
///
/// # Errors
/// Something cannot be removed.
pub fn clear(host: &Host, ids: &HelperIds, signals: &Signals, path: &Path) -> Result<()> {
    let path = path.to_owned();
    // This is not interrupted, since a directory that is removed by half would be left over.
    run(host, ids, signals, false, move || remove(&path))
}

/// Fails if there is something that may not be replaced.
fn check_place(place: &Path, force: bool) -> Result<()> {
    let found = match fs::symlink_metadata(place) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).said(|| format!("bundle {place:?}")),
    };
    if !found.is_dir() {
        return Err(Error::invalid(format!(
            "bundle {place:?}: this is not a directory; remove it, or name another"
        )));
    }
    let entries = rootling_sys::directory::entries(place).said(|| format!("bundle {place:?}"))?;
    if entries.is_empty() {
        return Ok(());
    }
    let is_bundle = entries.iter().any(|entry| entry.name == "config.json");
    match (force, is_bundle) {
        (true, true) => Ok(()),
        (false, true) => Err(Error::invalid(format!(
            "bundle {place:?}: there is one already; replace it with --force, or name another"
        ))),
        (_, false) => Err(Error::invalid(format!(
            "bundle {place:?}: the directory is neither empty nor a bundle, because it has no config.json; name another"
        ))),
    }
}

/// Runs some work in a process with these ids, and returns its result. A signal that asks the caller to end kills
/// that process at once; what it has made must be removed then.
///
/// # Errors
/// The error of the work, or that it was interrupted.
pub fn supervise<T: Serialize + DeserializeOwned>(
    host: &Host,
    ids: &HelperIds,
    signals: &Signals,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    run(host, ids, signals, true, work)
}

fn run<T: Serialize + DeserializeOwned>(
    host: &Host,
    ids: &HelperIds,
    signals: &Signals,
    may_be_interrupted: bool,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let (mut report, to) = std::io::pipe().said(|| "pipe")?;
    let process = HelperProcess::start(host, ids, || {
        // It begins with the default actions of all signals.
        rootling_sys::process::ignore_file_size_signal();
        if !may_be_interrupted {
            // The signals of a terminal reach this process as well.
            let _ = Signals::block_for_good();
        }
        let result = serde_json::to_vec(&work()).unwrap_or_default();
        // If this fails, nobody is left to read the result.
        let _ = (&to).write_all(&result);
        0
    })?;
    drop(to);
    let mut said = Vec::new();
    let mut open = true;
    loop {
        let fds = [open.then(|| report.as_fd()), Some(signals.as_fd()), Some(process.as_fd())];
        let [has_said, signal, ended] = readable(fds, None).said(|| "poll")?;
        if has_said {
            let mut buffer = [0; 4096];
            let length = report.read(&mut buffer).said(|| "read")?;
            said.extend_from_slice(&buffer[..length]);
            open = length > 0;
            continue;
        }
        if signal
            && let Some(number) = end_of(signals)?
            && may_be_interrupted
        {
            process.kill();
            process.wait()?;
            return Err(interrupted(number));
        }
        if ended {
            break;
        }
    }
    match process.wait()? {
        HelperEnd::Code(_) if !said.is_empty() => {
            let result: Result<T, Error> = serde_json::from_slice(&said)
                .map_err(|error| Error::system(format!("the report of a helper process: {error}")))?;
            result
        }
        HelperEnd::Signal(number) if Signals::is_end(number) => Err(interrupted(number)),
        HelperEnd::Signal(number) => Err(Error::system(format!(
            "the process that unpacks was killed by signal {number}{}",
            if number == Signal::SIGKILL as i32 { ": perhaps because memory ran out" } else { "" }
        ))),
        HelperEnd::Code(code) => Err(Error::system(format!(
            "the process that unpacks ended with {code} and without an error message"
        ))),
    }
}

fn end_of(signals: &Signals) -> Result<Option<i32>> {
    while let Some((number, _)) = signals.next().said(|| "signalfd")? {
        if Signals::is_end(number) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn interrupted(signal: i32) -> Error {
    if std::io::stderr().is_terminal() {
        // Erases the progress bar of a process that could not erase it itself.
        eprint!("\r\x1b[K");
    }
    Error::new(
        ErrorKind::Interrupted(signal),
        format!("interrupted by signal {signal}; nothing is left of it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bundle_is_replaced_and_only_by_force() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("b");
        assert!(check_place(&place, false).is_ok());
        fs::create_dir(&place).expect("a directory");
        assert!(check_place(&place, false).is_ok(), "an empty one");
        fs::write(place.join("precious"), "").expect("a file");
        assert!(check_place(&place, true).expect_err("no bundle").to_string().contains("nor a bundle"));
        fs::write(place.join("config.json"), "").expect("a file");
        assert!(check_place(&place, true).is_ok());
        assert!(check_place(&place, false).expect_err("there").to_string().contains("--force"));
        assert!(
            check_place(&place.join("precious"), true)
                .expect_err("a file")
                .to_string()
                .contains("not a directory")
        );
    }

    #[test]
    fn what_a_killed_process_has_left_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Bundle::begin(&dir.path().join("b"), false).expect("a bundle");
        let second = Bundle::begin(&dir.path().join("b"), false).expect("a bundle");
        assert!(second.stale().is_empty(), "somebody works there");
        let left = first.staging().to_owned();
        drop(first);
        assert_eq!(second.stale(), [left]);
    }
}
