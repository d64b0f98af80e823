//! Compiles profiles and checks their decisions; nothing is loaded into the kernel.

use libseccomp::{ScmpArch, ScmpSyscall};
use nix::errno::Errno;
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

use super::*;

pub(super) mod vm;

const ENOSYS: u32 = vm::errno(Errno::ENOSYS as u32);
const EPERM: u32 = vm::errno(Errno::EPERM as u32);

const I386: u32 = 0x4000_0003;
const X32_BIT: u32 = 0x4000_0000;
const NATIVE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

pub(super) fn profile(value: Value) -> LinuxSeccomp {
    serde_json::from_value(value).expect("profile")
}

fn compiled(value: Value) -> Program {
    compile(&profile(value)).expect("compiles").expect("a program")
}

fn number(name: &str) -> u32 {
    ScmpSyscall::from_name(name).expect(name).as_raw_syscall() as u32
}

/// The decision for a native system call that is given by its number.
fn decide(program: &Program, nr: u32, args: &[u64]) -> u32 {
    let mut call = vm::Call { nr, arch: NATIVE, args: [0; 6] };
    call.args[..args.len()].copy_from_slice(args);
    vm::run(&vm::parse(&program.bpf), &call)
}

fn allow_list(names: &[&str]) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }] })
}

#[test]
fn an_allow_list_allows_denies_and_answers_enosys_to_what_is_newer() {
    let program = compiled(allow_list(&["read", "write", "openat2"]));
    let last = number("openat2");
    for (nr, expected) in [
        (number("read"), vm::ALLOW),
        (number("write"), vm::ALLOW),
        (last, vm::ALLOW),
        (number("ptrace"), EPERM),
        (number("mount"), EPERM),
        (last - 1, EPERM),
        (last + 1, ENOSYS),
        (9999, ENOSYS),
    ] {
        assert_eq!(decide(&program, nr, &[]), expected, "{nr}");
    }
}

#[test]
fn what_is_said_many_times_is_compiled_as_if_it_were_said_a_few_times() {
    let profile = |times: usize| {
        let fork = json!({ "index": 0, "value": 17, "op": "SCMP_CMP_EQ" });
        let flags = json!({ "index": 1, "value": 3, "op": "SCMP_CMP_LT" });
        json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            { "names": vec!["read"; times], "action": "SCMP_ACT_ALLOW" },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": vec![fork; times] },
            { "names": vec!["ioctl"; times], "action": "SCMP_ACT_LOG", "args": [flags] },
        ] })
    };
    assert_eq!(compiled(profile(20_000)), compiled(profile(40)));
}

#[test]
fn a_denied_call_counts_as_known_to_the_profile() {
    let mut value = allow_list(&["read"]);
    let denied = json!({ "names": ["openat2"], "action": "SCMP_ACT_ERRNO" });
    value["syscalls"].as_array_mut().expect("array").push(denied);
    let program = compiled(value);
    assert_eq!(decide(&program, number("openat2"), &[]), EPERM);
    assert_eq!(decide(&program, number("openat2") + 1, &[]), ENOSYS);
}

#[test]
fn the_default_action_decides_whether_newer_calls_get_enosys() {
    for (default, errno, known, newer) in [
        ("SCMP_ACT_ERRNO", None, EPERM, ENOSYS),
        ("SCMP_ACT_ERRNO", Some(13), vm::errno(13), ENOSYS),
        ("SCMP_ACT_ERRNO", Some(Errno::ENOSYS as i32), ENOSYS, ENOSYS),
        ("SCMP_ACT_KILL", None, vm::KILL_THREAD, ENOSYS),
        ("SCMP_ACT_KILL_THREAD", None, vm::KILL_THREAD, ENOSYS),
        ("SCMP_ACT_KILL_PROCESS", None, vm::KILL_PROCESS, ENOSYS),
        ("SCMP_ACT_TRAP", None, vm::TRAP, ENOSYS),
        ("SCMP_ACT_TRACE", None, vm::trace(1), vm::trace(1)),
        ("SCMP_ACT_TRACE", Some(7), vm::trace(7), vm::trace(7)),
        ("SCMP_ACT_LOG", None, vm::LOG, vm::LOG),
    ] {
        let mut value = allow_list(&["read", "openat2"]);
        value["defaultAction"] = json!(default);
        if let Some(errno) = errno {
            value["defaultErrnoRet"] = json!(errno);
        }
        let program = compiled(value);
        assert_eq!(decide(&program, number("ptrace"), &[]), known, "{default} {errno:?}");
        assert_eq!(decide(&program, 9999, &[]), newer, "{default} {errno:?}");
        assert_eq!(decide(&program, number("read"), &[]), vm::ALLOW, "{default} {errno:?}");
    }
}

#[test]
fn a_profile_that_answers_enosys_anyway_gets_no_stub() {
    let mut value = allow_list(&["write"]);
    let with_stub = compiled(value.clone()).len();
    value["defaultErrnoRet"] = json!(Errno::ENOSYS as i32);
    let stub = if cfg!(target_arch = "x86_64") { 7 } else { 6 };
    assert_eq!(compiled(value).len() + stub, with_stub);
}

#[test]
fn every_action_can_be_a_rules() {
    for (action, errno, expected) in [
        ("SCMP_ACT_KILL", None, vm::KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", None, vm::KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", None, vm::KILL_PROCESS),
        ("SCMP_ACT_TRAP", None, vm::TRAP),
        ("SCMP_ACT_ERRNO", None, EPERM),
        ("SCMP_ACT_ERRNO", Some(38), ENOSYS),
        ("SCMP_ACT_TRACE", Some(5), vm::trace(5)),
        ("SCMP_ACT_LOG", None, vm::LOG),
        ("SCMP_ACT_NOTIFY", None, vm::NOTIFY),
        // The same as the default action: libseccomp would refuse such a rule.
        ("SCMP_ACT_ALLOW", None, vm::ALLOW),
    ] {
        let mut rule = json!({ "names": ["mkdir", "mkdirat"], "action": action });
        if let Some(errno) = errno {
            rule["errnoRet"] = json!(errno);
        }
        let program = compiled(json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "syscalls": [rule]
        }));
        assert_eq!(decide(&program, number("mkdirat"), &[]), expected, "{action}");
        assert_eq!(decide(&program, number("read"), &[]), vm::ALLOW, "{action}");
        assert_eq!(program.notify, action == "SCMP_ACT_NOTIFY");
        assert_eq!(program.flags, if program.notify { 0b1100 } else { 0b0100 });
    }
}

#[test]
fn operators_compare_all_64_bits() {
    let big = 0x1_0000_0005_u64;
    for (op, value, second, matching, other) in [
        ("SCMP_CMP_EQ", big, None, &[big][..], &[5, big + 1, 0x2_0000_0005][..]),
        ("SCMP_CMP_NE", big, None, &[5, big + 1], &[big]),
        ("SCMP_CMP_LT", big, None, &[0, big - 1, u64::from(u32::MAX)], &[big, big + 1, 0x2_0000_0000]),
        ("SCMP_CMP_LE", big, None, &[0, big], &[big + 1, 0x2_0000_0000]),
        ("SCMP_CMP_GT", big, None, &[big + 1, u64::MAX], &[big, 9]),
        ("SCMP_CMP_GE", big, None, &[big, u64::MAX], &[big - 1, 9]),
        ("SCMP_CMP_MASKED_EQ", 0xf0, Some(0x30), &[0x30, 0x3f, 0x1_0000_0030], &[0x20, 0x70, 0]),
        ("SCMP_CMP_MASKED_EQ", 0x7e02_0000, None, &[0, 1], &[0x0200_0000, 0x0002_0000]),
    ] {
        let mut arg = json!({ "index": 2, "value": value, "op": op });
        if let Some(second) = second {
            arg["valueTwo"] = json!(second);
        }
        let program = compiled(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{ "names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [arg] }]
        }));
        for (values, expected) in [(matching, vm::ALLOW), (other, EPERM)] {
            for given in values {
                assert_eq!(decide(&program, number("ioctl"), &[0, 0, *given]), expected, "{op} {given:#x}");
            }
        }
    }
}

#[test]
fn conditions_on_different_arguments_must_all_hold_and_on_the_same_one_any() {
    let eq = |index: u32, value: u32| json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" });
    let program = |args: Value| {
        compiled(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{ "names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": args }]
        }))
    };
    let all = program(json!([eq(0, 1), eq(1, 2)]));
    for (args, expected) in [([1, 2], vm::ALLOW), ([1, 3], EPERM), ([2, 2], EPERM)] {
        assert_eq!(decide(&all, number("socket"), &args), expected, "{args:?}");
    }
    let any = program(json!([eq(0, 1), eq(0, 2)]));
    for (args, expected) in [([1, 0], vm::ALLOW), ([2, 0], vm::ALLOW), ([3, 0], EPERM)] {
        assert_eq!(decide(&any, number("socket"), &args), expected, "{args:?}");
    }
}

#[test]
fn unknown_system_calls_are_skipped() {
    let program = compiled(allow_list(&["read", "no_such_call", "openat2"]));
    assert_eq!(program, compiled(allow_list(&["read", "openat2"])));
}

#[test]
fn a_long_list_decides_every_number_right() {
    let names: Vec<String> =
        (0..440).step_by(3).filter_map(|nr| ScmpSyscall::from(nr).get_name().ok()).collect();
    let allowed: Vec<u32> = names.iter().map(|name| number(name)).collect();
    assert!(allowed.len() > 100, "enough for the binary tree");
    let program = compiled(allow_list(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let last = *allowed.iter().max().expect("some");
    for nr in 0..600 {
        let expected = match nr {
            nr if allowed.contains(&nr) => vm::ALLOW,
            nr if nr > last => ENOSYS,
            _ => EPERM,
        };
        assert_eq!(decide(&program, nr, &[]), expected, "{nr}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn sub_architectures_have_numbers_of_their_own() {
    let mut value = allow_list(&["read", "openat2"]);
    value["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    let program = compiled(value);
    let decide = |arch, nr| vm::run(&vm::parse(&program.bpf), &vm::Call { nr, arch, args: [0; 6] });
    let by_arch =
        |name, arch| ScmpSyscall::from_name_by_arch(name, arch).expect("known").as_raw_syscall() as u32;
    for (arch, scmp) in [(NATIVE, ScmpArch::X8664), (I386, ScmpArch::X86), (NATIVE, ScmpArch::X32)] {
        assert_eq!(decide(arch, by_arch("read", scmp)), vm::ALLOW, "{scmp:?}");
        assert_eq!(decide(arch, by_arch("openat2", scmp)), vm::ALLOW, "{scmp:?}");
        assert_eq!(decide(arch, by_arch("mount", scmp)), EPERM, "{scmp:?}");
        assert_eq!(decide(arch, by_arch("openat2", scmp) + 1), ENOSYS, "{scmp:?}");
    }
}

#[test]
fn an_architecture_outside_the_profile_is_killed() {
    let program = compiled(allow_list(&["read"]));
    for (arch, nr) in [(I386 ^ NATIVE ^ 0x1234, 0), (0x14, 3)] {
        let call = vm::Call { nr, arch, args: [0; 6] };
        assert_eq!(vm::run(&vm::parse(&program.bpf), &call), vm::KILL_THREAD, "{arch:#x}");
    }
    if cfg!(target_arch = "x86_64") {
        assert_eq!(decide(&program, X32_BIT + 9999, &[]), vm::KILL_THREAD, "x32 where only x86_64 is meant");
    }
}

#[test]
fn the_native_architecture_may_be_named_or_not() {
    let plain = compiled(allow_list(&["read"]));
    for archs in [json!([]), json!(["SCMP_ARCH_NATIVE"]), json!(["SCMP_ARCH_NATIVE", "SCMP_ARCH_NATIVE"])] {
        let mut value = allow_list(&["read"]);
        value["architectures"] = archs;
        assert_eq!(compiled(value), plain);
    }
}

#[test]
fn flags_become_the_kernels_bits() {
    let notify = json!([{ "names": ["mkdirat"], "action": "SCMP_ACT_NOTIFY" }]);
    let plain = json!([{ "names": ["mkdirat"], "action": "SCMP_ACT_ERRNO" }]);
    for (flags, syscalls, expected) in [
        (None, &plain, 0b100),
        (Some(json!([])), &plain, 0),
        (Some(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), &plain, 0),
        (Some(json!(["SECCOMP_FILTER_FLAG_LOG"])), &plain, 0b10),
        (Some(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG"])), &plain, 0b110),
        (Some(json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])), &plain, 0),
        (Some(json!([])), &notify, 0b1000),
        (Some(json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])), &notify, 0b10_1000),
    ] {
        let mut value = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "syscalls": syscalls
        });
        if let Some(flags) = &flags {
            value["flags"] = flags.clone();
        }
        assert_eq!(compiled(value).flags, expected, "{flags:?}");
    }
}

#[test]
fn nothing_to_filter_means_no_program() {
    assert_eq!(compile(&profile(json!({ "defaultAction": "SCMP_ACT_ALLOW" }))), Ok(None));
    assert_eq!(compile(&LinuxSeccomp::default()), Ok(None));
    assert!(compile(&profile(json!({ "defaultAction": "SCMP_ACT_ERRNO" }))).expect("compiles").is_some());
}

#[test]
fn profiles_that_cannot_work_are_refused() {
    let rule = |rule: Value| json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] });
    for (value, expected) in [
        (json!({ "defaultAction": "SCMP_ACT_NOTIFY" }), "SCMP_ACT_NOTIFY cannot be used as default action"),
        (
            rule(json!({ "names": ["read", "write"], "action": "SCMP_ACT_NOTIFY" })),
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            rule(json!({ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" })),
            "needs linux.seccomp.listenerPath",
        ),
        (rule(json!({ "names": [""], "action": "SCMP_ACT_ALLOW" })), "syscalls[0].names: an empty string"),
        (
            rule(json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW",
                         "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] })),
            "linux.seccomp.syscalls[0].args: index 6",
        ),
    ] {
        let profile = profile(value);
        let error = check(&profile).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(compile(&profile), Err(error));
    }
}

#[test]
fn the_words_are_those_that_profiles_are_parsed_with() {
    for action in ACTIONS {
        profile(json!({ "defaultAction": action }));
    }
    for op in OPERATORS {
        let arg = json!({ "index": 0, "value": 0, "op": op });
        let rule = json!({ "names": ["read"], "action": "SCMP_ACT_LOG", "args": [arg] });
        profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
    }
    profile(json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ARCHITECTURES, "flags": FLAGS }));
}
