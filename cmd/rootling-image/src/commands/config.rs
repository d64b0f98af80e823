//! The config.json of a bundle: what the image says, changed by the flags.

use std::path::Path;

use oci_spec::runtime::Spec;
use rootling_cli::roots::Context;
use rootling_cli::{SpecFlags, log, request};
use rootling_config::container::Container;
use rootling_config::generate::{self, Accounts, BundleFile, Generated, Namespaces, User, UserNamespace};
use rootling_config::idmap;
use rootling_image::{Defaults, Error, Result, Unpacked, annotations, defaults};

use crate::args::Unpack;

/// The name of the root file system in the bundle.
pub(super) fn rootfs(flags: &SpecFlags) -> Result<&str> {
    let Some(path) = &flags.rootfs else { return Ok("rootfs") };
    let name = path.to_str().filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'));
    name.filter(|name| *name != "config.json").ok_or_else(|| {
        Error::invalid(format!("--rootfs {path:?}: it is made in the bundle; give a name without a slash or a dot at its beginning"))
    })
}

/// The text of config.json, and the file that belongs next to it.
pub(super) fn text(
    context: Context<'_>,
    args: &Unpack,
    namespaces: Namespaces,
    done: &Unpacked,
) -> Result<(String, Option<BundleFile>)> {
    let of_image = done.config.as_ref().map(defaults).unwrap_or_default();
    let flags = merged(args, &of_image);
    let accounts = Accounts { passwd: done.passwd.clone(), group: done.group.clone() };
    let user = request::user(&flags, || accounts).map_err(|error| {
        let of_image = args.flags.user.is_none();
        if of_image { error.wrap("the image's user").remedy("name another with --user") } else { error }
    })?;
    if let Some(user) = &user {
        check_user(user, &namespaces.user)?;
    }
    let rootless = context.host.is_ordinary_user();
    let facts = context.host.spec_facts(context.global.manager(), std::env::current_dir()?);
    let request = request::request(&flags, user, namespaces)?;
    let made = generate::build(&request, rootless, &facts, &generate::System);
    let Generated { mut spec, warnings, file } = made.map_err(|error| Error::invalid(error.to_string()))?;
    for text in &warnings {
        log::warning(text);
    }
    if let Some(image) = &done.config {
        annotate(&mut spec, image)?;
    }
    let text = serde_json::to_string_pretty(&spec).map_err(|error| Error::system(error.to_string()))?;
    Ok((text, file))
}

/// The flags, completed by what the image says.
fn merged(args: &Unpack, image: &Defaults) -> SpecFlags {
    let given = &args.flags;
    let entrypoint = match args.entrypoint.as_deref() {
        Some("") => Vec::new(),
        Some(program) => vec![program.to_owned()],
        None => image.entrypoint.clone(),
    };
    // The image's arguments belong to its own entrypoint.
    let cmd = match (&args.entrypoint, given.args.is_empty()) {
        (_, false) => given.args.clone(),
        (Some(_), true) => Vec::new(),
        (None, true) => image.cmd.clone(),
    };
    SpecFlags {
        args: [entrypoint, cmd].concat(),
        env: [image.env.clone(), given.env.clone()].concat(),
        workdir: given.workdir.clone().or_else(|| image.workdir.clone()),
        user: given.user.clone().or_else(|| image.user.clone()),
        ..given.clone()
    }
}

fn annotate(spec: &mut Spec, image: &oci_spec::image::ImageConfiguration) -> Result<()> {
    let (of_image, left_out) = annotations(image);
    for name in left_out {
        log::warning(&format!(
            "the label {name:?} of the image does not become an annotation, since that would change what the container may do; \
             set it with --annotation if you want it"
        ));
    }
    let mut all = spec.annotations().clone().unwrap_or_default();
    for (name, value) in of_image {
        all.entry(name).or_insert(value);
    }
    spec.set_annotations(Some(all));
    Container::parse(spec.clone()).map(|_| ()).map_err(|error| Error::invalid(error.to_string()))
}

/// Checks that the container has the user: it cannot run as one that it does not have.
fn check_user(user: &User, namespace: &UserNamespace) -> Result<()> {
    let UserNamespace::Maps { uid, gid } = namespace else { return Ok(()) };
    if idmap::to_host(uid, user.uid).is_some() && idmap::to_host(gid, user.gid).is_some() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the program's user {}:{} is not among the ids of the container: run it as root with --user 0, or see `rootling doctor` for \
         more ids",
        user.uid, user.gid
    )))
}

/// Writes config.json and the file next to it into the directory that becomes the bundle.
pub(super) fn write(dir: &Path, text: &str, file: Option<&BundleFile>) -> Result<()> {
    let files =
        [("config.json", text)].into_iter().chain(file.map(|file| (file.name, file.content.as_str())));
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(|error| Error::from(error).wrap(format!("{path:?}")))?;
    }
    Ok(())
}
