//! `rootling image pull` and `docker://` from a registry on this machine.

use std::fs;
use std::path::PathBuf;

use rootling_tests::image::{Entry, Tar, architecture, give, layout};
use rootling_tests::registry::{Doors, Narrow, Registry, USER};
use rootling_tests::{Random, Test, eventually, user};
use serde_json::json;

user!(
    image_is_pulled_into_a_layout_and_unpacked,
    images_with_the_same_tag_keep_their_names,
    layout_that_leads_elsewhere_is_not_written_to,
    what_is_no_beginning_of_a_blob_is_not_gone_on_with,
    own_authority_and_login_are_asked_for,
    credentials_come_from_files_and_helpers,
    broken_transfers_go_on_where_they_were,
    killed_server_is_gone_on_with_when_it_is_back,
    wrong_content_is_refused,
    copies_come_from_another_server,
    what_is_not_there_is_one_line,
);

fn plain(t: &Test) -> Option<Registry> {
    Registry::start(t, "registry", Doors::default())
}

fn small(t: &Test, content: &str) -> PathBuf {
    small_in(t, "source", content)
}

fn small_in(t: &Test, dir: &str, content: &str) -> PathBuf {
    layout(t, dir, &[Tar::new().file("file", content).finish()], &json!({"Cmd": ["x"]}))
}

/// An image with a layer that gzip cannot compress.
fn large(t: &Test) -> PathBuf {
    let data = Random::of(7).bytes(3_000_000);
    layout(
        t,
        "source",
        &[Tar::new().entry(&Entry { name: b"file", data: &data, ..Entry::default() }).finish()],
        &json!({}),
    )
}

fn unpacked(t: &Test) -> String {
    fs::read_to_string(t.path("bundle/rootfs/file")).expect("the file")
}

fn image_is_pulled_into_a_layout_and_unpacked(t: &Test) {
    let Some(registry) = plain(t) else { return };
    registry.push(&small(t, "content"), "team/app:v1");
    let reference = format!("{}/team/app:v1", registry.host());
    let pulled = t.image(&["pull", &reference, "layout"]).output().ok();
    assert!(pulled.stdout.starts_with("sha256:") && pulled.stdout.ends_with(" oci:layout:v1\n"), "{pulled}");
    assert!(pulled.stderr.contains("pulled layer 1/1"), "{pulled}");
    let again = t.image(&["pull", &reference, "layout"]).output().ok();
    assert!(again.stderr.contains("found layer 1/1"), "{again}");
    // The parents that were made for a layout go with it.
    let other = t.image(&["pull", "--platform", "linux/other", &reference, "new/parent/layout"]).output();
    other.fails_with(&["not for linux/other"]);
    assert!(!t.path("new").exists());
    t.image(&["unpack", "oci:layout:v1", "bundle"]).output().ok();
    assert_eq!(unpacked(t), "content");
    // The same again by its digest, and without a layout.
    let digest = pulled.stdout.split(' ').next().expect("a digest");
    let by_digest = format!("{}/team/app@{digest}", registry.host());
    let pulled = t.image(&["pull", "--json", &by_digest, "layout"]).output().ok();
    assert_eq!((pulled.json()["digest"].as_str(), pulled.stderr.as_str()), (Some(digest), ""));
    t.image(&["unpack", "--force", &format!("docker://{reference}"), "bundle"]).output().ok();
    assert_eq!(unpacked(t), "content");
    assert_eq!(fs::read_dir(t.path("bundle")).expect("list").count(), 2, "the layout stays in the bundle");
    // An image that is alone under its name is not taken for another platform.
    let own = format!("linux/{}", architecture());
    t.image(&["pull", "--platform", &own, &reference, "layout"]).output().ok();
    t.image(&["pull", "--platform", "linux/s390x", &reference, "other"])
        .output()
        .fails_with(&[&format!("the image is one for {own}, not for linux/s390x")]);
    assert!(!t.path("other").exists(), "nothing is left of a pull of the wrong image");
}

fn images_with_the_same_tag_keep_their_names(t: &Test) {
    let Some(registry) = plain(t) else { return };
    for image in ["one", "two"] {
        registry.push(&small_in(t, image, image), &format!("{image}:v1"));
    }
    let name = |image: &str| format!("{}/{image}:v1", registry.host());
    let pull = |image: &str| t.image(&["pull", "--json", &name(image), "layout"]).output().ok().json();
    assert_eq!(pull("one")["name"], "v1");
    // Also a second time.
    for _ in 0..2 {
        assert_eq!(pull("two")["name"], name("two"));
        assert_eq!(pull("one")["name"], "v1");
    }
    t.image(&["gc", "layout"]).output().ok();
    // Also one with the same content, whose tag moves on.
    registry.push(&small_in(t, "again", "one"), "again:v1");
    assert_eq!(pull("again")["name"], name("again"));
    registry.push(&small_in(t, "new", "new"), "again:v1");
    assert_eq!(pull("again")["name"], name("again"));
    t.image(&["gc", "layout"]).output().ok();
    for (reference, content) in
        [(&*name("again"), "new"), ("v1", "one"), (&name("one"), "one"), (&name("two"), "two")]
    {
        t.image(&["unpack", "--force", &format!("oci:layout:{reference}"), "bundle"]).output().ok();
        assert_eq!(unpacked(t), content, "{reference}");
    }
}

fn layout_that_leads_elsewhere_is_not_written_to(t: &Test) {
    let Some(registry) = plain(t) else { return };
    registry.push(&small(t, "content"), "app:v1");
    let reference = format!("{}/app:v1", registry.host());
    t.image(&["pull", &reference, "layout"]).output().ok();
    let blobs = t.path("layout/blobs/sha256");
    fs::create_dir(t.path("elsewhere")).expect("a directory");
    fs::remove_dir_all(&blobs).expect("remove the blobs");
    std::os::unix::fs::symlink(t.path("elsewhere"), &blobs).expect("a link");
    t.image(&["pull", &reference, "layout"])
        .output()
        .fails_with(&["is not a directory of the layout itself"]);
    assert_eq!(fs::read_dir(t.path("elsewhere")).expect("list").count(), 0);
}

fn what_is_no_beginning_of_a_blob_is_not_gone_on_with(t: &Test) {
    let Some(registry) = plain(t) else { return };
    registry.push(&small(t, "content"), "app:v1");
    let reference = format!("{}/app:v1", registry.host());
    t.image(&["pull", &reference, "layout"]).output().ok();
    for entry in fs::read_dir(t.path("layout/blobs/sha256")).expect("list") {
        let path = entry.expect("an entry").path();
        fs::write(path.with_extension("part"), "wrong").expect("write");
        fs::remove_file(path).expect("remove a blob");
    }
    give(t, &t.path("layout"));
    t.image(&["pull", &reference, "layout"]).output().ok();
    t.image(&["unpack", "oci:layout:v1", "bundle"]).output().ok();
    assert_eq!(unpacked(t), "content");
}

fn own_authority_and_login_are_asked_for(t: &Test) {
    let Some(registry) = Registry::start(t, "registry", Doors { tls: true, login: true }) else { return };
    registry.push(&small(t, "content"), "app:v1");
    let reference = format!("{}/app:v1", registry.host());
    let authority = registry.authority();
    t.image(&["pull", &reference, "layout"]).output().fails_with(&["certificate"]);
    let pull = || t.image(&["pull", &reference, "layout", "--ca-file"]).arg(&authority);
    pull().output().fails_with(&["Not authorized", "podman login"]);
    let auth = |user: &str, password: &str| {
        let text = t
            .command("sh")
            .args(&["-c", "printf '%s:%s' \"$0\" \"$1\" | base64 -w0", user, password])
            .output()
            .ok()
            .stdout;
        fs::write(t.path("auth.json"), json!({"auths": {registry.host(): {"auth": text}}}).to_string())
            .expect("write");
    };
    auth(USER.0, "wrong");
    pull().env("REGISTRY_AUTH_FILE", t.path("auth.json")).output().fails_with(&["Not authorized"]);
    auth(USER.0, USER.1);
    pull().env("REGISTRY_AUTH_FILE", t.path("auth.json")).output().ok();
    // Where podman and Docker look for certificates of authorities.
    let home = t.path("home");
    let dir = home.join(".config/containers/certs.d").join(registry.host());
    fs::create_dir_all(&dir).expect("a directory");
    fs::copy(&authority, dir.join("ca.crt")).expect("copy");
    t.image(&["pull", &reference, "layout2"])
        .env("HOME", &home)
        .env("REGISTRY_AUTH_FILE", t.path("auth.json"))
        .output()
        .ok();
    let insecure = t
        .image(&["pull", "--insecure", &reference, "layout3"])
        .env("REGISTRY_AUTH_FILE", t.path("auth.json"));
    insecure.output().ok();
    fs::write(t.path("bad"), "no certificate").expect("write");
    t.image(&["pull", &reference, "layout", "--ca-file", "bad"])
        .output()
        .fails_with(&["--ca-file", "no certificate in PEM"]);
}

fn credentials_come_from_files_and_helpers(t: &Test) {
    let Some(registry) = Registry::start(t, "registry", Doors { tls: false, login: true }) else { return };
    registry.push(&small(t, "content"), "app:v1");
    let reference = format!("{}/app:v1", registry.host());
    let helper = t.path("docker-credential-test");
    let script = format!(
        "#!/bin/sh\nread -r server\ncat >/dev/null\n[ \"$1 $server\" = \"get $WANTED\" ] || exit 1\nprintf '{{\"Username\":\"%s\",\"Secret\":\"%s\"}}' '{}' '{}'\n",
        USER.0, USER.1
    );
    fs::write(&helper, script).expect("write");
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let home = t.path("home");
    fs::create_dir_all(home.join(".docker")).expect("a directory");
    let path = format!("{}:/usr/bin:/bin", t.path("").display());
    for config in [json!({"credHelpers": {registry.host(): "test"}}), json!({"credsStore": "test"})] {
        fs::write(home.join(".docker/config.json"), config.to_string()).expect("write");
        let pull = |wanted: &str, path: &str| {
            let command =
                t.image(&["pull", &reference, "layout"]).env("HOME", &home).without_env("XDG_RUNTIME_DIR");
            command.env("PATH", path).env("WANTED", wanted).output()
        };
        pull(&registry.host(), &path).ok();
        pull("another", &path).fails_with(&["docker-credential-test get"]);
        pull(&registry.host(), "/usr/bin:/bin").fails_with(&["docker-credential-test, which the file names"]);
        t.command("rm").args(&["-rf", "layout"]).output().ok();
    }
}

fn broken_transfers_go_on_where_they_were(t: &Test) {
    let Some(registry) = plain(t) else { return };
    registry.push(&large(t), "app:v1");
    // 24 MB, of which 7 are passed on at a time.
    let way = Narrow::before(&registry, 7 << 20);
    t.image(&["pull", &format!("{}/app:v1", way.host()), "layout"])
        .limit(std::time::Duration::from_mins(2))
        .output()
        .ok();
    assert!(way.passed() < 30_000_000, "{} bytes: it has begun anew", way.passed());
    t.image(&["unpack", "oci:layout", "bundle"]).output().ok();
    assert_eq!(fs::metadata(t.path("bundle/rootfs/file")).expect("the file").len(), 24_000_000);
}

fn killed_server_is_gone_on_with_when_it_is_back(t: &Test) {
    let Some(mut registry) = plain(t) else { return };
    registry.push(&large(t), "app:v1");
    let reference = format!("{}/app:v1", registry.host());
    let narrow = Narrow::before(&registry, 5 << 20);
    let through = format!("{}/app:v1", narrow.host());
    // Killed for good half way: the pull ends and reports that.
    let pull = t.image(&["pull", &through, "layout"]).limit(std::time::Duration::from_mins(2)).spawn();
    let part = || {
        let entries = fs::read_dir(t.path("layout/blobs/sha256")).into_iter().flatten().flatten();
        let sizes = entries
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "part"))
            .map(|entry| entry.metadata().map_or(0, |m| m.len()));
        sizes.max().unwrap_or(0)
    };
    eventually("something comes", || part() > 1 << 20);
    registry.kill();
    let output = pull.output();
    assert!(output.exit() == 1, "{output}");
    assert!(
        output.stderr.contains("blob sha256:") && output.stderr.contains("pull again to resume"),
        "{output}"
    );
    let had = part();
    assert!(had > 1 << 20, "{had}");
    registry.restart();
    let rest = Narrow::before(&registry, u64::MAX);
    t.image(&["pull", &reference, "layout", "--from", &rest.host()]).output().ok();
    let blobs = fs::read_dir(t.path("source/blobs/sha256")).expect("the blobs");
    let layer = blobs.map(|blob| blob.expect("a blob").metadata().expect("stat").len()).max().unwrap_or(0);
    assert!(rest.passed() < layer - had + 100_000, "{} bytes of {layer} after {had}", rest.passed());
    t.image(&["unpack", "oci:layout", "bundle"]).output().ok();
}

fn wrong_content_is_refused(t: &Test) {
    let Some(registry) = plain(t) else { return };
    let source = small(t, "content");
    registry.push(&source, "app:v1");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(source.join("index.json")).expect("the index")).expect("JSON");
    let manifest = manifest["manifests"][0]["digest"].as_str().expect("a digest").replace("sha256:", "");
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(source.join("blobs/sha256").join(manifest)).expect("the manifest"))
            .expect("JSON");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").replace("sha256:", "");
    let data = registry.blobs().join(&layer[..2]).join(&layer).join("data");
    let content = fs::read(&data).expect("the blob");
    let mut changed = content.clone();
    changed[20] ^= 1;
    let reference = format!("{}/app:v1", registry.host());
    for (bytes, words) in
        [(changed, "has the digest"), ([content.clone(), content].concat(), "more than the")]
    {
        fs::write(&data, bytes).expect("write");
        t.image(&["pull", "--json", &reference, "layout"]).output().fails_with(&["blob sha256:", words]);
        t.image(&["unpack", "--json", &format!("docker://{reference}"), "bundle"])
            .output()
            .fails_with(&["blob sha256:", words]);
        assert!(!t.path("bundle").exists());
        assert!(!t.path("layout").exists(), "wrong content is kept");
    }
    fs::remove_file(&data).expect("remove the blob");
    t.image(&["pull", &reference, "layout"])
        .output()
        .fails_with(&["blob sha256:", "has lost a part of the image: push it again"]);
    assert!(!t.path("layout").exists(), "nothing has come");
    // What would fail after the transfer.
    fs::create_dir(t.path("damaged")).expect("a directory");
    fs::write(t.path("damaged/index.json"), "{").expect("write");
    give(t, &t.path("damaged"));
    t.image(&["pull", &reference, "damaged"])
        .output()
        .fails_with(&["index.json of the layout cannot be read", "or pull into another directory"]);
    // A manifest that is requested by its digest.
    let wrong = format!("{}/app@sha256:{}", registry.host(), "0".repeat(64));
    t.image(&["pull", &wrong, "layout"]).output().fails_with(&["manifest"]);
}

fn copies_come_from_another_server(t: &Test) {
    let Some(registry) = plain(t) else { return };
    registry.push(&small(t, "copy"), "library/app:v1");
    t.image(&["unpack", "docker://app:v1", "bundle", "--from", &registry.host()]).output().ok();
    assert_eq!(unpacked(t), "copy");
    let from = format!("{}/x", registry.host());
    t.image(&["pull", "app:v1", "layout", "--from", &from]).output().fails_with(&["--from", "HOST[:PORT]"]);
}

fn what_is_not_there_is_one_line(t: &Test) {
    let Some(mut registry) = plain(t) else { return };
    registry.push(&small(t, "x"), "app:v1");
    let host = registry.host();
    for image in ["app:v2", "other:v1"] {
        let pull = t.image(&["pull", &format!("{host}/{image}"), "layout"]);
        pull.output().fails_with(&["manifest of", image, "the registry has no", ": check"]);
    }
    t.image(&["pull", "Not A Name", "layout"])
        .output()
        .fails_with(&["reference \"Not A Name\"", "NAME[:TAG]"]);
    registry.kill();
    let refused = t
        .image(&["unpack", &format!("docker://{host}/app:v1"), "bundle"])
        .limit(std::time::Duration::from_mins(1));
    refused.output().fails_with(&["manifest of", "refused"]);
    assert!(!t.path("bundle").exists() && !t.path("layout").exists());
}
