//! `spec --network pasta`: a network of the container's own, by pasta or slirp4netns, in a world of network namespaces with
//! a server, a name server and nothing else.

use std::fs;

use rootling_tests::{Bundle, Cmd, Output, Test, Who, both, has_network_program, skip};

both!(
    container_reaches_servers_and_serves_published_ports,
    network_ends_with_the_container_whatever_ends_it,
    port_that_is_taken_stops_the_start,
    network_of_the_host_is_none_for_the_hook,
    other_runtimes_call_the_hook,
);

/// A network without a way out, in which 203.0.113.7 answers: `sh -c WORLD sh DIRECTORY PROBE SCRIPT [ARGUMENT...]`.
const WORLD: &str = r#"
    dir=$1 probe=$2 script=$3; shift 3
    echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range
    ip link set lo up && ip link add world type dummy && ip link set world up || exit 90
    ip addr add 198.51.100.1/24 dev world && ip addr add 203.0.113.7/32 dev lo || exit 91
    ip -6 addr add 2001:db8:1::1/64 dev world nodad && ip -6 addr add 2001:db8:2::7/128 dev lo nodad || exit 92
    ip route add default via 198.51.100.254 && ip -6 route add default via 2001:db8:1::fe dev world || exit 93
    echo 'nameserver 203.0.113.7' >"$dir/resolv.conf" && mount --bind "$dir/resolv.conf" /etc/resolv.conf || exit 94
    "$probe" serve 203.0.113.7 2001:db8:2::7 >"$dir/server" 2>&1 & server=$!
    trap 'kill $server' EXIT
    soon() { n=0; until "$@"; do n=$((n + 1)); [ $n -lt 600 ] || { echo "in vain: $*"; exit 95; }; sleep 0.1; done; }
    soon grep -qs serving "$dir/server"
    eval "$script"
"#;

/// Runs a script in the world. Its variables are the arguments: `$1`, `$2` and so on.
fn in_world(t: &Test, script: &str, arguments: &[&str]) -> Output {
    let flags = if t.who() == Who::Root { "-nm" } else { "-Urnm" };
    let command: Cmd = t.command("unshare").args(&[flags, "sh", "-c", WORLD, "sh"]);
    command.arg(t.open_directory("world")).arg(t.probe_on_host("host-probe")).arg(script).args(arguments).output()
}

/// A bundle with a network, as `spec` makes it with these flags.
fn bundle(t: &Test, flags: &[&str], script: &str) -> Bundle {
    let bundle = t.bundle(&["true"]);
    t.with_probe(&bundle);
    let spec = t.rootling_without_flags(&["spec", "--readonly", "-b"]).arg(bundle.dir());
    let spec = spec.args(&["--network", "pasta"]).args(flags).args(&["--", "sh", "-c", script]);
    spec.output().ok();
    bundle
}

/// What of the machine is used, as `doctor` has it.
fn has_pasta(t: &Test) -> bool {
    let report = t.rootling(&["doctor", "--json"]).output().json();
    let checks = report["checks"].as_array().expect("checks").clone();
    let found = checks.iter().find(|check| check["name"] == "network programs").expect("the check")["found"].clone();
    found.as_str().is_some_and(|found| found.starts_with("pasta"))
}

const CLIENT_AND_SERVER: &str = "
    probe ask tcp 203.0.113.7:7000; probe ask udp 203.0.113.7:7000
    nslookup server.test | grep -o 203.0.113.7 | tail -n 1
    ping -c 1 -w 10 203.0.113.7 >/dev/null && echo ping
    probe serve 0.0.0.0";

const HOST_SIDE: &str = r#"
    rootling=$1 bundle=$2 root=$3 id=$4
    "$rootling" --root "$root" run -d -b "$bundle" "$id" >"$dir/out" 2>&1 </dev/null || { cat "$dir/out"; exit 1; }
    soon grep -qs serving "$dir/out"
    "$probe" ask tcp 127.0.0.1:8080; "$probe" ask udp 127.0.0.1:8081; "$probe" ask tcp 127.0.0.1:8082
    "$rootling" --root "$root" delete -f "$id"
    cat "$dir/out"
"#;

fn container_reaches_servers_and_serves_published_ports(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    let ports = ["-p", "8080:7000", "-p", "127.0.0.1:8081:7000/udp", "-p", "127.0.0.1:8082-8083:7000-7001"];
    let bundle = bundle(t, &ports, CLIENT_AND_SERVER);
    let output = run_in_world(t, HOST_SIDE, &bundle);
    let outside = "over tcp\nover udp\nover tcp\n";
    let inside = "over tcp\nover udp\n203.0.113.7\nping\nserving\n";
    assert_eq!(output.stdout, format!("{outside}{inside}"), "{}", output.stderr);
    if has_pasta(t) {
        let v6 = "probe ask tcp '[2001:db8:2::7]:7000'; probe ask udp '[2001:db8:2::7]:7000'; probe serve ::";
        let script = HOST_SIDE.replace("127.0.0.1:", "[::1]:");
        let ports = ["-p", "8080:7000", "-p", "[::1]:8081:7000/udp", "-p", "[::1]:8082:7000"];
        let output = run_in_world(t, &script, &bundle_of(t, &ports, v6));
        assert_eq!(output.stdout, format!("{outside}over tcp\nover udp\nserving\n"), "{}", output.stderr);
    } else {
        skip("IPv6 in a container's own network takes pasta");
    }
}

use bundle as bundle_of;

fn run_in_world(t: &Test, script: &str, bundle: &Bundle) -> Output {
    let (rootling, dir, root, id) = (t.binary(), bundle.dir(), t.state_root(), t.id("c"));
    let words = [rootling, dir, &root].map(|path| path.to_str().expect("text").to_owned());
    in_world(t, script, &[&words[0], &words[1], &words[2], &id])
}

/// In each round something else is killed: nothing of the network is left when the container is deleted, and the container can
/// be run again with the same port.
const KILLS: &str = r#"
    rootling=$1 bundle=$2 root=$3 id=$4
    rootling() { "$rootling" --root "$root" "$@"; }
    parts() { busybox pgrep -f "/proc/$pid/ns/net" || :; }
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
    let bundle = bundle(t, &["-p", "8080:80"], "exec sleep 1000000");
    let output = run_in_world(t, KILLS, &bundle);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("program\nsupervisor\nnetwork\n", ""));
}

fn port_that_is_taken_stops_the_start(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    let bundle = bundle(t, &["-p", "203.0.113.7:7000:80"], "echo started");
    let script = r#""$1" --root "$3" run -b "$2" "$4"; echo "exit $?"; "$1" --root "$3" list -q"#;
    let output = run_in_world(t, script, &bundle);
    assert_eq!(output.stdout, "exit 1\n", "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    for part in ["createRuntime hook", "7000"] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}

fn network_of_the_host_is_none_for_the_hook(t: &Test) {
    let bundle = bundle(t, &[], "echo started");
    let path = bundle.dir().join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "network");
    config["linux"]["sysctl"] = serde_json::json!({});
    fs::write(&path, config.to_string()).unwrap();
    t.run_command(&bundle).output().fails_with(&["has the network of the host", "linux.namespaces"]);
}

fn other_runtimes_call_the_hook(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    for runtime in ["runc", "crun"] {
        let bundle = bundle(t, &[], "probe ask tcp 203.0.113.7:7000");
        let trial = t.bundle(&["true"]);
        let plain = t.rootling_without_flags(&["spec", "--readonly", "-b"]).arg(trial.dir());
        plain.args(&["--", "true"]).output().ok();
        let run = |bundle: &Bundle| {
            let script = r#"runtime=$5; "$runtime" --root "$3" run -b "$2" "$4" </dev/null"#;
            let (rootling, dir, root, id) = (t.binary(), bundle.dir(), t.path(runtime), t.id(runtime));
            let words = [rootling, dir, &root].map(|path| path.to_str().expect("text").to_owned());
            in_world(t, script, &[&words[0], &words[1], &words[2], &id, runtime])
        };
        if run(&trial).exit() != 0 {
            skip(&format!("{runtime} is not installed, or runs no container here"));
            continue;
        }
        let output = run(&bundle);
        assert_eq!(output.stdout, "over tcp\n", "{runtime}: {}", output.stderr);
    }
}
