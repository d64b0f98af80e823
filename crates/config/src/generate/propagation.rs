//! What a volume needs to share mounts with the host: `linux.rootfsPropagation`, by dockerd's rule, and a source
//! that is shared there.

use std::path::{Path, PathBuf};

use libc::{MS_SHARED, MS_SLAVE};
use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use super::Files;
use super::namespaces::has;

/// A bind mount with the flag that asked for it.
pub(super) struct Volume<'a> {
    pub(super) flag: &'static str,
    pub(super) text: &'a str,
    pub(super) mount: &'a Mount,
}

/// How the mount that a path is on goes with others. mount_namespaces(7)
struct Above {
    point: PathBuf,
    shared: bool,
    slave: bool,
}

pub(super) fn run(spec: &mut Spec, volumes: &[Volume<'_>], files: &dyn Files, warnings: &mut Vec<String>) {
    let user = has(spec, LinuxNamespaceType::User);
    let mut root: Option<&str> = None;
    for volume in volumes {
        let flags = crate::mounts::parse(volume.mount).map(|options| options.propagation).unwrap_or_default();
        let asks = |flag| flags.iter().any(|one| one & flag != 0);
        let above = || volume.mount.source().as_deref().and_then(|source| above(source, files));
        let warning = if asks(MS_SHARED) {
            let above = above().filter(|above| !above.shared);
            if above.is_none() {
                root = Some("shared");
            }
            if user {
                Some(
                    "in a user namespace nothing that the container mounts propagates to the host".to_owned(),
                )
            } else {
                above.map(|above| not_shared(&above, "is not shared, so that nothing propagates to the host"))
            }
        } else if asks(MS_SLAVE) {
            let above = above().filter(|above| !above.shared && !above.slave);
            if above.is_none() {
                root = root.or(Some("rslave"));
            }
            let why = "is neither shared nor a slave, so that nothing propagates to the container";
            above.map(|above| not_shared(&above, why))
        } else {
            None
        };
        warnings.extend(warning.map(|why| format!("--{} {:?}: {why}", volume.flag, volume.text)));
    }
    if let (Some(root), Some(linux)) = (root, spec.linux_mut()) {
        linux.set_rootfs_propagation(Some(root.to_owned()));
    }
}

fn not_shared(above: &Above, why: &str) -> String {
    let point = above.point.display();
    format!(
        "the mount at {point}, which the source is on, {why}; as root run `mount --make-shared {point}` first"
    )
}

/// The mount that `path` is on; none where it cannot be told, which is left to the runtime.
fn above(path: &Path, files: &dyn Files) -> Option<Above> {
    let path = files.real_path(path).ok()?;
    let text = String::from_utf8(files.read(Path::new("/proc/self/mountinfo")).ok()?).ok()?;
    // Of those at one place, the last is on top.
    let deepest = text.lines().filter_map(mount).filter(|mount| path.starts_with(&mount.point));
    deepest.max_by_key(|mount| mount.point.components().count())
}

/// One line of proc_pid_mountinfo(5).
fn mount(line: &str) -> Option<Above> {
    let fields: Vec<&str> = line.split(' ').collect();
    let tags = fields.get(6..)?.iter().take_while(|field| **field != "-");
    let has = |tag: &str| tags.clone().any(|field| field.starts_with(tag));
    Some(Above { point: unescaped(fields[4]).into(), shared: has("shared:"), slave: has("master:") })
}

/// Blanks and backslashes are written as three octal digits.
fn unescaped(field: &str) -> String {
    let mut text = field.to_owned();
    for (escaped, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(escaped, plain);
    }
    text
}
