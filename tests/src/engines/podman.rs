//! podman and buildah, as the current caller. Images, containers and configuration are in directories that are
//! removed at the end.

use std::path::Path;

use super::scenario::group;
use super::tables::{lifecycle, nested, podman, run, together};
use super::{Facts, Group, Selection, Session, Step, pairs, setup};

/// All groups. The first one prepares all others, and the last one checks what is left.
pub(super) const GROUPS: &[Group] = &[
    group("image", podman::IMAGE),
    group("run", run::RUN),
    group("privileges", run::PRIVILEGES),
    group("networks", run::NETWORKS),
    group("limits", run::LIMITS),
    group("lifecycle", lifecycle::LIFECYCLE),
    group("execs", lifecycle::EXECS),
    group("own", podman::OWN),
    group("pods", together::PODS),
    group("kube", together::KUBE),
    group("units", together::UNITS),
    group("build", together::BUILD),
    group("nested", &[Step::All(nested::PODMAN), Step::All(nested::EVERYWHERE)]),
    group("pairs", pairs::PAIRS),
    group("left", together::LEFT),
];

/// The name `runtime_supports_nocgroup` is not in containers.conf(5), but it is the one that podman reads.
const CONTAINERS_CONF: &str = r#"[engine]
runtime = "$NAME"
cgroup_manager = "$MANAGER"
runtime_supports_json = ["$NAME"]
runtime_supports_nocgroup = ["$NAME"]
events_logger = "file"
tmp_dir = "$RUN/tmp"

[engine.runtimes]
$NAME = ["$RUNTIME"]

[containers]
$PIDS_LIMIT
"#;

const STORAGE_CONF: &str = r#"[storage]
driver = "overlay"
graphroot = "$DIR/storage"
rootless_storage_path = "$DIR/storage"
runroot = "$RUN/storage"
"#;

/// Configures podman for a runtime and a cgroup manager.
pub(super) fn session(runtime: &Path, manager: &str, selection: Selection) -> Result<Session, String> {
    let functions = &[lifecycle::STATE, nested::INSIDE, podman::SERVE];
    let mut session = Session::new(setup::facts(), functions, selection, clean);
    setup::directories(&mut session, "podman", runtime)?;
    setup::runtimes(&mut session);
    let Facts { root, machine, .. } = session.facts;
    let variables = &mut session.variables;
    for (name, value) in [
        ("ENGINE", "podman"),
        ("IMAGE", "localhost/box"),
        ("RM", "podman rm -f -t 0"),
        ("RUNTIME_FIELD", ".OCIRuntime"),
        ("HEALTH_INTERVAL", "disable"),
        ("MISSING", "127"),
        ("MANAGER", manager),
        // For root, podman has a limit that nobody has asked for.
        ("PIDS_LIMIT", if machine { "" } else { "pids_limit = 0" }),
        ("SHARED", "net ipc uts pid"),
        ("UNMASK", "unmask=ALL"),
        ("OPEN", "--security-opt unmask=ALL --security-opt seccomp=unconfined"),
        ("OF", if root { "--system" } else { "--user" }),
        ("CALL", if root { "$RUNTIME" } else { "podman unshare $RUNTIME" }),
        ("OURS", "--runtime=$RUNTIME"),
        ("THEIRS", "--runtime=$OTHER"),
        ("CONTAINERS_CONF", "$DIR/containers.conf"),
        ("CONTAINERS_STORAGE_CONF", "$DIR/storage.conf"),
        ("BUILDAH_RUNTIME", "$RUNTIME"),
    ] {
        variables.set(name, variables.fill(value));
    }
    let (conf, storage) = (variables.fill(CONTAINERS_CONF), variables.fill(STORAGE_CONF));
    session.write("$CONTAINERS_CONF", &conf)?;
    session.write("$CONTAINERS_STORAGE_CONF", &storage)?;
    setup::files(&session)?;
    Ok(session)
}

fn clean(session: &mut Session) {
    session.clean_up("podman system reset --force");
    // podman's namespace is kept by a process that waits.
    session.clean_up(r#"[[ ! -e $RUN/tmp/pause.pid ]] || kill "$(<"$RUN/tmp/pause.pid")""#);
    if !session.facts.root {
        session.clean_up(r#"podman unshare rm -rf "$DIR""#);
    }
    setup::remove_directories(session);
}
