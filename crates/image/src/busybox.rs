//! Makes a root file system from the host's busybox, so that nothing has to be downloaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use elf::ElfBytes;
use elf::abi::PT_INTERP;
use elf::endian::AnyEndian;

use crate::error::{Error, Result, Said};

const INSTALL: &str =
    "install a static one (busybox-static on Debian and Ubuntu, busybox on Alpine, Arch and Fedora)";

/// Fills an empty directory.
pub(crate) fn fill(root: &Path) -> Result<()> {
    let busybox = find()?;
    for dir in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "var"] {
        fs::create_dir(root.join(dir)).said(|| format!("mkdir {dir}"))?;
    }
    fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777)).said(|| "chmod tmp")?;
    fs::set_permissions(root.join("root"), PermissionsExt::from_mode(0o700)).said(|| "chmod root")?;
    let bin = root.join("bin");
    let program = bin.join("busybox");
    fs::copy(&busybox, &program).said(|| format!("copy {busybox:?}"))?;
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).said(|| "chmod busybox")?;
    for applet in applets(&busybox)? {
        if applet != "busybox" {
            fs::hard_link(&program, bin.join(&applet)).said(|| format!("link {applet}"))?;
        }
    }
    symlink("../bin", root.join("usr/bin")).said(|| "link usr/bin")?;
    symlink("bin", root.join("sbin")).said(|| "link sbin")?;
    let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
    fs::write(root.join("etc/passwd"), passwd).said(|| "etc/passwd")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n").said(|| "etc/group")
}

/// Finds the first busybox in PATH. It must be statically linked, since the container has nothing else.
fn find() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places =
        std::env::split_paths(&path).chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    let candidates: Vec<PathBuf> =
        places.map(|dir| dir.join("busybox")).filter(|file| file.is_file()).collect();
    if candidates.is_empty() {
        return Err(Error::invalid(format!("busybox is not installed: {INSTALL}")));
    }
    candidates.iter().find(|file| is_static(file)).cloned().ok_or_else(|| {
        Error::invalid(format!(
            "{:?} needs libraries, which the container would not have: {INSTALL}",
            candidates[0]
        ))
    })
}

fn is_static(program: &Path) -> bool {
    const MOST: u64 = 64 << 20;
    let Ok(bytes) = rootling_sys::file::read(program, MOST) else { return false };
    let Ok(elf) = ElfBytes::<AnyEndian>::minimal_parse(&bytes) else { return false };
    elf.segments().is_some_and(|all| all.iter().all(|segment| segment.p_type != PT_INTERP))
}

/// The names under which the program can be called.
fn applets(busybox: &Path) -> Result<Vec<String>> {
    let output = Command::new(busybox).arg("--list").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.said(|| format!("{busybox:?} --list"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_name = |line: &&str| !line.is_empty() && !line.contains('/') && !line.starts_with('.');
    let names: Vec<String> = text.lines().filter(is_name).map(str::to_owned).collect();
    if names.is_empty() {
        return Err(Error::invalid(format!("{busybox:?} --list names no applets: {INSTALL}")));
    }
    Ok(names)
}
