//! `--publish`: forwards ports of the host into the container's network.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The protocol of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The default.
    Tcp,
    /// `/udp`.
    Udp,
}

/// Ports of the host, and the ports of the container that they lead to: `[IP:]HOST:CONTAINER[/udp]`, where each may
/// be a range of the same length, such as `8000-8009`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// The address of the host to listen on; `None` stands for all addresses.
    pub ip: Option<IpAddr>,
    /// The ports of the host.
    pub host: RangeInclusive<u16>,
    /// The ports of the container.
    pub container: RangeInclusive<u16>,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl PublishedPort {
    /// Each pair of ports: the host's and the container's.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> {
        self.host.clone().zip(self.container.clone())
    }
}

const FORM: &str = "write [IP:]HOST:CONTAINER[/tcp|/udp], such as 127.0.0.1:8080:80";

/// What is wrong with a published port, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PublishError(String);

impl FromStr for PublishedPort {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((_, other)) => {
                return Err(PublishError(format!("protocol {other:?} is neither tcp nor udp")));
            }
        };
        let (rest, container) = ports
            .rsplit_once(':')
            .ok_or_else(|| PublishError(format!("names no port of the host; {FORM}")))?;
        let (ip, host) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((ip, host)) => (Some(address(ip)?), host),
        };
        let published = Self { ip, host: range(host)?, container: range(container)?, protocol };
        if published.host.len() != published.container.len() {
            let problem =
                format!("{host} and {container} are not as many ports; make the ranges equally long");
            return Err(PublishError(problem));
        }
        Ok(published)
    }
}

fn address(text: &str) -> Result<IpAddr, PublishError> {
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let parsed = match bracketed {
        Some(text) => text.parse().map(IpAddr::V6),
        None => text.parse().map(IpAddr::V4),
    };
    parsed.map_err(|_| {
        PublishError(format!(
            "{text:?} is not an address; write 127.0.0.1, or an IPv6 address in brackets, [::1]"
        ))
    })
}

fn range(text: &str) -> Result<RangeInclusive<u16>, PublishError> {
    let port = |text: &str| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| PublishError(format!("{text:?} is not a port from 1 to 65535; {FORM}")))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = port(first)?..=port(last)?;
    if range.is_empty() {
        return Err(PublishError(format!("the range {text} ends before it begins; exchange its ends")));
    }
    Ok(range)
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            None => {}
        }
        let udp = if self.protocol == Protocol::Udp { "/udp" } else { "" };
        write!(f, "{}:{}{udp}", Ports(&self.host), Ports(&self.container))
    }
}

/// Displays a range as it is typed: `80` or `8000-8009`.
pub struct Ports<'a>(pub &'a RangeInclusive<u16>);

impl fmt::Display for Ports<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.0.start(), self.0.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first}-{last}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_and_written() {
        for (text, ip, host, container, protocol) in [
            ("8080:80", None, 8080..=8080, 80..=80, Protocol::Tcp),
            ("53:53/udp", None, 53..=53, 53..=53, Protocol::Udp),
            ("127.0.0.1:8000-8009:9000-9009", Some("127.0.0.1"), 8000..=8009, 9000..=9009, Protocol::Tcp),
            ("[::1]:1:2", Some("::1"), 1..=1, 2..=2, Protocol::Tcp),
        ] {
            let published: PublishedPort = text.parse().expect(text);
            let ip = ip.map(|ip| ip.parse().unwrap());
            assert_eq!(published, PublishedPort { ip, host, container, protocol });
            assert_eq!(published.to_string(), text);
        }
        assert_eq!("8080:80/tcp".parse::<PublishedPort>().unwrap().to_string(), "8080:80");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("80", "names no port of the host"),
            ("", "names no port of the host"),
            ("0:80", "\"0\" is not a port"),
            ("80:65536", "\"65536\" is not a port"),
            (":80", "\"\" is not a port"),
            ("90-80:1-11", "ends before it begins"),
            ("80-90:80", "not as many"),
            ("80:80/sctp", "neither tcp nor udp"),
            ("::1:80:80", "in brackets"),
            ("localhost:80:80", "is not an address"),
        ] {
            let error = text.parse::<PublishedPort>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
