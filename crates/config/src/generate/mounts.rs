//! `--mount`, `--volume`, `--tmpfs` and `--shm-size`, and the files that go with a shared network.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use super::error::{GenerateError, wrong};
use super::namespaces::has;
use super::propagation::{self, Volume};
use super::words::{boolean, fields};
use super::{Facts, Files, Request, size};
use crate::mounts::table::{self, Effect};
use crate::resources;

/// Options of tmpfs that are not mount flags; tmpfs(5).
const TMPFS_DATA: [&str; 8] = ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "mpol", "huge"];

/// The flags of a tmpfs, unless an option says the opposite.
const TMPFS_DEFAULTS: [&str; 3] = ["nosuid", "nodev", "noexec"];

/// Files of the host that programs need in order to use its network.
const NETWORK_FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    files: &dyn Files,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let mut wanted = Vec::new();
    for text in &request.mount {
        wanted.push(("mount", text, mount(text, facts)?));
    }
    for text in &request.volume {
        wanted.push(("volume", text, volume(text, facts, warnings)?));
    }
    for text in &request.tmpfs {
        wanted.push(("tmpfs", text, tmpfs(text)?));
    }
    for (index, (flag, text, mount)) in wanted.iter().enumerate() {
        if wanted[..index].iter().any(|(.., other)| other.destination() == mount.destination()) {
            return Err(wrong(flag, text, "something else is mounted there already; keep one of them"));
        }
        if crate::mounts::is_bind(mount) {
            check_source(flag, text, mount, files)?;
        }
    }
    set_shm_size(spec, request, warnings)?;
    let binds = wanted.iter().filter(|(.., mount)| mount.typ().as_deref() == Some("bind"));
    let volumes: Vec<_> = binds.map(|(flag, text, mount)| Volume { flag, text, mount }).collect();
    propagation::run(spec, &volumes, files, warnings);
    // Sorted by depth: a mount hides what was mounted below it earlier.
    wanted.sort_by_key(|(.., mount)| mount.destination().components().count());
    let mounts = spec.mounts_mut().get_or_insert_default();
    for (.., mount) in wanted {
        match mounts.iter_mut().find(|default| default.destination() == mount.destination()) {
            Some(default) => *default = mount,
            None => mounts.push(mount),
        }
    }
    share_network_files(spec, files);
    Ok(())
}

fn check_source(
    flag: &'static str,
    text: &str,
    mount: &Mount,
    files: &dyn Files,
) -> Result<(), GenerateError> {
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    files.node(source).map(|_| ()).map_err(|error| {
        wrong(flag, text, format!("{}: {error}; make it first, or name another", source.display()))
    })
}

/// Shares the host's files about names together with its network, unless the user has mounted something there.
fn share_network_files(spec: &mut Spec, files: &dyn Files) {
    if has(spec, LinuxNamespaceType::Network) {
        return;
    }
    for path in NETWORK_FILES {
        if files.node(Path::new(path)).is_ok() {
            share_file(spec, path.into(), path.into());
        }
    }
}

/// Bind-mounts a file read-only, unless the user has mounted something there. A mount above it, such as a volume on
/// /etc, is the user's own choice as well. Returns whether the file is mounted.
pub(super) fn share_file(spec: &mut Spec, destination: PathBuf, source: PathBuf) -> bool {
    let mounts = spec.mounts_mut().get_or_insert_default();
    let taken = mounts.iter().any(|mount| destination.starts_with(mount.destination()));
    if !taken {
        let options = ["bind", "ro", "nosuid", "nodev", "noexec"].map(str::to_owned).into();
        mounts.push(new(destination, "bind", source, options));
    }
    !taken
}

fn set_shm_size(spec: &mut Spec, request: &Request, warnings: &mut Vec<String>) -> Result<(), GenerateError> {
    let Some(text) = &request.shm_size else { return Ok(()) };
    let bytes = resources::shm_size(Some(size("shm-size", text)?))?;
    let mut mounts = spec.mounts_mut().iter_mut().flatten();
    let shm = mounts.find(|mount| mount.destination() == Path::new("/dev/shm"));
    match shm.filter(|shm| shm.typ().as_deref() == Some("tmpfs")).and_then(|shm| shm.options_mut().as_mut()) {
        Some(options) => {
            options.retain(|option| !option.starts_with("size="));
            options.push(format!("size={bytes}"));
        }
        None => {
            warnings.push("--shm-size: /dev/shm is the host's with its ipc namespace; left out".to_owned());
        }
    }
    Ok(())
}

fn new(destination: PathBuf, typ: &str, source: PathBuf, options: Vec<String>) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_destination(destination)
        .set_typ(Some(typ.to_owned()))
        .set_source(Some(source))
        .set_options(Some(options).filter(|options| !options.is_empty()));
    mount
}

/// Normalises an absolute path: without `.`, `..` and redundant slashes, below the root.
fn destination(flag: &'static str, text: &str, path: &str) -> Result<PathBuf, GenerateError> {
    let clean: PathBuf = Path::new(path).components().collect();
    let climbs = clean.components().any(|part| part == Component::ParentDir);
    if !clean.is_absolute() || climbs || clean == Path::new("/") {
        let problem = format!("destination {path:?} has to be an absolute path below /, without \"..\"");
        return Err(wrong(flag, text, problem));
    }
    Ok(clean)
}

/// Resolves a path of the command line relative to the caller's directory. `..` is left to the kernel, since it may
/// follow a link.
fn source_path(facts: &Facts, source: &str) -> PathBuf {
    facts.cwd.join(source).components().collect()
}

/// Parses `--mount type=TYPE,src=SOURCE,dst=DESTINATION[,OPTION...]`, with Docker's names of keys.
fn mount(text: &str, facts: &Facts) -> Result<Mount, GenerateError> {
    const FLAG: &str = "mount";
    let (mut typ, mut source, mut place, mut options) = (None, None, None, Vec::new());
    let mut recursive = true;
    for field in fields(FLAG, text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        let needed = || value.ok_or_else(|| wrong(FLAG, text, format!("{key} needs a value: {key}=...")));
        let switch = || {
            let on = value.map_or(Some(true), boolean);
            on.ok_or_else(|| wrong(FLAG, text, format!("{field:?} is neither true nor false")))
        };
        match key {
            "type" => typ = Some(needed()?.to_owned()),
            "src" | "source" => source = Some(needed()?.to_owned()),
            "dst" | "destination" | "target" => place = Some(destination(FLAG, text, needed()?)?),
            "ro" | "readonly" => options.push(if switch()? { "ro" } else { "rw" }.to_owned()),
            "bind-nonrecursive" => recursive = !switch()?,
            "bind-propagation" => options.push(propagation(text, needed()?)?),
            "tmpfs-size" => options.push(format!("size={}", size(FLAG, needed()?)?)),
            "tmpfs-mode" => options.push(format!("mode={}", octal(FLAG, text, needed()?)?)),
            // The rest are options of mount(8), which are checked below for the type.
            _ => options.push(field),
        }
    }
    let place = place.ok_or_else(|| wrong(FLAG, text, "has no destination; add dst=PATH"))?;
    let typ = typ.or_else(|| source.is_some().then(|| "bind".to_owned()));
    let source_or = |name: &str| PathBuf::from(source.as_deref().unwrap_or(name));
    match typ.as_deref() {
        None => Err(wrong(FLAG, text, "has neither type= nor src=")),
        Some("volume" | "image") => {
            Err(wrong(FLAG, text, "volumes and images belong to an engine; use type=bind,src=DIRECTORY"))
        }
        Some("bind") => {
            let source = source.ok_or_else(|| wrong(FLAG, text, "a bind has no source; add src=PATH"))?;
            flags_only(FLAG, text, &options)?;
            let kind = if recursive { "rbind" } else { "bind" };
            options.insert(0, kind.to_owned());
            Ok(new(place, "bind", source_path(facts, &source), options))
        }
        Some("tmpfs") => {
            tmpfs_options(FLAG, text, &options)?;
            Ok(new(place, "tmpfs", "tmpfs".into(), with_defaults(&options)))
        }
        Some(other) => Ok(new(place, other, source_or(other), options)),
    }
}

fn propagation(text: &str, word: &str) -> Result<String, GenerateError> {
    match table::effect(word) {
        Some(Effect::Propagation(_)) => Ok(word.to_owned()),
        _ => Err(wrong(
            "mount",
            text,
            format!(
                "{word:?} is not a propagation; use private, shared, slave, unbindable, or one of them with an r before"
            ),
        )),
    }
}

fn octal(flag: &'static str, text: &str, mode: &str) -> Result<String, GenerateError> {
    match u32::from_str_radix(mode, 8) {
        Ok(bits) if bits <= 0o7777 => Ok(mode.to_owned()),
        _ => Err(wrong(flag, text, format!("mode {mode:?} is not octal; write for example 1777"))),
    }
}

fn flags_only(flag: &'static str, text: &str, options: &[String]) -> Result<(), GenerateError> {
    match options.iter().find(|option| table::effect(option).is_none()) {
        Some(unknown) => Err(wrong(flag, text, format!("a bind has no option {unknown:?}"))),
        None => Ok(()),
    }
}

fn tmpfs_options(flag: &'static str, text: &str, options: &[String]) -> Result<(), GenerateError> {
    for option in options {
        match option.split_once('=') {
            Some(("mode", mode)) => drop(octal(flag, text, mode)?),
            Some((key, value)) if TMPFS_DATA.contains(&key) && !value.is_empty() => {}
            _ if table::effect(option).is_some() => {}
            _ => return Err(wrong(flag, text, format!("a tmpfs has no option {option:?}"))),
        }
    }
    Ok(())
}

/// A default is left out if its opposite is given: with both, runtimes differ in which of them wins.
fn with_defaults(given: &[String]) -> Vec<String> {
    let contrary =
        |default: &&&str| given.iter().any(|option| default.strip_prefix("no") == Some(option.as_str()));
    let defaults =
        TMPFS_DEFAULTS.iter().filter(|default| !contrary(default)).map(|option| (*option).to_owned());
    defaults.chain(given.iter().cloned()).collect()
}

/// Parses `--volume SOURCE:DESTINATION[:OPTION,...]`.
fn volume(text: &str, facts: &Facts, warnings: &mut Vec<String>) -> Result<Mount, GenerateError> {
    const FLAG: &str = "volume";
    let mut parts = text.splitn(3, ':');
    let (Some(source), Some(place)) = (parts.next().filter(|source| !source.is_empty()), parts.next()) else {
        return Err(wrong(FLAG, text, "is not of the form SOURCE:DESTINATION[:OPTIONS]"));
    };
    if !source.contains('/') && source != "." && source != ".." {
        let problem = format!("a named volume belongs to an engine; for a directory write ./{source}");
        return Err(wrong(FLAG, text, problem));
    }
    let place = destination(FLAG, text, place)?;
    let mut options: Vec<_> = parts.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    options.retain(|option| !option.is_empty());
    if options.iter().any(|option| option == "z" || option == "Z") {
        warnings.push(format!(
            "--volume {text:?}: files are not relabelled; use chcon(1) where SELinux needs it"
        ));
        options.retain(|option| option != "z" && option != "Z");
    }
    flags_only(FLAG, text, &options)?;
    if !options.iter().any(|option| option == "bind" || option == "rbind") {
        options.insert(0, "rbind".to_owned());
    }
    Ok(new(place, "bind", source_path(facts, source), options))
}

/// Parses `--tmpfs DESTINATION[:OPTION,...]`.
fn tmpfs(text: &str) -> Result<Mount, GenerateError> {
    const FLAG: &str = "tmpfs";
    let (place, given) = text.split_once(':').unwrap_or((text, ""));
    let place = destination(FLAG, text, place)?;
    let given: Vec<_> = given.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    tmpfs_options(FLAG, text, &given)?;
    Ok(new(place, "tmpfs", "tmpfs".into(), with_defaults(&given)))
}
