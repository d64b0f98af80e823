//! create, state, start, list, kill, delete.

use std::fs::{self, File};

use rootling_tests::{Test, both, eventually};
use serde_json::{Value, json};

both!(
    container_goes_from_created_to_running_to_stopped,
    program_does_not_run_before_start,
    container_without_a_process_is_created_and_not_started,
    state_has_the_fields_of_runc,
    list_has_the_fields_of_runc,
    list_prints_a_table_and_ids,
    list_of_nothing_is_empty,
    list_of_more_containers_than_descriptors_is_complete,
    create_writes_the_pid_file,
    create_passes_the_callers_streams,
    kill_takes_signals_by_name_and_number,
    kill_all_reaches_every_process,
    delete_of_a_created_container_ends_it,
    forced_delete_ends_a_running_container,
    forced_delete_of_an_unknown_container_succeeds,
    container_that_ends_by_itself_is_stopped,
    kept_container_stays_after_its_end,
    preserved_descriptors_reach_the_program,
    sockets_of_systemd_reach_the_program_of_the_process_that_they_are_for,
    log_file_gets_the_error_as_json,
    spec_can_be_run,
);

fn container_goes_from_created_to_running_to_stopped(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    assert_eq!(t.create(bundle.write(), "c").ok().stdout, "");
    assert_eq!(t.status("c"), "created");
    assert_eq!(t.start("c").ok().stdout, "");
    assert_eq!(t.status("c"), "running");
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
    assert_eq!(t.rootling(&["delete", &t.id("c")]).output().ok().stdout, "");
}

fn program_does_not_run_before_start(t: &Test) {
    let bundle = t.shell("echo done >/tmp/ran");
    t.create(bundle.write(), "c").ok();
    let ran = bundle.rootfs("tmp/ran");
    assert!(!ran.exists());
    t.start("c").ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
    assert_eq!(fs::read_to_string(ran).expect("the program's file"), "done\n");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

/// runtime-spec, config.md "Process": it is required when start is called.
fn container_without_a_process_is_created_and_not_started(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.remove("/process");
    t.create(bundle.write(), "c").ok();
    for _ in 0..2 {
        t.start("c").code(1).fails_with(&["process property must not be empty", "config.json"]);
        assert_eq!(t.status("c"), "created");
    }
    let id = t.id("c");
    let inside = t.rootling(&["exec", &id, "/bin/sh", "-c", "cat /proc/1/status"]).output().ok().stdout;
    assert!(inside.contains("CapPrm:\t0000000000000000"), "{inside}");
    t.rootling(&["delete", &id]).output().ok();
    let why = "process: process property must not be empty; add an object with args, cwd and user";
    t.run(&bundle).code(1).fails_with(&[why]);
    let ids = t.rootling(&["list", "-q"]).output().ok().stdout;
    assert_eq!(ids, "", "run has left something");
}

fn state_has_the_fields_of_runc(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/annotations", json!({"org.example.key": "value"}));
    t.create(bundle.write(), "c").ok();
    let state = t.state("c");
    assert_eq!(state["id"], t.id("c"));
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bundle.dir().to_string_lossy().as_ref());
    assert_eq!(state["rootfs"], bundle.rootfs("").to_string_lossy().trim_end_matches('/'));
    assert_eq!(state["annotations"], json!({"org.example.key": "value"}));
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
    assert!(state["created"].as_str().is_some_and(is_utc_time), "{state}");
    // An empty string, as with runc.
    assert_eq!(state["owner"], "");
    let pid = state["pid"].as_i64().expect("pid is a number");
    assert!(fs::exists(format!("/proc/{pid}")).expect("look for the process"));
    t.delete_force("c").ok();
}

/// Whether the text is RFC 3339 in UTC, as in 2026-01-02T03:04:05.123456789Z.
fn is_utc_time(text: &str) -> bool {
    text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T' && text.starts_with("20")
}

fn list_has_the_fields_of_runc(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    bundle.write();
    for name in ["b", "a"] {
        t.create(&bundle, name).ok();
    }
    t.start("a").ok();
    let list = t.rootling(&["list", "-f", "json"]).output().ok().json();
    let list = list.as_array().expect("a list");
    let ids_and_states: Vec<_> =
        list.iter().map(|item| (item["id"].clone(), item["status"].clone())).collect();
    let expected = [(t.id("a"), "running"), (t.id("b"), "created")];
    assert_eq!(ids_and_states, expected.map(|(id, status)| (Value::from(id), Value::from(status))));
    for item in list {
        let mut fields: Vec<_> = item.as_object().expect("an object").keys().map(String::as_str).collect();
        fields.sort_unstable();
        fields.retain(|field| *field != "annotations");
        assert_eq!(fields, ["bundle", "created", "id", "ociVersion", "owner", "pid", "rootfs", "status"]);
        assert_eq!(item["owner"], t.account().name.as_str());
    }
    for name in ["a", "b"] {
        t.delete_force(name).ok();
    }
}

fn list_prints_a_table_and_ids(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    let id = t.id("c");
    assert_eq!(t.rootling(&["list", "-q"]).output().ok().stdout, format!("{id}\n"));
    let table = t.rootling(&["list"]).output().ok().stdout;
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let pid = t.state("c")["pid"].to_string();
    assert_eq!(lines[1][..4], [&id, &pid, "created", bundle.dir().to_str().expect("a path in UTF-8")]);
    assert_eq!(lines.len(), 2);
    t.delete_force("c").ok();
}

fn list_of_more_containers_than_descriptors_is_complete(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.rootling(&["run", "--keep", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    let (root, first) = (t.state_root().display().to_string(), t.id("c"));
    let copies = format!(
        "cd {root}; for n in $(seq 40); do cp -a {first} {first}-$n; \
         sed -i \"s/{first}/&-$n/\" {first}-$n/state.json; done"
    );
    t.command("sh").args(&["-c", &copies]).output().ok();
    for format in [&["-q"][..], &["-f", "table"]] {
        let list = t.rootling(&["list"]).args(format).under(&["sh", "-c", "ulimit -n 20; exec \"$@\"", "sh"]);
        let lines = list.output().ok().stdout;
        assert_eq!(lines.lines().filter(|line| line.contains(&first)).count(), 41, "{lines}");
    }
    let remove = format!("cd {root}; for n in $(seq 40); do rm -r {first}-$n; done");
    t.command("sh").args(&["-c", &remove]).output().ok();
    t.delete_force("c").ok();
}

fn list_of_nothing_is_empty(t: &Test) {
    // Naming a directory that does not exist is a mistake, as with runc.
    t.rootling(&["list", "-q"]).output().fails_with(&["state directory", "ENOENT"]);
    fs::create_dir(t.state_root()).expect("make the state directory");
    assert_eq!(t.rootling(&["list", "-q"]).output().ok().stdout, "");
    let list = t.rootling(&["list", "-f", "json"]).output().ok();
    assert!(["null", "[]"].contains(&list.text()), "{list}");
}

fn create_writes_the_pid_file(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let file = t.path("pid");
    let create = t.rootling(&["create", "--pid-file"]).arg(&file).arg("--bundle").arg(bundle.write().dir());
    create.arg(t.id("c")).output().ok();
    let pid = fs::read_to_string(&file).expect("read the pid file");
    assert_eq!(pid, t.state("c")["pid"].to_string());
    t.delete_force("c").ok();
}

fn create_passes_the_callers_streams(t: &Test) {
    let bundle = t.shell("cat; echo error >&2");
    let create = t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    let (out, err) = (t.path("out"), t.path("err"));
    let file = |path| File::create(path).expect("make a file for output");
    create.input(b"from the caller\n").stdout(file(&out)).stderr(file(&err)).output().ok();
    t.start("c").ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
    assert_eq!(fs::read_to_string(out).expect("read the output"), "from the caller\n");
    assert_eq!(fs::read_to_string(err).expect("read the errors"), "error\n");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn kill_takes_signals_by_name_and_number(t: &Test) {
    let script = "trap 'echo usr1 >>/tmp/got' USR1; touch /tmp/ready; while :; do sleep 0.05; done";
    let bundle = t.shell(script);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("the trap is set", || bundle.rootfs("tmp/ready").exists());
    for (count, signal) in ["USR1", "SIGUSR1", "10", "usr1"].into_iter().enumerate() {
        t.rootling(&["kill", &t.id("c"), signal]).output().ok();
        let arrived = || fs::read_to_string(bundle.rootfs("tmp/got")).unwrap_or_default().lines().count();
        eventually("the signal has arrived", || arrived() == count + 1);
    }
    t.rootling(&["kill", &t.id("c"), "SIGNOTHING"]).output().fails_with(&["SIGNOTHING"]);
    t.delete_force("c").ok();
}

fn kill_all_reaches_every_process(t: &Test) {
    let bundle = t.shell("sleep 1000 & sleep 1000 & touch /tmp/ready; wait");
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("the processes run", || bundle.rootfs("tmp/ready").exists());
    t.rootling(&["kill", "-a", &t.id("c"), "KILL"]).output().ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn delete_of_a_created_container_ends_it(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.create(bundle.write(), "c").ok();
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn forced_delete_ends_a_running_container(t: &Test) {
    let bundle = t.shell("trap '' TERM; touch /tmp/ready; sleep 1000 & while :; do sleep 1; done");
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("the container ignores TERM", || bundle.rootfs("tmp/ready").exists());
    t.rootling(&["delete", "--force", &t.id("c")]).output().ok();
}

fn forced_delete_of_an_unknown_container_succeeds(t: &Test) {
    t.delete_force("never").ok();
}

fn container_that_ends_by_itself_is_stopped(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
    assert_eq!(t.state("c")["pid"], 0);
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn kept_container_stays_after_its_end(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.rootling(&["run", "--keep", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    assert_eq!(t.status("c"), "stopped");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn preserved_descriptors_reach_the_program(t: &Test) {
    let path = t.path("file");
    fs::write(&path, "through descriptor 3\n").expect("write the file");
    let bundle = t.shell("cat <&3");
    // The shell gives its child descriptor 3, which std would close.
    let redirect = ["sh", "-c", r#"exec 3<"$0"; exec "$@""#, path.to_str().expect("a path in UTF-8")];
    let run = t.rootling(&["run", "--preserve-fds", "1", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    assert_eq!(run.under(&redirect).output().ok().stdout, "through descriptor 3\n");
}

fn log_file_gets_the_error_as_json(t: &Test) {
    let log = t.path("log");
    let id = t.id("never");
    let unknown = ["create", "--no-such-option", &id];
    // This includes errors in the command line itself: an engine reads nothing else.
    for (args, words) in [
        (&["state", &id][..], &*id),
        (&unknown, "unknown option"),
        (&["state"], "missing"),
        (&["nothing"], "nothing"),
    ] {
        let failed = t.rootling(&["--log-format", "json", "--log"]).arg(&log).args(args).output();
        failed.fails_with(&["rootling: ", words]);
        assert_eq!(failed.stderr.matches("rootling: ").count(), 1, "{failed}");
        let log = fs::read_to_string(&log).expect("read the log");
        let last: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON in the log");
        assert_eq!(last["level"], "error");
        assert!(last["msg"].as_str().is_some_and(|message| message.contains(words)), "{last}");
        assert!(last["time"].is_string(), "{last}");
    }
}

fn spec_can_be_run(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let rootless: &[&str] = if t.account().uid == 0 { &[] } else { &["--rootless"] };
    t.rootling(&["spec"]).args(rootless).dir(bundle.dir()).output().ok();
    let path = bundle.dir().join("config.json");
    let mut written = bundle.clone();
    written.config = serde_json::from_slice(&fs::read(path).expect("read config.json")).expect("JSON");
    written.set("/process/terminal", false.into()).set("/process/args", json!(["echo", "written"]));
    assert_eq!(t.run(written.write()).ok().text(), "written");
    // A second one would overwrite what the user has edited.
    t.rootling(&["spec", "-b"]).arg(bundle.dir()).output().fails_with(&["config.json"]);
}

/// sd_listen_fds(3): sockets for another process, such as a caller that has passed on its environment, are not open
/// inside.
fn sockets_of_systemd_reach_the_program_of_the_process_that_they_are_for(t: &Test) {
    let script = "echo \"$LISTEN_FDS $LISTEN_PID\"; [ ! -e /proc/self/fd/3 ] || cat <&3";
    let bundle = t.shell(script);
    bundle.write();
    let file = t.path("passed");
    fs::write(&file, "passed\n").expect("write a file");
    for (pid, expected) in [("$$", "1 1\npassed\n"), ("1", " \n"), ("", " \n")] {
        let caller = format!("exec 3<{}; export LISTEN_FDS=1 LISTEN_PID={pid}; exec \"$@\"", file.display());
        let output = t.run_command(&bundle).under(&["sh", "-c", &caller, "sh"]).output().ok();
        assert_eq!(output.stdout, expected, "LISTEN_PID={pid}: {output}");
    }
}
