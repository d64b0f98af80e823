//! What an outer container has to do with a failure: its rules refuse calls that the kernel would allow.

use nix::errno::Errno;
use rootling_rootless::host::{Host, Restriction};

use crate::error::{Error, ErrorKind};

/// The errors with which rules refuse, as they stand in messages.
const REFUSALS: [(Errno, &str); 3] =
    [(Errno::EACCES, "EACCES: "), (Errno::EPERM, "EPERM: "), (Errno::ENOSYS, "ENOSYS: ")];

/// What is in force and can refuse a call with this error, and how to start the outer container without.
pub(super) fn advice(found: &[Restriction], errno: Errno) -> Option<String> {
    // Filters are asked first, so that EACCES is of what comes behind them.
    let refuses = |restriction: &&Restriction| match restriction {
        Restriction::AppArmorProfile(_) => true,
        Restriction::SeccompFilter => errno != Errno::EACCES,
        _ => false,
    };
    let all: Vec<_> = found.iter().filter(refuses).map(Restriction::advice).collect();
    (!all.is_empty()).then(|| all.join("; and "))
}

/// The same error, with the rules of an outer container that may be its reason.
pub(super) fn explain(error: Error) -> Error {
    let text = error.to_string();
    if error.kind() != ErrorKind::System || text.contains("--security-opt") {
        return error;
    }
    let Some((errno, _)) = REFUSALS.into_iter().find(|(_, name)| text.contains(name)) else { return error };
    match advice(&Host::probe().user_namespace_restrictions(), errno) {
        Some(rules) => error.remedy(format!("perhaps since {rules}; see `rootling doctor`")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_refuses_so_is_named() {
        let docker = [Restriction::AppArmorProfile("docker-default".into()), Restriction::SeccompFilter];
        for (errno, apparmor, seccomp) in
            [(Errno::EACCES, true, false), (Errno::EPERM, true, true), (Errno::ENOSYS, true, true)]
        {
            let text = advice(&docker, errno).unwrap();
            assert_eq!(text.contains("apparmor=unconfined"), apparmor, "{text}");
            assert_eq!(text.contains("seccomp=unconfined"), seccomp, "{text}");
        }
        assert_eq!(advice(&docker[1..], Errno::EACCES), None);
        assert_eq!(advice(&[Restriction::NoneAllowed], Errno::EPERM), None);
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        for error in [Error::system("mount: ENOENT: No such file"), Error::invalid("EPERM: of the caller")] {
            assert_eq!(explain(error.clone()).to_string(), error.to_string());
        }
    }
}
