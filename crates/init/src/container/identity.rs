//! Users, groups, capabilities, keyring and labels of the container's process.

use std::ffi::CStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use caps::errors::CapsError;
use caps::{CapSet, CapsHashSet};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, open};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rootling_config::remedies::{GROUP_RANGES, UNKNOWN_CONTEXT};
use rootling_sys as sys;

use crate::attributes::Attributes;
use crate::channel::{Channel, FromChild};
use crate::error::{Context, Error, Result, chain};

/// Drops from the bounding set what is not asked for. This happens before the ids change, while CAP_SETPCAP is
/// effective. It goes by number, so that capabilities newer than any library's list are dropped as well.
pub(crate) fn drop_bounding(process: &Attributes) -> Result<()> {
    for capability in 0..64 {
        let wanted = process.capabilities.bounding & (1 << capability) != 0;
        if wanted {
            continue;
        }
        match sys::process::drop_bounding(capability) {
            // It was not in the set to begin with, so nothing has to be dropped and no privilege is needed.
            Err(Errno::EPERM) if sys::process::has_bounding(capability) == Ok(false) => {}
            // The kernel's answer counts, not the last capability that the runtime has found.
            Err(Errno::EINVAL | Errno::EPERM)
                if capability > process.last_capability
                    && sys::process::has_bounding(capability) == Err(Errno::EINVAL) =>
            {
                break;
            }
            other => {
                other.context(|| format!("process.capabilities.bounding: drop capability {capability}"))?;
            }
        }
    }
    Ok(())
}

/// Switches to the container's user. All permitted capabilities are kept, and made effective again.
pub(crate) fn change_ids(process: &Attributes) -> Result<()> {
    set_groups(process)?;
    let keep = |keep| {
        caps::securebits::set_keepcaps(keep).map_err(|e| Error::system(chain(&e)).wrap("PR_SET_KEEPCAPS"))
    };
    keep(true)?;
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    let unmapped = |field: &str, id: u32, kind: &str, e: Error| {
        e.wrap(format!("process.user.{kind}: {field}({id})"))
            .remedy(format!("{kind} {id} has to be among the container's {kind} mappings"))
    };
    setresgid(gid, gid, gid).map_err(|e| unmapped("setresgid", process.gid, "gid", e.into()))?;
    setresuid(uid, uid, uid).map_err(|e| unmapped("setresuid", process.uid, "uid", e.into()))?;
    keep(false)?;
    // The change of user has cleared the effective capabilities and the parent-death signal.
    prctl::set_pdeathsig(Signal::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")?;
    if process.uid != 0 {
        let again =
            caps::read(None, CapSet::Permitted).and_then(|all| caps::set(None, CapSet::Effective, &all));
        again.map_err(|e| Error::system(chain(&e)).wrap("keep the capabilities over the change of user"))?;
    }
    Ok(())
}

fn set_groups(process: &Attributes) -> Result<()> {
    let Some(groups) = process.groups.as_deref().filter(|g| !g.is_empty()) else {
        // The caller's own groups do not belong in the container. Where the kernel keeps them, because the map was
        // written without privilege, they have no effect on ids inside.
        if process.keep_groups {
            return Ok(());
        }
        return match setgroups(&[]) {
            Ok(()) | Err(Errno::EPERM) => Ok(()),
            Err(errno) => Err(errno).context(|| "setgroups([])"),
        };
    };
    let list: Vec<Gid> = groups.iter().map(|g| Gid::from_raw(*g)).collect();
    setgroups(&list).context(|| format!("process.user.additionalGids: setgroups({groups:?})")).map_err(|e| {
        e.remedy(format!("a map of a single id lets nobody change groups; {GROUP_RANGES}, or remove them"))
    })
}

/// Sets the inheritable and the ambient capabilities. What follows can only reduce them.
pub(crate) fn set_ambient(process: &Attributes, channel: &Channel) -> Result<()> {
    let wanted = &process.capabilities;
    let fail = |set: &'static str| {
        move |e: CapsError| Error::system(chain(&e)).wrap(format!("process.capabilities.{set}"))
    };
    caps::clear(None, CapSet::Ambient).map_err(fail("ambient"))?;
    caps::set(None, CapSet::Inheritable, &capabilities(wanted.inheritable)).map_err(fail("inheritable"))?;
    for capability in capabilities(wanted.ambient) {
        // The kernel keeps an ambient capability only if it is both permitted and inheritable: capabilities(7).
        let kept = wanted.permitted & wanted.inheritable & capability.bitmask() != 0;
        if kept {
            caps::raise(None, CapSet::Ambient, capability).map_err(|e| {
                fail("ambient")(e).wrap(format!("can't raise ambient capability {capability}"))
            })?;
        } else {
            channel.send(&FromChild::Warning(format!(
                "process.capabilities.ambient: can't raise ambient capability {capability}: it is not among the \
                 permitted and the inheritable ones"
            )))?;
        }
    }
    Ok(())
}

/// Sets the final capability sets in one call, the only one that a filter has to allow for it.
pub(crate) fn set_capabilities(process: &Attributes) -> Result<()> {
    let wanted = &process.capabilities;
    sys::process::set_capabilities(wanted.effective, wanted.permitted, wanted.inheritable)
        .context(|| "process.capabilities: capset")
        .map_err(|e| {
            if e.is(Errno::EPERM) {
                e.remedy("the caller has not all of them, or the seccomp profile does not allow capset")
            } else {
                e
            }
        })
}

/// Converts a bit set to a set of capabilities.
fn capabilities(bits: u64) -> CapsHashSet {
    caps::all().into_iter().filter(|c| bits & c.bitmask() != 0).collect()
}

/// Joins a session keyring that belongs to the container and that its processes may search; keyrings(7). With the label
/// of the runtime, SELinux would keep the program out of it.
pub(crate) fn join_keyring(name: &CStr, label: Option<&str>) -> Result<()> {
    let what = || format!("session keyring {name:?}");
    if let Some(label) = label {
        // It applies to each key that this thread makes, until it executes the program.
        write_selinux_label("thread-self/attr/keycreate", label)?;
    }
    let serial = match join_or_wait(name) {
        // The kernel has no keyrings, or an outer container's seccomp profile forbids them: there is nothing to keep
        // apart then.
        Err(Errno::ENOSYS | Errno::EPERM) => return Ok(()),
        Err(Errno::EDQUOT) => {
            return Err(Error::from(Errno::EDQUOT).wrap(what()).remedy(
                "the caller's key quota is used up: raise kernel.keys.maxkeys, or use --no-new-keyring; see `rootling doctor`",
            ));
        }
        other => other.context(what)?,
    };
    // linux/keyctl.h: all permissions for the possessor; the owner may view and search.
    const POSSESSOR_ALL: u32 = 0x3f00_0000;
    const USER_VIEW_SEARCH: u32 = 0x0009_0000;
    sys::process::set_keyring_permissions(serial, POSSESSOR_ALL | USER_VIEW_SEARCH).context(what)
}

/// Keyrings of processes that have ended count until the kernel has collected them, so under load the quota may be
/// exhausted for a moment.
fn join_or_wait(name: &CStr) -> Result<i32, Errno> {
    for _ in 0..100 {
        match sys::process::join_session_keyring(name) {
            Err(Errno::EDQUOT) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return other,
        }
    }
    sys::process::join_session_keyring(name)
}

/// The inode number of the root of a procfs, include/linux/proc_fs.h.
const PROC_ROOT_INO: u64 = 1;

/// Sets the SELinux label of the program, where SELinux is enabled.
pub(crate) fn set_selinux_label(label: &str) -> Result<()> {
    write_selinux_label("thread-self/attr/exec", label)
}

fn write_selinux_label(file: &str, label: &str) -> Result<()> {
    write_label(&[file], label).map_err(|e| {
        let unknown = e.is(Errno::EINVAL);
        let e = e.wrap(format!("process.selinuxLabel: {label:?}"));
        if unknown { e.remedy(UNKNOWN_CONTEXT) } else { e }
    })
}

/// Sets the AppArmor profile of a program that joins; libcontainer sets that of the first process. Since Linux 5.8 the
/// module has a directory of its own.
pub(crate) fn set_apparmor_profile(profile: &str) -> Result<()> {
    write_label(&["thread-self/attr/apparmor/exec", "thread-self/attr/exec"], &format!("exec {profile}"))
        .map_err(|e| e.wrap(format!("process.apparmorProfile: {profile:?}")))
}

/// Writes to the first of these files that exists in a mount verified to be a procfs: the container may have covered
/// its own.
fn write_label(files: &[&str], label: &str) -> Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let proc = open("/proc", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/proc\")")?;
    let is_proc = fstatfs(&proc).context(|| "fstatfs(\"/proc\")")?.filesystem_type() == PROC_SUPER_MAGIC;
    let stat = nix::sys::stat::fstat(proc.as_raw_fd()).context(|| "stat(\"/proc\")")?;
    if !is_proc || stat.st_ino != PROC_ROOT_INO {
        return Err(Error::invalid("the container's /proc is not a proc file system"));
    }
    // Nothing that is mounted on top of it, and no link except its own.
    let resolve =
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let mut opened = Err(Errno::ENOENT);
    for file in files {
        opened = sys::mount::openat2(proc.as_fd(), Path::new(file), OFlag::O_WRONLY, resolve);
        if !matches!(opened, Err(Errno::ENOENT)) {
            break;
        }
    }
    let file = opened.context(|| format!("open(\"/proc/{}\")", files[0]))?;
    File::from(file).write_all(label.as_bytes()).context(|| "write")
}

/// Lets the container's user reopen its own standard streams, through /dev/stdin and the like.
pub(crate) fn give_stdio_to(uid: u32) {
    for fd in 0..3 {
        let Ok(stat) = nix::sys::stat::fstat(fd) else { continue };
        let null = sys::file::is_char_device(&stat, sys::file::NULL);
        if stat.st_uid == uid || null {
            continue;
        }
        // Best effort: nobody inside can own a stream that belongs to an unmapped id.
        let _ = nix::unistd::fchown(fd, Some(Uid::from_raw(uid)), None);
    }
}
