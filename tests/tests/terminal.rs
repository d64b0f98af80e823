//! Terminals: in the foreground, and passed through a console socket.

use std::io::{IsTerminal, Write};

use rootling_tests::terminal::{Terminal, read_until};
use rootling_tests::{Bundle, Socket, Test, both, eventually, sys};
use serde_json::json;

both!(
    foreground_terminal_is_raw_while_the_container_runs,
    keys_reach_the_program,
    program_has_a_terminal_on_all_streams,
    size_is_passed_at_the_start_and_on_resize,
    terminal_is_restored_after_the_container_was_killed,
    terminal_is_restored_after_the_program_was_not_found,
    create_sends_the_master_to_the_console_socket,
    detached_terminal_without_console_socket_is_refused,
    console_socket_without_terminal_is_refused,
);

fn with_terminal(t: &Test, script: &str) -> Bundle {
    let mut bundle = t.shell(script);
    bundle.set("/process/terminal", true.into());
    bundle.write();
    bundle
}

fn foreground_terminal_is_raw_while_the_container_runs(t: &Test) {
    let terminal = Terminal::open(24, 80);
    let before = terminal.settings();
    let bundle = with_terminal(t, "echo ready; read line; exit 5");
    let running = terminal.attach(t.run_command(&bundle)).spawn();
    terminal.read_until("ready");
    assert!(terminal.is_raw());
    terminal.master().write_all(b"\r").expect("press enter");
    let _ = running.output().code(5);
    assert!(terminal.settings() == before, "the settings are not restored");
}

fn keys_reach_the_program(t: &Test) {
    let terminal = Terminal::open(24, 80);
    // The loop checks for the signal again and again: one that arrives just before `read` blocks would have to wait
    // for it.
    let script = "trap 'echo interrupted; got=1' INT; echo ready; until test \"$got\"; do sleep 0.05; done; \
                  read line; echo \"got $line\"";
    let bundle = with_terminal(t, script);
    let running = terminal.attach(t.run_command(&bundle)).spawn();
    terminal.read_until("ready");
    // The container's own line discipline generates the signal, not the caller's.
    terminal.master().write_all(b"\x03").expect("press control-C");
    terminal.read_until("interrupted");
    terminal.master().write_all(b"hello\r").expect("type");
    terminal.read_until("got hello");
    running.output().ok();
}

fn program_has_a_terminal_on_all_streams(t: &Test) {
    let terminal = Terminal::open(24, 80);
    let bundle =
        with_terminal(t, "test -t 0 && test -t 1 && test -t 2 && test -c /dev/console && echo all; tty");
    let running = terminal.attach(t.run_command(&bundle)).spawn();
    terminal.read_until("all\r\n/dev/");
    running.output().ok();
}

fn size_is_passed_at_the_start_and_on_resize(t: &Test) {
    let terminal = Terminal::open(31, 77);
    let script = "trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.05; done";
    let bundle = with_terminal(t, script);
    let running = terminal.attach(t.run_command(&bundle)).spawn();
    let seen = terminal.read_until("ready");
    assert!(seen.contains("31 77"), "{seen:?}");
    terminal.resize(40, 100);
    terminal.read_until("40 100");
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    let _ = running.output().code(137);
}

fn terminal_is_restored_after_the_container_was_killed(t: &Test) {
    let terminal = Terminal::open(24, 80);
    let before = terminal.settings();
    let bundle = with_terminal(t, "echo ready; sleep 1000");
    let running = terminal.attach(t.run_command(&bundle)).spawn();
    terminal.read_until("ready");
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    let _ = running.output().code(137);
    assert!(terminal.settings() == before, "the settings are not restored");
}

fn terminal_is_restored_after_the_program_was_not_found(t: &Test) {
    let terminal = Terminal::open(24, 80);
    let before = terminal.settings();
    let mut bundle = t.bundle(&["no-such-program"]);
    bundle.set("/process/terminal", true.into());
    let running = terminal.attach(t.run_command(bundle.write())).spawn();
    terminal.read_until("no-such-program");
    let _ = running.output().code(127);
    assert!(terminal.settings() == before, "the settings are not restored");
}

fn create_sends_the_master_to_the_console_socket(t: &Test) {
    let mut bundle = with_terminal(t, r#"stty size; read line; echo "got $line""#);
    bundle.set("/process/consoleSize", json!({"height": 33, "width": 44}));
    let socket = Socket::listen(t, "console.sock");
    let create =
        t.rootling(&["create", "--console-socket"]).arg(socket.path()).arg("-b").arg(bundle.write().dir());
    let create = create.arg(t.id("c")).spawn();
    let mut master = socket.receive();
    create.output().ok();
    assert!(master.is_terminal());
    assert_eq!(sys::window_size(&master).expect("size of the terminal"), (33, 44));

    t.start("c").ok();
    read_until(&master, "33 44");
    master.write_all(b"hello\n").expect("type");
    read_until(&master, "got hello");
    eventually("the container has stopped", || t.status("c") == "stopped");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn detached_terminal_without_console_socket_is_refused(t: &Test) {
    let bundle = with_terminal(t, "true");
    t.create(&bundle, "c").fails_with(&["console"]);
    let run = t.rootling(&["run", "-d", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    run.output().fails_with(&["console"]);
}

fn console_socket_without_terminal_is_refused(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let create = t.rootling(&["create", "--console-socket"]).arg(t.path("console.sock"));
    create.arg("-b").arg(bundle.write().dir()).arg(t.id("c")).output().fails_with(&["console"]);
}
