//! `rootling image unpack`: the bundle has the contents of the image, whoever makes it.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rootling_tests::image::{Entry, Tar, gzip, layout, nothing_is_left, unfinished};
use rootling_tests::{Test, both, user};
use serde_json::{Value, json};

both!(
    busybox_of_the_host_runs,
    first_container_has_what_the_flags_say,
    archive_of_a_root_file_system_runs,
    configuration_of_the_image_becomes_the_containers,
    flags_come_before_what_the_image_says,
    entrypoint_stays_unless_another_is_named,
    labels_that_would_change_the_container_are_left_out,
    layers_hide_and_replace_what_is_below,
    attributes_are_those_of_the_archive,
    names_and_links_of_any_length,
    sparse_files_have_their_holes,
    devices_are_left_out_with_a_note,
    compressions_are_known_by_their_beginning,
    bundle_that_is_there_is_replaced_by_force_only,
    result_is_printed_as_json,
    name_that_is_not_utf8_is_printed_as_well_as_can_be,
    interruption_leaves_nothing,
    archive_without_anything_in_it_is_an_error,
    longest_name_of_a_bundle,
    nothing_is_left_without_descriptors_or_room,
    runtime_without_the_program_for_images_says_so,
);
user!(
    owners_are_the_images_with_ranges_of_ids,
    owners_are_kept_aside_with_a_single_id,
    closed_directories_are_filled_and_removed,
    file_capabilities_count_in_the_container,
);

fn config(t: &Test) -> Value {
    serde_json::from_slice(&fs::read(t.path("bundle/config.json")).expect("config.json")).expect("JSON")
}

fn run(t: &Test, bundle: &Path) -> String {
    t.rootling(&["run", "-b"]).arg(bundle).arg(t.id("c")).output().ok().stdout
}

fn rootfs(t: &Test, path: &str) -> PathBuf {
    t.path("bundle/rootfs").join(path)
}

/// A layer with the host's busybox, for images that are run.
fn busybox() -> Vec<u8> {
    let program = fs::read("/bin/busybox").or_else(|_| fs::read("/usr/bin/busybox")).expect("busybox");
    let tar = Tar::new().dir("bin/").entry(&Entry {
        name: b"bin/busybox",
        mode: 0o755,
        data: &program,
        ..Entry::default()
    });
    ["sh", "cat", "id", "echo", "env", "stat", "ls", "pwd", "ping", "getfattr"]
        .iter()
        .fold(tar, |tar, name| tar.link(b'1', &format!("bin/{name}"), "bin/busybox"))
        .file("etc/passwd", "root:x:0:0::/:/bin/sh\nwww:x:33:34::/srv:/bin/sh\n")
        .file("etc/group", "root:x:0:\nwww:x:34:\nextra:x:50:www\n")
        .finish()
}

fn busybox_of_the_host_runs(t: &Test) {
    let bundle = t.path("hello");
    let output = t
        .image(&["unpack", "busybox:"])
        .arg(&bundle)
        .args(&["--", "sh", "-c", "echo hello; id -u; ls /usr/bin/ls"])
        .output()
        .ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{output}");
    assert_eq!(run(t, &bundle), "hello\n0\n/usr/bin/ls\n");
    assert_eq!(fs::metadata(&bundle).expect("the bundle").mode() & 0o777, 0o700);
}

fn first_container_has_what_the_flags_say(t: &Test) {
    let bundle = t.path("hello");
    let flags = ["-e", "A=b", "-w", "/tmp", "--hostname", "box", "--tmpfs", "/data", "--rootfs", "tree"];
    let script = ["--", "sh", "-c", "echo $A $(pwd) $(hostname); stat -f -c %T /data"];
    t.image(&["unpack"]).args(&flags).arg("busybox:").arg(&bundle).args(&script).output().ok();
    assert_eq!(run(t, &bundle), "b /tmp box\ntmpfs\n");
    assert!(bundle.join("tree/bin/sh").exists());
    let output = t.image(&["unpack", "--rootfs", "../x", "busybox:"]).arg(t.path("bundle")).output();
    output.fails_with(&["--rootfs", "without a slash"]);
    nothing_is_left(t);
}

fn archive_of_a_root_file_system_runs(t: &Test) {
    let archive = t.path("root.tar");
    fs::write(&archive, busybox()).expect("write the archive");
    let named = format!("rootfs:{}", archive.display());
    for (image, input) in
        [(named.as_str(), false), (archive.to_str().expect("UTF-8"), false), ("rootfs:-", true), ("-", true)]
    {
        let command =
            t.image(&["unpack", image, "--force"]).arg(t.path("bundle")).args(&["--", "echo", "ran"]);
        if input { command.input(&gzip(&busybox())) } else { command }.output().ok();
        assert_eq!(run(t, &t.path("bundle")), "ran\n", "{image}");
    }
}

fn full() -> Value {
    json!({
        "User": "www", "WorkingDir": "/srv/www", "Env": ["PATH=/bin", "A=of the image"],
        "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["id; pwd; echo $A"],
        "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT", "Labels": {"org.example": "label"},
    })
}

fn configuration_of_the_image_becomes_the_containers(t: &Test) {
    let layer = Tar::new().dir("srv/www").finish();
    let dir = layout(t, "layout", &[busybox(), layer], &full());
    t.unpack(&dir, &[]).ok();
    let config = config(t);
    assert_eq!(config["process"]["args"], json!(["/bin/sh", "-c", "id; pwd; echo $A"]));
    assert_eq!(config["process"]["cwd"], "/srv/www");
    assert_eq!(
        (config["process"]["user"]["uid"].as_u64(), config["process"]["user"]["gid"].as_u64()),
        (Some(33), Some(34))
    );
    let annotations = &config["annotations"];
    for (name, value) in [("os", "linux"), ("stopSignal", "SIGQUIT"), ("exposedPorts", "80/tcp")] {
        assert_eq!(annotations[format!("org.opencontainers.image.{name}")], value);
    }
    assert_eq!(annotations["org.example"], "label");
    let printed = run(t, &t.path("bundle"));
    assert!(printed.starts_with("uid=33(www) gid=34(www) groups="), "{printed}");
    assert!(printed.contains("50(extra)") && printed.ends_with("/srv/www\nof the image\n"), "{printed}");
}

fn flags_come_before_what_the_image_says(t: &Test) {
    let dir = layout(t, "layout", &[busybox()], &full());
    t.unpack(
        &dir,
        &[
            "-e",
            "A=mine",
            "-w",
            "/",
            "-u",
            "0",
            "--annotation",
            "org.example=other",
            "--",
            "echo $A; pwd; id -u",
        ],
    )
    .ok();
    assert_eq!(run(t, &t.path("bundle")), "mine\n/\n0\n");
    assert_eq!(config(t)["annotations"]["org.example"], "other");
}

fn entrypoint_stays_unless_another_is_named(t: &Test) {
    let dir = layout(t, "layout", &[busybox()], &json!({"Entrypoint": ["/bin/e"], "Cmd": ["c"]}));
    for (flags, args) in [
        (&[][..], json!(["/bin/e", "c"])),
        (&["--", "a", "b"], json!(["/bin/e", "a", "b"])),
        (&["--entrypoint", "/bin/echo"], json!(["/bin/echo"])),
        (&["--entrypoint", "/bin/echo", "--", "a"], json!(["/bin/echo", "a"])),
        (&["--entrypoint", "", "--", "a"], json!(["a"])),
        (&["--entrypoint", ""], json!(["sh"])),
    ] {
        t.unpack(&dir, &[&["--force"], flags].concat()).ok();
        assert_eq!(config(t)["process"]["args"], args, "{flags:?}");
    }
}

fn labels_that_would_change_the_container_are_left_out(t: &Test) {
    let labels = json!({"run.oci.keep_original_groups": "1", "org.systemd.property.DevicePolicy": "'auto'", "fine": "1"});
    let dir = layout(t, "layout", &[busybox()], &json!({"Labels": labels, "Cmd": ["echo", "ran"]}));
    let output = t.unpack(&dir, &[]).ok();
    assert_eq!(output.stderr.matches("does not become an annotation").count(), 2, "{output}");
    let annotations = &config(t)["annotations"];
    assert!(
        annotations["fine"] == "1" && annotations.get("run.oci.keep_original_groups").is_none(),
        "{annotations}"
    );
    assert_eq!(run(t, &t.path("bundle")), "ran\n");
}

fn layers_hide_and_replace_what_is_below(t: &Test) {
    let first = Tar::new()
        .dir("d/")
        .file("d/hidden", "1")
        .file("d/kept", "1")
        .dir("opaque/")
        .file("opaque/old", "1")
        .dir("opaque/sub/")
        .file("opaque/sub/old", "1")
        .file("file", "1")
        .dir("tree/")
        .file("tree/x", "1")
        .link(b'2', "link", "file")
        .finish();
    let second = Tar::new()
        .file("d/.wh.hidden", "")
        .file("d/.wh.missing", "")
        // Before and after the whiteout: what the layer itself contains is kept.
        .file("opaque/new", "2")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/sub/new", "2")
        .file(".wh.file", "")
        .file("file", "2")
        .file("tree", "a file now")
        .dir("link/")
        .file("link/below", "2")
        .finish();
    let dir = layout(t, "layout", &[first, second], &json!({}));
    t.unpack(&dir, &[]).ok();
    let mut found: Vec<String> = Vec::new();
    let mut left = vec![rootfs(t, "")];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).expect("list").map(|entry| entry.expect("an entry")) {
            if entry.file_type().expect("a type").is_dir() {
                left.push(entry.path());
            } else {
                let path = entry.path();
                let name = path.strip_prefix(rootfs(t, "")).expect("below").display().to_string();
                found.push(format!("{name} {}", fs::read_to_string(&path).expect("content")));
            }
        }
    }
    found.sort_unstable();
    assert_eq!(
        found,
        ["d/kept 1", "file 2", "link/below 2", "opaque/new 2", "opaque/sub/new 2", "tree a file now"]
    );
    // An archive that is not a layer has no whiteouts.
    let archive = t.path("root.tar");
    fs::write(&archive, Tar::new().file(".wh.file", "").finish()).expect("write");
    t.image(&["unpack", "--force"]).arg(&archive).arg(t.path("bundle")).output().ok();
    assert!(rootfs(t, ".wh.file").exists());
}

fn attributes_are_those_of_the_archive(t: &Test) {
    let layer = Tar::new()
        .entry(&Entry { kind: b'5', name: b"./", mode: 0o711, mtime: 5, ..Entry::default() })
        .entry(&Entry { kind: b'5', name: b"sticky/", mode: 0o1777, mtime: 10, ..Entry::default() })
        .entry(&Entry { name: b"sticky/suid", mode: 0o6755, mtime: 11, data: b"x", ..Entry::default() })
        .pax(&[("mtime", b"12.5"), ("SCHILY.xattr.user.name", b"va\nlue\0")])
        .entry(&Entry { name: b"sticky/pax", mode: 0o400, ..Entry::default() })
        .entry(&Entry { kind: b'6', name: b"sticky/fifo", mode: 0o620, mtime: 13, ..Entry::default() })
        .entry(&Entry {
            kind: b'2',
            name: b"sticky/link",
            target: b"/nowhere",
            mtime: 14,
            ..Entry::default()
        })
        .link(b'1', "sticky/hard", "sticky/suid")
        .finish();
    t.unpack(&layout(t, "layout", &[layer], &json!({})), &[]).ok();
    let found = |name: &str| fs::symlink_metadata(rootfs(t, name)).expect(name);
    for (name, mode, mtime) in [
        ("", 0o711, 5),
        ("sticky", 0o1777, 10),
        ("sticky/suid", 0o6755, 11),
        ("sticky/pax", 0o400, 12),
        ("sticky/fifo", 0o620, 13),
        ("sticky/link", 0o777, 14),
    ] {
        assert_eq!((found(name).mode() & 0o7777, found(name).mtime()), (mode, mtime), "{name}");
    }
    assert_eq!(found("sticky/pax").mtime_nsec(), 500_000_000);
    assert!(found("sticky/fifo").file_type().is_fifo());
    assert_eq!(found("sticky/hard").ino(), found("sticky/suid").ino());
    assert_eq!(fs::read_link(rootfs(t, "sticky/link")).expect("a link"), Path::new("/nowhere"));
    let output = t
        .command("getfattr")
        .args(&["--only-values", "-n", "user.name"])
        .arg(rootfs(t, "sticky/pax"))
        .output()
        .ok();
    assert_eq!(output.stdout, "va\nlue\0");
}

fn names_and_links_of_any_length(t: &Test) {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let layer = Tar::new()
        .entry(&Entry { name: long.as_bytes(), data: b"gnu", ..Entry::default() })
        .entry(&Entry { kind: b'2', name: b"gnu", target: long.as_bytes(), ..Entry::default() })
        .pax(&[("path", format!("{long}2").as_bytes()), ("uid", b"0")])
        .file("short", "pax")
        .pax(&[("linkpath", long.as_bytes())])
        .link(b'1', "pax", "short")
        .file("umlaut-ä", "1")
        .entry(&Entry { name: b"bytes-\xff\xfe", ..Entry::default() })
        .finish();
    t.unpack(&layout(t, "layout", &[layer], &json!({})), &[]).ok();
    for (name, content) in [
        (long.as_str(), "gnu"),
        ("gnu", "gnu"),
        ("pax", "gnu"),
        (&format!("{long}2"), "pax"),
        ("umlaut-ä", "1"),
    ] {
        assert_eq!(fs::read_to_string(rootfs(t, name)).expect(name), content);
    }
    assert_eq!(fs::read_dir(rootfs(t, "")).expect("list").count(), 5);
}

fn sparse_files_have_their_holes(t: &Test) {
    let make = "truncate -s 3000000 s && printf a | dd of=s bs=1 seek=1000000 conv=notrunc 2>/dev/null && \
                printf b | dd of=s bs=1 seek=2999999 conv=notrunc 2>/dev/null";
    t.command("sh").args(&["-c", make]).output().ok();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        t.command("tar").args(&["-cSf", "s.tar"]).args(format).arg("s").output().ok();
        t.image(&["unpack", "--force", "rootfs:s.tar"]).arg(t.path("bundle")).output().ok();
        assert_eq!(
            fs::read(rootfs(t, "s")).expect("the file"),
            fs::read(t.path("s")).expect("the file"),
            "{format:?}"
        );
        let blocks = fs::metadata(rootfs(t, "s")).expect("stat").blocks();
        assert!(blocks < 100, "{format:?}: {blocks} blocks");
    }
}

fn devices_are_left_out_with_a_note(t: &Test) {
    let device = |kind, name| Entry { kind, name, mode: 0o666, ..Entry::default() };
    let layer = Tar::new()
        .entry(&device(b'3', b"dev/null"))
        .entry(&device(b'4', b"dev/disk"))
        .file("file", "1")
        .finish();
    let output = t.unpack(&layout(t, "layout", &[layer], &json!({})), &[]).ok();
    assert!(output.stderr.contains("2 devices are left out"), "{output}");
    assert!(!rootfs(t, "dev/null").exists() && rootfs(t, "file").exists());
}

fn compressions_are_known_by_their_beginning(t: &Test) {
    fs::write(t.path("root.tar"), Tar::new().file("file", "content").finish()).expect("write");
    for compress in ["cat", "gzip", "zstd -q", "xz", "sh -c 'gzip; gzip </dev/null'"] {
        t.command("sh").args(&["-c", &format!("{compress} <root.tar >compressed")]).output().ok();
        t.image(&["unpack", "--force", "compressed"]).arg(t.path("bundle")).output().ok();
        assert_eq!(fs::read_to_string(rootfs(t, "file")).expect(compress), "content");
    }
    // zstd leaves out a frame that is to be skipped.
    t.command("sh")
        .args(&["-c", r"{ printf '\120\052\115\030\003\000\000\000abc'; zstd -q; } <root.tar >compressed"])
        .output()
        .ok();
    t.image(&["unpack", "--force", "compressed"]).arg(t.path("bundle")).output().ok();
    assert_eq!(fs::read_to_string(rootfs(t, "file")).expect("the file"), "content");
    t.command("sh").args(&["-c", "gzip <root.tar | head -c 60 >compressed"]).output().ok();
    t.image(&["unpack", "--force", "compressed"])
        .arg(t.path("bundle"))
        .output()
        .fails_with(&["\"compressed\": ", "cut off or damaged; get it again"]);
    t.command("sh").args(&["-c", "bzip2 <root.tar >compressed || printf BZh9123 >compressed"]).output().ok();
    t.image(&["unpack", "--force", "compressed"])
        .arg(t.path("bundle"))
        .output()
        .fails_with(&["bzip2", "gzip, zstd or xz"]);
}

fn bundle_that_is_there_is_replaced_by_force_only(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().file("one", "").finish()], &json!({}));
    t.unpack(&dir, &[]).ok();
    t.unpack(&dir, &[]).fails_with(&["there is one already", "--force"]);
    t.image(&["unpack", "busybox:", "--force"]).arg(t.path("bundle")).output().ok();
    assert!(rootfs(t, "bin/sh").exists() && !rootfs(t, "one").exists());
    assert_eq!(unfinished(t), [""; 0]);
    // What is not a bundle is never replaced, and an empty directory always is.
    t.command("mkdir").args(&["precious", "empty"]).output().ok();
    t.command("touch").arg("precious/file").output().ok();
    t.image(&["unpack", "busybox:", "precious", "--force"])
        .output()
        .fails_with(&["nor a bundle", "config.json"]);
    t.image(&["unpack", "busybox:", "empty"]).output().ok();
    t.image(&["unpack", "busybox:", "missing/bundle"])
        .output()
        .fails_with(&["there is no directory", "create it first"]);
}

fn result_is_printed_as_json(t: &Test) {
    let dir = layout(t, "layout", &[busybox()], &json!({}));
    let printed = t.unpack(&dir, &["--json"]).ok();
    let value = printed.json();
    assert_eq!(value["bundle"], t.path("bundle").to_str().expect("UTF-8"));
    assert_eq!((value["layers"].as_u64(), value["notes"].clone()), (Some(1), json!([])));
    assert_eq!(printed.stderr, "");
}

fn name_that_is_not_utf8_is_printed_as_well_as_can_be(t: &Test) {
    use std::os::unix::ffi::OsStrExt;
    let printed =
        t.image(&["unpack", "--json", "busybox:"]).arg(std::ffi::OsStr::from_bytes(b"b\xff")).output().ok();
    assert!(printed.json()["bundle"].as_str().expect("text").ends_with("/b\u{fffd}"), "{printed}");
}

fn interruption_leaves_nothing(t: &Test) {
    for signal in [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGTERM] {
        let (from, to) = std::io::pipe().expect("a pipe");
        let running = t.image(&["unpack", "rootfs:-"]).arg(t.path("bundle")).stdin(from).spawn();
        std::io::Write::write_all(
            &mut &to,
            &Tar::new()
                .file("file", "content")
                .entry(&Entry { name: b"big", data: &vec![7; 300_000], ..Entry::default() })
                .finish()[..300_000],
        )
        .expect("write");
        let made = || unfinished(t).iter().any(|name| t.path(name).join("rootfs").exists());
        rootling_tests::eventually("something is begun", made);
        running.signal(signal);
        let output = running.output();
        assert_eq!(output.exit(), 128 + signal as i32, "{output}");
        assert!(
            output.stderr.contains("interrupted by signal") && output.stderr.lines().count() == 1,
            "{output}"
        );
        nothing_is_left(t);
        drop(to);
    }
}

fn archive_without_anything_in_it_is_an_error(t: &Test) {
    fs::write(t.path("nothing"), "").expect("write");
    fs::write(t.path("no-entry"), Tar::new().finish()).expect("write");
    for image in ["rootfs:nothing", "nothing", "rootfs:no-entry", "no-entry"] {
        t.image(&["unpack", image]).arg(t.path("bundle")).output().fails_with(&["there is nothing in it"]);
    }
    let piped = t.image(&["unpack", "-"]).arg(t.path("bundle"));
    piped
        .stdin(fs::File::open("/dev/null").expect("open"))
        .output()
        .fails_with(&["standard input: there is nothing in it"]);
    nothing_is_left(t);
}

fn longest_name_of_a_bundle(t: &Test) {
    for name in ["n".repeat(255), "\u{e4}".repeat(127)] {
        t.image(&["unpack", "busybox:", &name]).output().ok();
        assert!(t.path(&name).join("config.json").exists());
    }
    assert_eq!(unfinished(t), [""; 0]);
}

fn nothing_is_left_without_descriptors_or_room(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().file("file", &"x".repeat(10_000)).finish()], &json!({}));
    let unpack = |limit: &str| {
        let command = t.image(&["unpack", "--json", &format!("oci:{}", dir.display())]);
        command.arg(t.path("bundle")).under(&["prlimit", limit, "--"]).output()
    };
    let mut failed = 0;
    for count in 4..40 {
        let output = unpack(&format!("--nofile={count}"));
        if output.exit() == 0 {
            t.command("rm").args(&["-rf"]).arg(t.path("bundle")).output().ok();
            continue;
        }
        failed += 1;
        assert_eq!(output.stderr.lines().count(), 1, "{count}: {output}");
        nothing_is_left(t);
    }
    assert!((1..30).contains(&failed), "{failed} of 36 failed");
    unpack("--fsize=4096").fails_with(&["EFBIG", "ulimit -f"]);
    nothing_is_left(t);
}

fn runtime_without_the_program_for_images_says_so(t: &Test) {
    let alone = t.writable_binary();
    let output = t.command(&alone).args(&["image", "list", "x"]).env("PATH", "/nonexistent").output();
    output.fails_with(&["rootling: image: there is no rootling-image", "make install"]);
    // As git finds its commands: in PATH if it is not next to the program.
    let path = format!("{}:/usr/bin:/bin", t.binary().parent().expect("a directory").display());
    t.command(&alone).args(&["image", "--help"]).env("PATH", path).output().ok();
}

/// An image whose files belong to others, as in a distribution.
fn owned() -> Vec<u8> {
    let owned = |name, ids| Entry { name, ids, ..Entry::default() };
    Tar::new()
        .entry(&owned(b"root", (0, 0)))
        .entry(&owned(b"www", (33, 34)))
        .entry(&Entry { kind: b'2', target: b"www", ..owned(b"link", (33, 33)) })
        .entry(&Entry { kind: b'5', mode: 0o700, ..owned(b"dir", (100, 101)) })
        .entry(&owned(b"dir/file", (100, 101)))
        .finish()
}

fn owners_are_the_images_with_ranges_of_ids(t: &Test) {
    let dir = layout(t, "layout", &[busybox(), owned()], &json!({}));
    let output = t
        .unpack(
            &dir,
            &[
                "--cap-add",
                "DAC_OVERRIDE",
                "--",
                "/bin/busybox",
                "stat",
                "-c",
                "%n %u:%g",
                "/root",
                "/www",
                "/link",
                "/dir",
                "/dir/file",
            ],
        )
        .ok();
    assert_eq!(output.stderr.lines().filter(|line| line.contains("warning")).count(), 0, "{output}");
    assert_eq!(
        run(t, &t.path("bundle")),
        "/root 0:0\n/www 33:34\n/link 33:33\n/dir 100:101\n/dir/file 100:101\n"
    );
    // Another image replaces it, and the old one is removed with all its owners.
    t.unpack(&dir, &["--force"]).ok();
    assert_eq!(unfinished(t), [""; 0]);
    t.command("unshare")
        .args(&["--map-auto", "--map-root-user", "rm", "-rf"])
        .arg(t.path("bundle"))
        .output()
        .ok();
}

fn owners_are_kept_aside_with_a_single_id(t: &Test) {
    let of_other = layout(t, "other", &[busybox()], &json!({"User": "www"}));
    let output = t.unpack(&of_other, &["--userns", "single", "--json"]);
    output.fails_with(&["user 33:34 is not among the ids of the container", "--user 0"]);
    nothing_is_left(t);
    let dir = layout(t, "layout", &[owned()], &json!({}));
    let output = t.unpack(&dir, &["--userns", "single"]).ok();
    assert!(output.stderr.contains("4 files belong to ids that are not mapped, such as 33:34"), "{output}");
    assert!(output.stderr.contains("but for 1 links"), "{output}");
    for (name, value) in [
        ("www", "\u{8}\u{21}\u{10}\u{22}"),
        ("dir", "\u{8}\u{64}\u{10}\u{65}"),
        ("dir/file", "\u{8}\u{64}\u{10}\u{65}"),
    ] {
        let path = rootfs(t, name);
        assert_eq!(fs::metadata(&path).expect(name).uid(), t.account().uid);
        let shown = t
            .command("getfattr")
            .args(&["-e", "hex", "--only-values", "-n", "user.rootlesscontainers"])
            .arg(&path)
            .output()
            .ok();
        assert_eq!(shown.stdout, value, "{name}");
    }
}

fn closed_directories_are_filled_and_removed(t: &Test) {
    let first = Tar::new()
        .entry(&Entry { kind: b'5', name: b"closed/", mode: 0o000, ..Entry::default() })
        .entry(&Entry { kind: b'5', name: b"closed/below/", mode: 0o555, ..Entry::default() })
        .file("closed/below/old", "1")
        .finish();
    let second = Tar::new().file("closed/below/new", "2").file("closed/below/.wh.old", "").finish();
    let dir = layout(t, "layout", &[busybox(), first, second], &json!({"Cmd": ["/bin/ls", "/closed/below"]}));
    for flags in [&["--userns", "single"][..], &["--force"]] {
        t.unpack(&dir, &[flags, &["--cap-add", "DAC_OVERRIDE"]].concat()).ok();
        assert_eq!(run(t, &t.path("bundle")), "new\n");
        let mode = fs::metadata(rootfs(t, "closed")).expect("closed").permissions().mode();
        assert_eq!(mode & 0o777, 0);
    }
    t.image(&["unpack", "--force", "busybox:"]).arg(t.path("bundle")).output().ok();
    assert_eq!(unfinished(t), [""; 0]);
}

fn file_capabilities_count_in_the_container(t: &Test) {
    // cap_net_bind_service+ep, version 2.
    let mut value = vec![1, 0, 0, 2, 0, 4, 0, 0];
    value.extend([0; 12]);
    let layer = Tar::new().pax(&[("SCHILY.xattr.security.capability", &value)]).file("file", "x").finish();
    let dir = layout(t, "layout", &[layer], &json!({}));
    for flags in [&[][..], &["--force", "--userns", "single"]] {
        t.unpack(&dir, flags).ok();
        let shown = t.command("getcap").args(&["-n"]).arg(rootfs(t, "file")).output().ok().stdout;
        let rootid = format!("cap_net_bind_service=ep [rootid={}]", t.account().uid);
        assert!(shown.contains(&rootid), "{shown}");
    }
}
