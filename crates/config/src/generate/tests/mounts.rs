use serde_json::{Value, json};

use super::super::fixture::{caller, made, made_with, mount_at, paths, refused, root, strings, user};
use super::super::*;

fn request() -> Request {
    Request::default()
}

fn bind(destination: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

#[test]
fn mounts_are_written_as_docker_writes_them() {
    for (text, expected) in [
        ("type=bind,src=/data,dst=/x", bind("/x", "/data", &["rbind"])),
        ("source=/data,target=/x/,readonly", bind("/x", "/data", &["rbind", "ro"])),
        ("type=bind,src=here,destination=/x,ro=false", bind("/x", "/home/ann/here", &["rbind", "rw"])),
        (
            "type=bind,src=/data,dst=/x,bind-nonrecursive,bind-propagation=rslave,nosuid,rro",
            bind("/x", "/data", &["bind", "rslave", "nosuid", "rro"]),
        ),
        ("\"src=/data\",dst=/x", bind("/x", "/data", &["rbind"])),
        (
            "type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1777",
            json!({ "destination": "/x", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "nodev", "noexec", "size=1048576", "mode=1777"] }),
        ),
        (
            "type=mqueue,dst=/x,noexec",
            json!({ "destination": "/x", "type": "mqueue", "source": "mqueue", "options": ["noexec"] }),
        ),
        (
            "type=overlay,src=overlay,dst=/x,lowerdir=/a:/b,ro",
            json!({ "destination": "/x", "type": "overlay", "source": "overlay", "options": ["lowerdir=/a:/b", "ro"] }),
        ),
    ] {
        let spec = root(Request { mount: strings(&[text]), ..request() });
        assert_eq!(mount_at(&spec, "/x"), expected, "{text}");
    }
}

#[test]
fn volumes_and_tmpfs_are_short_forms() {
    for (text, expected) in [
        ("/data:/x", bind("/x", "/data", &["rbind"])),
        ("./here:/x:ro,noexec", bind("/x", "/home/ann/here", &["rbind", "ro", "noexec"])),
        ("/data:/x:bind,rshared", bind("/x", "/data", &["bind", "rshared"])),
    ] {
        let spec = root(Request { volume: strings(&[text]), ..request() });
        assert_eq!(mount_at(&spec, "/x"), expected, "{text}");
    }
    let (spec, warnings) =
        made(&Request { volume: strings(&["/data:/x:z"]), ..request() }, &caller(0)).expect("a spec");
    assert_eq!(mount_at(&spec, "/x"), bind("/x", "/data", &["rbind"]));
    assert!(warnings[0].contains("files are not relabelled"), "{warnings:?}");
    for (text, options) in [
        ("/x", json!(["nosuid", "nodev", "noexec"])),
        ("/x:size=64m,mode=0700,exec", json!(["nosuid", "nodev", "size=64m", "mode=0700", "exec"])),
    ] {
        let spec = root(Request { tmpfs: strings(&[text]), ..request() });
        assert_eq!(mount_at(&spec, "/x")["options"], options, "{text}");
    }
}

#[test]
fn mounts_that_make_no_sense_are_refused() {
    let mount = |text: &str| Request { mount: strings(&[text]), ..request() };
    let volume = |text: &str| Request { volume: strings(&[text]), ..request() };
    let tmpfs = |text: &str| Request { tmpfs: strings(&[text]), ..request() };
    for (request, expected) in vec![
        (mount("dst=/x"), "has neither type= nor src="),
        (mount("src=/data"), "has no destination; add dst=PATH"),
        (mount("type=bind,dst=/x"), "a bind has no source"),
        (mount("type=volume,src=a,dst=/x"), "volumes and images belong to an engine"),
        (mount("src=/data,dst=/x,nosiud"), "a bind has no option \"nosiud\""),
        (mount("src=/data,dst=/x,ro=maybe"), "\"ro=maybe\" is neither true nor false"),
        (mount("src,dst=/x"), "src needs a value"),
        (mount("src=/data,dst=/x,bind-propagation=ro"), "\"ro\" is not a propagation"),
        (mount("src=/data,dst=x"), "destination \"x\" has to be an absolute path"),
        (mount("src=/data,dst=/"), "destination \"/\" has to be"),
        (mount("src=/data,dst=/a/../b"), "without \"..\""),
        (mount("src=/absent,dst=/x"), "/absent: entity not found; make it first"),
        (mount("type=tmpfs,dst=/x,tmpfs-size=a"), "is not a size"),
        (mount("type=tmpfs,dst=/x,tmpfs-mode=9"), "mode \"9\" is not octal"),
        (mount("type=tmpfs,dst=/x,sise=1"), "a tmpfs has no option \"sise=1\""),
        (mount("\"src=/data"), "a quotation mark is not closed"),
        (volume("/data"), "is not of the form SOURCE:DESTINATION"),
        (volume(":/x"), "is not of the form SOURCE:DESTINATION"),
        (volume("data:/x"), "a named volume belongs to an engine; for a directory write ./data"),
        (volume("/data:/x:rx"), "a bind has no option \"rx\""),
        (volume("/absent:/x"), "/absent: entity not found"),
        (tmpfs("x"), "destination \"x\" has to be an absolute path"),
        (tmpfs("/x:sise=1"), "a tmpfs has no option \"sise=1\""),
        (tmpfs("/x:mode=8"), "mode \"8\" is not octal"),
        (
            Request { volume: strings(&["/data:/x"]), tmpfs: strings(&["/x"]), ..Request::default() },
            "something else is mounted there already",
        ),
    ] {
        let error = refused(request);
        assert!(error.starts_with("--") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_mount_of_the_users_takes_the_place_of_a_default_one() {
    let plain = root(Request { tty: true, ..request() });
    let spec = root(Request { tmpfs: strings(&["/dev/shm:size=1m", "/proc/x/y", "/new"]), ..request() });
    let places = |spec: &Value| {
        let mounts = spec["mounts"].as_array().expect("mounts").iter();
        mounts.map(|mount| mount["destination"].as_str().expect("string").to_owned()).collect::<Vec<_>>()
    };
    // Deeper mounts come later.
    assert_eq!(places(&spec), [places(&plain), strings(&["/new", "/proc/x/y"])].concat());
    assert_eq!(mount_at(&spec, "/dev/shm")["options"], json!(["nosuid", "nodev", "noexec", "size=1m"]));
}

#[test]
fn shared_memory_has_the_size_that_is_asked_for() {
    let shm = |text: &str| {
        let spec = root(Request { shm_size: Some(text.to_owned()), ..request() });
        mount_at(&spec, "/dev/shm")["options"].as_array().expect("array").last().cloned()
    };
    assert_eq!(shm("1m"), Some(json!("size=1048576")));
    assert_eq!(shm("0"), Some(json!("size=67108864")));
    for (text, expected) in [("-1", "--shm-size: -1 is negative"), ("x", "--shm-size \"x\": is not a size")] {
        let error = refused(Request { shm_size: Some(text.to_owned()), ..request() });
        assert!(error.starts_with(expected), "{error}");
    }
    let namespaces = Namespaces { ipc: NamespaceChoice::Host, ..Namespaces::default() };
    let given = Request { shm_size: Some("1m".to_owned()), namespaces, ..request() };
    let (_, warnings) = made(&given, &caller(0)).expect("a spec");
    assert!(warnings[0].starts_with("--shm-size: /dev/shm is the host's"), "{warnings:?}");
}

#[test]
fn the_network_of_the_host_brings_its_names() {
    let namespaces = Namespaces { network: NamespaceChoice::Host, ..Namespaces::default() };
    let shared = Request { namespaces, ..request() };
    let expected = |path| bind(path, path, &["bind", "ro", "nosuid", "nodev", "noexec"]);
    for spec in [root(shared.clone()), user(request()), user(shared.clone())] {
        for path in ["/etc/hosts", "/etc/resolv.conf"] {
            assert_eq!(mount_at(&spec, path), expected(path));
        }
    }
    assert_eq!(mount_at(&root(request()), "/etc/hosts"), Value::Null);
    let own = root(Request { volume: strings(&["/data:/etc/hosts"]), ..shared.clone() });
    assert_eq!(mount_at(&own, "/etc/hosts"), bind("/etc/hosts", "/data", &["rbind"]));
    let above = root(Request { volume: strings(&["/data:/etc"]), ..shared });
    assert_eq!(mount_at(&above, "/etc/hosts"), Value::Null);
}

#[test]
fn devices_are_made_or_bound_as_the_caller_can() {
    let given = |text: &str| Request { device: strings(&[text]), ..request() };
    let spec = root(given("/dev/fuse"));
    assert_eq!(
        spec["linux"]["devices"],
        json!([{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 0, "gid": 6 }])
    );
    let allow = json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm" });
    assert_eq!(spec["linux"]["resources"]["devices"][1], allow);
    let spec = root(given("/dev/sda:/dev/disk:r"));
    assert_eq!(spec["linux"]["devices"][0]["path"], "/dev/disk");
    assert_eq!(spec["linux"]["resources"]["devices"][1]["access"], "r");
    assert_eq!(root(given("/dev/sda:rw"))["linux"]["resources"]["devices"][1]["access"], "rw");
    let options = &["bind", "nosuid", "noexec"];
    assert_eq!(mount_at(&user(given("/dev/fuse")), "/dev/fuse"), bind("/dev/fuse", "/dev/fuse", options));
    let spec = user(given("/dev/fuse:/dev/other"));
    assert_eq!(mount_at(&spec, "/dev/other"), bind("/dev/other", "/dev/fuse", options));
    assert_eq!((&spec["linux"]["devices"], &spec["linux"]["resources"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_directory_stands_for_every_device_below_it() {
    let paths = |text: &str| {
        let spec = root(Request { device: strings(&[text]), ..request() });
        let devices = spec["linux"]["devices"].as_array().expect("devices").iter();
        devices.map(|device| device["path"].as_str().expect("string").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths("/dev/snd"), ["/dev/snd/by-id/card", "/dev/snd/seq"]);
    assert_eq!(paths("/dev/snd:/dev/audio"), ["/dev/audio/by-id/card", "/dev/audio/seq"]);
}

#[test]
fn devices_that_make_no_sense_are_refused() {
    for (text, expected) in [
        ("/dev/absent", "/dev/absent: entity not found; load its driver"),
        ("/etc/hosts", "is neither a device nor a directory; use --volume"),
        ("/dev/empty", "is a directory without a device below it"),
        ("fuse", "paths of devices have to be absolute"),
        ("/dev/fuse:/dev/../x", "without \"..\""),
        ("/dev/fuse:/dev/x:rwx", "is not of the form SOURCE[:DESTINATION][:r|w|m]"),
        ("/dev/fuse:/dev/x:", "is not of the form"),
    ] {
        let error = refused(Request { device: strings(&[text]), ..request() });
        assert!(error.starts_with(&format!("--device {text:?}: ")) && error.contains(expected), "{error}");
    }
}

#[test]
fn access_to_devices_needs_no_nodes() {
    let given = |text: &str| Request { device_cgroup_rule: strings(&[text]), ..request() };
    for (text, expected) in [
        ("c 10:229 rw", json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" })),
        ("b 8:* m", json!({ "allow": true, "type": "b", "major": 8, "access": "m" })),
        ("a *:* rwm", json!({ "allow": true, "type": "a", "access": "rwm" })),
    ] {
        let spec = root(given(text));
        assert_eq!(spec["linux"]["resources"]["devices"][1], expected, "{text}");
        assert_eq!(spec["linux"]["devices"], Value::Null);
    }
    let (_, warnings) = made(&given("a 1:3 r"), &caller(0)).expect("a spec");
    assert!(warnings[0].contains("type a allows every access to every device"), "{warnings:?}");
    let (spec, warnings) = made(&given("a *:* rwm"), &caller(1000)).expect("a spec");
    assert_eq!(spec["linux"]["resources"], Value::Null);
    assert!(warnings[0].starts_with("--device-cgroup-rule: left out: only root can"), "{warnings:?}");
    for text in
        ["", "a", "a *:*", "d 1:3 r", "c 1 r", "c 1:3 rx", "c 1:3 rwmr", "c 1:3  r", "c :3 r", "c -1:3 r"]
    {
        for caller in [caller(0), caller(1000)] {
            let error = made(&given(text), &caller).expect_err(text).to_string();
            let expected =
                format!("--device-cgroup-rule {text:?}: is not of the form TYPE MAJOR:MINOR ACCESS");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn shared_volumes_set_the_propagation_of_the_root() {
    let mounts = "20 1 8:1 / / rw - ext4 /dev/root rw\n\
                  21 20 8:2 / /data rw,relatime shared:1 - ext4 /dev/sda rw\n\
                  22 21 8:3 / /data/with\\040blank rw master:1 - ext4 /dev/sdb rw\n\
                  23 20 8:4 / /home/ann/here rw shared:7 - tmpfs tmpfs rw\n\
                  24 23 8:4 / /home/ann/here rw - tmpfs tmpfs rw\n";
    let files = paths().text("/proc/self/mountinfo", mounts).with("/data/with blank/x", NodeKind::Directory);
    let files = files.with("/dataset", NodeKind::Directory);
    let made = |volumes: &[&str], uid| {
        let volume = |(at, text): (usize, &&str)| {
            let (source, option) = text.split_once(' ').expect("source and option");
            format!("{}:/v{at}:{option}", source.replace('_', " "))
        };
        let volumes: Vec<_> = volumes.iter().enumerate().map(volume).collect();
        let (spec, warnings) =
            made_with(&Request { volume: volumes, ..request() }, &caller(uid), &files).expect("a spec");
        (spec["linux"]["rootfsPropagation"].as_str().map(str::to_owned), warnings)
    };
    for (volumes, expected) in [
        (&["/data rshared"][..], Some("shared")),
        (&["/data shared", "/data slave"], Some("shared")),
        (&["/data slave", "/data shared"], Some("shared")),
        (&["/data/with_blank/x rslave"], Some("rslave")),
        (&["/data rprivate"], None),
        (&["/data ro"], None),
        (&[], None),
    ] {
        assert_eq!(made(volumes, 0), (expected.map(str::to_owned), Vec::new()), "{volumes:?}");
    }
    for (volume, warning) in [
        (
            "/dataset rshared",
            "the mount at /, which the source is on, is not shared, so that nothing propagates to",
        ),
        ("/home/ann/here shared", "the mount at /home/ann/here, which the source is on, is not shared"),
        ("/data/with_blank/x shared", "mount --make-shared /data/with blank"),
        ("/dataset slave", "is neither shared nor a slave, so that nothing propagates to the container"),
    ] {
        let (root, warnings) = made(&[volume], 0);
        assert_eq!((root, warnings.len()), (None, 1), "{volume}");
        assert!(warnings[0].starts_with("--volume ") && warnings[0].contains(warning), "{warnings:?}");
    }
    let (root, warnings) = made(&["/data rshared"], 1000);
    assert_eq!(root.as_deref(), Some("shared"));
    assert!(
        warnings[0].contains("in a user namespace nothing that the container mounts propagates to the host")
    );
    assert_eq!(made(&["/data rslave"], 1000), (Some("rslave".to_owned()), Vec::new()));
}
