//! Docker: for root a daemon of the host, for an ordinary user one in the user namespace of rootlesskit. Everything
//! is in directories that are removed at the end.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use super::scenario::group;
use super::tables::{docker, lifecycle, nested, run};
use super::{Facts, Group, Selection, Session, Step, pairs, setup};

/// All groups. The first one prepares all others, and the last one checks what is left.
pub(super) const GROUPS: &[Group] = &[
    group("image", docker::IMAGE),
    group("run", run::RUN),
    group("privileges", run::PRIVILEGES),
    group("networks", run::NETWORKS),
    group("limits", run::LIMITS),
    group("lifecycle", lifecycle::LIFECYCLE),
    group("execs", lifecycle::EXECS),
    group("build", docker::BUILD),
    group("health", docker::HEALTH),
    group("restart", docker::RESTART),
    group("many", docker::MANY),
    group("nested", &[Step::All(nested::DOCKER), Step::All(nested::EVERYWHERE)]),
    group("remap", docker::REMAP),
    group("pairs", pairs::PAIRS),
    group("left", docker::LEFT),
];

/// How long a request to the daemon may take.
const A_CALL: Duration = Duration::from_mins(1);

/// How often to check whether a daemon has started or ended, every half second.
const LOOKS: usize = 240;

/// Facts about the caller and Docker that are known before its daemon is asked.
fn facts() -> Facts {
    let facts = setup::facts();
    Facts { host_network: facts.root, ..facts }
}

/// Starts a daemon for a runtime.
pub(super) fn session(runtime: &Path, selection: Selection) -> Result<Session, String> {
    let mut session = Session::new(facts(), &[lifecycle::STATE, nested::INSIDE], selection, clean);
    setup::directories(&mut session, "docker", runtime)?;
    setup::runtimes(&mut session);
    // Root of a user namespace must be able to search the directory.
    setup::open_to_others(session.variables.get("DIR"), 0o711)?;
    variables(&mut session);
    // Docker reserves the name runc.
    let (name, runtime) = (session.variables.get("NAME"), session.variables.get("RUNTIME"));
    let config = json!({
        "runtimes": {name: {"path": runtime}, "other": {"path": session.variables.get("OTHER")}},
        "default-runtime": name,
        "live-restore": session.facts.root,
    });
    session.write("$DIR/daemon.json", &config.to_string())?;
    setup::files(&session)?;
    start(&mut session, "")?;
    session.facts.apparmor =
        session.succeeds("docker info --format '{{.SecurityOptions}}' | grep -q apparmor", A_CALL)?;
    Ok(session)
}

fn variables(session: &mut Session) {
    let root = session.facts.root;
    let bridge = if Path::new("/sys/class/net/docker0").exists() { "" } else { "docker0" };
    let remap = std::env::var("ROOTLING_ENGINES_REMAP").unwrap_or_else(|_| "rootling".to_owned());
    let variables = &mut session.variables;
    let unconfined = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined";
    for (name, value) in [
        ("ENGINE", "docker"),
        ("IMAGE", "box"),
        ("RM", "docker rm -f"),
        ("RUNTIME_FIELD", ".HostConfig.Runtime"),
        ("HEALTH_INTERVAL", "2s"),
        ("MISSING", "126"),
        ("SHARED", if root { "net ipc uts pid" } else { "ipc uts pid" }),
        ("UNMASK", "systempaths=unconfined"),
        ("OPEN", &format!("--security-opt systempaths=unconfined {unconfined}")),
        ("OURS", "--runtime=$NAME"),
        ("THEIRS", "--runtime=other"),
        ("BRIDGE", bridge),
        ("REMAP", &remap),
        ("DOCKER_HOST", "unix://$RUN/docker.sock"),
        ("DOCKER_CONFIG", "$DIR/client"),
        ("DOCKER_BUILDKIT", "0"),
        ("DAEMON", if root { "dockerd" } else { "/usr/share/docker.io/contrib/dockerd-rootless.sh" }),
        ("DOCKERD_ROOTLESS_ROOTLESSKIT_STATE_DIR", "$RUN/rootlesskit"),
    ] {
        variables.set(name, variables.fill(value));
    }
    if !root {
        // Daemons need the programs in root's PATH.
        let path = std::env::var("PATH").unwrap_or_default();
        variables.set("PATH", format!("{path}:/usr/sbin:/sbin"));
    }
}

/// For a step: starts another daemon with the same configuration.
pub(super) fn restart(session: &mut Session) -> Result<(), String> {
    stop(session);
    start(session, "")
}

/// For a step: starts a daemon with a user namespace for containers and without systemd for their cgroups.
pub(super) fn restart_remapped(session: &mut Session) -> Result<(), String> {
    stop(session);
    start(session, r#"--userns-remap "$REMAP" --exec-opt native.cgroupdriver=cgroupfs"#)
}

/// Starts the daemon, more than once if necessary, since dockerd gives its containerd 15 s to start.
fn start(session: &mut Session, options: &str) -> Result<(), String> {
    for _ in 0..6 {
        launch(session, options)?;
        for _ in 0..LOOKS {
            if session.succeeds("docker info", A_CALL)? {
                return Ok(());
            }
            if setup::has_ended(session) {
                break;
            }
            sleep(Duration::from_millis(500));
        }
    }
    Err(format!("dockerd does not come up:\n{}", setup::end_of_log(session)))
}

fn launch(session: &mut Session, options: &str) -> Result<(), String> {
    let line = format!(
        r#"exec setsid "$DAEMON" --config-file "$DIR/daemon.json" --data-root "$DIR/data" --exec-root "$RUN/exec" \
            --pidfile "$RUN/docker.pid" --host "$DOCKER_HOST" --log-level warn --iptables=false --ip6tables=false {options}"#
    );
    session.daemon = Some(setup::in_background(session, &line)?);
    Ok(())
}

fn stop(session: &mut Session) {
    session.clean_up(r#"kill "$(cat "$RUN/docker.pid")""#);
    setup::reap(session);
}

fn clean(session: &mut Session) {
    session.clean_up("docker rm -f $(docker ps -aq)");
    stop(session);
    if session.facts.root {
        session.clean_up(r#"umount "$RUN"/exec/netns/*"#);
        session.clean_up(r#"[[ -z $BRIDGE ]] || ip link delete "$BRIDGE""#);
    } else {
        session.clean_up(r#"rootlesskit rm -rf "$DIR/data""#);
    }
    setup::remove_directories(session);
}
