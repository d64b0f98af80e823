//! Terminals of `exec`, and a session as a person uses it.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};

use rootling_tests::terminal::{Terminal, read_until};
use rootling_tests::{Bundle, Socket, Test, both, eventually, sys};
use serde_json::json;

both!(
    program_has_a_terminal_of_its_own,
    console_of_the_container_stays_as_it_is,
    redirected_output_is_complete_and_has_no_carriage_returns,
    redirected_input_still_gives_a_terminal,
    detached_terminal_goes_to_the_socket_with_the_size_of_the_file,
    terminal_is_restored_after_the_container_was_killed,
    program_that_cannot_run_says_so_once,
    without_any_terminal_it_says_what_to_do,
    session_of_a_person,
);

fn sleeping(t: &Test) -> Bundle {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.run_detached(bundle.write(), "c").ok();
    bundle
}

fn end(t: &Test) {
    t.delete_force("c").ok();
}

fn program_has_a_terminal_of_its_own(t: &Test) {
    sleeping(t);
    let terminal = Terminal::open(31, 77);
    let before = terminal.settings();
    // The shell would miss a signal just before it waits for a line: it looks once a second.
    let script = "trap 'stty size' WINCH; tty; for f in 0 1 2; do readlink /proc/self/fd/$f; done; stat -c %u $(tty); \
                  stty size; echo ready; until read -t 1 line; do :; done; exit 5";
    let exec = terminal.attach(t.exec(&["-t"], "c", &["sh", "-c", script])).spawn();
    let seen = terminal.read_until("ready");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{seen}");
    // All its names agree, and it belongs to its user.
    assert_eq!(lines[1..6], [lines[0], lines[0], lines[0], "0", "31 77"], "{seen}");
    assert!(terminal.is_raw());
    terminal.resize(40, 100);
    terminal.read_until("40 100");
    terminal.master().write_all(b"\r").expect("press enter");
    let _ = exec.output().code(5);
    assert!(terminal.settings() == before, "the settings are not restored");
    end(t);
}

fn console_of_the_container_stays_as_it_is(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/process/terminal", true.into());
    let socket = Socket::listen(t, "console.sock");
    let run = t.rootling(&["run", "-d", "--console-socket"]).arg(socket.path()).arg("-b");
    let run = run.arg(bundle.write().dir()).arg(t.id("c")).spawn();
    let master = socket.receive();
    run.output().ok();
    let terminal = Terminal::open(24, 80);
    let command = ["sh", "-c", "tty; echo to the console >/dev/console; echo end"];
    let exec = terminal.attach(t.exec(&["-t"], "c", &command)).spawn();
    let seen = terminal.read_until("end");
    exec.output().ok();
    assert!(!seen.contains("to the console"), "{seen}");
    read_until(&master, "to the console");
    end(t);
}

fn redirected_output_is_complete_and_has_no_carriage_returns(t: &Test) {
    sleeping(t);
    let terminal = Terminal::open(24, 80);
    let file = File::create(t.path("out")).expect("make the file");
    let exec = terminal.attach(t.exec(&["-t"], "c", &["seq", "1", "20000"])).stdout(file).spawn();
    exec.output().ok();
    let output = fs::read_to_string(t.path("out")).expect("the output");
    assert!(
        output.lines().eq((1..=20000).map(|n| n.to_string())) && !output.contains('\r'),
        "the output differs"
    );
    end(t);
}

fn redirected_input_still_gives_a_terminal(t: &Test) {
    sleeping(t);
    let terminal = Terminal::open(24, 80);
    let command = ["sh", "-c", "test -t 0 && stty size; cat; echo end"];
    let exec =
        t.exec(&["-t"], "c", &command).under(&["setsid", "-c", "sh", "-c", r#"exec "$0" "$@" <typed"#]);
    fs::write(t.path("typed"), "typed\n").expect("write the input");
    let exec = terminal.streams(exec).spawn();
    let seen = terminal.read_until("end");
    assert!(seen.contains("24 80") && seen.contains("typed"), "{seen}");
    exec.output().ok();
    end(t);
}

fn detached_terminal_goes_to_the_socket_with_the_size_of_the_file(t: &Test) {
    sleeping(t);
    let process = json!({
        "terminal": true, "consoleSize": {"height": 10, "width": 110}, "cwd": "/",
        "args": ["sh", "-c", "stty size; read line; echo got $line"],
        "env": ["PATH=/bin", format!("ROOTLING_TEST={}", t.marker())]
    });
    fs::write(t.path("process.json"), process.to_string()).expect("write the file");
    let socket = Socket::listen(t, "console.sock");
    let flags = ["-d", "--console-socket", "console.sock", "-p", "process.json"];
    let exec = t.exec(&flags, "c", &[]).spawn();
    let mut master = socket.receive();
    exec.output().ok();
    assert!(master.is_terminal());
    assert_eq!(sys::window_size(&master).expect("size of the terminal"), (10, 110));
    read_until(&master, "10 110");
    master.write_all(b"hello\n").expect("type");
    read_until(&master, "got hello");
    end(t);
}

fn terminal_is_restored_after_the_container_was_killed(t: &Test) {
    sleeping(t);
    let terminal = Terminal::open(24, 80);
    let before = terminal.settings();
    let exec = terminal.attach(t.exec(&["-t"], "c", &["sh", "-c", "echo ready; sleep 1000"])).spawn();
    terminal.read_until("ready");
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    let _ = exec.output().code(137);
    assert!(terminal.settings() == before, "the settings are not restored");
    end(t);
}

fn program_that_cannot_run_says_so_once(t: &Test) {
    let bundle = sleeping(t);
    fs::write(bundle.rootfs("run.sh"), "#!/no/such/interpreter\n").expect("write the program");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(bundle.rootfs("run.sh"), mode).expect("chmod of the program");
    let terminal = Terminal::open(24, 80);
    let before = terminal.settings();
    let output = terminal
        .attach(t.exec(&["-t"], "c", &["/run.sh"]))
        .stdout(File::create(t.path("out")).expect("make"));
    let _ = output.output().code(255);
    let seen = fs::read_to_string(t.path("out")).expect("the output");
    assert_eq!(seen, "", "it is the runtime's to say");
    assert!(terminal.settings() == before, "the settings are not restored");
    end(t);
}

fn without_any_terminal_it_says_what_to_do(t: &Test) {
    sleeping(t);
    let output = t.exec(&["-t"], "c", &["true"]).under(&["setsid", "-w"]).output().code(255);
    output.fails_with(&["no terminal", "--console-socket"]);
    end(t);
}

/// A shell with jobs, a second shell next to it, and one that is left alone.
fn session_of_a_person(t: &Test) {
    let mut bundle = t.bundle(&["sh"]);
    bundle.set("/process/terminal", true.into()).set("/process/env/-", "PS1=first> ".into());
    let (first, second) = (Terminal::open(24, 80), Terminal::open(30, 90));
    let (before, before_second) = (first.settings(), second.settings());
    let run = first.attach(t.run_command(bundle.write())).spawn();
    let type_first = |keys: &str| first.master().write_all(keys.as_bytes()).expect("type");
    first.read_until("first> ");

    type_first("stty size\r");
    first.read_until("24 80");
    first.resize(50, 120);
    type_first("stty size\r");
    first.read_until("50 120");

    // Control-C ends what runs in the foreground, but neither the shell nor the runtime.
    type_first("sleep 1000; echo st''ill here\r");
    eventually("it sleeps", || t.exec(&[""; 0], "c", &["pidof", "sleep"]).output().exit() == 0);
    type_first("\x03");
    first.read_until("first> ");
    type_first("echo al''ive\r");
    first.read_until("alive");

    // Control-Z stops it, and the shell continues.
    type_first("sleep 1000\r");
    eventually("it sleeps", || t.exec(&[""; 0], "c", &["pidof", "sleep"]).output().exit() == 0);
    type_first("\x1a");
    first.read_until("Stopped");
    type_first("jobs; kill %1; fg 2>/dev/null; echo go''es on\r");
    first.read_until("goes on");

    let exec = second.attach(t.exec(&["-t", "-e", "PS1=second> "], "c", &["sh"])).spawn();
    second.read_until("second> ");
    second.master().write_all(b"stty size; readlink /proc/1/exe\r").expect("type");
    second.read_until("30 90\r\n/bin/sh");

    let socket = Socket::listen(t, "console.sock");
    let flags = ["-dt", "--console-socket", "console.sock", "-e", "PS1=third> "];
    let detached = t.exec(&flags, "c", &["sh"]).spawn();
    let mut third = socket.receive();
    detached.output().ok();
    read_until(&third, "third> ");
    third.write_all(b"exit\n").expect("type");

    second.master().write_all(b"exit 3\r").expect("type");
    let _ = exec.output().code(3);
    assert!(second.settings() == before_second, "the settings of the second are not restored");
    type_first("exit 4\r");
    let _ = run.output().code(4);
    assert!(first.settings() == before, "the settings of the first are not restored");
}
