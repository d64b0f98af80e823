//! containerd with `ctr`: for root on the host, for an ordinary user in the user namespace of rootlesskit.
//! Everything is in directories that are removed at the end.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::scenario::group;
use super::tables::containerd as table;
use super::{Group, Selection, Session, setup};

/// All groups. The first one prepares all others, and the last one checks what is left.
pub(super) const GROUPS: &[Group] = &[
    group("image", table::IMAGE),
    group("run", table::RUN),
    group("lifecycle", table::LIFECYCLE),
    group("restart", table::RESTART),
    group("many", table::MANY),
    group("left", table::LEFT),
];

/// The last part is the name that Kubernetes' RuntimeClass uses as its handler.
const CONFIG: &str = r#"version = 2
root = "$DIR/root"
state = "$RUN/state"
[grpc]
address = "$RUN/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "$DIR/opt"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "$NAME"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$NAME]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$NAME.options]
BinaryName = "$RUNTIME"
SystemdCgroup = true
"#;

/// The daemon of root.
const DAEMON: &str = r#"exec setsid containerd --config "$DIR/config.toml" --log-level warn"#;

/// The daemon of a user. Clients and shims expect /run/containerd, which may exist and belong to root. The
/// namespaces stay while the daemon is restarted, until there is a file `stop`.
const DAEMON_OF_A_USER: &str = r#"exec setsid rootlesskit --state-dir "$RUN/rootlesskit" --net slirp4netns \
    --disable-host-loopback --copy-up /etc --copy-up /run --copy-up /var/lib \
    sh -c 'rm -f /run/containerd; until [ -e "$RUN/stop" ]; do "$@" || sleep 1; done' sh \
    containerd --config "$DIR/config.toml" --log-level warn"#;

/// How often to check whether a daemon has started or ended, every half second.
const LOOKS: usize = 240;

/// Starts a daemon for a runtime.
pub(super) fn session(runtime: &Path, selection: Selection) -> Result<Session, String> {
    let functions = &[table::WITH, table::CALL, table::DAEMON_PID];
    let mut session = Session::new(setup::facts(), functions, selection, clean);
    setup::directories(&mut session, "containerd", runtime)?;
    let root = session.facts.root;
    let variables = &mut session.variables;
    let path = std::env::var("PATH").unwrap_or_default();
    variables.set("PATH", format!("{path}:/usr/sbin:/sbin"));
    variables.set("SLICE", if root { "system.slice" } else { "user.slice" });
    set_client(&mut session, "");
    let config = session.variables.fill(CONFIG);
    session.write("$DIR/config.toml", &config)?;
    setup::files(&session)?;
    start(&mut session)?;
    Ok(session)
}

/// Sets how the daemon is reached: by a client that `within` brings into its namespaces.
fn set_client(session: &mut Session, within: &str) {
    let client = session.variables.fill("ctr --connect-timeout 2m --address $RUN/containerd.sock");
    session.variables.set("IN", within);
    session.variables.set("CTR", format!("{within} {client}").trim_start());
}

/// For a step: starts another daemon with the same configuration.
pub(super) fn restart(session: &mut Session) -> Result<(), String> {
    stop(session);
    start(session)
}

fn start(session: &mut Session) -> Result<(), String> {
    let root = session.facts.root;
    let child = session.variables.fill("$RUN/rootlesskit/child_pid");
    // rootlesskit starts the next one by itself.
    if root || !Path::new(&child).exists() {
        let line = if root { DAEMON } else { DAEMON_OF_A_USER };
        session.daemon = Some(setup::in_background(session, line)?);
    }
    for _ in 0..LOOKS {
        let pid = fs::read_to_string(&child).unwrap_or_default();
        if !root && !pid.is_empty() {
            // Clients must be in the namespaces of rootlesskit, although the socket is visible from outside.
            let enter = "nsenter --user --mount --net --preserve-credentials -t";
            set_client(session, &format!("{enter} {}", pid.trim()));
        }
        if (root || !pid.is_empty()) && session.succeeds("$CTR version", Duration::from_secs(30))? {
            return Ok(());
        }
        sleep(Duration::from_millis(500));
    }
    Err(format!("containerd does not come up:\n{}", setup::end_of_log(session)))
}

/// Stops the daemon; rootlesskit continues, and starts another one unless there is a file `stop`.
fn stop(session: &mut Session) {
    let Ok(pid) = session.printed("daemon_pid").parse::<i32>() else { return };
    session.clean_up(&format!("kill {pid}"));
    for _ in 0..LOOKS / 2 {
        // For root it is our child.
        if session.facts.root && setup::has_ended(session) || !Path::new(&format!("/proc/{pid}")).exists() {
            return;
        }
        sleep(Duration::from_millis(500));
    }
    session.clean_up(&format!("kill -KILL {pid}"));
}

fn clean(session: &mut Session) {
    session.clean_up(r#"for task in $($CTR task ls -q); do $CTR task rm -f "$task"; done"#);
    session.clean_up(r#"touch "$RUN/stop""#);
    stop(session);
    setup::reap(session);
    if !session.facts.root {
        session.clean_up(r#"rootlesskit rm -rf "$DIR/root""#);
    }
    setup::remove_directories(session);
}
