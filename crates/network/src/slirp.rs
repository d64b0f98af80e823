//! slirp4netns: a separate network behind address translation; slirp4netns(1).

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::RawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rootling_config::generate::{Protocol, PublishedPort};
use rootling_config::remedies;

use crate::container::Namespaces;
use crate::error::{Context, Error, Result};

/// How long the program may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The arguments. The program writes to `ready` when the network is set up, and exits when nobody has the other end
/// of `exit` open any more.
pub(crate) fn arguments(
    namespaces: &Namespaces,
    ready: RawFd,
    exit: RawFd,
    api: Option<&Path>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "--configure",
        "--mtu=65520",
        "--disable-host-loopback",
        "--enable-ipv6",
        "--enable-seccomp",
        "--netns-type=path",
    ]
    .map(OsString::from)
    .into();
    arguments.push(format!("--ready-fd={ready}").into());
    arguments.push(format!("--exit-fd={exit}").into());
    if let Some(user) = &namespaces.user {
        arguments.push(joined("--userns-path=", user));
    }
    arguments.extend(api.map(|api| joined("--api-socket=", api)));
    arguments.extend([namespaces.network.clone().into(), "tap0".into()]);
    arguments
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    text.push(path);
    text
}

/// Requests a published port on the program's own socket.
pub(crate) fn publish(api: &Path, port: &PublishedPort) -> Result<()> {
    for (host, container) in port.pairs() {
        let protocol = if port.protocol == Protocol::Tcp { "tcp" } else { "udp" };
        let address = port.ip.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let request = serde_json::json!({"execute": "add_hostfwd", "arguments": {
            "proto": protocol, "host_addr": address, "host_port": host, "guest_port": container}});
        let answer = ask(api, &request.to_string()).context(|| format!("slirp4netns, port {port}"))?;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        if answer.get("return").is_none() {
            let said = answer.pointer("/error/desc").and_then(|text| text.as_str()).unwrap_or("no answer");
            let remedy = if host < 1024 { remedies::LOW_PORTS } else { "is another program on the port?" };
            let said = format!("port {host} of {address}: {said}");
            return Err(Error::Failed { program: "slirp4netns", said, remedy });
        }
    }
    Ok(())
}

/// Sends a request and reads the answer: the socket takes a connection for each.
fn ask(api: &Path, request: &str) -> std::io::Result<String> {
    let mut socket = UnixStream::connect(api)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.write_all(request.as_bytes())?;
    socket.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    socket.take(64 << 10).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespaces_come_by_path() {
        let namespaces =
            Namespaces { network: "/proc/7/ns/net".into(), user: Some("/proc/7/ns/user".into()) };
        let words = arguments(&namespaces, 4, 5, Some(Path::new("/run/api")));
        let words = words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        assert_eq!(
            words,
            "--configure --mtu=65520 --disable-host-loopback --enable-ipv6 --enable-seccomp --netns-type=path \
             --ready-fd=4 --exit-fd=5 --userns-path=/proc/7/ns/user --api-socket=/run/api /proc/7/ns/net tap0"
        );
    }
}
