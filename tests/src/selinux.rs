//! SELinux on this machine, and the labels that tests give with it.

use std::fs;
use std::path::Path;

use crate::{Bundle, Test, skip};

/// The context of a program in a container: the type is of the policy's module `container`, and the level is one that
/// the tests' files on the host do not have.
pub const PROGRAM: &str = "system_u:system_r:container_t:s0:c4,c5";

/// The context of files that such a program may use.
pub const FILES: &str = "system_u:object_r:container_file_t:s0:c4,c5";

/// What a machine with SELinux does.
#[derive(Clone, Copy, Debug)]
pub struct Selinux {
    /// Whether what the policy does not allow is refused, or only logged.
    pub enforcing: bool,
}

impl Selinux {
    /// `None`, with the reason printed, if SELinux is not enabled.
    pub fn here() -> Option<Self> {
        let Ok(text) = fs::read_to_string("/sys/fs/selinux/enforce") else {
            skip("SELinux is not enabled here");
            return None;
        };
        Some(Self { enforcing: text.trim() == "1" })
    }

    /// The same, if the policy is enforced.
    pub fn enforcing() -> Option<Self> {
        let here = Self::here()?;
        if !here.enforcing {
            skip("the policy of SELinux is not enforced here");
            return None;
        }
        Some(here)
    }
}

/// Gives a file, or a directory and everything in it, a context, as the account.
pub fn label(t: &Test, path: &Path, context: &str) {
    t.command("chcon").args(&["-R", "-h", context]).arg(path).output().ok();
}

/// A bundle whose files a program with the context [`PROGRAM`] may use, and whose program gets it. It has to be the first
/// thing that gets labels in a test, as it gives them to whatever the test has already made.
pub fn confined(t: &Test, args: &[&str]) -> Bundle {
    // What is made here from now on gets the same type, such as the file that keeps the program's output: if the policy is
    // enforced, a program loses the streams that it may not use.
    label(t, &t.path(""), "system_u:object_r:container_file_t:s0");
    let mut bundle = t.bundle(args);
    t.with_probe(&bundle);
    label(t, &bundle.rootfs(""), FILES);
    bundle.set("/process/selinuxLabel", PROGRAM.into());
    bundle
}
