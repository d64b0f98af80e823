//! The realtime budget, which is passed down the hierarchy. A new cgroup has none to give, so each cgroup above
//! the container's is raised to what those below it need, from the top
//! (Documentation/scheduler/sched-rt-group.rst).

use std::path::{Path, PathBuf};

use rootling_config::limits::{Bound, Cpu};

use crate::{CgroupError, file, procs};

const RUNTIME: &str = "cpu.rt_runtime_us";
const PERIOD: &str = "cpu.rt_period_us";

/// A cgroup above the container's, and the budget that it is to have.
struct Step {
    dir: PathBuf,
    before: i64,
    needed: u64,
}

/// Raises the cgroups above `dir`, and then writes the container's budget. If that fails, their former values are
/// restored.
pub(crate) fn below_raised(
    dir: &Path,
    cpu: &Cpu,
    write: impl FnOnce() -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    let steps = steps(dir, cpu);
    let mut raised = Vec::new();
    let mut result = Ok(());
    for Step { dir, before, needed } in steps.iter().rev() {
        if let Err(source) = file::write(dir, RUNTIME, &needed.to_string()) {
            result = Err(CgroupError::Realtime {
                path: dir.join(RUNTIME),
                before: *before,
                needed: *needed,
                source,
            });
            break;
        }
        raised.push((dir, before));
    }
    let result = result.and_then(|()| write());
    if result.is_err() {
        for (dir, before) in raised.into_iter().rev() {
            let _ = file::write(dir, RUNTIME, &before.to_string());
        }
    }
    result
}

/// The cgroups with too small a budget, from the container's parent up. The root of the hierarchy has the whole
/// budget.
fn steps(dir: &Path, cpu: &Cpu) -> Vec<Step> {
    let Some(Bound::At(runtime)) = cpu.realtime_runtime else { return Vec::new() };
    let Some((_, period)) = read(dir) else { return Vec::new() };
    let mut wanted = ratio(runtime, cpu.realtime_period.map_or(period, u64::from));
    let mut steps = Vec::new();
    let mut below = dir;
    while let Some(above) =
        below.parent().filter(|above| above.parent().is_some_and(|dir| read(dir).is_some()))
    {
        let Some((before, period)) = read(above) else { break };
        let children = procs::children(above).unwrap_or_default().into_iter();
        let others = children.filter(|child| child != below).filter_map(|child| read(&child));
        let total = others.fold(wanted, |sum, (runtime, period)| {
            sum.saturating_add(u64::try_from(runtime).map_or(WHOLE, |runtime| ratio(runtime, period)))
        });
        let had = u64::try_from(before).map_or(WHOLE, |runtime| ratio(runtime, period));
        if had >= total {
            break;
        }
        steps.push(Step { dir: above.to_owned(), before, needed: part(total, period) });
        wanted = total;
        below = above;
    }
    steps
}

/// The runtime and the period of a cgroup.
fn read(dir: &Path) -> Option<(i64, u64)> {
    let number = |name| file::read(dir, name).ok();
    Some((number(RUNTIME)?.trim().parse().ok()?, number(PERIOD)?.trim().parse().ok()?))
}

/// The whole budget in the kernel's unit, which compares shares in the same way (`to_ratio()`,
/// kernel/sched/core.c).
const WHOLE: u64 = 1 << 20;

fn ratio(runtime: u64, period: u64) -> u64 {
    runtime.saturating_mul(WHOLE).checked_div(period).unwrap_or(0)
}

/// The smallest runtime within `period` that gives this ratio.
fn part(ratio: u64, period: u64) -> u64 {
    ratio.saturating_mul(period).div_ceil(WHOLE)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn cgroup(dir: &Path, runtime: &str, period: &str) {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join(RUNTIME), runtime).unwrap();
        std::fs::write(dir.join(PERIOD), period).unwrap();
    }

    fn wanted(runtime: u64, period: Option<u64>) -> Cpu {
        Cpu {
            realtime_runtime: Some(Bound::At(runtime)),
            realtime_period: period.and_then(NonZeroU64::new),
            ..Cpu::default()
        }
    }

    /// A hierarchy with `/a/b/c`, in which `/a/other` has one hundredth.
    fn hierarchy() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("mount/a/b/c");
        cgroup(&root.path().join("mount"), "950000\n", "1000000\n");
        cgroup(&root.path().join("mount/a"), "10000\n", "1000000\n");
        cgroup(&root.path().join("mount/a/other"), "5000\n", "500000\n");
        cgroup(&root.path().join("mount/a/b"), "0\n", "500000\n");
        cgroup(&dir, "0\n", "1000000\n");
        (root, dir)
    }

    #[test]
    fn those_above_get_what_those_below_need() {
        let (_root, dir) = hierarchy();
        let (b, a) = (dir.parent().unwrap(), dir.ancestors().nth(2).unwrap());
        let value = |dir: &Path| file::read(dir, RUNTIME).unwrap();
        below_raised(&dir, &wanted(20_000, Some(100_000)), || Ok(())).unwrap();
        assert!((99_990..=100_000).contains(&value(b).parse().unwrap()), "a fifth of 500000: {}", value(b));
        assert!((209_990..=210_000).contains(&value(a).parse().unwrap()), "and the hundredth: {}", value(a));
        // A sufficient budget is left unchanged.
        let before = (value(a), value(b));
        below_raised(&dir, &wanted(1_000, None), || Ok(())).unwrap();
        assert_eq!((value(a), value(b)), before);
    }

    #[test]
    fn what_is_raised_for_nothing_is_taken_back() {
        let (_root, dir) = hierarchy();
        let refuse = || Err(CgroupError::NoHierarchy { root: PathBuf::new() });
        below_raised(&dir, &wanted(20_000, None), refuse).unwrap_err();
        assert_eq!(read(dir.parent().unwrap()).unwrap().0, 0);
        assert_eq!(read(dir.ancestors().nth(2).unwrap()).unwrap().0, 10_000);
    }

    #[test]
    fn no_limit_raises_nothing() {
        let (_root, dir) = hierarchy();
        let cpu = Cpu { realtime_runtime: Some(Bound::Unlimited), ..Cpu::default() };
        assert!(steps(&dir, &cpu).is_empty() && steps(&dir, &Cpu::default()).is_empty());
    }
}
