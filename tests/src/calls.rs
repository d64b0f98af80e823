//! Names and numbers of system calls.

use libseccomp::ScmpSyscall;

/// Those that libseccomp 2.5 does not know; the same numbers on all architectures that are tested (linux/unistd.h).
const NEWER: [(&str, i32); 1] = [("open_tree_attr", 467)];

/// The number of a call.
pub fn number(name: &str) -> Option<ScmpSyscall> {
    let newer = NEWER.iter().find(|(known, _)| *known == name).map(|(_, number)| ScmpSyscall::from(*number));
    newer.or_else(|| ScmpSyscall::from_name(name).ok())
}

/// The name of a call, or its number if it has none that is known.
pub fn name(number: i32) -> String {
    let newer = NEWER.iter().find(|(_, known)| *known == number).map(|(name, _)| (*name).to_owned());
    newer.or_else(|| ScmpSyscall::from(number).get_name().ok()).unwrap_or_else(|| number.to_string())
}
