//! What to do when the system has refused something, based on what this host shows.

use nix::errno::Errno;
use rootling_config::remedies::raise_namespaces;
use rootling_init::error::Operation;
use rootling_rootless::host::{Host, Restriction};
use rootling_sys as sys;

use crate::error::{Error, ErrorKind};

/// Adds to the error its remedy on this host, for a human reader.
#[must_use]
pub fn explain(error: Error, host: &Host) -> Error {
    let errno = error.errno().map(Errno::from_raw);
    match (error.operation(), errno) {
        (
            Some(Operation::NewProcess | Operation::NewUserNamespace | Operation::NewNamespaces),
            Some(Errno::EAGAIN),
        ) => error.remedy(host.process_limit()),
        (Some(Operation::Criu), _) if host.is_ordinary_user() || host.in_user_namespace() => {
            error.remedy(CRIU)
        }
        (Some(Operation::NewUserNamespace), Some(errno)) => new_user_namespace(error, errno, host),
        (Some(Operation::NewNamespaces), Some(errno)) => new_namespaces(error, errno, host),
        (Some(Operation::Launch), Some(errno)) if error.kind() == ErrorKind::System => {
            match launch_rules(host, errno) {
                Some(rules) => error.remedy(format!("perhaps because {rules}; see `rootling doctor`")),
                None => error,
            }
        }
        (_, Some(Errno::EFBIG)) => {
            error.remedy("the caller limits how large a file may be: raise the limit with `ulimit -f`")
        }
        _ => error,
    }
}

/// Refuses a kernel on which no container could start.
///
/// # Errors
/// [`ErrorKind::System`] where the kernel is older than 5.12 by its own account, and has no mount_setattr(2).
pub fn check_kernel(host: &Host) -> Result<(), Error> {
    // A program that reports another release (setarch(8)) is asked for the call itself.
    if host.kernel_at_least(5, 12) || sys::mount::has_set_attr() {
        return Ok(());
    }
    Err(Error::system(format!("this kernel is {}", host.kernel_release()))
        .remedy("rootling needs Linux 5.12 or newer: boot a newer kernel; see `rootling doctor`"))
}

const TOO_OLD: &str =
    "rootling needs Linux 5.12 or newer, and a seccomp profile that allows clone and unshare";

const CRIU: &str = "CRIU needs root for the namespaces of a container: run it as root (CAP_CHECKPOINT_RESTORE, as of \
     `setcap cap_checkpoint_restore+eip` on criu, is enough for processes without namespaces only)";

/// The remedy for a limit on namespaces: there is one for each kind of namespace and each user.
fn limit_of_namespaces(host: &Host) -> String {
    match host.forbidden_namespaces().as_slice() {
        [] => "a limit of namespaces for this user is reached: see /proc/sys/user, and raise the one of user.max_*_namespaces, \
               or end containers"
            .into(),
        zero => {
            let verb = if zero.len() == 1 { "is" } else { "are" };
            format!("{} {verb} 0: {}", zero.join(", "), raise_namespaces(zero))
        }
    }
}

fn new_namespaces(error: Error, errno: Errno, host: &Host) -> Error {
    match errno {
        Errno::ENOSPC | Errno::EUSERS => error.remedy(limit_of_namespaces(host)),
        Errno::EPERM => {
            error.remedy("new namespaces need root or a user namespace: add one to linux.namespaces")
        }
        Errno::ENOSYS => error.remedy(TOO_OLD),
        _ => error,
    }
}

/// Adds the reason that this host shows, or else the possible ones.
fn new_user_namespace(error: Error, errno: Errno, host: &Host) -> Error {
    if !matches!(errno, Errno::EPERM | Errno::EACCES | Errno::ENOSPC | Errno::EUSERS | Errno::ENOSYS) {
        return error;
    }
    let found = host.user_namespace_restrictions();
    let certain = found.iter().find(|restriction| restriction.is_certain()).map(Restriction::advice);
    let advice = certain.or_else(|| outer_rules(&found, errno)).unwrap_or_else(|| {
        match errno {
            Errno::ENOSPC | Errno::EUSERS => limit_of_namespaces(host),
            Errno::ENOSYS => TOO_OLD.into(),
            _ => "the host does not let this caller make user namespaces: look at chroot, and at the security policy of \
                  the host or of an outer container"
                .into(),
        }
    });
    error.remedy(format!("{advice}; see `rootling doctor`"))
}

/// How rules may be involved after the namespaces were made. Newer releases of Ubuntu let everybody make a user namespace,
/// but without a profile no capability counts in it.
fn launch_rules(host: &Host, errno: Errno) -> Option<String> {
    let found = host.user_namespace_restrictions();
    let powerless = host.is_ordinary_user() && matches!(errno, Errno::EACCES | Errno::EPERM);
    let sysctl = found.iter().find(|found| powerless && **found == Restriction::AppArmorSysctl);
    sysctl.map(Restriction::advice).or_else(|| outer_rules(&found, errno))
}

/// How the restrictions of an outer container may be involved: which of those in force can refuse, with this error, a
/// call that the kernel would allow, and how to start that container without them.
fn outer_rules(found: &[Restriction], errno: Errno) -> Option<String> {
    // Filters run first, so EACCES comes from what is checked after them.
    let refuses = |restriction: &&Restriction| match restriction {
        Restriction::AppArmorProfile(_) => matches!(errno, Errno::EACCES | Errno::EPERM | Errno::ENOSYS),
        Restriction::SeccompFilter => matches!(errno, Errno::EPERM | Errno::ENOSYS),
        _ => false,
    };
    let all: Vec<_> = found.iter().filter(refuses).map(Restriction::advice).collect();
    (!all.is_empty()).then(|| all.join("; and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootling_rootless::host::Fixture;

    #[test]
    fn an_old_release_counts_where_the_call_is_missing_too() {
        let old = Host::on(Fixture::ordinary(1000).kernel("5.10.0-9-amd64"));
        assert_eq!(check_kernel(&old).is_ok(), sys::mount::has_set_attr());
        assert!(check_kernel(&Host::on(Fixture::ordinary(1000).kernel("5.12.0"))).is_ok());
    }

    #[test]
    fn every_rule_that_refuses_so_is_named() {
        let docker = [Restriction::AppArmorProfile("docker-default".into()), Restriction::SeccompFilter];
        for (errno, apparmor, seccomp) in
            [(Errno::EACCES, true, false), (Errno::EPERM, true, true), (Errno::ENOSYS, true, true)]
        {
            let text = outer_rules(&docker, errno).unwrap();
            assert_eq!(text.contains("apparmor=unconfined"), apparmor, "{text}");
            assert_eq!(text.contains("seccomp=unconfined"), seccomp, "{text}");
        }
        assert_eq!(outer_rules(&docker[1..], Errno::EACCES), None);
        assert_eq!(outer_rules(&docker, Errno::ENOENT), None);
        assert_eq!(outer_rules(&[Restriction::NoneAllowed], Errno::EPERM), None);
    }

    #[test]
    fn limit_that_is_reached_is_the_one_that_is_named() {
        let host = Host::on(
            Fixture::ordinary(1000)
                .file("/proc/sys/user/max_user_namespaces", "95000\n")
                .file("/proc/sys/user/max_pid_namespaces", "0\n")
                .file("/proc/sys/user/max_mnt_namespaces", "0\n"),
        );
        for operation in [Operation::NewUserNamespace, Operation::NewNamespaces] {
            let text = explain(Error::from(Errno::ENOSPC).during(operation), &host).to_string();
            assert!(text.contains("user.max_mnt_namespaces, user.max_pid_namespaces are 0"), "{text}");
            assert!(
                text.contains("sysctl -w user.max_mnt_namespaces=28633 user.max_pid_namespaces=28633"),
                "{text}"
            );
        }
        let text = explain(
            Error::from(Errno::ENOSPC).during(Operation::NewNamespaces),
            &Host::on(Fixture::ordinary(1000)),
        );
        assert!(text.to_string().contains("a limit of namespaces for this user is reached"), "{text}");
    }

    #[test]
    fn limit_of_processes_is_named_for_whatever_was_to_make_one() {
        let host =
            Host::on(Fixture::ordinary(1000).file("/proc/self/limits", "Max processes  40  50  processes\n"));
        let said = |operation| explain(Error::from(Errno::EAGAIN).during(operation), &host).to_string();
        for operation in [Operation::NewProcess, Operation::NewUserNamespace, Operation::NewNamespaces] {
            assert!(
                said(operation).contains("RLIMIT_NPROC lets this user have 40 processes"),
                "{operation:?}"
            );
        }
        assert!(!said(Operation::Launch).contains("RLIMIT_NPROC"));
    }

    #[test]
    fn namespace_without_capabilities_is_explained_by_ubuntus_setting() {
        let restricted = |machine: Fixture| {
            Host::on(
                machine
                    .file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n")
                    .file("/proc/self/attr/current", "unconfined\n"),
            )
        };
        let said = |operation, errno, host: &Host| {
            explain(Error::from(errno).wrap("setgroups([])").during(operation), host).to_string()
        };
        let user = restricted(Fixture::ordinary(1000));
        for (operation, errno) in [
            (Operation::NewUserNamespace, Errno::EACCES),
            (Operation::Launch, Errno::EPERM),
            (Operation::Launch, Errno::EACCES),
        ] {
            let text = said(operation, errno, &user);
            assert!(text.contains("kernel.apparmor_restrict_unprivileged_userns is 1"), "{text}");
            assert!(
                text.contains("profile apparmor > /etc/apparmor.d/rootling && apparmor_parser -r"),
                "{text}"
            );
        }
        assert!(!said(Operation::Launch, Errno::ENOENT, &user).contains("apparmor"));
        // Root needs no user namespace.
        let root = restricted(Fixture::ordinary(0));
        assert!(!said(Operation::Launch, Errno::EPERM, &root).contains("apparmor"));
    }

    #[test]
    fn only_what_a_launch_was_refused_is_explained() {
        let host = Host::on(Fixture::ordinary(1000).file("/proc/self/status", "Seccomp:\t2\n"));
        let said = |error: Error| explain(error, &host).to_string();
        let refused = || Error::from(Errno::EPERM).wrap("mount");
        assert!(
            said(refused().during(Operation::Launch))
                .contains("; perhaps because a seccomp filter of the outer")
        );
        for error in
            [refused(), Error::from(Errno::ENOENT).during(Operation::Launch), Error::invalid("of the caller")]
        {
            assert_eq!(said(error.clone()), error.to_string());
        }
    }
}
