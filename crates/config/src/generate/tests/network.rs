use serde_json::json;

use super::super::fixture::{caller, mount_at, paths, refused, strings, user};
use super::super::*;

fn pasta(options: &[&str], publish: &[&str]) -> Request {
    let pasta = Some(Pasta { options: strings(options), program: "/usr/bin/rootling".into() });
    let namespaces = Namespaces { network: NamespaceChoice::Private, ..Namespaces::default() };
    Request { pasta, publish: strings(publish), namespaces, ..Request::default() }
}

#[test]
fn the_mode_has_options() {
    let parse = |text| Pasta::parse(text, "/usr/bin/rootling".into()).map(|pasta| pasta.options);
    assert_eq!(parse("pasta"), Some(Vec::new()));
    assert_eq!(parse("pasta:-i,eth0"), Some(strings(&["-i", "eth0"])));
    for text in ["host", "pastas", "", "container:pasta"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn one_hook_stands_at_both_ends() {
    let spec = user(pasta(&["-i", "eth0"], &["8080:80", "127.0.0.1:53:53/udp"]));
    let args = [
        "rootling",
        "hook",
        "pasta",
        "--publish",
        "8080:80",
        "--publish",
        "127.0.0.1:53:53/udp",
        "--",
        "-i",
        "eth0",
    ];
    for kind in ["createRuntime", "poststop"] {
        let hook = &spec["hooks"][kind][0];
        assert_eq!((&hook["path"], &hook["args"]), (&json!("/usr/bin/rootling"), &json!(args)), "{kind}");
        assert_eq!(hook["timeout"], 60);
        assert!(hook["env"][0].as_str().is_some_and(|path| path.starts_with("PATH=/usr/local/sbin:")));
    }
    assert!(spec["linux"]["namespaces"].as_array().unwrap().contains(&json!({ "type": "network" })));
    assert_eq!(spec["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "0");
    assert_eq!(spec["linux"]["sysctl"]["net.ipv4.ping_group_range"], "0 0");
}

#[test]
fn names_are_asked_for_where_the_hook_forwards_them() {
    let files = paths()
        .text("/etc/resolv.conf", "nameserver 127.0.0.53\nsearch lan home\noptions edns0\nsearching x\n");
    let made = build(&pasta(&[], &[]), true, &caller(1000), &files).expect("a spec");
    let file = made.file.expect("a file");
    assert_eq!(
        (file.name, file.content.as_str()),
        ("resolv.conf", "search lan home\noptions edns0\nnameserver 10.0.2.3\n")
    );
    let spec = serde_json::to_value(made.spec).unwrap();
    let mount = mount_at(&spec, "/etc/resolv.conf");
    assert_eq!((&mount["source"], &mount["type"]), (&json!("resolv.conf"), &json!("bind")));
    assert!(mount["options"].as_array().unwrap().contains(&json!("ro")));
}

#[test]
fn what_the_user_has_chosen_stays() {
    let mut request = pasta(&[], &[]);
    request.volume = strings(&["/data:/etc"]);
    request.sysctl = strings(&["net.ipv4.ip_unprivileged_port_start=1024"]);
    let made = build(&request, true, &caller(1000), &paths()).expect("a spec");
    assert_eq!(made.file, None);
    let spec = serde_json::to_value(made.spec).unwrap();
    assert!(mount_at(&spec, "/etc/resolv.conf").is_null());
    assert_eq!(spec["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"], "1024");
}

#[test]
fn ports_that_cannot_be_are_refused() {
    for (publish, words) in [
        (&["80"][..], "--publish \"80\": names no port of the host"),
        (&["80:80", "80:81"], "--publish \"80:81\": this port of the host is published already"),
        (&["127.0.0.1:80-90:80-90", "85:1"], "--publish \"85:1\": this port"),
    ] {
        let error = refused(pasta(&[], publish));
        assert!(error.starts_with(words), "{error}");
    }
    let both = user(pasta(&[], &["53:53", "53:53/udp"]));
    assert_eq!(both["hooks"]["poststop"][0]["args"].as_array().unwrap().len(), 7);
    let error = refused(Request { publish: strings(&["80:80"]), ..Request::default() });
    assert!(error.contains("only a network that --network pasta gives"), "{error}");
}
