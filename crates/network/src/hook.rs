//! The hook, which a runtime calls and waits for.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Network;
use crate::container::{Container, Pin};
use crate::error::{Context, Error, Result};
use crate::supervisor::{self, READY, Supervisor, is_of_us};
use rootling_rootless::host::NetworkPrograms;

/// How long it may take to set up a network, beyond the limits for the program itself.
const START_LIMIT: Duration = Duration::from_secs(25);

/// How long it may take until a network is gone.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Does what the state of the container calls for: gives it a network before its start, or waits until that is gone
/// after its end. `supervise` are the arguments with which this same program becomes the supervisor.
///
/// # Errors
/// There is no network, or it does not end.
pub fn run(container: &Container, supervise: &[OsString]) -> Result<()> {
    if !container.has_ended() {
        return start(container, supervise);
    }
    let result = wait_for_end(container);
    Pin::remove(container);
    result
}

fn start(container: &Container, supervise: &[OsString]) -> Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .args(supervise)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "supervisor".to_owned())?;
    // A supervisor that is late is left alone: the start fails, and when the container ends the supervisor ends
    // what it has begun.
    let said = converse(&mut child, container)?;
    if said == READY {
        return Ok(());
    }
    // It exits after its last message. A runtime that reaps what its hooks leave would wait for the hook in vain if
    // both exited at the same time: crun loses one of two SIGCHLD.
    let _ = child.wait();
    let said = said.trim();
    Err(Error::Said(
        if said.is_empty() { "the supervisor has ended without an error message" } else { said }.to_owned(),
    ))
}

/// Sends the supervisor the state of the container, and reads the one line that it answers.
fn converse(child: &mut Child, container: &Container) -> Result<String> {
    let words = || "supervisor".to_owned();
    if let Some(mut input) = child.stdin.take() {
        input.write_all(container.json().as_bytes()).context(words)?;
    }
    let mut output = child.stdout.take().ok_or_else(|| io::Error::other("no pipe")).context(words)?;
    let end = Instant::now() + START_LIMIT;
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while !said.ends_with(b"\n") {
        let left = end.saturating_duration_since(Instant::now());
        if !rootling_sys::poll::wait_readable(output.as_fd(), left).context(words)? {
            return Err(Error::Late { program: "the network", limit: START_LIMIT });
        }
        match output.read(&mut buffer).context(words)? {
            0 => break,
            count => said.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// Waits until the supervisor has exited, and the container's ports are released with it. It detects the end of the
/// container by itself; the connection is closed when it exits.
fn wait_for_end(container: &Container) -> Result<()> {
    let address = SocketAddr::from_abstract_name(container.name()).context(|| container.name())?;
    // There is no supervisor if the network has ended already.
    let Ok(socket) = UnixStream::connect_addr(&address) else { return Ok(()) };
    if !is_of_us(&socket) {
        return Ok(());
    }
    let _ = socket.shutdown(Shutdown::Write);
    match rootling_sys::poll::wait_readable(socket.as_fd(), STOP_LIMIT) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Stays { id: container.id().to_owned(), limit: STOP_LIMIT }),
        Err(error) => Err(error).context(|| container.name()),
    }
}

/// Becomes the supervisor, and reports the result to the hook, which reads it from a pipe.
pub fn supervise(container: Result<Container>, network: &Network, programs: &NetworkPrograms) {
    let started = container.and_then(|container| Supervisor::start(&container, network, programs));
    match started {
        Ok(supervisor) => match supervisor::close_streams() {
            Ok(()) => supervisor.watch(),
            // The hook has not waited, so the container does not start.
            Err(_) => supervisor.end(),
        },
        Err(error) => drop(writeln!(io::stdout(), "{error}")),
    }
}
