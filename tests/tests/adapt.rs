//! `adapt`: what it makes of a config.json.

use rootling_tests::terminal::Terminal;
use rootling_tests::{Bundle, Cmd, Ids, Test, both, root, user};
use serde_json::{Value, json};

user!(
    adapted_spec_runs_as_it_is,
    adapting_again_changes_nothing,
    unknown_fields_stay,
    explanation_is_on_standard_error,
    diff_has_the_changes_alone,
    diff_is_coloured_on_a_terminal_unless_no_color_is_set,
    what_cannot_be_adapted_is_an_error,
);
root!(root_gets_its_spec_back);
both!(missing_bundle_is_named);

/// A spec for root, in which much has to be changed.
fn for_root(t: &Test) -> Bundle {
    let mut bundle = t.bundle(&["id", "-u"]);
    bundle.ids(Ids::None).without_namespace("network").set("/process/oomScoreAdj", (-1000).into());
    bundle.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]})).write();
    bundle
}

fn adapt(t: &Test, bundle: &Bundle, flags: &[&str]) -> Cmd {
    t.rootling(&["adapt", "-b"]).arg(bundle.dir()).args(flags)
}

fn adapted(t: &Test, bundle: &Bundle) -> Value {
    adapt(t, bundle, &[]).output().ok().json()
}

fn adapted_spec_runs_as_it_is(t: &Test) {
    let bundle = for_root(t);
    let output = adapt(t, &bundle, &[]).output().ok();
    let json = output.json();
    assert_eq!(json["linux"]["uidMappings"][0]["hostID"], t.account().uid);
    assert_eq!(json["mounts"][5]["type"], "bind", "a shared network has no sysfs of its own");
    bundle.write_text(&output.stdout);
    let run = t.rootling(&["run", "--no-adapt", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    assert_eq!(run.output().ok().stdout, "0\n");
}

fn adapting_again_changes_nothing(t: &Test) {
    let bundle = for_root(t);
    let first = adapt(t, &bundle, &[]).output().ok().stdout;
    bundle.write_text(&first);
    assert_eq!(adapt(t, &bundle, &[]).output().ok().stdout, first);
    let output = adapt(t, &bundle, &["--diff", "--explain"]).output().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", "nothing to change\n"));
}

fn unknown_fields_stay(t: &Test) {
    let mut bundle = for_root(t);
    bundle.set("/com.example.mine", json!({"a": 1})).set("/linux/future", json!([1])).write();
    let json = adapted(t, &bundle);
    assert_eq!((&json["com.example.mine"], &json["linux"]["future"]), (&json!({"a": 1}), &json!([1])));
}

fn explanation_is_on_standard_error(t: &Test) {
    let bundle = for_root(t);
    let output = adapt(t, &bundle, &["--explain"]).output().ok();
    assert_eq!(output.json(), adapted(t, &bundle));
    for part in [
        "linux.namespaces: added \"user\": an ordinary user",
        "mounts: /sys: replaced by a read-only bind",
        "rootling: warning: process.oomScoreAdj: raised from -1000",
        "rootling: warning: linux.resources.devices: dropped: device rules",
    ] {
        assert!(output.stderr.lines().any(|line| line.starts_with(part)), "{part}: {output}");
    }
}

fn diff_has_the_changes_alone(t: &Test) {
    let bundle = for_root(t);
    let output = adapt(t, &bundle, &["--diff"]).output().ok();
    assert!(output.stdout.starts_with("--- config.json\n+++ config.json, adapted\n@@ "), "{output}");
    assert!(output.stdout.contains("\n-      \"type\": \"sysfs\"\n"), "{output}");
    assert!(output.stdout.contains("\n+      \"type\": \"bind\"\n"), "{output}");
    assert!(!output.stdout.contains("\"/dev/pts\"") && !output.stdout.contains('\u{1b}'), "{output}");
}

fn diff_is_coloured_on_a_terminal_unless_no_color_is_set(t: &Test) {
    let bundle = for_root(t);
    for (name, value, coloured) in [("NO_COLOR", "", true), ("NO_COLOR", "1", false), ("TERM", "dumb", false)]
    {
        let terminal = Terminal::open(24, 80);
        let mut running = terminal.attach(adapt(t, &bundle, &["--diff"]).env(name, value)).spawn();
        let seen = terminal.read_until("\"bind\"");
        assert_eq!(seen.contains("\u{1b}[32m+"), coloured, "{name}={value}: {seen:?}");
        // The command must not wait for somebody to read the rest.
        let _ = running.child.kill();
    }
}

fn what_cannot_be_adapted_is_an_error(t: &Test) {
    let mut bundle = for_root(t);
    bundle
        .set("/linux/devices", json!([{"path": "/dev/no-such", "type": "c", "major": 1, "minor": 99}]))
        .write();
    adapt(t, &bundle, &[]).output().fails_with(&["linux.devices[0]", "/dev/no-such", "not on this host"]);
}

fn root_gets_its_spec_back(t: &Test) {
    let bundle = t.bundle(&["true"]);
    assert_eq!(adapted(t, bundle.write()), bundle.config);
    assert_eq!(adapt(t, &bundle, &["--diff"]).output().ok().stdout, "");
}

fn missing_bundle_is_named(t: &Test) {
    t.rootling(&["adapt", "-b", "/no/such"])
        .output()
        .fails_with(&["adapt: bundle /no/such: no such directory"]);
}
