//! `restore`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::LinuxNamespaceType;
use rootling_config::namespaces::proc_name;
use rust_criu::rust_criu_protobuf::rpc::{Cgroup_root, Criu_opts, Criu_req_type, Inherit_fd, Join_namespace};

use super::checkpoint::{DESCRIPTORS, is_unprivileged};
use super::create::{RunOptions, clean_up};
use rootling_init::channel::Warn;
use rootling_init::hooks::{self, HookState, Setting};
use rootling_rootless::host::Host;
use rootling_sys as sys;
use rootling_sys::signals::Signals;
use rootling_sys::socket::send_fd;

use super::prepare::plan_without_copy;
use crate::caller::check_single_threaded;
use crate::criu::{self, Notice, RestoreOptions, Session};
use crate::error::{Context, Error, Operation, Result, of_cgroup};
use crate::foreground;
use crate::launch::made::Made;
use crate::launch::terminal::{self, TerminalPath};
use crate::launch::{Launched, cgroup};
use crate::plan::{CreateOptions, Plan};
use crate::process::ProcessRef;
use crate::state::{Record, Status};
use crate::store::Store;

const LOG: &str = "restore.log";
/// How long `criu lazy-pages` may take to get ready.
const LAZY_PAGES_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

/// Makes a container from a checkpoint and, unless detached, waits for it to end; returns its exit code.
pub fn restore(
    host: &Host,
    store: &Store,
    options: &CreateOptions,
    restore: &RestoreOptions,
    run: RunOptions,
    warn: Warn<'_>,
) -> Result<i32> {
    check_single_threaded()?;
    let plan = plan_without_copy(host, options, warn)?;
    open_images(restore)?;
    let mut message = message(host, &plan, restore);
    let _config = criu::set_config_file(&mut message, &plan.blueprint.identity.annotations)?;
    let terminal = plan.blueprint.process.terminal;
    let path = terminal::path(options.console_socket.as_deref(), terminal, run.detach)?;
    Session::check_release(&restore.criu.program)?;
    criu::make_mountpoints(&plan)?;
    run.adopt_orphans(options.caller);
    let kept = add_namespaces(&mut message, &plan)?;
    add_descriptors(&mut message, restore)?;
    await_lazy_pages(restore);
    // Before the signals are blocked: CRIU would inherit the signal mask.
    let (session, _directories) = start(&plan, restore, &mut message)?;
    drop(kept);
    let signals = options.caller.block_signals()?;
    let made = Made::new(store.create(&options.id)?, &plan);
    let restoring = Restoring { plan: &plan, made, pidfd: None };
    let restored = restoring.perform(session, message, options, restore, signals, &path, warn);
    let mut launched = restored?;
    if run.detach {
        return Ok(0);
    }
    let code = foreground::wait(foreground::Program {
        pidfd: launched.pidfd.as_fd(),
        signals: &mut launched.signals,
        terminal: launched.terminal.take(),
        notify: None,
        caller: options.caller,
    });
    if !run.keep {
        clean_up(&launched);
    }
    code
}

fn open_images(restore: &RestoreOptions) -> Result<File> {
    let images = &restore.criu.images;
    File::open(images).context(|| format!("--image-path {images:?}"))
}

fn message(host: &Host, plan: &Plan, restore: &RestoreOptions) -> Criu_opts {
    let mut message = restore.criu.message(LOG);
    message.root = Some(plan.blueprint.rootfs.to_string_lossy().into_owned());
    message.evasive_devices = Some(true);
    // The first process is to be our child, not CRIU's.
    message.rst_sibling = Some(true);
    message.lsm_profile.clone_from(&restore.lsm_profile);
    message.lsm_mount_context.clone_from(&restore.lsm_mount_context);
    if is_unprivileged(host) {
        message.unprivileged = Some(true);
    }
    message
}

/// With --lazy-pages, CRIU connects at once to a `criu lazy-pages` that somebody may have started only just now. CRIU's
/// own error is clear enough if there is none.
fn await_lazy_pages(restore: &RestoreOptions) {
    let socket = restore.criu.log("lazy-pages.socket");
    let end = std::time::Instant::now() + LAZY_PAGES_LIMIT;
    while restore.criu.lazy_pages && !socket.exists() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Adds the namespaces that are given by path. The returned files must stay open until CRIU runs, which gets
/// descriptors.
fn add_namespaces(message: &mut Criu_opts, plan: &Plan) -> Result<Vec<File>> {
    let mut kept = Vec::new();
    for (kind, path) in plan.blueprint.namespaces.joined() {
        let file = File::open(path).context(|| format!("linux.namespaces: {path:?}"))?;
        match kind {
            LinuxNamespaceType::Network | LinuxNamespaceType::Pid => {
                sys::fds::keep_on_exec(file.as_raw_fd()).context(|| "fcntl(F_SETFD)")?;
                message.inherit_fd.push(inherited(criu::namespace_key(kind), file.as_raw_fd()));
                kept.push(file);
            }
            LinuxNamespaceType::Cgroup => {
                return Err(Error::invalid(format!(
                    "linux.namespaces: CRIU cannot restore into the cgroup namespace {path:?}; leave its path out"
                )));
            }
            other => {
                let mut join = Join_namespace::new();
                join.set_ns(proc_name(other).to_owned());
                join.set_ns_file(path.to_string_lossy().into_owned());
                message.join_ns.push(join);
            }
        }
    }
    Ok(kept)
}

fn inherited(key: String, fd: i32) -> Inherit_fd {
    let mut entry = Inherit_fd::new();
    entry.set_key(key);
    entry.set_fd(fd);
    entry
}

/// Replaces the standard streams that were pipes with ours.
fn add_descriptors(message: &mut Criu_opts, restore: &RestoreOptions) -> Result<()> {
    let path = restore.criu.images.join(DESCRIPTORS);
    let what = || format!("{path:?}");
    let text = sys::file::read(&path, 1 << 20).context(what)?;
    let names: Vec<String> =
        serde_json::from_slice(&text).map_err(|e| Error::invalid(e.to_string()).wrap(what()))?;
    let pipes = names.into_iter().enumerate().filter(|(_, name)| name.contains("pipe:"));
    message.inherit_fd.extend(pipes.map(|(fd, name)| inherited(name, fd as i32)));
    Ok(())
}

/// CRIU requires a root that is a mount point. It gets one in a private mount namespace, so that nothing is left of it
/// however the restore ends. The directories of images and logs, open until CRIU has answered, belong to that mount
/// namespace, too: CRIU works in one of them and may mount cgroup hierarchies there.
fn start(
    plan: &Plan,
    restore: &RestoreOptions,
    message: &mut Criu_opts,
) -> Result<(Session, [Option<File>; 2])> {
    let ours = File::open("/proc/self/ns/mnt").context(|| "open(/proc/self/ns/mnt)")?;
    unshare(CloneFlags::CLONE_NEWNS)
        .context(|| "unshare(CLONE_NEWNS)")
        .map_err(|e| e.during(Operation::Criu))?;
    let none = None::<&str>;
    let started = mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)
        .and_then(|()| {
            mount(
                Some(&plan.blueprint.rootfs),
                &plan.blueprint.rootfs,
                none,
                MsFlags::MS_BIND | MsFlags::MS_REC,
                none,
            )
        })
        .context(|| format!("bind {:?}", plan.blueprint.rootfs))
        .and_then(|()| {
            let images = open_images(restore)?;
            message.images_dir_fd = Some(images.as_raw_fd());
            let work = restore.criu.set_work_dir(message)?;
            Ok((Session::start(&restore.criu.program, true)?, [Some(images), work]))
        });
    setns(ours, CloneFlags::CLONE_NEWNS).context(|| "setns(/proc/self/ns/mnt)")?;
    started
}

/// A container that is being restored.
struct Restoring<'a> {
    plan: &'a Plan,
    made: Made,
    /// A pidfd of the first process that CRIU has restored.
    pidfd: Option<OwnedFd>,
}

impl Restoring<'_> {
    #[allow(clippy::too_many_arguments)] // They have different owners, and this is called once.
    fn perform(
        mut self,
        mut session: Session,
        mut message: Criu_opts,
        options: &CreateOptions,
        restore: &RestoreOptions,
        mut signals: Signals,
        path: &TerminalPath,
        warn: Warn<'_>,
    ) -> Result<Launched> {
        self.enter_cgroup(session.pid(), options, warn)?;
        add_cgroup_roots(&mut message, session.pid(), &self.made.record)?;
        self.add_external_mounts(&mut message)?;
        session.watch(restore.criu.progress());
        let result = session.perform(Criu_req_type::RESTORE, message, Some(&mut signals), &mut |notice| {
            self.notice(notice, path)
        });
        result.map_err(|e| criu::explained(e, &restore.criu.log(LOG)).during(Operation::Criu))?;
        session.end()?;
        let pid = self.made.record.init.map_or(0, |init| init.pid);
        self.made.write_pid_file(options.pid_file.as_deref(), pid)?;
        let pidfd = self
            .pidfd
            .take()
            .ok_or_else(|| Error::system("criu did not report which process it restored"))?;
        let terminal = path.ours.as_ref().map(foreground::receive_terminal).transpose()?;
        let (slot, record) = self.made.keep()?;
        Ok(Launched { slot, record, pidfd, signals, terminal })
    }

    /// Puts CRIU into the cgroup, and with it the processes that it restores.
    fn enter_cgroup(&mut self, criu: i32, options: &CreateOptions, warn: Warn<'_>) -> Result<()> {
        cgroup::make(self.plan, options, &self.made.slot, &mut self.made.record)?;
        if self.made.record.cgroup.is_none() {
            return Ok(());
        }
        self.made.record.cgroup.attach(criu).map_err(of_cgroup)?;
        let Plan { limits, device_rules, .. } = self.plan;
        self.made.record.cgroup.apply(limits, device_rules).map_err(of_cgroup)?.into_iter().for_each(warn);
        Ok(())
    }

    fn add_external_mounts(&self, message: &mut Criu_opts) -> Result<()> {
        for (name, source) in criu::sources(&self.plan.stored.outside, &self.made.record.cgroup)? {
            message.ext_mnt.push(criu::ext_mount(name, source.to_string_lossy().into_owned())?);
        }
        Ok(())
    }

    fn notice(&mut self, notice: Notice, path: &TerminalPath) -> Result<()> {
        match notice.name.as_str() {
            "setup-namespaces" => {
                let identity = &self.plan.blueprint.identity;
                let state = HookState::new(identity, Status::Creating.name(), notice.pid);
                for (kind, list) in self.plan.runtime_hooks() {
                    hooks::run(kind, list, &state, Setting::default())?;
                }
                Ok(())
            }
            "post-restore" => {
                let pid = notice.pid;
                self.made.record.init = Some(ProcessRef::to_be_recorded(pid)?);
                let pidfd = sys::process::pidfd_open(pid).context(|| format!("pidfd_open({pid})"))?;
                self.made
                    .set_process(pid, sys::fds::duplicate(pidfd.as_fd()).context(|| "dup of the pidfd")?);
                self.pidfd = Some(pidfd);
                self.made.slot.write(&self.made.record)?;
                // CRIU lets the process run on, whether or not we live.
                self.made.slot.prepare_recovery(&self.made.record)?;
                self.made.slot.commit_recovery()?;
                self.made.slot.write_process(&self.plan.stored, self.plan.blueprint.process.seccomp.as_ref())
            }
            "orphan-pts-master" => match (notice.fd, &path.child_end) {
                (Some(master), Some(socket)) => {
                    send_fd(socket.as_fd(), b"/dev/ptmx", master.as_fd()).context(|| "sendmsg(SCM_RIGHTS)")
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// Names the cgroups below which CRIU restores processes, which are CRIU's own: proc_pid_cgroup(5).
fn add_cgroup_roots(message: &mut Criu_opts, criu: i32, record: &Record) -> Result<()> {
    if record.cgroup.is_none() {
        return Ok(());
    }
    let path = format!("/proc/{criu}/cgroup");
    let text = std::fs::read_to_string(&path).context(|| path.clone())?;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        if let (Some(controllers), Some(path)) = (fields.next(), fields.next()) {
            let mut root = Cgroup_root::new();
            if !controllers.is_empty() {
                root.set_ctrl(controllers.to_owned());
            }
            root.set_path(path.to_owned());
            message.cg_root.push(root);
        }
    }
    Ok(())
}
