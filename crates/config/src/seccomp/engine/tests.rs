use std::collections::HashSet;

use oci_spec::runtime::Capability;
use serde_json::{Value, json};

use super::{Conditions, go_arch, native, read};

fn reading(value: &Value, capabilities: &[Capability]) -> Result<Value, String> {
    let set: HashSet<_> = capabilities.iter().copied().collect();
    let conditions = Conditions { capabilities: &set, kernel: (5, 10) };
    let read = read(value.to_string().as_bytes(), &conditions).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(read).expect("serialises"))
}

fn rule(name: &str, more: &Value) -> Value {
    let mut rule = json!({ "names": [name], "action": "SCMP_ACT_ALLOW" });
    rule.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    rule
}

fn engine(rules: &[Value]) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": rules })
}

fn names(profile: &Value) -> Vec<&str> {
    let rules = profile["syscalls"].as_array().expect("rules").iter();
    rules.map(|rule| rule["names"][0].as_str().expect("string")).collect()
}

#[test]
fn a_profile_of_the_specification_stays_as_it_is() {
    let given = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 7,
            "args": [{ "index": 1, "value": 5, "op": "SCMP_CMP_EQ" }] }]
    });
    assert_eq!(reading(&given, &[]), Ok(given));
}

#[test]
fn rules_of_engines_hold_under_their_conditions() {
    let given = engine(&[
        rule("read", &json!({})),
        rule("mount", &json!({ "includes": { "caps": ["CAP_SYS_ADMIN"] } })),
        rule("umount2", &json!({ "includes": { "caps": ["CAP_SYS_ADMIN", "CAP_SYS_TIME"] } })),
        rule("clone", &json!({ "excludes": { "caps": ["CAP_SYS_ADMIN"] }, "comment": "x", "args": null })),
        rule("write", &json!({ "includes": { "arches": [go_arch(), "other"] }, "excludes": {} })),
        rule("open", &json!({ "includes": { "arches": ["other"] } })),
        rule("close", &json!({ "excludes": { "arches": [go_arch()] } })),
        rule("ptrace", &json!({ "includes": { "minKernel": "4.8" } })),
        rule("bpf", &json!({ "includes": { "minKernel": "5.11" } })),
        rule("dup", &json!({ "excludes": { "minKernel": "5.10" } })),
        rule("pipe", &json!({ "includes": null, "excludes": null })),
    ]);
    for (capabilities, expected) in [
        (&[][..], &["read", "clone", "write", "ptrace", "pipe"][..]),
        (&[Capability::SysAdmin], &["read", "mount", "write", "ptrace", "pipe"]),
        (
            &[Capability::SysAdmin, Capability::SysTime],
            &["read", "mount", "umount2", "write", "ptrace", "pipe"],
        ),
    ] {
        assert_eq!(names(&reading(&given, capabilities).expect("a profile")), expected);
    }
}

#[test]
fn the_map_of_architectures_becomes_the_hosts_own() {
    let mut given = engine(&[json!({ "name": "read", "action": "SCMP_ACT_ALLOW" })]);
    let own = native().expect("a known architecture");
    given["archMap"] = json!([
        { "architecture": "SCMP_ARCH_MIPS", "subArchitectures": [] },
        { "architecture": own, "subArchitectures": ["SCMP_ARCH_X86"] }
    ]);
    let read = reading(&given, &[]).expect("a profile");
    assert_eq!(read["architectures"], json!([own, "SCMP_ARCH_X86"]));
    assert_eq!(names(&read), ["read"]);
}

#[test]
fn what_is_no_profile_says_where() {
    for (given, expected) in [
        (json!([]), "is not a seccomp profile: it is not an object"),
        (json!({}), "is not a seccomp profile: "),
        (
            json!({ "defaultAction": "SCMP_ACT_MAYBE" }),
            "is not a seccomp profile: defaultAction: unknown variant",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": 5 }),
            "is not a seccomp profile: syscalls is not a list",
        ),
        (engine(&[json!({ "names": ["read"] })]), "is not a seccomp profile: syscalls[0]"),
        (
            engine(&[rule("read", &json!({ "includes": { "caps": 5 } }))]),
            "is not a seccomp profile: syscalls[0].includes.caps: invalid type",
        ),
        (
            engine(&[rule("read", &json!({ "includes": { "minKernel": "new" } }))]),
            "is not a seccomp profile: syscalls[0]: minKernel \"new\" is not of the form 4.8",
        ),
        (
            engine(&[rule("read", &json!({ "args": [{ "index": 9, "value": 0, "op": "SCMP_CMP_EQ" }] }))]),
            "linux.seccomp.syscalls[0].args: index 9",
        ),
    ] {
        let error = reading(&given, &[]).expect_err("no profile");
        assert!(error.starts_with(expected), "{error}");
    }
    let conditions = Conditions { capabilities: &HashSet::new(), kernel: (5, 10) };
    assert!(
        read(b"{", &conditions)
            .expect_err("no JSON")
            .to_string()
            .starts_with("is not a seccomp profile: EOF")
    );
}
