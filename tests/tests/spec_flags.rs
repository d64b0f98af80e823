//! Specs that `rootling spec` writes from flags: each runs unchanged, as the caller, with rootling and with runc
//! and crun if they are installed, and is checked from inside.

use std::fs;
use std::path::{Path, PathBuf};

use rootling_tests::{Bundle, Output, Test, Who, both, root, skip, user};
use serde_json::{Value, json};

both!(
    the_process_is_as_the_flags_say,
    capabilities_are_those_that_were_asked_for,
    security_options_reach_the_process,
    mounts_have_their_flags,
    namespaces_are_new_or_the_hosts,
    devices_are_there,
    variables_of_the_kernel_are_set_in_their_namespaces,
    a_terminal_is_given_on_request,
    namespaces_of_another_container_are_joined,
    namespaces_that_another_container_shares_are_the_hosts,
    what_makes_no_sense_writes_nothing,
    nothing_is_overwritten_and_output_can_be_chosen,
    the_plain_spec_is_runcs,
);
user!(
    ids_are_mapped_as_asked,
    privileges_end_at_the_user_namespace,
    limits_without_a_cgroup_are_left_out_with_a_warning,
);
root!(limits_are_those_of_the_cgroup, root_can_map_the_ids_of_a_user);

/// The flags, a script for the container's shell, and what it prints.
type Case<'a> = (&'a [&'a str], &'a str, String);

/// A runtime that runs the spec, with the arguments before its command.
struct Runtime {
    program: PathBuf,
    args: Vec<String>,
    name: &'static str,
}

/// rootling, and those of the others that can run here what they write themselves.
fn runtimes(t: &Test) -> Vec<Runtime> {
    let root = t.state_root().to_string_lossy().into_owned();
    let ours = Runtime { program: t.binary().into(), args: vec!["--root".into(), root], name: "rootling" };
    let mut all = vec![ours];
    for (name, more) in [("runc", &[][..]), ("crun", &["--cgroup-manager=disabled"])] {
        let Some(program) = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .map(|dir| Path::new(dir).join(name))
            .find(|program| program.exists())
        else {
            skip(&format!("{name} is not installed"));
            continue;
        };
        let root = t.path(name).to_string_lossy().into_owned();
        let args = ["--root".to_owned(), root].into_iter().chain(more.iter().map(|arg| (*arg).to_owned()));
        let peer = Runtime { program, args: args.collect(), name };
        match can_run_its_own(t, &peer) {
            Ok(()) => all.push(peer),
            Err(why) => skip(&format!("{name} cannot run its own spec here: {why}")),
        }
    }
    all
}

fn can_run_its_own(t: &Test, peer: &Runtime) -> Result<(), String> {
    let mut bundle = t.bundle(&["true"]);
    fs::remove_file(bundle.dir().join("config.json")).ok();
    let rootless: &[&str] = if t.who() == Who::User { &["--rootless"] } else { &[] };
    let written = t.command(&peer.program).arg("spec").args(rootless).dir(bundle.dir()).output();
    if written.exit() != 0 {
        return Err(written.stderr.trim().replace('\n', " "));
    }
    bundle.config = serde_json::from_slice(&fs::read(bundle.dir().join("config.json")).unwrap()).unwrap();
    bundle.set("/process/args", json!(["true"])).set("/process/terminal", false.into());
    let output = run(t, peer, &bundle.write().clone(), "probe");
    if output.exit() == 0 { Ok(()) } else { Err(output.stderr.trim().replace('\n', " ")) }
}

fn run(t: &Test, runtime: &Runtime, bundle: &Bundle, name: &str) -> Output {
    let id = t.id(&format!("{name}-{}", runtime.name));
    let command = t.command(&runtime.program).args(&runtime.args).args(&["run", "-b"]);
    // Not /dev/null: crun makes the container's root the owner of its standard streams, so for root with a user
    // namespace the host's device would belong to a subordinate id.
    command.arg(bundle.dir()).arg(id).input(b"").output()
}

/// `rootling spec FLAGS -- ARGS` in the bundle.
fn spec(t: &Test, bundle: &Bundle, flags: &[&str], args: &[&str]) -> Output {
    fs::remove_file(bundle.dir().join("config.json")).ok();
    // Who makes cgroups is determined by `flags`.
    t.rootling_without_flags(&["spec"]).args(flags).arg("--").args(args).dir(bundle.dir()).output()
}

/// Writes a spec for each case and runs it with every runtime.
fn check(t: &Test, cases: &[Case<'_>]) {
    let bundle = t.bundle(&["true"]);
    let runtimes = runtimes(t);
    for (flags, script, expected) in cases {
        let written = spec(t, &bundle, flags, &["sh", "-c", script]).ok();
        // What programs cannot do in the host's network is reported once, if there is anything.
        let is_of_network = |line: &&str| line.starts_with("rootling: warning: --network host: ");
        let (network, others): (Vec<_>, Vec<_>) = written.stderr.lines().partition(is_of_network);
        assert!(others.is_empty(), "{flags:?}: {written}");
        let shared = flags.join(" ").replace('=', " ").contains("--network host");
        assert!(network.len() <= usize::from(shared), "{flags:?}: {written}");
        for runtime in &runtimes {
            let output = run(t, runtime, &bundle, "c");
            let same = output.exit() == 0 && output.stdout == *expected;
            assert!(same, "{} {flags:?}: wanted {expected:?}: {output}", runtime.name);
        }
    }
}

fn case<'a>(flags: &'a [&'a str], script: &'a str, expected: &str) -> Case<'a> {
    (flags, script, expected.to_owned())
}

fn the_process_is_as_the_flags_say(t: &Test) {
    check(
        t,
        &[
            case(&[], "echo hello", "hello\n"),
            case(&["--env", "A=b c", "-e", "TERM=dumb"], "echo \"$A\" $TERM", "b c dumb\n"),
            case(
                &["-e", "USER", "-e", "ABSENT"],
                "echo $USER ${ABSENT-none}",
                &format!("{} none\n", t.account().name),
            ),
            case(&["--workdir", "/made/here"], "pwd", "/made/here\n"),
            case(&["--hostname", "box"], "hostname", "box\n"),
            case(
                &["--ulimit", "nofile=100:200", "--ulimit", "core=0"],
                "ulimit -n; ulimit -Hn; ulimit -c",
                "100\n200\n0\n",
            ),
            case(&["--oom-score-adj", "300"], "cat /proc/self/oom_score_adj", "300\n"),
            case(&["--readonly"], "touch /new 2>/dev/null || echo closed", "closed\n"),
            case(&["--user", "root"], "id -u; id -g", "0\n0\n"),
            case(&["--annotation", "a=b"], "true", ""),
            // Values that mean "no change".
            case(&["--memory-swappiness", "-1"], "true", ""),
        ],
    );
}

fn capabilities_are_those_that_were_asked_for(t: &Test) {
    let show = "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | cut -f2 | uniq";
    let set = |bits: u64| format!("{bits:016x}\n");
    let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap();
    // In a user namespace there are all of them, whatever the caller has.
    let all = match t.who() {
        Who::User => (1_u64 << (last + 1)) - 1,
        Who::Root => u64::from_str_radix(own, 16).unwrap(),
    };
    let mut cases = vec![
        case(&["--tmpfs", "/x"], show, &set(1 << 29 | 1 << 10 | 1 << 5)),
        case(&["--cap-drop", "ALL"], show, &set(0)),
        case(&["--cap-drop", "ALL", "--cap-add", "chown"], show, &set(1)),
        case(&["--cap-add", "CAP_SYS_CHROOT", "--cap-drop", "KILL"], show, &set(1 << 29 | 1 << 10 | 1 << 18)),
    ];
    if t.who() == Who::User || all == (1 << (last + 1)) - 1 {
        cases.push(case(&["--cap-add", "ALL"], show, &set(all)));
    } else {
        skip("root lacks capabilities here, so that --cap-add ALL warns");
    }
    check(t, &cases);
}

fn security_options_reach_the_process(t: &Test) {
    let show = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | tr '\\n' ' '";
    let profile = t.path("profile.json");
    let rules = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    ]});
    fs::write(&profile, rules.to_string()).unwrap();
    let file = format!("seccomp={}", profile.display());
    check(
        t,
        &[
            case(&["--security-opt", "seccomp=default"], show, "1 2 "),
            case(&["--security-opt", "seccomp=unconfined"], show, "1 0 "),
            case(&["--security-opt", "no-new-privileges=false"], show, "0 2 "),
            case(
                &["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"],
                show,
                "1 0 ",
            ),
            case(&["--security-opt", &file], "mkdir /new 2>&1 | grep -o 'No space left'", "No space left\n"),
            // The default profile with and without a capability on which it depends.
            case(&["--cap-add", "SYS_ADMIN"], "mount -t tmpfs x /tmp && echo done", "done\n"),
            case(
                &["--security-opt", "apparmor=unconfined", "--security-opt", "label=disable"],
                "mount -t tmpfs x /tmp 2>&1 | grep -o 'Operation not permitted\\|permission denied'",
                // busybox takes EPERM for its own lack of privileges.
                "permission denied\n",
            ),
        ],
    );
}

fn mounts_have_their_flags(t: &Test) {
    let data = t.path("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "content\n").unwrap();
    let data = data.to_string_lossy().into_owned();
    let volume = format!("{data}:/mnt/v:ro,noexec");
    let long = format!("type=bind,src={data},dst=/mnt/v,readonly,nosuid");
    let file = format!("{data}/file:/mnt/file");
    let flag = |flag: &str, place: &str| {
        format!(
            "grep ' {place} ' /proc/self/mountinfo | tail -1 | cut -d' ' -f6 | tr ',' '\\n' | grep -x '{flag}'; "
        )
    };
    let ro = format!("{}{}cat /mnt/v/file", flag("ro", "/mnt/v"), flag("noexec", "/mnt/v"));
    let suid = format!(
        "{}{}touch /mnt/v/x 2>/dev/null || echo closed",
        flag("ro", "/mnt/v"),
        flag("nosuid", "/mnt/v")
    );
    let tmpfs = format!(
        "{}df -k /scratch | tail -1 | awk '{{print $2}}'; grep ' /scratch ' /proc/mounts | grep -o mode=700",
        flag("noexec", "/scratch")
    );
    let runs = "cp /bin/busybox /scratch/echo && /scratch/echo fine";
    check(
        t,
        &[
            case(&["--volume", &volume], &ro, "ro\nnoexec\ncontent\n"),
            case(&["--mount", &long], &suid, "ro\nnosuid\nclosed\n"),
            case(&["-v", &file], "cat /mnt/file", "content\n"),
            case(&["--tmpfs", "/scratch:size=1m,mode=0700"], &tmpfs, "noexec\n1024\nmode=700\n"),
            case(&["--tmpfs", "/scratch:exec"], runs, "fine\n"),
            case(
                &["--mount", "type=tmpfs,dst=/scratch,tmpfs-size=2m,tmpfs-mode=1777"],
                "df -k /scratch | tail -1 | awk '{print $2}'",
                "2048\n",
            ),
            case(&["--shm-size", "1m"], "df -k /dev/shm | tail -1 | awk '{print $2}'", "1024\n"),
            case(
                &["--tmpfs", "/dev/shm:size=512k"],
                "df -k /dev/shm | tail -1 | awk '{print $2}'; grep -c ' /dev/shm ' /proc/mounts",
                "512\n1\n",
            ),
            case(
                &["--tmpfs", "/a/b", "--tmpfs", "/a"],
                "grep -o ' /a[^ ]* tmpfs' /proc/mounts",
                " /a tmpfs\n /a/b tmpfs\n",
            ),
        ],
    );
}

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_string_lossy().into_owned()
}

fn namespaces_are_new_or_the_hosts(t: &Test) {
    let same = |kind: &str| format!("{}\n", own(kind));
    let hosts = "diff -q /etc/hosts /mnt/hosts && diff -q /etc/resolv.conf /mnt/resolv.conf && touch /etc/hosts 2>/dev/null || echo closed";
    let interfaces = "ls /sys/class/net; grep -c : /proc/net/dev";
    let mut cases = vec![
        case(&["--pid", "host"], "readlink /proc/self/ns/pid", &same("pid")),
        case(&["--pid", "private"], "echo $$", "1\n"),
        case(&["--ipc", "host"], "readlink /proc/self/ns/ipc", &same("ipc")),
        case(&["--uts", "host"], "readlink /proc/self/ns/uts", &same("uts")),
        case(&["--network", "host"], "readlink /proc/self/ns/net", &same("net")),
        case(
            &["--network", "host", "-v", "/etc/hosts:/mnt/hosts", "-v", "/etc/resolv.conf:/mnt/resolv.conf"],
            hosts,
            "closed\n",
        ),
        case(&["--network", "private"], interfaces, "lo\n1\n"),
        case(&["--cgroupns", "host"], "readlink /proc/self/ns/cgroup", &same("cgroup")),
        case(
            &["--pid=host", "--ipc=host", "--uts=host", "--network=host"],
            "readlink /proc/self/ns/pid; readlink /proc/self/ns/net",
            &format!("{}\n{}\n", own("pid"), own("net")),
        ),
    ];
    if !Path::new("/etc/resolv.conf").exists() {
        skip("the host has no /etc/resolv.conf to look at");
        cases.remove(5);
    }
    check(t, &cases);
}

fn devices_are_there(t: &Test) {
    let show = |place: &str| format!("stat -c '%t %T' {place}");
    let (full, other) = (show("/dev/full"), show("/dev/other"));
    check(
        t,
        &[
            case(&["--device", "/dev/full"], &full, "1 7\n"),
            case(&["--device", "/dev/zero:/dev/other:r"], &other, "1 5\n"),
            case(&["--device", "/dev/zero:/dev/other"], "head -c 3 /dev/other | wc -c", "3\n"),
        ],
    );
    rules_without_nodes(t);
    // A directory adds every node below it.
    let Some((directory, node)) = [("/dev/cpu", "/dev/cpu/0/"), ("/dev/net", "/dev/net/tun")]
        .into_iter()
        .find(|(directory, _)| Path::new(directory).exists())
    else {
        return skip("there is no directory of devices to give");
    };
    let bundle = t.bundle(&["true"]);
    spec(t, &bundle, &["--device", directory], &["true"]).ok();
    let text = fs::read_to_string(bundle.dir().join("config.json")).unwrap();
    assert!(text.contains(node), "{text}");
}

/// The device rules of the container's cgroup, which are not visible with version 2.
fn rules_without_nodes(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let show = "cat /sys/fs/cgroup/devices/devices.list";
    for (rule, expected) in [("c 10:229 rw", "c 10:229 rw\n"), ("a *:* rwm", "a *:* rwm\n")] {
        let written = spec(t, &bundle, &["--device-cgroup-rule", rule], &["sh", "-c", show]).ok();
        if t.who() == Who::User {
            assert!(written.stderr.contains("--device-cgroup-rule: left out: only root can"), "{written}");
            continue;
        }
        assert_eq!(written.stderr, "");
        if Path::new("/sys/fs/cgroup/devices").is_dir() {
            let list = t.run(&bundle).ok().stdout;
            assert!(list.contains(expected), "{list}");
        } else {
            t.run(&bundle).fails_with(&["devices.list"]);
        }
    }
    let flags = ["--device-cgroup-rule", "a"];
    spec(t, &bundle, &flags, &["true"])
        .fails_with(&["--device-cgroup-rule \"a\"", "TYPE MAJOR:MINOR ACCESS"]);
}

fn variables_of_the_kernel_are_set_in_their_namespaces(t: &Test) {
    check(
        t,
        &[
            case(
                &["--network", "private", "--sysctl", "net.ipv4.ip_forward=1"],
                "cat /proc/sys/net/ipv4/ip_forward",
                "1\n",
            ),
            case(&["--sysctl", "kernel.msgmax=4096"], "cat /proc/sys/kernel/msgmax", "4096\n"),
        ],
    );
}

fn a_terminal_is_given_on_request(t: &Test) {
    let bundle = t.bundle(&["true"]);
    spec(t, &bundle, &["--tty"], &["sh", "-c", "test -t 0 && echo terminal"]).ok();
    let terminal = rootling_tests::terminal::Terminal::open(24, 80);
    let running = terminal.attach(t.run_command(&bundle)).spawn();
    terminal.read_until("terminal");
    running.output().ok();
}

fn namespaces_of_another_container_are_joined(t: &Test) {
    let first = t.bundle(&["true"]);
    spec(t, &first, &["--hostname", "first", "--network", "private"], &["sleep", "1000"]).ok();
    t.create(&first, "first").ok();
    t.start("first").ok();
    let pid = t.state("first")["pid"].as_i64().unwrap();
    let link = |kind: &str| {
        let script = format!("readlink /proc/{pid}/ns/{kind}");
        t.command("sh").args(&["-c", &script]).output().ok().stdout
    };
    let mode = format!("container:{}", t.id("first"));
    let bundle = t.bundle(&["true"]);
    for (flag, kind) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--network", "net")] {
        spec(t, &bundle, &[flag, &mode], &["readlink", &format!("/proc/self/ns/{kind}")]).ok();
        assert_eq!(t.run(&bundle).ok().stdout, link(kind), "{flag}");
    }
    spec(
        t,
        &bundle,
        &["--uts", &mode, "--pid", &mode],
        &["sh", "-c", "hostname; ps | grep -c '[s]leep 1000'"],
    )
    .ok();
    assert_eq!(t.run(&bundle).ok().stdout, "first\n1\n");
    if t.who() == Who::User {
        spec(t, &bundle, &["--userns", &mode], &["readlink", "/proc/self/ns/user"]).ok();
        assert_eq!(t.run(&bundle).ok().stdout, link("user"));
        spec(t, &bundle, &["--uts", &mode, "--userns", "single"], &["true"])
            .fails_with(&["leave out --userns"]);
    }
    t.delete_force("first").ok();
    spec(t, &bundle, &["--pid", &mode], &["true"]).fails_with(&["does not exist"]);
}

fn namespaces_that_another_container_shares_are_the_hosts(t: &Test) {
    let first = t.bundle(&["true"]);
    let shared =
        ["--pid", "host", "--ipc", "host", "--uts", "host", "--network", "host", "--cgroupns", "host"];
    spec(t, &first, &shared, &["sleep", "1000"]).ok();
    t.create(&first, "first").ok();
    t.start("first").ok();
    let mode = format!("container:{}", t.id("first"));
    let bundle = t.bundle(&["true"]);
    let user = format!("/proc/{}/ns/user", t.state("first")["pid"]);
    let user = t.command("readlink").arg(user).output().ok().stdout;
    for (flag, kind) in
        [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--network", "net"), ("--cgroupns", "cgroup")]
    {
        let script = format!("readlink /proc/self/ns/{kind}; readlink /proc/self/ns/user");
        spec(t, &bundle, &[flag, &mode], &["sh", "-c", &script]).ok();
        assert_eq!(t.run(&bundle).ok().stdout, format!("{}\n{user}", own(kind)), "{flag}");
    }
    // With the host's namespaces any user namespace is possible.
    let script = [
        "sh",
        "-c",
        "readlink /proc/self/ns/net; test $(readlink /proc/self/ns/user) != \"$0\"",
        user.trim(),
    ];
    if t.who() == Who::User {
        spec(t, &bundle, &["--network", &mode, "--userns", "single"], &script).ok();
        assert_eq!(t.run(&bundle).ok().stdout, format!("{}\n", own("net")));
    } else {
        spec(t, &bundle, &["--userns", &mode], &["readlink", "/proc/self/ns/user"]).ok();
        assert_eq!(t.run(&bundle).ok().stdout, user);
    }
    t.delete_force("first").ok();
}

fn what_makes_no_sense_writes_nothing(t: &Test) {
    let bundle = t.bundle(&["true"]);
    for (flags, expected) in [
        (&["--memory", "x"][..], &["--memory \"x\"", "512k, 64m"][..]),
        (&["--memory", "1m"], &["1048576", "6291456"]),
        (&["--cpus", "0.001"], &["--cpus", "0.01 to"]),
        (&["--cpus", "1", "--cpu-quota", "5000"], &["cannot be given together"]),
        (&["--cpu-period", "1"], &["--cpu-period", "1000 to 1000000"]),
        (&["--cpuset-cpus", "8000"], &["--cpuset-cpus", "8000"]),
        (&["--memory-swap", "64m"], &["needs a memory limit"]),
        (&["--blkio-weight", "5"], &["10 to 1000"]),
        (&["--blkio-weight", "-1"], &["--blkio-weight: -1 is out of range", "10 to 1000"]),
        (&["--cpu-shares", "-1"], &["--cpu-shares: -1 is out of range", "2 to 262144"]),
        (&["--memory-swappiness", "-2"], &["--memory-swappiness: -2 is out of range", "0 to 100"]),
        (&["--cpu-rt-period", "-1"], &["--cpu-rt-period: -1 is out of range", "1000 to 1000000"]),
        (&["--cpuset-cpus", "-1"], &["--cpuset-cpus", "-1"]),
        (&["--device-read-bps", "/dev/null:1m"], &["not a block device"]),
        (&["--oom-score-adj", "2000"], &["-1000 to 1000"]),
        (&["--shm-size", "-1"], &["negative"]),
        (
            &["--security-opt", "systempaths=unconfined"],
            &["invalid --security-opt: \"systempaths=unconfined\""],
        ),
        (&["--security-opt", "seccomp=absent.json"], &["absent.json", "cannot be read"]),
        (&["--cap-add", "FLY"], &["FLY"]),
        (&["--user", "nobody-here"], &["etc/passwd of the root file system"]),
        (&["--workdir", "x"], &["not absolute"]),
        (&["--volume", "/absent:/x"], &["/absent"]),
        (&["--mount", "type=bind,dst=/x"], &["no source"]),
        (&["--tmpfs", "x"], &["absolute path"]),
        (&["--device", "/dev/absent"], &["/dev/absent"]),
        (&["--ulimit", "x=1"], &["nofile"]),
        (&["--sysctl", "kernel.panic=1"], &["kernel.panic"]),
        (&["--pid", "mine"], &["host, private or container:ID"]),
        (&["--ipc", "container:absent"], &["absent"]),
        (&["--userns", "a:b:c"], &["USER:GROUP"]),
        (&["--uts", "host", "--hostname", "x"], &["uts namespace"]),
        (&["--cgroup-manager", "systemd", "--cgroup-parent", "/x"], &["slice"]),
        (&["--annotation", "x"], &["KEY=VALUE"]),
    ] {
        spec(t, &bundle, flags, &["true"]).fails_with(expected);
        assert!(!bundle.dir().join("config.json").exists(), "{flags:?}");
    }
}

fn nothing_is_overwritten_and_output_can_be_chosen(t: &Test) {
    let bundle = t.bundle(&["true"]);
    spec(t, &bundle, &["--tmpfs", "/x"], &["true"]).ok();
    let before = fs::read(bundle.dir().join("config.json")).unwrap();
    t.rootling(&["spec", "--readonly"])
        .dir(bundle.dir())
        .output()
        .fails_with(&["File config.json exists. Remove it first"]);
    assert_eq!(fs::read(bundle.dir().join("config.json")).unwrap(), before);
    let printed =
        t.rootling(&["spec", "--readonly", "-o", "-", "--", "ls"]).dir(bundle.dir()).output().ok().json();
    assert_eq!((&printed["process"]["args"], &printed["root"]["readonly"]), (&json!(["ls"]), &json!(true)));
    t.rootling(&["spec", "-o", "other.json"]).dir(bundle.dir()).output().ok();
    let other: Value = serde_json::from_slice(&fs::read(bundle.dir().join("other.json")).unwrap()).unwrap();
    assert_eq!(other["process"]["args"], json!(["sh"]));
}

fn the_plain_spec_is_runcs(t: &Test) {
    let runc = Path::new("/usr/sbin/runc");
    if !runc.exists() {
        return skip("runc is not installed");
    }
    let dir = t.bundle(&["true"]);
    let rootless: &[&str] = if t.who() == Who::User { &["--rootless"] } else { &[] };
    let written = |program: &Path| -> Value {
        fs::remove_file(dir.dir().join("config.json")).ok();
        t.command(program).arg("spec").args(rootless).dir(dir.dir()).output().ok();
        let mut value: Value =
            serde_json::from_slice(&fs::read(dir.dir().join("config.json")).unwrap()).unwrap();
        for set in value["process"]["capabilities"].as_object_mut().unwrap().values_mut() {
            set.as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
        value
    };
    let (ours, mut theirs) = (written(t.binary()), written(runc));
    // Differences of an older runc: the version, an ambient set that it dropped later, and a path that was added
    // later.
    theirs["ociVersion"] = ours["ociVersion"].clone();
    let sets = theirs["process"]["capabilities"].as_object_mut().unwrap();
    sets.remove("ambient");
    sets.remove("inheritable");
    theirs["linux"]["maskedPaths"] = ours["linux"]["maskedPaths"].clone();
    assert_eq!(ours, theirs);
}

fn ids_are_mapped_as_asked(t: &Test) {
    let (name, uid, gid) = (t.account().name.clone(), t.account().uid, t.account().gid);
    let range = |file: &str| -> Option<(String, String)> {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.split(':').next() == Some(name.as_str()))?;
        let mut fields = line.split(':').skip(1).map(str::to_owned);
        Some((fields.next()?, fields.next()?))
    };
    let one = "cat /proc/self/uid_map /proc/self/gid_map | awk '{print $1,$2,$3}'";
    check(t, &[case(&["--userns", "single"], one, &format!("0 {uid} 1\n0 {gid} 1\n"))]);
    let (Some(uids), Some(gids)) = (range("/etc/subuid"), range("/etc/subgid")) else {
        return skip("the user has no range in /etc/subuid and /etc/subgid");
    };
    let all = format!("0 {uid} 1\n1 {} {}\n0 {gid} 1\n1 {} {}\n", uids.0, uids.1, gids.0, gids.1);
    let pair = format!("{uid}:{gid}");
    check(
        t,
        &[
            case(&["--userns", "auto"], one, &all),
            case(&["--userns", &name], one, &all),
            case(&["--userns", &pair], one, &all),
            // A user other than root needs more than one id.
            case(&["--user", "5:7"], "id -u; id -g", "5\n7\n"),
            case(&["--user", "nobody:root"], "id -u; id -g", "65534\n0\n"),
            case(
                &["--user", "5:7", "--cap-add", "NET_RAW"],
                "grep -E 'Cap(Eff|Amb)' /proc/self/status | cut -f2 | uniq",
                "0000000000002000\n",
            ),
        ],
    );
    let bundle = t.bundle(&["true"]);
    spec(t, &bundle, &["--userns", "host"], &["true"]).fails_with(&["an ordinary user"]);
}

fn privileges_end_at_the_user_namespace(t: &Test) {
    let script = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | cut -f2 | tr '\\n' ' '; mount -t tmpfs x /tmp && echo mounted; \
                  unshare -m true && echo nested; head -c 1 /proc/kcore >/dev/null 2>&1 || echo hosts";
    check(
        t,
        &[case(&["--privileged-in-userns", "--network", "private"], script, "0 0 mounted\nnested\nhosts\n")],
    );
}

fn limits_without_a_cgroup_are_left_out_with_a_warning(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let flags =
        ["--cgroup-manager", "disabled", "--memory", "64m", "--pids-limit", "5", "--cgroup-parent", "/x"];
    let written = spec(t, &bundle, &flags, &["echo", "fine"]).ok();
    assert_eq!(written.stderr.lines().count(), 3, "{written}");
    for part in ["memory controller", "pids controller", "--cgroup-parent"] {
        assert!(written.stderr.contains(part), "{written}");
    }
    assert_eq!(t.run(&bundle).ok().stdout, "fine\n");
}

fn limits_are_those_of_the_cgroup(t: &Test) {
    let v1 = Path::new("/sys/fs/cgroup/memory").is_dir() && Path::new("/sys/fs/cgroup/pids").is_dir();
    if !v1 {
        return skip("the files of cgroup v1 are looked at, and memory and pids are not mounted");
    }
    let bundle = t.bundle(&["true"]);
    let show = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.shares";
    let flags = ["--memory", "64m", "--pids-limit", "50", "--cpu-shares", "512"];
    let written = spec(t, &bundle, &flags, &["sh", "-c", show]).ok();
    for runtime in runtimes(t).iter().filter(|runtime| runtime.name != "crun") {
        let output = run(t, runtime, &bundle, "c");
        assert_eq!(output.clone().ok().stdout, "67108864\n50\n512\n", "{written} {output}");
    }
    if !["blkio.weight", "blkio.bfq.io_service_bytes"]
        .iter()
        .any(|file| Path::new("/sys/fs/cgroup/blkio").join(file).exists())
    {
        return skip("the kernel has no weights for block I/O");
    }
    let show = "cd /sys/fs/cgroup/blkio; cat blkio.weight blkio.bfq.weight 2>/dev/null";
    let written = spec(t, &bundle, &["--blkio-weight", "300"], &["sh", "-c", show]).ok();
    assert_eq!(written.stderr, "", "{written}");
    let output = run(t, &runtimes(t)[0], &bundle, "c");
    assert!(output.stdout.contains("300\n"), "{output}");
}

fn root_can_map_the_ids_of_a_user(t: &Test) {
    let text = fs::read_to_string("/etc/subuid").unwrap_or_default();
    let groups = fs::read_to_string("/etc/subgid").unwrap_or_default();
    let owner = text.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').map(str::to_owned).collect();
        let both = groups.lines().any(|line| line.starts_with(&format!("{}:", fields[0])));
        let known =
            fs::read_to_string("/etc/passwd").is_ok_and(|all| all.contains(&format!("{}:x", fields[0])));
        (fields.len() == 3 && both && known).then_some(fields)
    });
    let Some(owner) = owner else { return skip("no user has ranges in /etc/subuid and /etc/subgid") };
    let map = format!("0 {} {}\n", owner[1], owner[2]);
    let show = "awk '{print $1,$2,$3}' /proc/self/uid_map";
    check(t, &[case(&["--userns", &owner[0]], show, &map)]);
    let bundle = t.bundle(&["true"]);
    let written = spec(t, &bundle, &["--userns", "root"], &["readlink", "/proc/self/ns/user"]).ok();
    assert!(written.stderr.contains("--userns \"root\": root cannot be mapped to itself"), "{written}");
    assert_eq!(t.run(&bundle).ok().stdout, format!("{}\n", own("user")));
    spec(t, &bundle, &["--privileged-in-userns"], &["true"]).fails_with(&["add --userns"]);
    // Their file systems cannot be mounted in a user namespace other than the owner.
    let first = t.shell("sleep 1000");
    t.create(first.write(), "first").ok();
    let mode = format!("container:{}", t.id("first"));
    for (flag, place) in [("--pid", "/proc"), ("--ipc", "/dev/mqueue")] {
        let refused = spec(t, &bundle, &[flag, &mode, "--userns", &owner[0]], &["true"]);
        refused.fails_with(&[&mode, place, "leave out --userns"]);
    }
    t.delete_force("first").ok();
}
