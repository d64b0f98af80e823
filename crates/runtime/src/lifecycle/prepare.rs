//! From the bundle to the plan: load, adapt, validate, plan.

use oci_spec::runtime::Spec;
use rootling_config::load::{self, Loaded};
use rootling_config::validate;
use rootling_rootless::adapt::{self, Adaptation, CgroupManager};
use rootling_rootless::host::Host;

use crate::error::{Error, Result, chain, one_line};
use crate::plan::{CreateOptions, Plan};
use crate::{self_exe, sys};

/// Takes what the user should know and is no failure, a line each.
pub type Warn<'a> = &'a mut dyn FnMut(String);

/// Adapts a spec to the caller and this host; the changes with their reasons.
pub fn adapt(spec: &mut Spec, host: &Host, options: &CreateOptions) -> Result<Vec<Adaptation>> {
    let wanted = adapt::Options {
        bundle: options.bundle.clone(),
        ignore_cgroup_limits: options.ignore_cgroup_limits,
        strict: options.strict,
        cgroup_manager: match options.cgroup_driver {
            rootling_cgroup::Driver::Systemd => CgroupManager::Systemd,
            rootling_cgroup::Driver::Disabled => CgroupManager::Disabled,
            rootling_cgroup::Driver::Cgroupfs => CgroupManager::Auto,
        },
        map_owner: None,
    };
    adapt::adapt(spec, host, &wanted).map_err(|e| Error::invalid(chain(&e)))
}

/// The plan for a bundle.
pub(super) fn plan(options: &CreateOptions, warn: Warn<'_>) -> Result<Plan> {
    sys::memory::release_code();
    let loaded = load::bundle(&options.bundle).map_err(|e| Error::invalid(chain(&e)))?;
    let plan = plan_loaded(loaded, &Host::probe(), options, warn)?;
    self_exe::protect(plan.maps.as_ref().map(|m| (m.uid.as_slice(), m.gid.as_slice())))?;
    sys::memory::release_code();
    Ok(plan)
}

/// The plan for a spec that has been read. Every warning is one line, whatever the spec holds.
pub(crate) fn plan_loaded(
    loaded: Loaded,
    host: &Host,
    options: &CreateOptions,
    warn: Warn<'_>,
) -> Result<Plan> {
    let warn = &mut |text: String| warn(one_line(text));
    loaded.warnings.into_iter().for_each(&mut *warn);
    let mut spec = loaded.spec;
    for change in adapt(&mut spec, host, options)? {
        let Adaptation { what, why, warning } = change;
        if warning {
            warn(format!("{what}: {why}"));
        } else {
            tracing::debug!("adapted: {what}: {why}");
        }
    }
    validate::spec(&spec).map_err(|e| Error::invalid(chain(&e)))?;
    Plan::new(spec, host, options, warn)
}
