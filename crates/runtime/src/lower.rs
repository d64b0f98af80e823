//! The spec that libcontainer gets: what it does correctly, and nothing else.
//!
//! The rest is not lost: it becomes a [`Fixup`] that is applied to the finished mounts, or a field of
//! [`crate::plan::Finish`]. docs/libcontainer.md lists each of these with its reason.

use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::{
    Hooks, LinuxDevice, LinuxNamespace, LinuxNamespaceType, Mount, MountBuilder, Process, ProcessBuilder,
    Spec, UserBuilder,
};
use rootling_config::mounts::{self, Bind, MountOptions};
use rootling_config::namespaces::NamespaceSet;

use crate::error::{Error, Result, chain};

/// mount_setattr(2) attributes, linux/mount.h.
pub(crate) mod attr {
    pub(crate) const RDONLY: u64 = 0x1;
    pub(crate) const NOSUID: u64 = 0x2;
    pub(crate) const NODEV: u64 = 0x4;
    pub(crate) const NOEXEC: u64 = 0x8;
    pub(crate) const ATIME_MASK: u64 = 0x70;
    pub(crate) const NODIRATIME: u64 = 0x80;
    pub(crate) const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// How `/dev` comes about, which decides who fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dev {
    /// A new tmpfs: libcontainer makes the default devices and links in it.
    Fresh,
    /// A directory of the root file system: ours, since libcontainer fails when a link exists.
    Plain,
    /// Bound from somewhere: nothing is made in it, as in runc.
    Bound,
}

/// Something that is still to be done to a mount when all of them stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fixup {
    /// Where the mount is, in the container.
    pub(crate) destination: PathBuf,
    pub(crate) action: Action,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Change flags of the mount.
    Attributes { set: u64, clear: u64 },
    /// Change its propagation; `MS_SHARED` and its kin without `MS_REC`.
    Propagation { flags: u64, recursive: bool },
    /// Copy into the tmpfs what the image has at this place (`tmpcopyup`).
    CopyUp,
    /// Links for the controllers that share a hierarchy (`cpu` to `cpu,cpuacct`).
    ControllerLinks(Vec<(String, String)>),
}

/// The result.
pub(crate) struct Lowered {
    pub(crate) spec: Rc<Spec>,
    pub(crate) dev: Dev,
    pub(crate) devices: Vec<LinuxDevice>,
    pub(crate) fixups: Vec<Fixup>,
    /// To be placed when the cgroup is known: see [`crate::cgroup_mount`].
    pub(crate) cgroup_mounts: Vec<CgroupMount>,
}

/// A cgroup mount of the spec, and its place in the list.
pub(crate) struct CgroupMount {
    pub(crate) at: usize,
    pub(crate) destination: PathBuf,
    pub(crate) options: MountOptions,
}

/// Lowers an adapted spec out of which [`crate::plan`] has taken what is its own.
pub(crate) fn lower(
    mut spec: Spec,
    namespaces: &NamespaceSet,
    hooks: Option<&Hooks>,
    bundle: &Path,
) -> Result<Lowered> {
    let wanted = spec.mounts_mut().take().unwrap_or_default();
    let mut mounts = Vec::with_capacity(wanted.len() + 1);
    let mut fixups = Vec::new();
    let mut cgroup_mounts = Vec::new();
    let mut dev = Dev::Plain;
    for (index, mount) in wanted.into_iter().enumerate() {
        let field = || format!("mounts[{index}] ({})", mount.destination().display());
        let options = mounts::parse(&mount).map_err(|e| Error::invalid(chain(&e)).wrap(field()))?;
        if clean(mount.destination()) == Path::new("/dev") {
            dev = if options.bind.is_some() { Dev::Bound } else { Dev::Fresh };
        }
        let kind = mount.typ().as_deref().unwrap_or_default().to_owned();
        if matches!(kind.as_str(), "cgroup" | "cgroup2") && options.bind.is_none() {
            cgroup_mounts.push(CgroupMount {
                at: mounts.len(),
                destination: clean(mount.destination()),
                options,
            });
        } else {
            lower_mount(mount, &options, bundle, &mut mounts, &mut fixups)?;
        }
    }
    if dev != Dev::Fresh {
        // libcontainer makes devices and links in any case, and fails where there are some: it gets a
        // tmpfs to make them in, which is taken away again before anybody sees it.
        mounts.push(new_mount("tmpfs", "tmpfs", Path::new("/dev"), &["nosuid", "mode=755"])?);
    }
    let linux = spec.linux_mut().get_or_insert_with(Default::default);
    let devices = linux.devices_mut().take().unwrap_or_default();
    linux.set_namespaces(Some(remaining_namespaces(namespaces)));
    linux.set_rootfs_propagation(lowered_propagation(linux.rootfs_propagation().as_deref()));
    linux.set_uid_mappings(None);
    linux.set_gid_mappings(None);
    linux.set_intel_rdt(None);
    spec.set_mounts(Some(mounts));
    spec.set_process(Some(lowered_process(spec.process().as_ref())?));
    spec.set_hooks(lowered_hooks(hooks));
    if let Some(root) = spec.root_mut() {
        root.set_readonly(Some(false));
    }
    Ok(Lowered { spec: Rc::new(spec), dev, devices, fixups, cgroup_mounts })
}

/// A path without `.`, `..` and doubled slashes, read as if nothing in it were a link.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

pub(crate) fn new_mount(kind: &str, source: &str, destination: &Path, options: &[&str]) -> Result<Mount> {
    MountBuilder::default()
        .typ(kind)
        .source(source)
        .destination(destination)
        .options(options.iter().map(ToString::to_string).collect::<Vec<_>>())
        .build()
        .map_err(|e| Error::system(chain(&e)))
}

const MS_FLAGS: [(u64, &str, u64); 6] = [
    (libc::MS_RDONLY, "ro", attr::RDONLY),
    (libc::MS_NOSUID, "nosuid", attr::NOSUID),
    (libc::MS_NODEV, "nodev", attr::NODEV),
    (libc::MS_NOEXEC, "noexec", attr::NOEXEC),
    (libc::MS_NODIRATIME, "nodiratime", attr::NODIRATIME),
    (libc::MS_NOSYMFOLLOW, "", attr::NOSYMFOLLOW),
];

const RECURSIVE: [(u64, &str, &str); 6] = [
    (attr::RDONLY, "rro", "rrw"),
    (attr::NOSUID, "rnosuid", "rsuid"),
    (attr::NODEV, "rnodev", "rdev"),
    (attr::NOEXEC, "rnoexec", "rexec"),
    (attr::NODIRATIME, "rnodiratime", "rdiratime"),
    (attr::NOSYMFOLLOW, "rnosymfollow", "rsymfollow"),
];

/// One mount that libcontainer makes, with only the options it gets right.
fn lower_mount(
    mount: Mount,
    options: &MountOptions,
    bundle: &Path,
    mounts: &mut Vec<Mount>,
    fixups: &mut Vec<Fixup>,
) -> Result<()> {
    let destination = clean(mount.destination());
    if options.idmap.is_some() {
        return Err(Error::invalid(format!(
            "mount on {destination:?}: idmap: an id-mapped mount needs CAP_SYS_ADMIN over its file system, which the \
             caller has not; remove the option"
        )));
    }
    let bind = options.bind.is_some();
    let kind = mount.typ().clone().unwrap_or_else(|| if bind { "bind".into() } else { String::new() });
    let source = match mount.source() {
        Some(source) if bind => bundle.join(source),
        Some(source) => source.clone(),
        None if bind => return Err(Error::invalid(format!("mount on {destination:?}: source: missing"))),
        None => PathBuf::from(if kind.is_empty() { "none" } else { &kind }),
    };
    let mut text = lowered_options(options);
    // A flag that is cleared is only of interest on a bind, which starts with those of its source.
    let cleared: u64 =
        MS_FLAGS.iter().filter(|(ms, ..)| bind && options.clear & ms != 0).map(|(.., attr)| attr).sum();
    let mut set = if options.set & libc::MS_NOSYMFOLLOW != 0 { attr::NOSYMFOLLOW } else { 0 };
    if destination == Path::new("/dev") && options.set & libc::MS_RDONLY != 0 {
        // Read-only once it is filled.
        set |= attr::RDONLY;
        text.retain(|o| o != "ro");
    }
    let mut fix = |action| fixups.push(Fixup { destination: destination.clone(), action });
    if options.tmpcopyup {
        fix(Action::CopyUp);
        if options.set & libc::MS_RDONLY != 0 {
            set |= attr::RDONLY;
            text.retain(|o| o != "ro");
        }
    }
    if set | cleared != 0 {
        fix(Action::Attributes { set, clear: cleared });
    }
    for flags in &options.propagation {
        fix(Action::Propagation { flags: flags & !libc::MS_REC, recursive: flags & libc::MS_REC != 0 });
    }
    let text: Vec<&str> = text.iter().map(String::as_str).collect();
    let mut lowered = new_mount(&kind, "none", &destination, &text)?;
    lowered.set_source(Some(source));
    mounts.push(lowered);
    Ok(())
}

/// The options in libcontainer's own words.
pub(crate) fn lowered_options(options: &MountOptions) -> Vec<String> {
    let mut text: Vec<String> = Vec::new();
    match options.bind {
        Some(Bind::Plain) => text.push("bind".into()),
        Some(Bind::Recursive) => text.push("rbind".into()),
        None => {}
    }
    let has = |flag: u64| options.set & flag != 0;
    text.extend(MS_FLAGS.iter().filter(|(ms, name, _)| has(*ms) && !name.is_empty()).map(|f| f.1.to_owned()));
    if has(libc::MS_NOATIME) {
        text.push("noatime".into());
    } else if has(libc::MS_STRICTATIME) {
        text.push("strictatime".into());
    } else if has(libc::MS_RELATIME) {
        text.push("relatime".into());
    }
    for (flag, set, clear) in RECURSIVE {
        if options.rec_set & flag != 0 {
            text.push(set.into());
        } else if options.rec_clear & flag != 0 {
            text.push(clear.into());
        }
    }
    if options.rec_clear & attr::ATIME_MASK != 0 {
        // linux/mount.h: the access time setting is a number in these bits, 0 for relatime.
        text.push(match options.rec_set & attr::ATIME_MASK {
            0x10 => "rnoatime".into(),
            0x20 => "rstrictatime".into(),
            _ => "rrelatime".into(),
        });
    }
    text.extend(options.data.iter().cloned());
    text
}

/// User, pid and time namespaces are ours, as are all that are joined; a mount namespace is always
/// left in, since without one libcontainer uses chroot(2) instead of pivot_root(2).
fn remaining_namespaces(namespaces: &NamespaceSet) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType as T;
    [T::Uts, T::Ipc, T::Network, T::Cgroup, T::Mount]
        .into_iter()
        .filter(|kind| namespaces.get(*kind).is_new())
        .map(|kind| {
            let mut namespace = LinuxNamespace::default();
            namespace.set_typ(kind);
            namespace
        })
        .collect()
}

/// `rootfsPropagation` as flags of mount(2), and whether it is for the whole tree.
pub(crate) fn propagation(wanted: Option<&str>) -> Result<Option<(u64, bool)>> {
    let Some(wanted) = wanted.filter(|w| !w.is_empty()) else { return Ok(None) };
    let flags = match wanted.strip_prefix('r').unwrap_or(wanted) {
        "private" => libc::MS_PRIVATE,
        "slave" => libc::MS_SLAVE,
        "shared" => libc::MS_SHARED,
        "unbindable" => libc::MS_UNBINDABLE,
        _ => {
            return Err(Error::invalid(format!(
                "linux.rootfsPropagation: {wanted:?} is none of private, slave, shared, unbindable and their \
                 recursive forms rprivate, rslave, rshared, runbindable"
            )));
        }
    };
    Ok(Some((flags, wanted.starts_with('r'))))
}

/// The propagation while the mounts are made; the wanted one comes after them.
fn lowered_propagation(wanted: Option<&str>) -> Option<String> {
    let wanted = wanted.filter(|w| !w.is_empty())?;
    let base = wanted.strip_prefix('r').unwrap_or(wanted);
    // What is unbindable could not even be bound onto itself.
    Some(if base == "unbindable" { "slave" } else { base }.to_owned())
}

/// A process that libcontainer leaves as it is: its init ends in our hands before any of it is used.
fn lowered_process(process: Option<&Process>) -> Result<Process> {
    let missing = || Error::invalid("process: missing");
    let process = process.ok_or_else(missing)?;
    let user = UserBuilder::default().uid(0u32).gid(0u32).build().map_err(|e| Error::system(chain(&e)))?;
    let mut lowered = ProcessBuilder::default()
        .user(user)
        .args(vec!["/".to_owned()])
        // With a HOME, libcontainer does not ask the name service for one.
        .env(vec!["HOME=/".to_owned()])
        .cwd("/")
        .build()
        .map_err(|e| Error::system(chain(&e)))?;
    lowered.set_capabilities(None);
    lowered.set_rlimits(None);
    lowered.set_no_new_privileges(None);
    lowered.set_apparmor_profile(process.apparmor_profile().clone().filter(|p| !p.is_empty()));
    lowered.set_io_priority(process.io_priority().clone());
    lowered.set_scheduler(process.scheduler().clone());
    Ok(lowered)
}

/// Only the hooks that libcontainer runs, or whose moment it reports.
fn lowered_hooks(hooks: Option<&Hooks>) -> Option<Hooks> {
    let hooks = hooks?;
    #[allow(deprecated)] // prestart is deprecated for authors of specs, not for runtimes.
    let before_start = hooks.prestart().is_some() || hooks.create_runtime().is_some();
    if !before_start && hooks.create_container().is_none() {
        return None;
    }
    let mut lowered = Hooks::default();
    lowered.set_create_container(hooks.create_container().clone());
    Some(lowered)
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
