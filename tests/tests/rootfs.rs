//! `root` and what covers parts of it: read-only and masked paths, and propagation, as the mounts show it.

use std::fs;
use std::os::unix::fs::symlink;

use rootling_tests::mountinfo::Mounts;
use rootling_tests::{Bundle, Test, both, root};
use serde_json::json;

both!(
    read_only_root_is_read_only_alone,
    masks_are_empty_and_closed,
    mask_of_a_link_covers_what_it_leads_to,
    read_only_path_keeps_its_flags_and_what_is_mounted_below,
    read_only_path_of_a_link_covers_what_it_leads_to,
    read_only_path_that_is_the_root_makes_it_read_only,
    root_cannot_be_masked,
    paths_may_be_named_twice_and_in_any_form,
    propagation_of_the_root_is_the_word,
    propagation_of_another_word_is_an_error,
    root_has_to_be_a_directory,
);
root!(
    paths_need_a_mount_namespace,
    config_without_linux_has_no_masked_paths,
    mounts_of_the_host_reach_a_slave_and_no_private,
    mounts_of_a_shared_bind_reach_the_host,
    mounts_of_a_shared_volume_reach_the_host,
    mounts_of_a_shared_host_stay,
    propagation_on_a_shared_host_is_the_words_and_no_other,
);

/// With and without pivot_root(2).
const WAYS: [&[&str]; 2] = [&[], &["--no-pivot"]];

fn mounts(t: &Test, bundle: &mut Bundle, flags: &[&str]) -> Mounts {
    bundle.set("/process/args", json!(["cat", "/proc/self/mountinfo"]));
    Mounts::parse(&t.run_command(bundle.write()).args(flags).output().ok().stdout)
}

fn read_only_root_is_read_only_alone(t: &Test) {
    let script = "touch /file 2>&1; touch /tmp/file /dev/shm/file && echo others; mkdir /etc/dir 2>&1";
    let mut bundle = t.shell(script);
    bundle.set("/root/readonly", true.into()).mount("/tmp", "tmpfs", "tmpfs", &[]);
    for flags in WAYS {
        let output = t.run_command(bundle.write()).args(flags).output();
        assert_eq!(output.stdout.matches("Read-only file system").count(), 2, "{output}");
        assert!(output.stdout.contains("others\n"), "{output}");
        let mut looker = bundle.clone();
        let mounts = mounts(t, &mut looker, flags);
        assert!(mounts.at("/").options.contains("ro"), "{mounts:?}");
        assert!(mounts.at("/tmp").options.contains("rw"), "{mounts:?}");
    }
    assert!(!bundle.rootfs("file").exists() && !bundle.rootfs("etc/dir").exists());
    // The bundle itself is as writable as before.
    fs::write(bundle.rootfs("file"), "").expect("write in the root file system from outside");
}

fn masks_are_empty_and_closed(t: &Test) {
    let script = "stat -c '%F %t:%T' /file; cat /file; ls -A /dir /other; touch /dir/new 2>&1; cat /proc/kcore | wc -c";
    let mut bundle = t.shell(script);
    fs::write(bundle.rootfs("file"), "secret").expect("write a file");
    for name in ["dir", "other"] {
        fs::create_dir_all(bundle.rootfs(name).join("inside")).expect("make a directory");
    }
    bundle.own_all();
    bundle.set(
        "/linux/maskedPaths",
        json!(["/file", "/dir", "/other", "/proc/kcore", "/not/there", "/file/below"]),
    );
    let output = t.run(bundle.write()).ok();
    let expected =
        "character special file 1:3\n/dir:\n\n/other:\ntouch: /dir/new: Read-only file system\n0\n";
    assert_eq!(output.stdout, expected);
    let mounts = mounts(t, &mut bundle, &[]);
    for dir in ["/dir", "/other"] {
        assert_eq!(mounts.at(dir).kind, "tmpfs");
        assert!(mounts.at(dir).options.contains("ro"), "{mounts:?}");
    }
    assert!(mounts.find("/not/there").is_none() && !bundle.rootfs("not").exists());
    assert_eq!(fs::read(bundle.rootfs("file")).expect("the file from outside"), b"secret");
}

/// Covering the link itself would leave its target accessible (CVE-2025-31133). As in runc and crun, a link is
/// followed inside the root, and a dangling one is ignored.
fn mask_of_a_link_covers_what_it_leads_to(t: &Test) {
    let links = "for link in /link /up /dirs /nowhere; do readlink $link; done";
    let mut bundle = t.shell(&format!("cat /etc/secret; ls /dir; {links}"));
    fs::write(bundle.rootfs("etc/secret"), "secret\n").expect("write a file");
    fs::create_dir(bundle.rootfs("dir")).expect("make a directory");
    fs::write(bundle.rootfs("dir/secret"), "").expect("write a file");
    for (name, to) in
        [("link", "/etc/secret"), ("up", "../../etc/secret"), ("dirs", "dir"), ("nowhere", "/not/there")]
    {
        symlink(to, bundle.rootfs(name)).expect("make a link");
    }
    bundle.set("/linux/maskedPaths", json!(["/link", "/up", "/dirs", "/nowhere"]));
    assert_eq!(t.run(bundle.write()).ok().stdout, "/etc/secret\n../../etc/secret\ndir\n/not/there\n");
}

fn read_only_path_of_a_link_covers_what_it_leads_to(t: &Test) {
    let mut bundle = t.shell("touch /dir/new 2>&1; touch /other/new && echo written");
    fs::create_dir(bundle.rootfs("dir")).expect("make a directory");
    fs::create_dir(bundle.rootfs("other")).expect("make a directory");
    symlink("/dir", bundle.rootfs("link")).expect("make a link");
    symlink("/not/there", bundle.rootfs("nowhere")).expect("make a link");
    bundle.own_all();
    bundle.set("/linux/readonlyPaths", json!(["/link", "/nowhere"]));
    assert_eq!(t.run(bundle.write()).ok().stdout, "touch: /dir/new: Read-only file system\nwritten\n");
}

fn read_only_path_keeps_its_flags_and_what_is_mounted_below(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/tree", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec", "noatime"]);
    bundle.mount("/tree/sub", "tmpfs", "tmpfs", &["nosuid"]);
    bundle.set("/linux/readonlyPaths", json!(["/tree", "/proc/sys"]));
    let mounts = mounts(t, &mut bundle, &[]);
    mounts.at("/tree").assert_options("ro,nosuid,nodev,noexec,noatime", &"/tree");
    mounts.at("/tree/sub").assert_options("rw,nosuid,relatime", &"/tree/sub");
    assert!(mounts.at("/proc/sys").options.contains("ro") && mounts.at("/proc").options.contains("rw"));
}

/// Covering it would hide nothing that anybody sees.
fn read_only_path_that_is_the_root_makes_it_read_only(t: &Test) {
    for path in ["/", "//", "/.", "/etc/..", "/way", "/way/etc/.."] {
        let mut bundle = t.shell("touch /new 2>&1");
        symlink("/", bundle.rootfs("way")).expect("make a link");
        bundle.set("/linux/readonlyPaths", json!([path]));
        for flags in WAYS {
            let output = t.run_command(bundle.write()).args(flags).output();
            assert!(output.stdout.contains("Read-only file system"), "{path}: {output}");
        }
    }
}

fn root_cannot_be_masked(t: &Test) {
    for path in ["/", "/etc/..", "/way"] {
        let mut bundle = t.bundle(&["true"]);
        symlink("/", bundle.rootfs("way")).expect("make a link");
        bundle.set("/linux/maskedPaths", json!([path]));
        t.run(bundle.write()).fails_with(&["linux.maskedPaths", "is the container's root"]);
    }
}

fn paths_may_be_named_twice_and_in_any_form(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    fs::create_dir(bundle.rootfs("dir")).expect("make a directory");
    bundle.own_all();
    bundle.set("/linux/maskedPaths", json!(["/dir", "/dir/", "//dir", "/etc/../dir"]));
    bundle.set("/linux/readonlyPaths", json!(["/etc", "/etc/."]));
    let mounts = mounts(t, &mut bundle, &[]);
    assert_eq!((mounts.count("/dir"), mounts.count("/etc")), (1, 1), "{mounts:?}");
}

fn propagation_of_the_root_is_the_word(t: &Test) {
    for (word, tag) in [
        (None, None),
        (Some("private"), None),
        (Some("rprivate"), None),
        (Some("slave"), None),
        (Some("rslave"), None),
        (Some("shared"), Some("shared")),
        (Some("rshared"), Some("shared")),
        (Some("unbindable"), Some("unbindable")),
        (Some("runbindable"), Some("unbindable")),
    ] {
        let mut bundle = t.bundle(&["true"]);
        bundle.mount("/t", "tmpfs", "tmpfs", &[]);
        if let Some(word) = word {
            bundle.set("/linux/rootfsPropagation", word.into());
        }
        for flags in WAYS {
            let mounts = mounts(t, &mut bundle, flags);
            let tags = |point: &str| {
                let tags = mounts.at(point).tags.iter().filter_map(|tag| tag.split(':').next());
                // A slave has a master if the host's mounts are shared.
                let slave = word.is_some_and(|word| word.ends_with("slave"));
                tags.filter(|tag| !slave || *tag != "master").map(str::to_owned).collect::<Vec<_>>()
            };
            let expected = Vec::from_iter(tag.map(str::to_owned));
            assert_eq!(tags("/"), expected, "{word:?} {flags:?}: {mounts:?}");
            if word.is_some_and(|word| word.starts_with('r')) {
                assert_eq!(tags("/t"), expected, "{word:?} {flags:?}: {mounts:?}");
            }
        }
    }
}

/// Without a value everything is private, and the values without an `r` apply only to the root.
fn propagation_on_a_shared_host_is_the_words_and_no_other(t: &Test) {
    for (word, option, root, bound, other) in [
        (None, "", "", "", ""),
        (Some(""), "", "", "", ""),
        (Some("private"), "", "", "", ""),
        (Some("slave"), "", "master", "master", "master"),
        (Some("rslave"), "", "master", "master", "master"),
        (Some("shared"), "", "shared", "", ""),
        (Some("rshared"), "", "shared", "shared", "shared"),
        (None, "rslave", "", "master", ""),
        (Some("shared"), "rslave", "shared", "master", ""),
        (Some("shared"), "rshared", "shared", "shared", ""),
    ] {
        let mut bundle = t.bundle(&["cat", "/proc/self/mountinfo"]);
        if let Some(word) = word {
            bundle.set("/linux/rootfsPropagation", word.into());
        }
        let place = t.path("place").to_string_lossy().into_owned();
        let options = ["rbind", option];
        bundle.mount("/bound", "", &place, &options[..if option.is_empty() { 1 } else { 2 }]);
        bundle.mount("/other", "", &place, &["rbind"]);
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
        let output = on_a_shared_host(t, bundle.write(), "\"$@\"").ok();
        let mounts = Mounts::parse(&output.stdout);
        let tags = |point: &str| {
            let tags: Vec<_> = mounts.at(point).tags.iter().filter_map(|tag| tag.split(':').next()).collect();
            tags.join(" ")
        };
        let found = (tags("/"), tags("/bound"), tags("/other"));
        assert_eq!(found, (root.into(), bound.into(), other.into()), "{word:?} {option:?}: {mounts:?}");
        if other.is_empty() {
            let others = mounts.iter().filter(|mount| !["/", "/bound"].contains(&mount.point.as_str()));
            for mount in others {
                assert!(mount.tags.is_empty(), "{word:?} {option:?}: {mount:?}");
            }
        }
    }
}

fn propagation_of_another_word_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/linux/rootfsPropagation", "public".into());
    t.run(bundle.write())
        .fails_with(&["linux.rootfsPropagation", "rootfsPropagation=public is not supported"]);
}

fn paths_need_a_mount_namespace(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.without_namespace("mount").set("/mounts", json!([])).remove("/linux/readonlyPaths");
    t.run(bundle.write()).fails_with(&["linux.maskedPaths", "without a private MNT namespace"]);
}

/// Nobody has asked for the paths that containers usually have masked, and without a mount namespace the host would
/// have them masked as well.
fn config_without_linux_has_no_masked_paths(t: &Test) {
    let mut bundle = t.bundle(&["ls", "/sys/firmware"]);
    bundle.set("/mounts", json!([])).remove("/linux").remove("/hostname");
    fs::create_dir_all(bundle.rootfs("sys/firmware/vendor")).expect("make a directory");
    // What is mounted without a mount namespace stays, so this uses a separate one.
    let output = t.run_command(bundle.write()).under(&["unshare", "-m"]).output().ok();
    assert_eq!(output.stdout, "vendor\n");
}

fn root_has_to_be_a_directory(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    for (path, part) in [("no-such", "ENOENT"), ("config.json", "not a directory"), ("", "empty")] {
        bundle.set("/root/path", path.into());
        t.run(bundle.write()).fails_with(&["root.path", part]);
    }
    bundle.remove("/root");
    t.run(bundle.write()).fails_with(&["root must be specified"]);
}

/// A host of the test's own with shared mounts, in which `$0` is a mount point.
fn on_a_shared_host(t: &Test, bundle: &Bundle, script: &str) -> rootling_tests::Output {
    let place = t.path("place").to_string_lossy().into_owned();
    // Made shared anew: mounts that remained peers of this machine's own would propagate to it.
    let script = format!("mount --make-rshared / && mkdir -p $0 && mount -t tmpfs tmpfs $0 && {script}");
    let under = ["unshare", "-m", "sh", "-c", script.as_str(), place.as_str()];
    t.run_command(bundle).under(&under).output()
}

fn mounts_of_the_host_reach_a_slave_and_no_private(t: &Test) {
    for (option, seen) in [("rslave", true), ("rshared", true), ("rprivate", false)] {
        let mut bundle =
            t.shell("touch /bound/runs; until [ -e /bound/go ]; do sleep 0.05; done; [ -e /bound/sub/file ]");
        bundle.mount("/bound", "", &t.path("place").to_string_lossy(), &["rbind", option]);
        let script = "mkdir $0/sub && { \"$@\" & } && until [ -e $0/runs ]; do sleep 0.05; done && \
                      mount -t tmpfs tmpfs $0/sub && touch $0/sub/file $0/go && wait $!";
        let output = on_a_shared_host(t, bundle.write(), script);
        assert_eq!(output.exit() == 0, seen, "{option}: {output}");
    }
}

/// libcontainer unmounts /proc and /sys if it does not pivot.
fn mounts_of_a_shared_host_stay(t: &Test) {
    for word in ["shared", "slave", "private"] {
        for way in WAYS {
            let mut bundle = t.bundle(&["true"]);
            bundle.set("/linux/rootfsPropagation", word.into()).write();
            let places = "cut -d' ' -f 5 /proc/self/mountinfo | sort";
            let script = format!("before=$({places}) && \"$@\" && [ \"$before\" = \"$({places})\" ]");
            let script = format!("mount --make-rshared / && {script}");
            let run = t.rootling(&["run"]).args(way).arg("-b").arg(bundle.dir()).arg(t.id("c"));
            run.under(&["unshare", "-m", "sh", "-c", &script, "sh"]).output().ok();
        }
    }
}

fn mounts_of_a_shared_bind_reach_the_host(t: &Test) {
    for (option, seen) in [("rshared", true), ("rslave", false), ("rprivate", false)] {
        let mut bundle = t.shell("mount -t tmpfs tmpfs /bound/sub && touch /bound/sub/file");
        for set in ["bounding", "permitted", "effective"] {
            bundle.set(&format!("/process/capabilities/{set}/-"), "CAP_SYS_ADMIN".into());
        }
        // Any other value cuts off propagation at the root.
        bundle.set("/linux/rootfsPropagation", "shared".into());
        bundle.mount("/bound", "", &t.path("place").to_string_lossy(), &["rbind", option]);
        let output = on_a_shared_host(t, bundle.write(), "mkdir $0/sub && \"$@\" && ls $0/sub").ok();
        assert_eq!(output.text() == "file", seen, "{option}: {output}");
    }
}

/// `rootling spec` sets what is needed for it.
fn mounts_of_a_shared_volume_reach_the_host(t: &Test) {
    let (bundle, binary) = (t.bundle(&["true"]), t.binary().display().to_string());
    let place = t.path("place").display().to_string();
    let config = bundle.dir().join("config.json").display().to_string();
    for (option, seen) in [("rshared", true), ("shared", true), ("rslave", false), ("rprivate", false)] {
        let inside = "mount -t tmpfs tmpfs /bound/sub && touch /bound/sub/file";
        let spec = format!(
            "mkdir $0/sub && rm -f {config} && cd {} && {binary} spec --cap-add SYS_ADMIN -v {place}:/bound:{option} -- \
             sh -c '{inside}' && \"$@\" && ls $0/sub",
            bundle.dir().display()
        );
        let output = on_a_shared_host(t, &bundle, &spec).ok();
        assert_eq!((output.text() == "file", output.stderr.as_str()), (seen, ""), "{option}: {output}");
    }
    let script =
        format!("rm -f {config}; mount --make-rprivate / && {binary} spec -v {place}:/bound:rshared -o -");
    let alone = t.command("unshare").args(&["-m", "sh", "-c", &script]).output().ok();
    assert!(alone.stderr.contains("is not shared, so that nothing propagates to the host"), "{alone}");
    assert_eq!(alone.json()["linux"]["rootfsPropagation"], serde_json::Value::Null);
}
