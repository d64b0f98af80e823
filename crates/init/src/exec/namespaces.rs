//! The namespaces of a container's first process: which of them are not ours, and how they are joined.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, fstatat};

use rootling_sys as sys;

use crate::doors::{self, Held};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::ordinary::become_root;

/// The names below /proc/PID/ns with what they are to setns(2); namespaces(7). In the order in which
/// they are joined where that has to happen one by one: the mount namespace last, since its root is the
/// container's.
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
    /// Of its first process.
    pidfd: OwnedFd,
    /// Those of its namespaces that are not ours, as flags of setns(2).
    others: CloneFlags,
    /// Its root directory, where it has our mount namespace and is kept in by chroot(2) alone.
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
    /// Those of this process, whose pid it is as long as it lives.
    pub fn of(pid: i32, pidfd: OwnedFd) -> Result<Self> {
        let others = compare(pid)?;
        let root = if others.contains(CloneFlags::CLONE_NEWNS) { None } else { Some(open_root(pid)?) };
        // It lived on while we looked, so all that was seen is its own, whatever becomes of its pid.
        if sys::poll::wait_readable(pidfd.as_fd(), std::time::Duration::ZERO).context(|| "poll")? {
            return Err(stopped());
        }
        Ok(Self { pidfd, others, root })
    }

    /// Whether only a child of the process that joins is inside.
    pub fn need_child(&self) -> bool {
        self.others.contains(CloneFlags::CLONE_NEWPID)
    }

    /// Whether they are in another user namespace than ours.
    pub fn in_user_namespace(&self) -> bool {
        self.others.contains(CloneFlags::CLONE_NEWUSER)
    }

    /// Joins them all: in one go where the caller's privilege reaches that far.
    pub(super) fn join(&self) -> Result<()> {
        match self.enter(self.others) {
            // One that the container's user namespace does not own has to be joined from outside of it.
            Err(Errno::EPERM) if self.others.contains(CloneFlags::CLONE_NEWUSER) => self.join_one_by_one()?,
            // It has ended since they were compared.
            Err(Errno::ESRCH) => return Err(stopped()),
            other => other.context(|| format!("setns({:#x})", self.others))?,
        }
        if self.others.contains(CloneFlags::CLONE_NEWUSER) {
            // Where it has no root, files that belong to its users may be out of reach, and need not be reached.
            let _ = become_root();
        }
        if let Some(root) = &self.root {
            let what = || "chroot to the container's root".to_owned();
            nix::unistd::fchdir(root.as_raw_fd()).context(what)?;
            nix::unistd::chroot(".").context(what)?;
        }
        Ok(())
    }

    /// First what the caller's own privilege reaches, then the user namespace, which gives the privilege
    /// over the rest and takes away the one over what is outside of it.
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

    /// setns(2) on a pidfd, Linux 5.8: all at once or none.
    fn enter(&self, flags: CloneFlags) -> Result<(), Errno> {
        if flags.is_empty() { Ok(()) } else { setns(self.pidfd.as_fd(), flags) }
    }
}

/// The container has no first process any more.
pub fn stopped() -> Error {
    let text = "cannot exec in a stopped container: its first process has ended; delete it and run it again";
    Error::new(ErrorKind::WrongState, text)
}

/// The namespaces of a process that are not ours.
fn compare(pid: i32) -> Result<CloneFlags> {
    let open = |path: &str| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(path, flags, Mode::empty())
            .map(sys::fds::adopt)
            .context(|| format!("open({path:?})"))
    };
    let ours = open("/proc/self/ns")?;
    let its = open(&format!("/proc/{pid}/ns"))?;
    let identity = |dir: &OwnedFd, name: &str| {
        fstatat(Some(dir.as_raw_fd()), name, AtFlags::empty()).map(|s| (s.st_dev, s.st_ino))
    };
    let mut others = CloneFlags::empty();
    for (name, flag) in KINDS {
        match (identity(&ours, name), identity(&its, name)) {
            // A kernel without this kind.
            (Err(Errno::ENOENT), _) => {}
            (Ok(a), Ok(b)) => others.set(flag, a != b),
            // It has given its namespaces up, as the kernel does early in the end of a process.
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
