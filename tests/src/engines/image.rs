//! An image of busybox, for which no registry is needed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Session;
use crate::image::architecture;

/// For a step: makes the image if it does not exist yet.
pub(super) fn make_once(session: &mut Session) -> Result<(), String> {
    let dir = Path::new(session.variables.get("DIR"));
    if dir.join("box.tar").exists() { Ok(()) } else { make(dir) }
}

/// Makes two files in a directory: `box.tar`, a root file system for `podman import` and `docker import`, and
/// `oci.tar`, an OCI image layout of it with the name `box`, for `ctr image import`.
pub(super) fn make(dir: &Path) -> Result<(), String> {
    let in_words = |error: std::io::Error| format!("make an image in {}: {error}", dir.display());
    let (root, layout) = (dir.join("box"), dir.join("oci"));
    root_file_system(&root).map_err(in_words)?;
    pack(&root, &dir.join("box.tar"), &["--owner=0", "--group=0"])?;
    image_layout(&dir.join("box.tar"), &layout)?;
    pack(&layout, &dir.join("oci.tar"), &[])?;
    fs::remove_dir_all(root).and_then(|()| fs::remove_dir_all(layout)).map_err(in_words)
}

fn root_file_system(root: &Path) -> std::io::Result<()> {
    for name in ["bin", "dev", "etc", "home/user", "proc", "root", "sys", "tmp", "var"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::set_permissions(root.join("tmp"), PermissionsExt::from_mode(0o1777))?;
    let busybox = busybox()?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    let applets = Command::new(&busybox).arg("--list").output()?.stdout;
    for applet in String::from_utf8_lossy(&applets).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
    fs::write(root.join("etc/passwd"), passwd)?;
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
    fs::write(root.join("etc/plain"), "")
}

fn busybox() -> std::io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("busybox"))
        .find(|program| program.exists())
        .ok_or_else(|| std::io::Error::other("busybox is not installed: install busybox-static"))
}

/// Makes the layout of one image with one layer, by the OCI image specification.
fn image_layout(layer: &Path, layout: &Path) -> Result<(), String> {
    let blobs = layout.join("blobs/sha256");
    let in_words = |error: std::io::Error| format!("make {}: {error}", layout.display());
    fs::create_dir_all(&blobs).map_err(in_words)?;
    let bytes = fs::read(layer).map_err(in_words)?;
    let layer = blob(&blobs, "layer.v1.tar", &bytes)?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
    });
    let config = blob(&blobs, "config.v1+json", config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(&blobs, "manifest.v1+json", manifest.to_string().as_bytes())?;
    manifest["annotations"] =
        json!({"org.opencontainers.image.ref.name": "box", "io.containerd.image.name": "box"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)
        .and_then(|()| fs::write(layout.join("index.json"), index.to_string()))
        .map_err(in_words)
}

/// Writes a blob; returns its descriptor.
fn blob(blobs: &Path, kind: &str, bytes: &[u8]) -> Result<Value, String> {
    let new = blobs.join("new");
    let in_words = |error: std::io::Error| format!("make a blob: {error}");
    fs::write(&new, bytes).map_err(in_words)?;
    let sum = Command::new("sha256sum").arg(&new).output().map_err(in_words)?.stdout;
    let digest = String::from_utf8_lossy(&sum).split_whitespace().next().unwrap_or_default().to_owned();
    fs::rename(&new, blobs.join(&digest)).map_err(in_words)?;
    Ok(json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": format!("sha256:{digest}"),
        "size": bytes.len(),
    }))
}

fn pack(dir: &Path, archive: &Path, options: &[&str]) -> Result<(), String> {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(dir).args(options).arg("-cf").arg(archive).arg(".");
    let status = tar.status().map_err(|error| format!("start tar: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("tar of {}: {status}", dir.display())) }
}
