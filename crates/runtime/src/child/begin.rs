//! Before libcontainer: the child gets ready to be root of its user namespace, and opens what will be
//! out of reach once it is in the container.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcgroups::common::CgroupConfig;
use libcontainer::container::{Container, ContainerStatus, State};
use libcontainer::process::args::{ContainerArgs, ContainerType};
use libcontainer::process::init::container_init_process;
use libcontainer::syscall::syscall::SyscallType;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use oci_spec::runtime::Spec;
use rootling_config::namespaces::clone_flag;
use rootling_rootless::host::{Host, Restriction};

use super::bare::{self, Bare};
use super::capture;
use super::context::ChildContext;
use super::devices::DeviceSource;
use super::source::Sources;
use super::waiting::Waiting;
use super::{devices, finish, hook_runner, mounts};
use crate::error::{Context, Error, Result};
use crate::launch::reset_signals;
use crate::plan::Plan;
use crate::report::{Channel, FromChild, ToChild};
use crate::sys;

/// Becomes the container, or reports why not and ends.
pub(crate) fn run(context: &Rc<ChildContext>) -> ! {
    context.close_in_child();
    let Some(channel) = context.channel.borrow_mut().take() else { sys::exec::exit_now(1) };
    let channel = Rc::new(channel);
    if let Err(error) = become_container(context, &channel) {
        channel.send_failure(error);
    }
    sys::exec::exit_now(1)
}

fn become_container(context: &Rc<ChildContext>, channel: &Rc<Channel>) -> Result<()> {
    reset_signals()?;
    die_with_runtime()?;
    tracing::debug!("child process in init()");
    let plan = &context.plan;
    make_namespaces(plan)?;
    let sources = Sources::new(plan, channel);
    let Some(ToChild::Begin(pid)) = channel.receive()? else { return Ok(()) };
    if plan.namespaces.user.is_set() {
        become_root()?;
        // The change of ids made the kernel forget it.
        die_with_runtime()?;
    }
    check_root(plan)?;
    finish_namespaces(plan)?;
    set_names(plan, channel)?;
    let devices = devices::open_sources(&plan.lowered.devices, plan.lowered.dev)?;
    let waiting = mounts::make(plan, &sources)?;
    let bare = if plan.no_pivot { Some(bare::find()?) } else { None };
    leave_procfs_to_runtime(channel)?;
    let finalizer = Finalizer {
        context: Rc::clone(context),
        channel: Rc::clone(channel),
        devices: Rc::new(devices),
        waiting: Rc::new(waiting),
        pid,
        bare: Rc::new(bare),
        runner: hook_runner::start(plan, channel, pid)?,
    };
    let listener = context.listener.borrow_mut().take().ok_or_else(|| Error::system("no notify socket"))?;
    let arguments = arguments(plan, pid, listener, finalizer);
    let (sender, receiver) =
        (&mut *context.main_sender.borrow_mut(), &mut *context.init_receiver.borrow_mut());
    // Returns only on failure: our finalizer takes over from inside.
    let (result, event) = capture::errors_of(|| container_init_process(&arguments, sender, receiver));
    match result {
        Ok(()) => Err(Error::system("libcontainer's init returned")),
        Err(error) => Err(capture::explain(&error, event.as_deref())),
    }
}

/// pathrs, in libcontainer, keeps a procfs of its own for as long as the process lives. To free it, the
/// kernel waits for all processors, some 0.4 ms; left to execve(2) that would delay the program. The
/// runtime gets to hold it too and frees it while the program runs.
fn leave_procfs_to_runtime(channel: &Channel) -> Result<()> {
    // Of the numbers that pathrs can take first, one is of the context that it closes again.
    let (handle, kept) = sys::fds::kept_by(channel.as_fd(), 3, pathrs::procfs::ProcfsHandle::new);
    // Without one, libcontainer says what that means for it.
    if let (Ok(_), Some(fd)) = (handle, kept) {
        channel.send_with(&FromChild::CloseLater, fd.as_fd())?;
    }
    Ok(())
}

/// The runtime's end, until the container is recorded, is the child's as well.
fn die_with_runtime() -> Result<()> {
    sys::process::set_parent_death_signal(libc::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")
}

/// Root of the user namespace, without the caller's groups where they may be given up.
fn become_root() -> Result<()> {
    let unmapped =
        |e: Error| e.remedy("uid and gid 0 have to be among linux.uidMappings and linux.gidMappings");
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0))
        .context(|| "setresgid(0)")
        .map_err(unmapped)?;
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))
        .context(|| "setresuid(0)")
        .map_err(unmapped)
}

/// The namespaces that the mounts need, in one go; user, pid and joined ones are there already.
///
/// While the runtime writes the id maps: making them needs no mapped id.
fn make_namespaces(plan: &Plan) -> Result<()> {
    use oci_spec::runtime::LinuxNamespaceType as T;
    let flags: u64 = [T::Uts, T::Ipc, T::Network, T::Mount]
        .into_iter()
        .filter(|kind| plan.namespaces.get(*kind).is_new())
        .map(clone_flag)
        .sum();
    unshare(CloneFlags::from_bits_retain(flags as i32)).context(|| format!("unshare({flags:#x})"))
}

/// Those that have to wait until the process is in its cgroup, and root where it joins.
fn finish_namespaces(plan: &Plan) -> Result<()> {
    if plan.namespaces.cgroup.is_new() {
        // Its root is the cgroup that the process is in at this moment: cgroup_namespaces(7).
        unshare(CloneFlags::CLONE_NEWCGROUP).context(|| "unshare(CLONE_NEWCGROUP)")?;
    }
    if let Some(path) = plan.namespaces.mount.path() {
        // Last, since the paths of all others are of the one before.
        let what = || format!("mount namespace {path:?}");
        let file = std::fs::File::open(path).context(what)?;
        setns(file, CloneFlags::CLONE_NEWNS).context(what)?;
    }
    Ok(())
}

/// The names of the container. Outer containers' seccomp profiles forbid these calls to whoever has no
/// CAP_SYS_ADMIN out there; the container can do without, if it is not to be strict.
fn set_names(plan: &Plan, channel: &Channel) -> Result<()> {
    if !plan.namespaces.uts.is_set() {
        return Ok(());
    }
    let (hostname, domainname) = &plan.lowered.names;
    let names = [
        ("hostname", hostname, (|name| nix::unistd::sethostname(name)) as fn(&str) -> nix::Result<()>),
        ("domainname", domainname, sys::process::set_domainname),
    ];
    for (field, name, set) in names {
        let Some(name) = name else { continue };
        match set(name) {
            Err(Errno::EPERM) if has_seccomp_filter() => {
                let text =
                    format!("{field} {name:?}: set{field}: EPERM: {}", Restriction::SeccompFilter.advice());
                if plan.strict {
                    return Err(Error::system(text));
                }
                channel.send(&FromChild::Warning(format!("{text}; the outer name stays")))?;
            }
            other => other.context(|| format!("{field} {name:?}: set{field}"))?,
        }
    }
    Ok(())
}

fn has_seccomp_filter() -> bool {
    Host::probe().user_namespace_restrictions().contains(&Restriction::SeccompFilter)
}

/// A path of the container, relative to its root.
pub(super) fn relative(path: &Path) -> PathBuf {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative.to_owned() }
}

/// libcontainer makes links and devices below `dev` by path: a link there could lead it out of the
/// root file system, onto the host.
fn check_root(plan: &Plan) -> Result<()> {
    match nix::sys::stat::lstat(&plan.rootfs.join("dev")) {
        Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => Ok(()),
        Ok(_) => {
            Err(Error::invalid("the root file system's /dev is not a directory; replace it by an empty one"))
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno).context(|| format!("root.path: {:?}", plan.rootfs)).map_err(|e| {
            // As the container's root, which is whom the directories have to let pass.
            let closed = Host::probe().closed_parent(&plan.rootfs.join("dev"));
            let closed = closed.unwrap_or_else(|| plan.rootfs.clone());
            e.remedy(format!(
                "{closed:?} does not let the container's root pass: run `chmod o+x` on it, map the caller to 0, or \
                 use another place"
            ))
        }),
    }
}

fn arguments(
    plan: &Plan,
    pid: i32,
    notify_listener: libcontainer::notify_socket::NotifyListener,
    finalizer: Finalizer,
) -> ContainerArgs {
    // libcontainer needs it for nothing but the state that createContainer hooks get.
    let container = plan.lowered.spec.hooks().as_ref().map(|_| {
        let mut state =
            State::new(plan.id.as_str(), ContainerStatus::Creating, Some(pid), plan.bundle.clone());
        state.oci_version.clone_from(&plan.oci_version);
        state.annotations = (!plan.annotations.is_empty()).then(|| plan.annotations.clone());
        Container { state, root: plan.bundle.clone() }
    });
    ContainerArgs {
        container_type: ContainerType::InitContainer,
        syscall: SyscallType::Linux,
        spec: Rc::clone(&plan.lowered.spec),
        rootfs: plan.rootfs.clone(),
        console_socket: None,
        notify_listener,
        preserve_fds: 0,
        container,
        user_ns_config: None,
        cgroup_config: CgroupConfig {
            cgroup_path: PathBuf::new(),
            systemd_cgroup: false,
            container_name: plan.id.to_string(),
        },
        detached: true,
        executor: Box::new(finalizer),
        no_pivot: plan.no_pivot,
        stdin: None,
        stdout: None,
        stderr: None,
        as_sibling: false,
        pid_file: None,
    }
}

/// Takes over where libcontainer's init would look at the program.
#[derive(Clone)]
struct Finalizer {
    context: Rc<ChildContext>,
    channel: Rc<Channel>,
    devices: Rc<Vec<DeviceSource>>,
    waiting: Rc<Waiting>,
    pid: i32,
    /// With `--no-pivot`: what is to be covered, see [`bare`].
    bare: Rc<Option<Bare>>,
    /// The process that has run the createContainer hooks.
    runner: Option<nix::unistd::Pid>,
}

impl Executor for Finalizer {
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        hook_runner::reap(self.runner);
        let covered = self.bare.as_ref().as_ref().map_or(Ok(()), bare::cover);
        if let Err(error) = covered {
            self.channel.send_failure(error);
            sys::exec::exit_now(1);
        }
        let (devices, waiting) = (&self.devices, &self.waiting);
        let error = match finish::run(&self.context, &self.channel, devices, waiting, self.pid) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        // Not by way of libcontainer, whose error type would lose the kind.
        self.channel.send_failure(error);
        sys::exec::exit_now(1)
    }

    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        Err(ExecutorError::Other("the finalizer has not run".into()))
    }
}
