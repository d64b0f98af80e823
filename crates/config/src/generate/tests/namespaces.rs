use serde_json::{Value, json};

use super::super::fixture::{caller, made, mount_at, refused, root, user};
use super::super::*;
use crate::idmap::mapping;

fn with(namespaces: Namespaces) -> Request {
    Request { namespaces, ..Request::default() }
}

fn none() -> Namespaces {
    Namespaces::default()
}

fn maps() -> UserNamespace {
    let rows = vec![mapping(0, 1000, 1), mapping(1, 100_000, 65536)];
    UserNamespace::Maps { uid: rows.clone(), gid: rows }
}

fn namespace(spec: &Value, typ: &str) -> Option<Value> {
    spec["linux"]["namespaces"].as_array().expect("array").iter().find(|one| one["type"] == typ).cloned()
}

#[test]
fn modes_are_read() {
    for (text, expected) in
        [("host", Mode::Host), ("private", Mode::Private), ("container:a", Mode::Container("a".into()))]
    {
        assert_eq!(Mode::parse("pid", text).expect(text), expected);
    }
    for text in ["", "hosts", "container", "container:", "host:", "Host"] {
        let error = Mode::parse("pid", text).expect_err(text).to_string();
        assert_eq!(error, format!("--pid {text:?}: is not host, private or container:ID"));
    }
}

#[test]
fn each_namespace_is_the_hosts_a_new_one_or_anothers() {
    let set = |typ: &str, choice: NamespaceChoice| match typ {
        "pid" => Namespaces { pid: choice, ..none() },
        "ipc" => Namespaces { ipc: choice, ..none() },
        "uts" => Namespaces { uts: choice, ..none() },
        "network" => Namespaces { network: choice, ..none() },
        _ => Namespaces { cgroup: choice, ..none() },
    };
    for typ in ["pid", "ipc", "uts", "network", "cgroup"] {
        for make in [root, user] {
            assert_eq!(namespace(&make(with(set(typ, NamespaceChoice::Host))), typ), None, "{typ}");
            let private = namespace(&make(with(set(typ, NamespaceChoice::Private))), typ);
            assert_eq!(private, Some(json!({ "type": typ })));
            let path = format!("/proc/7/ns/{typ}");
            let joined = namespace(&make(with(set(typ, NamespaceChoice::Joined(path.clone().into())))), typ);
            assert_eq!(joined, Some(json!({ "type": typ, "path": path })));
        }
    }
}

#[test]
fn the_user_namespace_has_the_maps_that_are_chosen() {
    let one = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    assert_eq!(user(with(none()))["linux"]["uidMappings"], one);
    assert_eq!(namespace(&root(with(none())), "user"), None);
    for make in [root, user] {
        let spec = make(with(Namespaces { user: maps(), ..none() }));
        assert_eq!(namespace(&spec, "user"), Some(json!({ "type": "user" })));
        assert_eq!(
            spec["linux"]["gidMappings"][1],
            json!({ "containerID": 1, "hostID": 100_000, "size": 65536 })
        );
        let joined = Namespaces { user: UserNamespace::Joined("/proc/7/ns/user".into()), ..none() };
        let spec = make(with(joined));
        assert_eq!(namespace(&spec, "user"), Some(json!({ "type": "user", "path": "/proc/7/ns/user" })));
        assert_eq!(spec["linux"]["uidMappings"], Value::Null);
    }
    let host = with(Namespaces { user: UserNamespace::Host, ..none() });
    assert_eq!(namespace(&root(host.clone()), "user"), None);
    let error = made(&host, &caller(1000)).expect_err("an ordinary user").to_string();
    assert!(error.starts_with("--userns \"host\": an ordinary user can run a container only in"), "{error}");
}

#[test]
fn a_host_name_needs_a_namespace_of_its_own() {
    for uts in [NamespaceChoice::Host, NamespaceChoice::Joined("/proc/7/ns/uts".into())] {
        let namespaces = Namespaces { uts, ..none() };
        assert_eq!(root(with(namespaces.clone()))["hostname"], Value::Null);
        let error = refused(Request { hostname: Some("box".into()), ..with(namespaces) });
        assert!(
            error.starts_with("--hostname \"box\": needs a uts namespace of the container's own"),
            "{error}"
        );
    }
    assert_eq!(root(with(none()))["hostname"], "runc");
}

#[test]
fn a_shared_ipc_namespace_shares_its_file_systems() {
    for make in [root, user] {
        let spec = make(with(Namespaces { ipc: NamespaceChoice::Host, ..none() }));
        for place in ["/dev/shm", "/dev/mqueue"] {
            let expected = json!({ "destination": place, "type": "none", "source": place,
                "options": ["rbind", "nosuid", "noexec", "nodev"] });
            assert_eq!(mount_at(&spec, place), expected);
        }
    }
}

#[test]
fn a_shared_pid_namespace_binds_proc_where_the_kernel_refuses_a_new_one() {
    let shared = with(Namespaces { pid: NamespaceChoice::Host, ..none() });
    assert_eq!(mount_at(&root(shared.clone()), "/proc")["type"], "proc");
    let spec = user(shared);
    assert_eq!(mount_at(&spec, "/proc")["options"], json!(["rbind", "nosuid", "noexec", "nodev"]));
    assert_eq!(spec["linux"]["readonlyPaths"], json!([]));
}

#[test]
fn sysfs_is_new_only_with_a_new_network_namespace_or_for_root_of_the_host() {
    let network =
        |network: NamespaceChoice, user: UserNamespace| with(Namespaces { network, user, ..none() });
    let joined = || NamespaceChoice::Joined("/proc/7/ns/net".into());
    for (spec, expected) in [
        (root(network(NamespaceChoice::Host, UserNamespace::Default)), "sysfs"),
        (root(network(NamespaceChoice::Private, maps())), "sysfs"),
        (root(network(NamespaceChoice::Host, maps())), "none"),
        (user(network(NamespaceChoice::Default, UserNamespace::Default)), "none"),
        (user(network(NamespaceChoice::Private, UserNamespace::Default)), "sysfs"),
        (user(network(joined(), UserNamespace::Default)), "none"),
    ] {
        assert_eq!(mount_at(&spec, "/sys")["type"], expected);
        assert!(mount_at(&spec, "/sys")["options"].as_array().expect("array").contains(&json!("ro")));
    }
}

#[test]
fn ids_of_mounts_stay_where_they_are_mapped() {
    let gid = |spec: Value| mount_at(&spec, "/dev/pts")["options"].to_string().contains("gid=5");
    assert!(gid(root(with(none()))));
    assert!(gid(root(with(Namespaces { user: maps(), ..none() }))));
    let one = UserNamespace::Maps { uid: vec![mapping(0, 9, 1)], gid: vec![mapping(0, 9, 1)] };
    assert!(!gid(root(with(Namespaces { user: one, ..none() }))));
    assert!(!gid(user(with(none()))));
}

#[test]
fn what_programs_cannot_do_in_the_hosts_network_is_said_once() {
    let host = || with(Namespaces { network: NamespaceChoice::Host, ..none() });
    let usual = || Facts { first_free_port: Some(1024), ..caller(1000) };
    let (_, warnings) = made(&host(), &usual()).expect("a spec");
    let expected = "--network host: the container's programs cannot bind ports below 1024; as root, `sysctl -w \
                    net.ipv4.ip_unprivileged_port_start=0` lets them";
    assert_eq!(warnings, [expected]);
    let facts = Facts { may_ping: false, ..usual() };
    let (_, warnings) = made(&host(), &facts).expect("a spec");
    assert!(warnings[0].contains("cannot bind ports below 1024, nor use ping; as root"), "{warnings:?}");
    assert!(warnings[0].contains("=0 net.ipv4.ping_group_range='0 2147483647'`"), "{warnings:?}");
    for facts in [caller(1000), Facts { first_free_port: Some(1024), ..caller(0) }] {
        assert_eq!(made(&host(), &facts).expect("a spec").1, [""; 0], "nothing is missing");
    }
    assert_eq!(made(&with(none()), &usual()).expect("a spec").1, [""; 0], "nobody asked for it");
}
