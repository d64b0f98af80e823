//! `NOTIFY_SOCKET`: a service manager waits until the program of a container says that it is ready (sd_notify(3)).
//!
//! As in runc, the container has a socket of the runtime at its own path, never the manager's. What the runtime
//! passes on is the readiness and the process to watch. In the foreground that process is the runtime, otherwise
//! the container's first process, and then the command lasts until the program is ready. Unlike in runc, no wait
//! outlasts the program.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rootling_tests::mountinfo::Mounts;
use rootling_tests::{Bundle, LIMIT, Running, Test, both, can_trace, eventually};

both!(
    socket_of_the_container_is_at_its_own_place,
    no_socket_of_the_host_is_none_in_the_container,
    run_passes_readiness_on,
    run_ends_with_a_program_that_is_never_ready,
    manager_that_is_gone_does_not_keep_run_from_working,
    socket_of_the_manager_may_have_an_abstract_name,
    detached_run_lasts_until_the_program_is_ready,
    detached_run_ends_with_a_program_that_is_never_ready,
    create_does_not_wait_and_start_lasts_until_the_program_is_ready,
    start_ends_with_a_program_that_is_never_ready,
    start_without_a_manager_does_not_wait,
    readiness_is_all_that_a_program_can_have_passed_on,
    socket_that_is_exchanged_has_no_file_of_the_host_changed,
    program_that_says_more_than_anybody_can_read_is_ended_all_the_same,
);

/// A service manager: the lines that arrive on its socket. All are received at once, so that a descriptor that
/// comes with a barrier is closed, which is how a manager says that it has seen everything before it.
struct Manager {
    address: String,
    lines: Receiver<String>,
}

impl Manager {
    fn listen(t: &Test) -> Self {
        let path = t.path("manager");
        let socket = UnixDatagram::bind(&path).expect("make the manager's socket");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("chmod of the socket");
        Self::take(&path.to_string_lossy(), socket)
    }

    /// The name has no file; an `@` stands for the leading null byte.
    fn listen_abstract(t: &Test) -> Self {
        let address = SocketAddr::from_abstract_name(t.id("manager")).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("make the manager's socket");
        Self::take(&format!("@{}", t.id("manager")), socket)
    }

    fn take(address: &str, socket: UnixDatagram) -> Self {
        let (send, lines) = mpsc::channel();
        socket.set_read_timeout(Some(LIMIT)).expect("bound the wait");
        // Ends with the test's process at the latest, since nothing is sent any more.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                // As in systemd.
                let lines = text.split(['\n', '\r']).filter(|line| !line.is_empty());
                for line in lines.filter(|line| *line != "BARRIER=1") {
                    if send.send(line.to_owned()).is_err() {
                        return;
                    }
                }
            }
        });
        Self { address: address.to_owned(), lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(LIMIT).expect("a line for the manager")
    }

    /// Asserts that one whole notification arrives, for the process that is to be watched.
    fn hears_that_it_is_ready(&self, pid: &str) {
        let lines = [self.next(), self.next()];
        assert_eq!(lines, ["READY=1".to_owned(), format!("MAINPID={pid}")]);
    }

    fn hears_no_more(&self) {
        let more: Vec<_> = self.lines.try_iter().collect();
        assert!(more.is_empty(), "{more:?}");
    }
}

/// A bundle that runs `script`, and contains the probe.
fn bundle(t: &Test, script: &str) -> Bundle {
    let bundle = t.shell(script);
    t.with_probe(&bundle);
    bundle.write();
    bundle
}

/// Sends `$1` to the socket once the file exists, and then stays.
const READY_WHEN_TOLD: &str =
    "until [ -e /tmp/told ]; do sleep 0.02; done; probe notify READY=1; exec sleep 1000000";

fn tell(bundle: &Bundle) {
    fs::write(bundle.rootfs("tmp/told"), "").expect("tell the program");
}

/// Asserts that a command continues while the container is running and its program is not ready, and then ends.
fn lasts_until_told(t: &Test, manager: &Manager, bundle: &Bundle, mut command: Running) {
    eventually("the container runs", || {
        let state = t.rootling(&["state", &t.id("c")]).output();
        state.exit() == 0 && state.json()["status"] == "running"
    });
    // Long enough for a command that does not wait to end.
    thread::sleep(Duration::from_millis(300));
    let ended = command.child.try_wait().expect("wait for the command");
    assert!(ended.is_none(), "it ended before the program was ready: {:?}", command.so_far());
    manager.hears_no_more();
    tell(bundle);
    manager.hears_that_it_is_ready(&t.state("c")["pid"].to_string());
    command.output().ok();
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
    manager.hears_no_more();
}

fn socket_of_the_container_is_at_its_own_place(t: &Test) {
    let manager = Manager::listen(t);
    let mut bundle =
        bundle(t, "echo $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET; echo $?; cat /proc/self/mountinfo");
    // Whatever the configuration says, the program is to find the existing socket.
    bundle.set("/process/env/-", "NOTIFY_SOCKET=/of/the/configuration".into()).write();
    let output = t.run_command(&bundle).env("NOTIFY_SOCKET", &manager.address).output().ok();
    let (socket, rest) = output.stdout.split_once('\n').expect("lines");
    let (is_a_socket, mounts) = rest.split_once('\n').expect("lines");
    assert_eq!((socket, is_a_socket), ("/run/notify/notify.sock", "0"), "{output}");
    let mounts = Mounts::parse(mounts);
    let options = &mounts.at("/run/notify").options;
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(options.contains(option), "no {option}: {options:?}");
    }
}

fn no_socket_of_the_host_is_none_in_the_container(t: &Test) {
    let bundle = bundle(t, "echo \"<$NOTIFY_SOCKET>\"; ls -d /run/notify");
    let output = t.run_command(&bundle).without_env("NOTIFY_SOCKET").output().code(1);
    assert_eq!(output.stdout, "<>\n", "{output}");
}

fn run_passes_readiness_on(t: &Test) {
    let manager = Manager::listen(t);
    let bundle = bundle(t, "probe notify READY=1; exec sleep 1000000");
    let run = t.run_command(&bundle).env("NOTIFY_SOCKET", &manager.address).spawn();
    // It waits for the container, and passes signals on to it.
    manager.hears_that_it_is_ready(&run.pid().to_string());
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    let _ = run.output().code(137);
    manager.hears_no_more();
}

fn run_ends_with_a_program_that_is_never_ready(t: &Test) {
    let manager = Manager::listen(t);
    let run = t.run_command(&bundle(t, "echo works; exit 7")).env("NOTIFY_SOCKET", &manager.address);
    assert_eq!(run.output().code(7).text(), "works");
    manager.hears_no_more();
}

fn manager_that_is_gone_does_not_keep_run_from_working(t: &Test) {
    let bundle = bundle(t, "probe notify READY=1; echo works; exit 7");
    let run = t.run_command(&bundle).env("NOTIFY_SOCKET", t.path("no-manager"));
    assert_eq!(run.output().code(7).text(), "works");
}

fn socket_of_the_manager_may_have_an_abstract_name(t: &Test) {
    let manager = Manager::listen_abstract(t);
    let bundle = bundle(t, "probe notify READY=1; exec sleep 1000000");
    let run = t.run_command(&bundle).env("NOTIFY_SOCKET", &manager.address).spawn();
    manager.hears_that_it_is_ready(&run.pid().to_string());
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    let _ = run.output().code(137);
}

fn detached_run_lasts_until_the_program_is_ready(t: &Test) {
    let manager = Manager::listen(t);
    let bundle = bundle(t, READY_WHEN_TOLD);
    let run = t.rootling(&["run", "-d", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    let run = run.env("NOTIFY_SOCKET", &manager.address).spawn();
    lasts_until_told(t, &manager, &bundle, run);
}

fn detached_run_ends_with_a_program_that_is_never_ready(t: &Test) {
    let manager = Manager::listen(t);
    let run = t.rootling(&["run", "-d", "-b"]).arg(bundle(t, "sleep 0.2").dir()).arg(t.id("c"));
    run.env("NOTIFY_SOCKET", &manager.address).output().ok();
    assert_eq!(t.status("c"), "stopped");
    manager.hears_no_more();
    t.delete_force("c").ok();
}

/// Creates a container with a manager; returns the command that starts it with the same one.
fn created(t: &Test, manager: &Manager, bundle: &Bundle) -> rootling_tests::Cmd {
    let create = t.rootling(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    create.env("NOTIFY_SOCKET", &manager.address).output().ok();
    assert_eq!(t.status("c"), "created");
    t.rootling(&["start", &t.id("c")])
}

fn create_does_not_wait_and_start_lasts_until_the_program_is_ready(t: &Test) {
    let manager = Manager::listen(t);
    let bundle = bundle(t, READY_WHEN_TOLD);
    let start = created(t, &manager, &bundle).env("NOTIFY_SOCKET", &manager.address).spawn();
    lasts_until_told(t, &manager, &bundle, start);
}

fn start_ends_with_a_program_that_is_never_ready(t: &Test) {
    let manager = Manager::listen(t);
    let start = created(t, &manager, &bundle(t, "sleep 0.2"));
    start.env("NOTIFY_SOCKET", &manager.address).output().ok();
    assert_eq!(t.status("c"), "stopped");
    manager.hears_no_more();
    t.delete_force("c").ok();
}

/// If anybody waits, it is the caller of start.
fn start_without_a_manager_does_not_wait(t: &Test) {
    let manager = Manager::listen(t);
    let bundle = bundle(t, "echo $NOTIFY_SOCKET; exec sleep 1000000");
    let start = created(t, &manager, &bundle);
    start.without_env("NOTIFY_SOCKET").output().ok();
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
    manager.hears_no_more();
}

/// A manager takes orders from its services: which process to kill, and which descriptors to keep.
fn readiness_is_all_that_a_program_can_have_passed_on(t: &Test) {
    let manager = Manager::listen(t);
    let mut bundle = t.bundle(&[]);
    t.with_probe(&bundle);
    let orders = [
        "STATUS=up",
        "MAINPID=1",
        "FDSTORE=1\nFDNAME=x",
        "STOPPING=1",
        "X_READY=1",
        "READY=0\rSTOPPING=1",
        "READY=1\rMAINPID=4711\rSTOPPING=1\nMAINPID=1",
    ];
    let args = [&["probe", "notify"][..], &orders].concat();
    bundle.set("/process/args", args.as_slice().into());
    let run = t.rootling(&["run", "-d", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    let pid_file: PathBuf = t.path("pid");
    run.arg("--pid-file").arg(&pid_file).env("NOTIFY_SOCKET", &manager.address).output().ok();
    manager.hears_that_it_is_ready(fs::read_to_string(&pid_file).expect("the pid file").trim());
    manager.hears_no_more();
    t.delete_force("c").ok();
}

/// A process in a created container may have the capability to make the directory writable, and exchanges the
/// socket for a link as soon as it exists. Any call with a mode that `start` makes is delayed for that long.
fn socket_that_is_exchanged_has_no_file_of_the_host_changed(t: &Test) {
    if !can_trace(t) {
        return;
    }
    let manager = Manager::listen(t);
    let victim = t.path("victim");
    fs::write(&victim, "").expect("write the victim");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).expect("chmod of the victim");
    let mut bundle = t.bundle(&["sleep", "2"]);
    bundle.capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]);
    let create = t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    create.env("NOTIFY_SOCKET", &manager.address).output().ok();
    let exchange = format!(
        "cd /run/notify && mount -o remount,bind,rw /run/notify && ln -s {} l && echo >/tmp/ready
        until [ -e notify.sock ]; do :; done; mv -f l notify.sock && echo >/tmp/moved",
        victim.display()
    );
    let exec = t.exec(&["-d"], "c", &["sh", "-c", &exchange]);
    exec.stdin(std::process::Stdio::null()).output().ok();
    eventually("it lies in wait", || bundle.rootfs("tmp/ready").exists());
    let slow = "inject=chmod,fchmod,fchmodat:delay_enter=500000";
    let strace =
        ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=chmod,fchmod,fchmodat", "-e", slow];
    let start = t.rootling(&["start", &t.id("c")]).env("NOTIFY_SOCKET", &manager.address);
    start.under(&strace).output().ok();
    assert!(bundle.rootfs("tmp/moved").exists(), "the socket was not exchanged");
    let mode = fs::metadata(&victim).expect("stat of the victim").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "a file of the host was opened to all");
    t.delete_force("c").ok();
}

/// Each process writes as fast as it can; signals reach the program, and its end is noticed.
fn program_that_says_more_than_anybody_can_read_is_ended_all_the_same(t: &Test) {
    let manager = Manager::listen(t);
    let mut bundle = t.bundle(&["probe", "flood"]);
    t.with_probe(&bundle);
    let run = |bundle: &Bundle| {
        let run = t.rootling(&["run", "-b"]).arg(bundle.dir()).arg(t.id("c"));
        run.env("NOTIFY_SOCKET", &manager.address).spawn()
    };
    let running = run(bundle.write());
    eventually("it runs", || bundle.rootfs("tmp/floods").exists());
    running.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(running.output().exit(), 3, "the exit code of its handler");
    // It ends by itself.
    bundle.set("/process/args", serde_json::json!(["probe", "flood", "end"]));
    assert_eq!(run(bundle.write()).output().exit(), 5);
}
