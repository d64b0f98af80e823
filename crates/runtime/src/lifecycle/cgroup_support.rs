//! What can be limited in a container's cgroups.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rootling_cgroup::Cgroup;
use rootling_config::resources::{Controllers, LimitSupport};
use rootling_rootless::host::Host;

/// What the files of these cgroups support. A controller that is missing altogether is not detected here: for a limit
/// that needs it, the cgroup code reports an error instead of leaving the limit out.
pub(super) fn of(cgroup: &Cgroup, host: &Host) -> LimitSupport {
    let paths = cgroup.paths();
    LimitSupport {
        cpus: host.cpus(),
        mems: host.memory_nodes(),
        swap: has(&paths, "memory", &["memory.memsw.limit_in_bytes", "memory.swap.max"]),
        swappiness: has(&paths, "memory", &["memory.swappiness"]),
        oom_kill_disable: has(&paths, "memory", &["memory.oom_control"]),
        blkio_weight: has(
            &paths,
            "blkio",
            &["blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"],
        ),
        realtime: realtime(&paths),
        controllers: Controllers::ALL,
    }
}

/// Whether one of the files exists, or the whole controller is missing.
fn has(paths: &BTreeMap<String, String>, controller: &str, files: &[&str]) -> bool {
    let unified = paths.get("");
    let Some(dir) = paths.get(controller).or(unified) else { return true };
    let dir = Path::new(dir);
    let v2 = if controller == "blkio" { "io.max" } else { "memory.max" };
    let absent = !paths.contains_key(controller) && !dir.join(v2).exists();
    absent || files.iter().any(|file| dir.join(file).exists())
}

/// The realtime budget of the highest cgroup above the container's; the ones in between are raised as needed.
fn realtime(paths: &BTreeMap<String, String>) -> Option<i64> {
    let above = Path::new(paths.get("cpu")?).ancestors().skip(1);
    let files = above.map_while(|dir| fs::read_to_string(dir.join("cpu.rt_runtime_us")).ok());
    files.last()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_its_controller_lacks_cannot_be_limited_with() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_string_lossy().into_owned();
        let unified = BTreeMap::from([(String::new(), path.clone())]);
        let legacy = BTreeMap::from([("memory".to_owned(), path)]);
        let swap = ["memory.swap.max", "memory.memsw.limit_in_bytes"];
        assert!(has(&BTreeMap::new(), "memory", &swap), "no cgroup");
        assert!(has(&unified, "memory", &swap), "no controller");
        assert!(!has(&legacy, "memory", &swap));
        assert!(has(&legacy, "blkio", &["blkio.weight"]), "no controller");
        fs::write(dir.path().join("memory.max"), "max").expect("a file");
        assert!(!has(&unified, "memory", &swap));
        fs::write(dir.path().join("memory.swap.max"), "max").expect("a file");
        assert!(has(&unified, "memory", &swap));
    }
}
