//! Specs are written as JSON and hosts are made up; every test reads as "this spec on this host becomes that".

mod cgroups;
mod devices;
mod ids;
mod mounts;
mod process;
mod properties;
mod whole;

use std::cell::RefCell;
use std::rc::Rc;

use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::adapt::{AdaptError, Adaptation, Options, adapt};
use crate::host::{Fixture, Host};

/// The result of an adaptation.
struct Outcome {
    json: Value,
    changes: Vec<Adaptation>,
    looks: Rc<RefCell<Vec<String>>>,
}

impl Outcome {
    /// The destinations of the mounts, in order.
    fn destinations(&self) -> Vec<&str> {
        self.json["mounts"]
            .as_array()
            .map_or(vec![], |all| all.iter().map(|mount| mount["destination"].as_str().unwrap()).collect())
    }

    fn mount(&self, destination: &str) -> &Value {
        let all = self.json["mounts"].as_array().unwrap();
        all.iter().find(|mount| mount["destination"] == destination).expect("a mount there")
    }

    fn warnings(&self) -> Vec<String> {
        self.changes.iter().filter(|change| change.warning).map(ToString::to_string).collect()
    }

    fn says(&self, words: &str) -> bool {
        self.changes.iter().any(|change| change.to_string().contains(words))
    }
}

fn spec(json: Value) -> Spec {
    let mut json = json;
    json["ociVersion"] = json!("1.2.0");
    serde_json::from_value(json).unwrap()
}

fn try_adapt(json: Value, machine: Fixture, options: &Options) -> Result<Outcome, AdaptError> {
    let looks = machine.looks();
    let host = Host::on(machine);
    let mut spec = spec(json);
    let changes = adapt(&mut spec, &host, options)?;
    Ok(Outcome { json: serde_json::to_value(spec).unwrap(), changes, looks })
}

fn adapted(json: Value, machine: Fixture) -> Outcome {
    try_adapt(json, machine, &Options { bundle: "/bundle".into(), ..Options::default() }).unwrap()
}

fn refused(json: Value, machine: Fixture) -> String {
    let error = match try_adapt(json, machine, &Options { bundle: "/bundle".into(), ..Options::default() }) {
        Err(error) => error.to_string(),
        Ok(outcome) => panic!("adapted to {} with {:?}", outcome.json, outcome.changes),
    };
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

fn strict() -> Options {
    Options { bundle: "/bundle".into(), strict: true, ..Options::default() }
}

/// An ordinary user with subordinate ids and helpers.
fn alice() -> Fixture {
    Fixture::ordinary(1000)
        .file("/etc/passwd", "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n")
        .file("/etc/subuid", "alice:100000:65536\n")
        .file("/etc/subgid", "alice:100000:65536\n")
        .file("/proc/self/oom_score_adj", "0\n")
        .id_helpers()
}

/// The map of just the caller's own id, as `spec --rootless` writes it.
fn one_id() -> Value {
    json!([{"containerID": 0, "hostID": 1000, "size": 1}])
}

/// The mounts that engines and `spec` write.
fn usual_mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ])
}

/// The spec of a container with all namespaces of its own, as `spec` writes it for root.
fn usual_spec() -> Value {
    json!({
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh"], "cwd": "/"},
        "root": {"path": "rootfs", "readonly": true},
        "mounts": usual_mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces(&["pid", "network", "ipc", "uts", "mount", "cgroup"]),
            "maskedPaths": ["/proc/kcore", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/sys", "/sys/devices"]
        }
    })
}

/// A spec as `spec --rootless` writes it, in which nothing needs to be changed.
fn rootless_spec() -> Value {
    let mut spec = usual_spec();
    let mut mounts = usual_mounts();
    mounts[2]["options"].as_array_mut().unwrap().retain(|option| option != "gid=5");
    mounts[5] = json!({"destination": "/sys", "type": "none", "source": "/sys",
                       "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
    spec["mounts"] = mounts;
    spec["linux"]["namespaces"] = namespaces(&["pid", "ipc", "uts", "mount", "cgroup", "user"]);
    spec["linux"]["uidMappings"] = one_id();
    spec["linux"]["gidMappings"] = one_id();
    spec["linux"].as_object_mut().unwrap().remove("resources");
    spec
}

fn namespaces(types: &[&str]) -> Value {
    types.iter().map(|typ| json!({"type": typ})).collect()
}

/// The rootless spec without some of its namespaces.
fn sharing(types: &[&str]) -> Value {
    let mut spec = rootless_spec();
    spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|entry| !types.contains(&entry["type"].as_str().unwrap()));
    spec
}

/// `CGROUP2_SUPER_MAGIC`
const CGROUP2: u64 = 0x6367_7270;
/// `TMPFS_MAGIC`
const TMPFS: u64 = 0x0102_1994;
