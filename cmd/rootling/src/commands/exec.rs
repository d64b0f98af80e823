//! `exec`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rootling_config::id::ContainerId;
use rootling_runtime::{self as runtime, Caller, Error, ExecOptions, Result};

use crate::args::{self};
use crate::log;
use crate::roots::Context;

pub(crate) fn exec(context: Context<'_>, args: &args::Exec) -> Result<ExitCode> {
    let options = options(args)?;
    let process = runtime::exec(context.host, &context.store()?, &options, &mut |text| log::warning(&text))?;
    let code = if options.detach { 0 } else { process.wait()? };
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn options(args: &args::Exec) -> Result<ExecOptions> {
    let absolute = |path: &Option<PathBuf>| {
        path.as_deref().map(|p: &Path| std::path::absolute(p).map_err(Error::from)).transpose()
    };
    let (id, command) = args.words.split_first().map_or(("", &[][..]), |(id, rest)| (id.as_str(), rest));
    // Useful for those who put it before every command: no program has that name.
    let command = command.strip_prefix(&["--".to_owned()]).unwrap_or(command);
    Ok(ExecOptions {
        caller: Caller::Command,
        process: args.process.clone(),
        cwd: args.cwd.clone(),
        env: args.env.clone(),
        tty: args.tty,
        user: args.user,
        additional_gids: args.additional_gids.clone(),
        detach: args.detach,
        pid_file: absolute(&args.pid_file)?,
        process_label: args.process_label.clone(),
        apparmor: args.apparmor.clone(),
        no_new_privs: args.no_new_privs,
        caps: args.cap.clone(),
        preserve_fds: args.preserve_fds,
        console_socket: absolute(&args.console_socket)?,
        pidfd_socket: absolute(&args.pidfd_socket)?,
        cgroups: args.cgroup.clone(),
        ignore_paused: args.ignore_paused,
        ..ExecOptions::new(ContainerId::parse(id)?, command.to_vec())
    })
}
