use super::*;

fn with_groups(gids: &Value, namespaces_and_maps: &Value) -> Value {
    json!({"process": {"user": {"uid": 0, "gid": 0, "additionalGids": gids}, "cwd": "/"}, "linux": namespaces_and_maps})
}

fn one_group() -> Value {
    json!({"namespaces": namespaces(&["mount", "user"]), "uidMappings": one_id(), "gidMappings": one_id()})
}

fn gids(outcome: &Outcome) -> Option<&Value> {
    outcome.json["process"]["user"].get("additionalGids")
}

#[test]
fn groups_are_refused_to_an_ordinary_user_with_one_group() {
    let error = refused(with_groups(&json!([0, 10]), &one_group()), alice());
    assert!(error.starts_with("process.user.additionalGids: [10]: setgroups is denied"), "{error}");
    assert!(error.contains("run.oci.keep_original_groups=1"));
}

#[test]
fn groups_are_kept_where_more_are_mapped() {
    let outcome = adapted(with_groups(&json!([10]), &json!({})), alice());
    assert_eq!(gids(&outcome), Some(&json!([10])));
}

#[test]
fn a_group_that_the_process_has_anyway_is_no_loss() {
    let outcome = adapted(with_groups(&json!([0]), &one_group()), alice());
    assert_eq!(gids(&outcome), None);
    assert_eq!(outcome.changes, []);
}

#[test]
fn root_of_a_user_namespace_loses_groups_with_a_warning() {
    let spec = || with_groups(&json!([10]), &json!({"namespaces": namespaces(&["mount"])}));
    let machine = || Fixture::root_in_user_namespace(1000);
    let outcome = adapted(spec(), machine());
    assert_eq!(gids(&outcome), None);
    assert_eq!(outcome.warnings().len(), 1);
    assert!(try_adapt(spec(), machine(), &strict()).is_err());
    let allowed = adapted(spec(), machine().file("/proc/self/setgroups", "allow\n"));
    assert_eq!(gids(&allowed), Some(&json!([10])));
}

#[test]
fn the_annotation_keeps_the_callers_groups() {
    let mut spec = with_groups(&json!([10]), &one_group());
    spec["annotations"] = json!({"run.oci.keep_original_groups": "1"});
    let outcome = adapted(spec, alice());
    assert_eq!(gids(&outcome), None);
    assert!(outcome.warnings().is_empty());
}

#[test]
fn oom_score_is_raised_to_the_callers() {
    for (machine, own, given, wanted) in [
        (alice(), "200\n", 0, 200),
        (alice(), "200\n", 300, 300),
        (alice(), "0\n", -500, 0),
        (Fixture::root_in_user_namespace(1000), "100\n", -1000, 100),
        (Fixture::ordinary(0), "100\n", -1000, -1000),
    ] {
        let spec = json!({"process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "oomScoreAdj": given}});
        let outcome = adapted(spec, machine.file("/proc/self/oom_score_adj", own));
        assert_eq!(outcome.json["process"]["oomScoreAdj"], wanted, "{given} over {own}");
    }
}

#[test]
fn an_unreadable_oom_score_is_an_error_only_when_it_is_needed() {
    let spec = |process: Value| json!({"process": process});
    let machine = || Fixture::ordinary(1000).id_helpers();
    let user = json!({"uid": 0, "gid": 0});
    let error = refused(spec(json!({"user": user, "cwd": "/", "oomScoreAdj": 5})), machine());
    assert!(error.starts_with("process.oomScoreAdj: 5: cannot read /proc/self/oom_score_adj"), "{error}");
    adapted(spec(json!({"user": user, "cwd": "/"})), machine());
}

#[test]
fn ping_groups_are_narrowed_to_those_that_are_mapped() {
    let many = json!([{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 65536}]);
    let spec = |gids: &Value, range: &str| {
        json!({"linux": {
            "namespaces": namespaces(&["mount", "user", "network"]), "uidMappings": one_id(), "gidMappings": gids,
            "sysctl": {"net.ipv4.ping_group_range": range, "net.ipv4.ip_forward": "1"}
        }})
    };
    for (gids, given, wanted) in [
        (one_id(), "0 2147483647", "0 0"),
        (one_id(), "0 0", "0 0"),
        (many.clone(), "0\t2147483647", "0 65536"),
        (many.clone(), "5 65536", "5 65536"),
        (many.clone(), "1 0", "1 0"),
        (many.clone(), "everybody", "everybody"),
    ] {
        let outcome = adapted(spec(&gids, given), alice());
        assert_eq!(outcome.json["linux"]["sysctl"]["net.ipv4.ping_group_range"], wanted, "{given}");
        assert_eq!(outcome.json["linux"]["sysctl"]["net.ipv4.ip_forward"], "1");
        assert_eq!(outcome.changes.len(), usize::from(given != wanted), "{given}: {:?}", outcome.changes);
    }
    let error = refused(spec(&one_id(), "5 10"), alice());
    assert!(error.starts_with("linux.sysctl: net.ipv4.ping_group_range: \"5 10\": both groups"), "{error}");
    assert!(try_adapt(spec(&one_id(), "0 2147483647"), alice(), &strict()).is_err());
}
