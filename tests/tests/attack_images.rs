//! Images that somebody has made to attack the host: nothing outside the bundle is touched, nothing blocks, no
//! resource is exhausted, and one line is printed about it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use rootling_tests::image::{Entry, Tar, blob, digest, gzip, layout};
use rootling_tests::{Test, both};
use serde_json::json;

both!(
    names_that_lead_out_are_refused,
    absolute_names_stay_inside,
    links_are_followed_by_no_entry,
    links_of_a_layer_below_are_followed_by_no_entry,
    hard_links_give_nothing_of_the_host,
    whiteouts_remove_nothing_outside,
    names_that_no_file_may_have_are_refused,
    entries_without_an_end_are_refused,
    bombs_are_refused,
    headers_without_an_end_are_refused,
    pipes_and_devices_keep_nobody_waiting,
    attributes_of_links_reach_nothing_outside,
    layouts_with_links_and_pipes_are_refused,
    digests_and_names_of_blobs_lead_nowhere,
    accounts_of_the_image_are_read_inside,
    programs_with_set_user_id_are_for_nobody_else,
);

/// A directory outside that everybody may write to, with a file in it; its contents are compared at the end.
struct Outside {
    dir: PathBuf,
}

impl Outside {
    fn new(t: &Test) -> Self {
        let dir = t.open_directory("outside");
        fs::write(dir.join("victim"), "untouched").expect("write the victim");
        fs::set_permissions(dir.join("victim"), PermissionsExt::from_mode(0o666)).expect("chmod");
        Self { dir }
    }

    fn path(&self) -> String {
        self.dir.display().to_string()
    }

    fn is_untouched(&self) {
        let names: Vec<_> = fs::read_dir(&self.dir)
            .expect("list")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["victim"]);
        assert_eq!(fs::read_to_string(self.dir.join("victim")).expect("the victim"), "untouched");
        let found = fs::metadata(self.dir.join("victim")).expect("the victim");
        assert_eq!((found.mode() & 0o7777, found.nlink()), (0o666, 1));
        assert_eq!(fs::metadata(&self.dir).expect("outside").mode() & 0o7777, 0o777);
    }
}

/// Unpacks layers that must be refused with one line, leaving nothing behind.
fn refused(t: &Test, layers: &[Tar], words: &[&str]) {
    // Left by an image that was accepted.
    let _ = fs::remove_dir_all(t.path("bundle"));
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().finish()).collect();
    t.unpack(&layout(t, "layout", &layers, &json!({})), &["--json"]).fails_with(words);
    nothing_is_left(t);
    // The same archive as a root file system.
    if let [layer] = &layers[..] {
        fs::write(t.path("root.tar"), layer).expect("write");
        t.image(&["unpack", "rootfs:root.tar"]).arg(t.path("bundle")).output().fails_with(&words[..1]);
        nothing_is_left(t);
    }
}

fn nothing_is_left(t: &Test) {
    let entries = fs::read_dir(t.path("")).expect("list the directory");
    let names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    assert!(names.iter().all(|name| name != "bundle" && !name.starts_with('.')), "{names:?}");
}

fn taken(t: &Test, layers: &[Tar]) {
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().finish()).collect();
    t.unpack(&layout(t, "layout", &layers, &json!({})), &["--force"]).ok();
}

fn rootfs(t: &Test, path: &str) -> PathBuf {
    t.path("bundle/rootfs").join(path)
}

/// CVE-2018-20990, CVE-2021-32803 and others: `..` in a name.
fn names_that_lead_out_are_refused(t: &Test) {
    let outside = Outside::new(t);
    for name in ["../outside/new", "a/../../outside/new", "./../outside/victim", "..", "a/..", "../"] {
        refused(t, &[Tar::new().file(name, "bad")], &["the name has `..` in it"]);
        refused(t, &[Tar::new().dir(name)], &["the name has `..` in it"]);
    }
    outside.is_untouched();
}

fn absolute_names_stay_inside(t: &Test) {
    let outside = Outside::new(t);
    let name = format!("{}/victim", outside.path());
    taken(t, &[Tar::new().file(&name, "inside").file("///etc//./passwd", "inside")]);
    for path in [name.trim_start_matches('/'), "etc/passwd"] {
        assert_eq!(fs::read_to_string(rootfs(t, path)).expect(path), "inside");
    }
    outside.is_untouched();
}

/// CVE-2021-29136 (umoci), CVE-2019-18466, CVE-2001-1267: an entry below a link.
fn links_are_followed_by_no_entry(t: &Test) {
    let outside = Outside::new(t);
    let path = outside.path();
    for target in [path.as_str(), "../../outside", "/", ".", "../..", "/proc/self/cwd", "/proc/self/root"] {
        for below in ["link/new", "link/victim", "link/deep/er/new"] {
            refused(t, &[Tar::new().link(b'2', "link", target).file(below, "bad")], &["no link is followed"]);
        }
        refused(t, &[Tar::new().link(b'2', "link", target).dir("link/new")], &["no link is followed"]);
        refused(
            t,
            &[Tar::new().dir("d").link(b'2', "d/link", target).link(b'2', "d/link/x", "y")],
            &["no link is followed"],
        );
    }
    // A directory replaces a link, and so does a file.
    taken(t, &[Tar::new().link(b'2', "link", &path).dir("link").file("link/victim", "inside")]);
    assert_eq!(fs::read_to_string(rootfs(t, "link/victim")).expect("inside"), "inside");
    taken(t, &[Tar::new().link(b'2', "victim", &format!("{path}/victim")).file("victim", "inside")]);
    assert!(fs::symlink_metadata(rootfs(t, "victim")).expect("inside").is_file());
    // The root cannot become a link either.
    refused(t, &[Tar::new().link(b'2', "./", &path).file("victim", "bad")], &["the root is not a directory"]);
    outside.is_untouched();
}

fn links_of_a_layer_below_are_followed_by_no_entry(t: &Test) {
    let outside = Outside::new(t);
    let link = Tar::new().link(b'2', "link", &outside.path()).dir("d").link(b'2', "d/link", "../../outside");
    refused(t, &[link.clone(), Tar::new().file("link/new", "bad")], &["layer 2 of 2", "no link is followed"]);
    refused(
        t,
        &[link.clone(), Tar::new().file("d/link/victim", "bad")],
        &["layer 2 of 2", "no link is followed"],
    );
    refused(t, &[link, Tar::new().file("link/.wh.victim", "")], &["layer 2 of 2", "no link is followed"]);
    outside.is_untouched();
}

/// CVE-2018-15664, CVE-2019-14271 and others: files of the host through hard links.
fn hard_links_give_nothing_of_the_host(t: &Test) {
    let outside = Outside::new(t);
    let victim = format!("{}/victim", outside.path());
    for target in [victim.as_str(), "missing", "/etc/passwd", "/proc/self/exe"] {
        refused(t, &[Tar::new().link(b'1', "hard", target)], &["a hard link to", "does not have"]);
    }
    refused(t, &[Tar::new().link(b'1', "hard", "../outside/victim")], &["`..` in it"]);
    let link = Tar::new().link(b'2', "link", &outside.path());
    refused(t, &[link.clone().link(b'1', "hard", "link/victim")], &["no link is followed"]);
    // A hard link to a link is that link and not its target; writing to its name makes a new file.
    let to_victim = Tar::new().link(b'2', "link", &victim).link(b'1', "hard", "link").file("hard", "inside");
    taken(t, std::slice::from_ref(&to_victim));
    assert!(fs::symlink_metadata(rootfs(t, "hard")).expect("inside").is_file());
    taken(
        t,
        &[
            to_victim,
            Tar::new().entry(&Entry { name: b"link", mode: 0o777, data: b"inside", ..Entry::default() }),
        ],
    );
    // A file with two links is not written to through its other name.
    taken(t, &[Tar::new().file("a", "old"), Tar::new().link(b'1', "b", "a").file("a", "new")]);
    assert_eq!(fs::read_to_string(rootfs(t, "b")).expect("b"), "old");
    refused(t, &[Tar::new().dir("d").link(b'1', "hard", "d")], &["a hard link to a directory"]);
    outside.is_untouched();
}

/// CVE-2019-10152 and others: whiteouts of what is not below.
fn whiteouts_remove_nothing_outside(t: &Test) {
    let outside = Outside::new(t);
    let below = Tar::new().dir("d").link(b'2', "d/link", &outside.path()).file("kept", "1");
    for name in ["d/.wh...", ".wh...", ".wh..", ".wh.", "d/.wh."] {
        let layers = [below.clone().finish(), Tar::new().file(name, "").finish()];
        t.unpack(&layout(t, "layout", &layers, &json!({})), &["--json"])
            .fails_with(&["a whiteout for a name that no file can have"]);
        nothing_is_left(t);
    }
    for name in ["../.wh.outside", "d/../../.wh.outside"] {
        refused(t, &[below.clone(), Tar::new().file(name, "")], &["`..` in it"]);
    }
    refused(t, &[below.clone(), Tar::new().file("d/link/.wh..wh..opq", "")], &["no link is followed"]);
    // The link is removed and not its target, even if its whole directory is removed.
    taken(t, &[below.clone(), Tar::new().file("d/.wh.link", "")]);
    taken(t, &[below.clone(), Tar::new().file("d/.wh..wh..opq", "")]);
    taken(t, &[below, Tar::new().file(".wh.d", "")]);
    assert!(!rootfs(t, "d").exists() && rootfs(t, "kept").exists());
    outside.is_untouched();
}

fn names_that_no_file_may_have_are_refused(t: &Test) {
    let long = "n".repeat(5000);
    let deep = "d/".repeat(2000);
    refused(t, &[Tar::new().file(&long, "")], &["longer than Linux allows"]);
    refused(t, &[Tar::new().file(&format!("d/{}", "n".repeat(256)), "")], &["longer than Linux allows"]);
    refused(t, &[Tar::new().file(&deep, "")], &["directories deep"]);
    refused(t, &[Tar::new().link(b'1', "hard", &long)], &["longer than Linux allows"]);
    refused(t, &[Tar::new().pax(&[("path", b"a\0b")]).file("x", "")], &["NUL"]);
    refused(t, &[Tar::new().pax(&[("linkpath", b"a\0b")]).link(b'2', "x", "")], &["\"x\""]);
    refused(t, &[Tar::new().link(b'2', "x", "")], &["\"x\""]);
    refused(t, &[Tar::new().pax(&[("uid", b"4294967295")]).file("x", "")], &["uid 4294967295"]);
}

fn entries_without_an_end_are_refused(t: &Test) {
    // A million that make no file at all; with a smaller limit the first one already exceeds it.
    let block = Tar::new().file(".wh.x", "").finish()[..512].to_vec();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..1_000_001 {
        encoder.write_all(&block).expect("compress");
    }
    let archive = encoder.finish().expect("compress");
    let dir = t.path("layout");
    let _ = layout(t, "layout", &[Tar::new().finish()], &json!({}));
    let image = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(b"")]}});
    let config = blob(&dir, "application/vnd.oci.image.config.v1+json", image.to_string().as_bytes());
    let layer = blob(&dir, "application/vnd.oci.image.layer.v1.tar+gzip", &archive);
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let manifest = blob(&dir, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    fs::write(dir.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string())
        .expect("write");
    t.unpack(&dir, &["--max-ratio", "100000"]).fails_with(&["more than 1000000 entries", "--max-entries"]);
    t.unpack(&dir, &["--max-ratio", "100000", "--max-entries", "7"]).fails_with(&["more than 7 entries"]);
    nothing_is_left(t);
}

fn bombs_are_refused(t: &Test) {
    // 400 MiB of zeroes in 400 KiB, as one file in an archive.
    let mut header = Tar::new().file("big", "").finish()[..512].to_vec();
    header[124..136].copy_from_slice(format!("{:011o}\0", 400u64 << 20).as_bytes());
    let counted = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    let sum: u32 = header.iter().enumerate().map(counted).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    fs::write(t.path("header"), header).expect("write");
    t.command("sh").args(&["-c", "{ cat header; head -c 419430400 /dev/zero; } | gzip >bomb"]).output().ok();
    let unpack =
        |flags: &[&str]| t.image(&["unpack", "rootfs:bomb"]).arg(t.path("bundle")).args(flags).output();
    unpack(&[]).fails_with(&["200 times as large", "--max-ratio"]);
    unpack(&["--max-ratio", "100000", "--max-size", "100m"])
        .fails_with(&["more than 100.0 MiB", "--max-size"]);
    // The same as an archive of images, which is first decompressed to a file.
    t.image(&["unpack", "oci-archive:bomb"]).arg(t.path("bundle")).output().fails_with(&["--max-ratio"]);
    nothing_is_left(t);
    // A sparse file may claim any length: it takes no space, or the file system refuses it.
    let sparse = [
        ("GNU.sparse.major", &b"1"[..]),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"s"),
        ("GNU.sparse.realsize", b"9223372036854775807"),
    ];
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    refused(
        t,
        &[Tar::new().pax(&sparse).entry(&Entry { name: b"s", data: &map, ..Entry::default() })],
        &["\"s\""],
    );
}

fn headers_without_an_end_are_refused(t: &Test) {
    for kind in [b'L', b'K', b'x', b'g'] {
        let data = vec![b'1'; 2 << 20];
        let tar =
            Tar::new().entry(&Entry { kind, name: b"x", data: &data, ..Entry::default() }).file("x", "");
        refused(t, &[tar], &["a name or an extended header is larger than 1.0 MiB"]);
    }
    let tar = Tar::new().entry(&Entry {
        kind: b'x',
        name: b"x",
        data: b"99999999999 path=x\n",
        ..Entry::default()
    });
    refused(t, &[tar.file("x", "")], &["extended header is malformed"]);
    let mut map = b"99999999\n".to_vec();
    map.resize(512, b'1');
    let sparse = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
    refused(
        t,
        &[Tar::new().pax(&sparse).entry(&Entry { name: b"s", data: &map, ..Entry::default() })],
        &["too many parts"],
    );
}

/// A lower layer has something that blocks open(2) in place of what the next layer writes to, links to and removes.
fn pipes_and_devices_keep_nobody_waiting(t: &Test) {
    let pipe = |name| Entry { kind: b'6', name, ..Entry::default() };
    let device = |name| Entry { kind: b'3', name, ..Entry::default() };
    let below =
        Tar::new().entry(&pipe(b"file")).entry(&pipe(b"etc")).entry(&pipe(b"gone")).entry(&device(b"null"));
    let above = Tar::new()
        .file("file", "x")
        .dir("etc")
        .entry(&pipe(b"etc/passwd"))
        .entry(&pipe(b"etc/group"))
        .file(".wh.gone", "");
    taken(t, &[below.clone(), above.link(b'1', "hard", "etc/passwd")]);
    assert_eq!(fs::read_to_string(rootfs(t, "file")).expect("file"), "x");
    refused(t, &[below, Tar::new().file("gone/file", "")], &["a link or a file"]);
    // The user of an image is looked up in the image's files.
    let layers = [Tar::new().dir("etc").entry(&pipe(b"etc/passwd")).finish()];
    t.unpack(&layout(t, "layout", &layers, &json!({"User": "www"})), &["--force", "--json"])
        .fails_with(&["no user \"www\""]);
}

fn attributes_of_links_reach_nothing_outside(t: &Test) {
    let outside = Outside::new(t);
    let victim = format!("{}/victim", outside.path());
    let before = fs::metadata(&victim).expect("the victim");
    let layer = Tar::new().pax(&[("SCHILY.xattr.user.bad", b"1"), ("mtime", b"1")]).entry(&Entry {
        kind: b'2',
        name: b"link",
        target: victim.as_bytes(),
        mode: 0o4777,
        ids: (7, 7),
        ..Entry::default()
    });
    let layers = [layer.clone(), layer];
    let layers: Vec<Vec<u8>> = layers.iter().map(|layer| layer.clone().finish()).collect();
    t.unpack(&layout(t, "layout", &layers, &json!({})), &[]).ok();
    let after = fs::metadata(&victim).expect("the victim");
    assert_eq!((before.uid(), before.mode(), before.mtime()), (after.uid(), after.mode(), after.mtime()));
    assert_eq!(t.command("getfattr").arg(&victim).output().stdout, "");
    outside.is_untouched();
}

fn layouts_with_links_and_pipes_are_refused(t: &Test) {
    let secret = t.path("secret");
    fs::write(&secret, "secret").expect("write");
    let layer = Tar::new().file("file", "x").finish();
    let name = digest(&gzip(&layer)).replace(':', "/");
    for index in [false, true] {
        let dir = layout(t, "layout", std::slice::from_ref(&layer), &json!({}));
        let path = if index { dir.join("index.json") } else { dir.join("blobs").join(&name) };
        fs::remove_file(&path).expect("remove");
        std::os::unix::fs::symlink(&secret, &path).expect("link");
        t.unpack(&dir, &[]).fails_with(&["of the layout: ELOOP"]);
        fs::remove_file(&path).expect("remove");
        t.command("true").output().ok();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a FIFO");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("chmod");
        t.unpack(&dir, &[]).fails_with(&["is not a regular file"]);
        fs::remove_file(&path).expect("remove");
    }
    nothing_is_left(t);
}

fn digests_and_names_of_blobs_lead_nowhere(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().finish()], &json!({}));
    for wrong in ["sha256:../../../secret", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "../x"] {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let index =
            json!({"schemaVersion": 2, "manifests": [{"mediaType": kind, "digest": wrong, "size": 1}]});
        fs::write(dir.join("index.json"), index.to_string()).expect("write");
        let output = t.unpack(&dir, &[]);
        assert_ne!(output.exit(), 0, "{output}");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
    }
    nothing_is_left(t);
}

/// Similar to CVE-2022-1708: the account files belong to the image.
fn accounts_of_the_image_are_read_inside(t: &Test) {
    let secret = t.path("secret");
    fs::write(&secret, "www:x:7:7::/:\n").expect("write");
    let layer = Tar::new().dir("etc").link(b'2', "etc/passwd", secret.to_str().expect("UTF-8")).finish();
    t.unpack(&layout(t, "layout", &[layer], &json!({"User": "www"})), &["--json"]).fails_with(&[
        "the image's user",
        "no user \"www\"",
        "--user",
    ]);
    nothing_is_left(t);
}

/// Otherwise other users of this host could run a set-user-id program of an image with the caller's id.
fn programs_with_set_user_id_are_for_nobody_else(t: &Test) {
    let suid = Entry { name: b"suid", mode: 0o4755, data: b"x", ..Entry::default() };
    taken(t, &[Tar::new().entry(&suid)]);
    assert_eq!(fs::metadata(t.path("bundle")).expect("the bundle").mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(rootfs(t, "suid")).expect("suid").mode() & 0o7777, 0o4755);
}
