//! A program that shares the terminal of its caller tries to type there (CVE-2016-10124, CVE-2017-5226): the
//! caller's shell would execute that once the container is gone.
//!
//! The caller is a shell with a terminal, as a person uses it. It runs commands and then reads a line, which must
//! be the one that the person types.

use std::fs;
use std::io::Write;

use rootling_tests::terminal::Terminal;
use rootling_tests::{Bundle, Test, both, eventually, skip};

both!(
    program_of_run_cannot_type_at_the_callers_terminal,
    program_of_create_and_start_cannot_type_at_the_callers_terminal,
    program_of_exec_cannot_type_at_the_callers_terminal,
    program_with_a_terminal_has_no_other,
    terminal_of_exec_is_none_of_the_containers_files,
);

/// What the program would type, a command for a shell.
const TYPED: &str = "typed by the program\n";

/// Whether this kernel lets anybody type at a terminal with an ioctl. Prints a message if not: there would be no
/// attack.
fn can_be_typed_at() -> bool {
    let setting = fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti");
    let off = setting.is_ok_and(|text| text.trim() == "0");
    if off {
        skip("nobody can push characters into a terminal here: /proc/sys/dev/tty/legacy_tiocsti is 0");
    }
    !off
}

/// The output on the terminal of a shell that executes `script` and then reads a line that a person types.
fn session(t: &Test, script: &str, arguments: &[&str]) -> String {
    let script =
        format!("{script}\necho the commands have ended\nread -r line\necho \"read: $line.\"\necho the end");
    let terminal = Terminal::open(24, 80);
    terminal.give_to(t.account());
    let shell = t.command("sh").args(&["-c", &script, "sh"]).args(arguments);
    let shell = terminal.attach(shell).spawn();
    let mut shown = terminal.read_until("the commands have ended");
    terminal.master().write_all(b"typed by the person\n").expect("type");
    if !shown.contains("the end") {
        shown += &terminal.read_until("the end");
    }
    shell.output().ok();
    shown.replace('\r', "")
}

/// In such a session no way of `probe push` has any effect. Without a container in between, the same way has.
fn types_in_vain(t: &Test, script: &str, bundle: &Bundle) {
    let host = t.probe_on_host("probe");
    let able = session(t, "\"$1\" push \"$2\"", &[&host.to_string_lossy(), TYPED]);
    assert!(able.contains("stream 0: pushed\n") && able.contains("read: typed by the program.\n"), "{able}");
    let (binary, state) = (t.binary().to_string_lossy(), t.state_root());
    let (state, dir, id) = (state.to_string_lossy(), bundle.dir().to_string_lossy(), t.id("c"));
    let shown = session(t, script, &[&binary, &state, &dir, &id, TYPED]);
    let results: Vec<&str> =
        shown.lines().filter(|line| WAYS.iter().any(|way| line.starts_with(way))).collect();
    assert_eq!(results.len(), 11, "{shown}");
    for line in results {
        let (_, result) = line.split_once(": ").expect("a way and its result");
        // It is not its own terminal, not a console, does not exist, or cannot be opened.
        assert!(["EPERM", "ENOTTY", "ENXIO", "EACCES"].contains(&result), "{line}: {shown}");
    }
    assert!(shown.contains("read: typed by the person.\n"), "{shown}");
}

/// The beginnings of the lines that `probe push` prints.
const WAYS: [&str; 5] = ["stream ", "console ", "/dev/tty", "/proc/self/fd/", "TIOCSCTTY "];

fn typing(t: &Test) -> Bundle {
    let bundle = t.bundle(&["probe", "push", TYPED]);
    t.with_probe(&bundle);
    bundle.write();
    bundle
}

fn program_of_run_cannot_type_at_the_callers_terminal(t: &Test) {
    if can_be_typed_at() {
        types_in_vain(t, "\"$1\" --root \"$2\" run -b \"$3\" \"$4\"", &typing(t));
    }
}

fn program_of_create_and_start_cannot_type_at_the_callers_terminal(t: &Test) {
    let script = r#"set -e
        "$1" --root "$2" create -b "$3" "$4"
        "$1" --root "$2" start "$4"
        until "$1" --root "$2" state "$4" | grep -q stopped; do sleep 0.01; done
        "$1" --root "$2" delete "$4""#;
    if can_be_typed_at() {
        types_in_vain(t, script, &typing(t));
    }
}

fn program_of_exec_cannot_type_at_the_callers_terminal(t: &Test) {
    if !can_be_typed_at() {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    t.with_probe(&bundle);
    // Even if the program may gain privileges.
    for no_new_privileges in [true, false] {
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        t.run_detached(bundle.write(), "c").ok();
        types_in_vain(t, "\"$1\" --root \"$2\" exec \"$4\" probe push \"$5\"", &bundle);
        t.delete_force("c").ok();
    }
}

/// Nobody else reads what it types at its own terminal, and no other terminal is open or can be opened.
fn program_with_a_terminal_has_no_other(t: &Test) {
    let look = "for file in /proc/$$/fd/*; do echo -n '-> '; readlink $file || echo; done; tty; ls -1 /dev/pts; \
                probe push \"$0\"";
    let program = ["sh", "-c", look, TYPED];
    let (binary, state, id) = (t.binary().to_string_lossy(), t.state_root(), t.id("c"));
    for (own, command) in
        [(&program[..], "run -b \"$3\" \"$4\""), (&["sleep", "1000"], "exec -t \"$4\" sh -c \"$5\" \"$6\"")]
    {
        let mut bundle = t.bundle(own);
        t.with_probe(&bundle);
        let joins = command.starts_with("exec");
        bundle.set("/process/terminal", (!joins).into()).write();
        if joins {
            t.run_detached(&bundle, "c").ok();
        }
        let dir = bundle.dir().to_string_lossy().into_owned();
        let arguments = [&binary, &state.to_string_lossy(), dir.as_str(), &id, look, TYPED];
        let shown = session(t, &format!("\"$1\" --root \"$2\" {command}"), &arguments);
        let targets: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("-> ")).collect();
        let others = targets.iter().filter(|target| !["/dev/pts/0", ""].contains(target));
        assert!(targets.len() >= 3 && others.count() == 0, "{command}: {shown}");
        assert!(shown.contains("\n/dev/pts/0\n0\nptmx\n"), "{command}: {shown}");
        assert!(shown.contains("read: typed by the person.\n"), "{command}: {shown}");
        if joins {
            t.delete_force("c").ok();
        }
    }
}

/// The container has files in place of the terminals in its /dev/pts, to which /dev/ptmx leads. The program of exec
/// must get the other end of the very terminal that was made for it.
fn terminal_of_exec_is_none_of_the_containers_files(t: &Test) {
    let cover = "mkdir /tmp/true /tmp/false && mount --bind /dev/pts /tmp/true && rm /dev/ptmx && \
                 ln -s /tmp/true/ptmx /dev/ptmx && for n in 0 1 2 3 4 5 6 7; do echo false >/tmp/false/$n; done && \
                 mount --bind /tmp/false /dev/pts && echo covered >/tmp/ready; sleep 1000";
    let mut bundle = t.shell(cover);
    bundle.capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    t.run_detached(bundle.write(), "c").ok();
    eventually("it has covered its terminals", || bundle.rootfs("tmp/ready").exists());
    let look =
        ["sh", "-c", "cat /dev/pts/0; for f in 0 1 2; do test -t $f && echo terminal $f; done; echo the end"];
    let terminal = Terminal::open(24, 80);
    let exec = terminal.attach(t.exec(&["-t"], "c", &look)).spawn();
    let shown = terminal.read_until("the end");
    exec.output().ok();
    assert!(shown.starts_with("false\r\nterminal 0\r\nterminal 1\r\nterminal 2\r\n"), "{shown}");
    t.delete_force("c").ok();
}
