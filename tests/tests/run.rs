//! `run`: exit codes, streams, and what the process is given.

use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use nix::sys::signal::Signal;
use rootling_tests::{LIMIT, Test, both, eventually};
use serde_json::json;

both!(
    success_exits_0,
    exit_code_is_passed_on,
    program_that_is_not_found_exits_127,
    program_that_is_not_executable_exits_126,
    killed_program_exits_128_plus_the_signal,
    terminated_program_without_own_pid_namespace_exits_143,
    signals_are_forwarded_to_the_container,
    stdin_to_stdout_is_passed_byte_for_byte,
    stdin_to_stderr_is_passed_byte_for_byte,
    arguments_keep_blanks_and_empty_strings,
    environment_is_the_one_configured_in_its_order,
    working_directory_is_set,
    missing_working_directory_is_created,
    hostname_is_set_and_the_hosts_stays,
    program_is_process_1_of_its_namespace,
    detached_run_returns_while_the_container_runs,
    pid_file_names_the_containers_process,
    read_only_root_refuses_writes,
);

fn success_exits_0(t: &Test) {
    let output = t.run(t.bundle(&["true"]).write()).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

fn exit_code_is_passed_on(t: &Test) {
    let bundle = t.shell("exit 3");
    let _ = t.run(bundle.write()).code(3);
    let _ = t.run(bundle.sibling(t, &["sh", "-c", "exit 255"]).write()).code(255);
}

fn program_that_is_not_found_exits_127(t: &Test) {
    for program in ["no-such-program", "/no/such/program"] {
        let output = t.run(t.bundle(&[program]).write()).code(127);
        output.fails_with(&[program]);
    }
}

fn program_that_is_not_executable_exits_126(t: &Test) {
    let output = t.run(t.bundle(&["/etc/passwd"]).write()).code(126);
    output.fails_with(&["/etc/passwd"]);
}

fn killed_program_exits_128_plus_the_signal(t: &Test) {
    let bundle = t.shell("echo ready; exec sleep 1000");
    let mut running = t.run_command(bundle.write()).spawn();
    running.prints("ready\n");
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    let _ = running.output().code(128 + Signal::SIGKILL as i32);
}

/// Process 1 of a pid namespace cannot be terminated by a signal that it does not handle.
fn terminated_program_without_own_pid_namespace_exits_143(t: &Test) {
    let mut bundle = t.shell("echo ready; exec sleep 1000");
    bundle.without_namespace("pid");
    let mut running = t.run_command(bundle.write()).spawn();
    running.prints("ready\n");
    t.rootling(&["kill", &t.id("c")]).output().ok();
    let _ = running.output().code(128 + Signal::SIGTERM as i32);
}

fn signals_are_forwarded_to_the_container(t: &Test) {
    // 34 is SIGRTMIN for a program that is linked with glibc, and musl's functions leave it out.
    for number in [1, 10, 15, 34, 35, 64] {
        let trap = format!("trap 'exit {number}' {number}; echo ready; while :; do sleep 0.05; done");
        let bundle = t.shell(&trap);
        let mut running = t.run_command(bundle.write()).spawn();
        running.prints("ready\n");
        running.signal_number(number);
        let _ = running.output().code(number);
    }
}

fn stdin_to_stdout_is_passed_byte_for_byte(t: &Test) {
    passes_100_megabytes(t, "cat", |running| Box::new(running.stdout.take().expect("a pipe")));
}

fn stdin_to_stderr_is_passed_byte_for_byte(t: &Test) {
    passes_100_megabytes(t, "cat >&2", |running| Box::new(running.stderr.take().expect("a pipe")));
}

type Source = Box<dyn Read + Send>;

fn passes_100_megabytes(t: &Test, script: &str, source: fn(&mut std::process::Child) -> Source) {
    const BLOCKS: usize = 1600;
    let bundle = t.shell(script);
    let command = t.run_command(bundle.write()).stdin(Stdio::piped());
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();

    let mut sink = running.child.stdin.take().expect("a pipe");
    let writer = thread::spawn(move || {
        let mut noise = Noise(1);
        (0..BLOCKS).try_for_each(|_| sink.write_all(&noise.block()))
    });
    let mut source = source(&mut running.child);
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        let mut noise = Noise(1);
        let mut block = vec![0; Noise::BLOCK];
        let equal = (0..BLOCKS).all(|_| source.read_exact(&mut block).is_ok() && block == noise.block());
        let at_end = source.read(&mut block).is_ok_and(|length| length == 0);
        // The test may have given up on us.
        let _ = done.send((equal, at_end));
    });
    assert_eq!(result.recv_timeout(LIMIT), Ok((true, true)), "(every byte equal, then the end)");
    writer.join().expect("join the writer").expect("write all of the input");
    running.output().ok();
}

/// Numbers without a pattern, which are the same for the same seed (xorshift64).
struct Noise(u64);

impl Noise {
    const BLOCK: usize = 1 << 16;

    fn block(&mut self) -> Vec<u8> {
        let mut block = vec![0; Self::BLOCK];
        for chunk in block.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes());
        }
        block
    }
}

fn arguments_keep_blanks_and_empty_strings(t: &Test) {
    let bundle = t.bundle(&["sh", "-c", r#"printf '[%s]' "$@""#, "sh", "a b", "", "c\td", "$HOME", "'"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "[a b][][c\td][$HOME][']");
}

fn environment_is_the_one_configured_in_its_order(t: &Test) {
    let mut bundle = t.bundle(&["cat", "/proc/self/environ"]);
    let marker = format!("ROOTLING_TEST={}", t.marker());
    bundle.set("/process/env", json!(["Z=1", "PATH=/bin", "A=with blank", &marker, "M=", "HOME=/h"]));
    let expected = format!("Z=1\0PATH=/bin\0A=with blank\0{marker}\0M=\0HOME=/h\0");
    assert_eq!(t.run(bundle.write()).ok().stdout, expected);
}

fn working_directory_is_set(t: &Test) {
    let mut bundle = t.bundle(&["pwd"]);
    bundle.set("/process/cwd", "/usr".into());
    assert_eq!(t.run(bundle.write()).ok().text(), "/usr");
}

fn missing_working_directory_is_created(t: &Test) {
    let mut bundle = t.bundle(&["pwd"]);
    bundle.set("/process/cwd", "/made/for/us".into());
    assert_eq!(t.run(bundle.write()).ok().text(), "/made/for/us");
}

fn hostname_is_set_and_the_hosts_stays(t: &Test) {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
    let before = host();
    let mut bundle = t.bundle(&["hostname"]);
    bundle.set("/hostname", "box-of-a-test".into());
    assert_eq!(t.run(bundle.write()).ok().text(), "box-of-a-test");
    assert_eq!(host(), before);
}

fn program_is_process_1_of_its_namespace(t: &Test) {
    let bundle = t.shell("echo $$; ls -d /proc/[0-9]*");
    assert_eq!(t.run(bundle.write()).ok().text().lines().take(2).collect::<Vec<_>>(), ["1", "/proc/1"]);
}

fn detached_run_returns_while_the_container_runs(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    let detached = t.rootling(&["run", "-d", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output();
    assert_eq!(detached.ok().stdout, "");
    assert_eq!(t.status("c"), "running");
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn pid_file_names_the_containers_process(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    let file = t.path("pid");
    let command = t.rootling(&["run", "-d", "--pid-file"]).arg(&file).arg("-b").arg(bundle.write().dir());
    command.arg(t.id("c")).output().ok();
    let pid = std::fs::read_to_string(&file).expect("read the pid file");
    assert_eq!(t.state("c")["pid"].to_string(), pid);
    t.delete_force("c").ok();
}

fn read_only_root_refuses_writes(t: &Test) {
    let mut bundle = t.shell("touch /new 2>&1");
    bundle.set("/root/readonly", true.into());
    let output = t.run(bundle.write()).code(1);
    assert!(output.text().contains("Read-only file system"), "{output}");
}
