//! `spec --network pasta`: a separate network for the container, with pasta or slirp4netns, in a world of network
//! namespaces with a server and a name server and nothing else.

use std::sync::atomic::{AtomicU32, Ordering};

use rootling_tests::{Output, Test, Who, both, has_network_program, skip};
use serde_json::json;

both!(
    container_reaches_servers_and_serves_published_ports,
    network_ends_with_the_container_whatever_ends_it,
    loopback_of_the_host_is_closed,
    port_that_is_taken_stops_the_start,
    network_of_the_host_is_none_for_the_hook,
    other_runtimes_call_the_hook,
);

/// A network without a way out, in which 203.0.113.7 answers: `sh -c WORLD sh DIRECTORY PROBE ROOTLING STATE BUNDLE
/// ID SCRIPT PROGRAM [FLAG...]`. PROGRAM is run by the shell in the bundle, which is made with these flags of
/// `spec`.
const WORLD: &str = r#"
    dir=$1 probe=$2 rootling=$3 state=$4 bundle=$5 id=$6 script=$7 program=$8; shift 8
    rootling() { "$rootling" --root "$state" "$@"; }
    # Of one id in a user namespace.
    echo 0 0 >/proc/sys/net/ipv4/ping_group_range
    ip link set lo up && ip link add world type veth peer name other && ip link set world up && ip link set other up || exit 90
    ip addr add 198.51.100.1/24 dev world && ip addr add 203.0.113.7/32 dev lo || exit 91
    ip -6 addr add 2001:db8:1::1/64 dev world nodad && ip -6 addr add 2001:db8:2::7/128 dev lo nodad || exit 92
    ip route add default via 198.51.100.254 && ip -6 route add default via 2001:db8:1::fe dev world || exit 93
    echo 'nameserver 203.0.113.7' >"$dir/resolv.conf" && mount --bind "$dir/resolv.conf" /etc/resolv.conf || exit 94
    "$probe" serve 203.0.113.7 127.0.0.1 2001:db8:2::7 >"$dir/server" 2>&1 & server=$!
    trap 'kill $server' EXIT
    soon() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 600 ] || { echo "in vain: $*"; exit 95; }; sleep 0.1; done; }
    soon grep -qs serving "$dir/server"
    # Made here: what the caller's ids are called differs.
    rootling spec --readonly -b "$bundle" "$@" -- sh -c "$program" || exit 96
    eval "$script"
"#;

/// Runs a script in this network, with a bundle for a program.
fn in_world(t: &Test, script: &str, program: &str, flags: &[&str]) -> Output {
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    let world = WORLDS.fetch_add(1, Ordering::Relaxed);
    let bundle = t.bundle(&["true"]);
    t.with_probe(&bundle);
    let (namespaces, rootless) =
        if t.who() == Who::Root { ("-nm", None) } else { ("-Urnm", Some("--rootless")) };
    let command = t.command("unshare").args(&[namespaces, "sh", "-c", WORLD, "sh"]);
    let command = command.arg(t.open_directory(&format!("world{world}")));
    let command =
        command.arg(t.probe_on_host(&format!("host-probe{world}"))).arg(t.binary()).arg(t.state_root());
    let command = command.arg(bundle.dir()).arg(t.id("c")).args(&[script, program]);
    command.args(rootless.as_slice()).args(flags).output()
}

/// Whether pasta is installed and not so old that slirp4netns is used instead.
fn has_pasta(t: &Test) -> bool {
    t.command("sh").args(&["-c", "pasta --help | grep -q -e --map-host-loopback"]).output().exit() == 0
}

const CLIENT_AND_SERVER: &str = "
    probe ask tcp 203.0.113.7:7000; probe ask udp 203.0.113.7:7000
    nslookup server.test | grep -o 203.0.113.7 | tail -n 1
    ping -c 1 -w 10 203.0.113.7 >/dev/null && echo ping
    probe serve 0.0.0.0";

const HOST_SIDE: &str = r#"
    rootling run -d -b "$bundle" "$id" >"$dir/out" 2>&1 </dev/null || { cat "$dir/out"; exit 1; }
    soon grep -qs serving "$dir/out"
    "$probe" ask tcp 127.0.0.1:8080; "$probe" ask udp 198.51.100.1:8081; "$probe" ask tcp 127.0.0.1:8082
    rootling delete -f "$id"
    cat "$dir/out"
"#;

fn container_reaches_servers_and_serves_published_ports(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    let ports = ["--network", "pasta", "-p", "8080:7000", "-p", "198.51.100.1:8081:7000/udp", "-p"];
    // busybox' ping needs a raw socket.
    let flags = [&ports[..], &["127.0.0.1:8082-8083:7000-7001", "--cap-add", "NET_RAW"]].concat();
    let output = in_world(t, HOST_SIDE, CLIENT_AND_SERVER, &flags);
    let outside = "over tcp\nover udp\nover tcp\n";
    let inside = "over tcp\nover udp\n203.0.113.7\nping\nserving\n";
    assert_eq!(output.stdout, format!("{outside}{inside}"), "{}", output.stderr);
    if has_pasta(t) {
        let program =
            "probe ask tcp '[2001:db8:2::7]:7000'; probe ask udp '[2001:db8:2::7]:7000'; probe serve ::";
        let script = HOST_SIDE.replace("127.0.0.1:", "[::1]:").replace("198.51.100.1:", "[2001:db8:1::1]:");
        let ports = ["-p", "8080:7000", "-p", "[2001:db8:1::1]:8081:7000/udp", "-p", "[::1]:8082:7000"];
        let output = in_world(t, &script, program, &[&["--network", "pasta"], &ports[..]].concat());
        assert_eq!(output.stdout, format!("{outside}over tcp\nover udp\nserving\n"), "{}", output.stderr);
    } else {
        skip("IPv6 in a container's own network takes pasta");
    }
}

/// In each round something else is killed: nothing of the network is left when the container is deleted, and the
/// container can be run again with the same port.
const KILLS: &str = r#"
    # By the namespace, and by a port that is of this test alone. The brackets keep grep from finding itself.
    parts() {
        for part in $(grep -lsz -e "/proc/$pid/n[s]/net" -e "^PORT:8[0]$" /proc/[0-9]*/cmdline | cut -d/ -f3); do
            case $(cat "/proc/$part/comm" 2>/dev/null) in pasta* | slirp4netns) echo "$part" ;; esac
        done
    }
    none() { [ -z "$(parts)" ]; }
    running() { rootling state "$id" | grep -q '"status": "running"'; }
    stopped() { rootling state "$id" | grep -q '"status": "stopped"'; }
    for what in program supervisor network; do
        rootling run -d -b "$bundle" "$id" >"$dir/out" 2>&1 </dev/null || { cat "$dir/out"; exit 1; }
        pid=$(rootling state "$id" | sed -n 's/.*"pid": \([0-9]*\),*/\1/p')
        [ -n "$(parts)" ] || echo "no network for $pid"
        network=$(parts | head -n 1)
        supervisor=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$network/status")
        case $what in
        program) kill -KILL "$pid"; soon stopped; soon none ;;
        supervisor) kill -KILL "$supervisor"; running || echo 'the container has ended' ;;
        network) kill -KILL $(parts); running || echo 'the container has ended' ;;
        esac
        rootling delete -f "$id"
        soon none
        echo "$what"
    done
"#;

fn network_ends_with_the_container_whatever_ends_it(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    let port = if t.who() == Who::Root { "8090" } else { "8091" };
    let publish = format!("{port}:80");
    let flags = ["--network", "pasta", "--publish", &publish];
    let output = in_world(t, &KILLS.replace("PORT", port), "exec sleep 1000000", &flags);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("program\nsupervisor\nnetwork\n", ""));
}

/// The gateways through which pasta and slirp4netns can show the host's own addresses, ordered by the programs'
/// names.
fn loopback_of_the_host_is_closed(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    let program = "for gateway in 198.51.100.254 10.0.2.2; do probe ask tcp $gateway:7000 | grep over; done; echo asked";
    let output = in_world(t, r#"rootling run -b "$bundle" "$id""#, program, &["--network", "pasta"]);
    assert_eq!(output.stdout, "asked\n", "{}", output.stderr);
}

fn port_that_is_taken_stops_the_start(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    let script = r#"rootling run -b "$bundle" "$id"; echo "exit $?"; rootling list -q"#;
    let output = in_world(t, script, "echo started", &["--network", "pasta", "-p", "203.0.113.7:7000:80"]);
    assert_eq!(output.stdout, "exit 1\n", "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    for part in ["createRuntime hook", "7000"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}

fn network_of_the_host_is_none_for_the_hook(t: &Test) {
    let mut bundle = t.bundle(&["echo", "started"]);
    let hook = json!({"path": t.binary(), "args": ["rootling", "hook", "pasta"]});
    bundle.set("/hooks/createRuntime", json!([hook]));
    let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.retain(|namespace| namespace["type"] != "network");
    t.run(bundle.write()).fails_with(&["has the network of the host", "linux.namespaces"]);
}

fn other_runtimes_call_the_hook(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    for runtime in ["runc", "crun"] {
        if runtime == "crun" && t.who() == Who::User {
            skip("crun keeps its waiting process from an ordinary user, and so from the hook");
            continue;
        }
        let run = format!(r#"{runtime} --root "$dir/state" run -b "$bundle" "$id" </dev/null"#);
        if in_world(t, &run, "true", &["--network", "private"]).exit() != 0 {
            skip(&format!("{runtime} is not installed, or runs no container here"));
            continue;
        }
        let output = in_world(t, &run, "probe ask tcp 203.0.113.7:7000", &["--network", "pasta"]);
        assert_eq!(output.stdout, "over tcp\n", "{runtime}: {}", output.stderr);
    }
}
