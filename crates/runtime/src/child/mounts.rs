//! The mounts of the container, made by descriptors: what was resolved is what is mounted on.
//!
//! Each is made detached, gets its flags there and is attached when it is complete. Sources are
//! opened before, as the caller's namespaces see them; destinations are resolved inside the root file
//! system only (openat2(2), `RESOLVE_IN_ROOT`), whatever links the image has.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use rootling_config::mounts::{Bind, MountOptions};

use super::begin::relative;
use super::paths::open_root;
use super::source::{Sources, open_source};
use super::waiting::{self, Waiting};
use super::{bind_flags, hints, resolve};
use crate::copy::copy_tree;
use crate::error::{Context, Error, Result};
use crate::lower::{Dev, MountKind, MountPlan, attr};
use crate::plan::Plan;
use crate::sys;
use crate::sys::mount::{MountAttr, attach, clone_tree, new_filesystem, open_in_root, set_attr};

/// Binds the root file system onto itself and makes the mounts of the plan on it, but for those that
/// can wait for the end of libcontainer's init.
pub(super) fn make(plan: &Plan, sources: &Sources<'_>) -> Result<Waiting> {
    if plan.no_pivot && plan.lowered.base_propagation == libc::MS_SHARED {
        // libcontainer unmounts /proc and /sys then, which must not reach the host's: shared among what the
        // container makes, as asked for, but no longer with the host.
        let slaves = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(None::<&str>, "/", None::<&str>, slaves, None::<&str>).context(|| "make / a slave")?;
    }
    let flags = MsFlags::MS_REC | MsFlags::from_bits_retain(plan.lowered.base_propagation);
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context(|| "change the propagation of /")?;
    if plan.lowered.base_propagation == libc::MS_SHARED {
        // What is bound onto a shared mount would show up on the host.
        libcontainer::rootfs::Mount::new().make_parent_mount_private(&plan.rootfs).map_err(|e| {
            Error::system(crate::error::chain(&e)).wrap("make the mount of the root file system private")
        })?;
    }
    let root = bind_root(&plan.rootfs)?;
    let label = plan.lowered.mount_label.as_deref();
    let first_waiting = waiting::first(plan);
    let mut waiting = Waiting::default();
    for (index, plan) in plan.lowered.mounts.iter().enumerate() {
        let source = || sources.tree(index, plan);
        let made = if index < first_waiting {
            make_one(&root, plan, label, &source)
        } else {
            source().and_then(|tree| prepare_bind(plan, &tree).map(|()| waiting.push(index, tree)))
        };
        made.map_err(|e| e.wrap(describe(plan)))?;
    }
    if !matches!(plan.lowered.dev, Dev::Fresh { .. }) {
        // libcontainer makes devices and links in any case, and fails where there are some: it gets a
        // tmpfs to make them in, which is taken away again before anybody sees it.
        let target = resolve::directory(&root, Path::new("/dev"))?;
        let scratch = new_filesystem("tmpfs", "tmpfs", &["mode=755".to_owned()], attr::NOSUID);
        scratch.and_then(|m| attach(m.as_fd(), target.as_fd())).context(|| "mount tmpfs on /dev")?;
    }
    Ok(waiting)
}

fn bind_root(rootfs: &Path) -> Result<OwnedFd> {
    let what = || format!("bind the root file system {rootfs:?}");
    let open = || {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(rootfs, flags, Mode::empty()).map(sys::fds::adopt)
    };
    let below = open().context(what)?;
    clone_tree(below.as_fd(), true).and_then(|copy| attach(copy.as_fd(), below.as_fd())).context(what)?;
    open().context(what)
}

pub(super) fn describe(plan: &MountPlan) -> String {
    let destination = plan.destination.display();
    match &plan.kind {
        MountKind::Bind(source) => format!("mount {} on {destination}", source.display()),
        MountKind::New { kind, .. } => format!("mount {kind} on {destination}"),
        MountKind::Remount => format!("remount {destination}"),
        MountKind::Cgroup | MountKind::CgroupV1 { .. } => format!("mount cgroup on {destination}"),
    }
}

fn make_one(
    root: &OwnedFd,
    plan: &MountPlan,
    label: Option<&str>,
    tree: &dyn Fn() -> Result<OwnedFd>,
) -> Result<()> {
    match &plan.kind {
        MountKind::Bind(source) if plan.options.copy_symlink && copy_link(root, plan, source)? => Ok(()),
        MountKind::Bind(_) => bind(root, plan, &tree()?),
        MountKind::New { kind, source } => new(root, plan, kind, source, label),
        MountKind::Remount => {
            let target = open_in_root(root.as_fd(), &relative(&plan.destination), libc::O_PATH)?;
            Ok(set_attr(target.as_fd(), false, &own_attr(&plan.options))?)
        }
        MountKind::CgroupV1 { hierarchies, links } => legacy_cgroup(root, plan, hierarchies, links),
        MountKind::Cgroup => Err(Error::system("the cgroup is not placed")),
    }
}

/// Flags of mount(2) as attributes of mount_setattr(2).
fn own_attr(options: &MountOptions) -> MountAttr {
    const FLAGS: [(u64, u64); 6] = [
        (libc::MS_RDONLY, attr::RDONLY),
        (libc::MS_NOSUID, attr::NOSUID),
        (libc::MS_NODEV, attr::NODEV),
        (libc::MS_NOEXEC, attr::NOEXEC),
        (libc::MS_NODIRATIME, attr::NODIRATIME),
        (libc::MS_NOSYMFOLLOW, attr::NOSYMFOLLOW),
    ];
    let of = |flags: u64| FLAGS.iter().filter(|(ms, _)| flags & ms != 0).map(|(_, attr)| attr).sum::<u64>();
    let mut attr = MountAttr { set: of(options.set), clear: of(options.clear), ..MountAttr::default() };
    // The access time setting is one number, which has to be cleared to be set; 0 is relatime.
    let time = if options.set & libc::MS_STRICTATIME != 0 {
        Some(attr::STRICTATIME)
    } else if options.set & libc::MS_NOATIME != 0 {
        Some(attr::NOATIME)
    } else if (options.set | options.clear) & (libc::MS_RELATIME | libc::MS_NOATIME | libc::MS_STRICTATIME)
        != 0
    {
        Some(0)
    } else {
        None
    };
    if let Some(time) = time {
        attr.set |= time;
        attr.clear |= attr::ATIME;
    }
    attr
}

/// Flags that apply to the whole tree, if any.
fn recursive_attr(options: &MountOptions) -> Option<MountAttr> {
    let attr = MountAttr { set: options.rec_set, clear: options.rec_clear, ..MountAttr::default() };
    (attr != MountAttr::default()).then_some(attr)
}

fn bind(root: &OwnedFd, plan: &MountPlan, copy: &OwnedFd) -> Result<()> {
    prepare_bind(plan, copy)?;
    attach_bind(root, plan, copy)
}

/// Gives the copy of the source the attributes of the mount.
fn prepare_bind(plan: &MountPlan, copy: &OwnedFd) -> Result<()> {
    if plan.destination == Path::new("/proc")
        && fstatfs(copy).context(stat_of_source)?.filesystem_type() != PROC_SUPER_MAGIC
    {
        return Err(Error::invalid(
            "/proc has to be a proc file system; bind the host's, or mount a new one",
        ));
    }
    bind_flags::apply(copy, &plan.options)?;
    if let Some(attr) = recursive_attr(&plan.options) {
        set_attr(copy.as_fd(), true, &attr).map_err(|e| hints::attributes(e, attr))?;
    }
    Ok(())
}

fn stat_of_source() -> String {
    "stat of the source".to_owned()
}

/// Puts what is prepared to its place.
pub(super) fn attach_bind(root: &OwnedFd, plan: &MountPlan, copy: &OwnedFd) -> Result<()> {
    let is_dir = fstat(copy.as_raw_fd()).context(stat_of_source)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let target = if is_dir { target(root, plan)? } else { resolve::file(root, &plan.destination)? };
    attach(copy.as_fd(), target.as_fd()).map_err(|errno| hints::attach(errno, is_dir, &target))
}

fn new(root: &OwnedFd, plan: &MountPlan, kind: &str, source: &str, label: Option<&str>) -> Result<()> {
    if matches!(kind, "proc" | "sysfs") {
        ordinary(root, plan, kind)?;
    }
    let mut options = plan.options.clone();
    options.data.extend(inherited_mode(root, plan, kind));
    let target = target(root, plan)?;
    let mut attr = own_attr(&plan.options);
    let is_dev = plan.destination == Path::new("/dev");
    let late = is_dev || plan.options.tmpcopyup;
    if late {
        // Read-only when it is filled.
        attr.set &= !attr::RDONLY;
    }
    let Some(mount) =
        detached(kind, source, &options, attr.set, label).map_err(|e| hints::filesystem(e, kind))?
    else {
        return mount_at(&target, kind, source, plan).map_err(|e| hints::filesystem(e, kind));
    };
    if plan.options.tmpcopyup {
        if let Ok(image) =
            open_in_root(root.as_fd(), &relative(&plan.destination), libc::O_RDONLY | libc::O_DIRECTORY)
        {
            copy_tree(&image, &mount).map_err(|e| e.wrap("tmpcopyup"))?;
        }
        if !is_dev && plan.options.set & libc::MS_RDONLY != 0 {
            let attr = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
            set_attr(mount.as_fd(), false, &attr).map_err(|e| hints::attributes(e, attr))?;
        }
    }
    if let Some(attr) = recursive_attr(&plan.options) {
        set_attr(mount.as_fd(), true, &attr).map_err(|e| hints::attributes(e, attr))?;
    }
    attach(mount.as_fd(), target.as_fd()).context(|| "move_mount")
}

/// A tmpfs without a mode of its own gets that of the directory it covers, as in runc.
fn inherited_mode(root: &OwnedFd, plan: &MountPlan, kind: &str) -> Option<String> {
    if kind != "tmpfs" || plan.options.data_value("mode").is_some() {
        return None;
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    let covered = open_in_root(root.as_fd(), &relative(&plan.destination), flags).ok()?;
    let mode = fstat(covered.as_raw_fd()).ok()?.st_mode & 0o7777;
    Some(format!("mode={mode:o}"))
}

/// File systems whose files have SELinux labels of their own, or none.
const UNLABELLED: [&str; 4] = ["proc", "sysfs", "cgroup2", "mqueue"];

/// A detached file system; `None` where only mount(2) takes its options: fsconfig(2) has a limit of
/// 255 bytes for a value, which the directories of an overlay exceed.
fn detached(
    kind: &str,
    source: &str,
    options: &MountOptions,
    attr: u64,
    label: Option<&str>,
) -> Result<Option<OwnedFd>, Errno> {
    if source.len() > 255 || options.data.iter().any(|o| o.len() > 255) {
        return Ok(None);
    }
    // Of the file system and not of the mount, so fsconfig(2) takes them by name.
    const NAMED: [(u64, &str); 4] = [
        (libc::MS_SYNCHRONOUS, "sync"),
        (libc::MS_DIRSYNC, "dirsync"),
        (libc::MS_LAZYTIME, "lazytime"),
        (libc::MS_MANDLOCK, "mand"),
    ];
    let named = NAMED.iter().filter(|(flag, _)| options.set & flag != 0).map(|(_, name)| (*name).to_owned());
    let label = label.filter(|_| !UNLABELLED.contains(&kind)).map(|l| format!("context={l}"));
    let data: Vec<String> = options.data.iter().cloned().chain(named).chain(label).collect();
    new_filesystem(kind, source, &data, attr).map(Some)
}

/// By mount(2), on the descriptor all the same.
fn mount_at(target: &OwnedFd, kind: &str, source: &str, plan: &MountPlan) -> Result<(), Errno> {
    let path = format!("/proc/self/fd/{}", target.as_raw_fd());
    let flags = MsFlags::from_bits_retain(plan.options.set);
    mount(Some(source), path.as_str(), Some(kind), flags, plan.options.data_string().as_deref())
}

/// Changes the propagation of those mounts that ask for it, in the order given. After libcontainer's
/// init, which gives all mounts the propagation of the root and binds that once more.
pub(super) fn set_propagation(mounts: &[MountPlan]) -> Result<()> {
    let mut root = None;
    for (index, plan) in mounts.iter().enumerate().filter(|(_, m)| !m.options.propagation.is_empty()) {
        // What a later mount covers cannot be seen any more, nor where it was in what has moved with it.
        let covered = |later: &MountPlan| plan.destination.starts_with(&later.destination);
        if mounts[index + 1..].iter().any(covered) {
            continue;
        }
        let what = || format!("change the propagation of the mount on {}", plan.destination.display());
        if root.is_none() {
            root = Some(open_root()?);
        }
        let Some(root) = &root else { continue };
        let mount = open_in_root(root.as_fd(), &relative(&plan.destination), libc::O_PATH).context(what)?;
        for flags in &plan.options.propagation {
            let attr = MountAttr { propagation: flags & !libc::MS_REC, ..MountAttr::default() };
            set_attr(mount.as_fd(), flags & libc::MS_REC != 0, &attr).context(what)?;
        }
    }
    Ok(())
}

/// `copy-symlink`: the source's link is made anew. Whether the source is one.
fn copy_link(root: &OwnedFd, plan: &MountPlan, source: &Path) -> Result<bool> {
    let Ok(link) = std::fs::read_link(source) else { return Ok(false) };
    let (Some(parent), Some(name)) = (plan.destination.parent(), plan.destination.file_name()) else {
        return Err(Error::invalid("the destination names no file"));
    };
    let parent = resolve::directory(root, parent)?;
    let at = Some(parent.as_raw_fd());
    match nix::unistd::symlinkat(&link, at, name) {
        Err(Errno::EEXIST) if nix::fcntl::readlinkat(at, name).is_ok_and(|there| link == *there) => Ok(true),
        Err(errno) => Err(hints::make(errno, format!("make the link {:?}", plan.destination))),
        Ok(()) => Ok(true),
    }
}

/// The directory to mount on, made where the image lacks it.
fn target(root: &OwnedFd, plan: &MountPlan) -> Result<OwnedFd> {
    if plan.options.dest_nofollow {
        ordinary(root, plan, "dest-nofollow")?;
    }
    resolve::directory(root, &plan.destination)
}

/// Not by way of a link of the image: what expects a proc at /proc must find it there.
fn ordinary(root: &OwnedFd, plan: &MountPlan, kind: &str) -> Result<()> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let fd = match open_in_root(root.as_fd(), &relative(&plan.destination), flags) {
        Err(Errno::ENOENT) => return Ok(()),
        other => other.context(|| "open the destination")?,
    };
    match fstat(fd.as_raw_fd()).context(|| "stat of the destination")?.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Ok(()),
        _ => Err(Error::invalid(format!(
            "filesystem {kind:?} must be mounted on ordinary directory; the image has a link there"
        ))),
    }
}

/// One directory for each hierarchy in a tmpfs, as the host has them.
fn legacy_cgroup(
    root: &OwnedFd,
    plan: &MountPlan,
    hierarchies: &[(String, PathBuf)],
    links: &[(String, String)],
) -> Result<()> {
    let target = target(root, plan)?;
    let flags = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let tmpfs = new_filesystem("tmpfs", "tmpfs", &["mode=755".to_owned()], flags).context(|| "tmpfs")?;
    let at = Some(tmpfs.as_raw_fd());
    for (name, to) in links {
        nix::unistd::symlinkat(to.as_str(), at, name.as_str()).context(|| format!("symlink {name:?}"))?;
    }
    for (name, _) in hierarchies {
        mkdirat(at, name.as_str(), Mode::from_bits_truncate(0o755)).context(|| format!("mkdir {name:?}"))?;
    }
    attach(tmpfs.as_fd(), target.as_fd()).context(|| "move_mount")?;
    for (name, source) in hierarchies {
        let hierarchy = MountPlan {
            destination: plan.destination.join(name),
            kind: MountKind::Bind(source.clone()),
            options: MountOptions { bind: Some(Bind::Recursive), ..plan.options.clone() },
            idmap: None,
        };
        open_source(&hierarchy).and_then(|tree| bind(root, &hierarchy, &tree)).map_err(|e| e.wrap(name))?;
    }
    let attr = MountAttr { set: own_attr(&plan.options).set, ..MountAttr::default() };
    set_attr(tmpfs.as_fd(), false, &MountAttr { set: attr.set & attr::RDONLY, ..attr })
        .context(|| "read-only")
}
