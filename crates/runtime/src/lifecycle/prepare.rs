//! From the bundle to the plan: load, adapt, validate, plan.

use std::path::Path;

use oci_spec::runtime::Spec;
use rootling_cgroup::Driver;
use rootling_config::load::Loaded;
use rootling_config::{cgroup_parent, load, validate};
use rootling_rootless::adapt::{self, Adaptation, CgroupManager};
use rootling_rootless::host::Host;

use crate::error::{Error, Result, chain, one_line};
use crate::plan::{CreateOptions, Plan};
use crate::self_exe;

/// Takes what the user should know and is no failure, a line each.
pub type Warn<'a> = &'a mut dyn FnMut(String);

/// Reads the config.json of a bundle.
pub fn load_bundle(bundle: &Path) -> Result<Loaded> {
    load::bundle(bundle).map_err(|e| Error::invalid(chain(&e)))
}

/// Adapts a spec to the caller and this host; the changes with their reasons.
pub fn adapt(spec: &mut Spec, host: &Host, options: &adapt::Options) -> Result<Vec<Adaptation>> {
    adapt::adapt(spec, host, options).map_err(|e| Error::invalid(chain(&e)).see_doctor(e.has_check()))
}

/// Who is to place a container in a cgroup, for the adaptation.
pub fn cgroup_manager(driver: Driver) -> CgroupManager {
    match driver {
        Driver::Systemd => CgroupManager::Systemd,
        Driver::Disabled => CgroupManager::Disabled,
        Driver::Cgroupfs => CgroupManager::Auto,
    }
}

fn adapt_options(options: &CreateOptions) -> adapt::Options {
    adapt::Options {
        bundle: options.bundle.clone(),
        ignore_cgroup_limits: options.ignore_cgroup_limits,
        strict: options.strict,
        cgroup_manager: cgroup_manager(options.cgroup_driver),
        map_owner: options.map_owner.clone(),
    }
}

/// The plan for a bundle.
pub(super) fn plan(options: &CreateOptions, warn: Warn<'_>) -> Result<Plan> {
    // Said at the end: a sealed copy of ours begins anew, and would say them a second time.
    let mut warnings = Vec::new();
    let plan = make_plan(options, &mut |text| warnings.push(text));
    warnings.into_iter().for_each(warn);
    plan
}

fn make_plan(options: &CreateOptions, warn: Warn<'_>) -> Result<Plan> {
    let plan = plan_without_copy(options, warn)?;
    self_exe::protect(plan.maps.as_ref().map(|m| (m.uid.as_slice(), m.gid.as_slice())))?;
    Ok(plan)
}

/// The same for a container into which no process of ours goes, so that it cannot reach our program.
pub(super) fn plan_without_copy(options: &CreateOptions, warn: Warn<'_>) -> Result<Plan> {
    let loaded = match &options.config {
        Some(path) => load::file(path).map_err(|e| Error::invalid(chain(&e)))?,
        None => load_bundle(&options.bundle)?,
    };
    plan_loaded(loaded, &Host::probe(), options, warn)
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
    if options.cgroup_driver != Driver::Disabled {
        let systemd = options.cgroup_driver == Driver::Systemd;
        cgroup_parent::resolve(&mut spec, &options.id, systemd).map_err(|e| Error::invalid(chain(&e)))?;
    }
    let changes =
        if options.no_adapt { Vec::new() } else { adapt(&mut spec, host, &adapt_options(options))? };
    for change in changes {
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
