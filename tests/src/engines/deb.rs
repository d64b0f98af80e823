//! The Debian package, as root, on a machine that is discarded afterwards. The lines for the engines are taken from
//! the documentation in the package as they are.

use std::fs;
use std::path::Path;

use super::scenario::group;
use super::tables::deb as table;
use super::{Group, Selection, Session, setup};
use crate::account::Account;
use crate::wait::{LIMIT, holds_within};

/// All groups. The first one prepares all others.
pub(super) const GROUPS: &[Group] = &[
    group("image", table::IMAGE),
    group("first", table::FIRST),
    group("with_podman", table::WITH_PODMAN),
    group("with_podman_of_root", table::WITH_PODMAN_OF_ROOT),
    group("with_docker_of_a_user", table::WITH_DOCKER_OF_A_USER),
    group("with_containerd_of_a_user", table::WITH_CONTAINERD_OF_A_USER),
    group("with_docker", table::WITH_DOCKER),
    group("with_containerd", table::WITH_CONTAINERD),
    group("gone", table::GONE),
];

/// The command for the user, in the session that lingering has started.
const AS: &str = "runuser -u $USER_NAME -- env -C $USER_HOME HOME=$USER_HOME USER=$USER_NAME XDG_RUNTIME_DIR=$USER_RUN \
    PWD=$USER_HOME DBUS_SESSION_BUS_ADDRESS=unix:path=$USER_RUN/bus";

/// Unpacks the documentation of a package, and makes the user that `ROOTLING_ENGINES_USER` names if it does not
/// exist.
pub(super) fn session(package: &Path, selection: Selection) -> Result<Session, String> {
    let package = package.canonicalize().map_err(|error| format!("{}: {error}", package.display()))?;
    let mut session = Session::new(setup::facts(), &[], selection, clean);
    let dir = setup::scratch("deb")?;
    session.variables.set("DIR", dir.display().to_string());
    session.variables.set("DEB", package.display().to_string());
    session.variables.set("DEBIAN_FRONTEND", "noninteractive");
    // apt's own user reads it.
    setup::open_to_others(session.variables.get("DIR"), 0o755)?;
    let user = std::env::var("ROOTLING_ENGINES_USER").unwrap_or_else(|_| "engines".to_owned());
    user_with_session(&mut session, &user)?;
    // The machine may not install documentation, as minimal ones do not.
    session.set_up(r#"dpkg-deb -x "$DEB" "$DIR/package""#)?;
    session.variables.set("DOCS", session.variables.fill("$DIR/package/usr/share/doc/rootling"));
    Ok(session)
}

fn user_with_session(session: &mut Session, user: &str) -> Result<(), String> {
    session.variables.set("USER_NAME", user);
    if !session.succeeds(r#"getent passwd "$USER_NAME""#, LIMIT)? {
        // It has subordinate ids, which useradd assigns by itself.
        session.variables.set("USER_IS_OURS", "yes");
        session.set_up(
            r#"useradd --create-home --shell /bin/bash "$USER_NAME" && loginctl enable-linger "$USER_NAME""#,
        )?;
    }
    let account = Account::from_passwd(user);
    let run = format!("/run/user/{}", account.uid);
    let variables = &mut session.variables;
    variables.set("USER_HOME", account.home.display().to_string());
    variables.set("CONFIG", account.home.join(".config").display().to_string());
    variables.set("USER_RUN", &run);
    variables.set("AS", variables.fill(AS));
    variables.set("USERS", variables.fill("$AS docker -H unix://$USER_RUN/docker.sock"));
    let bus = Path::new(&run).join("bus");
    if holds_within(LIMIT * 2, || bus.exists()) {
        return Ok(());
    }
    Err(format!("the session of {user} has no bus, {}", bus.display()))
}

fn clean(session: &mut Session) {
    session.clean_up("docker rm -f $(docker ps -aq)");
    session
        .clean_up("systemctl stop rootling-dockerd.service docker.service docker.socket containerd.service");
    let _ = fs::remove_dir_all(session.variables.get("DIR"));
    if session.variables.has("USER_IS_OURS") {
        session.clean_up(
            r#"loginctl disable-linger "$USER_NAME"; loginctl terminate-user "$USER_NAME"; sleep 2; userdel -rf "$USER_NAME""#,
        );
    }
}
