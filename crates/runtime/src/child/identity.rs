//! Users, groups, capabilities, keyring and label of the container's process.

use std::ffi::CStr;
use std::io::Write;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use pathrs::flags::OpenFlags;
use pathrs::procfs::{ProcfsBase, ProcfsHandle};

use crate::error::{Context, Error, Result, chain};
use crate::plan::Finish;
use crate::report::{Channel, FromChild};
use crate::sys;
use crate::sys::process::CapState;

/// Removes what is not asked for from the bounding set: before the ids change, while CAP_SETPCAP is
/// in force.
pub(super) fn drop_bounding(finish: &Finish) -> Result<()> {
    for capability in 0..=finish.last_capability {
        let wanted = finish.capabilities.bounding & (1 << capability) != 0;
        if wanted {
            continue;
        }
        match sys::process::drop_bounding(capability) {
            // Not there in the first place: nothing to be dropped, and no privilege needed to say so.
            Err(Errno::EPERM) if sys::process::has_bounding(capability) == Ok(false) => {}
            other => {
                other.context(|| format!("process.capabilities.bounding: drop capability {capability}"))?;
            }
        }
    }
    Ok(())
}

/// Becomes the container's user. All permitted capabilities stay, and are in force again.
pub(super) fn change_ids(finish: &Finish) -> Result<()> {
    set_groups(finish)?;
    sys::process::set_keep_capabilities(true).context(|| "prctl(PR_SET_KEEPCAPS)")?;
    let (uid, gid) = (Uid::from_raw(finish.uid), Gid::from_raw(finish.gid));
    let unmapped = |field: &str, id: u32, kind: &str, e: Error| {
        e.wrap(format!("process.user.{kind}: {field}({id})"))
            .remedy(format!("{kind} {id} has to be among the container's {kind} mappings"))
    };
    setresgid(gid, gid, gid).map_err(|e| unmapped("setresgid", finish.gid, "gid", e.into()))?;
    setresuid(uid, uid, uid).map_err(|e| unmapped("setresuid", finish.uid, "uid", e.into()))?;
    sys::process::set_keep_capabilities(false).context(|| "prctl(PR_SET_KEEPCAPS)")?;
    // The change of user took away the capabilities in force, and the parent death signal.
    sys::process::set_parent_death_signal(libc::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")?;
    if finish.uid != 0 {
        let state = sys::process::capabilities().context(|| "capget")?;
        sys::process::set_capabilities(CapState { effective: state.permitted, ..state })
            .context(|| "capset")?;
    }
    Ok(())
}

fn set_groups(finish: &Finish) -> Result<()> {
    let Some(groups) = finish.groups.as_deref().filter(|g| !g.is_empty()) else {
        // The caller's own groups do not belong in the container. Where the kernel keeps them, because
        // the map was written without privilege, they are without effect on ids inside.
        if !finish.keep_groups {
            let _ = setgroups(&[]);
        }
        return Ok(());
    };
    let list: Vec<Gid> = groups.iter().map(|g| Gid::from_raw(*g)).collect();
    setgroups(&list).context(|| format!("process.user.additionalGids: setgroups({groups:?})")).map_err(|e| {
        e.remedy("a map of a single id lets nobody change groups; give the caller ranges in /etc/subgid, or remove them")
    })
}

/// The final capability sets.
pub(super) fn set_capabilities(finish: &Finish, channel: &Channel) -> Result<()> {
    let wanted = &finish.capabilities;
    sys::process::clear_ambient()
        .or_else(|e| if e == Errno::EINVAL { Ok(()) } else { Err(e) })
        .context(|| "prctl")?;
    let state = CapState {
        effective: wanted.effective,
        permitted: wanted.permitted,
        inheritable: wanted.inheritable,
    };
    sys::process::set_capabilities(state).context(|| {
        format!(
            "process.capabilities: capset(effective {:#x}, permitted {:#x}, inheritable {:#x})",
            state.effective, state.permitted, state.inheritable
        )
    })?;
    for capability in (0..=finish.last_capability).filter(|c| wanted.ambient & (1 << c) != 0) {
        if let Err(errno) = sys::process::raise_ambient(capability) {
            channel.send(&FromChild::Warning(format!(
                "process.capabilities.ambient: capability {capability} left out: {errno}"
            )))?;
        }
    }
    Ok(())
}

/// A session keyring of the container's own, which its processes may search; keyrings(7).
pub(super) fn join_keyring(name: &CStr) -> Result<()> {
    let what = || format!("session keyring {name:?}");
    let serial = match join_or_wait(name) {
        // No keyrings in this kernel, or an outer container's seccomp profile without them: there is
        // nothing to be kept apart then.
        Err(Errno::ENOSYS | Errno::EPERM) => return Ok(()),
        Err(Errno::EDQUOT) => {
            return Err(Error::from(Errno::EDQUOT).wrap(what()).remedy(
                "the caller's key quota is used up: raise kernel.keys.maxkeys, or use --no-new-keyring",
            ));
        }
        other => other.context(what)?,
    };
    // linux/keyctl.h: the possessor's all, and the owner may view and search.
    const POSSESSOR_ALL: u32 = 0x3f00_0000;
    const USER_VIEW_SEARCH: u32 = 0x0009_0000;
    sys::process::set_keyring_permissions(serial, POSSESSOR_ALL | USER_VIEW_SEARCH).context(what)
}

/// Keyrings of processes that have ended count until the kernel has collected them: under load the
/// quota may be used up for a moment.
fn join_or_wait(name: &CStr) -> Result<i32, Errno> {
    for _ in 0..100 {
        match sys::process::join_session_keyring(name) {
            Err(Errno::EDQUOT) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return other,
        }
    }
    sys::process::join_session_keyring(name)
}

/// The SELinux label of the program, where SELinux is on.
pub(super) fn set_selinux_label(label: &str) -> Result<()> {
    let what = || format!("process.selinuxLabel: {label:?}");
    let fail = |e: pathrs::error::Error| Error::system(chain(&e)).wrap(what());
    let procfs = ProcfsHandle::new().map_err(fail)?;
    let mut file = procfs
        .open(ProcfsBase::ProcThreadSelf, "attr/exec", OpenFlags::O_WRONLY | OpenFlags::O_CLOEXEC)
        .map_err(fail)?;
    file.write_all(label.as_bytes()).context(what)
}

/// Lets the container's user open its own standard streams again, by /dev/stdin and its kin.
pub(super) fn give_stdio_to(uid: u32) {
    for fd in 0..3 {
        let Ok(stat) = nix::sys::stat::fstat(fd) else { continue };
        let null = stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(1, 3);
        if stat.st_uid == uid || null {
            continue;
        }
        // Best effort: of a stream that belongs to an id that is not mapped, nobody inside can be owner.
        let _ = nix::unistd::fchown(fd, Some(Uid::from_raw(uid)), None);
    }
}
