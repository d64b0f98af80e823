//! Images made by other programs, and what another program makes of them: umoci, which unpacks the same layouts.

use std::fs;
use std::path::Path;
use std::process::Command;

use rootling_tests::image::{Entry, Tar, layout};
use rootling_tests::{Test, Who, both, skip, user};
use serde_json::json;

both!(
    tree_is_that_of_umoci,
    images_of_buildah_and_skopeo_are_the_same_in_each_format,
    images_of_podman_save_are_the_same_in_each_format,
);
user!(package_is_installed_by_apt_in_a_container_of_debian);

fn is_there(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program} >/dev/null")]).status();
        !found.is_ok_and(|status| status.success())
    });
    if let Some(program) = missing {
        skip(&format!("{program} is not installed"));
    }
    missing.is_none()
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Every file below: path, kind, mode, owner, number of links, size, time, link target, extended attributes. The
/// root itself is left out, since umoci gives it the time of the unpacking.
fn tree(root: &Path) -> Vec<String> {
    let script = r#"cd "$0" && find . -mindepth 1 \( -type d -printf '%P d %m %U:%G %T@\n' -o -printf '%P %y %m %U:%G %n %s %T@ %l\n' \) &&
        getfattr -Rhd -m - -e hex . 2>/dev/null | grep -v '^$' | awk '/^# file: / { file = $0; next } { print file, $0 }'"#;
    let output = Command::new("sh").args(["-c", script]).arg(root).output().expect("start find");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// An image with everything that an image may have, except for devices, which are left out here and become empty
/// files with umoci.
fn layers() -> Vec<Vec<u8>> {
    let mut capability = vec![1, 0, 0, 2, 0, 4, 0, 0];
    capability.extend([0; 12]);
    let dir = |name, mode, ids| Entry { kind: b'5', name, mode, ids, mtime: 20, ..Entry::default() };
    let first = Tar::new()
        .entry(&dir(b"etc/", 0o755, (0, 0)))
        .entry(&Entry { name: b"etc/passwd", data: b"root:x:0:0::/:\n", ..Entry::default() })
        .entry(&dir(b"var/", 0o755, (0, 0)))
        .entry(&dir(b"var/mail/", 0o2775, (0, 8)))
        .entry(&Entry { name: b"var/mail/of-root", ..Entry::default() })
        .entry(&Entry { name: b"var/mail/of-other", ids: (1000, 8), ..Entry::default() })
        .entry(&dir(b"tmp/", 0o1777, (0, 0)))
        .entry(&Entry { name: b"suid", mode: 0o4755, data: b"x", ..Entry::default() })
        .link(b'1', "hard", "suid")
        .entry(&Entry {
            kind: b'2',
            name: b"link",
            target: b"etc/passwd",
            ids: (5, 6),
            mtime: 30,
            ..Entry::default()
        })
        .entry(&Entry { kind: b'6', name: b"fifo", mode: 0o600, ..Entry::default() })
        .pax(&[("SCHILY.xattr.user.a", b"1\n2"), ("mtime", b"40.25")])
        .file("attributes", "x")
        .pax(&[("SCHILY.xattr.security.capability", &capability)])
        .file("capable", "x")
        .entry(&dir(b"gone/", 0o755, (0, 0)))
        .file("gone/file", "1")
        .entry(&dir(b"opaque/", 0o755, (0, 0)))
        .file("opaque/old", "1");
    let second = Tar::new()
        .file(".wh.gone", "")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "2")
        .file("etc/passwd", "root:x:0:0:new:/:\n")
        .entry(&dir(b"closed/", 0o700, (7, 7)))
        .entry(&Entry { name: b"closed/file", mode: 0o600, ids: (7, 7), ..Entry::default() });
    vec![first.finish(), second.finish()]
}

fn umoci(t: &Test, layout: &Path, to: &str) {
    let command = t.command("umoci").arg("unpack");
    let command = if t.who() == Who::User { command.arg("--rootless") } else { command };
    command.arg("--image").arg(format!("{}:latest", layout.display())).arg(t.path(to)).output().ok();
}

fn same_as_umoci(t: &Test, layout: &Path, image: &str) {
    let ids: &[&str] = if t.who() == Who::User { &["--userns", "single", "--user", "0"] } else { &[] };
    t.image(&["unpack", "--force", image]).arg(t.path("bundle")).args(ids).output().ok();
    umoci(t, layout, "theirs");
    let (ours, theirs) = (tree(&t.path("bundle/rootfs")), tree(&t.path("theirs/rootfs")));
    // For an ordinary user umoci leaves out file capabilities, and forgets modes that it had to widen.
    let skipped = |line: &&String| t.who() == Who::User && line.contains("security.capability");
    let ours: Vec<&String> = ours.iter().filter(|line| !skipped(line)).collect();
    let theirs: Vec<&String> = theirs.iter().filter(|line| !skipped(line)).collect();
    assert!(ours.len() >= 3, "{ours:?}");
    let only = |a: &[&String], b: &[&String]| {
        a.iter().filter(|line| !b.contains(line)).map(|line| (*line).clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (only(&ours, &theirs), only(&theirs, &ours)),
        (vec![], vec![]),
        "ours and theirs differ: {image}"
    );
    t.command("sh").args(&["-c", "chmod -R u+rwX theirs; rm -rf theirs"]).output().ok();
}

fn tree_is_that_of_umoci(t: &Test) {
    if !is_there(&["umoci", "getfattr"]) {
        return;
    }
    let dir = layout(t, "layout", &layers(), &json!({}));
    same_as_umoci(t, &dir, &format!("oci:{}", dir.display()));
}

/// Makes buildah build an image in `$0/layout`, with its storage in `$0/root`, and then runs the script. This is
/// done as root, with storage in a directory of the test. `None`, with a message, if it cannot be built.
fn made_by_buildah(t: &Test, script: &str) -> Option<std::path::PathBuf> {
    let dir = t.path("made");
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join("file"), "content").expect("write");
    let begin = r#"set -e
        cd "$0"
        storage="--root $0/root --runroot $0/run --storage-driver vfs"
        b="buildah $storage"
        one=$($b from scratch)
        $b copy --chown 3:4 $one file /data/file >/dev/null
        $b config --cmd '["/data/file"]' --label a=b --user 3 $one
        $b commit --quiet $one localhost/made:1 >/dev/null
        two=$($b from localhost/made:1)
        $b copy $two file /data/other >/dev/null
        $b commit --quiet $two localhost/made:2 >/dev/null
        $b push --quiet localhost/made:2 oci:$0/layout:latest"#;
    let end = "chmod -R a+rX .\nrm -rf root run";
    if !nix::unistd::geteuid().is_root() {
        skip("buildah needs root here");
        return None;
    }
    let script = format!("{begin}\n{script}\n{end}");
    let made = Command::new("bash").args(["-c", &script]).arg(&dir).output().expect("start bash");
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr).into_owned();
        skip(&format!("no image can be made here: {}", why.lines().last().unwrap_or_default()));
        return None;
    }
    Some(dir)
}

/// Each image in the layout in this directory results in the same tree and configuration.
fn each_is_that_of_umoci(t: &Test, dir: &Path, images: &[String]) {
    for image in images {
        same_as_umoci(t, &dir.join("layout"), image);
        let config: serde_json::Value =
            serde_json::from_slice(&fs::read(t.path("bundle/config.json")).expect("config.json"))
                .expect("JSON");
        assert_eq!(
            (&config["process"]["args"], &config["annotations"]["a"]),
            (&json!(["/data/file"]), &json!("b")),
            "{image}"
        );
    }
}

fn images_of_buildah_and_skopeo_are_the_same_in_each_format(t: &Test) {
    if !is_there(&["umoci", "getfattr", "buildah", "skopeo"]) {
        return;
    }
    let script = "
        $b push --quiet localhost/made:2 oci-archive:$0/oci.tar:latest
        $b push --quiet localhost/made:2 docker-archive:$0/docker.tar:localhost/made:2
        skopeo copy --quiet --insecure-policy --dest-compress-format zstd oci:$0/layout:latest oci:$0/zstd:latest
        skopeo copy --quiet --insecure-policy oci:$0/layout:latest docker-archive:$0/skopeo.tar:a:1";
    let Some(dir) = made_by_buildah(t, script) else { return };
    let at = |name: &str| dir.join(name).display().to_string();
    let images = [
        format!("oci:{}", at("layout")),
        format!("oci:{}", at("zstd")),
        format!("oci-archive:{}", at("oci.tar")),
        format!("docker-archive:{}", at("docker.tar")),
        format!("docker-archive:{}:a:1", at("skopeo.tar")),
        at("docker.tar"),
    ];
    each_is_that_of_umoci(t, &dir, &images);
}

/// podman sees what buildah has put into the storage.
fn images_of_podman_save_are_the_same_in_each_format(t: &Test) {
    if !is_there(&["umoci", "getfattr", "buildah", "podman"]) {
        return;
    }
    let script = "
        save() { podman $storage --cgroup-manager cgroupfs --events-backend none save --quiet -o $0/$1.tar --format $2 ${@:3}; }
        save docker docker-archive localhost/made:2
        save oci oci-archive localhost/made:2
        save several docker-archive -m localhost/made:1 localhost/made:2";
    let Some(dir) = made_by_buildah(t, script) else { return };
    let at = |name: &str| dir.join(name).display().to_string();
    let images = [
        format!("docker-archive:{}", at("docker.tar")),
        format!("oci-archive:{}", at("oci.tar")),
        format!("docker-archive:{}:localhost/made:2", at("several.tar")),
        at("docker.tar"),
        at("oci.tar"),
    ];
    each_is_that_of_umoci(t, &dir, &images);
}

/// A whole distribution with its ids: apt and dpkg change owners, and drop their privileges for others.
fn package_is_installed_by_apt_in_a_container_of_debian(t: &Test) {
    let Some(archive) = std::env::var_os("ROOTLING_TEST_DEBIAN") else {
        return skip("ROOTLING_TEST_DEBIAN names no root file system of Debian, such as mmdebstrap makes");
    };
    if !is_there(&["dpkg-deb"]) {
        return;
    }
    let make = r"set -e
        mkdir -p small/DEBIAN small/srv repo
        printf 'Package: small\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: small\n' >small/DEBIAN/control
        printf '#!/bin/sh\nchown www-data:www-data /srv/small\n' >small/DEBIAN/postinst
        chmod 755 small/DEBIAN/postinst
        echo content >small/srv/small
        dpkg-deb --root-owner-group -b small repo/small_1_all.deb >/dev/null
        cd repo
        size=$(stat -c %s small_1_all.deb) sum=$(sha256sum small_1_all.deb | cut -d' ' -f1)
        printf 'Package: small\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nFilename: ./small_1_all.deb\nSize: %s\nSHA256: %s\nDescription: small\n' $size $sum >Packages";
    t.command("sh").args(&["-c", make]).output().ok();
    done(Command::new("cp").arg(&archive).arg(t.path("debian.tar")));
    done(Command::new("chmod").arg("644").arg(t.path("debian.tar")));
    let script = "echo 'deb [trusted=yes] file:/repo ./' >/etc/apt/sources.list && rm -rf /etc/apt/sources.list.d && \
                  apt-get -qq update && apt-get -qq -y install small >/dev/null && stat -c %U:%G /srv/small";
    let caps = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "FSETID"]
        .map(|cap| ["--cap-add", cap])
        .concat();
    let volume = format!("{}:/repo:ro", t.path("repo").display());
    t.image(&["unpack", "rootfs:debian.tar"])
        .arg(t.path("bundle"))
        .args(&caps)
        .args(&["-v", &volume, "--", "sh", "-c", script])
        .output()
        .ok();
    let output = t.rootling(&["run", "-b"]).arg(t.path("bundle")).arg(t.id("c")).output().ok();
    assert_eq!(output.text(), "www-data:www-data", "{output}");
    t.command("unshare")
        .args(&["--map-auto", "--map-root-user", "rm", "-rf"])
        .arg(t.path("bundle"))
        .output()
        .ok();
}
