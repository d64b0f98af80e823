use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::*;

/// A spec that breaks no rule and has every namespace.
fn base() -> Value {
    let types = ["user", "pid", "network", "mount", "ipc", "uts", "cgroup", "time"];
    let map = json!([
        { "containerID": 0, "hostID": 1000, "size": 1 }, { "containerID": 1, "hostID": 100_000, "size": 10 }
    ]);
    json!({
        "ociVersion": "1.3.0",
        "root": { "path": "rootfs" },
        "process": { "cwd": "/", "args": ["sh"], "user": { "uid": 0, "gid": 0 } },
        "linux": {
            "namespaces": types.map(|kind| json!({ "type": kind })),
            "uidMappings": map,
            "gidMappings": map
        }
    })
}

fn check(value: &Value) -> Result<(), ValidateError> {
    let parsed: Spec =
        serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"));
    Container::parse(parsed).map(drop)
}

/// Sets a field, making a missing parent object.
fn set(value: &mut Value, path: &str, field: Value) {
    let mut target = value;
    for part in path.split('.') {
        target = &mut target[part];
    }
    *target = field;
}

fn with(fields: &[(&str, Value)]) -> Value {
    let mut value = base();
    for (path, field) in fields {
        set(&mut value, path, field.clone());
    }
    value
}

/// The base without the given namespaces, and without maps if there is no user namespace.
fn without_namespaces(kinds: &[&str]) -> Value {
    let mut value = base();
    let namespaces = value["linux"]["namespaces"].as_array_mut().expect("array");
    namespaces.retain(|namespace| !kinds.contains(&namespace["type"].as_str().expect("type")));
    if kinds.contains(&"user") {
        let linux = value["linux"].as_object_mut().expect("object");
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    }
    value
}

fn refused(value: &Value, expected: &str) {
    match check(value) {
        Ok(()) => panic!("accepted, expected {expected:?}"),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
            assert!(!message.contains('\n'), "{message:?} is one line");
        }
    }
}

#[test]
fn specs_that_break_no_rule_are_accepted() {
    for fields in [
        vec![],
        vec![("ociVersion", json!("1.0.0-rc5"))],
        vec![("ociVersion", json!(""))],
        vec![("hostname", json!("web")), ("domainname", json!("lan"))],
        vec![("process.user", json!({ "uid": 10, "gid": 1, "umask": 18, "additionalGids": [2, 10] }))],
        vec![("process.oomScoreAdj", json!(-1000))],
        vec![("linux.maskedPaths", json!(["/proc/kcore"])), ("linux.readonlyPaths", json!(["/proc/sys"]))],
        vec![(
            "linux.timeOffsets",
            json!({ "boottime": { "secs": -5, "nanosecs": 999_999_999 }, "monotonic": {} }),
        )],
        vec![("linux.netDevices", json!({ "eth0": { "name": "net" }, "eth1": {} }))],
        vec![("linux.rootfsPropagation", json!("rslave"))],
        vec![("linux.rootfsPropagation", json!(""))],
        vec![("linux.intelRdt", json!({ "closID": "group" }))],
        vec![("linux.intelRdt", json!({ "closID": "/" }))],
        vec![("linux.memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "0" }))],
        vec![("linux.personality", json!({ "domain": "LINUX32" }))],
        vec![(
            "linux.resources",
            json!({ "cpu": { "cpus": "0-1", "mems": "" }, "unified": { "memory.high": "1" } }),
        )],
        vec![("root.readonly", json!(true))],
        vec![("hooks", json!({ "poststop": [{ "path": "/bin/true", "timeout": 1 }] }))],
        vec![("mounts", json!([{ "destination": "/t", "type": "tmpfs", "options": ["gid=10", "uid=0"] }]))],
        vec![("process.execCPUAffinity", json!({ "initial": "0-3", "final": "7" }))],
    ] {
        let value = with(&fields);
        check(&value).unwrap_or_else(|error| panic!("{fields:?}: {error}"));
    }
    check(&without_namespaces(&["user", "network", "uts", "time"])).expect("fewer namespaces");
}

#[test]
fn what_every_spec_needs_is_asked_for() {
    let mut value = base();
    value.as_object_mut().expect("object").remove("root");
    refused(&value, "root: root must be specified; set root.path");
    let mut value = base();
    value.as_object_mut().expect("object").remove("process");
    assert!(check(&value).is_ok(), "it is only started with a process");
    refused(&with(&[("root", json!({ "path": "" }))]), "root.path: path is empty");
    refused(&with(&[("root", json!({ "path": "a\0" }))]), "root.path: \"a\\0\" contains a NUL byte");
    refused(&with(&[("ociVersion", json!("2.0.0"))]), "ociVersion: \"2.0.0\" is not supported");
    refused(&with(&[("ociVersion", json!("10.0"))]), "ociVersion: \"10.0\" is not supported");
}

#[test]
fn process_rules_name_the_field() {
    for (path, field, expected) in [
        ("process.args", json!([]), "process.args: args must not be empty; name the program to run"),
        ("process.args", json!(null), "process.args: args must not be empty"),
        ("process.args", json!(["a", "b\0"]), "process.args[1]: \"b\\0\" contains a NUL byte"),
        ("process.cwd", json!(""), "process.cwd: Cwd property must not be empty"),
        ("process.cwd", json!("tmp"), "process.cwd: \"tmp\": Cwd must be an absolute path"),
        ("process.env", json!(["A=1", "B"]), "process.env[1]: \"B\" has no \"=\""),
        ("process.oomScoreAdj", json!(1001), "process.oomScoreAdj: 1001 is out of range; use -1000 to 1000"),
        ("process.oomScoreAdj", json!(-1001), "process.oomScoreAdj: -1001"),
        ("process.user.umask", json!(0o1000), "process.user.umask: 512 (octal 1000)"),
        (
            "process.rlimits",
            json!([{ "type": "RLIMIT_NOFILE", "soft": 2, "hard": 1 }]),
            "process.rlimits: RLIMIT_NOFILE",
        ),
        ("process.capabilities", json!({ "effective": ["CAP_KILL"] }), "CAP_KILL is not permitted"),
        (
            "process.capabilities",
            json!({ "effective": ["CAP_BPF", "CAP_SETUID", "CAP_FOWNER", "CAP_CHOWN"], "permitted": ["CAP_CHOWN"] }),
            "CAP_FOWNER is not permitted",
        ),
        (
            "process.scheduler",
            json!({ "policy": "SCHED_OTHER", "nice": 20 }),
            "process.scheduler: invalid scheduler.nice: 20",
        ),
        (
            "process.ioPriority",
            json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 }),
            "invalid ioPriority.Priority: 8",
        ),
        (
            "process.execCPUAffinity",
            json!({ "initial": "3-1" }),
            "process.execCPUAffinity.initial: range \"3-1\"",
        ),
    ] {
        refused(&with(&[(path, field)]), expected);
    }
}

#[test]
fn names_need_a_uts_namespace() {
    for (field, expected) in [
        ("hostname", "hostname: \"web\": unable to set hostname without a private UTS namespace"),
        ("domainname", "domainname: \"web\": unable to set domainname without a private UTS namespace"),
    ] {
        let mut value = without_namespaces(&["uts"]);
        value[field] = json!("web");
        refused(&value, expected);
        value[field] = json!("");
        check(&value).expect("an empty name is none");
        refused(&with(&[(field, json!("x".repeat(65)))]), "has 65 bytes");
    }
}

#[test]
fn masks_need_a_mount_namespace_and_absolute_paths() {
    for field in ["maskedPaths", "readonlyPaths"] {
        let mut value = without_namespaces(&["mount"]);
        value["linux"][field] = json!(["/proc/kcore"]);
        refused(
            &value,
            &format!("linux.{field}: unable to restrict sys entries without a private MNT namespace"),
        );
        value["linux"][field] = json!([]);
        check(&value).expect("no paths, no namespace needed");
        refused(&with(&[(&format!("linux.{field}"), json!(["proc/kcore"]))]), "is not an absolute path");
    }
    let mut value = without_namespaces(&["mount"]);
    value["root"]["readonly"] = json!(true);
    check(&value).expect("a read-only root of the host's mount namespace");
}

#[test]
fn namespaces_given_twice_are_malformed() {
    let twice = json!([{ "type": "pid" }, { "type": "pid" }]);
    let error = check(&with(&[("linux.namespaces", twice)])).unwrap_err().to_string();
    assert_eq!(error, "malformed spec: duplicated namespace \"pid\"");
}

#[test]
fn user_namespaces_and_maps_belong_together() {
    let mut value = base();
    value["linux"]["namespaces"] = json!([{ "type": "mount" }]);
    refused(&value, "linux.uidMappings: user namespace mappings specified, but user namespace isn't enabled");

    let mut value = base();
    value["linux"]["uidMappings"] = json!([]);
    refused(&value, "linux.uidMappings: missing");
    value["linux"]["gidMappings"] = json!([]);
    refused(&value, "user namespaces enabled, but no namespace path to join nor mappings");
    value["linux"]["namespaces"] = json!([{ "type": "user", "path": "/proc/1/ns/user" }]);
    check(&value).expect("a joined namespace has its maps");
    value["linux"]["uidMappings"] = json!([{ "containerID": 5, "hostID": 5, "size": 1 }]);
    check(&value).expect("maps beside a path are compared by the runtime");
}

#[test]
fn ids_that_are_used_must_be_mapped() {
    for (fields, expected) in [
        (
            vec![("linux.uidMappings", json!([{ "containerID": 1, "hostID": 5, "size": 1 }]))],
            "linux.uidMappings: no mapping for uid 0, which the container's root uses",
        ),
        (vec![("process.user.uid", json!(11))], "no mapping for uid 11, which process.user.uid uses; map it"),
        (vec![("process.user.gid", json!(11))], "linux.gidMappings: no mapping for gid 11"),
        (vec![("process.user.gid", json!(11))], "/etc/subgid"),
        (
            vec![("process.user.additionalGids", json!([1, 99]))],
            "gid 99, which process.user.additionalGids uses",
        ),
        (
            vec![("mounts", json!([{ "destination": "/dev/pts", "type": "devpts", "options": ["gid=50"] }]))],
            "no mapping for gid 50, which mounts[0].options of \"/dev/pts\" uses",
        ),
        (
            vec![("linux.uidMappings", json!([{ "containerID": 0, "hostID": 5, "size": 0 }]))],
            "linux.uidMappings[0]: size is 0",
        ),
    ] {
        refused(&with(&fields), expected);
    }
    let mut host = without_namespaces(&["user"]);
    host["process"]["user"] = json!({ "uid": 4242, "gid": 4242 });
    check(&host).expect("without a user namespace there is nothing to map");
}

#[test]
fn time_offsets_need_a_new_time_namespace_and_a_known_clock() {
    let mut value = without_namespaces(&["time"]);
    value["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": 1 } });
    refused(&value, "time namespace offsets specified, but time namespace isn't enabled");
    let time = json!({ "type": "time", "path": "/proc/1/ns/time" });
    value["linux"]["namespaces"].as_array_mut().expect("array").push(time);
    refused(&value, "both namespace path and time offsets specified");
    refused(&with(&[("linux.timeOffsets", json!({ "realtime": {} }))]), "unknown clock \"realtime\"");
    let much = json!({ "boottime": { "nanosecs": 1_000_000_000 } });
    refused(&with(&[("linux.timeOffsets", much)]), "linux.timeOffsets.boottime.nanosecs: 1000000000");
}

#[test]
fn network_devices_need_a_network_namespace_and_valid_names() {
    let mut value = without_namespaces(&["network"]);
    value["linux"]["netDevices"] = json!({ "eth0": {} });
    refused(&value, "unable to move network devices without a NET namespace");
    for name in ["", ".", "..", "a/b", "a:b", "a b", "sixteen-letters-"] {
        refused(&with(&[("linux.netDevices", json!({ name: {} }))]), "invalid network device name");
        let renamed = check(&with(&[("linux.netDevices", json!({ "eth0": { "name": name } }))]));
        assert_eq!(renamed.is_ok(), name.is_empty(), "{name:?}");
    }
    let same = json!({ "eth0": { "name": "x" }, "eth1": { "name": "x" } });
    refused(&with(&[("linux.netDevices", same)]), "two devices would be named \"x\"");
}

#[test]
fn sysctls_must_belong_to_a_namespace_of_the_container() {
    let all = &["ipc", "network", "uts", "user"][..];
    for (name, missing, expected) in [
        ("kernel.shmmax", &[][..], None),
        ("kernel/shmmax", &[], None),
        ("fs.mqueue.msg_max", &[], None),
        ("kernel.sem", &["ipc"], Some("sysctl \"kernel.sem\" is not allowed in the hosts ipc namespace")),
        ("fs.mqueue.msg_max", &["ipc"], Some("not allowed in the hosts ipc namespace")),
        ("net.ipv4.ip_forward", &[], None),
        ("net/ipv4/conf/eth0.100/forwarding", &[], None),
        (
            "net.core.somaxconn",
            &["network"],
            Some("sysctl \"net.core.somaxconn\" not allowed in host network namespace"),
        ),
        ("user.max_net_namespaces", &[], None),
        ("user.max_net_namespaces", &["user"], Some("setting ucounts without a user namespace not allowed")),
        ("kernel.domainname", &[], None),
        ("kernel.domainname", &["uts"], Some("is not in a separate kernel namespace")),
        ("kernel.hostname", &[], Some("conflicts with the OCI \"hostname\" field")),
        ("vm.swappiness", &[], Some("sysctl \"vm.swappiness\" is not in a separate kernel namespace")),
        ("kernel.randomize_va_space", all, Some("is not in a separate kernel namespace")),
        ("net.../../kernel/core_pattern", &[], Some("not the name of a variable")),
        ("net.ipv4.../../../vm/swappiness", &[], Some("not the name of a variable")),
        ("net/../vm/swappiness", &[], Some("not the name of a variable")),
        ("net.", &[], Some("not the name of a variable")),
        ("", &[], Some("not the name of a variable")),
    ] {
        let mut value = without_namespaces(missing);
        value["linux"]["sysctl"] = json!({ name: "1" });
        match expected {
            Some(expected) => refused(&value, expected),
            None => check(&value).unwrap_or_else(|error| panic!("{name}: {error}")),
        }
    }
    let mut own = without_namespaces(&["network"]);
    let host = json!({ "type": "network", "path": "/proc/self/ns/net" });
    own["linux"]["namespaces"].as_array_mut().expect("array").push(host);
    own["linux"]["sysctl"] = json!({ "net.core.somaxconn": "1" });
    refused(&own, "not allowed in host network namespace");
}

#[test]
fn mount_rules_name_the_mount() {
    let map = json!([{ "containerID": 0, "hostID": 1, "size": 1 }]);
    for (mount, expected) in [
        (
            json!({ "destination": "/a", "source": "/b", "options": ["bind", "size"] }),
            "mounts[0]: mount \"/a\": bind mounts cannot have any filesystem-specific options applied",
        ),
        (
            json!({ "destination": "/a", "type": "tmpfs", "options": ["idmap"] }),
            "mounts[0]: \"/a\": id-mapped mounts are only supported for bind-mounts",
        ),
        (
            json!({ "destination": "/a", "source": "/b", "options": ["bind"], "uidMappings": map }),
            "id-mapped mounts must have both uid and gid mappings specified; add gidMappings",
        ),
        (
            json!({ "destination": "/a", "source": "/b", "options": ["bind"], "gidMappings": map,
                    "uidMappings": [{ "containerID": 0, "hostID": 1, "size": 0 }] }),
            "mounts[0].uidMappings[0]: size is 0",
        ),
    ] {
        refused(&with(&[("mounts", json!([mount]))]), expected);
    }
    let idmap = json!([{ "destination": "/a", "source": "/b", "options": ["bind", "idmap"] }]);
    check(&with(&[("mounts", idmap.clone())])).expect("the container's maps are used");
    let mut value = without_namespaces(&["user"]);
    value["mounts"] = idmap;
    refused(&value, "id-mapped without mappings of its own and without a user namespace");
    refused(
        &with(&[("linux.rootfsPropagation", json!("sideways"))]),
        "linux.rootfsPropagation: rootfsPropagation=sideways is not supported",
    );
    refused(&with(&[("linux.rootfsPropagation", json!("ro"))]), "rootfsPropagation=ro");
}

#[test]
fn devices_and_their_rules_are_checked() {
    for (device, expected) in [
        (json!({ "path": "dev/a", "type": "c" }), "linux.devices[0].path: \"dev/a\" is not an absolute path"),
        (json!({ "path": "/dev/a", "type": "a" }), "linux.devices[0].type: invalid device type \"a\""),
        (
            json!({ "path": "/dev/a", "type": "c", "major": -1 }),
            "linux.devices[0].major: -1 is not a device number",
        ),
        (
            json!({ "path": "/dev/a", "type": "b", "minor": 1_i64 << 32 }),
            "linux.devices[0].minor: 4294967296",
        ),
        // Their lower bits are those of /dev/null.
        (
            json!({ "path": "/dev/a", "type": "c", "major": 0x1001, "minor": 3 }),
            "linux.devices[0].major: 4097 is not a device number",
        ),
        (
            json!({ "path": "/dev/a", "type": "c", "major": 1, "minor": 0x10_0003 }),
            "linux.devices[0].minor: 1048579 is not a device number",
        ),
    ] {
        refused(&with(&[("linux.devices", json!([device]))]), expected);
    }
    for (rule, expected) in [
        (json!({ "allow": true }), "device access at 1 field cannot be empty"),
        (json!({ "allow": true, "access": "" }), "device access at 1 field cannot be empty"),
        (json!({ "allow": true, "access": "rx" }), "devices[1].access: \"rx\" contains 'x'"),
        (json!({ "allow": true, "access": "r", "type": "u" }), "invalid cgroup device type \"u\""),
        (json!({ "allow": true, "access": "r", "type": "p" }), "invalid cgroup device type \"p\""),
        (json!({ "allow": true, "access": "r", "major": -2 }), "devices[1].major: -2 is not a device number"),
    ] {
        let rules = json!({ "devices": [{ "allow": false, "access": "rwm" }, rule] });
        refused(&with(&[("linux.resources", rules)]), expected);
    }
    let last = json!([{ "path": "/dev/a", "type": "c", "major": 0xfff, "minor": 0xf_ffff }]);
    check(&with(&[("linux.devices", last)])).expect("the last number");
    let all =
        json!({ "devices": [{ "allow": true, "access": "rwm", "type": "c", "major": -1, "minor": -1 }] });
    check(&with(&[("linux.resources", all)])).expect("-1 is every number");
    let fifo =
        json!([{ "path": "/dev/f", "type": "p" }, { "path": "/dev/u", "type": "u", "major": 1, "minor": 3 }]);
    check(&with(&[("linux.devices", fifo)])).expect("fifos and unbuffered devices");
}

#[test]
fn the_rest_of_linux_is_checked() {
    for (path, field, expected) in [
        (
            "linux.intelRdt",
            json!({ "closID": ".." }),
            "linux.intelRdt.closID: invalid intelRdt.ClosID \"..\"",
        ),
        ("linux.intelRdt", json!({ "closID": "a/b" }), "invalid intelRdt.ClosID \"a/b\""),
        (
            "linux.memoryPolicy",
            json!({ "mode": "MPOL_BIND" }),
            "linux.memoryPolicy: invalid memory policy: MPOL_BIND mode requires at least one node",
        ),
        ("linux.personality", json!({ "domain": "LINUX", "flags": ["X"] }), "unknown flag \"X\""),
        ("linux.seccomp", json!({ "defaultAction": "SCMP_ACT_NOTIFY" }), "linux.seccomp: SCMP_ACT_NOTIFY"),
        ("linux.resources", json!({ "cpu": { "cpus": "2-1" } }), "linux.resources.cpu.cpus: \"2-1\""),
        ("linux.resources", json!({ "unified": { "a/b.c": "1" } }), "linux.resources.unified: \"a/b.c\""),
        ("linux.resources", json!({ "unified": { "..": "1" } }), "linux.resources.unified"),
    ] {
        refused(&with(&[(path, field)]), expected);
    }
}

#[test]
fn strings_do_not_contain_nul() {
    for (path, field) in [
        ("hostname", "hostname"),
        ("domainname", "domainname"),
        ("process.apparmorProfile", "process.apparmorProfile"),
        ("process.selinuxLabel", "process.selinuxLabel"),
        ("linux.mountLabel", "linux.mountLabel"),
        ("linux.cgroupsPath", "linux.cgroupsPath"),
    ] {
        refused(
            &with(&[(path, json!("a\0b"))]),
            &format!("{field}: \"a\\0b\" contains a NUL byte; remove it"),
        );
    }
    for (path, value, field) in [
        ("linux.namespaces", json!([{ "type": "ipc", "path": "/a\0" }]), "linux.namespaces[0].path"),
        ("hooks", json!({ "poststop": [{ "path": "/a\0" }] }), "hooks.poststop[0].path"),
        (
            "hooks",
            json!({ "poststop": [{ "path": "/a", "args": ["a", "\0"] }] }),
            "hooks.poststop[0].args[1]",
        ),
        ("hooks", json!({ "poststop": [{ "path": "/a", "env": ["A=\0"] }] }), "hooks.poststop[0].env[0]"),
    ] {
        refused(&with(&[(path, value)]), &format!("{field}: "));
    }
}

#[test]
fn hooks_and_annotations_are_checked() {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        let hooks = json!({ kind: [{ "path": "/bin/true" }, { "path": "true" }] });
        refused(
            &with(&[("hooks", hooks)]),
            &format!("hooks.{kind}[1].path: \"true\" is not an absolute path"),
        );
        let hooks = json!({ kind: [{ "path": "/bin/true", "timeout": 0 }] });
        refused(&with(&[("hooks", hooks)]), &format!("hooks.{kind}[0].timeout: 0 seconds"));
    }
    refused(&with(&[("annotations", json!({ "": "x" }))]), "annotations: there is one with an empty name");
}

#[test]
fn oddities_are_warned_about() {
    let warned = |value: &Value| warnings(&serde_json::from_value(value.clone()).expect("spec"));
    assert_eq!(warned(&base()), [""; 0]);
    let value = with(&[
        ("ociVersion", json!("")),
        ("mounts", json!([{ "destination": "/a" }, { "destination": "b/c" }])),
        ("linux.resources", json!({ "memory": { "kernel": 1, "kernelTCP": 2 } })),
    ]);
    let warnings = warned(&value);
    assert_eq!(warnings.len(), 3);
    assert!(warnings[1].contains("mounts[1]: mount destination b/c is not absolute"), "{warnings:?}");
    assert!(
        warnings[2]
            .contains("linux.resources.memory: kernel and kernelTCP: kernel memory settings are ignored")
    );
}
