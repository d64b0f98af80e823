//! Compiles the default profile and checks its decisions.

use std::collections::HashSet;

use libseccomp::ScmpSyscall;
use nix::errno::Errno;
use oci_spec::runtime::Capability;

use super::super::tests::vm;
use super::super::{Conditions, Program, compile, read_profile};
use super::names::{ALWAYS, WITH, WITH_MODULES};
use super::{default_document, default_profile};

const NATIVE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
const EPERM: u32 = vm::errno(Errno::EPERM as u32);
const ENOSYS: u32 = vm::errno(Errno::ENOSYS as u32);

fn program(capabilities: &[Capability]) -> Program {
    let set: HashSet<_> = capabilities.iter().copied().collect();
    compile(&default_profile(&set)).expect("compiles").expect("a program")
}

fn decide_on(program: &Program, arch: u32, nr: u32, args: &[u64]) -> u32 {
    let mut call = vm::Call { nr, arch, args: [0; 6] };
    call.args[..args.len()].copy_from_slice(args);
    vm::run(&vm::parse(&program.bpf), &call)
}

fn decide(program: &Program, name: &str, args: &[u64]) -> u32 {
    decide_on(program, NATIVE, ScmpSyscall::from_name(name).expect(name).as_raw_syscall() as u32, args)
}

const NEEDED: &str = "read openat openat2 mmap execve exit_group futex rt_sigreturn setuid capset prctl seccomp ptrace \
    epoll_pwait2 clock_nanosleep connect landlock_restrict_self close_range faccessat2 memfd_create \
    process_vm_readv rseq statx mknodat ioctl";

const THE_REST: &str = "mount umount2 pivot_root setns fsopen move_mount bpf perf_event_open syslog reboot kexec_load \
    init_module delete_module chroot open_by_handle_at keyctl add_key request_key io_uring_setup \
    userfaultfd swapon clock_settime settimeofday acct kcmp mbind sethostname vhangup quotactl ustat \
    lookup_dcookie";

#[test]
fn what_programs_need_is_allowed_and_the_rest_is_not() {
    let program = program(&[]);
    for name in NEEDED.split(' ') {
        assert_eq!(decide(&program, name, &[]), vm::ALLOW, "{name}");
    }
    for name in THE_REST.split(' ') {
        assert_eq!(decide(&program, name, &[]), EPERM, "{name}");
    }
    assert_eq!(decide_on(&program, NATIVE, 9999, &[]), ENOSYS);
}

#[test]
fn each_capability_brings_its_calls() {
    for (capability, names) in [
        (Capability::SysAdmin, &["mount", "umount2", "pivot_root", "setns", "clone3", "bpf", "syslog"][..]),
        (Capability::Bpf, &["bpf"]),
        (Capability::Perfmon, &["perf_event_open"]),
        (Capability::Syslog, &["syslog"]),
        (Capability::SysChroot, &["chroot"]),
        (Capability::DacReadSearch, &["open_by_handle_at"]),
        (Capability::SysPtrace, &["kcmp", "pidfd_getfd"]),
        (Capability::SysTime, &["clock_settime", "settimeofday"]),
        (Capability::SysNice, &["mbind", "set_mempolicy"]),
        (Capability::SysTtyConfig, &["vhangup"]),
        (Capability::SysPacct, &["acct"]),
        (Capability::SysBoot, &["reboot"]),
        (Capability::SysModule, &["init_module", "finit_module"]),
    ] {
        let (without, with) = (program(&[]), program(&[capability]));
        for name in names {
            assert_ne!(decide(&without, name, &[]), vm::ALLOW, "{name}");
            assert_eq!(decide(&with, name, &[]), vm::ALLOW, "{name} with {capability}");
        }
    }
}

#[test]
fn processes_are_made_without_new_namespaces() {
    let (without, with) = (program(&[]), program(&[Capability::SysAdmin]));
    let flags = usize::from(cfg!(target_arch = "s390x"));
    let call = |value: u64| {
        let mut args = [0; 2];
        args[flags] = value;
        args
    };
    // A thread as C libraries make it, and a fork.
    for value in [0x003d_0f00, 0x0120_0011, 17] {
        assert_eq!(decide(&without, "clone", &call(value)), vm::ALLOW, "{value:#x}");
    }
    for bit in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(decide(&without, "clone", &call(bit | 0x11)), EPERM, "{bit:#x}");
        assert_eq!(decide(&without, "unshare", &[bit]), EPERM, "{bit:#x}");
        assert_eq!(decide(&with, "clone", &call(bit | 0x11)), vm::ALLOW, "{bit:#x}");
        assert_eq!(decide(&with, "unshare", &[bit]), vm::ALLOW, "{bit:#x}");
    }
    assert_eq!(decide(&without, "unshare", &[0x80]), EPERM);
    assert_eq!(decide(&without, "unshare", &[0x200]), vm::ALLOW);
    assert_eq!(decide(&without, "clone3", &[]), ENOSYS);
}

#[test]
fn sockets_are_of_families_that_belong_to_the_container() {
    let (without, with) = (program(&[]), program(&[Capability::NetRaw]));
    for family in [1, 2, 10, 16] {
        assert_eq!(decide(&without, "socket", &[family]), vm::ALLOW, "{family}");
        // The kernel looks only at the lower half.
        assert_eq!(decide(&without, "socket", &[0x1_0000_0000 | family]), vm::ALLOW, "{family}");
    }
    for family in [17, 29, 38, 40, 0x1_0000_0028] {
        assert_eq!(decide(&without, "socket", &[family]), EPERM, "{family}");
    }
    assert_eq!(decide(&with, "socket", &[17]), vm::ALLOW);
    assert_eq!(decide(&without, "socketpair", &[1]), vm::ALLOW);
}

#[test]
fn the_execution_domain_may_be_an_ordinary_one() {
    let program = program(&[]);
    for (domain, expected) in
        [(0, vm::ALLOW), (8, vm::ALLOW), (0x2_0008, vm::ALLOW), (0xffff_ffff, vm::ALLOW), (0x4_0000, EPERM)]
    {
        assert_eq!(decide(&program, "personality", &[domain]), expected, "{domain:#x}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_32_bit_x86_run_and_cannot_hide_their_sockets() {
    const I386: u32 = 0x4000_0003;
    let program = program(&[]);
    // read, mmap2, clock_gettime64
    for nr in [3, 192, 403] {
        assert_eq!(decide_on(&program, I386, nr, &[]), vm::ALLOW, "{nr}");
    }
    // mount, socketcall
    for nr in [21, 102] {
        assert_eq!(decide_on(&program, I386, nr, &[]), EPERM, "{nr}");
    }
    // read of x32
    assert_ne!(decide_on(&program, NATIVE, 0x4000_0000, &[]), vm::ALLOW);
}

#[test]
fn document_for_engines_says_the_same_for_every_capability() {
    let text = default_document().to_string();
    // Each capability that the tables name by itself, then none and all of them.
    let named = WITH.iter().chain([&WITH_MODULES]).flat_map(|(names, _)| *names).chain(&["NET_RAW"]);
    let capability = |name: &&str| serde_json::from_value(format!("CAP_{name}").into()).expect(name);
    let mut cases: Vec<HashSet<Capability>> = named.map(|name| HashSet::from([capability(name)])).collect();
    cases.push(HashSet::new());
    cases.push(cases.iter().flatten().copied().collect());
    for capabilities in &cases {
        let conditions = Conditions { capabilities, kernel: (5, 12) };
        let read = read_profile(text.as_bytes(), &conditions).expect("a profile");
        let read = compile(&read).expect("compiles").expect("a program");
        let made = compile(&default_profile(capabilities)).expect("compiles").expect("a program");
        assert_eq!(read.bpf, made.bpf, "{capabilities:?}");
    }
}

#[test]
fn no_name_is_listed_twice() {
    let mut seen = HashSet::new();
    for name in ALWAYS.iter().flat_map(|names| names.split_whitespace()) {
        assert!(seen.insert(name), "{name}");
    }
    for name in WITH.iter().flat_map(|(_, names)| names.split_whitespace()) {
        assert!(!seen.contains(name), "{name} is allowed anyway");
    }
}
