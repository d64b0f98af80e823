//! Finds the working directory, the home directory and the program as the program itself would see them.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::{AccessFlags, chdir, faccessat};

use rootling_sys as sys;

use super::denied;
use crate::error::{Context, Error, ErrorKind, Result};

/// Changes to the working directory.
pub(super) fn enter_cwd(cwd: &Path) -> Result<(), (Errno, String)> {
    chdir(cwd).map_err(|errno| (errno, format!("process.cwd: chdir({cwd:?})")))
}

/// Verifies that the working directory is inside the container. One outside has no path in it: getcwd(3) returns
/// `(unreachable)` or fails (CVE-2024-21626).
pub(super) fn verify_cwd(cwd: &Path) -> Result<()> {
    match nix::unistd::getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => {
            Err(Error::invalid(format!("process.cwd: {cwd:?} leads out of the container's root file system")))
        }
    }
}

/// Sets HOME from the image's passwd file. We parse it ourselves, because the C library would load the image's name
/// service modules into this process.
///
/// # Errors
/// The file exists and cannot be read.
pub(super) fn set_home(env: &mut Vec<CString>, uid: u32) -> Result<()> {
    env.retain(|e| !e.as_bytes().starts_with(b"HOME="));
    let home = home_of(uid)
        .map_err(|e| e.wrap("HOME: /etc/passwd of the container").remedy("set HOME in process.env"))?;
    if let Ok(entry) = CString::new(format!("HOME={}", home.as_deref().unwrap_or("/"))) {
        env.push(entry);
    }
    Ok(())
}

fn home_of(uid: u32) -> Result<Option<String>> {
    // No magic link of the kernel is followed, which could lead out, and neither a device nor a pipe is read, which
    // could block us forever.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")?;
    let fd = match sys::mount::open_in_root(root.as_fd(), Path::new("etc/passwd"), sys::file::OPEN_FLAGS) {
        // It does not exist, or is a dangling link.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(None),
        other => {
            other.map_err(|errno| Error::from(errno).wrap("open").at(errno, Path::new("/etc/passwd")))?
        }
    };
    let text = sys::file::contents(fd, 4 << 20).map_err(|e| match e.raw_os_error() {
        None => Error::invalid(e.to_string()),
        Some(_) => Error::from(e).wrap("read"),
    })?;
    Ok(find_home(&String::from_utf8_lossy(&text), uid))
}

fn find_home(passwd: &str, uid: u32) -> Option<String> {
    let mut homes = sys::accounts::entries(passwd).filter(|user| user.id == uid).map(|user| user.home());
    homes.find(|home| !home.is_empty()).map(Into::into)
}

/// The path of the program, searched as a shell does, with the container's own PATH.
pub(super) fn find(args: &[CString], env: &[CString]) -> Result<CString> {
    let name = args.first().ok_or_else(|| Error::invalid("process.args: empty; name the program to run"))?;
    if name.as_bytes().contains(&b'/') {
        return executable(name).map(|()| name.clone()).map_err(|errno| not_runnable(name, errno));
    }
    let path = env.iter().find_map(|e| e.as_bytes().strip_prefix(b"PATH="));
    let mut refused = None;
    // No file has an empty name; it would make every directory match itself.
    let path = path.filter(|_| !name.is_empty());
    for dir in path.unwrap_or_default().split(|b| *b == b':') {
        let dir = if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) };
        let Ok(candidate) = CString::new(dir.join(OsStr::from_bytes(name.as_bytes())).as_os_str().as_bytes())
        else {
            continue;
        };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::EACCES) => refused = refused.or(Some(candidate)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP | Errno::ENAMETOOLONG) => {}
            // A file of the same name in a later directory is not the one that was meant.
            Err(errno) => return Err(not_runnable(&candidate, errno)),
        }
    }
    Err(match refused {
        Some(candidate) => not_runnable(&candidate, Errno::EACCES),
        None => Error::new(
            ErrorKind::ProgramNotFound,
            format!(
                "process.args: exec: {name:?}: executable file not found in $PATH; check args[0] and PATH in process.env"
            ),
        ),
    })
}

fn executable(path: &CStr) -> Result<(), Errno> {
    let stat = nix::sys::stat::stat(path)?;
    if sys::file::kind(stat.st_mode) == SFlag::S_IFDIR {
        return Err(Errno::EISDIR);
    }
    match faccessat(None, path, AccessFlags::X_OK, AtFlags::AT_EACCESS) {
        // Even root needs at least one execute bit: access(2).
        Ok(()) if stat.st_mode & 0o111 == 0 => Err(Errno::EACCES),
        other => other,
    }
}

fn not_runnable(path: &CStr, errno: Errno) -> Error {
    let (kind, why) = match errno {
        Errno::ENOENT => (ErrorKind::ProgramNotFound, "no such file or directory".into()),
        Errno::ENOTDIR => {
            let why = "no such file or directory; something on its path is not a directory";
            (ErrorKind::ProgramNotFound, why.into())
        }
        Errno::EACCES => {
            (ErrorKind::ProgramNotExecutable, format!("permission denied; {}", denied::reason(path)))
        }
        Errno::EISDIR => (ErrorKind::ProgramNotExecutable, "is a directory".into()),
        _ => (ErrorKind::System, errno.desc().into()),
    };
    let inside = Path::new(OsStr::from_bytes(path.to_bytes()));
    // A relative path starts in the working directory, which this process has already entered.
    let place = nix::unistd::getcwd().map_or_else(|_| inside.to_owned(), |cwd| cwd.join(inside));
    Error::new(kind, format!("process.args: exec: {path:?}: {why}")).at(errno, &place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbad line\n:::::\nweb:x:33:33::/srv/web:\nnohome:x:7:7:::\n";

    #[test]
    fn home_comes_from_the_line_of_the_uid() {
        assert_eq!(find_home(PASSWD, 33).as_deref(), Some("/srv/web"));
        assert_eq!(find_home(PASSWD, 0).as_deref(), Some("/root"));
        assert_eq!(find_home(PASSWD, 7), None);
        assert_eq!(find_home(PASSWD, 5), None);
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        let c = |s: &str| CString::new(s).unwrap();
        let env = [c("PATH=/nonexistent:/bin")];
        assert_eq!(find(&[c("sh")], &env).unwrap(), c("/bin/sh"));
        assert_eq!(find(&[c("no-such-program")], &env).unwrap_err().kind(), ErrorKind::ProgramNotFound);
        assert_eq!(find(&[c("/etc/passwd")], &env).unwrap_err().kind(), ErrorKind::ProgramNotExecutable);
        assert_eq!(find(&[c("/etc")], &env).unwrap_err().kind(), ErrorKind::ProgramNotExecutable);
        assert_eq!(find(&[c("/no/such")], &env).unwrap_err().kind(), ErrorKind::ProgramNotFound);
        assert_eq!(find(&[], &env).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
