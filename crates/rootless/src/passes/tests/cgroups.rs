use super::*;
use rootling_config::CgroupManager;
use rootling_sys::mount::ST_RDONLY;

fn with_resources(resources: &Value) -> Value {
    json!({"linux": {"namespaces": namespaces(&["mount", "user"]), "uidMappings": one_id(), "gidMappings": one_id(),
                     "cgroupsPath": "box", "resources": resources}})
}

fn on_v2() -> Fixture {
    alice()
        .fs("/sys/fs/cgroup", CGROUP2)
        .file("/proc/self/cgroup", "0::/user.slice/user-1000.slice/session-1.scope\n")
}

fn delegated(controllers: &str) -> Fixture {
    on_v2().cgroup("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service", controllers)
}

fn everything() -> Value {
    json!({
        "devices": [{"allow": false, "access": "rwm"}],
        "memory": {"limit": 104_857_600},
        "cpu": {"shares": 512, "cpus": "0", "mems": "0"},
        "pids": {"limit": 50},
        "blockIO": {"weight": 500},
        "network": {"classID": 1},
        "unified": {"memory.high": "1000000", "cgroup.freeze": "0"}
    })
}

#[test]
fn delegated_controllers_decide_what_stays() {
    let outcome = adapted(with_resources(&everything()), delegated("memory pids"));
    assert_eq!(
        outcome.json["linux"]["resources"],
        json!({"memory": {"limit": 104_857_600}, "pids": {"limit": 50},
               "unified": {"memory.high": "1000000", "cgroup.freeze": "0"}})
    );
    assert_eq!(outcome.json["linux"]["cgroupsPath"], "box");
    let warnings = outcome.warnings();
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    for words in [
        "resources.devices: dropped: device rules",
        "resources.network",
        "controller cpu is",
        "controller cpuset is",
        "controller io is",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(words)), "{words} in {warnings:?}");
    }
    assert!(warnings[2].contains("Delegate=cpu cpuset io memory pids"), "{warnings:?}");
    assert!(warnings[2].contains("/etc/systemd/system/user@.service.d/delegate.conf"));
}

#[test]
fn strict_refuses_to_lose_a_limit() {
    let mut resources = everything();
    resources.as_object_mut().unwrap().remove("devices");
    let error =
        try_adapt(with_resources(&resources), delegated("memory pids"), &strict()).err().unwrap().to_string();
    assert!(
        error.starts_with("linux.resources.cpu.shares 512: the cgroup controller cpu is not delegated"),
        "{error}"
    );
}

#[test]
fn a_subtree_of_ones_own_needs_no_systemd() {
    let machine = on_v2().file("/proc/self/cgroup", "0::/mine\n").cgroup("/sys/fs/cgroup/mine", "cpu memory");
    for (manager, kept) in
        [(CgroupManager::Cgroupfs, true), (CgroupManager::Systemd, false), (CgroupManager::Disabled, false)]
    {
        let options = Options { cgroup_manager: manager, ignore_cgroup_limits: true, ..Options::default() };
        let spec = with_resources(&json!({"memory": {"limit": 104_857_600}}));
        let outcome = try_adapt(spec, machine.clone(), &options).unwrap();
        assert_eq!(outcome.json["linux"].get("resources").is_some(), kept, "{manager:?}");
        assert_eq!(outcome.json["linux"].get("cgroupsPath").is_some(), kept, "{manager:?}");
    }
}

#[test]
fn without_delegation_a_limit_is_an_error_with_the_remedy() {
    let spec = || with_resources(&json!({"memory": {"limit": 104_857_600}, "pids": {"limit": 50}}));
    let error = refused(spec(), on_v2());
    assert_eq!(
        error,
        "linux.resources.memory.limit 104857600 (cgroup controller memory), linux.resources.pids.limit 50 (cgroup \
         controller pids): no cgroup is delegated to this user (rootless needs no limits + no cgrouppath when no permission \
         is granted for cgroups): as root: mkdir -p \
         /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > \
         /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then log in again, or run with --ignore-cgroup-limits"
    );
    let error = refused(spec(), alice().fs("/sys/fs/cgroup", TMPFS));
    assert!(error.contains("boot with the kernel parameter systemd.unified_cgroup_hierarchy=1"), "{error}");
    let error = refused(spec(), on_v2().mount_flags("/sys/fs/cgroup", ST_RDONLY));
    assert!(
        error.contains("start the outer container with --security-opt unmask=/sys/fs/cgroup (podman)"),
        "{error}"
    );

    let options = Options { ignore_cgroup_limits: true, ..Options::default() };
    let outcome = try_adapt(spec(), on_v2(), &options).unwrap();
    assert!(outcome.json["linux"].get("resources").is_none());
    assert!(outcome.json["linux"].get("cgroupsPath").is_none());
    let warnings = outcome.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("not enforced: no cgroup is delegated"), "{warnings:?}");
    assert!(warnings[1].contains("linux.cgroupsPath: box: dropped"), "{warnings:?}");
}

#[test]
fn what_only_systemd_could_limit_can_be_ignored() {
    let spec = || with_resources(&json!({"memory": {"limit": 104_857_600}}));
    let kept = adapted(spec(), delegated("memory"));
    assert!(kept.json["linux"].get("resources").is_some(), "who makes the cgroup says what is missing");
    let options = Options { ignore_cgroup_limits: true, ..Options::default() };
    let outcome = try_adapt(spec(), delegated("memory"), &options).unwrap();
    assert!(outcome.json["linux"].get("resources").is_none());
    assert!(outcome.warnings()[0].contains("make one with --systemd-cgroup"), "{:?}", outcome.warnings());
}

#[test]
fn a_path_from_the_mount_is_delegated_by_where_it_is() {
    let spec = |path: &str| {
        let mut spec = with_resources(&json!({"memory": {"limit": 104_857_600}}));
        spec["linux"]["cgroupsPath"] = path.into();
        spec
    };
    let machine = || on_v2().cgroup("/sys/fs/cgroup/given", "memory");
    let outcome = adapted(spec("/given/box"), machine());
    assert_eq!(outcome.json["linux"]["resources"]["memory"]["limit"], 104_857_600);
    let error = refused(spec("/other/box"), machine());
    assert!(error.contains("no cgroup is delegated"), "{error}");
}

#[test]
fn without_delegation_what_is_no_limit_goes_quietly() {
    let engine = json!({
        "devices": [{"allow": true, "access": "rwm"}],
        "memory": {"disableOOMKiller": false, "limit": -1, "swappiness": u64::MAX},
        "cpu": {"shares": 0, "quota": 0, "idle": 0, "burst": 0},
        "pids": {"limit": -1},
        "blockIO": {"weight": 0, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}
    });
    let outcome = adapted(with_resources(&engine), on_v2());
    assert!(outcome.json["linux"].get("resources").is_none());
    // Whoever makes the cgroup reports that it cannot be made.
    assert_eq!(outcome.json["linux"]["cgroupsPath"], "box");
    assert!(outcome.warnings().is_empty(), "{:?}", outcome.warnings());
}

/// A limit of 0 is a limit in runc and for the kernel: there is no other way to say that no process may be made.
#[test]
fn no_process_at_all_is_a_limit() {
    let spec = || with_resources(&json!({"pids": {"limit": 0}}));
    let error = refused(spec(), on_v2());
    assert!(error.starts_with("linux.resources.pids.limit 0 (cgroup controller pids): "), "{error}");
    let outcome = adapted(spec(), delegated("memory"));
    assert!(
        outcome.warnings()[0].starts_with("linux.resources.pids.limit 0: dropped"),
        "{:?}",
        outcome.warnings()
    );
    let outcome = adapted(spec(), delegated("pids"));
    assert_eq!(outcome.json["linux"]["resources"], json!({"pids": {"limit": 0}}));
}

/// If no cgroup of this version supports it, nothing is lost.
#[test]
fn what_the_version_does_not_have_is_no_limit_on_it() {
    let swappiness = || with_resources(&json!({"memory": {"swappiness": 0}}));
    assert!(adapted(swappiness(), on_v2()).warnings().is_empty());
    let error = refused(swappiness(), alice().fs("/sys/fs/cgroup", TMPFS));
    assert!(error.starts_with("linux.resources.memory.swappiness 0 (cgroup controller memory)"), "{error}");
}

#[test]
fn device_rules_alone_need_no_look_at_cgroups() {
    let denying = || {
        let mut spec = with_resources(&json!({"devices": [{"allow": false, "access": "rwm"}]}));
        spec["linux"].as_object_mut().unwrap().remove("cgroupsPath");
        spec
    };
    let outcome = adapted(denying(), on_v2());
    assert!(outcome.json["linux"].get("resources").is_none());
    let warnings = outcome.warnings();
    assert!(
        matches!(&warnings[..], [one] if one.starts_with("linux.resources.devices: dropped: device rules")),
        "once: {warnings:?}"
    );
    assert!(!outcome.looks.borrow().iter().any(|look| look.contains("cgroup")), "{:?}", outcome.looks);
    let error = try_adapt(denying(), on_v2(), &strict()).err().unwrap().to_string();
    assert!(error.starts_with("linux.resources.devices: device rules take rights over the host"), "{error}");
    assert!(error.ends_with("or run without --strict"), "{error}");
}

#[test]
fn limits_of_kernel_memory_are_refused_by_strict() {
    let spec = || with_resources(&json!({"memory": {"kernel": 1}}));
    let error = try_adapt(spec(), delegated("memory"), &strict()).err().unwrap().to_string();
    assert!(
        error.starts_with("linux.resources.memory: kernel: kernel memory settings are ignored"),
        "{error}"
    );
    assert!(try_adapt(spec(), delegated("memory"), &Options::default()).is_ok());
}

#[test]
fn a_controller_that_systemd_does_not_know_is_for_root() {
    let outcome = adapted(
        with_resources(&json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})),
        delegated("memory"),
    );
    assert_eq!(
        outcome.warnings(),
        [
            "linux.resources.hugepageLimits: dropped: the cgroup controller hugetlb is not delegated to this user: \
          systemd cannot delegate it: run as root"
        ]
    );
}

#[test]
fn root_of_a_user_namespace_looks_for_the_outer_users_delegation() {
    let machine = Fixture::root_in_user_namespace(1000)
        .fs("/sys/fs/cgroup", CGROUP2)
        .file("/proc/self/cgroup", "0::/\n")
        .cgroup("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service", "memory");
    let spec = json!({"linux": {"namespaces": namespaces(&["mount"]), "resources": {"memory": {"limit": 104_857_600}}}});
    let outcome = adapted(spec, machine);
    assert_eq!(outcome.json["linux"]["resources"]["memory"]["limit"], 104_857_600);
}

#[test]
fn a_period_that_no_kernel_takes_is_refused_even_where_it_would_be_left_out() {
    let spec = with_resources(&json!({"cpu": {"period": 100}}));
    let error = refused(spec, delegated("memory"));
    assert!(
        error.contains("linux.resources.cpu.period: 100 ") && error.contains("1000 to 1000000"),
        "{error}"
    );
}
