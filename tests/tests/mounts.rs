//! `mounts`: file systems, sources and destinations, checked from inside and from outside.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rootling_tests::{Bundle, Test, Who, both, skip, snapshot};
use serde_json::json;

both!(
    source_may_be_a_descriptors_path,
    file_on_a_directory_is_an_error,
    tmpfs_has_its_size_and_mode,
    tmpfs_inherits_the_mode_of_the_directory_it_covers,
    tmpfs_without_a_directory_to_cover_has_the_mode_of_the_kernel,
    last_of_several_tmpfs_on_dev_is_the_one_that_is_filled,
    tmpcopyup_brings_modes_owners_and_special_files,
    read_only_tmpcopyup_is_closed_when_it_is_filled,
    mqueue_and_devpts_are_the_containers_own,
    devpts_has_its_modes,
    proc_and_sysfs_are_of_the_containers_namespaces,
    overlay_merges_its_directories,
    overlay_takes_options_of_any_length,
    options_of_an_overlay_may_be_joined,
    file_and_directory_destinations_are_made_inside,
    made_destinations_inherit_the_setgid_bit,
    destination_through_dangling_links_is_made_inside,
    destination_may_be_the_hosts_path_through_the_root,
    destination_may_be_relative_with_a_warning,
    mounts_are_made_in_their_order,
    every_mount_is_listed_after_what_it_lies_on,
    hundreds_of_binds_are_made_in_their_order,
    source_that_is_a_link_is_followed,
    source_may_be_relative_to_the_bundle,
    missing_source_is_an_error,
    source_link_is_not_followed_with_src_nofollow,
    destination_is_the_link_itself_with_dest_nofollow,
    directory_is_not_mounted_on_a_link,
    propagation_of_a_copied_link_is_none,
    copied_link_does_not_replace_what_is_there,
    mount_over_proc_is_an_error,
    file_of_proc_may_be_stood_in_for,
    mount_without_a_type_is_an_error,
    unknown_file_system_is_an_error,
    nothing_of_a_failed_mount_is_left,
);

fn at(t: &Test, name: &str) -> String {
    t.path(name).to_string_lossy().into_owned()
}

/// A file on the host with the contents `text`, to be bind-mounted.
fn file(t: &Test, name: &str, text: &str) -> String {
    fs::write(t.path(name), text).expect("write a file");
    at(t, name)
}

fn tmpfs_has_its_size_and_mode(t: &Test) {
    let mut bundle =
        t.shell("stat -c %a /t; df -k /t | tail -n1 | tr -s ' ' | cut -d' ' -f2; stat -c %a /plain");
    bundle.mount("/t", "tmpfs", "tmpfs", &["size=128k", "mode=1750"]);
    bundle.mount("/plain", "tmpfs", "tmpfs", &["mode=0"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "1750\n128\n0\n");
}

fn tmpfs_inherits_the_mode_of_the_directory_it_covers(t: &Test) {
    let mut bundle = t.shell("stat -c %a /covered");
    let covered = bundle.rootfs("covered");
    fs::create_dir(&covered).expect("make the directory");
    bundle.own_all();
    fs::set_permissions(&covered, fs::Permissions::from_mode(0o2710)).expect("chmod");
    bundle.mount("/covered", "tmpfs", "tmpfs", &["nosuid"]);
    assert_eq!(t.run(bundle.write()).ok().text(), "2710");
}

fn tmpfs_without_a_directory_to_cover_has_the_mode_of_the_kernel(t: &Test) {
    let mut bundle = t.shell("stat -c %a /not/there");
    bundle.mount("/not/there", "tmpfs", "tmpfs", &[]);
    assert_eq!(t.run(bundle.write()).ok().text(), "1777");
    let mode = fs::metadata(bundle.rootfs("not")).expect("the directory made").permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

fn last_of_several_tmpfs_on_dev_is_the_one_that_is_filled(t: &Test) {
    let script = "df -k /dev | tail -n1 | tr -s ' ' | cut -d' ' -f2; grep -c ' /dev tmpfs' /proc/mounts; echo x >/dev/null; \
                  stat -c %t:%T /dev/null; readlink /dev/fd";
    let mut bundle = t.shell(script);
    bundle.without_mount("/dev/mqueue").without_mount("/dev/shm").without_mount("/dev/pts");
    bundle.mount("/dev", "tmpfs", "tmpfs", &["size=128k", "mode=755"]);
    bundle.mount("/dev", "tmpfs", "tmpfs", &["size=256k", "mode=755", "nosuid"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "256\n3\n1:3\n/proc/self/fd\n");
    // With a hook that runs before libcontainer does its work, it is filled in another way.
    bundle.set("/hooks/createContainer", json!([{"path": "/bin/true"}]));
    assert_eq!(t.run(bundle.write()).ok().stdout, "256\n3\n1:3\n/proc/self/fd\n");
}

fn tmpcopyup_brings_modes_owners_and_special_files(t: &Test) {
    let script = "cd /full; stat -c '%A %a %n' . dir dir/exe pipe; readlink dangling; cat dir/exe; touch new";
    let mut bundle = t.shell(script);
    let dir = bundle.rootfs("full/dir");
    fs::create_dir_all(&dir).expect("make the directory");
    fs::write(dir.join("exe"), "text\n").expect("write a file");
    symlink("/no/such/../thing", bundle.rootfs("full/dangling")).expect("make a link");
    nix::unistd::mkfifo(&bundle.rootfs("full/pipe"), nix::sys::stat::Mode::S_IRWXU).expect("make a fifo");
    bundle.own_all();
    for (path, mode) in
        [("full", 0o2775), ("full/dir", 0o1700), ("full/dir/exe", 0o4751), ("full/pipe", 0o640)]
    {
        fs::set_permissions(bundle.rootfs(path), fs::Permissions::from_mode(mode)).expect("chmod");
    }
    let before = snapshot::take(&bundle.rootfs("full"));
    bundle.mount("/full", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let output = t.run(bundle.write()).ok();
    let expected = "drwxrwsr-x 2775 .\ndrwx-----T 1700 dir\n-rwsr-x--x 4751 dir/exe\nprw-r----- 640 pipe\n\
                    /no/such/../thing\ntext\n";
    assert_eq!(output.stdout, expected);
    snapshot::assert_unchanged(&bundle.rootfs("full"), &before, &output);
}

fn read_only_tmpcopyup_is_closed_when_it_is_filled(t: &Test) {
    let mut bundle = t.shell("cat /etc/passwd | wc -l; ! touch /etc/new 2>&1");
    bundle.mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]);
    assert!(t.run(bundle.write()).ok().stdout.contains("2\ntouch: /etc/new: Read-only file system"));
}

fn mqueue_and_devpts_are_the_containers_own(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let mounts = t.mounts_of(&mut bundle);
    assert_eq!(mounts.at("/dev/mqueue").kind, "mqueue");
    mounts.at("/dev/mqueue").assert_options("rw,nosuid,nodev,noexec,relatime", &"mqueue");
    assert_eq!(mounts.at("/dev/pts").kind, "devpts");
    let own = bundle.sibling(t, &["ls", "/dev/pts", "/dev/mqueue"]);
    assert_eq!(t.run(own.write()).ok().stdout, "/dev/mqueue:\n\n/dev/pts:\nptmx\n");
}

fn devpts_has_its_modes(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let mut other = bundle.clone();
    other.set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance", "ptmxmode=0600", "mode=0600"]));
    for (mut bundle, ptmx, mode) in [(bundle, "666", "mode=620"), (other, "600", "mode=600")] {
        bundle.set(
            "/process/args",
            json!(["sh", "-c", "stat -c %a /dev/pts/ptmx; grep ' /dev/pts ' /proc/self/mountinfo"]),
        );
        let output = t.run(bundle.write()).ok();
        assert_eq!(output.stdout.lines().next(), Some(ptmx), "{output}");
        assert!(output.stdout.contains(mode), "{output}");
    }
}

fn proc_and_sysfs_are_of_the_containers_namespaces(t: &Test) {
    let bundle = t.shell("ls -d /proc/[0-9]* | head -n1; ls /sys/class/net; grep -c : /proc/net/dev");
    assert_eq!(t.run(bundle.write()).ok().stdout, "/proc/1\nlo\n1\n");
}

/// Makes two directories for an overlay in the root file system; returns the options of the overlay.
fn overlay(bundle: &Bundle, lower: &[&str]) -> Vec<String> {
    for (name, text) in [("low1", "1"), ("low2", "2"), ("upper", "u"), ("work", "")] {
        let dir = bundle.rootfs(name);
        fs::create_dir(&dir).expect("make the directory");
        if !text.is_empty() {
            fs::write(dir.join(text), text).expect("write a file");
        }
    }
    bundle.own_all();
    let path = |name: &str| bundle.rootfs(name).to_string_lossy().into_owned();
    let lower = lower.iter().map(|name| path(name)).collect::<Vec<_>>().join(":");
    vec![
        format!("lowerdir={lower}"),
        format!("upperdir={}", path("upper")),
        format!("workdir={}", path("work")),
    ]
}

fn mount_merged(bundle: &mut Bundle, options: &[String]) {
    let mount = json!({"destination": "/merged", "type": "overlay", "source": "overlay", "options": options});
    bundle.set("/mounts/-", mount);
}

/// Whether this kernel has overlay; prints a message if not.
fn has_overlay() -> bool {
    let there =
        fs::read_to_string("/proc/filesystems").expect("list of file systems").contains("\toverlay\n");
    if !there {
        skip("this kernel has no overlay");
    }
    there
}

fn overlay_merges_its_directories(t: &Test) {
    if !has_overlay() {
        return;
    }
    let mut bundle =
        t.shell("ls /merged; rm /merged/2; echo new > /merged/n; grep ' /merged ' /proc/self/mountinfo");
    let mut options = overlay(&bundle, &["low1", "low2"]);
    options.extend(["nosuid".to_owned(), "userxattr".to_owned()]);
    mount_merged(&mut bundle, &options);
    let output = t.run(bundle.write()).ok();
    assert!(output.stdout.starts_with("1\n2\nu\n"), "{output}");
    assert!(
        output.stdout.contains("rw,nosuid,relatime") && output.stdout.contains(" - overlay overlay "),
        "{output}"
    );
    assert_eq!(fs::read_to_string(bundle.rootfs("upper/n")).expect("what was written"), "new\n");
    assert!(bundle.rootfs("low2/2").exists());
}

/// fsconfig(2) accepts 255 bytes for a value, and mount(2) a page.
fn overlay_takes_options_of_any_length(t: &Test) {
    if !has_overlay() {
        return;
    }
    let mut bundle = t.shell("ls /merged; grep ' /merged ' /proc/self/mountinfo");
    let long = "d".repeat(200);
    fs::create_dir_all(bundle.rootfs(&format!("{long}/{long}"))).expect("make the directory");
    fs::write(bundle.rootfs(&format!("{long}/{long}/file")), "").expect("write a file");
    let deep = format!("{long}/{long}");
    let options = overlay(&bundle, &[&deep, "low1"]);
    assert!(options[0].len() > 400);
    let options: Vec<_> =
        options.into_iter().chain(["ro", "rnoexec", "userxattr"].map(str::to_owned)).collect();
    mount_merged(&mut bundle, &options);
    let output = t.run(bundle.write()).ok();
    assert!(output.stdout.starts_with("1\nfile\nu\n"), "{output}");
    assert!(output.stdout.contains(" ro,noexec,relatime "), "{output}");
}

/// As one string for mount(2), with a directory that has a comma in its name.
fn options_of_an_overlay_may_be_joined(t: &Test) {
    if !has_overlay() {
        return;
    }
    let bundle = t.shell("ls /merged; grep ' /merged ' /proc/self/mountinfo");
    let mut options = overlay(&bundle, &["low1", "low2"]);
    let comma = bundle.rootfs("low,2");
    fs::rename(bundle.rootfs("low2"), &comma).expect("rename the directory");
    options[0] = options[0].replace("low2", "low\\,2");
    options.extend(["userxattr".to_owned(), "nosuid".to_owned()]);
    for options in [vec![options.join(",")], options] {
        let mut bundle = bundle.clone();
        mount_merged(&mut bundle, &options);
        let output = t.run(bundle.write()).ok();
        assert!(output.stdout.starts_with("1\n2\nu\n"), "{options:?}: {output}");
        assert!(output.stdout.contains("nosuid"), "{options:?}: {output}");
    }
}

fn file_and_directory_destinations_are_made_inside(t: &Test) {
    let mut bundle = t.shell("cat /new/dir/file; ls /other/dir");
    let source = file(t, "source", "bound\n");
    bundle.mount("/new/dir/file", "bind", &source, &["bind", "ro"]);
    bundle.mount("/other/dir", "bind", &bundle.rootfs("etc").to_string_lossy(), &["rbind"]);
    for _ in 0..2 {
        assert_eq!(t.run(bundle.write()).ok().stdout, "bound\ngroup\npasswd\n");
    }
    let made = fs::metadata(bundle.rootfs("new/dir/file")).expect("the file made");
    assert!(made.is_file() && made.len() == 0);
    assert_eq!(made.permissions().mode() & 0o777, 0o644);
    assert_eq!(
        fs::metadata(bundle.rootfs("new/dir")).expect("the directory made").permissions().mode() & 0o7777,
        0o755
    );
}

fn made_destinations_inherit_the_setgid_bit(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    fs::create_dir(bundle.rootfs("setgid")).expect("make the directory");
    bundle.own_all();
    fs::set_permissions(bundle.rootfs("setgid"), fs::Permissions::from_mode(0o7755)).expect("chmod");
    bundle.mount("/setgid/a/b", "tmpfs", "tmpfs", &[]);
    t.run(bundle.write()).ok();
    let mode = |path: &str| fs::metadata(bundle.rootfs(path)).expect("stat").permissions().mode() & 0o7777;
    assert_eq!([mode("setgid"), mode("setgid/a"), mode("setgid/a/b")], [0o7755, 0o2755, 0o2755]);
}

fn destination_through_dangling_links_is_made_inside(t: &Test) {
    let mut bundle = t.shell("cat /link/file; cat /trailing; ls -d /real/dir /tmp/trailing-target");
    let outside = t.path("outside");
    fs::create_dir(&outside).expect("make the directory");
    let links = [
        ("link", "/real/dir".to_owned()),
        ("trailing", "../../../../tmp/trailing-target".to_owned()),
        ("out", outside.to_string_lossy().into_owned()),
    ];
    for (name, target) in &links {
        symlink(target, bundle.rootfs(name)).expect("make a link");
    }
    let source = file(t, "source", "bound\n");
    for destination in ["/link/file", "/trailing", "/out/escaped"] {
        bundle.mount(destination, "bind", &source, &["bind"]);
    }
    let before = snapshot::take(&outside);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "bound\nbound\n/real/dir\n/tmp/trailing-target\n");
    snapshot::assert_unchanged(&outside, &before, &output);
}

fn destination_may_be_the_hosts_path_through_the_root(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let through = bundle.rootfs("through/it").to_string_lossy().into_owned();
    bundle.mount(&through, "tmpfs", "tmpfs", &[]);
    let mounts = t.mounts_of(&mut bundle);
    assert_eq!(mounts.at("/through/it").kind, "tmpfs");
}

fn destination_may_be_relative_with_a_warning(t: &Test) {
    let mut bundle = t.bundle(&["grep", "-c", " /some/place ", "/proc/self/mountinfo"]);
    bundle.mount("some/place", "tmpfs", "tmpfs", &[]);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "1\n");
    assert!(output.stderr.contains("some/place is not absolute"), "{output}");
}

fn mounts_are_made_in_their_order(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    // A source inside the root file system is seen as the earlier mounts have left it.
    let inside = bundle.rootfs("first/made").to_string_lossy().into_owned();
    bundle.mount("/first", "tmpfs", "tmpfs", &[]).mount("/first/made", "tmpfs", "on-first", &[]);
    bundle.mount("/second", "bind", &inside, &["bind"]);
    bundle.mount("/covered/below", "tmpfs", "below", &[]).mount("/covered", "tmpfs", "above", &[]);
    bundle.mount("/twice", "tmpfs", "one", &[]).mount("/twice", "tmpfs", "two", &[]);
    let host = file(t, "host", "of the host\n");
    let bound = bundle.rootfs("third").to_string_lossy().into_owned();
    bundle.mount("/third", "bind", &host, &["bind"]).mount("/fourth", "bind", &bound, &["bind"]);
    let mounts = t.mounts_of(&mut bundle);
    assert_eq!(mounts.at("/second").source, "on-first");
    assert_eq!(
        mounts.at("/fourth").root,
        mounts.at("/third").root,
        "what is bound, and not the empty file below it"
    );
    assert_eq!(mounts.at("/twice").source, "two");
    assert_eq!(mounts.count("/twice"), 2);
    assert_eq!(mounts.points_below("/covered"), ["/covered/below", "/covered"]);
    let points = mounts.points_below("/");
    let place = |point: &str| points.iter().position(|p| *p == point).expect("a mount");
    assert!(place("/first") < place("/first/made") && place("/first/made") < place("/second"));
}

/// Since Linux 6.8, mountinfo lists mounts in the order in which they were made, and not in that of their places. Those with
/// a mode are made in their order; a tmpfs without one is made late, to have that of the directory below it.
fn every_mount_is_listed_after_what_it_lies_on(t: &Test) {
    let host = file(t, "host", "of the host\n");
    for options in [&["mode=700"][..], &[]] {
        let mut bundle = t.bundle(&["true"]);
        bundle.mount("/t", "tmpfs", "tmpfs", options).mount("/t/file", "bind", &host, &["bind", "ro"]);
        bundle.mount("/twice", "tmpfs", "below", options).mount("/twice", "bind", &at(t, ""), &["bind"]);
        let mounts = t.mounts_of(&mut bundle);
        let order =
            ["/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/t", "/t/file", "/twice"];
        let points: Vec<&str> = mounts.points_below("/").into_iter().filter(|p| order.contains(p)).collect();
        assert_eq!(points, [&order[..], &["/twice"]].concat(), "{options:?}");
        assert_ne!(mounts.at("/twice").source, "below", "{options:?}");
    }
}

/// More than can have a descriptor each while libcontainer does its work, some on top of others, some inside what
/// others have brought.
fn hundreds_of_binds_are_made_in_their_order(t: &Test) {
    let tree = t.path("tree");
    for number in 0..300 {
        fs::create_dir_all(tree.join(format!("place/{number}"))).expect("make a directory");
    }
    let word = file(t, "word", "word\n");
    let mut bundle =
        t.shell("cat /m/place/299/file /m/place/0/file; grep -c ' /m/' /proc/self/mountinfo; cat /late");
    bundle.mount("/m", "bind", &at(t, "tree"), &["rbind"]);
    for number in 0..300 {
        bundle.mount(&format!("/m/place/{number}"), "tmpfs", "tmpfs", &["size=64k"]);
        bundle.mount(&format!("/m/place/{number}/file"), "bind", &word, &["bind", "ro"]);
    }
    for _ in 0..290 {
        bundle.mount("/late", "bind", &word, &["bind", "ro"]);
    }
    let last = file(t, "last", "last\n");
    bundle.mount("/late", "bind", &last, &["bind", "ro"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "word\nword\n600\nlast\n");
}

fn source_that_is_a_link_is_followed(t: &Test) {
    let mut bundle = t.shell("cat /bound; [ ! -L /bound ]");
    file(t, "target", "through the link\n");
    symlink("target", t.path("one")).expect("make a link");
    symlink(t.path("one"), t.path("two")).expect("make a link");
    bundle.mount("/bound", "bind", &at(t, "two"), &["bind"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "through the link\n");
}

fn source_may_be_relative_to_the_bundle(t: &Test) {
    let mut bundle = t.shell("cat /bound /dotted");
    fs::write(bundle.dir().join("beside"), "beside\n").expect("write a file");
    bundle.own_all();
    bundle.mount("/bound", "bind", "beside", &["bind"]);
    bundle.mount("/dotted", "bind", "./rootfs/../beside", &["bind"]);
    let output = t.run_command(bundle.write()).dir("/").output().ok();
    assert_eq!(output.stdout, "beside\nbeside\n");
}

fn missing_source_is_an_error(t: &Test) {
    for source in ["/no/such/source", "relative/missing", "/proc/self/fd/99"] {
        let mut bundle = t.bundle(&["true"]);
        bundle.mount("/bound", "bind", source, &["rbind", "ro"]);
        t.run(bundle.write()).fails_with(&["mount ", source, "/bound", "ENOENT"]);
        assert!(!bundle.rootfs("bound").exists(), "made for nothing");
    }
}

fn source_link_is_not_followed_with_src_nofollow(t: &Test) {
    let mut bundle = t.shell("readlink /bound; grep -c ' /bound ' /proc/self/mountinfo");
    symlink("some/where", t.path("link")).expect("make a link");
    bundle.mount("/bound", "bind", &at(t, "link"), &["bind", "src-nofollow"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "some/where\n1\n");
}

fn destination_is_the_link_itself_with_dest_nofollow(t: &Test) {
    let source = file(t, "source", "bound\n");
    for (target, destination) in [
        (Some("nowhere"), "/link"),
        (Some("/etc"), "/link"),
        (Some("etc/passwd"), "/link"),
        (None, "/etc/passwd"),
        (None, "/etc/new"),
    ] {
        let mut bundle = t
            .shell(&format!("cat {destination}; awk '$5 == \"{destination}\"' /proc/self/mountinfo | wc -l"));
        if let Some(target) = target {
            symlink(target, bundle.rootfs("link")).expect("make a link");
        }
        bundle.mount(destination, "bind", &source, &["bind", "dest-nofollow", "rprivate"]);
        let output = t.run(bundle.write()).ok();
        assert_eq!(output.stdout, "bound\n1\n", "{target:?} {destination}: {output}");
        assert!(!bundle.rootfs("nowhere").exists(), "the link was followed");
    }
    let mut bundle = t.shell("ls /etc");
    bundle.mount("/etc", "bind", &bundle.rootfs("bin").to_string_lossy(), &["bind", "dest-nofollow"]);
    assert!(t.run(bundle.write()).ok().stdout.contains("busybox"));
}

fn directory_is_not_mounted_on_a_link(t: &Test) {
    for (kind, source) in [("tmpfs", "tmpfs".to_owned()), ("bind", at(t, ""))] {
        let mut bundle = t.bundle(&["true"]);
        symlink("/tmp", bundle.rootfs("link")).expect("make a link");
        bundle.mount("/link", kind, &source, &["dest-nofollow"]);
        t.run(bundle.write()).fails_with(&["/link", "no directory can be mounted"]);
    }
}

fn propagation_of_a_copied_link_is_none(t: &Test) {
    for target in ["/etc/passwd", "nowhere"] {
        for propagation in ["rprivate", "rshared", "unbindable"] {
            let mut bundle = t.shell("readlink /copy; grep -c ' /copy ' /proc/self/mountinfo");
            let _ = fs::remove_file(t.path("link"));
            symlink(target, t.path("link")).expect("make a link");
            bundle.mount("/copy", "bind", &at(t, "link"), &["rbind", "copy-symlink", propagation]);
            assert_eq!(t.run(bundle.write()).stdout, format!("{target}\n0\n"), "{target} {propagation}");
        }
    }
}

fn copied_link_does_not_replace_what_is_there(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    symlink("target", t.path("link")).expect("make a link");
    bundle.mount("/etc/passwd", "bind", &at(t, "link"), &["bind", "copy-symlink"]);
    t.run(bundle.write()).fails_with(&["/etc/passwd", "EEXIST"]);
    assert!(bundle.rootfs("etc/passwd").is_file());
}

fn mount_over_proc_is_an_error(t: &Test) {
    for (destination, kind, source, options) in [
        ("/proc", "tmpfs", "tmpfs", &[][..]),
        ("/proc", "bind", "/tmp", &["bind"]),
        ("/proc/self/attr", "tmpfs", "tmpfs", &[]),
        ("/proc/1", "bind", "/tmp", &["bind"]),
        ("//proc/../proc/sys", "tmpfs", "tmpfs", &[]),
    ] {
        let mut bundle = t.bundle(&["true"]);
        bundle.mount(destination, kind, source, options);
        t.run(bundle.write()).fails_with(&["/proc"]);
    }
}

fn file_of_proc_may_be_stood_in_for(t: &Test) {
    let mut bundle = t.shell("cat /proc/meminfo /proc/uptime");
    bundle.mount("/proc/meminfo", "bind", &file(t, "mem", "of mine\n"), &["bind", "ro"]);
    bundle.mount("/proc/uptime", "bind", &file(t, "up", "0 0\n"), &["bind", "ro"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "of mine\n0 0\n");
}

fn mount_without_a_type_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/t", "", "tmpfs", &["nosuid"]);
    t.run(bundle.write()).fails_with(&["mounts[6]", "/t", "type"]);
}

fn unknown_file_system_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/t", "no-such-fs", "none", &[]);
    t.run(bundle.write()).fails_with(&["/t", "no-such-fs", "ENODEV", "/proc/filesystems"]);
}

/// Neither a mount nor state is left; the directories that were made in the root file system stay.
fn nothing_of_a_failed_mount_is_left(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/t", "tmpfs", "tmpfs", &[]).mount("/bound", "bind", "/no/such", &["bind"]);
    let before = fs::read_to_string("/proc/self/mountinfo").expect("mounts of the host");
    t.create(bundle.write(), "c").fails_with(&["/no/such"]);
    t.rootling(&["state", &t.id("c")]).output().fails_with(&[&t.id("c")]);
    if t.who() == Who::Root {
        let ours = |text: &str| text.lines().filter(|line| line.contains(t.marker())).count();
        assert_eq!(ours(&before), 0);
        assert_eq!(ours(&fs::read_to_string("/proc/self/mountinfo").expect("mounts of the host")), 0);
    }
}

fn source_may_be_a_descriptors_path(t: &Test) {
    let mut bundle = t.shell("cat /bound");
    let source = file(t, "source", "by descriptor\n");
    bundle.mount("/bound", "bind", "/proc/self/fd/7", &["bind"]);
    let run = t.run_command(bundle.write()).args(&["--preserve-fds", "5"]);
    let opened = r#"exec 3</dev/null 4<&3 5<&3 6<&3 7<"$0"; exec "$@""#;
    let output = run.under(&["sh", "-c", opened, &source]).output().ok();
    assert_eq!(output.stdout, "by descriptor\n");
}

fn file_on_a_directory_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/etc", "bind", &file(t, "source", ""), &["bind"]);
    t.run(bundle.write()).fails_with(&["/etc", "ENOTDIR"]);
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/etc/passwd", "bind", "/etc", &["bind"]);
    t.run(bundle.write()).fails_with(&["/etc/passwd", "ENOTDIR"]);
}
