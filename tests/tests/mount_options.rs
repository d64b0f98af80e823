//! `mounts[].options`: the whole table, as the kernel shows the mounts to the container.

use rootling_tests::mountinfo::Mounts;
use rootling_tests::{Bundle, Ids, Output, Test, both, user};
use serde_json::json;

both!(
    attribute_of_a_bind_is_cleared,
    bind_without_flags_keeps_those_of_its_source,
    attribute_of_a_bind_is_set_on_it_alone,
    recursive_attribute_is_set_on_the_whole_tree,
    recursive_attribute_is_cleared_on_the_whole_tree,
    later_option_wins,
    option_without_an_attribute_changes_nothing_on_a_bind,
    attribute_of_a_new_file_system_is_set,
    option_of_the_file_system_reaches_it,
    options_may_be_joined_by_commas,
    option_that_the_file_system_refuses_is_named,
    option_of_a_file_system_on_a_bind_is_ignored_with_a_warning,
    propagation_is_what_the_last_option_of_its_kind_says,
    several_propagations_are_applied_in_order,
    propagation_of_a_bind_is_for_the_tree_where_it_is_recursive,
    unknown_option_on_a_bind_is_an_error,
    unknown_option_is_for_the_file_system,
    remount_changes_the_flags_of_what_is_mounted,
);
user!(
    joined_options_are_adapted_as_separate_ones_are,
    locked_flags_of_the_host_are_kept,
    option_against_a_locked_flag_is_a_warning_or_an_error,
    bind_without_the_locked_mounts_below_says_to_use_rbind,
);

/// All restrictions that a mount can have.
const STRICT: [&str; 7] = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"];

/// A bundle with two file systems, one below the other, that have `options` and can be bind-mounted. They are made
/// in the container's own mount namespace, so that none of their flags is locked.
fn with_tree(t: &Test, options: &[&str]) -> (Bundle, String) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/tree", "tmpfs", "tmpfs", &[]);
    bundle.mount("/tree/sub", "tmpfs", "tmpfs", options);
    if !options.is_empty() {
        bundle.mount("/tree", "", "", &[&["remount"], options].concat());
    }
    let source = bundle.rootfs("tree").to_string_lossy().into_owned();
    (bundle, source)
}

/// Bind-mounts the tree once for each case and returns its mounts: case N is on `/caseN`.
fn bind_cases(t: &Test, source_options: &[&str], bind: &str, cases: &[(&str, &str)]) -> Mounts {
    let (mut bundle, source) = with_tree(t, source_options);
    for (number, (options, _)) in cases.iter().enumerate() {
        let options: Vec<_> = [bind].into_iter().chain(options.split(',')).collect();
        bundle.mount(&format!("/case{number}"), "", &source, &options);
    }
    t.mounts_of(&mut bundle)
}

fn bind_without_flags_keeps_those_of_its_source(t: &Test) {
    let (mut bundle, source) = with_tree(t, &STRICT);
    bundle.mount("/bind", "", &source, &["bind"]).mount("/rbind", "", &source, &["rbind"]);
    bundle.mount("/typed", "bind", &source, &[]).mount("/both", "bind", &source, &["rbind", "bind"]);
    let mounts = t.mounts_of(&mut bundle);
    for point in ["/bind", "/rbind", "/rbind/sub", "/typed", "/both", "/both/sub"] {
        let expected = "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow";
        mounts.at(point).assert_options(expected, &point);
    }
    assert!(mounts.find("/bind/sub").is_none() && mounts.find("/typed/sub").is_none(), "{mounts:?}");
}

/// The result of each option for a mount with `rw,relatime`.
const SET: [(&str, &str); 11] = [
    ("ro", "ro,relatime"),
    ("nosuid", "rw,nosuid,relatime"),
    ("nodev", "rw,nodev,relatime"),
    ("noexec", "rw,noexec,relatime"),
    ("noatime", "rw,noatime"),
    ("nodiratime", "rw,nodiratime,relatime"),
    ("relatime", "rw,relatime"),
    ("strictatime", "rw"),
    ("nosymfollow", "rw,relatime,nosymfollow"),
    ("nodiratime,strictatime", "rw,nodiratime"),
    ("ro,nosuid,nodev,noexec,noatime", "ro,nosuid,nodev,noexec,noatime"),
];

fn attribute_of_a_bind_is_set_on_it_alone(t: &Test) {
    let mounts = bind_cases(t, &[], "rbind", &SET);
    for (number, (option, expected)) in SET.iter().enumerate() {
        mounts.at(&format!("/case{number}")).assert_options(expected, option);
        mounts.at(&format!("/case{number}/sub")).assert_options("rw,relatime", &format!("{option} below"));
    }
}

fn recursive_attribute_is_set_on_the_whole_tree(t: &Test) {
    let cases = [
        ("rro", "ro,relatime"),
        ("rnosuid", "rw,nosuid,relatime"),
        ("rnodev", "rw,nodev,relatime"),
        ("rnoexec", "rw,noexec,relatime"),
        ("rnoatime", "rw,noatime"),
        ("rstrictatime", "rw"),
        ("rrelatime", "rw,relatime"),
        ("ratime", "rw,relatime"),
        ("rnorelatime", "rw,relatime"),
        ("rnostrictatime", "rw,relatime"),
        ("rnodiratime", "rw,nodiratime,relatime"),
        ("rnosymfollow", "rw,relatime,nosymfollow"),
        ("rro,rnosuid,rnoatime", "ro,nosuid,noatime"),
    ];
    let mounts = bind_cases(t, &[], "rbind", &cases);
    for (number, (option, expected)) in cases.iter().enumerate() {
        for below in ["", "/sub"] {
            mounts.at(&format!("/case{number}{below}")).assert_options(expected, &format!("{option}{below}"));
        }
    }
}

fn recursive_attribute_is_cleared_on_the_whole_tree(t: &Test) {
    let cases = [
        ("rrw", "rw,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow"),
        ("rsuid", "ro,nodev,noexec,noatime,nodiratime,nosymfollow"),
        ("rdev", "ro,nosuid,noexec,noatime,nodiratime,nosymfollow"),
        ("rexec", "ro,nosuid,nodev,noatime,nodiratime,nosymfollow"),
        ("rdiratime", "ro,nosuid,nodev,noexec,noatime,nosymfollow"),
        ("rsymfollow", "ro,nosuid,nodev,noexec,noatime,nodiratime"),
        ("ratime", "ro,nosuid,nodev,noexec,nodiratime,relatime,nosymfollow"),
        ("rrw,rsuid,rdev,rexec,rstrictatime,rdiratime,rsymfollow", "rw"),
    ];
    let mounts = bind_cases(t, &STRICT, "rbind", &cases);
    for (number, (option, expected)) in cases.iter().enumerate() {
        for below in ["", "/sub"] {
            mounts.at(&format!("/case{number}{below}")).assert_options(expected, &format!("{option}{below}"));
        }
    }
}

fn later_option_wins(t: &Test) {
    let cases = [
        ("ro,rw", "rw,relatime"),
        ("rw,ro", "ro,relatime"),
        ("noexec,exec,noexec", "rw,noexec,relatime"),
        ("noatime,strictatime", "rw"),
        ("strictatime,noatime", "rw,noatime"),
        ("rro,rrw", "rw,relatime"),
        ("rnosuid,rsuid", "rw,relatime"),
        // As in runc, the recursive ones are applied after the others.
        ("rrw,ro", "rw,relatime"),
        ("rro,rw", "ro,relatime"),
    ];
    let mounts = bind_cases(t, &[], "rbind", &cases);
    for (number, (option, expected)) in cases.iter().enumerate() {
        mounts.at(&format!("/case{number}")).assert_options(expected, option);
    }
}

fn option_without_an_attribute_changes_nothing_on_a_bind(t: &Test) {
    let options = [
        "async",
        "atime",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "iversion",
        "lazytime",
        "loud",
        "mand",
        "noiversion",
        "nolazytime",
        "nomand",
        "norelatime",
        "nostrictatime",
        "rw",
        "silent",
        "suid",
        "symfollow",
        "sync",
        "src-nofollow",
        "dest-nofollow",
        "copy-symlink",
    ];
    let cases = options.map(|option| (option, "rw,relatime"));
    let mounts = bind_cases(t, &[], "bind", &cases);
    for (number, (option, expected)) in cases.iter().enumerate() {
        mounts.at(&format!("/case{number}")).assert_options(expected, option);
    }
}

fn attribute_of_a_new_file_system_is_set(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let recursive = [
        ("rro", "ro,relatime"),
        ("rnosuid", "rw,nosuid,relatime"),
        ("rnodev", "rw,nodev,relatime"),
        ("rnoexec", "rw,noexec,relatime"),
        ("rnoatime", "rw,noatime"),
        ("rnodiratime", "rw,nodiratime,relatime"),
        ("rnosymfollow", "rw,relatime,nosymfollow"),
        ("rstrictatime", "rw"),
        ("rw", "rw,relatime"),
        ("ro,rw", "rw,relatime"),
        ("defaults", "rw,relatime"),
    ];
    let cases: Vec<_> = SET.into_iter().chain(recursive).collect();
    for (number, (options, _)) in cases.iter().enumerate() {
        let options: Vec<_> = options.split(',').collect();
        bundle.mount(&format!("/case{number}"), "tmpfs", "tmpfs", &options);
    }
    let mounts = t.mounts_of(&mut bundle);
    for (number, (option, expected)) in cases.iter().enumerate() {
        mounts.at(&format!("/case{number}")).assert_options(expected, option);
    }
}

fn option_of_the_file_system_reaches_it(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount(
        "/t",
        "tmpfs",
        "named",
        &["size=64k", "nr_inodes=7", "mode=1750", "sync", "dirsync", "lazytime"],
    );
    let mounts = t.mounts_of(&mut bundle);
    let mount = mounts.at("/t");
    assert_eq!((mount.kind.as_str(), mount.source.as_str()), ("tmpfs", "named"));
    for option in ["size=64k", "nr_inodes=7", "mode=1750", "sync", "dirsync", "lazytime"] {
        assert!(mount.data.contains(option), "{option}: {mount:?}");
    }
}

/// mount(2) takes them in one string, and some authors of a config.json write them like that.
fn options_may_be_joined_by_commas(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/one", "tmpfs", "tmpfs", &["size=64k,nr_inodes=7,", "nosuid,mode=1750"]);
    bundle.mount("/dev/pts2", "devpts", "devpts", &["newinstance,ptmxmode=0666,mode=0620"]);
    bundle.mount("/bound", "bind", "/tmp", &["rbind,ro"]);
    let mounts = t.mounts_of(&mut bundle);
    let one = mounts.at("/one");
    assert!(one.data.contains("size=64k") && one.data.contains("nr_inodes=7"), "{one:?}");
    assert!(one.data.contains("mode=1750") && one.options.contains("nosuid"), "{one:?}");
    assert!(mounts.at("/dev/pts2").data.contains("ptmxmode=666"), "{mounts:?}");
    assert!(mounts.at("/bound").options.contains("ro"), "{mounts:?}");
}

/// What must be changed for an ordinary user is found in them as well: a group that is not mapped, and flags of
/// bind mounts.
fn joined_options_are_adapted_as_separate_ones_are(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.ids(Ids::Single(t.account().uid, t.account().gid));
    bundle.mount("/dev/pts2", "devpts", "devpts", &["newinstance,ptmxmode=0666,mode=0620,gid=5"]);
    bundle.mount("/bound", "none", "/etc", &["rbind,nosuid"]);
    let mounts = t.mounts_of(&mut bundle);
    assert!(mounts.at("/dev/pts2").data.contains("mode=620"), "{mounts:?}");
    assert!(mounts.at("/bound").options.contains("nosuid"), "{mounts:?}");
}

fn option_that_the_file_system_refuses_is_named(t: &Test) {
    for (options, refused) in
        [(&["size=1m", "bogus=1"][..], "bogus=1"), (&["size=zz"], "size=zz"), (&["size=1m,nosiud"], "nosiud")]
    {
        let mut bundle = t.bundle(&["true"]);
        bundle.mount("/t", "tmpfs", "tmpfs", options);
        t.run(bundle.write()).fails_with(&["/t", &format!("option {refused:?}"), "EINVAL"]);
    }
}

/// Configurations for several runtimes have it; a misspelt flag is refused.
fn option_of_a_file_system_on_a_bind_is_ignored_with_a_warning(t: &Test) {
    let mut bundle = t.shell("grep -c ' /bound ' /proc/self/mountinfo");
    bundle.mount("/bound", "bind", "/tmp", &["bind", "mode=755", "size=1k"]);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "1\n");
    for option in ["mode=755", "size=1k"] {
        assert!(output.stderr.contains(&format!("{option:?} is ignored")), "{output}");
    }
}

fn propagation_is_what_the_last_option_of_its_kind_says(t: &Test) {
    let words = [
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("slave", ""),
        ("rslave", ""),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ];
    let mut bundle = t.bundle(&["true"]);
    for (word, _) in words {
        bundle.mount(&format!("/{word}"), "tmpfs", "tmpfs", &[word]);
    }
    let mounts = t.mounts_of(&mut bundle);
    for (word, expected) in words {
        let tags: Vec<_> =
            mounts.at(&format!("/{word}")).tags.iter().map(|tag| tag.split(':').next().unwrap()).collect();
        assert_eq!(tags, Vec::from_iter(Some(expected).filter(|tag| !tag.is_empty())), "{word}");
    }
}

/// A slave that is then made shared is both.
fn several_propagations_are_applied_in_order(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    for (point, options) in [
        ("/a", ["shared", "private"].as_slice()),
        ("/b", &["unbindable", "shared"]),
        ("/d", &["private", "rprivate", "shared", "unbindable"]),
    ] {
        bundle.mount(point, "tmpfs", "tmpfs", options);
    }
    let mounts = t.mounts_of(&mut bundle);
    let tags = |point: &str| {
        mounts.at(point).tags.iter().map(|tag| tag.split(':').next().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(tags("/a"), [""; 0]);
    assert_eq!(tags("/b"), ["shared"]);
    assert_eq!(tags("/d"), ["unbindable"]);
}

fn propagation_of_a_bind_is_for_the_tree_where_it_is_recursive(t: &Test) {
    let (mut bundle, source) = with_tree(t, &[]);
    bundle.mount("/one", "", &source, &["rbind", "shared"]).mount("/all", "", &source, &["rbind", "rshared"]);
    let mounts = t.mounts_of(&mut bundle);
    let shared = |point: &str| mounts.at(point).tags.iter().any(|tag| tag.starts_with("shared:"));
    assert!(shared("/one") && !shared("/one/sub"), "{mounts:?}");
    assert!(shared("/all") && shared("/all/sub"), "{mounts:?}");
}

fn unknown_option_on_a_bind_is_an_error(t: &Test) {
    for option in ["nosuidd", "RO", "=x"] {
        let mut bundle = t.bundle(&["true"]);
        bundle.mount("/bound", "bind", "/etc", &["bind", option]);
        t.run(bundle.write()).fails_with(&["mounts[6]", "\"/bound\"", &format!("{option:?}"), "remove it"]);
        assert!(!bundle.rootfs("bound").exists());
    }
}

fn unknown_option_is_for_the_file_system(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/new", "tmpfs", "tmpfs", &["no-such-option"]);
    t.run(bundle.write()).fails_with(&["/new", "tmpfs", "option"]);
}

fn remount_changes_the_flags_of_what_is_mounted(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/t", "tmpfs", "tmpfs", &["nosuid", "size=64k"]);
    bundle.mount("/t", "tmpfs", "tmpfs", &["remount", "ro", "nosuid", "noexec"]);
    let mounts = t.mounts_of(&mut bundle);
    assert_eq!(mounts.count("/t"), 1);
    mounts.at("/t").assert_options("ro,nosuid,noexec,relatime", &"remount");
    assert!(mounts.at("/t").data.contains("size=64k"), "{mounts:?}");
}

/// Mounts a file system on the directory $0 in a separate user and mount namespace, and runs rootling there: in the
/// container's user namespace, which is another one, its flags are locked (mount_namespaces(7)).
const LOCKING_HOST: &str = r#"mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime tmpfs "$0" && exec "$@""#;

fn under_locking_host(t: &Test, bundle: &Bundle, flags: &[&str]) -> Output {
    let dir = t.path("locked").to_string_lossy().into_owned();
    let run = t.rootling(&["run"]).args(flags).arg("-b").arg(bundle.dir()).arg(t.id("c"));
    run.under(&["unshare", "-Urm", "sh", "-c", LOCKING_HOST, &dir]).output()
}

/// A bundle for the namespaces of [`under_locking_host`] that bind-mounts its file system with `options`.
fn binding_locked(t: &Test, options: &[&str]) -> Bundle {
    let dir = t.path("locked");
    std::fs::create_dir(&dir).expect("make the directory to mount on");
    let mut bundle = t.bundle(&["cat", "/proc/self/mountinfo"]);
    bundle.ids(Ids::Single(0, 0)).mount("/bound", "", &dir.to_string_lossy(), options).write();
    bundle
}

fn locked_flags_of_the_host_are_kept(t: &Test) {
    let bundle = binding_locked(t, &["bind", "nosymfollow"]);
    let output = under_locking_host(t, &bundle, &[]).ok();
    let expected = "ro,nosuid,nodev,noexec,noatime,nosymfollow";
    Mounts::parse(&output.stdout).at("/bound").assert_options(expected, &output);
}

fn option_against_a_locked_flag_is_a_warning_or_an_error(t: &Test) {
    let bundle = binding_locked(t, &["bind", "ro", "exec", "suid"]);
    let output = under_locking_host(t, &bundle, &[]).ok();
    Mounts::parse(&output.stdout).at("/bound").assert_options("ro,nosuid,nodev,noexec,noatime", &output);
    assert!(output.stderr.contains("/bound") && output.stderr.contains("exec"), "{output}");
    under_locking_host(t, &bundle, &["--strict"]).fails_with(&["/bound", "cannot be cleared", "--strict"]);
}

fn bind_without_the_locked_mounts_below_says_to_use_rbind(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/mounts/-", json!({"destination": "/d", "source": "/dev", "options": ["bind"]}));
    t.run(bundle.write()).fails_with(&["/d", "rbind"]);
}

/// As in runc: with an option that sets or clears something, the flags are exactly those that are asked for, except
/// that the access time setting is kept until another one is asked for.
fn attribute_of_a_bind_is_cleared(t: &Test) {
    let cases = [
        ("rw", "rw,noatime,nodiratime"),
        ("suid", "rw,noatime,nodiratime"),
        ("ro,dev", "ro,noatime,nodiratime"),
        ("ro,nosuid,exec", "ro,nosuid,noatime,nodiratime"),
        ("ro,nosuid,nodev,noexec,symfollow", "ro,nosuid,nodev,noexec,noatime,nodiratime"),
        ("relatime", "rw,relatime"),
        ("strictatime", "rw"),
        ("nodiratime", "rw,nodiratime,relatime"),
        ("atime", "rw,noatime,nodiratime"),
        ("norelatime", "rw,noatime,nodiratime"),
    ];
    let mounts = bind_cases(t, &STRICT, "bind", &cases);
    for (number, (option, expected)) in cases.iter().enumerate() {
        mounts.at(&format!("/case{number}")).assert_options(expected, option);
    }
}
