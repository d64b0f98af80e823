//! Does what busybox cannot: makes bare system calls, for tests that look from inside a container.
//!
//! `probe call NUMBER[,ARGUMENT...]...` makes each call and prints a line with its result; `probe keyring` prints the
//! description of the session keyring (`KEYCTL_DESCRIBE` in keyctl(2)), and `probe keyring-label` its security label;
//! `probe labels FILE...` prints the SELinux label of each file; `probe make FILE` makes an empty file;
//! `probe hunt MARK LOG PROGRAM VICTIM...` is the hostile process of [`rootling_tests::hunt`].
//! `probe read FILE...` prints the contents of each file; `probe push TEXT` tries to make the terminals within its
//! reach take TEXT for typed input.
//! `probe unshare FLAGS COMMAND...` executes the command in new namespaces, as root of the user namespace if that
//! is among them.
//! `probe flood [end]` prints without end: until SIGTERM, or for a short time only.
//! `probe report` prints what it sees of its container; `probe stay` does so as well, and then reports each
//! SIGUSR1.
//! `probe notify TEXT...` sends each text to the socket that `NOTIFY_SOCKET` names (sd_notify(3)).
//! `probe serve ADDRESS...` serves on TCP and UDP; `probe ask tcp|udp ADDRESS:PORT` prints what such a server answers.
//! `probe deny ERRNO CALL COMMAND...` executes the command under a filter that refuses one system call with the
//! error.
//! `probe own FILE OTHERS` holds a lock on FILE until it is killed; if another process has the lock, it says so in
//! OTHERS.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libseccomp::{ScmpAction, ScmpFilterContext};
use nix::sys::signal::{SigSet, Signal};
use rootling_tests::fault::report;
use rootling_tests::{hunt, servers, sys};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, operands)) = arguments.split_first() else { return ExitCode::from(2) };
    match (command.as_str(), operands) {
        ("call", calls) => {
            for call in calls {
                println!("{}", make(call));
            }
        }
        ("keyring", []) => match sys::session_keyring() {
            Ok(description) => println!("{description}"),
            Err(error) => println!("{error}"),
        },
        ("keyring-label", []) => println!("{}", sys::session_keyring_label().unwrap_or_else(|e| name_of(&e))),
        ("labels", files) => {
            for file in files {
                println!("{}", sys::selinux_label(file).unwrap_or_else(|error| name_of(&error)));
            }
        }
        ("make", [file]) => drop(File::create(file).expect("make the file")),
        ("hunt", [mark, log, program, victims @ ..]) => {
            hunt::hunt(mark.as_ref(), log.as_ref(), program, victims)
        }
        ("read", files) => {
            for file in files {
                match std::fs::read_to_string(file) {
                    Ok(text) => print!("{text}"),
                    Err(error) => println!("{file}: {}", name_of(&error)),
                }
            }
        }
        ("push", [text]) => push(text),
        ("unshare", [flags, program, arguments @ ..]) => {
            let flags = flags.parse().expect("a number");
            sys::system_call(libc::SYS_unshare, [flags, 0, 0, 0, 0, 0]).expect("new namespaces");
            // Without CAP_SETFCAP root may not be mapped; the process has all capabilities nevertheless.
            let _ = std::fs::write("/proc/self/uid_map", "0 0 1");
            panic!("{}", Command::new(program).args(arguments).exec());
        }
        ("deny", [errno, call, program, arguments @ ..]) => {
            deny(errno.parse().expect("a number"), call);
            panic!("{}", Command::new(program).args(arguments).exec());
        }
        ("report", []) => print!("{}", report::text()),
        ("stay", []) => report::stay(),
        ("notify", texts) => notify(texts),
        ("serve", addresses) => servers::serve(addresses),
        ("ask", [protocol, server]) => print!("{}", servers::ask(protocol, server)),
        ("own", [file, others]) => own(file, others),
        ("flood", rest) => return flood(!rest.is_empty()),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}

/// Does what the seccomp filter of an outer container does. Without CAP_SYS_ADMIN it requires `no_new_privs`, which
/// this sets itself.
fn deny(errno: i32, call: &str) {
    let call = rootling_tests::calls::number(call).expect("a system call");
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).expect("a filter");
    filter.add_rule(ScmpAction::Errno(errno), call).expect("a rule");
    filter.set_ctl_nnp(!nix::unistd::geteuid().is_root()).expect("no_new_privs");
    filter.load().expect("load the filter");
}

/// The kernel releases the lock when the last process that has it open has ended.
fn own(file: &str, others: &str) {
    let file = File::options().create(true).append(true).open(file).expect("open the file");
    if file.try_lock().is_err() {
        let mut others = File::options().create(true).append(true).open(others).expect("open the other file");
        others.write_all(b"two\n").expect("say so");
    }
    loop {
        std::thread::park();
    }
}

/// Sends one datagram for each text.
fn notify(texts: &[String]) {
    let socket = UnixDatagram::unbound().expect("make a socket");
    socket
        .connect(std::env::var_os("NOTIFY_SOCKET").expect("NOTIFY_SOCKET"))
        .expect("connect to NOTIFY_SOCKET");
    for text in texts {
        socket.send(text.as_bytes()).expect("send to NOTIFY_SOCKET");
    }
}

/// Sends as much as it can, from three threads. Exits with 3 at SIGTERM, or soon with 5.
fn flood(ends: bool) -> ExitCode {
    let term = SigSet::from(Signal::SIGTERM);
    term.thread_block().expect("block SIGTERM");
    let path = std::env::var_os("NOTIFY_SOCKET").expect("NOTIFY_SOCKET");
    for _ in 0..3 {
        let socket = UnixDatagram::unbound().expect("make a socket");
        socket.connect(&path).expect("connect to NOTIFY_SOCKET");
        std::thread::spawn(move || while socket.send("READY=0\n".repeat(500).as_bytes()).is_ok() {});
    }
    File::create("/tmp/floods").expect("make a file");
    if ends {
        std::thread::sleep(std::time::Duration::from_millis(300));
        return ExitCode::from(5);
    }
    term.wait().expect("wait for SIGTERM");
    ExitCode::from(3)
}

/// Makes a call that is given by its number and arguments; returns the name of the errno, or the value.
fn make(call: &str) -> String {
    let mut numbers = call.split(',').map(|number| number.parse::<i64>().expect("a number"));
    let number = numbers.next().expect("the number of a system call");
    let mut arguments = [0; 6];
    for (given, argument) in numbers.zip(&mut arguments) {
        *argument = given;
    }
    match sys::system_call(number, arguments) {
        Ok(value) => value.to_string(),
        Err(error) => name_of(&error),
    }
}

/// The name of an errno.
fn name_of(error: &std::io::Error) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// Tries it with the standard streams, with the controlling terminal, and after making a stream the controlling
/// terminal by opening it again or by TIOCSCTTY. Prints a line for each way.
fn push(text: &str) {
    use std::os::fd::AsRawFd;
    let bytes = |terminal| text.bytes().try_for_each(|byte| sys::push_into_terminal(terminal, byte));
    let say = |way: &str, result: std::io::Result<()>| {
        println!("{way}: {}", result.map_or_else(|error| name_of(&error), |()| "pushed".to_owned()));
    };
    for stream in 0..3 {
        say(&format!("stream {stream}"), bytes(stream));
        say(&format!("console {stream}"), sys::paste_into_console(stream));
    }
    let open = |path: &str| File::options().read(true).write(true).open(path);
    for path in ["/dev/tty", "/proc/self/fd/0", "/proc/self/fd/1"] {
        say(path, open(path).and_then(|terminal| bytes(terminal.as_raw_fd())));
    }
    for steal in [0, 1] {
        let taken = sys::system_call(libc::SYS_ioctl, [0, libc::TIOCSCTTY as i64, steal, 0, 0, 0]);
        say(&format!("TIOCSCTTY {steal}"), taken.and_then(|_| bytes(0)));
    }
}
