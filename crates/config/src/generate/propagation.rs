//! What a volume needs to share mounts with the host: `linux.rootfsPropagation`, by dockerd's rule, and a source that
//! is shared on the host.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use rootling_sys::mount::{MS_SHARED, MS_SLAVE};
use rootling_sys::mountinfo::mounts;

use super::Files;
use super::namespaces::has;
use crate::mounts::MountOptions;

/// A bind mount, with the flag that asked for it.
pub(super) struct Volume<'a> {
    pub(super) flag: &'static str,
    pub(super) text: &'a str,
    pub(super) mount: &'a Mount,
}

pub(super) fn run(spec: &mut Spec, volumes: &[Volume<'_>], files: &dyn Files, warnings: &mut Vec<String>) {
    let user = has(spec, LinuxNamespaceType::User);
    let mut root: Option<&str> = None;
    for volume in volumes {
        let flags = MountOptions::of(volume.mount).propagation;
        let asks = |flag| flags.iter().any(|one| one & flag != 0);
        let above = || volume.mount.source().as_deref().and_then(|source| above(source, files));
        let warning = if asks(MS_SHARED) {
            let above = above().filter(|(_, shared, _)| !shared);
            if above.is_none() {
                root = Some("shared");
            }
            if user {
                Some(
                    "in a user namespace nothing that the container mounts propagates to the host".to_owned(),
                )
            } else {
                above.map(|(point, ..)| {
                    not_shared(&point, "is not shared, so that nothing propagates to the host")
                })
            }
        } else if asks(MS_SLAVE) {
            let above = above().filter(|(_, shared, slave)| !shared && !slave);
            if above.is_none() {
                root = root.or(Some("rslave"));
            }
            let why = "is neither shared nor a slave, so that nothing propagates to the container";
            above.map(|(point, ..)| not_shared(&point, why))
        } else {
            None
        };
        warnings.extend(warning.map(|why| format!("--{} {:?}: {why}", volume.flag, volume.text)));
    }
    if let (Some(root), Some(linux)) = (root, spec.linux_mut()) {
        linux.set_rootfs_propagation(Some(root.to_owned()));
    }
}

fn not_shared(point: &Path, why: &str) -> String {
    let point = point.display();
    format!(
        "the mount at {point}, which the source is on, {why}; as root run `mount --make-shared {point}` first"
    )
}

/// The mount point of the mount that `path` is on, and whether that mount is shared and whether it is a slave
/// (mount_namespaces(7)). `None` if it cannot be determined, which is left to the runtime.
fn above(path: &Path, files: &dyn Files) -> Option<(PathBuf, bool, bool)> {
    let path = files.real_path(path).ok()?;
    let text = String::from_utf8(files.read(Path::new("/proc/self/mountinfo")).ok()?).ok()?;
    // Of several mounts at one place, the last is on top.
    let deepest = mounts(&text).filter(|mount| path.starts_with(&mount.point));
    let mount = deepest.max_by_key(|mount| mount.point.components().count())?;
    let (shared, slave) = (mount.has_tag("shared"), mount.has_tag("master"));
    Some((mount.point.into_owned(), shared, slave))
}
