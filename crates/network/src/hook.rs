//! The hook: what a runtime calls, and waits for.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::container::{Container, Pin};
use crate::error::{Context, Error, Result};
use crate::supervisor::{self, READY, is_of_us};

/// How long a network may take to come up, beyond what its program has for itself.
const START_LIMIT: Duration = Duration::from_secs(25);

/// How long a network may take to go.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Does what is due for the container: gives it a network before its start, and sees it off after its end. `supervise` are
/// the arguments with which this very program becomes the supervisor.
///
/// # Errors
/// Why there is no network, or why it does not end.
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
    let said = converse(&mut child, container);
    match said {
        Ok(said) if said == READY => return Ok(()),
        Ok(said) if said.trim().is_empty() => {
            return Err(Error::Said("the supervisor has ended without a word".to_owned()));
        }
        Ok(said) => return Err(Error::Said(said.trim().to_owned())),
        Err(_) => {}
    }
    // It may hang; the programs that it has started go with it.
    let _ = child.kill();
    let _ = child.wait();
    Err(said.err().unwrap_or_else(|| Error::Said(String::new())))
}

/// Tells the supervisor its container, and reads its one line.
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

/// Waits until the supervisor has gone, and the container's ports with it. It has seen the end of the container by itself;
/// the connection is closed when it ends.
fn wait_for_end(container: &Container) -> Result<()> {
    let address = SocketAddr::from_abstract_name(container.name()).context(|| container.name())?;
    // None is there where the network has ended already.
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

/// Becomes the supervisor, and says how that went to the hook, which reads it from a pipe.
pub fn supervise(container: Result<Container>, network: &crate::Network) {
    let started = container.and_then(|container| supervisor::Supervisor::start(&container, network));
    let mut output = io::stdout();
    match started {
        Ok(supervisor) => {
            // The hook's streams are the runtime's, which waits for their end.
            if supervisor::close_streams().is_ok() {
                supervisor.watch();
            }
        }
        Err(error) => drop(writeln!(output, "{error}")),
    }
}
