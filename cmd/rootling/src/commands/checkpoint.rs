//! `checkpoint` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use rootling_runtime::{
    self as runtime, CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions, Result, RunOptions,
};

use super::create::{self, absolute};
use crate::args;
use crate::log;
use crate::roots::Context;

/// The default directory of images, as in runc.
const IMAGES: &str = "checkpoint";

pub(crate) fn checkpoint(context: Context<'_>, args: &args::Checkpoint) -> Result<()> {
    let options = CheckpointOptions {
        criu: criu(context, &args.criu)?,
        parent: args.parent_path.clone(),
        leave_running: args.leave_running,
        tcp_skip_in_flight: args.tcp_skip_in_flight,
        link_remap: args.link_remap,
        pre_dump: args.pre_dump,
        status_fd: (args.status_fd >= 0).then_some(args.status_fd),
        page_server: args.page_server.clone(),
    };
    runtime::checkpoint(context.host, &context.store()?, &args.id.id, &options)
}

pub(crate) fn restore(context: Context<'_>, args: &args::Restore) -> Result<ExitCode> {
    let mut options = create::options_of(context, args.id.id.clone(), args.bundle.as_deref())?;
    options.pid_file = args.pid_file.as_ref().map(absolute).transpose()?;
    options.console_socket = args.console_socket.as_ref().map(absolute).transpose()?;
    options.no_pivot = args.no_pivot;
    let restore = RestoreOptions {
        criu: criu(context, &args.criu)?,
        lsm_profile: args.lsm_profile.clone(),
        lsm_mount_context: args.lsm_mount_context.clone(),
    };
    let run = RunOptions { detach: args.detach, keep: false, no_subreaper: args.no_subreaper };
    let store = context.store()?;
    let code =
        runtime::restore(context.host, &store, &options, &restore, run, &mut |text| log::warning(&text))?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn criu(context: Context<'_>, args: &args::Criu) -> Result<CriuOptions> {
    Ok(CriuOptions {
        program: context.global.criu.clone(),
        images: absolute(args.image_path.as_ref().unwrap_or(&PathBuf::from(IMAGES)))?,
        work: args.work_path.as_ref().map(absolute).transpose()?,
        tcp_established: args.tcp_established,
        external_unix_sockets: args.ext_unix_sk,
        shell_job: args.shell_job,
        file_locks: args.file_locks,
        auto_dedup: args.auto_dedup,
        lazy_pages: args.lazy_pages,
        cgroups: match args.manage_cgroups_mode {
            None => CgroupsMode::Unset,
            Some(args::CgroupsMode::Soft) => CgroupsMode::Soft,
            Some(args::CgroupsMode::Full) => CgroupsMode::Full,
            Some(args::CgroupsMode::Strict) => CgroupsMode::Strict,
            Some(args::CgroupsMode::Ignore) => CgroupsMode::Ignore,
        },
    })
}
