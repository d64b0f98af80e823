//! `process.apparmorProfile`, `process.selinuxLabel` and `linux.mountLabel`, which have no effect where their security
//! module is off.

use oci_spec::runtime::Process;
use rootling_rootless::host::Host;

use crate::error::{Error, Result};

/// Rejects a profile or a label that would have no effect on this host, where the kernel would only answer EINVAL.
pub(crate) fn check(process: &Process, host: &Host) -> Result<()> {
    let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
    if let Some(profile) = given(process.apparmor_profile()).filter(|_| !host.has_apparmor()) {
        return Err(Error::invalid(format!(
            "process.apparmorProfile: {profile:?}: apparmor: config provided but apparmor not supported: it is not on \
             here; remove it"
        )));
    }
    if let Some(label) = given(process.selinux_label()).filter(|_| !host.has_selinux()) {
        return Err(Error::invalid(format!(
            "process.selinuxLabel: {label:?}: selinux label is specified in config, but selinux is disabled or not \
             supported; remove it"
        )));
    }
    Ok(())
}

/// Does the same for `linux.mountLabel`.
pub(crate) fn check_mounts(label: Option<&str>, host: &Host) -> Result<()> {
    match label.filter(|_| !host.has_selinux()) {
        Some(label) => Err(Error::invalid(format!(
            "linux.mountLabel: {label:?}: selinux label is specified in config, but selinux is disabled or not supported; \
             remove it"
        ))),
        None => Ok(()),
    }
}
