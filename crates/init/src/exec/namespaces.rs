//! The namespaces of a container's first process: which of them differ from ours, and how they are joined.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, readlinkat};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;

use rootling_sys as sys;

use crate::doors::{self, Held};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::ordinary::become_root;

/// The names below /proc/PID/ns and the corresponding flags of setns(2); namespaces(7). If they have to be joined one
/// by one, it is in this order: the mount namespace comes last, since its root is the container's.
const KINDS: [(&str, CloneFlags); 8] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("net", CloneFlags::CLONE_NEWNET),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("time", sys::namespace::CLONE_NEWTIME),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// The way into a container.
pub struct Namespaces {
    /// A pidfd of its first process.
    pidfd: OwnedFd,
    /// Those of its namespaces that differ from ours, as flags of setns(2).
    others: CloneFlags,
    /// Its root directory, if it shares our mount namespace and is confined only by chroot(2).
    root: Option<OwnedFd>,
}

impl Held for Namespaces {
    fn held(&self) -> Vec<i32> {
        let mut all = vec![self.pidfd.as_raw_fd()];
        all.extend(doors::numbers(&self.root));
        all
    }
}

impl Namespaces {
    /// The namespaces of this process, whose pid cannot be reused while it lives.
    pub fn of(pid: i32, pidfd: OwnedFd) -> Result<Self> {
        let others = compare(pid)?;
        let root = if others.contains(CloneFlags::CLONE_NEWNS) { None } else { Some(open_root(pid)?) };
        // It was still alive after we looked, so everything that we saw was its own.
        if sys::poll::wait_readable(pidfd.as_fd(), std::time::Duration::ZERO).context(|| "poll")? {
            return Err(stopped());
        }
        Ok(Self { pidfd, others, root })
    }

    /// Whether only a child of the joining process is inside.
    pub fn need_child(&self) -> bool {
        self.others.contains(CloneFlags::CLONE_NEWPID)
    }

    /// Whether a process that shares our memory can join them: a time namespace is one of the memory, which the kernel refuses
    /// then (time_namespaces(7)).
    pub fn leave_memory(&self) -> bool {
        !self.others.contains(sys::namespace::CLONE_NEWTIME)
    }

    /// Whether they belong to another user namespace than ours.
    pub fn in_user_namespace(&self) -> bool {
        self.others.contains(CloneFlags::CLONE_NEWUSER)
    }

    /// Joins all of them, in one call if the caller's privilege permits it.
    pub(super) fn join(&self) -> Result<()> {
        match self.enter(self.others) {
            // A namespace that the container's user namespace does not own must be joined from outside of it.
            Err(Errno::EPERM) if self.others.contains(CloneFlags::CLONE_NEWUSER) => self.join_one_by_one()?,
            // The process has ended since they were compared.
            Err(Errno::ESRCH) => return Err(stopped()),
            other => other.context(|| format!("setns({:#x})", self.others))?,
        }
        if self.others.contains(CloneFlags::CLONE_NEWUSER) {
            // If the namespace has no root, files that belong to its users may be inaccessible, but they need not be
            // accessed.
            let _ = become_root();
        }
        if let Some(root) = &self.root {
            let what = || "chroot to the container's root".to_owned();
            nix::unistd::fchdir(root.as_raw_fd()).context(what)?;
            nix::unistd::chroot(".").context(what)?;
        }
        Ok(())
    }

    /// First joins what the caller's own privilege permits, then the user namespace. That gives privilege over the
    /// remaining namespaces, and takes away the privilege over everything outside of it.
    fn join_one_by_one(&self) -> Result<()> {
        let mut refused = Vec::new();
        let outside = self.others - CloneFlags::CLONE_NEWUSER;
        for (name, flag) in KINDS.into_iter().filter(|(_, flag)| outside.contains(*flag)) {
            match self.enter(flag) {
                Err(Errno::EPERM) => refused.push((name, flag)),
                Err(Errno::ESRCH) => return Err(stopped()),
                other => other.context(|| format!("setns({name})"))?,
            }
        }
        self.enter(CloneFlags::CLONE_NEWUSER).context(|| "setns(user)").map_err(|e| {
            e.remedy("only the user who made the container, and root, may join its user namespace")
        })?;
        for (name, flag) in refused {
            self.enter(flag)
                .context(|| format!("setns({name})"))
                .map_err(|e| e.remedy("the caller has no privilege over the user namespace that owns it"))?;
        }
        Ok(())
    }

    /// setns(2) on a pidfd, Linux 5.8: joins either all of them or none.
    fn enter(&self, flags: CloneFlags) -> Result<(), Errno> {
        if flags.is_empty() { Ok(()) } else { setns(self.pidfd.as_fd(), flags) }
    }
}

/// The error for a container that no longer has a first process.
pub fn stopped() -> Error {
    let text = "cannot exec in a stopped container: its first process has ended; delete it and run it again";
    Error::new(ErrorKind::WrongState, text)
}

/// The namespaces of a process that differ from ours.
fn compare(pid: i32) -> Result<CloneFlags> {
    let open = |path: &str| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty())
            .map(sys::fds::adopt)
            .context(|| format!("open({path:?})"))
    };
    let ours = open("/proc/self/ns")?;
    let its = open(&format!("/proc/{pid}/ns"))?;
    // Such as `net:[4026531840]`; namespaces(7). stat(2) would have the kernel make an inode of each.
    let identity = |dir: &OwnedFd, name: &str| readlinkat(Some(dir.as_raw_fd()), name);
    let mut others = CloneFlags::empty();
    for (name, flag) in KINDS {
        match (identity(&ours, name), identity(&its, name)) {
            // The kernel does not have this kind.
            (Err(Errno::ENOENT), _) => {}
            (Ok(a), Ok(b)) => others.set(flag, a != b),
            // The process has given up its namespaces, which happens early when a process ends.
            (Ok(_), Err(Errno::ENOENT | Errno::ESRCH)) => return Err(stopped()),
            (Err(errno), _) | (_, Err(errno)) => {
                return Err(Error::from(errno).wrap(format!("/proc/{pid}/ns/{name}")).remedy(
                    "a container that was created and not started lets only root look at it: start it first",
                ));
            }
        }
    }
    Ok(others)
}

fn open_root(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/root");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(path.as_str(), flags, Mode::empty())
        .map(sys::fds::adopt)
        .context(|| format!("open({path:?})"))
}
