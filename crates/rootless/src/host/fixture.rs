//! A made-up machine, for tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Access, FsFacts, Machine, NodeFacts, NodeKind};

/// A machine that has only what it was given, and records every access to it.
///
/// It starts as the home of one ordinary user on a recent kernel, without subordinate ids and
/// without cgroups.
#[derive(Debug, Clone)]
pub struct Fixture {
    euid: u32,
    egid: u32,
    capabilities: u64,
    no_new_privs: bool,
    kernel_release: String,
    search_path: Vec<PathBuf>,
    files: BTreeMap<PathBuf, String>,
    nodes: BTreeMap<PathBuf, NodeFacts>,
    filesystems: BTreeMap<PathBuf, FsFacts>,
    mount_points: BTreeSet<PathBuf>,
    closed: BTreeSet<PathBuf>,
    writable: BTreeSet<PathBuf>,
    xattrs: BTreeMap<PathBuf, Vec<u8>>,
    outputs: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    owners: BTreeMap<PathBuf, PathBuf>,
    looks: Rc<RefCell<Vec<String>>>,
}

impl Fixture {
    /// The machine of the user and the group with the id `id`. With id 0 it is root with every capability.
    pub fn ordinary(id: u32) -> Self {
        Self {
            euid: id,
            egid: id,
            capabilities: if id == 0 { u64::MAX >> 23 } else { 0 },
            no_new_privs: false,
            kernel_release: "6.1.0-test".into(),
            search_path: vec!["/usr/bin".into()],
            files: BTreeMap::new(),
            nodes: BTreeMap::new(),
            filesystems: BTreeMap::new(),
            mount_points: BTreeSet::new(),
            closed: BTreeSet::new(),
            writable: BTreeSet::new(),
            xattrs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            variables: BTreeMap::new(),
            owners: BTreeMap::new(),
            looks: Rc::default(),
        }
        .file("/proc/self/uid_map", "0 0 4294967295\n")
        .file("/proc/self/gid_map", "0 0 4294967295\n")
        .file("/proc/self/setgroups", "allow\n")
    }

    /// Root of a user namespace that maps the single user `outer`, as made by `unshare --user --map-root-user`.
    pub fn root_in_user_namespace(outer: u32) -> Self {
        Self::ordinary(0)
            .file("/proc/self/uid_map", &format!("0 {outer} 1\n"))
            .file("/proc/self/gid_map", &format!("0 {outer} 1\n"))
            .file("/proc/self/setgroups", "deny\n")
    }

    /// Every access to the machine so far, in order: the name of the fact, followed by its path if it has one. The
    /// list stays valid after the fixture has become part of a host.
    pub fn looks(&self) -> Rc<RefCell<Vec<String>>> {
        Rc::clone(&self.looks)
    }

    /// Sets a group id that differs from the user id.
    #[must_use]
    pub fn gid(mut self, egid: u32) -> Self {
        self.egid = egid;
        self
    }

    /// Sets the effective capabilities; bit n stands for capability n.
    #[must_use]
    pub fn capabilities(mut self, effective: u64) -> Self {
        self.capabilities = effective;
        self
    }

    /// Sets `no_new_privs` for the caller.
    #[must_use]
    pub fn no_new_privs(mut self) -> Self {
        self.no_new_privs = true;
        self
    }

    /// Sets the kernel's release.
    #[must_use]
    pub fn kernel(mut self, release: &str) -> Self {
        self.kernel_release = release.into();
        self
    }

    /// Sets `PATH` to this one directory.
    #[must_use]
    pub fn path(mut self, dir: &str) -> Self {
        self.search_path = vec![dir.into()];
        self
    }

    /// Adds a text file; a second call for the same path replaces the first.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Adds a program owned by root.
    #[must_use]
    pub fn program(self, path: &str, mode: u32) -> Self {
        self.program_of(path, mode, 0)
    }

    /// Adds a program with this owner.
    #[must_use]
    pub fn program_of(mut self, path: &str, mode: u32, uid: u32) -> Self {
        self.nodes.insert(path.into(), NodeFacts { kind: NodeKind::File, mode, uid, ..self.blank() });
        self
    }

    /// Adds newuidmap and newgidmap as distributions install them.
    #[must_use]
    pub fn id_helpers(self) -> Self {
        self.program("/usr/bin/newuidmap", 0o4755).program("/usr/bin/newgidmap", 0o4755)
    }

    /// Adds a directory owned by root.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.directory_of(path, 0o755, 0)
    }

    /// Adds a directory with this owner, who may write to it if that is the caller.
    #[must_use]
    pub fn directory_of(mut self, path: &str, mode: u32, uid: u32) -> Self {
        self.nodes.insert(path.into(), NodeFacts { kind: NodeKind::Directory, mode, uid, ..self.blank() });
        if uid == self.euid {
            self.writable.insert(path.into());
        }
        self
    }

    /// Adds a device that anyone may open.
    #[must_use]
    pub fn device(mut self, path: &str, kind: NodeKind, major: u32, minor: u32) -> Self {
        self.nodes.insert(path.into(), NodeFacts { kind, mode: 0o666, major, minor, ..self.blank() });
        self
    }

    /// Denies the caller read and write access to this path.
    #[must_use]
    pub fn closed(mut self, path: &str) -> Self {
        self.closed.insert(path.into());
        self
    }

    /// Adds a namespace file with this inode number.
    #[must_use]
    pub fn namespace(mut self, path: &str, ino: u64) -> Self {
        self.nodes.insert(path.into(), NodeFacts { ino, ..self.blank() });
        self
    }

    /// Adds a file system with this magic number.
    #[must_use]
    pub fn fs(mut self, path: &str, magic: u64) -> Self {
        self.filesystems.entry(path.into()).or_default().magic = magic;
        self
    }

    /// Sets the `ST_*` flags of the mount at `path`, which also makes it exist.
    #[must_use]
    pub fn mount_flags(mut self, path: &str, flags: u64) -> Self {
        self.filesystems.entry(path.into()).or_default().flags = flags;
        self
    }

    /// Mounts something over `path`.
    #[must_use]
    pub fn mount_point(mut self, path: &str) -> Self {
        self.mount_points.insert(path.into());
        self
    }

    /// Adds a cgroup directory that the caller may write to, with its `cgroup.controllers`.
    #[must_use]
    pub fn cgroup(mut self, dir: &str, controllers: &str) -> Self {
        self.writable.insert(dir.into());
        self.writable.insert(Path::new(dir).join("cgroup.procs"));
        self.files.insert(Path::new(dir).join("cgroup.controllers"), controllers.into());
        self
    }

    /// Sets the raw attribute `security.capability` of a file.
    #[must_use]
    pub fn xattr(mut self, path: &str, raw: &[u8]) -> Self {
        self.xattrs.insert(path.into(), raw.into());
        self
    }

    /// Sets what a command line prints.
    #[must_use]
    pub fn output(mut self, command: &str, text: &str) -> Self {
        self.outputs.insert(command.into(), text.into());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Makes the namespace at `path` belong to the user namespace at `owner`.
    #[must_use]
    pub fn owned(mut self, path: &str, owner: &str) -> Self {
        self.owners.insert(path.into(), owner.into());
        self
    }

    /// Added files get inode numbers in the order in which they are added.
    fn blank(&self) -> NodeFacts {
        let ino = self.nodes.len() as u64 + 1_000_000;
        NodeFacts { kind: NodeKind::Other, mode: 0, uid: 0, major: 0, minor: 0, dev: 1, ino }
    }

    fn look(&self, what: &str) {
        self.looks.borrow_mut().push(what.into());
    }

    fn look_at(&self, what: &str, path: &Path) {
        self.look(&format!("{what} {}", path.display()));
    }
}

fn absent() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Machine for Fixture {
    fn euid(&self) -> u32 {
        self.look("euid");
        self.euid
    }

    fn egid(&self) -> u32 {
        self.look("egid");
        self.egid
    }

    fn capabilities(&self) -> io::Result<u64> {
        self.look("capabilities");
        Ok(self.capabilities)
    }

    fn no_new_privs(&self) -> bool {
        self.look("no_new_privs");
        self.no_new_privs
    }

    fn kernel_release(&self) -> String {
        self.look("kernel");
        self.kernel_release.clone()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        self.look("search path");
        self.search_path.clone()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.look_at("read", path);
        self.files.get(path).cloned().ok_or_else(absent)
    }

    fn directories(&self, path: &Path) -> Vec<PathBuf> {
        self.look_at("directories", path);
        let below = |known: &PathBuf| Some(path.join(known.strip_prefix(path).ok()?.components().next()?));
        let all: BTreeSet<PathBuf> = self.files.keys().chain(self.nodes.keys()).filter_map(below).collect();
        all.into_iter().filter(|path| !self.files.contains_key(path)).collect()
    }

    fn stat(&self, path: &Path) -> io::Result<NodeFacts> {
        self.look_at("stat", path);
        self.nodes.get(path).copied().ok_or_else(absent)
    }

    fn statfs(&self, path: &Path) -> io::Result<FsFacts> {
        self.look_at("statfs", path);
        self.filesystems.get(path).copied().ok_or_else(absent)
    }

    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        self.look_at("mount point", path);
        Ok(self.mount_points.contains(path))
    }

    fn may(&self, path: &Path, access: Access) -> bool {
        self.look_at("access", path);
        let exists = self.nodes.contains_key(path) || self.files.contains_key(path);
        match access {
            Access::Read | Access::Write if self.writable.contains(path) => true,
            _ if self.closed.contains(path) => false,
            Access::Read | Access::Search => exists,
            Access::Write => self.nodes.get(path).is_some_and(|node| node.mode & 0o002 != 0),
        }
    }

    fn file_capabilities(&self, path: &Path) -> Option<Vec<u8>> {
        self.look_at("xattr", path);
        self.xattrs.get(path).cloned()
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.look(&format!("variable {name}"));
        self.variables.get(name).map(OsString::from)
    }

    fn namespace_owner(&self, path: &Path) -> io::Result<(u64, u64)> {
        self.look_at("owner", path);
        let owner = self.owners.get(path).and_then(|owner| self.nodes.get(owner)).ok_or_else(absent)?;
        Ok((owner.dev, owner.ino))
    }

    fn run(&self, program: &Path, args: &[&str]) -> io::Result<String> {
        let command = format!("{} {}", program.display(), args.join(" "));
        self.look(&format!("run {command}"));
        self.outputs.get(&command).cloned().ok_or_else(absent)
    }
}
