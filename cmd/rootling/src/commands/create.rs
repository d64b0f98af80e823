//! `create` and `run`.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, fcntl};
use rootling_config::id::ContainerId;
use rootling_runtime::{self as runtime, Caller, CreateOptions, Error, Result, RunOptions};

use crate::args::{self, Command, Rootless};
use crate::log;
use crate::roots::{self, Context};
use crate::terminal::print;

pub(crate) fn create(context: Context<'_>, args: &args::Create) -> Result<()> {
    let options = options(context, args.id.id.clone(), &args.making)?;
    runtime::create(context.host, &context.store()?, &options, &mut |text| log::warning(&text))
}

pub(crate) fn run(context: Context<'_>, args: &args::Run) -> Result<ExitCode> {
    let id = args.id.clone().map_or_else(new_id, Ok)?;
    let options = options(context, id.clone(), &args.making)?;
    let run = RunOptions { detach: args.detach, keep: args.keep, no_subreaper: args.no_subreaper };
    let code = runtime::run(context.host, &context.store()?, &options, run, &mut |text| log::warning(&text))?;
    if args.detach && args.id.is_none() {
        print(&format!("{id}\n"))?;
    }
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

/// Generates an id that no other container has. Should one have it nevertheless, `create` would refuse it.
fn new_id() -> Result<ContainerId> {
    // The keys of hash maps are as random as the kernel can make them.
    Ok(format!("{:016x}", RandomState::new().hash_one(std::process::id())).parse()?)
}

/// Checks that every descriptor to be preserved is open: the number of one that is free would be given to a
/// descriptor of ours, which would then end up in the container. Engines give the number of their highest one, with
/// gaps below it; the sockets of systemd are consecutive.
pub(crate) fn check_preserved(command: &Command) -> Result<()> {
    let (preserve, listen) = match command {
        Command::Run(run) => (run.making.preserve_fds, runtime::listen_fds()),
        Command::Create(create) => (create.making.preserve_fds, runtime::listen_fds()),
        Command::Exec(exec) => (exec.preserve_fds, 0),
        _ => return Ok(()),
    };
    let count = preserve.saturating_add(listen).min(1 << 20);
    for fd in 3..3 + count as i32 {
        let Err(errno) = fcntl(fd, FcntlArg::F_GETFD) else { continue };
        let wrong = |errno| {
            Error::invalid(format!(
                "--preserve-fds {preserve} and LISTEN_FDS={listen}: descriptor {fd} is not open ({errno}); pass it, \
                 or lower the number"
            ))
        };
        let highest = fd == 2 + count as i32;
        if listen > 0 || highest {
            return Err(wrong(errno));
        }
        rootling_sys::fds::reserve(fd).map_err(wrong)?;
    }
    Ok(())
}

fn options(context: Context<'_>, id: ContainerId, args: &args::Making) -> Result<CreateOptions> {
    Ok(CreateOptions {
        config: args.config.as_ref().map(absolute).transpose()?,
        pid_file: args.pid_file.as_ref().map(absolute).transpose()?,
        console_socket: args.console_socket.as_ref().map(absolute).transpose()?,
        pidfd_socket: args.pidfd_socket.as_ref().map(absolute).transpose()?,
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        preserve_fds: args.preserve_fds,
        ignore_cgroup_limits: args.ignore_cgroup_limits,
        strict: args.strict,
        no_adapt: args.no_adapt,
        map_owner: args.userns_remap.clone(),
        ..options_of(context, id, args.bundle.as_deref())?
    })
}

/// Makes a path independent of the working directory.
pub(super) fn absolute(path: &PathBuf) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::from)
}

/// The options for a container with this id and bundle, with all others at their defaults.
pub(super) fn options_of(
    context: Context<'_>,
    id: ContainerId,
    bundle: Option<&Path>,
) -> Result<CreateOptions> {
    Ok(CreateOptions {
        caller: Caller::Command,
        cgroup_manager: context.global.manager().unwrap_or_default(),
        rootless: match context.global.rootless {
            Rootless::Auto => None,
            Rootless::True => Some(true),
            Rootless::False => Some(false),
        },
        seccomp_cache: roots::seccomp_cache(context.host),
        ..CreateOptions::new(id, bundle_path(bundle)?)
    })
}

/// The real path of the bundle, which the state shows. A missing bundle is reported when it is read.
pub(super) fn bundle_path(bundle: Option<&Path>) -> Result<PathBuf> {
    let bundle = bundle.unwrap_or(Path::new("."));
    std::fs::canonicalize(bundle).or_else(|_| std::path::absolute(bundle)).map_err(Error::from)
}
