//! A root of our own that nobody else can touch: a tmpfs to which no other process has a descriptor.
//!
//! It replaces the host before libcontainer does its work, by path, in it. It contains:
//!
//! | path | what |
//! |---|---|
//! | `/proc`, `/dev` | the host's, for libcontainer: it reads mountinfo and bind-mounts the default devices |
//! | `/c` | what libcontainer takes for the root file system and enters |
//! | `/c/dev` | the container's own /dev, or a scratch one that nobody sees |
//! | `/c/proc` | the host's, if libcontainer has something to write there |
//! | `/c/image` | where the image's tree is attached after libcontainer is done |

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::fchdir;
use rootling_sys as sys;
use rootling_sys::mount::{
    MS_PRIVATE, MS_SHARED, MountAttr, Refused, attach, attr, clone_tree, clone_tree_at, new_filesystem,
    set_attr,
};

use super::unmasked_proc;
use crate::blueprint::{Blueprint, MountKind, MountPlan};
use crate::error::{Context, Error, Result};
use crate::mounting::filesystems;
use crate::mounting::prepared::Prepared;
use crate::roots::{Place, change_root, swap_roots};

/// The directory in which mounts are made that only mount(2) can make.
const WORKBENCH: &str = "workbench";

/// The private root, while the host's file systems are still visible.
pub(crate) struct PrivateRoot {
    tmpfs: OwnedFd,
    /// The directory on which it is mounted.
    below: OwnedFd,
    /// Whether the caller has another root than its mount namespace.
    chrooted: bool,
}

/// Changes to the root of the mount namespace, which differs from the root of a caller in a chroot. That root is what
/// pivot_root(2) can exchange.
fn go_to_namespaces_root() -> Result<()> {
    let what = || "setns(\"/proc/self/ns/mnt\")";
    let namespace = std::fs::File::open("/proc/self/ns/mnt").context(what)?;
    setns(namespace, CloneFlags::CLONE_NEWNS).context(what)
}

fn root_identity() -> Result<sys::path::Identity> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")?;
    sys::path::identity(root.as_fd()).context(|| "statx(\"/\")")
}

/// Sets the propagation so that, while the mounts are made, only what the container asks for reaches the host.
pub(super) fn set_propagation(blueprint: &Blueprint) -> Result<()> {
    if blueprint.no_pivot && blueprint.base_propagation == MS_SHARED {
        // The old root stays below, where its procfs is covered: the cover must not appear on the host.
        change_propagation(MsFlags::MS_SLAVE).context(|| "make / a slave")?;
    }
    let flags = MsFlags::from_bits_retain(blueprint.base_propagation);
    change_propagation(flags).context(|| "change the propagation of /")
}

fn change_propagation(flags: MsFlags) -> Result<(), Errno> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | flags, None::<&str>)
}

/// Whether libcontainer has something to write to /proc in the root that it enters.
fn writes_to_proc(blueprint: &Blueprint) -> bool {
    let sysctl = blueprint.spec.linux().as_ref().and_then(|l| l.sysctl().as_ref());
    let profile = blueprint.spec.process().as_ref().and_then(|p| p.apparmor_profile().as_ref());
    sysctl.is_some_and(|s| !s.is_empty()) || profile.is_some()
}

impl PrivateRoot {
    /// Mounts it on the root directory, where it hides nothing as long as this process has the host's root.
    pub(super) fn make(blueprint: &Blueprint) -> Result<Self> {
        let what = || "make a private root";
        let tmpfs =
            new_filesystem("tmpfs", "rootling", &["mode=755".to_owned()], attr::NOSUID).context(what)?;
        for path in ["proc", "dev", "c", "c/dev", "c/proc", "c/image", WORKBENCH] {
            mkdirat(Some(tmpfs.as_raw_fd()), path, Mode::from_bits_truncate(0o755)).context(what)?;
        }
        // Taken from the caller's view, which the next step leaves.
        let tree = |path: &str| {
            clone_tree_at(Path::new(path), true, true)
                .context(|| format!("bind the host's {path} for libcontainer"))
        };
        let (proc, dev) = (tree("/proc")?, tree("/dev")?);
        let written = writes_to_proc(blueprint).then(|| tree("/proc")).transpose()?;
        let shared = !blueprint.namespaces.mount.is_set();
        let view = root_identity()?;
        if !shared {
            go_to_namespaces_root()?;
        }
        let path = if shared { blueprint.rootfs.as_path() } else { Path::new("/") };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let below = open(path, flags, Mode::empty()).map(sys::fds::adopt).context(what)?;
        if !shared && blueprint.base_propagation == MS_SHARED {
            // What is mounted on a shared mount appears on its peers.
            let private = MountAttr { propagation: MS_PRIVATE, ..MountAttr::default() };
            set_attr(below.as_fd(), false, &private).context(what)?;
        }
        let root = Self { tmpfs, below, chrooted: root_identity()? != view };
        attach(root.tmpfs.as_fd(), root.below.as_fd()).context(what)?;
        let trees = [(Some(proc), "proc"), (Some(dev), "dev"), (written, "c/proc")];
        for (tree, path) in trees.into_iter().filter_map(|(tree, path)| Some((tree?, path))) {
            attach(tree.as_fd(), root.directory(path).context(what)?.as_fd()).context(what)?;
        }
        Ok(root)
    }

    fn directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(Some(self.tmpfs.as_raw_fd()), path, flags, Mode::empty()).map(sys::fds::adopt)
    }

    /// Makes what only mount(2) can make, while the host is still visible, since the directories of an overlay are the
    /// host's. The result is as detached as the others.
    pub(super) fn finish(&self, prepared: Prepared, label: Option<&str>) -> Result<Prepared> {
        match prepared {
            Prepared::ByMount2(plan, refused) => self.by_mount2(&plan, refused, label).map(Prepared::Tree),
            other => Ok(other),
        }
    }

    fn by_mount2(&self, plan: &MountPlan, refused: Option<Refused>, label: Option<&str>) -> Result<OwnedFd> {
        let MountKind::New { kind, source } = &plan.kind else {
            return Err(Error::system("not a new file system"));
        };
        let what = || plan.describe();
        if self.chrooted {
            return Err(Error::invalid(
                "options of more than 255 bytes, or with a comma, cannot be looked up in the caller's chroot: shorten them, or leave it",
            )
            .wrap(what()));
        }
        // Through the working directory, since the private root has no path in the host's view.
        fchdir(self.tmpfs.as_raw_fd()).context(what)?;
        let flags = MsFlags::from_bits_retain(plan.options.set);
        let data = filesystems::data_of_mount2(plan, kind, label);
        mount(Some(source.as_str()), WORKBENCH, Some(kind.as_str()), flags, data.as_deref()).map_err(
            |errno| {
                // Unlike mount(2), fsconfig(2) tells which option it was.
                let refused = refused.filter(|before| before.errno == errno).unwrap_or(errno.into());
                filesystems::explained(refused, kind, label).wrap(what())
            },
        )?;
        let tree =
            self.directory(WORKBENCH).and_then(|made| clone_tree(made.as_fd(), false)).context(what)?;
        umount2(WORKBENCH, MntFlags::MNT_DETACH).context(what)?;
        nix::unistd::chdir("/").context(what)?;
        filesystems::finish(plan, &tree).map_err(|error| error.wrap(what()))?;
        Ok(tree)
    }

    /// Leaves the host: its mounts are detached, and only the private root remains.
    pub(super) fn enter(self, blueprint: &Blueprint) -> Result<Place> {
        let Self { tmpfs, below, .. } = self;
        if !blueprint.namespaces.mount.is_set() {
            change_root(&tmpfs)?;
            return Ok(Place::Shared { root: tmpfs, rootfs: below });
        }
        if blueprint.no_pivot {
            // The host's mounts stay below, out of reach; see the module `unmasked_proc`.
            let own = sys::path::mount_id(tmpfs.as_fd()).context(|| "statx of the private root")?;
            unmasked_proc::cover(own)?;
            change_root(&tmpfs)?;
            return Ok(Place::Mounted { root: tmpfs });
        }
        swap_roots(&tmpfs, blueprint.base_propagation == MS_SHARED).map_err(|errno| {
            let error = Error::from(errno).wrap("leave the host: pivot_root");
            match errno {
                Errno::EINVAL => error
                    .remedy("the host's root cannot be left where it is an initial ramdisk: use --no-pivot"),
                _ => error,
            }
        })?;
        Ok(Place::Mounted { root: tmpfs })
    }
}
