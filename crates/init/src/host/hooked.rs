//! A container with hooks that see its root before it is entered: prestart, createRuntime and createContainer.
//!
//! These hooks expect the complete root at its path on the host, in the container's mount namespace. So it is built
//! there, with the same code that builds it elsewhere, and taken from there when the hooks are done. While they run,
//! the host is within reach of this process, and what they do is the responsibility of their author: docs/security.md.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rootling_sys as sys;
use rootling_sys::mount::{attach, clone_tree};

use super::prepare::prepare;
use super::sources::Sources;
use crate::blueprint::Blueprint;
use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Result};
use crate::hooks::{self, HookState, Setting};
use crate::mounting::devices::{self, DeviceSource};
use crate::mounting::image::Image;
use crate::mounting::mounts::attach_one;

/// Builds the root, has the hooks run, and takes the root. Returns `None` if the runtime has ended.
pub(super) fn build(
    blueprint: &Blueprint,
    channel: &Channel,
    sources: &Sources<'_>,
    image: OwnedFd,
    devices: &[DeviceSource],
    pid: i32,
) -> Result<Option<OwnedFd>> {
    let rootfs = &blueprint.rootfs;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let place =
        open(rootfs, flags, Mode::empty()).map(sys::fds::adopt).context(|| format!("open({rootfs:?})"))?;
    attach(image.as_fd(), place.as_fd()).context(|| format!("bind the root file system {rootfs:?}"))?;
    let mut root = Image::new(image)?;
    for (index, mount) in blueprint.mounts.iter().enumerate() {
        // One by one: a source may be on a mount that was made just before.
        let prepared = prepare(blueprint, index, mount, root.directory(), sources)?;
        attach_one(&mut root, blueprint, channel, mount, prepared)?;
    }
    devices::make(&root, blueprint.dev, devices)?;
    channel.send(&FromChild::AtHooks)?;
    let Some(ToChild::RunHooks) = channel.receive()? else { return Ok(None) };
    if !blueprint.create_hooks.is_empty() {
        let state = HookState::new(&blueprint.identity, "creating", pid);
        // As with runc, whose hooks use paths relative to the root file system.
        let setting = Setting { dir: Some(rootfs), dies_with_us: true, ..Setting::default() };
        hooks::run("createContainer", &blueprint.create_hooks, &state, setting)?;
    }
    // Includes what the hooks have mounted on it.
    clone_tree(root.directory().as_fd(), true).map(Some).context(|| "take the root file system")
}
