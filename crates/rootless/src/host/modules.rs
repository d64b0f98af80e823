//! What is on here: security modules of the kernel, to which profiles and labels of a process mean something, systemd, RDT.

use std::path::Path;

use super::Host;

impl Host {
    /// Whether AppArmor is on: the kernel's own answer, which needs no mount of securityfs.
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

    /// Whether SELinux is on: its file system is mounted only then. selinux(8)
    pub fn has_selinux(&self) -> bool {
        self.machine.read(Path::new("/sys/fs/selinux/enforce")).is_ok()
    }
}
