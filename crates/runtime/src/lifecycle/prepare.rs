//! From the bundle to the plan: load, adapt, parse, plan.

use std::path::Path;

use oci_spec::runtime::Spec;
use rootling_config::container::{self, Container};
use rootling_config::load::{LoadError, Loaded};
use rootling_config::{CgroupManager, cgroup_parent, load};
use rootling_rootless::adapt::{self, Adaptation};
use rootling_rootless::host::Host;
use rootling_rootless::idmap::only_one_id;

use rootling_init::channel::Warn;

use crate::error::{Error, Result, chain, one_line};
use crate::owners::closed_to_caller;
use crate::plan::{CreateOptions, Plan};
use crate::sd_notify;
use crate::self_exe;

/// Reads the config.json of a bundle.
pub fn load_bundle(host: &Host, bundle: &Path) -> Result<Loaded> {
    load::bundle(bundle).map_err(|e| not_loaded(&e, &bundle.join("config.json"), host))
}

fn not_loaded(error: &LoadError, path: &Path, host: &Host) -> Error {
    let error = Error::invalid(chain(error));
    match host.closed_parent(path) {
        Some(closed) => error.remedy(closed_to_caller(&closed, path, host)),
        None => error,
    }
}

/// Adapts a spec to the caller and to this host; returns the changes with their reasons.
pub fn adapt(spec: &mut Spec, host: &Host, options: &adapt::Options) -> Result<Vec<Adaptation>> {
    adapt::adapt(spec, host, options).map_err(|e| Error::invalid(chain(&e)).see_doctor(e.has_check()))
}

fn adapt_options(options: &CreateOptions) -> adapt::Options {
    adapt::Options {
        bundle: options.bundle.clone(),
        ignore_cgroup_limits: options.ignore_cgroup_limits,
        strict: options.strict,
        cgroup_manager: options.cgroup_manager,
        map_owner: options.map_owner.clone(),
    }
}

/// Makes the plan for a bundle.
///
/// `notify` is the directory in which the container is to report that it is ready.
pub(super) fn plan(
    host: &Host,
    options: &CreateOptions,
    notify: Option<&Path>,
    warn: Warn<'_>,
) -> Result<Plan> {
    // Issued only at the end: a sealed copy of this program begins anew, and would issue them a second time.
    let mut warnings = Vec::new();
    let plan = make_plan(host, options, notify, &mut |text| warnings.push(text));
    warnings.into_iter().for_each(warn);
    plan
}

fn make_plan(host: &Host, options: &CreateOptions, notify: Option<&Path>, warn: Warn<'_>) -> Result<Plan> {
    let mut loaded = load(host, options)?;
    if let Some(directory) = notify {
        sd_notify::add_to(&mut loaded.spec, directory)?;
    }
    let plan = plan_loaded(loaded, host, options, warn)?;
    self_exe::protect(plan.maps(), options.caller)?;
    Ok(tell(plan))
}

/// Writes to the log what a copy of this program would write once more.
fn tell(mut plan: Plan) -> Plan {
    plan.details.drain(..).for_each(|what| tracing::debug!("{what}"));
    plan
}

/// Does the same for a container into which no process of ours enters, so that it cannot reach our program.
pub(super) fn plan_without_copy(host: &Host, options: &CreateOptions, warn: Warn<'_>) -> Result<Plan> {
    plan_loaded(load(host, options)?, host, options, warn).map(tell)
}

fn load(host: &Host, options: &CreateOptions) -> Result<Loaded> {
    match &options.config {
        Some(path) => load::file(path).map_err(|e| not_loaded(&e, path, host)),
        None => load_bundle(host, &options.bundle),
    }
}

/// Makes the plan for a spec that has been read. Every warning is a single line, whatever the spec contains.
pub(crate) fn plan_loaded(
    loaded: Loaded,
    host: &Host,
    options: &CreateOptions,
    warn: Warn<'_>,
) -> Result<Plan> {
    let warn = &mut |text: String| warn(one_line(text));
    loaded.warnings.into_iter().for_each(&mut *warn);
    let mut spec = loaded.spec;
    // Check the annotations before the first of them has an effect.
    container::annotations(&spec)?;
    if options.cgroup_manager != CgroupManager::Disabled {
        let systemd = options.cgroup_manager == CgroupManager::Systemd;
        cgroup_parent::resolve(&mut spec, &options.id, systemd)?;
    }
    let changes =
        if options.no_adapt { Vec::new() } else { adapt(&mut spec, host, &adapt_options(options))? };
    let mut details = Vec::new();
    for change in changes {
        let Adaptation { what, why, warning } = change;
        if warning {
            warn(format!("{what}: {why}"));
        } else {
            details.push(format!("adapted: {what}: {why}"));
        }
    }
    let container = Container::parse(spec)?;
    details.extend(container.maps.as_ref().and_then(only_one_id).map(str::to_owned));
    let plan = Plan::new(container, host, options, warn)?;
    Ok(Plan { details, ..plan })
}
