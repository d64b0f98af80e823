//! Properties of the adaptation as a whole.

use super::*;
use rootling_sys::mount::{ST_NODEV, ST_NOSUID, ST_RDONLY, ST_RELATIME};

/// Specs and hosts that together make every pass change something.
fn cases() -> Vec<(&'static str, Value, Fixture)> {
    let v2 = || alice().fs("/sys/fs/cgroup", CGROUP2).file("/proc/self/cgroup", "0::/mine\n");
    let v1 = || alice().fs("/sys/fs/cgroup", TMPFS);
    let nested = || {
        Fixture::root_in_user_namespace(1000)
            .fs("/sys/fs/cgroup", CGROUP2)
            .file("/proc/self/oom_score_adj", "9")
    };
    let mut busy = usual_spec();
    busy["linux"]["namespaces"] = json!([]);
    busy["process"]["oomScoreAdj"] = json!(-100);
    busy["linux"]["cgroupsPath"] = json!("/box");
    let extra = [
        json!({"destination": "/sys/kernel/debug", "type": "debugfs", "source": "debugfs"}),
        json!({"destination": "/data", "type": "bind", "source": "data", "options": ["rbind", "rw", "suid", "noatime"]}),
        json!({"destination": "/systemd", "type": "tmpfs", "source": "tmpfs", "options": ["uid=99999", "gid=0"]}),
    ];
    busy["mounts"].as_array_mut().unwrap().extend(extra);
    let all_flags = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_RELATIME;
    let rich = |machine: Fixture| {
        machine
            .mount_flags("/bundle/data", all_flags)
            .mount_flags("/proc", ST_NOSUID | ST_RDONLY)
            .directory("/dev/shm")
    };
    vec![
        ("spec for root", usual_spec(), v2()),
        ("spec for root, version 1", usual_spec(), v1()),
        ("spec --rootless", rootless_spec(), v2()),
        ("everything shared", busy.clone(), rich(v2().cgroup("/sys/fs/cgroup/mine", "memory"))),
        ("everything shared, version 1", busy.clone(), rich(v1())),
        ("everything shared, no ids", busy.clone(), rich(v2().file("/etc/subuid", ""))),
        ("covered proc and sys", usual_spec(), v2().mount_point("/proc/kcore").mount_point("/sys/firmware")),
        ("root of a user namespace", busy.clone(), rich(nested())),
        ("root of a user namespace, covered proc", usual_spec(), nested().mount_point("/proc/sys")),
        ("root", busy, Fixture::ordinary(0)),
    ]
}

#[test]
fn adapting_twice_changes_nothing_more() {
    for (name, json, machine) in cases() {
        let first = adapted(json, machine.clone());
        let second = adapted(first.json.clone(), machine);
        assert_eq!(second.json, first.json, "{name}");
        assert_eq!(second.changes, [], "{name}");
    }
}

#[test]
fn no_mount_outside_of_sys_is_ever_dropped_or_moved() {
    let outside = |json: &Value| -> Vec<String> {
        let all = json["mounts"].as_array().unwrap().iter();
        let all = all.map(|mount| mount["destination"].as_str().unwrap().to_owned());
        all.filter(|at| at != "/sys" && !at.starts_with("/sys/")).collect()
    };
    for (name, json, machine) in cases() {
        let before = outside(&json);
        assert_eq!(outside(&adapted(json, machine).json), before, "{name}");
    }
}

#[test]
fn every_change_has_a_reason_on_one_line() {
    for (name, json, machine) in cases() {
        for change in adapted(json, machine).changes {
            assert!(!change.what.is_empty() && !change.why.is_empty(), "{name}: {change:?}");
            assert!(!change.to_string().contains('\n'), "{name}: {change:?}");
        }
    }
}

#[test]
fn root_of_the_host_gets_its_spec_back() {
    for (name, json, _) in cases() {
        let outcome = adapted(json.clone(), Fixture::ordinary(0));
        assert_eq!(outcome.json, serde_json::to_value(spec(json)).unwrap(), "{name}");
        assert_eq!(*outcome.looks.borrow(), ["euid", "capabilities", "read /proc/self/uid_map"], "{name}");
    }
}

#[test]
fn a_rootless_spec_costs_only_the_looks_that_its_mounts_need() {
    let outcome = adapted(rootless_spec(), alice().fs("/sys/fs/cgroup", CGROUP2));
    assert_eq!(outcome.changes, []);
    assert_eq!(
        *outcome.looks.borrow(),
        [
            "euid",
            // Its procfs,
            "mount point /proc/sys",
            "mount point /proc/kcore",
            "mount point /proc/sysrq-trigger",
            // and its cgroup mount.
            "statfs /sys/fs/cgroup",
        ]
    );

    let mut plain = rootless_spec();
    plain["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| mount["type"] != "proc" && mount["type"] != "cgroup");
    assert_eq!(*adapted(plain.clone(), alice()).looks.borrow(), ["euid"]);
    plain["process"]["oomScoreAdj"] = json!(0);
    assert_eq!(*adapted(plain, alice()).looks.borrow(), ["euid", "read /proc/self/oom_score_adj"]);
}

#[test]
fn no_program_is_run_for_an_ordinary_container() {
    for (name, json, machine) in cases() {
        let outcome = adapted(json, machine);
        assert!(!outcome.looks.borrow().iter().any(|look| look.starts_with("run ")), "{name}");
    }
}

#[test]
fn the_spec_of_this_machine_can_be_adapted() {
    let mut spec = spec(usual_spec());
    // A container that needs nothing special must be possible on this machine, whatever it is.
    adapt(&mut spec, &Host::probe(), &Options::default()).unwrap();
}
