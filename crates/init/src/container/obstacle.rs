//! Explains, as far as the file itself shows it, why the kernel will not execute an existing file: execve(2) reports
//! the same errno for many reasons.
//!
//! The check is made before the filter is loaded, which may allow nothing but execve(2). It is reported if execve(2)
//! fails.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use elf::abi;
use elf::endian::AnyEndian;
use elf::file::FileHeader;
use elf::segment::SegmentTable;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use nix::unistd::{AccessFlags, faccessat};
use rootling_sys as sys;

/// More than the kernel reads of a file to recognise its type: program headers and the path of the loader follow soon
/// after.
const HEAD: usize = 4096;

/// linux/elf-em.h; the object crate has no name for it.
const EM_LOONGARCH: u16 = 258;

/// As many interpreters as the kernel follows from script to script: `exec_binprm` in fs/exec.c.
const MOST_INTERPRETERS: usize = 5;

/// What prevents a program from being executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// What execve(2) is going to answer.
    pub(crate) errno: Errno,
    /// The reason, and what to do about it.
    pub(crate) text: String,
}

/// Looks for an obstacle; returns `None` also if the file cannot be read.
pub(super) fn find(program: &CStr) -> Option<Obstacle> {
    let mut name = program.to_owned();
    // The message refers to the program itself without a name.
    let mut subject = String::from("it");
    for _ in 0..MOST_INTERPRETERS {
        let flags = sys::file::OPEN_FLAGS;
        let file = nix::fcntl::open(name.as_c_str(), flags, Mode::empty()).map(sys::fds::adopt).ok()?;
        let mut head = [0; HEAD];
        let length = pread(file.as_fd(), &mut head, 0).ok()?;
        let head = &head[..length];
        if head.starts_with(abi::ELFMAGIC.as_slice()) {
            return of_elf(file.as_fd(), head, &subject);
        }
        let Some(line) = head.strip_prefix(b"#!") else { return Some(of_neither(head, &subject)) };
        let interpreter = match interpreter(line) {
            Ok(path) => path,
            Err(text) => return Some(obstacle(Errno::ENOEXEC, &subject, text)),
        };
        if let Some(found) = of_interpreter(&interpreter, &subject) {
            return Some(found);
        }
        subject = format!("its interpreter {interpreter:?}");
        name = interpreter;
    }
    Some(obstacle(
        Errno::ELOOP,
        "it",
        "is a script with a longer chain of interpreters than the kernel follows",
    ))
}

fn obstacle(errno: Errno, subject: &str, text: impl std::fmt::Display) -> Obstacle {
    Obstacle { errno, text: format!("{subject} {text}") }
}

/// The interpreter of a script: the first word of the line, without leading blanks.
fn interpreter(line: &[u8]) -> Result<CString, &'static str> {
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let word = line.trim_ascii_start().split(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
    if word.is_empty() {
        return Err("names no interpreter after #!: write one, such as #!/bin/sh");
    }
    CString::new(word)
        .map_err(|_| "has a NUL byte in its first line: write an interpreter after #!, such as #!/bin/sh")
}

fn of_interpreter(path: &CString, subject: &str) -> Option<Obstacle> {
    let errno = faccessat(None, path.as_c_str(), AccessFlags::X_OK, AtFlags::AT_EACCESS).err()?;
    if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) {
        return None;
    }
    let text = if path.as_bytes().ends_with(b"\r") {
        format!(
            "names the interpreter {path:?}, with a carriage return at the end of the line: convert it to the line ends of \
             Unix, as dos2unix does"
        )
    } else if errno == Errno::EACCES {
        format!(
            "names the interpreter {path:?}, which process.user may not execute: set its execute bits, or name another"
        )
    } else {
        format!(
            "names the interpreter {path:?}, which is not in the root file system: install it there, or name another"
        )
    };
    Some(obstacle(errno, subject, text))
}

/// The file is neither an ELF program nor a script with `#!`, although a shell would interpret it.
fn of_neither(head: &[u8], subject: &str) -> Obstacle {
    let text = if head.is_empty() {
        "is empty"
    } else if std::str::from_utf8(&head[..head.len().min(128)]).is_ok_and(|text| !text.contains('\0')) {
        "is a text without an interpreter: begin it with a line such as #!/bin/sh, or run it with a shell"
    } else {
        "is neither a program nor a script that begins with #!"
    };
    obstacle(Errno::ENOEXEC, subject, text)
}

fn of_elf(file: BorrowedFd<'_>, head: &[u8], subject: &str) -> Option<Obstacle> {
    let broken =
        || obstacle(Errno::ENOEXEC, subject, "is a program that has been cut or damaged: copy it again");
    let Some(header) = header(head) else { return Some(broken()) };
    if let Some(text) = other_machine(&header) {
        return Some(obstacle(Errno::ENOEXEC, subject, text));
    }
    let loader = loader(file, head, &header)?;
    match faccessat(None, loader.as_c_str(), AccessFlags::X_OK, AtFlags::AT_EACCESS) {
        Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => {
            let text = format!(
                "needs the dynamic loader {loader:?}, which is not in the root file system: use an image that has it{}, or a \
                 statically linked program",
                library(&loader)
            );
            Some(obstacle(errno, subject, text))
        }
        Err(errno @ Errno::EACCES) => {
            let text = format!(
                "needs the dynamic loader {loader:?}, which process.user may not execute: set its execute bits"
            );
            Some(obstacle(errno, subject, text))
        }
        _ => None,
    }
}

fn header(head: &[u8]) -> Option<FileHeader<AnyEndian>> {
    let ident = elf::file::parse_ident::<AnyEndian>(head.get(..abi::EI_NIDENT)?).ok()?;
    FileHeader::parse_tail(ident, head.get(abi::EI_NIDENT..)?).ok()
}

/// The path of the dynamic loader, if the program has one.
fn loader(file: BorrowedFd<'_>, head: &[u8], header: &FileHeader<AnyEndian>) -> Option<CString> {
    let at = usize::try_from(header.e_phoff).ok()?;
    let size = usize::from(header.e_phentsize) * usize::from(header.e_phnum);
    let table = SegmentTable::new(header.endianness, header.class, head.get(at..at.checked_add(size)?)?);
    let segment = table.iter().find(|segment| segment.p_type == abi::PT_INTERP)?;
    let mut path =
        vec![0; usize::try_from(segment.p_filesz).ok().filter(|size| *size <= sys::path::PATH_MAX)?];
    let read = pread(file, &mut path, i64::try_from(segment.p_offset).ok()?).ok()?;
    CStr::from_bytes_until_nul(&path[..read]).ok().map(CStr::to_owned)
}

/// Names the C library that a loader belongs to, for those who do not recognise it.
fn library(loader: &CStr) -> &'static str {
    let name = Path::new(OsStr::from_bytes(loader.to_bytes())).file_name().map_or(&b""[..], OsStr::as_bytes);
    if name.starts_with(b"ld-musl-") {
        " (musl, as Alpine's)"
    } else if name.starts_with(b"ld-linux") || name.starts_with(b"ld64.so") {
        " (glibc, as Debian's)"
    } else {
        ""
    }
}

/// Says that a program is for another machine, if it is.
fn other_machine(header: &FileHeader<AnyEndian>) -> Option<String> {
    let own = std::env::consts::ARCH;
    // 32-bit programs of the same family run as well, if the kernel supports them.
    let (machine, emulator, runs) = match header.e_machine {
        abi::EM_X86_64 => ("x86_64", "x86_64", own == "x86_64"),
        abi::EM_386 => ("i386", "i386", matches!(own, "x86" | "x86_64")),
        abi::EM_AARCH64 => ("aarch64", "aarch64", own == "aarch64"),
        abi::EM_ARM => ("arm", "arm", matches!(own, "arm" | "aarch64")),
        abi::EM_RISCV => ("riscv", "riscv64", own.starts_with("riscv")),
        abi::EM_PPC64 => ("ppc64", "ppc64le", own.starts_with("powerpc64")),
        abi::EM_S390 => ("s390x", "s390x", own == "s390x"),
        EM_LOONGARCH => ("loongarch64", "loongarch64", own == "loongarch64"),
        abi::EM_MIPS => ("mips", "mips64el", own.starts_with("mips")),
        other => {
            return Some(format!(
                "is a program for another machine (ELF machine {other}), this one is {own}"
            ));
        }
    };
    (!runs).then(|| {
        format!(
            "is a program for {machine}, and this machine is {own}: use an image for {own}; qemu-user-static would run it \
             (qemu-{emulator}, registered with binfmt_misc)"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn of(content: &[u8]) -> Option<Obstacle> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        find(&CString::new(path.as_os_str().as_bytes()).unwrap())
    }

    /// A 64-bit little-endian program for this machine type, with this loader.
    fn program(machine: u16, loader: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(2u16.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        for word in [0u64, 64, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(0u32.to_le_bytes());
        for half in [64u16, 56, 1, 64, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(abi::PT_INTERP.to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        for word in [120u64, 0, 0, loader.len() as u64, loader.len() as u64, 1] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(loader);
        bytes
    }

    fn own_machine() -> u16 {
        if cfg!(target_arch = "x86_64") { abi::EM_X86_64 } else { abi::EM_AARCH64 }
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let other = if cfg!(target_arch = "x86_64") { abi::EM_AARCH64 } else { abi::EM_X86_64 };
        for (content, errno, text) in [
            (&b"#!/no/such\n"[..], Errno::ENOENT, "\"/no/such\", which is not in the root file system"),
            (b"#! \t/no/such -x\n", Errno::ENOENT, "\"/no/such\","),
            (b"#!/bin/sh\r\n", Errno::ENOENT, "carriage return"),
            (b"#!/etc/passwd\n", Errno::EACCES, "may not execute"),
            (b"#!\n", Errno::ENOEXEC, "names no interpreter"),
            (b"", Errno::ENOEXEC, "it is empty"),
            (b"echo hello\n", Errno::ENOEXEC, "a text without an interpreter"),
            (b"\0\0\0\0", Errno::ENOEXEC, "neither a program nor a script"),
            (b"\x7fELF\x02\x01", Errno::ENOEXEC, "cut or damaged"),
            (&program(other, b"/x\0"), Errno::ENOEXEC, "is a program for "),
            (&program(9999, b"/x\0"), Errno::ENOEXEC, "ELF machine 9999"),
            (&program(own_machine(), b"/no/ld-linux.so\0"), Errno::ENOENT, "\"/no/ld-linux.so\""),
            (&program(own_machine(), b"/lib/ld-musl-x.so.1\0"), Errno::ENOENT, "(musl, as Alpine's)"),
        ] {
            let found = of(content).unwrap();
            assert_eq!(found.errno, errno, "{found:?}");
            assert!(found.text.contains(text), "{text}: {found:?}");
        }
    }

    #[test]
    fn nothing_stands_in_the_way_of_what_runs() {
        assert_eq!(of(b"#!/bin/sh\n"), None);
        assert_eq!(of(&program(own_machine(), b"/bin/sh\0")), None);
        assert_eq!(find(c"/bin/sh"), None);
        assert_eq!(find(c"/no/such"), None);
        assert_eq!(find(c"/proc/self/mem"), None, "what cannot be read");
    }

    #[test]
    fn no_content_is_too_odd() {
        let whole = program(own_machine(), b"/no/such\0");
        for length in 0..whole.len() {
            let _ = of(&whole[..length]);
        }
        for position in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut odd = whole.clone();
                odd[position] = value;
                let _ = of(&odd);
            }
        }
    }
}
