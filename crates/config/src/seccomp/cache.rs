//! Compiled profiles, kept between runs.
//!
//! A program from the cache is loaded without being examined, so the cache is trusted only if nobody else can have
//! written it: the directory and the file are the caller's own, not writable by group or others, and neither is a
//! symbolic link. All access goes through the directory's descriptor, so what was checked is what is used. The file
//! repeats everything that the program depends on, and a checksum detects files that were cut short. If anything is
//! wrong, the profile is compiled instead: the cache can make a start faster, and do nothing else.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use oci_spec::runtime::LinuxSeccomp;
use rootling_sys::directory::entries_of;
use rootling_sys::fds::adopt;

use super::bpf;
use super::compile::{Program, compile};
use super::key;
use super::profile::{self, SeccompError};

/// How a file begins.
const MAGIC: [u8; 8] = *b"rootlsec";

/// The magic number, the checksum, the flags, `notify`, and the lengths of key and program.
const HEADER: usize = 8 + 8 + 4 * 4;

/// None of our files is larger: 4096 instructions and a profile of some hundred kilobytes.
const MAX_FILE: u64 = 1 << 20;

/// How many files are kept. A host has few profiles, but some tools make one for each container.
const MAX_ENTRIES: usize = 64;

/// The suffix of the names of cached files.
const SUFFIX: &str = ".bpf";

/// The compiled profile, from the cache in `dir` or, failing that, compiled now and stored there.
///
/// `dir` is created with mode 0700 when it is missing. A cache that cannot be used or trusted is no
/// error. `None` as in [`compile`].
///
/// # Errors
/// [`SeccompError`], as for [`compile`].
pub fn load_or_compile(dir: &Path, seccomp: &LinuxSeccomp) -> Result<Option<Program>, SeccompError> {
    // These checks depend on more than the program does, so they come before the cache.
    profile::check(seccomp)?;
    if profile::is_off(seccomp) {
        return Ok(None);
    }
    let profile_key = key::profile(seccomp);
    let name = format!("{:016x}{SUFFIX}", key::hash(&profile_key));
    let mut key = key::machine();
    key.extend(profile_key);

    let directory = open_dir(dir);
    if let Some(program) = directory.as_ref().ok().and_then(|directory| load(directory, &name, &key)) {
        return Ok(Some(program));
    }
    let program = compile(seccomp)?;
    if let Some(program) = &program {
        let directory = directory.or_else(|error| create_dir(dir, error));
        if let Err(error) = directory.and_then(|directory| store(&directory, &name, &key, program)) {
            tracing::debug!("seccomp cache {}: {error}", dir.display());
        }
    }
    Ok(program)
}

/// Opens the directory if it can be trusted.
fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = nix::fcntl::open(dir, flags, Mode::empty()).map(adopt)?;
    trusted(&directory, SFlag::S_IFDIR)?;
    Ok(directory)
}

/// Makes the directory if nothing was wrong except that it was missing.
fn create_dir(dir: &Path, error: io::Error) -> io::Result<OwnedFd> {
    if error.kind() != io::ErrorKind::NotFound {
        return Err(error);
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    open_dir(dir)
}

/// Checks that it is owned by the caller, not writable by anybody else, and of the expected type. Returns the size.
fn trusted(fd: &OwnedFd, kind: SFlag) -> io::Result<u64> {
    let stat = fstat(fd.as_raw_fd())?;
    let writable_by_others = stat.st_mode & 0o022 != 0;
    let own = stat.st_uid == geteuid().as_raw();
    if rootling_sys::file::kind(stat.st_mode) != kind || !own || writable_by_others {
        return Err(io::Error::other("not the caller's alone"));
    }
    Ok(stat.st_size as u64)
}

fn load(directory: &OwnedFd, name: &str, key: &[u8]) -> Option<Program> {
    let file = open(directory, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK).ok()?;
    let size = trusted(&file, SFlag::S_IFREG).ok().filter(|size| *size <= MAX_FILE)?;
    let mut bytes = Vec::with_capacity(size as usize + 1);
    File::from(file).take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    decode(&bytes, key)
}

fn open(directory: &OwnedFd, name: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(Some(directory.as_raw_fd()), name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(adopt)
}

fn remove(directory: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    unlinkat(Some(directory.as_raw_fd()), name, UnlinkatFlags::NoRemoveDir)
}

/// The contents of a file: header, key, program.
fn encode(key: &[u8], program: &Program) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEADER + key.len() + program.bpf.len());
    let lengths = [key.len() as u32, program.bpf.len() as u32];
    for number in [program.flags, u32::from(program.notify)].into_iter().chain(lengths) {
        body.extend(number.to_le_bytes());
    }
    body.extend(key);
    body.extend(&program.bpf);
    [&MAGIC[..], &key::hash(&body).to_le_bytes(), &body].concat()
}

/// The reverse of [`encode`]; `None` unless every byte is as expected.
fn decode(bytes: &[u8], key: &[u8]) -> Option<Program> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (checksum, body) = rest.split_first_chunk::<8>()?;
    if *magic != MAGIC || u64::from_le_bytes(*checksum) != key::hash(body) {
        return None;
    }
    let (numbers, rest) = body.split_first_chunk::<16>()?;
    let number = |index: usize| u32::from_le_bytes(std::array::from_fn(|byte| numbers[index * 4 + byte]));
    let (key_length, bpf_length) = (number(2) as usize, number(3) as usize);
    let (stored_key, bpf) = rest.split_at_checked(key_length)?;
    let whole = bpf.len() == bpf_length && bpf_length > 0 && bpf_length % bpf::SIZE == 0;
    (stored_key == key && whole && bpf_length / bpf::SIZE <= bpf::MAX).then(|| Program {
        bpf: bpf.to_vec(),
        flags: number(0),
        notify: number(1) != 0,
    })
}

/// Writes a temporary file and renames it, so that a reader sees either a whole file or none.
fn store(directory: &OwnedFd, name: &str, key: &[u8], program: &Program) -> io::Result<()> {
    make_room(directory)?;
    let temporary = format!(".{name}.{}", std::process::id());
    let file = open(directory, &temporary, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)?;
    let at = Some(directory.as_raw_fd());
    let written = File::from(file)
        .write_all(&encode(key, program))
        .and_then(|()| Ok(renameat(at, temporary.as_str(), at, name)?));
    if written.is_err() {
        let _ = remove(directory, OsStr::new(&temporary));
    }
    written
}

/// Removes the oldest files if there are too many, including temporary ones of runs that died.
fn make_room(directory: &OwnedFd) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in entries_of(directory.as_fd())? {
        if entry.name.as_encoded_bytes().windows(SUFFIX.len()).any(|part| part == SUFFIX.as_bytes()) {
            let at = Some(directory.as_raw_fd());
            let stat = fstatat(at, entry.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            entries.push((stat.st_mtime, entry.name));
        }
    }
    entries.sort_unstable();
    let surplus = (entries.len() + 1).saturating_sub(MAX_ENTRIES);
    for (_, name) in &entries[..surplus] {
        remove(directory, name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
