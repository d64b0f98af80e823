//! New file systems, detached. Most are made while the host is visible: an unprivileged procfs or sysfs is allowed only
//! if another one is visible (mount_namespaces(7)), and the directories of an overlay are the host's.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use rootling_sys as sys;
use rootling_sys::mount::{
    MS_DIRSYNC, MS_LAZYTIME, MS_MANDLOCK, MS_SYNCHRONOUS, MountAttr, Refused, attr, new_filesystem,
    open_in_root, set_attr,
};
use rootling_sys::path::relative;

use super::flags::{own_attr, recursive_attr};
use super::hints;
use super::prepared::Prepared;
use crate::blueprint::{MountKind, MountPlan};
use crate::error::{Context, Error, Result};

/// File systems whose files have SELinux labels of their own, or none, as in runc. Message queues get theirs when they are
/// mounted.
const UNLABELLED: [&str; 4] = ["proc", "sysfs", "cgroup2", MESSAGE_QUEUES];

const MESSAGE_QUEUES: &str = "mqueue";

fn has_label(kind: &str) -> bool {
    !UNLABELLED.contains(&kind)
}

/// The longest value that fsconfig(2) accepts, in bytes; the directories of an overlay may need more, which mount(2)
/// accepts.
const LONGEST: usize = 255;

/// Makes a file system with the attributes of the mount, unless only mount(2) accepts its options.
pub(crate) fn new(plan: &MountPlan, kind: &str, source: &str, label: Option<&str>) -> Result<Prepared> {
    if source.len() > LONGEST || plan.options.data.iter().any(|o| o.len() > LONGEST) {
        return Ok(Prepared::ByMount2(plan.clone(), None));
    }
    let attr = own_attr(&plan.options).set;
    let label_of_root = label.filter(|_| kind == MESSAGE_QUEUES);
    // A read-only mount would refuse it.
    let late = if label_of_root.is_some() { attr & attr::RDONLY } else { 0 };
    let tree = match create(plan, kind, source, None, attr & !late, label) {
        Ok(tree) => tree,
        Err(refused) if is_for_its_comma(&refused) => {
            return Ok(Prepared::ByMount2(plan.clone(), Some(refused)));
        }
        Err(refused) => return Err(explained(refused, kind, label)),
    };
    if let Some(label) = label_of_root {
        set_label(&tree, label)?;
        let attr = MountAttr { set: late, ..MountAttr::default() };
        set_attr(tree.as_fd(), false, &attr).map_err(|e| hints::attributes(e, attr))?;
    }
    finish(plan, &tree)?;
    Ok(Prepared::Tree(tree))
}

/// Whether this may be the kernel's own parser for file systems that have none for fsconfig(2), such as overlay before Linux
/// 6.5: that parser puts the options together for the file system as mount(2) does, and accepts no comma in one.
fn is_for_its_comma(refused: &Refused) -> bool {
    refused.errno == Errno::EINVAL && refused.option.as_ref().is_some_and(|option| option.contains(','))
}

/// The options as the data of mount(2).
pub(crate) fn data_of_mount2(plan: &MountPlan, kind: &str, label: Option<&str>) -> Option<String> {
    // Levels contain commas; in quotes, they are part of the label.
    let context = label.filter(|_| has_label(kind)).map(|label| format!("context=\"{label}\""));
    let data: Vec<String> = plan.options.data.iter().cloned().chain(context).collect();
    (!data.is_empty()).then(|| data.join(","))
}

/// Gives the root of a file system a label. What is made in it gets that of its maker, by the policy.
fn set_label(tree: &OwnedFd, label: &str) -> Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(Some(tree.as_raw_fd()), ".", flags, Mode::empty()).map(sys::fds::adopt);
    root.and_then(|root| sys::file::set_attribute_of(root.as_fd(), c"security.selinux", label.as_bytes()))
        .map_err(|errno| hints::mount_label(errno.into(), errno, label))
}

/// Makes a tmpfs; `mode` is an option that is added to those of the mount.
pub(crate) fn tmpfs(
    plan: &MountPlan,
    mode: Option<String>,
    attr: u64,
    label: Option<&str>,
) -> Result<OwnedFd> {
    let source = match &plan.kind {
        MountKind::New { source, .. } => source,
        _ => "tmpfs",
    };
    create(plan, "tmpfs", source, mode, attr, label).map_err(|refused| explained(refused, "tmpfs", label))
}

/// Sets the attributes that apply to the whole tree.
pub(crate) fn finish(plan: &MountPlan, tree: &OwnedFd) -> Result<()> {
    match recursive_attr(&plan.options) {
        Some(attr) => set_attr(tree.as_fd(), true, &attr).map_err(|e| hints::attributes(e, attr)),
        None => Ok(()),
    }
}

fn create(
    plan: &MountPlan,
    kind: &str,
    source: &str,
    mode: Option<String>,
    attr: u64,
    label: Option<&str>,
) -> Result<OwnedFd, Refused> {
    // These are flags of the file system and not of the mount, so fsconfig(2) takes them by name.
    const NAMED: [(u64, &str); 4] =
        [(MS_SYNCHRONOUS, "sync"), (MS_DIRSYNC, "dirsync"), (MS_LAZYTIME, "lazytime"), (MS_MANDLOCK, "mand")];
    let set = plan.options.set;
    let named = NAMED.iter().filter(|(flag, _)| set & flag != 0).map(|(_, name)| (*name).to_owned());
    let label = label.filter(|_| has_label(kind)).map(context);
    let data: Vec<String> = plan.options.data.iter().cloned().chain(mode).chain(named).chain(label).collect();
    new_filesystem(kind, source, &data, attr)
}

fn context(label: &str) -> String {
    format!("context={label}")
}

/// The error for a file system that was refused, which may be because of its label.
pub(crate) fn explained(refused: Refused, kind: &str, label: Option<&str>) -> Error {
    match label {
        Some(label) if refused.option.as_ref() == Some(&context(label)) => {
            let errno = refused.errno;
            hints::mount_label(refused.into(), errno, label)
        }
        _ => hints::filesystem(refused, kind),
    }
}

/// Whether a tmpfs cannot be made before the mounts that precede it are attached.
pub(crate) fn depends_on_place(plan: &MountPlan) -> bool {
    plan.options.tmpcopyup || plan.options.data_value("mode").is_none() || plan.is_at("/dev")
}

/// A tmpfs without a mode option gets the mode of the directory that it covers, as in runc.
pub(crate) fn inherited_mode(root: &OwnedFd, plan: &MountPlan) -> Result<Option<String>> {
    if plan.options.data_value("mode").is_some() {
        return Ok(None);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let mode = match open_in_root(root.as_fd(), &relative(&plan.destination), flags) {
        Ok(covered) => fstat(covered.as_raw_fd()).context(|| "stat of the destination")?.st_mode & 0o7777,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno).context(|| "open the destination"),
    };
    Ok(Some(format!("mode={mode:o}")))
}

/// The tmpfs in which the hierarchies of cgroup v1 are mounted.
pub(crate) fn for_hierarchies(label: Option<&str>) -> Result<OwnedFd> {
    let flags = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    own_tmpfs(&["mode=755"], flags, label).map_err(|e| e.wrap("tmpfs"))
}

/// Makes an empty, read-only, detached file system.
pub(crate) fn new_empty(label: Option<&str>) -> Result<OwnedFd> {
    let flags = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    own_tmpfs(&["nr_blocks=1", "nr_inodes=1"], flags, label)
}

/// A tmpfs that is none of the container's mounts.
fn own_tmpfs(options: &[&str], attr: u64, label: Option<&str>) -> Result<OwnedFd> {
    let data: Vec<String> = options.iter().map(ToString::to_string).chain(label.map(context)).collect();
    new_filesystem("tmpfs", "tmpfs", &data, attr).map_err(|refused| explained(refused, "tmpfs", label))
}
