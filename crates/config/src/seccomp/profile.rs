//! What can be determined about a profile without compiling it.

use libseccomp::ScmpArch;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSyscall};

/// Why a profile was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeccompError {
    /// The default action is to notify, so nobody would be left to answer: the runtime itself runs under the filter
    /// until it executes the container's process.
    #[error("linux.seccomp: SCMP_ACT_NOTIFY cannot be used {0}; use another action there")]
    NotifyEverything(&'static str),
    /// Notifications without a listener, which would block the process forever.
    #[error("linux.seccomp: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath; set it to the agent's socket")]
    NoListener,
    /// A rule that names no system call.
    #[error(
        "linux.seccomp.syscalls[{0}].names: is empty, so that the rule would have no effect; name system calls, or remove the rule"
    )]
    NoNames(usize),
    /// A rule for a system call without a name.
    #[error("linux.seccomp.syscalls[{0}].names: an empty string is not a system call; remove it")]
    EmptyName(usize),
    /// A condition on an argument that system calls do not have.
    #[error("linux.seccomp.syscalls[{rule}].args: index {index}: system calls have arguments 0 to 5")]
    ArgumentIndex {
        /// Position of the rule, from 0.
        rule: usize,
        /// The index given.
        index: usize,
    },
    /// The running kernel is too old for a flag.
    #[error("linux.seccomp.flags: {flag} needs Linux {since}, this is {release}; remove it")]
    FlagNotSupported {
        /// The flag.
        flag: LinuxSeccompFilterFlag,
        /// First release that knows it.
        since: &'static str,
        /// The running one.
        release: String,
    },
    /// libseccomp does not know the architecture.
    #[error("linux.seccomp.architectures: {arch}: {reason}; remove it")]
    Architecture {
        /// The architecture.
        arch: Arch,
        /// What libseccomp says.
        reason: String,
    },
    /// libseccomp refuses a rule.
    #[error(
        "linux.seccomp: rule for {syscall} with {action}: {reason}; look for rules that contradict each other"
    )]
    Rule {
        /// The system call.
        syscall: String,
        /// The action.
        action: LinuxSeccompAction,
        /// What libseccomp says.
        reason: String,
    },
    /// Any other failure of libseccomp.
    #[error("linux.seccomp: {action}: {reason}")]
    Library {
        /// What was being done.
        action: &'static str,
        /// What libseccomp or the kernel says.
        reason: String,
    },
    /// More instructions than the kernel loads.
    #[error(
        "linux.seccomp: the program has {0} instructions; the kernel takes at most 4096, use fewer rules"
    )]
    TooLong(usize),
    /// The profile certainly needs more instructions than the kernel loads.
    #[error(
        "linux.seccomp: the program has at least {0} instructions; the kernel takes at most 4096, use fewer rules"
    )]
    TooManyRules(usize),
    /// libseccomp does not terminate for some rules.
    #[error(
        "linux.seccomp: libseccomp has not compiled the profile within {0} s: give each argument of a system call \
         fewer or simpler conditions, or use fewer rules"
    )]
    TooSlow(u64),
}

/// libseccomp's value for an architecture: both sides use the same names.
pub(super) fn scmp_arch(arch: Arch) -> Result<ScmpArch, libseccomp::error::SeccompError> {
    arch.to_string().parse()
}

/// The rules of a profile.
pub(super) fn rules(profile: &LinuxSeccomp) -> &[LinuxSyscall] {
    profile.syscalls().as_deref().unwrap_or_default()
}

/// Whether the profile is the typed form of an empty object, which allows everything and says nothing else. No filter
/// is loaded then.
pub fn is_off(profile: &LinuxSeccomp) -> bool {
    profile.default_action() == LinuxSeccompAction::ScmpActAllow
        && rules(profile).is_empty()
        && profile.architectures().as_deref().unwrap_or_default().is_empty()
        && profile.flags().as_deref().unwrap_or_default().is_empty()
}

/// Whether the listener at `listenerPath` decides any system call.
pub fn notifies(profile: &LinuxSeccomp) -> bool {
    rules(profile)
        .iter()
        .any(|rule| rule.action() == LinuxSeccompAction::ScmpActNotify && !rule.names().is_empty())
}

/// Checks a profile for errors that can be found without libseccomp.
///
/// # Errors
/// [`SeccompError`] for the first rule that is broken.
pub fn check(profile: &LinuxSeccomp) -> Result<(), SeccompError> {
    if profile.default_action() == LinuxSeccompAction::ScmpActNotify {
        return Err(SeccompError::NotifyEverything("as default action"));
    }
    for (index, rule) in rules(profile).iter().enumerate() {
        if rule.names().is_empty() {
            return Err(SeccompError::NoNames(index));
        }
        if rule.names().iter().any(String::is_empty) {
            return Err(SeccompError::EmptyName(index));
        }
        if let Some(arg) = rule.args().iter().flatten().find(|arg| arg.index() > 5) {
            return Err(SeccompError::ArgumentIndex { rule: index, index: arg.index() });
        }
        // The listener's descriptor is announced with a write(2) that already runs under the filter.
        let write = || rule.names().iter().any(|name| name == "write");
        if rule.action() == LinuxSeccompAction::ScmpActNotify && write() {
            return Err(SeccompError::NotifyEverything("for the write syscall"));
        }
    }
    let listener = profile.listener_path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    if notifies(profile) && !listener { Err(SeccompError::NoListener) } else { Ok(()) }
}
