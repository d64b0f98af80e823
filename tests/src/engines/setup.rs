//! What the runs have in common before and after their scenarios.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::unistd::geteuid;
use serde_json::{Value, json};

use super::selection::number;
use super::{Facts, Session, image};
use crate::wait::{LIMIT, holds_within};

/// Facts about the caller and an engine on this machine.
pub(super) fn facts() -> Facts {
    let root = geteuid().is_root();
    let machine = has_controllers() && (!root || has_all_capabilities());
    Facts { root, host_network: true, apparmor: false, machine }
}

fn has_controllers() -> bool {
    // Where version 1 has the controllers, the file is not there.
    fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .map_or(true, |list| list.split_whitespace().any(|name| name == "memory"))
}

fn has_all_capabilities() -> bool {
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let mask = bounding.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    last.trim().parse::<u32>().is_ok_and(|last| mask.is_some_and(|mask| mask.count_ones() == last + 1))
}

/// Makes the directories of a run, and sets the variables that all runs have: `DIR` for files and `RUN` for what
/// must not survive a boot, `XDG_RUNTIME_DIR`, `RUNTIME` and its `NAME`, `CALLER` for the user id, `PORT`, `MEMORY`, and
/// `MANY` for the number of containers that are to run at the same time.
pub(super) fn directories(session: &mut Session, engine: &str, runtime: &Path) -> Result<(), String> {
    let runtime = runtime.canonicalize().map_err(|error| format!("{}: {error}", runtime.display()))?;
    let uid = geteuid();
    let of_session = if uid.is_root() { "/run".to_owned() } else { format!("/run/user/{uid}") };
    let dir = scratch(engine)?;
    let name = dir.file_name().unwrap_or_default().display().to_string();
    let run = Path::new(&of_session).join(&name);
    let variables = &mut session.variables;
    variables.set("DIR", dir.display().to_string());
    variables.set("RUN", run.display().to_string());
    variables.set("UNIT", name);
    variables.set("XDG_RUNTIME_DIR", of_session);
    variables.set("CALLER", uid.to_string());
    variables.set("NAME", runtime.file_name().unwrap_or_default().display().to_string());
    variables.set("RUNTIME", runtime.display().to_string());
    // The two users' runs are at the same time.
    variables.set("PORT", if uid.is_root() { "18080" } else { "18081" });
    // For an ordinary user without controllers it is a warning.
    let limited = session.facts.machine || !uid.is_root();
    variables.set("MEMORY", if limited { "-m 64m" } else { "" });
    variables.set("MANY", number("ROOTLING_ENGINES_MANY", 50)?.to_string());
    let made = fs::DirBuilder::new().mode(0o700).create(&run);
    made.map_err(|error| format!("make {}: {error}", run.display()))
}

/// Makes a new directory for files.
pub(super) fn scratch(engine: &str) -> Result<PathBuf, String> {
    let prefix = format!("rootling-{engine}.");
    let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in("/var/tmp");
    Ok(dir.map_err(|error| format!("make a directory in /var/tmp: {error}"))?.keep())
}

/// Makes the image, and the files that are mounted into containers.
pub(super) fn files(session: &Session) -> Result<(), String> {
    let dir = Path::new(session.variables.get("DIR"));
    image::make(dir)?;
    let shared = dir.join("ro");
    fs::create_dir(&shared)
        .and_then(|()| fs::create_dir(dir.join("rw")))
        .and_then(|()| fs::write(shared.join("file"), "from-host\n"))
        .map_err(|error| format!("make {}: {error}", shared.display()))
}

/// Sets variables for engines with the command line of podman and Docker that say which runtime is which. Within
/// containers, rootling is always the runtime.
pub(super) fn runtimes(session: &mut Session) {
    let variables = &mut session.variables;
    let (runtime, name) = (variables.get("RUNTIME").to_owned(), variables.get("NAME"));
    let inner =
        if name == "rootling" { runtime } else { path("ROOTLING_ENGINES_INNER", "/usr/local/bin/rootling") };
    variables.set("INNER", inner);
    variables.set("OTHER", path("ROOTLING_ENGINES_OTHER", "/usr/bin/crun"));
}

fn path(variable: &str, default: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// For a step: makes bundles that leave ids to the runtime; `limited` also asks for limits.
pub(super) fn bundles(session: &mut Session) -> Result<(), String> {
    const CONFIG: &str = include_str!("tables/files/inner.json");
    session.write("$DIR/inner/config.json", CONFIG)?;
    session.set_up(r#"mkdir -p "$DIR/inner/rootfs" && tar -C "$DIR/inner/rootfs" -xf "$DIR/box.tar""#)?;
    let mut config: Value = serde_json::from_str(CONFIG).map_err(|error| format!("the bundle: {error}"))?;
    config["linux"]["resources"] = json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 50}});
    session.write("$DIR/limited/config.json", &config.to_string())
}

/// Lets other users access a directory.
pub(super) fn open_to_others(dir: &str, mode: u32) -> Result<(), String> {
    fs::set_permissions(dir, Permissions::from_mode(mode)).map_err(|error| format!("chmod of {dir}: {error}"))
}

/// Removes the directories of a run.
pub(super) fn remove_directories(session: &Session) {
    for variable in ["DIR", "RUN"] {
        let _ = fs::remove_dir_all(session.variables.get(variable));
    }
}

/// Starts a daemon, whose output goes to `$DIR/log`. It gets no signals of the terminal and runs until it is
/// stopped.
pub(super) fn in_background(session: &Session, line: &str) -> Result<Child, String> {
    let log = session.variables.fill("$DIR/log");
    let failed = |error: std::io::Error| format!("start {line:?} with the log {log}: {error}");
    let file = File::options().append(true).create(true).open(&log).map_err(failed)?;
    let mut daemon = session.bash(line);
    daemon.stdin(Stdio::null()).stdout(file.try_clone().map_err(failed)?).stderr(file);
    daemon.spawn().map_err(failed)
}

/// The last lines of the daemon's log.
pub(super) fn end_of_log(session: &Session) -> String {
    let log = fs::read(session.variables.fill("$DIR/log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Whether the daemon has ended.
pub(super) fn has_ended(session: &mut Session) -> bool {
    session.daemon.as_mut().is_none_or(|daemon| !matches!(daemon.try_wait(), Ok(None)))
}

/// Waits for a daemon that was told to end, and kills it if it takes more than a minute.
pub(super) fn reap(session: &mut Session) {
    holds_within(LIMIT, || has_ended(session));
    if let Some(mut daemon) = session.daemon.take() {
        let _ = daemon.kill();
        let _ = daemon.wait();
    }
}
