//! The cgroup of a container that is being made or restored.

use rootling_cgroup::{Cgroup, Request};

use crate::error::{Result, of_cgroup};
use crate::plan::{CreateOptions, Plan};
use crate::state::Record;
use crate::store::Slot;

/// Makes the cgroup. It is recorded before it exists, so that `delete --force` finds it if we are killed in between.
pub(crate) fn make(plan: &Plan, options: &CreateOptions, slot: &Slot, record: &mut Record) -> Result<()> {
    let request = Request {
        id: plan.id().as_str(),
        path: plan.cgroup_path.as_deref(),
        manager: options.cgroup_manager,
        limits: Some(&plan.limits),
        rootless: plan.blueprint.rootless,
    };
    let mut announced = Ok(());
    record.cgroup = Cgroup::prepare_announced(&request, &mut |cgroup| {
        announced = slot.write(&Record { cgroup: cgroup.clone(), ..record.clone() });
    })
    .map_err(of_cgroup)?;
    announced?;
    if !record.cgroup.is_none() {
        record.cgroup.annotate(&plan.blueprint.identity.annotations).map_err(of_cgroup)?;
    }
    Ok(())
}
