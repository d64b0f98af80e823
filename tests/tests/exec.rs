//! `exec`: the properties of a further process in a container, and the effect of its flags.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rootling_tests::{Bundle, Socket, Test, both, eventually, root, user};
use serde_json::{Value, json};

both!(
    program_runs_in_all_namespaces_of_the_container,
    exit_code_is_the_programs_or_255,
    standard_streams_are_the_callers,
    no_descriptor_of_the_host_reaches_the_program,
    everything_after_the_id_is_the_command,
    environment_is_the_containers_with_the_last_of_each_name,
    home_comes_from_the_image_where_the_container_has_none,
    working_directory_is_the_containers_or_the_flags,
    capabilities_are_the_containers_and_those_of_the_flag,
    no_new_privileges_is_the_containers_or_the_flags,
    filter_of_the_container_holds,
    limits_umask_and_personality_are_the_containers,
    changed_bundle_changes_nothing,
    preserved_descriptors_reach_the_program,
    pid_file_names_the_program,
    pid_file_that_cannot_be_written_leaves_nothing,
    pidfd_socket_gets_the_program,
    detached_program_outlives_the_runtime,
    signals_are_passed_on,
    created_container_can_be_looked_at_and_keeps_nothing_of_the_host_open,
    stopped_container_is_refused,
    container_without_a_process_record_is_refused,
    container_whose_filter_cannot_be_read_is_refused,
    bad_requests_are_one_line,
    container_cannot_look_into_a_process_that_joins,
    killed_runtime_leaves_no_process,
    container_of_the_hosts_namespaces_works,
    image_cannot_lead_the_program_out,
);
user!(groups_without_a_map_are_left_out_with_a_warning);
root!(user_and_groups_are_the_flags, cgroup_is_the_containers, null_stays_the_hosts,);

/// A container that sleeps, with the changes made by `change`.
fn sleeping(t: &Test, change: impl FnOnce(&mut Bundle)) -> Bundle {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    change(&mut bundle);
    t.run_detached(bundle.write(), "c").ok();
    bundle
}

fn end(t: &Test) {
    t.delete_force("c").ok();
}

const NONE: [&str; 0] = [];

/// The output of a script in the container.
fn prints(t: &Test, flags: &[&str], script: &str) -> String {
    t.exec(flags, "c", &["sh", "-c", script]).output().ok().stdout
}

fn program_runs_in_all_namespaces_of_the_container(t: &Test) {
    sleeping(t, |_| ());
    let script = "for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; readlink /proc/1/ns/$n; done; \
                  readlink /proc/1/root; hostname";
    let seen = prints(t, &[], script);
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines.len(), 18, "{seen}");
    for pair in lines[..16].chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert_eq!(lines[16..], ["/", "box"]);
    // It has no parent inside, and is in a session of its own.
    assert_eq!(prints(t, &[], "set -- $(cat /proc/$$/stat); [ $1 = $6 ] && echo $4 leads"), "0 leads\n");
    end(t);
}

fn exit_code_is_the_programs_or_255(t: &Test) {
    sleeping(t, |_| ());
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 42"], 42),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["no-such-program"], 255),
        (&["/etc"], 255),
        (&["/etc/passwd"], 255),
    ] {
        let output = t.exec(&NONE, "c", command).output();
        assert_eq!(output.exit(), code, "{output}");
    }
    t.exec(&NONE, "c", &["no-such-program"]).output().fails_with(&["no-such-program", "not found in $PATH"]);
    let other = t.exec(&NONE, "nothing", &["true"]).output().code(255);
    other.fails_with(&["does not exist", &t.id("nothing")]);
    end(t);
}

fn standard_streams_are_the_callers(t: &Test) {
    sleeping(t, |_| ());
    let output = t.exec(&NONE, "c", &["sh", "-c", "cat; echo err >&2"]).input(b"in\n").output().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("in\n", "err\n"));
    end(t);
}

/// Opens descriptors 5 and 6 in rootling's caller, without close-on-exec.
const LEAKY_CALLER: [&str; 3] = ["sh", "-c", r#"exec 5</etc/passwd 6</; exec "$0" "$@""#];

fn no_descriptor_of_the_host_reaches_the_program(t: &Test) {
    sleeping(t, |_| ());
    let output = t.exec(&NONE, "c", &["ls", "/proc/self/fd"]).under(&LEAKY_CALLER).output().ok();
    // 3 is the descriptor of the listed directory itself.
    assert_eq!(output.stdout, "0\n1\n2\n3\n");
    // CVE-2024-21626.
    for descriptor in 3..12 {
        let cwd = format!("/proc/self/fd/{descriptor}");
        let command = ["sh", "-c", "ls -a ../../../../../../etc"];
        let output = t.exec(&["--cwd", &cwd], "c", &command).under(&LEAKY_CALLER).output();
        assert!(output.exit() == 255 || !output.stdout.contains("hostname"), "{output}");
    }
    end(t);
}

fn everything_after_the_id_is_the_command(t: &Test) {
    sleeping(t, |_| ());
    let output =
        t.exec(&["-e", "A=1"], "c", &["echo", "-e", "--env", "-d", "--root", "/", "--", "x"]).output();
    // busybox interprets -e itself.
    assert_eq!(output.ok().stdout, "--env -d --root / -- x\n");
    assert_eq!(t.exec(&NONE, "c", &["--", "echo", "--"]).output().ok().stdout, "--\n");
    end(t);
}

fn environment_is_the_containers_with_the_last_of_each_name(t: &Test) {
    sleeping(t, |bundle| {
        bundle.set("/process/env", json!(["PATH=/usr/bin:/bin", "A=0", "HOME=/there", "Z=9", "A=1"]));
    });
    let marker = format!("ROOTLING_TEST={}", t.marker());
    let flags = ["-e", "B=2,3", "--env", "Z=10", "-e", &marker, "-e", "B=4"];
    let output = t.exec(&flags, "c", &["env"]).output().ok();
    assert_eq!(output.stdout, format!("PATH=/usr/bin:/bin\nHOME=/there\nA=1\nZ=10\n{marker}\nB=4\n"));
    t.exec(&["-e", "=x"], "c", &["env"]).output().code(255).fails_with(&["process.env", "=x"]);
    end(t);
}

fn home_comes_from_the_image_where_the_container_has_none(t: &Test) {
    sleeping(t, |bundle| {
        fs::write(bundle.rootfs("etc/passwd"), "r:x:0:0::/of-root:/bin/sh\n").expect("write the image");
    });
    assert_eq!(prints(t, &[], "echo $HOME"), "/of-root\n");
    assert_eq!(prints(t, &["-e", "HOME="], "echo $HOME"), "/of-root\n");
    assert_eq!(prints(t, &["-e", "HOME=/x"], "echo $HOME"), "/x\n");
    end(t);
}

fn working_directory_is_the_containers_or_the_flags(t: &Test) {
    sleeping(t, |bundle| {
        bundle.set("/process/cwd", "/usr".into());
        fs::create_dir_all(bundle.rootfs("usr")).expect("make the directory");
    });
    assert_eq!(prints(t, &[], "pwd"), "/usr\n");
    assert_eq!(prints(t, &["--cwd", "/dev/shm"], "pwd"), "/dev/shm\n");
    t.exec(&["--cwd", "bin"], "c", &["true"]).output().code(255).fails_with(&["process.cwd", "absolute"]);
    t.exec(&["--cwd", "/none"], "c", &["true"]).output().code(255).fails_with(&["process.cwd", "/none"]);
    end(t);
}

/// The five sets in the kernel's order: inheritable, permitted, effective, bounding, ambient.
fn capability_sets(t: &Test, flags: &[&str]) -> Vec<u64> {
    let output = prints(t, flags, "exec grep Cap /proc/self/status");
    let hexadecimal = |line: &str| {
        let (_, value) = line.split_once('\t').expect("a name and a value");
        u64::from_str_radix(value, 16).expect("a set in hexadecimal")
    };
    output.lines().map(hexadecimal).collect()
}

/// Numbers in capabilities(7).
const KILL: u64 = 1 << 5;
const BIND: u64 = 1 << 10;
const CHOWN: u64 = 1;

fn capabilities_are_the_containers_and_those_of_the_flag(t: &Test) {
    let some = json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    sleeping(t, |bundle| {
        bundle.set("/process/capabilities", json!({"bounding": some, "permitted": some, "effective": some}));
    });
    let both = KILL | BIND;
    assert_eq!(capability_sets(t, &[]), [0, both, both, both, 0]);
    let more = both | CHOWN;
    assert_eq!(capability_sets(t, &["--cap", "CAP_CHOWN"]), [0, more, more, more, 0]);
    assert_eq!(capability_sets(t, &["-c", "chown", "-c", "CAP_KILL"]), [0, more, more, more, 0]);
    let unknown = t.exec(&["--cap", "CAP_NONE"], "c", &["true"]).output().ok();
    assert!(unknown.stderr.contains("CAP_NONE"), "{unknown}");
    end(t);

    // Ambient only if the container has any inheritable capabilities, as in runc.
    let chown = json!(["CAP_CHOWN"]);
    sleeping(t, |bundle| {
        let sets = json!({"bounding": chown, "permitted": [], "effective": [], "inheritable": chown});
        bundle.set("/process/capabilities", sets);
    });
    assert_eq!(capability_sets(t, &["--cap", "CAP_CHOWN"])[4], CHOWN);
    end(t);
}

fn no_new_privileges_is_the_containers_or_the_flags(t: &Test) {
    for (container, without) in [(true, "1"), (false, "0")] {
        sleeping(t, |bundle| {
            bundle.set("/process/noNewPrivileges", container.into());
        });
        let shown = |flags: &[&str]| prints(t, flags, "grep NoNewPrivs /proc/self/status");
        assert_eq!(shown(&[]), format!("NoNewPrivs:\t{without}\n"));
        assert_eq!(shown(&["--no-new-privs"]), "NoNewPrivs:\t1\n");
        assert_eq!(shown(&["--no-new-privs=false"]), "NoNewPrivs:\t0\n");
        end(t);
    }
}

/// A profile that forbids making directories.
fn no_mkdir() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]
    })
}

fn filter_of_the_container_holds(t: &Test) {
    for no_new_privileges in [true, false] {
        sleeping(t, |bundle| {
            bundle.set("/linux/seccomp", no_mkdir());
            bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        });
        let output = t.exec(&NONE, "c", &["mkdir", "/dev/shm/x"]).output().code(1);
        assert!(output.stderr.contains("not supported"), "{output}");
        assert_eq!(prints(t, &[], "grep Seccomp_filters /proc/self/status"), "Seccomp_filters:\t1\n");
        end(t);
    }
}

fn limits_umask_and_personality_are_the_containers(t: &Test) {
    sleeping(t, |bundle| {
        bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]));
        bundle.set("/process/user/umask", 0o027.into());
        bundle.set("/process/oomScoreAdj", 123.into());
        bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
    });
    let seen = prints(t, &[], "ulimit -n; ulimit -Hn; umask; cat /proc/self/oom_score_adj; uname -m");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..4], ["77", "88", "0027", "123"], "{seen}");
    assert!(lines[4] != "x86_64", "{seen}");
    end(t);
}

fn changed_bundle_changes_nothing(t: &Test) {
    let mut bundle = sleeping(t, |bundle| {
        bundle.set("/process/env/-", "MADE=before".into());
        bundle.set("/linux/seccomp", no_mkdir());
    });
    bundle.remove("/linux/seccomp").set("/process/env/-", "MADE=after".into());
    bundle.set("/process/capabilities", json!({"bounding": ["CAP_SYS_ADMIN"]})).write();
    let script = "echo $MADE; mkdir /dev/shm/x || grep CapBnd /proc/self/status";
    let seen = prints(t, &[], script);
    assert!(seen.starts_with("before\nCapBnd:\t0000000020000420"), "{seen}");
    fs::remove_file(bundle.dir().join("config.json")).expect("remove the configuration");
    assert_eq!(prints(t, &[], "echo $MADE"), "before\n");
    end(t);
}

fn preserved_descriptors_reach_the_program(t: &Test) {
    sleeping(t, |_| ());
    let caller = ["sh", "-c", r#"exec 3</dev/null 4</etc/hostname; exec "$0" "$@""#];
    let output = t.exec(&["--preserve-fds", "2"], "c", &["cat", "/proc/self/fd/4"]).under(&caller).output();
    assert_eq!(output.ok().stdout, fs::read_to_string("/etc/hostname").expect("the host's name"));
    let missing = t.exec(&["--preserve-fds", "3"], "c", &["true"]).under(&caller).output().code(255);
    missing.fails_with(&["--preserve-fds", "5"]);
    end(t);
}

fn pid_file_names_the_program(t: &Test) {
    sleeping(t, |_| ());
    // A relative path is relative to the caller's directory.
    t.exec(&["-d", "--pid-file", "pid"], "c", &["sleep", "1000"]).output().ok();
    let pid = fs::read_to_string(t.path("pid")).expect("the pid file");
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("the program's name");
    assert_eq!(name, "sleep\n");
    end(t);
}

fn pid_file_that_cannot_be_written_leaves_nothing(t: &Test) {
    sleeping(t, |_| ());
    let output = t.exec(&["-d", "--pid-file", "/nowhere/pid"], "c", &["sleep", "1000"]).output().code(255);
    output.fails_with(&["--pid-file", "/nowhere/pid"]);
    assert_eq!(processes(t), 1);
    end(t);
}

/// The number of processes in the container, not including the one that counts.
fn processes(t: &Test) -> usize {
    let listed = prints(t, &[], "exec ls -d /proc/[0-9]*");
    listed.lines().count() - 1
}

fn pidfd_socket_gets_the_program(t: &Test) {
    sleeping(t, |_| ());
    let socket = Socket::listen(t, "pidfd.sock");
    let flags = ["-d", "--pid-file", "pid", "--pidfd-socket", "pidfd.sock"];
    let exec = t.exec(&flags, "c", &["sleep", "1000"]).spawn();
    let pidfd = socket.receive();
    exec.output().ok();
    let info = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(&pidfd));
    let info = fs::read_to_string(info).expect("what the descriptor is");
    let pid = fs::read_to_string(t.path("pid")).expect("the pid file");
    assert!(info.contains(&format!("Pid:\t{pid}\n")), "{info}");
    end(t);
}

fn detached_program_outlives_the_runtime(t: &Test) {
    sleeping(t, |_| ());
    t.exec(&["-d"], "c", &["sh", "-c", "sleep 0.2; echo done >/dev/shm/done; sleep 1000"]).output().ok();
    eventually("the program goes on", || prints(t, &[], "cat /dev/shm/done 2>/dev/null; true") == "done\n");
    end(t);
}

fn signals_are_passed_on(t: &Test) {
    sleeping(t, |_| ());
    for number in [Signal::SIGUSR1 as i32, 34] {
        let script = format!("trap 'echo got; exit 7' {number}; echo ready; while :; do sleep 0.05; done");
        let mut exec = t.exec(&NONE, "c", &["sh", "-c", &script]).spawn();
        exec.prints("ready\n");
        exec.signal_number(number);
        assert_eq!(exec.output().code(7).stdout, "ready\ngot\n", "{number}");
    }
    end(t);
}

fn stopped_container_is_refused(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.run_detached(bundle.write(), "c").ok();
    eventually("it has stopped", || t.status("c") == "stopped");
    let output = t.exec(&NONE, "c", &["true"]).output().code(255);
    output.fails_with(&["cannot exec in a stopped container"]);
    end(t);
}

fn container_without_a_process_record_is_refused(t: &Test) {
    sleeping(t, |_| ());
    fs::remove_file(t.state_root().join(t.id("c")).join("process.json")).expect("remove the record");
    t.exec(&NONE, "c", &["true"]).output().code(255).fails_with(&["damaged", "process.json", "delete"]);
    end(t);
}

/// Without its filter a program would be confined less than the container's own.
fn container_whose_filter_cannot_be_read_is_refused(t: &Test) {
    for damage in ["gone", "a directory", "empty"] {
        let bundle = sleeping(t, |bundle| {
            bundle.set("/linux/seccomp", no_mkdir());
        });
        let filter = t.state_root().join(t.id("c")).join("seccomp.bpf");
        fs::remove_file(&filter).expect("remove the filter");
        match damage {
            "a directory" => fs::create_dir(&filter).expect("make a directory"),
            "empty" => fs::write(&filter, "").expect("write a file"),
            _ => {}
        }
        let output = t.exec(&NONE, "c", &["touch", "/tmp/ran"]).output();
        assert!(output.exit() != 0 && !bundle.rootfs("tmp/ran").exists(), "{damage}: {output}");
        assert!(output.stderr.contains("seccomp"), "{damage}: {output}");
        end(t);
    }
}

fn bad_requests_are_one_line(t: &Test) {
    sleeping(t, |_| ());
    t.exec(&NONE, "c", &[]).output().code(255).fails_with(&["exec args cannot be empty"]);
    t.exec(&["--cgroup", "a", "--cgroup", "b"], "c", &["true"]).output().code(255).fails_with(&["--cgroup"]);
    t.exec(&["-d", "-t"], "c", &["true"]).output().code(255).fails_with(&["--console-socket"]);
    let socket = t.exec(&["--console-socket", "x"], "c", &["true"]).output().code(255);
    socket.fails_with(&["--console-socket"]);
    t.exec(&["-u", "root"], "c", &["true"]).output().code(1).fails_with(&["bad uid", "root"]);
    t.exec(&["--process", "/none"], "c", &[]).output().code(255).fails_with(&["--process", "/none"]);
    assert_eq!(processes(t), 1);
    end(t);
}

/// Starts an exec that has joined the container and waits for its pidfd socket; returns the pid in the container.
fn held(t: &Test) -> (Socket, Vec<std::os::unix::net::UnixStream>, rootling_tests::Running) {
    let socket = Socket::listen(t, "held.sock");
    let full = socket.fill();
    let exec = t.command(t.binary()).arg("--root").arg(t.state_root()).args(&["exec", "--pid-file", "pid"]);
    let exec = exec.args(&["--pidfd-socket", "held.sock", &t.id("c"), "echo", "ran"]).spawn();
    eventually("the process is ready", || t.path("pid").exists());
    (socket, full, exec)
}

fn let_go(socket: &Socket, exec: rootling_tests::Running) {
    drop(socket.accept());
    let _ = socket.receive();
    assert_eq!(exec.output().ok().stdout, "ran\n");
}

/// CVE-2016-9962: the descriptors, the memory and the program of a process that has joined are inaccessible.
fn container_cannot_look_into_a_process_that_joins(t: &Test) {
    sleeping(t, |bundle| {
        let all = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL"]);
        if t.who() == rootling_tests::Who::User {
            // Everything that a container of an ordinary user can have.
            bundle.set("/process/capabilities", json!({"bounding": all, "permitted": all, "effective": all}));
        }
    });
    let (socket, _full, exec) = held(t);
    // In a single process, since the runtime does not wait for its socket forever.
    let script = r#"for p in /proc/[0-9]*; do
        case $(cat $p/comm) in sh|sleep|cat) continue;; esac
        echo joins
        for look in "readlink $p/fd/0" "readlink $p/exe" "readlink $p/cwd" "cat $p/environ"; do
            $look 2>/dev/null && echo "could $look"
        done
    done"#;
    assert_eq!(prints(t, &[], script), "joins\n");
    let_go(&socket, exec);
    end(t);
}

fn killed_runtime_leaves_no_process(t: &Test) {
    sleeping(t, |_| ());
    let (_socket, _full, exec) = held(t);
    let pid: i32 = fs::read_to_string(t.path("pid")).expect("the pid file").parse().expect("a pid");
    exec.signal(Signal::SIGKILL);
    assert_eq!(exec.output().exit(), -9);
    eventually("its child ends with it", || kill(Pid::from_raw(pid), None).is_err());
    end(t);
}

fn container_of_the_hosts_namespaces_works(t: &Test) {
    sleeping(t, |bundle| {
        for kind in ["network", "ipc", "uts", "cgroup"] {
            bundle.without_namespace(kind);
        }
        bundle.remove("/hostname");
    });
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
    assert_eq!(prints(t, &[], "hostname"), host);
    end(t);
}

/// Links in the image are resolved inside it.
fn image_cannot_lead_the_program_out(t: &Test) {
    let bundle = sleeping(t, |_| ());
    symlink("/etc", bundle.rootfs("link")).expect("make the link");
    assert_eq!(prints(t, &["--cwd", "/link"], "pwd -P; ls"), "/etc\ngroup\npasswd\n");
    end(t);
}

fn created_container_can_be_looked_at_and_keeps_nothing_of_the_host_open(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let create = t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    create.under(&LEAKY_CALLER).output().ok();
    assert_eq!(prints(t, &[], "hostname"), "box\n");
    assert_eq!(t.status("c"), "created");
    // Only the socket on which it waits for its start.
    let seen = prints(t, &[], "cd /proc/1/fd; for f in *; do echo $f $(readlink $f); done");
    let others: Vec<&str> = seen.lines().filter(|line| !["0 ", "1 ", "2 "].contains(&&line[..2])).collect();
    assert!(others.len() == 1 && others[0].contains(" socket:"), "{seen}");
    t.start("c").ok();
    end(t);
}

fn groups_without_a_map_are_left_out_with_a_warning(t: &Test) {
    sleeping(t, |_| ());
    let output = t.exec(&["-g", "100"], "c", &["true"]).output().ok();
    assert!(output.stderr.contains("additionalGids"), "{output}");
    end(t);
}

fn user_and_groups_are_the_flags(t: &Test) {
    sleeping(t, |bundle| {
        fs::write(bundle.rootfs("etc/passwd"), "web:x:33:33::/srv:/bin/sh\n").expect("write the image");
        bundle.set("/process/user/additionalGids", json!([7]));
    });
    assert_eq!(prints(t, &["-u", "33"], "id -u; id -g; id -G; echo $HOME"), "33\n0\n0 7\n/srv\n");
    let flags = ["--user", "1000:100", "-g", "5", "--additional-gids", "6"];
    assert_eq!(prints(t, &flags, "id -u; id -g; id -G; echo $HOME"), "1000\n100\n100 5 6 7\n/\n");
    // Its own standard streams can be reopened.
    assert_eq!(prints(t, &["-u", "33"], "echo again >/dev/stdout"), "again\n");
    end(t);
}

fn cgroup_is_the_containers(t: &Test) {
    sleeping(t, |_| ());
    let pid = t.state("c")["pid"].to_string();
    t.exec(&["-d", "--pid-file", "pid"], "c", &["sleep", "1000"]).output().ok();
    let other = fs::read_to_string(t.path("pid")).expect("the pid file");
    let of = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the cgroups");
    assert_eq!(of(&pid), of(&other));
    t.exec(&["--cgroup", "../.."], "c", &["true"]).output().code(255).fails_with(&["bad sub cgroup path"]);
    let none = t.exec(&["--cgroup", "none"], "c", &["true"]).output().code(255);
    none.fails_with(&["adding pid", "to cgroups", "No such file"]);
    let unknown = t.exec(&["--cgroup", "what:/"], "c", &["true"]).output().code(255);
    unknown.fails_with(&["unknown controller what"]);
    assert_eq!(processes(t), 2);
    end(t);
}

fn null_stays_the_hosts(t: &Test) {
    let owner = || fs::metadata("/dev/null").expect("stat of /dev/null").uid();
    let before = owner();
    sleeping(t, |_| ());
    t.exec(&["-u", "1234:1234"], "c", &["true"]).output().ok();
    assert!(owner() == before && before != 1234);
    end(t);
}
