//! The files of docs/ci.md: the page shows them as they are, and their steps run as described.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use rootling_tests::docs::fenced;
use rootling_tests::{Cmd, Output, Test, both, has_network_program, skip, source, user};
use saphyr::{LoadableYamlNode, Yaml};

both!(output_and_exit_code_are_those_of_the_command, container_has_a_limit_and_a_network);
user!(steps_of_each_service_run, archive_is_run_as_well, what_is_wrong_is_said,);

const SERVICES: [&str; 3] = ["github.yml", "gitlab.yml", "woodpecker.yml"];

/// Lines of a script, or actions, that no test can run, by their beginning, with the reason.
const NOT_RUN: [(&str, &str, &str); 6] = [
    ("github.yml", "actions/checkout@", "the directory of the test is the checkout"),
    ("github.yml", "actions/upload-artifact@", "the test looks at the logs itself"),
    ("github.yml", "curl ", "it fetches the package; install.rs and `make test-engines` install it"),
    ("github.yml", "sudo apt-get ", "it installs packages on the machine"),
    ("gitlab.yml", "curl ", "it fetches the tarball; install.rs unpacks one"),
    ("woodpecker.yml", "curl ", "it fetches the tarball; install.rs unpacks one"),
];

#[test]
fn page_shows_the_files_as_they_are() {
    let shown = fenced("docs/ci.md");
    for (name, language) in SERVICES.map(|name| (name, "yaml")).into_iter().chain([("container.sh", "sh")]) {
        let file = fs::read_to_string(source(&format!("hack/ci/{name}"))).expect("read the file");
        let is_there = shown.iter().any(|(of, text)| of == language && *text == file);
        assert!(is_there, "docs/ci.md has no block of {language} that is hack/ci/{name}");
    }
}

#[test]
fn each_line_that_is_not_run_is_there_with_its_reason() {
    for (file, beginning, why) in NOT_RUN {
        let there = steps(file).iter().any(|step| match step {
            Step::Action(name) => name.starts_with(beginning),
            Step::Script(lines) => lines.iter().any(|line| line.starts_with(beginning)),
        });
        assert!(there, "{file} has nothing that begins with {beginning:?} any more: remove it from NOT_RUN");
        eprintln!("not run: {file}: {beginning}: {why}");
    }
}

enum Step {
    /// An action of the service's own.
    Action(String),
    /// Lines for a single shell.
    Script(Vec<String>),
}

fn is_not_run(file: &str, text: &str) -> bool {
    NOT_RUN.iter().any(|(of, beginning, _)| file == *of && text.starts_with(beginning))
}

fn text(yaml: &Yaml<'_>) -> String {
    yaml.as_str().unwrap_or_else(|| panic!("no text: {yaml:?}")).to_owned()
}

/// The lines of a text or of a list of texts.
fn lines(yaml: Option<&Yaml<'_>>) -> Vec<String> {
    let Some(yaml) = yaml else { return Vec::new() };
    let texts = yaml.as_sequence().map_or_else(|| vec![text(yaml)], |all| all.iter().map(text).collect());
    texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

/// The steps of a service in order.
fn steps(file: &str) -> Vec<Step> {
    let written = fs::read_to_string(source(&format!("hack/ci/{file}"))).expect("read the file");
    let documents = Yaml::load_from_str(&written).unwrap_or_else(|error| panic!("{file}: {error}"));
    let [job] = &documents[..] else { panic!("{file}: more than one document") };
    let get = |yaml: &'static str| job.as_mapping_get(yaml);
    match file {
        "github.yml" => {
            let test = get("jobs").and_then(|jobs| jobs.as_mapping_get("test")).expect("jobs.test");
            let steps = test.as_mapping_get("steps").and_then(Yaml::as_sequence).expect("its steps");
            let of = |step: &Yaml<'_>| match step.as_mapping_get("uses") {
                Some(action) => Step::Action(text(action)),
                None => Step::Script(lines(step.as_mapping_get("run"))),
            };
            steps.iter().map(of).collect()
        }
        "gitlab.yml" => {
            let test = get("test").expect("test");
            let both = ["before_script", "script"].map(|part| lines(test.as_mapping_get(part)));
            vec![Step::Script(both.concat())]
        }
        "woodpecker.yml" => {
            let steps = get("steps").and_then(Yaml::as_sequence).expect("steps");
            steps.iter().map(|step| Step::Script(lines(step.as_mapping_get("commands")))).collect()
        }
        other => panic!("{other}: how are its steps written?"),
    }
}

/// A checkout with the script, as the page says, and with the programs in PATH.
fn checkout(t: &Test) -> PathBuf {
    let dir = t.path("checkout");
    for made in [dir.clone(), dir.join("ci"), t.path("bin"), t.path("tmp")] {
        fs::create_dir(&made).expect("make a directory");
        chown(&made, Some(t.account().uid), Some(t.account().gid)).expect("chown of a directory");
    }
    fs::copy(source("hack/ci/container.sh"), dir.join("ci/container.sh")).expect("copy the script");
    symlink(t.binary(), t.path("bin/rootling")).expect("link to the program");
    symlink(t.binary().with_file_name("rootling-image"), t.path("bin/rootling-image")).expect("link");
    dir
}

/// A command in the checkout, with the programs in PATH.
fn in_checkout(t: &Test, command: &[&str]) -> Cmd {
    let path = format!("{}:{}", t.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let command = t.command(command[0]).args(&command[1..]).dir(t.path("checkout"));
    command.env("PATH", path).env("TMPDIR", t.path("tmp")).env("HOME", t.path("tmp"))
}

fn log(t: &Test, name: &str) -> String {
    fs::read_to_string(t.path("checkout/logs").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the script gets as NETWORK: the host's, with a message, if there is no other.
fn network(t: &Test) -> &'static str {
    if has_network_program(t) { "pasta" } else { "host" }
}

fn run(t: &Test, image: &str, command: &[&str]) -> Output {
    let line = [&["sh", "ci/container.sh", image], command].concat();
    in_checkout(t, &line).env("NETWORK", network(t)).output()
}

fn nothing_is_left(t: &Test) {
    let left: Vec<_> = fs::read_dir(t.path("tmp")).expect("the directory").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn steps_of_each_service_run(t: &Test) {
    checkout(t);
    let network = network(t);
    for file in SERVICES {
        let mut count = 0;
        for step in steps(file) {
            let Step::Script(mut lines) = step else { continue };
            lines.retain(|line| !is_not_run(file, line));
            if lines.is_empty() {
                continue;
            }
            count += 1;
            // All three services end a step at the first command that fails.
            let script = format!("set -eo pipefail\n{}", lines.join("\n"));
            let output = in_checkout(t, &["bash", "-c", &script]).env("NETWORK", network).output().ok();
            assert!(output.stdout.contains("user 0 in /src\n"), "{file}: {output}");
        }
        assert!(count > 0, "{file}: nothing was run");
        assert_eq!(
            (log(t, "exit-code"), log(t, "stdout.log")),
            ("0\n".into(), "user 0 in /src\n".into()),
            "{file}"
        );
        fs::remove_dir_all(t.path("checkout/logs")).expect("remove the logs");
        let _ = fs::remove_dir_all(t.path("tmp/.local"));
        let _ = fs::remove_dir_all(t.path("tmp/.cache"));
    }
    nothing_is_left(t);
}

fn output_and_exit_code_are_those_of_the_command(t: &Test) {
    checkout(t);
    let output =
        run(t, "busybox:", &["sh", "-c", "echo out; echo err >&2; echo made >/src/made; exit 7"]).code(7);
    assert_eq!((output.stdout.as_str(), log(t, "stdout.log").as_str()), ("out\n", "out\n"), "{output}");
    assert!(output.stderr.contains("err\n") && log(t, "stderr.log").contains("err\n"), "{output}");
    assert_eq!(log(t, "exit-code"), "7\n");
    assert_eq!(fs::read_to_string(t.path("checkout/made")).expect("what it made"), "made\n");
    let _ = fs::remove_dir_all(t.path("tmp/.cache"));
    nothing_is_left(t);
}

fn container_has_a_limit_and_a_network(t: &Test) {
    if !has_network_program(t) {
        return;
    }
    checkout(t);
    let script =
        "cat /proc/net/dev; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; true";
    let output = run(t, "busybox:", &["sh", "-c", script]).ok();
    let devices = output.stdout.lines().filter(|line| line.contains(':')).count();
    assert_eq!(devices, 2, "the loopback and one that leads out: {output}");
    let limited = output.stdout.lines().any(|line| line == (512_u64 << 20).to_string());
    let said = log(t, "unpack.log").contains("memory");
    assert!(limited != said, "limited: {limited}, left out with a warning: {said}: {output}");
    if said {
        skip("this caller may set no limits here, which is a warning");
    }
}

fn archive_is_run_as_well(t: &Test) {
    let bundle = t.bundle(&["true"]);
    checkout(t);
    t.command("tar")
        .args(&["-czf", "checkout/root.tar.gz", "-C"])
        .arg(bundle.rootfs(""))
        .arg(".")
        .output()
        .ok();
    let output = run(t, "root.tar.gz", &["sh", "-c", "test -e /src/root.tar.gz && echo archive"]).ok();
    assert_eq!(output.stdout, "archive\n", "{output}");
}

fn what_is_wrong_is_said(t: &Test) {
    checkout(t);
    let script = |image: &[&str], path: &str| {
        let command = in_checkout(t, &[&["sh", "ci/container.sh"], image].concat());
        let command = if path.is_empty() { command } else { command.env("PATH", path) };
        command.output().code(125)
    };
    for (arguments, path, words) in [
        (&["busybox:"][..], "", "usage: container.sh IMAGE COMMAND"),
        (&["missing.tar", "true"], "", "missing.tar cannot be unpacked"),
        (&["busybox:", "true"], "/usr/bin:/bin", "this host runs no containers"),
    ] {
        let output = script(arguments, path);
        assert!(output.stderr.contains(words), "{arguments:?}: {output}");
    }
    nothing_is_left(t);
}
