//! `spec`: turns the flags and facts of the host into a request, and writes the result to a file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rootling_config::generate::{self, Accounts, BundleFile, Generated};
use rootling_rootless::host::{CgroupMode, Host};
use rootling_runtime::{Error, Result};

use rootling_cli::SpecFlags;
use rootling_cli::namespaces::{DefaultIds, namespaces};
use rootling_cli::request::{request, user};

use crate::args;
use crate::log;
use crate::roots::Context;
use crate::terminal;

const NAME: &str = "config.json";

pub(crate) fn spec(context: Context<'_>, args: &args::Spec) -> Result<()> {
    let host = context.host;
    let rootless = args.rootless || host.is_ordinary_user();
    let bundle = std::path::absolute(args.bundle.as_deref().unwrap_or(Path::new(".")))?;
    let (spec, file) = if args.flags == SpecFlags::default() {
        (plain(host, rootless), None)
    } else {
        with_flags(context, &args.flags, rootless, &bundle)?
    };
    let text = serde_json::to_string_pretty(&spec)?;
    match &args.output {
        Some(output) if output == Path::new("-") => terminal::print(&format!("{text}\n")),
        Some(output) => write(output, &text),
        None => write(&args.bundle.clone().unwrap_or_default().join(NAME), &text),
    }?;
    match file {
        Some(file) => write_beside(&bundle.join(file.name), &file.content),
        None => Ok(()),
    }
}

/// What `runc spec` writes.
fn plain(host: &Host, rootless: bool) -> Spec {
    let cgroup2 = host.cgroup_mode() == CgroupMode::V2;
    if rootless {
        generate::rootless_spec_on(cgroup2, host.euid(), host.egid())
    } else {
        generate::default_spec_on(cgroup2)
    }
}

fn with_flags(
    context: Context<'_>,
    flags: &SpecFlags,
    rootless: bool,
    bundle: &Path,
) -> Result<(Spec, Option<BundleFile>)> {
    let facts = context.host.spec_facts(context.global.manager(), std::env::current_dir()?);
    let rootfs = bundle.join(flags.rootfs.as_deref().unwrap_or(Path::new("rootfs")));
    let user = user(flags, || Accounts::read(&rootfs))?;
    let namespaces = namespaces(context, flags, rootless, DefaultIds::Few, user.as_ref())?;
    let request = request(flags, user, namespaces)?;
    let made = generate::build(&request, rootless, &facts, &generate::System);
    let Generated { spec, warnings, file } = made.map_err(|e| Error::invalid(e.to_string()))?;
    for text in &warnings {
        log::warning(text);
    }
    let rootfs: Option<PathBuf> = flags.rootfs.as_ref().map(|rootfs| bundle.join(rootfs));
    if let Some(missing) = rootfs.filter(|rootfs| !rootfs.is_dir()) {
        log::warning(&format!(
            "--rootfs {}: no such directory yet; make it before the run",
            missing.display()
        ));
    }
    Ok((spec, file))
}

/// Writes a file that belongs next to config.json. An existing one is the user's choice and is kept.
fn write_beside(path: &Path, text: &str) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(|e| Error::from(e).wrap(path.display())),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::from(e).wrap(path.display())),
    }
}

/// Writes a new file; an existing one is never replaced.
fn write(path: &Path, text: &str) -> Result<()> {
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    result.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => {
            Error::invalid(format!("File {} exists. Remove it first", path.display()))
        }
        ErrorKind::NotFound => {
            Error::invalid(format!("{}: no such directory; create it first", path.display()))
        }
        _ => Error::from(e).wrap(path.display()),
    })
}
