//! What is enabled on this host: security modules, for which profiles and labels of a process matter, systemd, and
//! RDT.

use std::path::Path;

use super::Host;

impl Host {
    /// Whether AppArmor is enabled, according to the kernel itself, which needs no mount of securityfs.
    pub fn has_apparmor(&self) -> bool {
        self.machine
            .read(Path::new("/sys/module/apparmor/parameters/enabled"))
            .is_ok_and(|text| text.starts_with('Y'))
    }

    /// Whether systemd is the host's init: sd_booted(3).
    pub fn runs_systemd(&self) -> bool {
        self.node(Path::new("/run/systemd/system")).is_ok()
    }

    /// Whether Intel RDT can be used: Documentation/arch/x86/resctrl.rst.
    pub fn has_rdt(&self) -> bool {
        self.node(Path::new("/sys/fs/resctrl/schemata")).is_ok()
    }

    /// Whether SELinux is enabled: its file system is mounted only then; selinux(8).
    pub fn has_selinux(&self) -> bool {
        self.machine.read(Path::new("/sys/fs/selinux/enforce")).is_ok()
    }
}
