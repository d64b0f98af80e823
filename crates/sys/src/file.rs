//! Reads files that somebody else may have put there: none of them can block the reader, or make it read more
//! than it asked for.

use std::ffi::{CStr, CString};
use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Read};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag};
use nix::sys::time::TimeSpec;

/// Flags that open a file without waiting for the other end of a FIFO, and without acquiring a terminal.
pub const OPEN_FLAGS: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Checks that the name exists, without following a link (faccessat2(2), Linux 5.8). It makes the system call
/// directly, because the C library may make other calls instead.
pub fn faccessat2(path: &CStr) -> Result<(), Errno> {
    let (directory, flags) = (libc::AT_FDCWD, libc::AT_SYMLINK_NOFOLLOW);
    // SAFETY: the path is a C string that outlives the call; the rest is numbers.
    let ret = unsafe { libc::syscall(libc::SYS_faccessat2, directory, path.as_ptr(), libc::F_OK, flags) };
    super::check(ret).map(drop)
}

/// The contents of the regular file at `path`, following links, of at most `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OPEN_FLAGS.bits()).open(path)?;
    contents(file.into(), most)
}

/// The contents of a regular file of at most `most` bytes that was opened with [`OPEN_FLAGS`].
pub fn contents(file: OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let file = File::from(file);
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    if !found.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "is not a regular file"));
    }
    if found.len() > most {
        return Err(too_large(most));
    }
    let expected = found.len() as usize;
    // One byte more, so that the same read also detects the end; of a file that has no length, such as one of /proc, only a read
    // of nothing does.
    let mut bytes = vec![0; expected + 1];
    let length = loop {
        match (&file).read(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    bytes.truncate(length);
    if length == 0 || length != expected { read_rest(file, bytes, most) } else { Ok(bytes) }
}

/// The whole contents of a stream, of at most `most` bytes. It may be a pipe, for whose writer this waits.
pub fn stream(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    read_rest(source, Vec::with_capacity(4096), most)
}

/// An extended attribute of a file, of at most 64 bytes; getxattr(2).
pub fn attribute(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = vec![0_u8; 64];
    // SAFETY: both names are C strings, and the buffer is as long as is said.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    if length < 0 {
        return Err(Error::last_os_error());
    }
    value.truncate(length as usize);
    Ok(value)
}

/// Sets an extended attribute of a file, without following a link; lsetxattr(2).
pub fn set_attribute(path: &CStr, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: both names are C strings, and the value is as long as is said.
    let ret = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(ret).map(drop)
}

/// Sets an extended attribute of an open file; fsetxattr(2).
pub fn set_attribute_of(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> Result<(), Errno> {
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open while borrowed, the name is a C string, and the value is as long as is said.
    let ret = unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(ret).map(drop)
}

/// The names of the extended attributes of a file, without following a link; llistxattr(2).
pub fn attributes(path: &CStr) -> Result<Vec<CString>, Errno> {
    // The maximum length of such a list: XATTR_LIST_MAX, linux/limits.h.
    let mut names = vec![0_u8; 65536];
    // SAFETY: the path is a C string, and the buffer is as long as is said.
    let ret = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    names.truncate(Errno::result(ret)? as usize);
    Ok(names.split(|byte| *byte == 0).filter(|name| !name.is_empty()).flat_map(CString::new).collect())
}

/// Removes an extended attribute of a file, without following a link; lremovexattr(2).
pub fn remove_attribute(path: &CStr, name: &CStr) -> Result<(), Errno> {
    // SAFETY: both names are C strings.
    Errno::result(unsafe { libc::lremovexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// Sets the access and modification times of a file, for which an `O_PATH` descriptor is sufficient;
/// utimensat(2).
pub fn set_times(file: BorrowedFd<'_>, access: TimeSpec, modification: TimeSpec) -> Result<(), Errno> {
    let times = [*access.as_ref(), *modification.as_ref()];
    // SAFETY: the path is an empty C string, and both times outlive the call.
    let ret = unsafe { libc::utimensat(file.as_raw_fd(), c"".as_ptr(), times.as_ptr(), libc::AT_EMPTY_PATH) };
    Errno::result(ret).map(drop)
}

/// The major and minor number of /dev/null.
pub const NULL: (u32, u32) = (1, 3);

/// The type of a file, derived from its mode.
pub fn kind(mode: u32) -> SFlag {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

/// Whether the file is the character device with this number.
pub fn is_char_device(stat: &FileStat, (major, minor): (u32, u32)) -> bool {
    kind(stat.st_mode) == SFlag::S_IFCHR && stat.st_rdev == libc::makedev(major, minor)
}

/// What has been read, and all that follows it.
fn read_rest(source: impl Read, mut bytes: Vec<u8>, most: u64) -> io::Result<Vec<u8>> {
    let left = most.saturating_add(1).saturating_sub(bytes.len() as u64);
    source.take(left).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

fn too_large(most: u64) -> Error {
    Error::new(ErrorKind::FileTooLarge, format!("is larger than {} MiB", most >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_read_and_never_waited_for() {
        let dir = std::env::temp_dir().join(format!("sys-file-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let fifo = dir.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let file = dir.join("file");
        std::fs::write(&file, vec![7; 1 << 20]).unwrap();
        let said = |path: &Path| read(path, 1 << 20).map(|b| b.len()).map_err(|e| e.to_string());
        assert_eq!(said(&file), Ok(1 << 20));
        for path in [&fifo, Path::new("/dev/zero")] {
            assert_eq!(said(path), Err("is not a regular file".to_owned()), "{path:?}");
        }
        assert_eq!(read(&dir, 1).unwrap_err().kind(), ErrorKind::IsADirectory);
        File::options().write(true).open(&file).unwrap().set_len(3 << 30).unwrap();
        assert_eq!(said(&file), Err("is larger than 1 MiB".to_owned()));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn attribute_that_is_not_there_is_an_error() {
        assert!(attribute(Path::new("/proc/self/exe"), c"security.capability").is_err());
    }

    #[test]
    fn devices_are_known_by_their_numbers() {
        let null = nix::sys::stat::stat("/dev/null").unwrap();
        assert!(is_char_device(&null, NULL) && !is_char_device(&null, (1, 5)));
        assert!(!is_char_device(&nix::sys::stat::stat("/dev").unwrap(), NULL));
    }

    #[test]
    fn stream_without_an_end_is_an_error() {
        let zero = File::open("/dev/zero").unwrap();
        assert_eq!(stream(zero, 1 << 20).unwrap_err().to_string(), "is larger than 1 MiB");
        assert_eq!(stream(&b"text"[..], 1 << 20).unwrap(), b"text");
    }
}
