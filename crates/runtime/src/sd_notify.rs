//! `NOTIFY_SOCKET`: lets a container tell systemd that it is ready, as with runc; sd_notify(3).
//!
//! The program gets a socket of its own, in a directory that is bind-mounted on `/run/notify`. Of what it sends there,
//! only the message that it is ready is passed on, by whoever waits for it: `run` for as long as it is in the
//! foreground, a detached `run` and `start` until the message has come or the container has ended.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use oci_spec::runtime::{MountBuilder, Spec};
use rootling_config::id::ContainerId;
use rootling_sys as sys;

use crate::error::{Context, Result};
use crate::store::{NOTIFY, NOTIFY_SOCKET, Slot, Store};

/// The name of the variable, both outside and inside the container.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// The only message that is passed on.
const READY: &str = "READY=1";
/// How many messages are read before anything else is done.
const MOST_AT_ONCE: usize = 16;
/// The mount point of the directory in the container.
const INSIDE: &str = "/run/notify";

/// The directory for a container to be made, if the caller was asked to report that it is ready.
pub(crate) fn directory(store: &Store, id: &ContainerId) -> Option<PathBuf> {
    host_socket().map(|_| store.path_of(id).join(NOTIFY))
}

fn host_socket() -> Option<std::ffi::OsString> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty())
}

/// Adds the mount and the variable to a spec.
pub(crate) fn add_to(spec: &mut Spec, directory: &Path) -> Result<()> {
    let options = ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec();
    let mount = MountBuilder::default().destination(INSIDE).source(directory).options(options).build()?;
    spec.mounts_mut().get_or_insert_default().push(mount);
    if let Some(process) = spec.process_mut() {
        process.env_mut().get_or_insert_default().push(format!("{VARIABLE}={INSIDE}/{NOTIFY_SOCKET}"));
    }
    Ok(())
}

/// Listens for messages of a container.
pub(crate) struct Notify {
    socket: UnixDatagram,
    host: SocketAddr,
}

impl Notify {
    /// Starts listening if the caller was asked to report readiness and the container has a directory for it.
    pub(crate) fn of_environment(slot: &Slot) -> Result<Option<Self>> {
        let Some(host) = host_socket() else { return Ok(None) };
        let what = || format!("{VARIABLE}={}", host.display());
        // A name in the abstract namespace is written with a leading @: sd_notify(3).
        let host = match host.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&host),
        };
        let host = host.context(what)?;
        let path = slot.short_path(NOTIFY).join(NOTIFY_SOCKET);
        // The program may write to the socket whatever its ids are. The mode is set by the creation itself: afterwards
        // the container may be able to replace the file.
        let before = umask(Mode::empty());
        let bound = UnixDatagram::bind(&path);
        umask(before);
        let socket = match bound {
            // The container was created by a command that was not asked to report readiness.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.context(|| format!("bind({path:?})"))?,
        };
        socket.set_nonblocking(true).context(what)?;
        Ok(Some(Self { socket, host }))
    }

    /// Passes on what has arrived, with `pid` as the process for systemd to watch; returns whether the container is
    /// ready. If a program sends more than can be read at once, the rest is left for the next call.
    pub(crate) fn pass_on(&self, pid: i32) -> bool {
        let mut buffer = [0u8; 4096];
        let mut ready = false;
        for _ in 0..MOST_AT_ONCE {
            let Ok(length) = self.socket.recv(&mut buffer) else { break };
            // systemd accepts either as a line terminator.
            let lines = buffer[..length].split(|byte| b"\n\r".contains(byte));
            if lines.into_iter().any(|line| line == READY.as_bytes()) {
                ready = true;
                let text = format!("{READY}\nMAINPID={pid}\n").into_bytes();
                // systemd may be gone or may have stopped reading: that must not stop the container.
                let sent = UnixDatagram::unbound().and_then(|socket| {
                    socket.set_nonblocking(true)?;
                    socket.send_to_addr(&text, &self.host)
                });
                if let Err(error) = sent {
                    tracing::warn!("{VARIABLE}: {error}");
                }
            }
        }
        ready
    }

    /// Waits until the container is ready or has ended.
    pub(crate) fn wait_until_ready(&self, container: BorrowedFd<'_>, pid: i32) -> Result<()> {
        loop {
            let fds = [Some(self.socket.as_fd()), Some(container)];
            let [_, ended] = sys::poll::readable(fds, None).context(|| "poll")?;
            if self.pass_on(pid) || ended {
                return Ok(());
            }
        }
    }
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
