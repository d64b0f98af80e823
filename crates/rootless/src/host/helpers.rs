//! Finds newuidmap and newgidmap, and checks that they have the privilege without which they cannot work.

use std::path::{Path, PathBuf};

use rootling_sys::mount::ST_NOSUID;

use super::Host;
use rootling_config::idmap::IdKind;

/// Whether a helper can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdHelper {
    /// It can be used.
    Usable(PathBuf),
    /// It cannot be used, for this reason.
    Unusable(Fault),
}

/// Why a helper cannot write a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not installed.
    Missing,
    /// It has neither the set-user-id bit (with root as the owner) nor the file capability that it needs.
    Unprivileged(PathBuf),
    /// It is on a mount with nosuid, which disables both; mount(8).
    Nosuid(PathBuf),
    /// The caller has `no_new_privs` set, which disables both; prctl(2).
    NoNewPrivs(PathBuf),
}

impl Fault {
    /// What is wrong.
    pub fn describe(&self, kind: IdKind) -> String {
        let name = kind.helper();
        match self {
            Self::Missing => format!("{name} is not installed"),
            Self::Unprivileged(path) => {
                format!("{} has neither the set-user-id bit nor cap_set{kind}", path.display())
            }
            Self::Nosuid(path) => {
                format!("{} is on a mount with nosuid, where it has no privilege", path.display())
            }
            Self::NoNewPrivs(path) => {
                format!("{} has no privilege, since this process has no_new_privs set", path.display())
            }
        }
    }
}

/// `CAP_SETGID`, capabilities(7).
const CAP_SETGID: u32 = 6;
/// `CAP_SETUID`, capabilities(7).
const CAP_SETUID: u32 = 7;
/// `S_ISUID`, inode(7).
const SET_UID: u32 = 0o4000;

pub(super) fn find(host: &Host, kind: IdKind) -> IdHelper {
    let Some(path) = host.find_program(kind.helper()) else { return IdHelper::Unusable(Fault::Missing) };
    if !is_privileged(host, kind, &path) {
        return IdHelper::Unusable(Fault::Unprivileged(path));
    }
    if host.filesystem(&path).is_ok_and(|fs| fs.flags & ST_NOSUID != 0) {
        return IdHelper::Unusable(Fault::Nosuid(path));
    }
    if host.machine().no_new_privs() {
        return IdHelper::Unusable(Fault::NoNewPrivs(path));
    }
    IdHelper::Usable(path)
}

fn is_privileged(host: &Host, kind: IdKind, path: &Path) -> bool {
    // Inside a user namespace, a file of the host's root appears to be owned by the overflow id, and its bit has no
    // effect. So the owner must be checked as well.
    if host.node(path).is_ok_and(|node| node.mode & SET_UID != 0 && node.uid == 0) {
        return true;
    }
    let bit = match kind {
        IdKind::User => CAP_SETUID,
        IdKind::Group => CAP_SETGID,
    };
    host.machine().file_capabilities(path).is_some_and(|raw| raises(&raw, bit))
}

/// Parses `struct vfs_cap_data` of linux/capability.h, revision 2 or 3: a magic word with the effective flag in its
/// lowest bit, then the lower half of the permitted set, little-endian.
fn raises(raw: &[u8], bit: u32) -> bool {
    let word =
        |at: usize| raw.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    word(0) & 1 != 0 && word(4) & (1 << bit) != 0
}

#[cfg(test)]
mod tests {
    use super::super::Fixture;
    use super::*;

    const CAP_SETUID_EP: [u8; 20] = [1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn look(machine: Fixture) -> IdHelper {
        Host::on(machine).id_helper(IdKind::User).clone()
    }

    #[test]
    fn helper_needs_its_privilege() {
        let path = PathBuf::from("/usr/bin/newuidmap");
        let user = || Fixture::ordinary(1000);
        let setuid = || user().program("/usr/bin/newuidmap", 0o4755);
        let plain = || user().program("/usr/bin/newuidmap", 0o755);
        let unusable = |fault: fn(PathBuf) -> Fault| IdHelper::Unusable(fault(path.clone()));
        for (name, machine, wanted) in [
            ("absent", user(), IdHelper::Unusable(Fault::Missing)),
            ("set-user-id", setuid(), IdHelper::Usable(path.clone())),
            ("neither", plain(), unusable(Fault::Unprivileged)),
            (
                "capability",
                plain().xattr("/usr/bin/newuidmap", &CAP_SETUID_EP),
                IdHelper::Usable(path.clone()),
            ),
            ("short attribute", plain().xattr("/usr/bin/newuidmap", &[1]), unusable(Fault::Unprivileged)),
            ("no_new_privs", setuid().no_new_privs(), unusable(Fault::NoNewPrivs)),
            ("nosuid mount", setuid().mount_flags("/usr/bin/newuidmap", ST_NOSUID), unusable(Fault::Nosuid)),
            (
                "owned by nobody",
                user().program_of("/usr/bin/newuidmap", 0o4755, 65534),
                unusable(Fault::Unprivileged),
            ),
        ] {
            assert_eq!(look(machine), wanted, "{name}");
        }
    }

    #[test]
    fn capability_of_the_other_helper_does_not_help() {
        assert!(raises(&CAP_SETUID_EP, CAP_SETUID));
        assert!(!raises(&CAP_SETUID_EP, CAP_SETGID));
        let mut not_effective = CAP_SETUID_EP;
        not_effective[0] = 0;
        assert!(!raises(&not_effective, CAP_SETUID));
    }
}
