//! `checkpoint`.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use oci_spec::runtime::LinuxNamespaceType;
use protobuf::MessageField;
use rootling_config::id::ContainerId;
use rootling_config::{load, namespaces};
use rootling_rootless::host::Host;
use rust_criu::rust_criu_protobuf::rpc::{Criu_opts, Criu_page_server_info, Criu_req_type};

use super::delete;
use crate::criu::{self, CheckpointOptions, Notice, Session};
use crate::error::{Context, Error, ErrorKind, Operation, Result, chain};
use crate::state::{Record, Status};
use crate::store::Store;
use rootling_sys as sys;

/// Records what the standard streams of the first process were, for the restore. The name is runc's.
pub(super) const DESCRIPTORS: &str = "descriptors.json";
const LOG: &str = "dump.log";
/// How long the processes may take to end after CRIU has killed them.
const END: std::time::Duration = std::time::Duration::from_secs(10);

/// Saves the processes of a container, and removes the container unless it is to keep running.
pub fn checkpoint(host: &Host, store: &Store, id: &ContainerId, options: &CheckpointOptions) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    let status = slot.status(&record)?;
    let (Some(init), Status::Running | Status::Paused) = (record.init, status) else {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!("Container cannot be checkpointed in {status} state; it has to run"),
        ));
    };
    let images = criu::directory(&options.criu.images, "--image-path")?;
    check_parent(options)?;
    let mut message = message(host, options, &record, init.pid, &images)?;
    let _config = criu::set_config_file(&mut message, &record.annotations)?;
    let program = &options.criu.program;
    Session::check_release(program)?;
    if options.pre_dump || options.lazy_pages() {
        Session::check_features(program, options.pre_dump, options.lazy_pages())?;
    }
    let status_fd = options.status_fd.filter(|_| options.lazy_pages()).map(writable).transpose()?;
    let _work = options.criu.set_work_dir(&mut message)?;
    if !options.pre_dump {
        let (stored, _) = slot.read_process()?;
        for (point, name) in criu::external(init.pid, &stored.outside, &record.cgroup)? {
            message.ext_mnt.push(criu::ext_mount(point, name)?);
        }
        save_descriptors(init.pid, &options.criu.images)?;
    }
    dump(options, message, status_fd)?;
    if options.leave_running || options.pre_dump {
        return Ok(());
    }
    if !init.wait_for_end(END)? {
        return Err(Error::system(format!("process {} runs on after its checkpoint", init.pid)));
    }
    // The images are complete. A failure to remove the rest of the container is a warning, as with runc.
    if let Err(error) = delete::remove_own(&slot, &record) {
        tracing::warn!("{}", chain(&error));
    }
    Ok(())
}

impl CheckpointOptions {
    fn lazy_pages(&self) -> bool {
        self.criu.lazy_pages
    }
}

fn check_parent(options: &CheckpointOptions) -> Result<()> {
    let Some(parent) = &options.parent else { return Ok(()) };
    if parent.is_absolute() {
        return Err(Error::invalid(format!(
            "--parent-path {parent:?}: --parent-path must be relative, to --image-path"
        )));
    }
    let real = options.criu.images.join(parent);
    let is_dir = std::fs::metadata(&real).context(|| format!("invalid --parent-path: {real:?}"))?.is_dir();
    if is_dir {
        Ok(())
    } else {
        Err(Error::invalid(format!("invalid --parent-path: {real:?} is not a directory")))
    }
}

/// Checks the descriptor that is told when the pages can be fetched: it must be one of the caller's, open for writing.
fn writable(fd: i32) -> Result<i32> {
    let flags = fcntl(fd, FcntlArg::F_GETFL).context(|| format!("invalid --status-fd argument {fd}"))?;
    let mode = OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE;
    if fd > 2 && mode != OFlag::O_RDONLY {
        return Ok(fd);
    }
    Err(Error::invalid(format!(
        "invalid --status-fd argument {fd}: not writable; pass one from 3 on, open for writing"
    )))
}

fn message(
    host: &Host,
    options: &CheckpointOptions,
    record: &Record,
    pid: i32,
    images: &File,
) -> Result<Criu_opts> {
    let mut message = options.criu.message(LOG);
    message.images_dir_fd = Some(images.as_raw_fd());
    message.root = Some(record.rootfs.to_string_lossy().into_owned());
    message.pid = Some(pid);
    message.leave_running = Some(options.leave_running);
    message.tcp_skip_in_flight = Some(options.tcp_skip_in_flight);
    message.link_remap = Some(options.link_remap);
    message.freeze_cgroup = freezer(record);
    if let Some(parent) = &options.parent {
        message.parent_img = Some(parent.to_string_lossy().into_owned());
        message.track_mem = Some(true);
    }
    if options.pre_dump {
        message.track_mem = Some(true);
    }
    if let Some((address, port)) = &options.page_server {
        let mut server = Criu_page_server_info::new();
        server.set_address(address.clone());
        server.set_port(i32::from(*port));
        message.ps = MessageField::some(server);
    }
    if is_unprivileged(host) {
        message.unprivileged = Some(true);
    }
    let loaded = load::bundle(&record.bundle)?;
    let set = namespaces::set(&loaded.spec)?;
    for kind in [LinuxNamespaceType::Network, LinuxNamespaceType::Pid] {
        // For a namespace that was made outside, CRIU is to save only a name.
        if let Some(path) = set.get(kind).path() {
            let inode = std::fs::metadata(path).context(|| format!("{path:?}"))?.ino();
            message.external.push(format!(
                "{}[{inode}]:{}",
                namespaces::proc_name(kind),
                criu::namespace_key(kind)
            ));
        }
    }
    Ok(message)
}

/// Whether CRIU has to work without root privileges.
pub(super) fn is_unprivileged(host: &Host) -> bool {
    host.is_ordinary_user() || host.in_user_namespace()
}

/// The cgroup by which CRIU stops the processes; without one it uses ptrace(2).
fn freezer(record: &Record) -> Option<String> {
    let mut paths = record.cgroup.paths();
    paths.remove("").or_else(|| paths.remove("freezer"))
}

/// Records what the standard streams are, since the pipes among them belong to the outside.
fn save_descriptors(pid: i32, images: &Path) -> Result<()> {
    let link = |fd: i32| match std::fs::read_link(format!("/proc/{pid}/fd/{fd}")) {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(_) => "/dev/null".to_owned(),
    };
    let path = images.join(DESCRIPTORS);
    let text = serde_json::to_vec(&[link(0), link(1), link(2)])?;
    std::fs::write(&path, text).context(|| format!("write({path:?})"))
}

fn dump(options: &CheckpointOptions, message: Criu_opts, status_fd: Option<i32>) -> Result<()> {
    let mut session = Session::start(&options.criu.program, false)?;
    session.watch(options.criu.progress());
    let kind = if options.pre_dump { Criu_req_type::PRE_DUMP } else { Criu_req_type::DUMP };
    let mut status_fd = status_fd.map(sys::fds::adopt).map(File::from);
    let mut notice = |notice: Notice| {
        if notice.name == "status-ready"
            && let Some(mut file) = status_fd.take()
        {
            use std::io::Write as _;
            file.write_all(&[0]).context(|| "--status-fd: write")?;
        }
        Ok(())
    };
    let result = session.perform(kind, message, None, &mut notice);
    result.map_err(|e| criu::explained(e, &options.criu.log(LOG)).during(Operation::Criu))?;
    // After a pre-dump CRIU waits for the dump, which another process requests.
    if options.pre_dump { Ok(()) } else { session.end() }
}
