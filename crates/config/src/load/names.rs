//! Names that are spelled in another case.
//!
//! Go reads `"CPU"` and `"Cpus"` as `cpu` and `cpus`, and therefore runc does; serde takes them for unknown fields. A
//! document with such a name is detected without parsing it, and then read by way of [`fold`].

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::shape::{key, positions};

/// The name of every field in config.json for Linux, at any depth, in alphabetical order ignoring case.
const NAMES: [&str; 151] = [
    "access",
    "action",
    "additionalGids",
    "allow",
    "ambient",
    "annotations",
    "apparmorProfile",
    "architectures",
    "args",
    "blockIO",
    "bounding",
    "burst",
    "capabilities",
    "cgroupsPath",
    "checkBeforeUpdate",
    "class",
    "classID",
    "closID",
    "consoleSize",
    "containerID",
    "cpu",
    "cpus",
    "createContainer",
    "createRuntime",
    "cwd",
    "deadline",
    "defaultAction",
    "defaultErrnoRet",
    "destination",
    "devices",
    "disableOOMKiller",
    "domain",
    "domainname",
    "effective",
    "enableCmt",
    "enableMbm",
    "enableMonitoring",
    "env",
    "errnoRet",
    "execCPUAffinity",
    "fileMode",
    "final",
    "flags",
    "gid",
    "gidMappings",
    "hard",
    "hcaHandles",
    "hcaObjects",
    "height",
    "hooks",
    "hostID",
    "hostname",
    "hugepageLimits",
    "id",
    "idle",
    "index",
    "inheritable",
    "initial",
    "intelRdt",
    "ioPriority",
    "kernel",
    "kernelTCP",
    "l3CacheSchema",
    "leafWeight",
    "limit",
    "linux",
    "listenerMetadata",
    "listenerPath",
    "major",
    "maskedPaths",
    "memBwSchema",
    "memory",
    "memoryPolicy",
    "mems",
    "minor",
    "mode",
    "mountLabel",
    "mounts",
    "name",
    "names",
    "namespaces",
    "nanosecs",
    "netDevices",
    "network",
    "nice",
    "nodes",
    "noNewPrivileges",
    "ociVersion",
    "oomScoreAdj",
    "op",
    "options",
    "pageSize",
    "path",
    "period",
    "permitted",
    "personality",
    "pid",
    "pids",
    "policy",
    "poststart",
    "poststop",
    "prestart",
    "priorities",
    "priority",
    "process",
    "quota",
    "rate",
    "rdma",
    "readonly",
    "readonlyPaths",
    "realtimePeriod",
    "realtimeRuntime",
    "reservation",
    "resources",
    "rlimits",
    "root",
    "rootfsPropagation",
    "scheduler",
    "schemata",
    "seccomp",
    "secs",
    "selinuxLabel",
    "shares",
    "size",
    "soft",
    "source",
    "startContainer",
    "swap",
    "swappiness",
    "syscalls",
    "sysctl",
    "terminal",
    "throttleReadBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteBpsDevice",
    "throttleWriteIOPSDevice",
    "timeOffsets",
    "timeout",
    "type",
    "uid",
    "uidMappings",
    "umask",
    "unified",
    "useHierarchy",
    "user",
    "username",
    "value",
    "valueTwo",
    "weight",
    "weightDevice",
    "width",
];

/// Objects whose names are chosen by the user.
const FREE: [&str; 4] = ["annotations", "netDevices", "sysctl", "unified"];

/// Whether every name of the specification is spelled as there. A string that looks like a name, or a name that is
/// the user's own, may also make this false: the document is then examined again, which does no harm.
pub(super) fn are_usual(json: &[u8]) -> bool {
    // A list of objects repeats a few names, and a search takes longer than all else that is done for one.
    let mut last = [&json[..0]; 8];
    let mut next = 0;
    positions(b':', json).all(|colon| {
        let Some(name) = key(&json[..colon]).filter(|name| !last.contains(name)) else { return true };
        last[next] = name;
        next = (next + 1) % last.len();
        known(name).is_none_or(|known| known.as_bytes() == name)
    })
}

/// The specification's spelling of a name.
fn known(name: &[u8]) -> Option<&'static str> {
    NAMES.binary_search_by(|known| ignoring_case(known.as_bytes(), name)).ok().map(|at| NAMES[at])
}

/// A loop, since this is called for every name of a document and iterators are not inlined here.
fn ignoring_case(one: &[u8], other: &[u8]) -> Ordering {
    for (a, b) in one.iter().zip(other) {
        let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
        if a != b {
            return a.cmp(&b);
        }
    }
    one.len().cmp(&other.len())
}

/// Spells names as the specification does. If two names become the same, the one that was spelled correctly counts,
/// and fields that it lacks are taken from the other.
pub(super) fn fold(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let (usual, other): (Map<_, _>, Map<_, _>) = std::mem::take(object)
                .into_iter()
                .partition(|(name, _)| known(name.as_bytes()).is_none_or(|known| known == name));
            *object = usual;
            for (name, value) in other {
                let name = known(name.as_bytes()).map_or(name.as_str(), |known| known);
                match (object.get_mut(name), value) {
                    (Some(Value::Object(there)), Value::Object(more)) => {
                        for (name, value) in more {
                            there.entry(name).or_insert(value);
                        }
                    }
                    (Some(_), _) => {}
                    (None, value) => drop(object.insert(name.to_owned(), value)),
                }
            }
            object.iter_mut().filter(|(name, _)| !FREE.contains(&name.as_str())).for_each(|(_, v)| fold(v));
        }
        Value::Array(items) => items.iter_mut().for_each(fold),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_and_found() {
        assert!(NAMES.is_sorted_by_key(|name| name.to_ascii_lowercase()));
        for name in NAMES {
            assert_eq!(known(name.to_uppercase().as_bytes()), Some(name));
        }
    }

    #[test]
    fn another_case_is_seen_and_put_right() {
        for (json, usual) in [
            (r#"{"linux": {"resources": {"cpu": {"cpus": "0"}}}}"#, true),
            (r#"{"linux": {"resources": {"CPU" : {"cpus": "0"}}}}"#, false),
            (r#"{"process":{"Env":["A=b"]}}"#, false),
            (r#"{"process":{"env":["Args: x", "PATH=/a:/b"]}, "unheard": 1}"#, true),
            (
                r#"{"mounts":[{"type":"a","source":"b"},{"type":"a","source":"b"},{"type":"a","Source":"b"}]}"#,
                false,
            ),
        ] {
            assert_eq!(are_usual(json.as_bytes()), usual, "{json}");
        }
        let mut value = json!({
            "annotations": {"ID": "x"},
            "linux": {"resources": {
                "CPU": {"Cpus": "0", "shares": 9},
                "cpu": {"shares": 7},
                "unified": {"Memory": "1"},
                "hugepageLimits": [{"pagesize": "2MB", "limit": 1}],
            }},
        });
        fold(&mut value);
        let expected = json!({
            "annotations": {"ID": "x"},
            "linux": {"resources": {
                "cpu": {"cpus": "0", "shares": 7},
                "unified": {"Memory": "1"},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 1}],
            }},
        });
        assert_eq!(value, expected);
    }
}
