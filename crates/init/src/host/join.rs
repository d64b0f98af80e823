//! Namespaces that are given by path, and those that only a child of the process that makes them is in.
//!
//! They are joined by a process between the runtime and the container, so that the runtime itself never leaves its own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use oci_spec::runtime::LinuxNamespaceType;
use rootling_config::namespaces::{Namespace, NamespaceSet, clone_flag, name};
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned};

use super::ChildEnd;
use crate::attributes::set_oom_score;
use crate::blueprint::Blueprint;
use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Error, Result, no_clone};
use crate::ordinary::{become_root, begin, die_with_runtime};

/// Whether an intermediate process is needed at all.
pub fn needed(namespaces: &NamespaceSet) -> bool {
    namespaces.time.is_new() || joined(namespaces).next().is_some()
}

/// All namespaces that are joined, except for the mount namespace, which comes last.
fn joined(namespaces: &NamespaceSet) -> impl Iterator<Item = (LinuxNamespaceType, &Path)> {
    namespaces.joined().filter(|(kind, _)| *kind != LinuxNamespaceType::Mount)
}

/// The namespaces that must be made by the clone itself: only a child enters a new pid namespace, and the user
/// namespace comes first, since it owns the others. The child unshares the rest.
pub fn own_flags(namespaces: &NamespaceSet) -> CloneFlags {
    let flag = |namespace: &Namespace, flag| if namespace.is_new() { flag } else { CloneFlags::empty() };
    flag(&namespaces.user, CloneFlags::CLONE_NEWUSER) | flag(&namespaces.pid, CloneFlags::CLONE_NEWPID)
}

/// Whether the intermediate process makes the user namespace: a time namespace belongs to the one that its creator is
/// in.
pub fn makes_user_namespace(namespaces: &NamespaceSet) -> bool {
    namespaces.time.is_new() && namespaces.user.is_new()
}

/// The intermediate process: joins the namespaces, clones the container's first process as its own sibling, and exits.
/// This is only for the child of a clone, and never returns. The arguments are those of [`super::run`].
pub fn run(end: ChildEnd<'_>, parent_fds: &[RawFd], blueprint: &Blueprint) -> ! {
    for fd in parent_fds {
        let _ = nix::unistd::close(*fd);
    }
    let channel = &end.channel;
    match crate::log::without(channel.as_raw_fd(), || join_and_clone(channel, blueprint)) {
        Ok(true) => super::run(end, &[], blueprint),
        Ok(false) => sys::exec::exit_now(0),
        Err(error) => {
            channel.send_failure(error);
            sys::exec::exit_now(1)
        }
    }
}

/// Returns whether this process is the container's first one.
fn join_and_clone(channel: &Channel, blueprint: &Blueprint) -> Result<bool> {
    begin()?;
    if blueprint.is_seen_by_others() {
        if let Some(score) = blueprint.process.oom_score_adj {
            // The runtime can no longer write it once this process is not dumpable.
            if let Some(warning) = set_oom_score("self", score)? {
                channel.send(&FromChild::Warning(warning))?;
            }
        }
        // Before any process in a namespace that is joined can look at this one or its child.
        prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    join_all(blueprint, channel)?;
    let refused = |errno| no_clone(errno, &blueprint.namespaces);
    let namespaces = own_flags(&blueprint.namespaces);
    let namespaces = if makes_user_namespace(&blueprint.namespaces) {
        namespaces - CloneFlags::CLONE_NEWUSER
    } else {
        namespaces
    };
    if blueprint.is_seen_by_others() {
        // The change of ids may have made the process dumpable again: proc(5), /proc/sys/fs/suid_dumpable.
        prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    die_with_runtime()?;
    let options = CloneOptions { namespaces, sibling: true, ..CloneOptions::default() };
    match sys::clone::clone(options).map_err(refused)? {
        Cloned::Child => Ok(true),
        Cloned::Parent { pid, .. } => channel.send(&FromChild::Cloned(pid)).map(|()| false),
    }
}

fn join_all(blueprint: &Blueprint, channel: &Channel) -> Result<()> {
    let namespaces = &blueprint.namespaces;
    let mut waiting = Vec::new();
    for (kind, path) in joined(namespaces) {
        // All files are opened before any namespace is joined: a path may mean something else, or nothing, in the next
        // one.
        let file = File::open(path).context(|| format!("{} namespace {path:?}", name(kind)))?;
        waiting.push((kind, path, file));
    }
    // First joins what the caller's own privilege permits. A user namespace in the list may give privilege over the
    // others, and takes away the privilege over what is outside of it.
    let mut refused = Vec::new();
    for entry in waiting.iter().filter(|e| e.0 != LinuxNamespaceType::User) {
        match enter(entry.0, &entry.2) {
            Err(Errno::EPERM) => refused.push(entry),
            other => other.context(|| describe(entry.0, entry.1))?,
        }
    }
    if let Some((kind, path, file)) = waiting.iter().find(|e| e.0 == LinuxNamespaceType::User) {
        enter(*kind, file).context(|| describe(*kind, path))?;
        time_namespace(blueprint)?;
        be_root_unless_rootless(blueprint);
    }
    for (kind, path, file) in refused {
        enter(*kind, file).context(|| describe(*kind, path)).map_err(|e| {
            e.remedy(
                "the caller has no privilege over the user namespace that owns it; join that one as well",
            )
        })?;
    }
    if makes_user_namespace(namespaces) {
        let refused = |errno| no_clone(errno, namespaces);
        unshare(CloneFlags::CLONE_NEWUSER).map_err(refused)?;
        channel.send(&FromChild::NeedsMaps)?;
        let Some(ToChild::Begin(_)) = channel.receive()? else {
            return Err(Error::system("the runtime has ended"));
        };
        time_namespace(blueprint)?;
        be_root_unless_rootless(blueprint);
    }
    if !namespaces.user.is_set() {
        time_namespace(blueprint)?;
    }
    Ok(())
}

fn describe(kind: LinuxNamespaceType, path: &Path) -> String {
    format!("setns({path:?}, {})", name(kind))
}

fn enter(kind: LinuxNamespaceType, file: &File) -> Result<(), Errno> {
    setns(file.as_fd(), clone_flag(kind))
}

/// An ordinary user remains the caller for now: the sources of mounts are opened as the caller.
fn be_root_unless_rootless(blueprint: &Blueprint) {
    if !blueprint.rootless {
        // If the user namespace has no root, files that belong to its users are inaccessible.
        let _ = become_root();
    }
}

/// Makes a new time namespace if one is asked for. This happens inside the user namespace that is to own it, and before
/// the ids change, after which the process may not write to its own files in /proc.
fn time_namespace(blueprint: &Blueprint) -> Result<()> {
    if blueprint.namespaces.time.is_new() { new_time_namespace(blueprint) } else { Ok(()) }
}

/// Makes a time namespace with its offsets, which can be set only before the first process is in it;
/// time_namespaces(7).
fn new_time_namespace(blueprint: &Blueprint) -> Result<()> {
    unshare(sys::namespace::CLONE_NEWTIME).context(|| "unshare(CLONE_NEWTIME)")?;
    if blueprint.time_offsets.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for (clock, offset) in &blueprint.time_offsets {
        let (secs, nanosecs) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        let _ = writeln!(text, "{clock} {secs} {nanosecs}");
    }
    let path = "/proc/self/timens_offsets";
    let write = || File::options().write(true).open(path)?.write_all(text.as_bytes());
    write().context(|| format!("linux.timeOffsets: write({path:?}, {:?})", text.trim_end())).map_err(
        |e: Error| {
            e.remedy("offsets of a time namespace need CAP_SYS_TIME over the user namespace that owns it")
        },
    )
}
