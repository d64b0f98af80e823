//! A seccomp profile of the size of Docker's: some 400 names, three architectures, a few rules
//! with arguments.

use serde_json::{Value, json};

const NAMES: &str = include_str!("syscalls.txt");

/// The system calls that it allows unconditionally.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.split_whitespace()
}

/// The `linux.seccomp` object of a config.json.
pub(crate) fn docker_sized() -> Value {
    let names: Vec<_> = names().collect();
    let architectures = match std::env::consts::ARCH {
        "aarch64" => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        _ => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    };
    let equal = |index: u32, value: u64| json!([{"index": index, "value": value, "op": "SCMP_CMP_EQ"}]);
    let mut rules = vec![json!({"names": names, "action": "SCMP_ACT_ALLOW"})];
    // Linux, Linux32 and their UNAME26 variants, and the query.
    for persona in [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        rules.push(json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": equal(0, persona)}));
    }
    // Any socket except for AF_VSOCK.
    let other = json!([{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]);
    rules.push(json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": other}));
    // clone without any flag that makes a namespace; the flags of clone3 are not visible.
    let no_namespace = json!([{"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]);
    rules.push(json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": no_namespace}));
    rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": architectures,
        "syscalls": rules
    })
}
