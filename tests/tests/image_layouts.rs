//! `rootling image` on layouts and archives of images: which image is meant, what is in it, and damage.

use std::fs;
use std::path::PathBuf;

use rootling_tests::image::{Entry, Tar, architecture, blob, digest, give, gzip, layout, nothing_is_left};
use rootling_tests::{Test, both};
use serde_json::{Value, json};

both!(
    image_is_chosen_by_name_digest_and_platform,
    archives_of_docker_and_of_layouts,
    image_that_is_listed_twice_is_one,
    archive_by_its_path_alone_is_what_its_files_say,
    what_an_index_says_does_not_reach_the_terminal,
    list_inspect_and_gc_know_a_layout,
    damage_is_one_line_and_leaves_nothing,
);

fn rootfs(t: &Test, path: &str) -> PathBuf {
    t.path("bundle/rootfs").join(path)
}

fn image_is_chosen_by_name_digest_and_platform(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().file("one", "").finish()], &json!({}));
    let index = fs::read_to_string(dir.join("index.json")).expect("the index");
    let one: Value = serde_json::from_str::<Value>(&index).expect("JSON")["manifests"][0].take();
    let two = layout(t, "layout", &[Tar::new().file("two", "").finish()], &json!({}));
    let index: Value =
        serde_json::from_slice(&fs::read(two.join("index.json")).expect("the index")).expect("JSON");
    let mut other = index["manifests"][0].clone();
    other["annotations"] = json!({"org.opencontainers.image.ref.name": "v2"});
    let mut of_arm = one.clone();
    of_arm["platform"] = json!({"os": "linux", "architecture": "riscv64"});
    let mut of_amd = other.clone();
    of_amd["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let inner = json!({"schemaVersion": 2, "manifests": [of_arm, of_amd]});
    let mut many = blob(&dir, "application/vnd.oci.image.index.v1+json", inner.to_string().as_bytes());
    many["annotations"] = json!({"org.opencontainers.image.ref.name": "many"});
    let index = json!({"schemaVersion": 2, "manifests": [one, other, many]});
    fs::write(dir.join("index.json"), index.to_string()).expect("write");
    let by_digest = one["digest"].as_str().expect("a digest");
    for (reference, flags, file) in [
        ("latest", &[][..], "one"),
        ("v2", &[], "two"),
        (by_digest, &[], "one"),
        ("many", &["--platform", "linux/riscv64"], "one"),
        ("many", &["--platform", "linux/s390x"], "two"),
    ] {
        let image = format!("oci:{}:{reference}", dir.display());
        t.image(&["unpack", "--force", &image]).arg(t.path("bundle")).args(flags).output().ok();
        assert!(rootfs(t, file).exists(), "{reference} {flags:?}");
    }
    t.command("rm").args(&["-rf"]).arg(t.path("bundle")).output().ok();
    for (reference, flags, words) in [
        ("", &[][..], &["name one of latest, many, v2"][..]),
        (":v3", &[], &["no image \"v3\"", "latest, many, v2"]),
        (":many", &[], &["linux/riscv64, linux/s390x", "--platform"]),
        (":many", &["--platform", "linux"], &["--platform", "OS/ARCHITECTURE"]),
    ] {
        let image = format!("oci:{}{reference}", dir.display());
        t.image(&["unpack", &image]).arg(t.path("bundle")).args(flags).output().fails_with(words);
    }
    nothing_is_left(t);
}

fn archives_of_docker_and_of_layouts(t: &Test) {
    let layer = Tar::new().file("file", "content").finish();
    let dir = layout(t, "layout", std::slice::from_ref(&layer), &json!({"Cmd": ["x"]}));
    t.command("tar").args(&["-C"]).arg(&dir).args(&["-cf", "oci.tar", "."]).output().ok();
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}}).to_string();
    let name = digest(config.as_bytes()).replace("sha256:", "");
    let manifest = json!([{"Config": format!("{name}.json"), "RepoTags": ["docker.io/library/a:1"], "Layers": ["b/layer.tar"]}]);
    let saved = Tar::new()
        .entry(&Entry { name: b"a/layer.tar", data: &layer, ..Entry::default() })
        .link(b'2', "b/layer.tar", "../a/layer.tar")
        .file(&format!("{name}.json"), &config)
        .file("manifest.json", &manifest.to_string())
        .finish();
    // As in old archives: directories named after digests.
    fs::write(t.path("docker.tar"), &saved).expect("write");
    t.command("sh").args(&["-c", "gzip <docker.tar >docker.tar.gz; gzip <oci.tar >oci.tar.gz"]).output().ok();
    for image in [
        "oci-archive:oci.tar",
        "oci-archive:oci.tar:latest",
        "oci-archive:oci.tar.gz",
        "oci.tar",
        "docker-archive:docker.tar",
        "docker-archive:docker.tar:a:1",
        "docker-archive:docker.tar.gz",
    ] {
        t.image(&["unpack", "--force", image]).arg(t.path("bundle")).output().ok();
        assert_eq!(fs::read_to_string(rootfs(t, "file")).expect(image), "content");
    }
    t.image(&["unpack", "--force", "docker-archive:docker.tar:b"])
        .arg(t.path("bundle"))
        .output()
        .fails_with(&["no image of that name", "docker.io/library/a:1"]);
    t.image(&["unpack", "--force", "oci-archive:docker.tar"])
        .arg(t.path("bundle"))
        .output()
        .fails_with(&["it has no file oci-layout"]);
}

fn image_that_is_listed_twice_is_one(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().file("file", "content").finish()], &json!({}));
    let index = fs::read(dir.join("index.json")).expect("the index");
    let mut index: Value = serde_json::from_slice(&index).expect("JSON");
    let image = index["manifests"][0].clone();
    index["manifests"] = json!([image, image]);
    fs::write(dir.join("index.json"), index.to_string()).expect("write");
    let digest = image["digest"].as_str().expect("a digest");
    for reference in ["", ":latest", &format!(":{digest}")] {
        let image = format!("oci:{}{reference}", dir.display());
        t.image(&["unpack", "--force", &image]).arg(t.path("bundle")).output().ok();
        assert_eq!(fs::read_to_string(rootfs(t, "file")).expect("the file"), "content", "{reference}");
    }
}

fn archive_by_its_path_alone_is_what_its_files_say(t: &Test) {
    let layer = Tar::new().file("file", "content").finish();
    let config = json!({"os": "linux", "architecture": architecture(), "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}}).to_string();
    let saved = |name: &str, layer: &[u8]| {
        let manifest = json!([{"Config": "config.json", "Layers": [name]}]).to_string();
        let first = name.split_once('/').map(|(dir, _)| format!("{dir}/"));
        let tar = first.iter().fold(Tar::new(), |tar, dir| tar.dir(dir));
        tar.entry(&Entry { name: name.as_bytes(), data: layer, ..Entry::default() })
            .file("config.json", &config)
            .file("manifest.json", &manifest)
            .finish()
    };
    for (name, layer) in [("x/layer.tar", layer.clone()), ("a.gz", gzip(&layer))] {
        fs::write(t.path("saved.tar"), saved(name, &layer)).expect("write");
        t.image(&["unpack", "--force", "saved.tar"]).arg(t.path("bundle")).output().ok();
        assert_eq!(fs::read_to_string(rootfs(t, "file")).expect(name), "content");
    }
    t.command("rm").args(&["-rf"]).arg(t.path("bundle")).output().ok();
    fs::write(t.path("saved.tar.bz2"), "BZh91AY&SY").expect("write");
    t.image(&["unpack", "docker-archive:saved.tar.bz2"])
        .arg(t.path("bundle"))
        .output()
        .fails_with(&["\"saved.tar.bz2\": is compressed by bzip2"]);
    let old = Tar::new().file(&format!("{}/layer.tar", "0".repeat(64)), "x").finish();
    fs::write(t.path("old.tar"), old).expect("write");
    let unpack = t.image(&["unpack", "old.tar"]).arg(t.path("bundle")).output();
    unpack.fails_with(&["neither oci-layout nor manifest.json", "name it as rootfs:"]);
    fs::write(t.path("saved.tar"), saved("bin/no ending", &layer)).expect("write");
    t.image(&["unpack", "saved.tar"]).arg(t.path("bundle")).output().ok();
    t.command("rm").args(&["-rf"]).arg(t.path("bundle")).output().ok();
    let piped = t.image(&["unpack", "-"]).arg(t.path("bundle"));
    piped
        .stdin(fs::File::open(t.path("saved.tar")).expect("open"))
        .output()
        .fails_with(&["standard input: it is an archive of an image", "docker-archive:"]);
    // A compressed one is told by its first names.
    fs::write(t.path("saved.tar.gz"), gzip(&fs::read(t.path("saved.tar")).expect("read"))).expect("write");
    t.image(&["unpack", "saved.tar.gz"])
        .arg(t.path("bundle"))
        .output()
        .fails_with(&["\"saved.tar.gz\": it is an archive of an image", "name it as docker-archive:"]);
    t.image(&["unpack", "docker-archive:saved.tar.gz"]).arg(t.path("bundle")).output().ok();
    t.command("rm").args(&["-rf"]).arg(t.path("bundle")).output().ok();
    nothing_is_left(t);
}

fn what_an_index_says_does_not_reach_the_terminal(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().file("file", "").finish()], &json!({"User": "u\u{1b}[31m"}));
    let index = fs::read(dir.join("index.json")).expect("the index");
    let mut index: Value = serde_json::from_slice(&index).expect("JSON");
    index["manifests"][0]["annotations"] = json!({"org.opencontainers.image.ref.name": "a\nb\u{1b}[31m"});
    fs::write(dir.join("index.json"), index.to_string()).expect("write");
    let listed = t.image(&["list"]).arg(&dir).output().ok().stdout;
    assert!(listed.starts_with("a\\nb\\u{1b}[31m ") && listed.lines().count() == 1, "{listed}");
    let inspected = t.image(&["inspect", &format!("oci:{}", dir.display())]).output().ok().stdout;
    assert!(inspected.contains("u\\u{1b}[31m\n"), "{inspected}");
}

fn list_inspect_and_gc_know_a_layout(t: &Test) {
    let dir = layout(t, "layout", &[Tar::new().file("one", "1").finish()], &json!({"Cmd": ["run me"]}));
    let listed = t.image(&["list", "--json"]).arg(&dir).output().ok().json();
    assert_eq!(listed[0]["names"], json!(["latest"]));
    assert!(listed[0]["digest"].as_str().expect("a digest").starts_with("sha256:"));
    assert!(t.image(&["list"]).arg(&dir).output().ok().stdout.starts_with("latest sha256:"));
    let index = fs::read_to_string(dir.join("index.json")).expect("read the index");
    let mut twice: Value = serde_json::from_str(&index).expect("an index");
    let manifests = twice["manifests"].as_array_mut().expect("manifests");
    manifests.push(manifests[0].clone());
    fs::write(dir.join("index.json"), twice.to_string()).expect("write the index");
    assert_eq!(t.image(&["list", "--json"]).arg(&dir).output().ok().json(), listed);
    fs::write(dir.join("index.json"), index).expect("write the index");
    let image = format!("oci:{}", dir.display());
    let inspected = t.image(&["inspect", "--json", &image]).output().ok().json();
    assert_eq!(
        (&inspected["config"]["config"]["Cmd"], &inspected["digest"]),
        (&json!(["run me"]), &listed[0]["digest"])
    );
    assert!(t.image(&["inspect", &image]).output().ok().stdout.contains("[\"run me\"]"));
    fs::write(dir.join("blobs/sha256").join("0".repeat(64)), "x").expect("write");
    fs::write(dir.join("blobs/sha256").join("1".repeat(64) + ".part"), "yz").expect("write");
    fs::write(dir.join("blobs/sha256/README"), "a file of the user").expect("write");
    give(t, &dir);
    let removed = t.image(&["gc", "--json"]).arg(&dir).output().ok().json();
    assert_eq!(removed, json!({"blobs": 2, "bytes": 3}));
    assert!(dir.join("blobs/sha256/README").exists());
    t.unpack(&dir, &[]).ok();
    let other = t.image(&["unpack", "--platform", "linux/other", &image]).arg(t.path("other")).output();
    other.fails_with(&["the image is one for", "not for linux/other"]);
    assert!(!t.path("other").exists());
    t.image(&["gc", "nowhere"]).output().fails_with(&["nowhere"]);
    fs::create_dir(t.path("empty")).expect("a directory");
    for command in ["gc", "list"] {
        t.image(&[command, "empty"]).output().fails_with(&["\"empty\"", "is not an image layout"]);
    }
}

fn damage_is_one_line_and_leaves_nothing(t: &Test) {
    let layer = Tar::new().file("file", "content").finish();
    let make = || layout(t, "layout", std::slice::from_ref(&layer), &json!({}));
    let compressed = gzip(&layer);
    let path = t.path("layout/blobs").join(digest(&compressed).replace(':', "/"));
    let other = gzip(&Tar::new().file("file", "another").finish());
    for (content, words) in [
        (Some(compressed[..compressed.len() - 5].to_vec()), "layer 1 of 1"),
        (Some(other), "layer 1 of 1"),
        (Some(vec![b'x'; compressed.len()]), "layer 1 of 1"),
        (None, "blobs/sha256"),
    ] {
        let dir = make();
        match content {
            Some(content) => fs::write(&path, content).expect("write"),
            None => fs::remove_file(&path).expect("remove"),
        }
        t.unpack(&dir, &[]).fails_with(&["image unpack: oci:", words]);
        nothing_is_left(t);
    }
    for (name, content, words) in [
        ("index.json", "{", "index.json of the layout cannot be read"),
        ("oci-layout", r#"{"imageLayoutVersion":"9"}"#, "version \"9\""),
    ] {
        let dir = make();
        fs::write(dir.join(name), content).expect("write");
        t.unpack(&dir, &[]).fails_with(&[words]);
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write");
    }
    // A configuration for layers other than those in the manifest.
    let dir = make();
    let name = "application/vnd.oci.image.config.v1+json";
    let image = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [digest(b"other")]}});
    let config = blob(&dir, name, image.to_string().as_bytes());
    let layer = blob(&dir, "application/vnd.oci.image.layer.v1.tar+gzip", &compressed);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let manifest = blob(&dir, kind, manifest.to_string().as_bytes());
    fs::write(dir.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string())
        .expect("write");
    t.unpack(&dir, &[]).fails_with(&["layer 1 of 1: unpacked", "has the digest"]);
    nothing_is_left(t);
}
