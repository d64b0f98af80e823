//! A program that is ready to be executed.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use nix::sys::prctl;
use oci_spec::runtime::Hook;

use super::Obstacle;
use crate::attributes::Attributes;
use crate::blueprint::Identity;
use crate::channel::{Channel, FromChild, ToChild};
use crate::error::{Context, Result};

/// A program to be executed once the runtime has recorded the container.
pub(crate) struct Ready<'a> {
    pub(crate) attributes: &'a Attributes,
    pub(crate) path: CString,
    /// Why the kernel will not execute the program, if that can be seen.
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) env: Vec<CString>,
    pub(crate) hooks: &'a [Hook],
    /// What hooks are told, and the pid that they are told.
    pub(crate) identity: Option<(&'a Identity, i32)>,
    /// The socket on which a created container waits for its start.
    pub(crate) accept: Option<OwnedFd>,
    /// Whether processes of others may look at this one while it waits.
    pub(crate) watched: bool,
}

impl Ready<'_> {
    /// Reports that it is ready, and waits until the container is recorded: from then on it may outlive the runtime.
    pub(super) fn report(self, channel: &Channel) -> Result<Option<Self>> {
        channel.send(&FromChild::Ready)?;
        let Some(ToChild::Commit) = channel.receive()? else { return Ok(None) };
        prctl::set_pdeathsig(None).context(|| "prctl(PR_SET_PDEATHSIG)")?;
        Ok(Some(self))
    }
}
