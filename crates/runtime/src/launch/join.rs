//! Namespaces given by path, and those that only a child of the one who asks for them is in.
//!
//! They are joined in a process between the runtime and the container, so that the runtime itself
//! never leaves its own.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::LinuxNamespaceType;
use rootling_config::namespaces::{NamespaceSet, clone_flag, name};

use super::clone::clone;
use super::maps::clone_error;
use crate::child::{self, ChildContext};
use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::report::FromChild;
use crate::sys;
use crate::sys::clone::{CloneOptions, Cloned};

/// Whether a process in between is needed at all.
pub(super) fn needed(namespaces: &NamespaceSet) -> bool {
    namespaces.time.is_new() || joined(namespaces).next().is_some()
}

/// All that are joined but the mount namespace, into which libcontainer goes last.
fn joined(namespaces: &NamespaceSet) -> impl Iterator<Item = (LinuxNamespaceType, &std::path::Path)> {
    namespaces.joined().filter(|(kind, _)| *kind != LinuxNamespaceType::Mount)
}

/// The process in between: joins, clones the container's first process as its own sibling, and ends.
pub(super) fn run(plan: &Plan, namespaces: u64, context: &Rc<ChildContext>) -> ! {
    context.close_in_child();
    let result = sys::process::set_parent_death_signal(libc::SIGKILL)
        .context(|| "prctl(PR_SET_PDEATHSIG)")
        .and_then(|()| join_all(plan, context))
        .and_then(|()| {
            clone(CloneOptions { namespaces: left(plan, namespaces), cgroup: None, sibling: true }, plan)
        });
    match result {
        Ok(Cloned::Child) => child::run(context),
        Ok(Cloned::Parent { pid, .. }) => {
            context.tell(&FromChild::Cloned(pid));
            sys::exec::exit_now(0)
        }
        Err(error) => {
            context.tell(&FromChild::Failed(error));
            sys::exec::exit_now(1)
        }
    }
}

/// Whether the intermediate process makes the user namespace: a time namespace belongs to the one that
/// its maker is in.
pub(super) fn makes_user_namespace(plan: &Plan) -> bool {
    plan.namespaces.time.is_new() && plan.namespaces.user.is_new()
}

/// What is still to be made at the clone.
fn left(plan: &Plan, namespaces: u64) -> u64 {
    if makes_user_namespace(plan) { namespaces & !(libc::CLONE_NEWUSER as u64) } else { namespaces }
}

fn join_all(plan: &Plan, context: &ChildContext) -> Result<()> {
    let mut waiting = Vec::new();
    for (kind, path) in joined(&plan.namespaces) {
        // Before any is joined: a path may mean something else, or nothing, in the next one.
        let file = File::open(path).context(|| format!("{} namespace {path:?}", name(kind)))?;
        waiting.push((kind, path, file));
    }
    // What the caller's own privilege reaches is joined with it; a user namespace of the list may give
    // the privilege for the others, and takes away the one over what is outside of it.
    let mut refused = Vec::new();
    for entry in waiting.iter().filter(|e| e.0 != LinuxNamespaceType::User) {
        match enter(entry.0, &entry.2) {
            Err(Errno::EPERM) => refused.push(entry),
            other => other.context(|| describe(entry.0, entry.1))?,
        }
    }
    if let Some((kind, path, file)) = waiting.iter().find(|e| e.0 == LinuxNamespaceType::User) {
        enter(*kind, file).context(|| describe(*kind, path))?;
        time_namespace(plan)?;
        become_root();
    }
    for (kind, path, file) in refused {
        enter(*kind, file).context(|| describe(*kind, path)).map_err(|e| {
            e.remedy(
                "the caller has no privilege over the user namespace that owns it; join that one as well",
            )
        })?;
    }
    if makes_user_namespace(plan) {
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| clone_error(errno, true))?;
        if !context.ask_for_maps()? {
            return Err(Error::system("the runtime has ended"));
        }
        time_namespace(plan)?;
        become_root();
    }
    if !plan.namespaces.user.is_set() {
        time_namespace(plan)?;
    }
    Ok(())
}

fn describe(kind: LinuxNamespaceType, path: &std::path::Path) -> String {
    format!("setns({path:?}, {})", name(kind))
}

fn enter(kind: LinuxNamespaceType, file: &File) -> Result<(), Errno> {
    setns(file.as_fd(), CloneFlags::from_bits_retain(clone_flag(kind) as i32))
}

/// Root of the joined user namespace, where it has one: otherwise files that belong to its users
/// could not be reached.
fn become_root() {
    let _ = nix::unistd::setgid(nix::unistd::Gid::from_raw(0));
    let _ = nix::unistd::setuid(nix::unistd::Uid::from_raw(0));
}

/// A new time namespace, if it is asked for: in the user namespace that is to own it, and before the ids
/// change, which takes from the process the right to its own files in /proc.
fn time_namespace(plan: &Plan) -> Result<()> {
    if plan.namespaces.time.is_new() { new_time_namespace(plan) } else { Ok(()) }
}

/// A time namespace with its offsets; they can be set only before the first process is in it,
/// time_namespaces(7).
fn new_time_namespace(plan: &Plan) -> Result<()> {
    unshare(CloneFlags::from_bits_retain(libc::CLONE_NEWTIME)).context(|| "unshare(CLONE_NEWTIME)")?;
    let Some(offsets) = plan.time_offsets.as_ref().filter(|o| !o.is_empty()) else { return Ok(()) };
    let mut text = String::new();
    for (clock, offset) in offsets {
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
