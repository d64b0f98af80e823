//! The request that the flags stand for, with everything resolved that depends on the host.

use rootling_config::generate::{self, Accounts, LimitFlags, Namespaces, Pasta, Request, User};
use rootling_runtime::{Error, Result};

use crate::spec_flags::{Limits, SpecFlags};

/// The user of `--user`, looked up in the image.
///
/// # Errors
/// The image does not have the user.
pub fn user(flags: &SpecFlags, accounts: impl FnOnce() -> Accounts) -> Result<Option<User>> {
    let user = flags.user.as_deref().map(|text| generate::user(text, &accounts()));
    user.transpose().map_err(|error| Error::invalid(error.to_string()))
}

/// What the flags ask for, with this user and these namespaces.
///
/// # Errors
/// A variable has no name.
pub fn request(flags: &SpecFlags, user: Option<User>, namespaces: Namespaces) -> Result<Request> {
    let invalid = |error: generate::GenerateError| Error::invalid(error.to_string());
    Ok(Request {
        args: flags.args.clone(),
        rootfs: flags.rootfs.clone(),
        readonly: flags.readonly,
        env: generate::environment(&flags.env, |name| std::env::var(name).ok()).map_err(invalid)?,
        workdir: flags.workdir.clone(),
        user,
        hostname: flags.hostname.clone(),
        tty: flags.tty,
        cap_add: flags.cap_add.clone(),
        cap_drop: flags.cap_drop.clone(),
        privileged_in_userns: flags.privileged_in_userns,
        security_opt: flags.security_opt.clone(),
        mount: flags.mount.clone(),
        volume: flags.volume.clone(),
        tmpfs: flags.tmpfs.clone(),
        device: flags.device.clone(),
        device_cgroup_rule: flags.device_cgroup_rule.clone(),
        limits: limits(&flags.limits),
        ulimit: flags.ulimit.clone(),
        sysctl: flags.sysctl.clone(),
        oom_score_adj: flags.oom_score_adj,
        shm_size: flags.shm_size.clone(),
        namespaces,
        pasta: pasta(flags)?,
        publish: flags.publish.clone(),
        annotation: flags.annotation.clone(),
        cgroup_parent: flags.cgroup_parent.clone(),
    })
}

/// The hook is contained in the runtime, and called by its path; the program for images is in the same directory.
fn pasta(flags: &SpecFlags) -> Result<Option<Pasta>> {
    let Some(text) = flags.network.as_deref().filter(|text| text.starts_with("pasta")) else {
        return Ok(None);
    };
    let own = std::env::current_exe()?;
    let name = own.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Pasta::parse(text, own.with_file_name(name.strip_suffix("-image").unwrap_or(&name))))
}

fn limits(flags: &Limits) -> LimitFlags {
    LimitFlags {
        memory: flags.memory.clone(),
        memory_swap: flags.memory_swap.clone(),
        memory_reservation: flags.memory_reservation.clone(),
        memory_swappiness: flags.memory_swappiness,
        oom_kill_disable: flags.oom_kill_disable,
        memory_min: flags.memory_min.clone(),
        cpus: flags.cpus.clone(),
        cpu_shares: flags.cpu_shares,
        cpu_period: flags.cpu_period,
        cpu_quota: flags.cpu_quota,
        cpu_rt_period: flags.cpu_rt_period,
        cpu_rt_runtime: flags.cpu_rt_runtime,
        cpuset_cpus: flags.cpuset_cpus.clone(),
        cpuset_mems: flags.cpuset_mems.clone(),
        pids_limit: flags.pids_limit,
        blkio_weight: flags.blkio_weight,
        blkio_weight_device: flags.blkio_weight_device.clone(),
        device_read_bps: flags.device_read_bps.clone(),
        device_write_bps: flags.device_write_bps.clone(),
        device_read_iops: flags.device_read_iops.clone(),
        device_write_iops: flags.device_write_iops.clone(),
    }
}
