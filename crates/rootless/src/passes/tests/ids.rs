use super::*;

fn bare(linux: &Value) -> Value {
    json!({"process": {"user": {"uid": 0, "gid": 0}, "cwd": "/"}, "linux": linux})
}

fn types(outcome: &Outcome) -> Vec<&str> {
    let all = outcome.json["linux"]["namespaces"].as_array().unwrap();
    all.iter().map(|entry| entry["type"].as_str().unwrap()).collect()
}

#[test]
fn an_ordinary_user_gets_a_user_namespace_with_its_ids() {
    let outcome = adapted(bare(&json!({"namespaces": namespaces(&["mount"])})), alice());
    assert_eq!(types(&outcome), ["mount", "user"]);
    let rows = json!([{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 65536}]);
    assert_eq!(outcome.json["linux"]["uidMappings"], rows);
    assert_eq!(outcome.json["linux"]["gidMappings"], rows);
    assert!(outcome.warnings().is_empty());
    assert!(outcome.says("linux.uidMappings: set to 0:1000:1,1:100000:65536"));
}

#[test]
fn a_spec_without_a_linux_object_gets_what_it_needs_and_no_more() {
    let outcome = adapted(json!({}), alice());
    let linux = outcome.json["linux"].as_object().unwrap();
    assert_eq!(linux.keys().collect::<Vec<_>>(), ["gidMappings", "namespaces", "uidMappings"]);
    assert_eq!(types(&outcome), ["user", "mount"]);
}

#[test]
fn a_mount_namespace_is_added_with_its_reason() {
    let outcome = adapted(sharing(&["mount"]), alice().fs("/sys/fs/cgroup", CGROUP2));
    assert!(types(&outcome).contains(&"mount"));
    assert!(outcome.says("added \"mount\": an ordinary user can mount"));
}

#[test]
fn maps_of_the_spec_are_left_alone() {
    let rows = json!([{"containerID": 7, "hostID": 100_000, "size": 3}]);
    let linux =
        json!({"namespaces": namespaces(&["mount", "user"]), "uidMappings": rows, "gidMappings": rows});
    let outcome = adapted(bare(&linux), alice());
    assert_eq!(outcome.json["linux"]["uidMappings"], rows);
    assert_eq!(outcome.changes, []);
}

#[test]
fn a_user_namespace_without_maps_gets_the_default_ones() {
    let outcome = adapted(bare(&json!({"namespaces": namespaces(&["mount", "user"])})), alice());
    assert_eq!(outcome.json["linux"]["uidMappings"].as_array().unwrap().len(), 2);
    assert_eq!(types(&outcome), ["mount", "user"], "not twice");
}

#[test]
fn a_missing_kind_of_map_is_filled_in_alone() {
    let linux =
        json!({"namespaces": namespaces(&["mount", "user"]), "uidMappings": one_id(), "gidMappings": []});
    let outcome = adapted(bare(&linux), alice());
    assert_eq!(outcome.json["linux"]["uidMappings"], one_id());
    assert_eq!(outcome.json["linux"]["gidMappings"].as_array().unwrap().len(), 2);
}

#[test]
fn a_joined_user_namespace_brings_its_own_maps() {
    let linux = json!({"namespaces": [{"type": "mount"}, {"type": "user", "path": "/proc/7/ns/user"}]});
    let outcome = adapted(bare(&linux), alice());
    assert!(outcome.json["linux"].get("uidMappings").is_none());
    assert_eq!(outcome.changes, []);
}

#[test]
fn one_id_has_to_do_where_there_are_no_more_and_the_remedy_is_named() {
    let machine = || Fixture::ordinary(1000).id_helpers();
    let outcome = adapted(bare(&json!({})), machine());
    assert_eq!(outcome.json["linux"]["uidMappings"], one_id());
    assert_eq!(
        outcome.warnings(),
        [
            "id map: only the caller's own user and group are mapped: no subordinate ids for \"1000\": for more ids, \
          as root add the line \"1000:100000:65536\" to /etc/subuid and add the line \"1000:100000:65536\" to \
          /etc/subgid"
        ]
    );
    let contained = machine().file("/proc/self/uid_map", "0 1 1000\n1000 0 1\n1001 1001 64536\n");
    let warning = adapted(bare(&json!({})), contained).warnings()[0].clone();
    assert!(warning.contains("add the line \"1000:1001:64536\" to /etc/subuid"), "{warning}");
    let without_helpers =
        alice().path("/nowhere").program("/usr/bin/newuidmap", 0).program("/usr/bin/newgidmap", 0);
    let outcome = adapted(bare(&json!({})), without_helpers);
    assert!(
        outcome.warnings()[0].contains("install the package that has newuidmap"),
        "{:?}",
        outcome.warnings()
    );
}

#[test]
fn one_id_is_not_enough_for_another_user() {
    for (user, words) in [
        (json!({"uid": 33, "gid": 0}), "process.user.uid: 33: only the caller's own id can be mapped"),
        (json!({"uid": 0, "gid": 5}), "process.user.gid: 5: only the caller's own id can be mapped"),
    ] {
        let error = refused(json!({"process": {"user": user, "cwd": "/"}}), Fixture::ordinary(1000));
        assert!(error.starts_with(words) && error.contains("/etc/subuid"), "{error}");
    }
}

#[test]
fn a_range_with_the_callers_id_is_an_error() {
    let error = refused(bare(&json!({})), alice().file("/etc/subuid", "alice:900:200\n"));
    assert!(
        error.starts_with("/etc/subuid: the range 900:200 of \"alice\" contains the caller's own uid 1000"),
        "{error}"
    );
}

#[test]
fn a_malformed_line_is_a_warning() {
    let outcome = adapted(bare(&json!({})), alice().file("/etc/subgid", "junk\nalice:100000:65536\n"));
    assert_eq!(
        outcome.warnings(),
        ["id map: /etc/subgid line 1: \"junk\" is not owner:first:count, ignored"]
    );
}

#[test]
fn root_of_a_user_namespace_runs_the_container_in_it() {
    let machine = Fixture::root_in_user_namespace(1000);
    let outcome = adapted(bare(&json!({"namespaces": namespaces(&["mount"])})), machine);
    assert_eq!(types(&outcome), ["mount"]);
    assert_eq!(outcome.changes, []);
}

#[test]
fn root_of_a_user_namespace_passes_its_ids_on_when_asked_for_another() {
    let machine = Fixture::root_in_user_namespace(1000).file("/proc/self/gid_map", "5 100 2\n0 1000 1\n");
    let outcome = adapted(bare(&json!({"namespaces": namespaces(&["mount", "user"])})), machine);
    assert_eq!(outcome.json["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert_eq!(
        outcome.json["linux"]["gidMappings"],
        json!([{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 5, "size": 2}])
    );
}

#[test]
fn an_ordinary_user_inside_a_user_namespace_gets_a_new_one() {
    let machine = alice().file("/proc/self/uid_map", "0 1000 1\n1 100000 65536\n");
    let outcome = adapted(bare(&json!({})), machine);
    assert_eq!(types(&outcome), ["user", "mount"]);
}

#[test]
fn a_named_owner_gives_its_ranges() {
    let options = Options { map_owner: Some("remap".parse().unwrap()), ..Options::default() };
    let machine = Fixture::ordinary(0)
        .file("/etc/passwd", "remap:x:900:900::/:/bin/sh\n")
        .file("/etc/subuid", "remap:200000:10\n")
        .file("/etc/subgid", "remap:300000:10\n");
    let outcome = try_adapt(bare(&json!({"namespaces": namespaces(&["mount"])})), machine, &options).unwrap();
    assert_eq!(types(&outcome), ["mount", "user"]);
    assert_eq!(
        outcome.json["linux"]["gidMappings"],
        json!([{"containerID": 0, "hostID": 300_000, "size": 10}])
    );
    assert_eq!(outcome.changes.len(), 3);
}

#[test]
fn root_is_mapped_to_nobody_with_a_warning() {
    let options = Options { map_owner: Some("root".parse().unwrap()), ..Options::default() };
    let machine =
        || Fixture::ordinary(0).file("/etc/subuid", "root:200000:10\n").file("/etc/subgid", "root:1:10\n");
    let spec = || bare(&json!({"namespaces": namespaces(&["mount"])}));
    let outcome = try_adapt(spec(), machine(), &options).unwrap();
    assert_eq!(types(&outcome), ["mount"]);
    assert!(outcome.changes[0].warning && outcome.changes[0].why.contains("cannot be mapped to itself"));
    let outcome = try_adapt(spec(), alice(), &options).unwrap();
    assert_eq!(types(&outcome), ["mount", "user"], "an ordinary user needs one");
}

#[test]
fn root_of_a_container_without_sys_admin_gets_a_user_namespace() {
    // CAP_CHOWN to CAP_SETUID and CAP_SETFCAP: roughly what Docker and podman grant.
    let usual = 0xff | 1 << 31;
    let many = "0 1000 1\n1 100000 65536\n";
    let podman = Fixture::root_in_user_namespace(1000)
        .capabilities(usual)
        .file("/proc/self/uid_map", many)
        .file("/proc/self/gid_map", many);
    let outcome = adapted(bare(&json!({})), podman);
    assert_eq!(types(&outcome), ["user", "mount"]);
    let rows =
        json!([{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 1, "size": 65536}]);
    assert_eq!(outcome.json["linux"]["uidMappings"], rows);

    let outcome = adapted(bare(&json!({})), Fixture::root_in_user_namespace(1000).capabilities(0));
    assert_eq!(outcome.json["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert_eq!(outcome.warnings().len(), 1, "the one id is said");
}
