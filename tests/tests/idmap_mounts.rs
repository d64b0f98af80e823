//! Id-mapped mounts: owners as the container sees them and as the file system stores them.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use rootling_tests::{Bundle, Ids, Test, Who, both, has_linux, root, skip, user};
use serde_json::{Value, json};

both!(
    file_system_of_the_container_is_mapped,
    mapping_is_recursive_only_where_asked,
    wrong_mapping_is_one_line_that_names_the_mount,
);
root!(
    own_map_is_for_what_is_read_and_written,
    containers_map_is_used_without_an_own,
    own_map_goes_through_a_user_namespace,
    ids_outside_of_the_map_are_nobodys,
);
user!(file_systems_of_the_host_are_for_root, ids_beyond_the_containers_are_an_error);

fn map(inside: u32, outside: u32, size: u32) -> Value {
    json!([{"containerID": inside, "hostID": outside, "size": size}])
}

/// Bind-mounts `source` on `destination` with this map for users and groups, or with that of the container.
fn bind(bundle: &mut Bundle, destination: &str, source: &str, options: &[&str], own: Option<Value>) {
    let mut mount = json!({"destination": destination, "source": source, "options": options});
    if let Some(own) = own {
        mount["uidMappings"] = own.clone();
        mount["gidMappings"] = own;
    }
    bundle.set("/mounts/-", mount);
}

/// A directory on the host with a file that belongs to `id`.
fn directory(t: &Test, id: u32) -> String {
    let dir = t.path("mapped");
    fs::create_dir(&dir).expect("make a directory");
    fs::write(dir.join("file"), "").expect("write a file");
    for path in [&dir, &dir.join("file")] {
        chown(path, Some(id), Some(id)).expect("chown");
    }
    dir.to_string_lossy().into_owned()
}

fn own_map_is_for_what_is_read_and_written(t: &Test) {
    let source = directory(t, 1000);
    let mut bundle = t.shell("stat -c '%u:%g' /bound/file /plain/file; touch /bound/new");
    bind(&mut bundle, "/bound", &source, &["bind"], Some(map(1000, 0, 1)));
    bind(&mut bundle, "/plain", &source, &["bind"], None);
    assert_eq!(t.run(bundle.write()).ok().stdout, "0:0\n1000:1000\n");
    let new = fs::metadata(t.path("mapped/new")).expect("the file made");
    assert_eq!((new.uid(), new.gid()), (1000, 1000));
}

/// Gives the container a user namespace with the ids from 100000 up outside.
fn in_user_namespace(bundle: &mut Bundle) {
    // Its root may not make anything in the image.
    for name in ["bound", "plain"] {
        fs::create_dir_all(bundle.rootfs(name)).expect("make a directory");
    }
    bundle.set("/linux/namespaces/-", json!({"type": "user"}));
    let ids = map(0, 100_000, 65536);
    bundle.set("/linux/uidMappings", ids.clone()).set("/linux/gidMappings", ids);
}

fn containers_map_is_used_without_an_own(t: &Test) {
    let source = directory(t, 5);
    for option in ["idmap", "ridmap"] {
        let mut bundle =
            t.shell("stat -c '%u:%g' /bound/file /plain/file; touch /bound/new; chown 7:8 /bound/new");
        for set in ["bounding", "permitted", "effective"] {
            bundle.set(&format!("/process/capabilities/{set}"), json!(["CAP_CHOWN", "CAP_DAC_OVERRIDE"]));
        }
        in_user_namespace(&mut bundle);
        bind(&mut bundle, "/bound", &source, &["rbind", option], None);
        bind(&mut bundle, "/plain", &source, &["bind"], None);
        // An id of the host that is not mapped appears as nobody.
        assert_eq!(t.run(bundle.write()).ok().stdout, "5:5\n65534:65534\n", "{option}");
        let new = fs::metadata(t.path("mapped/new")).expect("the file made");
        assert_eq!((new.uid(), new.gid()), (7, 8), "{option}");
    }
}

fn own_map_goes_through_a_user_namespace(t: &Test) {
    let source = directory(t, 1000);
    let mut bundle = t.shell("stat -c '%u:%g' /bound/file");
    in_user_namespace(&mut bundle);
    bind(&mut bundle, "/bound", &source, &["bind", "idmap"], Some(map(1000, 100_033, 1)));
    assert_eq!(t.run(bundle.write()).ok().stdout, "33:33\n");
}

fn ids_outside_of_the_map_are_nobodys(t: &Test) {
    let source = directory(t, 1000);
    let mut bundle = t.shell("stat -c '%u:%g' /bound/file; touch /bound/new");
    bind(&mut bundle, "/bound", &source, &["bind"], Some(map(0, 0, 10)));
    let output = t.run(bundle.write());
    assert_eq!(output.text(), "65534:65534", "{output}");
}

/// The id on the host that is `inside` in the container; `None` if only one id is mapped.
fn outside(t: &Test, inside: u32) -> Option<u32> {
    match (t.who(), t.account().ranges()) {
        (Who::Root, _) => Some(inside),
        (Who::User, Some(Ids::Ranges { uid, gid, .. })) if uid == gid => Some(uid + inside - 1),
        _ => {
            skip("the user has no range that is the same in /etc/subuid and /etc/subgid");
            None
        }
    }
}

/// A bundle with two separate file systems, one below the other, and the path of the first.
fn with_tree(t: &Test, script: &str) -> Option<(Bundle, String)> {
    let mut bundle = t.shell(script);
    if !bundle.many_ids() {
        return None;
    }
    bundle.mount("/tree", "tmpfs", "tmpfs", &[]).mount("/tree/sub", "tmpfs", "tmpfs", &[]);
    let source = bundle.rootfs("tree").to_string_lossy().into_owned();
    Some((bundle, source))
}

/// Since it is made in the container's user namespace, it may be id-mapped there as well.
fn file_system_of_the_container_is_mapped(t: &Test) {
    let Some((mut bundle, source)) = with_tree(t, "stat -c '%u:%g' /tree /bound") else { return };
    // As the kernel numbers them where the file system was made.
    let (Some(first), Some(second)) = (outside(t, 1), outside(t, 2)) else { return };
    bind(
        &mut bundle,
        "/bound",
        &source,
        &["bind", "idmap"],
        Some(json!([
            {"containerID": 0, "hostID": second, "size": 1}, {"containerID": 9, "hostID": first, "size": 1}
        ])),
    );
    is_mapped(t, &bundle, "0:0\n2:2\n");
}

/// Whether the bundle with a mapped tmpfs prints this. Before Linux 6.3 there are none.
fn is_mapped(t: &Test, bundle: &Bundle, expected: &str) {
    let output = t.run(bundle.write());
    if has_linux(6, 3) {
        assert_eq!(output.ok().stdout, expected);
    } else {
        output.fails_with(&["/bound", "MOUNT_ATTR_IDMAP", "EINVAL", "in this kernel", "remove"]);
    }
}

fn mapping_is_recursive_only_where_asked(t: &Test) {
    for (option, below) in [("idmap", "0:0"), ("ridmap", "2:2")] {
        let Some((mut bundle, source)) = with_tree(t, "stat -c '%u:%g' /bound /bound/sub") else { return };
        let Some(second) = outside(t, 2) else { return };
        bind(&mut bundle, "/bound", &source, &["rbind", option], Some(map(0, second, 1)));
        is_mapped(t, &bundle, &format!("2:2\n{below}\n"));
    }
}

fn file_systems_of_the_host_are_for_root(t: &Test) {
    let source = t.path("").to_string_lossy().into_owned();
    let mut bundle = t.bundle(&["true"]);
    bind(&mut bundle, "/bound", &source, &["bind"], Some(map(0, t.account().uid, 1)));
    bundle.set("/mounts/6/gidMappings", map(0, t.account().gid, 1));
    t.run(bundle.write()).fails_with(&["/bound", "MOUNT_ATTR_IDMAP", "EPERM", "root", "remove"]);
}

fn ids_beyond_the_containers_are_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/tree", "tmpfs", "tmpfs", &[]);
    let source = bundle.rootfs("tree").to_string_lossy().into_owned();
    bind(&mut bundle, "/bound", &source, &["bind"], Some(map(0, 0, 1)));
    t.run(bundle.write()).fails_with(&["/bound", "uidMappings", "not all in one range"]);
}

fn wrong_mapping_is_one_line_that_names_the_mount(t: &Test) {
    let one = map(0, 0, 1);
    let twice =
        json!([{"containerID": 0, "hostID": 0, "size": 2}, {"containerID": 1, "hostID": 9, "size": 1}]);
    let cases: [(Value, &str); 5] = [
        (json!({"source": "/etc", "options": ["bind"], "uidMappings": one}), "both uid and gid mappings"),
        (json!({"type": "tmpfs", "source": "tmpfs", "uidMappings": one, "gidMappings": one}), "bind-mounts"),
        (
            json!({"source": "/etc", "options": ["bind"], "uidMappings": twice, "gidMappings": one}),
            "both map",
        ),
        (
            json!({"source": "/etc", "options": ["bind"], "uidMappings": map(0, 0, 0), "gidMappings": one}),
            "size is 0",
        ),
        (json!({"type": "tmpfs", "source": "tmpfs", "options": ["idmap"]}), "bind-mounts"),
    ];
    for (mut mount, part) in cases {
        let mut bundle = t.bundle(&["true"]);
        mount["destination"] = "/bound".into();
        bundle.set("/mounts/-", mount);
        t.run(bundle.write()).fails_with(&["mounts[6]", part]);
    }
}
