//! A profile that denies any one system call which the program does not need does not prevent a start.
//!
//! What a runtime calls after loading the filter is subject to the filter, and a profile is written for a program,
//! not for a runtime. Something is always left: execve(2), and without no_new_privs what drops the capabilities
//! that loading requires. The peers show in the same run how little is possible: what prevents a start with ours
//! must also prevent one with crun or with runc.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use libseccomp::ScmpSyscall;
use rootling_tests::{Cmd, Output, Test, Variation, both, cgroups, skip, user};
use serde_json::{Value, json};

both!(
    no_single_denied_call_stops_run,
    no_single_denied_call_stops_create_and_start,
    no_single_denied_call_stops_exec,
    allow_list_of_2018_lets_containers_start,
);

user!(
    run_with_no_new_privileges_needs_no_more_than_a_peer,
    run_with_new_privileges_needs_no_more_than_a_peer,
    create_with_no_new_privileges_needs_no_more_than_a_peer,
    create_with_new_privileges_needs_no_more_than_a_peer,
    exec_with_no_new_privileges_needs_no_more_than_a_peer,
    exec_with_new_privileges_needs_no_more_than_a_peer,
);

/// No program needs any of these to print a word, and no runtime needs any after the filter.
const NEVER_NEEDED: [&str; 39] = [
    "accept4",
    "access",
    "clone3",
    "close_range",
    "connect",
    "dup",
    "dup2",
    "dup3",
    "epoll_wait",
    "faccessat",
    "faccessat2",
    "fcntl",
    "fstat",
    "getcwd",
    "getdents64",
    "ioctl",
    "keyctl",
    "kill",
    "lseek",
    "memfd_create",
    "newfstatat",
    "openat",
    "openat2",
    "pidfd_open",
    "pidfd_send_signal",
    "poll",
    "ppoll",
    "readlink",
    "readlinkat",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "shutdown",
    "socket",
    "statx",
    "umask",
    "wait4",
    "waitid",
];

/// With no_new_privs the filter comes after everything else: nothing is dropped, checked or waited for under it.
/// Without, it must be loaded while there is CAP_SYS_ADMIN, and runc needs each of these afterwards.
const NEEDED_WITH_NEW_PRIVILEGES_AT_MOST: [&str; 11] = [
    "capget",
    "capset",
    "chdir",
    "getppid",
    "prctl",
    "read",
    "setgid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setuid",
];

/// How a program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Run,
    Create,
    Exec,
}

impl Way {
    /// The word for [`SWEEP`].
    fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Create => "create",
            Self::Exec => "exec",
        }
    }

    /// The container's own program; `exec` needs one that stays.
    fn program(self) -> [&'static str; 2] {
        if self == Self::Exec { ["sleep", "1000000"] } else { ["echo", "works"] }
    }
}

/// A profile that denies only `name`.
fn without(name: &str) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [name], "action": "SCMP_ACT_ERRNO"}]})
}

fn no_single_denied_call_stops_run(t: &Test) {
    for_each_needless(t, Way::Run);
}

fn no_single_denied_call_stops_create_and_start(t: &Test) {
    for_each_needless(t, Way::Create);
}

fn no_single_denied_call_stops_exec(t: &Test) {
    for_each_needless(t, Way::Exec);
}

/// Starts with each of the named calls denied; reports all that fail, and how they ended.
fn for_each_needless(t: &Test, way: Way) {
    let mut bundle = t.bundle(&way.program());
    let mut stopped = String::new();
    for no_new_privileges in [true, false] {
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        let more = if no_new_privileges { &NEEDED_WITH_NEW_PRIVILEGES_AT_MOST[..] } else { &[] };
        for name in NEVER_NEEDED.iter().chain(more) {
            bundle.set("/linux/seccomp", without(name)).write();
            if let Err(how) = start(t, way, &bundle) {
                let _ = writeln!(stopped, "{name}, noNewPrivileges {no_new_privileges}: {how}");
            }
        }
    }
    assert!(stopped.is_empty(), "stopped by a denied\n{stopped}");
}

/// Starts the bundle; the error says how it ended. Nothing of it is left.
fn start(t: &Test, way: Way, bundle: &rootling_tests::Bundle) -> Result<(), Output> {
    let works = |output: Output| if output.text() == "works" { Ok(()) } else { Err(output) };
    let succeeds = |output: Output| if output.exit() == 0 { Ok(output) } else { Err(output) };
    match way {
        Way::Run => works(t.run(bundle)),
        Way::Create => {
            let create = t.rootling(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c")).spawn();
            let started = succeeds(create.output()).and_then(|created| {
                succeeds(t.start("c"))?;
                rootling_tests::eventually("the program has ended", || t.status("c") == "stopped");
                // The program has the streams of create.
                Ok(created.read_again())
            });
            t.delete_force("c").ok();
            started.and_then(works)
        }
        Way::Exec => {
            let none: [&str; 0] = [];
            let ran = succeeds(t.run_detached(bundle, "c"))
                .and_then(|_| works(t.exec(&none, "c", &["echo", "works"]).output()));
            t.delete_force("c").ok();
            ran
        }
    }
}

fn run_with_no_new_privileges_needs_no_more_than_a_peer(t: &Test) {
    needs_no_more_than_a_peer(t, Way::Run, true);
}

fn run_with_new_privileges_needs_no_more_than_a_peer(t: &Test) {
    needs_no_more_than_a_peer(t, Way::Run, false);
}

fn create_with_no_new_privileges_needs_no_more_than_a_peer(t: &Test) {
    needs_no_more_than_a_peer(t, Way::Create, true);
}

fn create_with_new_privileges_needs_no_more_than_a_peer(t: &Test) {
    needs_no_more_than_a_peer(t, Way::Create, false);
}

fn exec_with_no_new_privileges_needs_no_more_than_a_peer(t: &Test) {
    needs_no_more_than_a_peer(t, Way::Exec, true);
}

fn exec_with_new_privileges_needs_no_more_than_a_peer(t: &Test) {
    needs_no_more_than_a_peer(t, Way::Exec, false);
}

fn needs_no_more_than_a_peer(t: &Test, way: Way, no_new_privileges: bool) {
    let names = names_of_all_calls();
    let bundles = Bundles::make(t, way, no_new_privileges, &names);
    let peers = Runtime::peers(t, &bundles);
    if peers.is_empty() {
        return skip("neither crun nor runc is here and runs the bundle, to be compared with");
    }
    let stopped_of = |runtime: &Runtime| {
        let stopped = runtime.stopped(t, &bundles, &names);
        println!("stops {way:?} of {}, noNewPrivileges {no_new_privileges}: {stopped:?}", runtime.name);
        stopped
    };
    let ours = Runtime::ours(t);
    assert!(ours.works(t, &bundles), "no container of the bundle without a denied call");
    let stopped = stopped_of(&ours);
    assert!(stopped.contains("execve"), "execve is denied, and the program runs all the same");
    let of_peers: BTreeSet<String> = peers.iter().flat_map(stopped_of).collect();
    let more: Vec<_> = stopped.difference(&of_peers).collect();
    assert!(more.is_empty(), "stop ours and no peer: {more:?}");
}

/// The system calls of this architecture that libseccomp knows by number.
fn names_of_all_calls() -> Vec<String> {
    let names: Vec<_> =
        (0..1000).filter_map(|number| ScmpSyscall::from_raw_syscall(number).get_name().ok()).collect();
    assert!(names.len() > 250 && names.iter().any(|name| name == "execve"), "{names:?}");
    names
}

/// The bundle whose profile denies nothing that exists.
const NONE: &str = "no_such_call";

/// A directory of bundles, one for each denied call and named after it, that share one root file system.
struct Bundles {
    dir: PathBuf,
    way: Way,
}

impl Bundles {
    fn make(t: &Test, way: Way, no_new_privileges: bool, names: &[String]) -> Self {
        let mut bundle = t.bundle(&way.program());
        bundle
            .set("/root/path", bundle.rootfs("").to_string_lossy().into())
            .set("/process/noNewPrivileges", no_new_privileges.into());
        let dir = t.path("denied");
        for name in names.iter().map(String::as_str).chain([NONE]) {
            bundle.set("/linux/seccomp", without(name));
            fs::create_dir_all(dir.join(name)).expect("make a bundle");
            fs::write(dir.join(name).join("config.json"), bundle.config.to_string())
                .expect("write config.json");
        }
        Self { dir, way }
    }
}

/// Starts a bundle for each name and prints the names with which the program did not print its word.
///
/// The streams of `create` are the program's: the substitution ends when both have ended. The kernel frees the keys
/// of that many keyrings more slowly than new ones are made, and a user has a quota.
const SWEEP: &str = r#"
way=$1 bundles=$2 prefix=$3 names=$4
shift 4
for name in $names; do
    id=$prefix-$name bundle=$bundles/$name
    case $way in
    run) said=$(timeout -s KILL 20 "$@" run --no-new-keyring -b "$bundle" "$id" 2>/dev/null) ;;
    create)
        said=$({
            timeout -s KILL 20 "$@" create --no-new-keyring -b "$bundle" "$id" &&
                timeout -s KILL 20 "$@" start "$id" || "$@" delete -f "$id"
        } 2>/dev/null)
        ;;
    exec)
        timeout -s KILL 20 "$@" run --no-new-keyring -d -b "$bundle" "$id" >/dev/null 2>&1
        said=$(timeout -s KILL 20 "$@" exec "$id" echo works 2>/dev/null)
        ;;
    esac
    [ "$said" = works ] || echo "$name"
    [ "$way$said" = runworks ] || "$@" delete -f "$id" >/dev/null 2>&1
done
exit 0
"#;

/// A runtime, and the words with which its commands begin.
struct Runtime {
    name: &'static str,
    words: Vec<String>,
}

impl Runtime {
    fn new(t: &Test, name: &'static str, program: &Path, flags: &[&str]) -> Self {
        let root = t.path(&format!("state-of-{name}"));
        let words = [&program.to_string_lossy(), "--root", &root.to_string_lossy()].map(str::to_owned);
        Self { name, words: words.into_iter().chain(flags.iter().map(|&flag| flag.to_owned())).collect() }
    }

    fn ours(t: &Test) -> Self {
        Self::new(t, "rootling", t.binary(), &["--cgroup-manager=disabled"])
    }

    /// Those that are installed and run the bundle; the flags are for an ordinary user without a cgroup.
    fn peers(t: &Test, bundles: &Bundles) -> Vec<Self> {
        let find = |(name, flags): (&'static str, &[&str])| {
            let dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map(Path::new);
            let program = dirs.into_iter().map(|dir| dir.join(name)).find(|program| program.is_file());
            let peer = program.map(|program| Self::new(t, name, &program, flags));
            let peer = peer.filter(|peer| peer.works(t, bundles));
            if peer.is_none() {
                skip(&format!("{name} is not installed or does not run the bundle, to be compared with"));
            }
            peer
        };
        let peers: [(&'static str, &[&str]); 2] = [("crun", &["--cgroup-manager=disabled"]), ("runc", &[])];
        peers.into_iter().filter_map(find).collect()
    }

    fn works(&self, t: &Test, bundles: &Bundles) -> bool {
        self.sweep(t, bundles, NONE).is_empty()
    }

    /// The names whose denial prevents a start.
    fn stopped(&self, t: &Test, bundles: &Bundles, names: &[String]) -> BTreeSet<String> {
        // Small enough that none reaches the time limit of a command.
        let chunks: Vec<String> = names.chunks(24).map(|names| names.join(" ")).collect();
        let at_a_time = thread::available_parallelism().map_or(1, usize::from);
        let mut stopped = BTreeSet::new();
        for chunks in chunks.chunks(at_a_time) {
            thread::scope(|scope| {
                let sweeps: Vec<_> =
                    chunks.iter().map(|chunk| scope.spawn(|| self.sweep(t, bundles, chunk))).collect();
                for sweep in sweeps {
                    stopped.extend(sweep.join().expect("a sweep ends"));
                }
            });
        }
        stopped
    }

    fn sweep(&self, t: &Test, bundles: &Bundles, names: &str) -> Vec<String> {
        let prefix = t.id(self.name);
        let command = t
            .command("sh")
            .args(&["-c", SWEEP, "sh", bundles.way.word()])
            .arg(&bundles.dir)
            .args(&[prefix.as_str(), names])
            .args(&self.words);
        on_v2(t, command).output().ok().stdout.lines().map(str::to_owned).collect()
    }
}

/// crun runs only where only cgroup v2 is mounted; root can provide that for a command on any host.
fn on_v2(t: &Test, command: Cmd) -> Cmd {
    if cgroups::is_unified() || !nix::unistd::geteuid().is_root() {
        return command;
    }
    Variation::of(t).expect("root started the tests").cgroup_v2().run(command)
}

/// What the default lists of 2018 leave to privileged containers, or did not contain yet.
const NOT_ALLOWED_IN_2018: &str = "
    acct add_key adjtimex afs_syscall bpf chroot clock_adjtime clock_settime clone create_module delete_module
    fanotify_init finit_module get_kernel_syms get_mempolicy getpmsg init_module io_uring_setup ioperm iopl kcmp
    kexec_file_load kexec_load keyctl lookup_dcookie mbind membarrier migrate_pages mount move_pages
    name_to_handle_at nfsservctl open_by_handle_at perf_event_open personality pivot_root pkey_alloc pkey_free
    pkey_mprotect preadv2 process_vm_readv process_vm_writev ptrace putpmsg pwritev2 query_module quotactl reboot
    request_key security set_mempolicy setdomainname sethostname setns settimeofday swapoff swapon sysfs tuxcall
    umount2 unshare uselib userfaultfd ustat vhangup vserver _sysctl";

/// An allow list as engines and `oci-runtime-tool generate` wrote it in 2018, when statx(2) was the newest call.
fn allow_list_of_2018() -> Value {
    let newest = ScmpSyscall::from_name("statx").expect("the number of statx").as_raw_syscall();
    let left_out: BTreeSet<_> = NOT_ALLOWED_IN_2018.split_whitespace().collect();
    let names = (0..=newest).filter_map(|number| ScmpSyscall::from_raw_syscall(number).get_name().ok());
    let names: Vec<_> = names.filter(|name| !left_out.contains(name.as_str())).collect();
    for later in ["clone3", "close_range", "faccessat2", "openat2", "pidfd_open", "rseq"] {
        assert!(!names.iter().any(|name| name == later), "{later} is newer than the list");
    }
    // clone without any flag that makes a namespace, and the Linux persona.
    let no_namespace = json!([{"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]);
    let linux = json!([{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]);
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": no_namespace},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": linux}
        ]
    })
}

/// Such profiles are in use, and the runtimes of their time made none of the calls that came later.
fn allow_list_of_2018_lets_containers_start(t: &Test) {
    for way in [Way::Run, Way::Create, Way::Exec] {
        let mut bundle = t.bundle(&way.program());
        bundle.set("/linux/seccomp", allow_list_of_2018());
        for no_new_privileges in [true, false] {
            bundle.set("/process/noNewPrivileges", no_new_privileges.into()).write();
            let started = start(t, way, &bundle);
            started.unwrap_or_else(|how| panic!("{way:?}, noNewPrivileges {no_new_privileges}: {how}"));
        }
    }
}
