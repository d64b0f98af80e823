//! Runs libcontainer's init in a private root. It makes the default devices and links in `/c/dev`, enters `/c`, writes
//! sysctls and the AppArmor profile, and sets up network devices. None of the paths that it uses belongs to the image.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcgroups::common::CgroupConfig;
use libcontainer::notify_socket::NotifyListener;
use libcontainer::process::args::{ContainerArgs, ContainerType};
use libcontainer::process::channel::{init_channel, main_channel};
use libcontainer::process::init::container_init_process;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use oci_spec::runtime::Spec;
use rootling_sys as sys;

use super::capture;
use crate::blueprint::Blueprint;
use crate::channel::Addresses;
use crate::error::{Context, Error, Result, chain};
use crate::roots::ROOT;

/// Runs libcontainer's init up to the point where it would look at the program. Its root is this process's root then.
pub(super) fn init(blueprint: &Blueprint, addresses: Addresses) -> Result<()> {
    check_calls()?;
    let failed = |e: &dyn std::error::Error| Error::system(chain(e)).wrap("prepare libcontainer's init");
    // Nobody connects to it, since nobody else can reach it, but libcontainer requires one.
    let notify_listener = NotifyListener::new(Path::new("/notify.sock")).map_err(|e| failed(&e))?;
    // Both ends of both channels are here: what libcontainer would request from the runtime has already been fetched.
    let (mut main_sender, main_receiver) = main_channel().map_err(|e| failed(&e))?;
    let (mut init_sender, mut init_receiver) = init_channel().map_err(|e| failed(&e))?;
    if blueprint.net_devices {
        init_sender.move_network_device(addresses).map_err(|e| failed(&e))?;
    }
    // Who has few descriptors needs those of the ends that nobody will use.
    let _ = init_sender.close();
    let is_asked = blueprint.net_devices;
    if !is_asked {
        let _ = main_receiver.close();
    }
    let reached = Rc::new(Cell::new(false));
    let arguments = arguments(blueprint, notify_listener, Stop { reached: Rc::clone(&reached) });
    let (result, event) =
        capture::errors_of(|| container_init_process(&arguments, &mut main_sender, &mut init_receiver));
    // Dropping these does not close them: they would stay open until the door to Container.
    let _ = (main_sender.close(), init_receiver.close());
    if is_asked {
        let _ = main_receiver.close();
    }
    match result {
        Err(_) if reached.get() => Ok(()),
        Err(error) => Err(capture::explain(&error, event.as_deref())),
        Ok(()) => Err(Error::system("libcontainer's init went on to the program")),
    }
}

/// Checks two calls that a seccomp filter around rootling may refuse. Without the first, pathrs looks for another /proc
/// over and over until the stack overflows; without the second, libcontainer falls back to a /proc that does not exist
/// here.
fn check_calls() -> Result<()> {
    for (name, result) in
        [("faccessat2", sys::file::faccessat2(c"/")), ("close_range", sys::fds::close_none())]
    {
        result.context(|| name)?;
    }
    Ok(())
}

fn arguments(blueprint: &Blueprint, notify_listener: NotifyListener, executor: Stop) -> ContainerArgs {
    ContainerArgs {
        container_type: ContainerType::InitContainer,
        syscall: SyscallType::Linux,
        spec: Rc::clone(&blueprint.spec),
        rootfs: PathBuf::from(ROOT),
        console_socket: None,
        notify_listener,
        preserve_fds: 0,
        container: None,
        user_ns_config: None,
        cgroup_config: CgroupConfig {
            cgroup_path: PathBuf::new(),
            systemd_cgroup: false,
            container_name: blueprint.identity.id.to_string(),
        },
        detached: true,
        executor: Box::new(executor),
        // Not looked at, as the spec has no mount namespace for it.
        no_pivot: false,
        stdin: None,
        stdout: None,
        stderr: None,
        as_sibling: false,
        pid_file: None,
    }
}

/// Stops libcontainer's init where it would look at the program; rootling does the rest.
#[derive(Clone)]
struct Stop {
    reached: Rc<Cell<bool>>,
}

impl Executor for Stop {
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        self.reached.set(true);
        Err(ExecutorValidationError::ArgValidationError("the rest is rootling's own".into()))
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        Err(ExecutorError::Other("the program is rootling's own to execute".into()))
    }
}
