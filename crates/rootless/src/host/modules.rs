//! Security modules of the kernel, to which profiles and labels of a process mean something.

use std::path::Path;

use super::Host;

impl Host {
    /// Whether AppArmor is on: the kernel's own answer, which needs no mount of securityfs.
    pub fn has_apparmor(&self) -> bool {
        self.machine
            .read(Path::new("/sys/module/apparmor/parameters/enabled"))
            .is_ok_and(|text| text.starts_with('Y'))
    }

    /// Whether SELinux is on: its file system is mounted only then. selinux(8)
    pub fn has_selinux(&self) -> bool {
        self.machine.read(Path::new("/sys/fs/selinux/enforce")).is_ok()
    }
}
