//! Flags of bind mounts, which initially are those of their source.
//!
//! As in runc, a bind mount without any flag among its options keeps the flags of the source; with one, it gets exactly
//! what is asked for. In a user namespace, flags of the source may be locked (mount_namespaces(7)); those are kept,
//! unless the options ask for the opposite.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use rootling_config::mounts::MountOptions;
use rootling_config::mounts::table::{ATIME_FLAGS, SWITCHES, Switch};

use rootling_sys::mount::{MS_NODIRATIME, MountAttr, ST_NOATIME, ST_NODIRATIME, ST_RELATIME, attr, set_attr};

use super::flags::access_time;
use super::hints;
use crate::error::{Context, Error, Result};

/// Flags about access times: mount(2) replaces either all of them or none.
const TIMES: u64 = ATIME_FLAGS | MS_NODIRATIME;

/// Sets the flags of a detached bind mount.
pub(crate) fn apply(mount: &OwnedFd, options: &MountOptions) -> Result<()> {
    use std::os::fd::AsFd;
    let Some(wanted) = exact(options) else { return Ok(()) };
    match set_attr(mount.as_fd(), false, &wanted) {
        Err(Errno::EPERM) => {
            let has = rootling_sys::mount::facts_of(mount.as_fd()).context(|| "fstatfs of the source")?;
            let kept = with_locked(wanted, options, has.flags)?;
            set_attr(mount.as_fd(), false, &kept).map_err(|e| hints::attributes(e, kept))
        }
        other => other.map_err(|e| hints::attributes(e, wanted)),
    }
}

/// The attributes that the options ask for, or `None` if there is no flag among them.
pub(crate) fn exact(options: &MountOptions) -> Option<MountAttr> {
    let known = SWITCHES.iter().fold(TIMES, |all, switch| all | switch.ms);
    if (options.set | options.clear) & known == 0 {
        return None;
    }
    let mut wanted = MountAttr::default();
    for Switch { ms, attr, .. } in SWITCHES {
        wanted.clear |= attr;
        if options.set & ms != 0 {
            wanted.set |= attr;
        }
    }
    if options.set & TIMES != 0 {
        wanted.clear |= attr::ATIME | attr::NODIRATIME;
        wanted.set |= access_time(options.set);
        if options.set & MS_NODIRATIME != 0 {
            wanted.set |= attr::NODIRATIME;
        }
    }
    Some(wanted)
}

/// The same together with the flags of the source as reported by statfs(2), which may be locked.
fn with_locked(wanted: MountAttr, options: &MountOptions, has: u64) -> Result<MountAttr> {
    let mut kept = wanted;
    for Switch { name, ms, attr, st, .. } in SWITCHES {
        if has & st == 0 {
            continue;
        }
        if options.clear & ms != 0 {
            return Err(locked(name));
        }
        kept.set |= attr;
    }
    let source = if has & ST_NOATIME != 0 {
        attr::NOATIME
    } else if has & ST_RELATIME != 0 {
        attr::RELATIME
    } else {
        attr::STRICTATIME
    };
    let asked = options.set & ATIME_FLAGS != 0;
    if asked && access_time(options.set) != source {
        return Err(locked("access time setting"));
    }
    kept.clear |= attr::ATIME | attr::NODIRATIME;
    kept.set = (kept.set & !attr::ATIME) | source;
    if has & ST_NODIRATIME != 0 {
        kept.set |= attr::NODIRATIME;
    }
    Ok(kept)
}

fn locked(what: &str) -> Error {
    Error::from(Errno::EPERM).wrap(format!("cannot clear locked flags: {what}")).remedy(format!(
        "operation not permitted to a user namespace, whose mounts keep it: bind something on a mount without \
         {what}, or remove the contrary option"
    ))
}

#[cfg(test)]
mod tests {
    use rootling_sys::mount::{ST_NODEV, ST_NOSUID};

    use super::*;

    const SWITCH_BITS: u64 = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW;

    fn options(words: &str) -> MountOptions {
        let mount = serde_json::json!({
            "destination": "/mnt", "source": "/src", "type": "bind",
            "options": words.split(',').collect::<Vec<_>>(),
        });
        MountOptions::of(&serde_json::from_value(mount).unwrap())
    }

    #[test]
    fn without_a_flag_a_bind_keeps_those_of_its_source() {
        assert_eq!(exact(&options("rbind,rprivate")), None);
    }

    #[test]
    fn with_a_flag_it_has_just_those_that_are_asked_for() {
        for (words, set, clear) in [
            ("bind,ro", attr::RDONLY, SWITCH_BITS),
            ("bind,dev", 0, SWITCH_BITS),
            ("bind,nosuid,noexec", attr::NOSUID | attr::NOEXEC, SWITCH_BITS),
            ("bind,noatime", attr::NOATIME, SWITCH_BITS | attr::ATIME | attr::NODIRATIME),
            ("bind,relatime", 0, SWITCH_BITS | attr::ATIME | attr::NODIRATIME),
            ("bind,nodiratime", attr::NODIRATIME, SWITCH_BITS | attr::ATIME | attr::NODIRATIME),
        ] {
            let wanted = MountAttr { set, clear, ..MountAttr::default() };
            assert_eq!(exact(&options(words)), Some(wanted), "{words}");
        }
    }

    #[test]
    fn locked_flags_stay_unless_the_contrary_is_asked_for() {
        let has = ST_NOSUID | ST_NODEV | ST_RELATIME;
        let with = |words: &str| {
            let options = options(words);
            with_locked(exact(&options).unwrap(), &options, has)
        };
        let kept = with("bind,ro").unwrap();
        assert_eq!(kept.set, attr::RDONLY | attr::NOSUID | attr::NODEV);
        assert!(with("bind,suid").unwrap_err().to_string().contains("nosuid"));
        assert!(with("bind,noatime").unwrap_err().to_string().contains("access time"));
        assert!(with("bind,relatime").is_ok());
    }
}
