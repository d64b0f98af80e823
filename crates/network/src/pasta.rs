//! passt's pasta: the host's addresses and routes in the container, without address translation; pasta(1).

use std::ffi::OsString;
use std::net::IpAddr;

use rootling_config::generate::{NAME_SERVER, Ports, Protocol, PublishedPort};
use rootling_config::remedies;

use crate::Network;
use crate::container::Namespaces;

/// What is disabled unless it is asked for: pasta would make each port on which a program in the container listens
/// a port of the host, and the host's own loopback addresses reachable from inside.
const CLOSED: [(&str, &str, Option<&str>); 5] = [
    ("-t", "--tcp-ports", Some("none")),
    ("-u", "--udp-ports", Some("none")),
    ("-T", "--tcp-ns", Some("none")),
    ("-U", "--udp-ns", Some("none")),
    ("--no-map-gw", "--no-map-gw", None),
];

/// The arguments for a pasta that goes into the background once the network is set up.
pub(crate) fn arguments(network: &Network, namespaces: &Namespaces, is_root: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = ["--config-net", "--quiet", "--netns"].map(OsString::from).into();
    arguments.push(namespaces.network.clone().into());
    match &namespaces.user {
        Some(user) => arguments.extend(["--userns".into(), user.clone().into()]),
        None => arguments.push("--netns-only".into()),
    }
    if is_root {
        // Its default for root is nobody, who may not enter the container's namespaces.
        arguments.extend(["--runas", "0:0"].map(OsString::from));
    }
    arguments.extend(["--dns-forward".into(), NAME_SERVER.to_string().into()]);
    for port in &network.publish {
        let option = if port.protocol == Protocol::Tcp { "-t" } else { "-u" };
        arguments.extend([option.into(), forward(port).into()]);
    }
    for (short, long, value) in CLOSED {
        let given = network.options.iter().any(|option| option == short || option.starts_with(long));
        if !given && !arguments.iter().any(|argument| argument == short) {
            arguments.push(short.into());
            arguments.extend(value.map(OsString::from));
        }
    }
    arguments.extend(network.options.iter().map(OsString::from));
    arguments
}

/// Formats a port as `ADDRESS/PORTS:PORTS`.
fn forward(port: &PublishedPort) -> String {
    let ip = port.ip.map_or_else(String::new, |ip: IpAddr| format!("{ip}/"));
    format!("{ip}{}:{}", Ports(&port.host), Ports(&port.container))
}

/// The remedy for an error message of pasta.
pub(crate) fn remedy(said: &str) -> &'static str {
    if said.contains("/dev/net/tun") {
        remedies::OPEN_TUN
    } else if said.contains("Couldn't open network namespace") {
        crate::error::CLOSED
    } else if said.contains("Permission denied") && said.contains("port") {
        remedies::LOW_PORTS
    } else if said.contains("in use") {
        "publish another port, or stop the program that uses this one"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(network: &Network, user: bool, is_root: bool) -> String {
        let namespaces =
            Namespaces { network: "/proc/7/ns/net".into(), user: user.then(|| "/proc/7/ns/user".into()) };
        let words = arguments(network, &namespaces, is_root);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn nothing_is_open_that_nobody_asked_for() {
        assert_eq!(
            words(&Network::default(), true, false),
            "--config-net --quiet --netns /proc/7/ns/net --userns /proc/7/ns/user --dns-forward 10.0.2.3 \
             -t none -u none -T none -U none --no-map-gw"
        );
    }

    #[test]
    fn ports_and_options_take_the_place_of_none() {
        let publish =
            ["127.0.0.1:8080:80", "[::1]:53:53/udp", "1-2:3-4"].map(|text| text.parse().unwrap()).into();
        let options = ["-T", "auto", "--mtu", "1500"].map(str::to_owned).into();
        assert_eq!(
            words(&Network { publish, options }, false, true),
            "--config-net --quiet --netns /proc/7/ns/net --netns-only --runas 0:0 --dns-forward 10.0.2.3 \
             -t 127.0.0.1/8080:80 -u ::1/53:53 -t 1-2:3-4 -U none --no-map-gw -T auto --mtu 1500"
        );
    }
}
