use serde_json::{Value, json};

use super::super::fixture::{caller, made, mount_at, paths, refused, root, strings, user};
use super::super::*;
use crate::idmap::mapping;

fn with(options: &[&str]) -> Request {
    Request { security_opt: strings(options), ..Request::default() }
}

#[test]
fn no_new_privileges_is_on_unless_it_is_turned_off() {
    for (options, expected) in [
        (&[][..], true),
        (&["no-new-privileges"], true),
        (&["no-new-privileges=true"], true),
        (&["no-new-privileges=false"], false),
        (&["no-new-privileges", "no-new-privileges=0"], false),
    ] {
        assert_eq!(root(with(options))["process"]["noNewPrivileges"], expected, "{options:?}");
    }
}

#[test]
fn a_colon_is_taken_with_a_warning() {
    let (spec, warnings) =
        made(&with(&["seccomp:unconfined", "no-new-privileges:false"]), &caller(0)).expect("a spec");
    assert_eq!(spec["linux"]["seccomp"], Value::Null);
    assert_eq!(spec["process"]["noNewPrivileges"], false);
    assert_eq!(warnings.len(), 2);
    assert_eq!(
        warnings[0],
        "--security-opt \"seccomp:unconfined\": a colon after the name is deprecated; write seccomp=unconfined"
    );
    let (spec, warnings) = made(&with(&["label:type:spc_t"]), &caller(0)).expect("a spec");
    assert_eq!(spec["process"]["selinuxLabel"], "system_u:system_r:spc_t:s0");
    assert_eq!(warnings.len(), 1);
}

#[test]
fn anything_else_is_invalid() {
    for text in
        ["", "x", "seccomp", "seccomp=", "apparmor", "label", "label=", "label=x", "systempaths=unconfined"]
    {
        let error = refused(with(&[text]));
        assert!(error.starts_with(&format!("invalid --security-opt: {text:?}")), "{error}");
        assert!(error.contains("; use no-new-privileges[=BOOL], seccomp="), "{error}");
    }
    let error = refused(with(&["no-new-privileges=maybe"]));
    assert!(error.contains("\"no-new-privileges=maybe\": \"maybe\" is neither true nor false"), "{error}");
    assert!(refused(with(&["label=type:"])).contains("label \"type:\" has no value"));
}

#[test]
fn the_default_profile_depends_on_the_capabilities() {
    let allows = |spec: &Value, name: &str| {
        let rules = spec["linux"]["seccomp"]["syscalls"].as_array().expect("rules");
        rules.iter().any(|rule| {
            rule["args"].is_null() && rule["names"].as_array().expect("names").contains(&json!(name))
        })
    };
    for options in [&[][..], &["seccomp=default"]] {
        let spec = root(with(options));
        assert_eq!(spec["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
        assert!(allows(&spec, "openat") && !allows(&spec, "mount") && !allows(&spec, "clock_settime"));
    }
    let more = Request { cap_add: strings(&["SYS_ADMIN"]), ..with(&[]) };
    assert!(allows(&root(more), "mount"));
    assert_eq!(root(with(&["seccomp=unconfined"]))["linux"]["seccomp"], Value::Null);
}

#[test]
fn a_profile_in_a_file_is_read_and_checked() {
    let build = |text: &str| {
        build(&with(&["seccomp=own.json"]), false, &caller(0), &paths().text("/home/ann/own.json", text))
    };
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5 }
    ] });
    let made = build(&profile.to_string()).expect("a spec");
    let written =
        serde_json::to_value(made.spec.linux().as_ref().expect("linux").seccomp()).expect("serialises");
    assert_eq!(written, profile);
    let error = build("{}").expect_err("no action").to_string();
    assert!(error.starts_with("--security-opt \"seccomp=own.json\": is not a seccomp profile: "), "{error}");
    let error = refused(with(&["seccomp=absent.json"]));
    assert_eq!(error, "--security-opt \"seccomp=absent.json\": cannot be read: entity not found");
}

#[test]
fn labels_and_apparmor_need_a_host_that_has_them() {
    let given =
        with(&["apparmor=mine", "label=type:my_t", "label=level:s0:c1,c2", "label=user:u", "label=role:r"]);
    let (spec, warnings) = made(&given, &caller(0)).expect("a spec");
    assert_eq!(spec["process"]["apparmorProfile"], "mine");
    assert_eq!(spec["process"]["selinuxLabel"], "u:r:my_t:s0:c1,c2");
    assert_eq!(spec["linux"]["mountLabel"], "u:object_r:container_file_t:s0:c1,c2");
    assert_eq!(warnings, [""; 0]);
    let (spec, warnings) =
        made(&given, &Facts { apparmor: false, selinux: false, ..caller(0) }).expect("a spec");
    assert_eq!(
        (&spec["process"]["apparmorProfile"], &spec["process"]["selinuxLabel"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        warnings,
        [
            "--security-opt apparmor=mine: AppArmor is not enabled here; left out",
            "--security-opt label: SELinux is not enabled here; left out"
        ]
    );
    for disable in ["disable", "label=disable"] {
        let spec = root(with(&["label=user:u", disable]));
        assert_eq!(spec["process"]["selinuxLabel"], Value::Null, "{disable}");
    }
    let spec = root(with(&["apparmor=unconfined", "label=disable"]));
    assert_eq!(
        (&spec["process"]["apparmorProfile"], &spec["process"]["selinuxLabel"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn privileges_are_those_of_a_user_namespace() {
    let given = Request { privileged_in_userns: true, ..Request::default() };
    let error = refused(given.clone());
    assert!(error.starts_with("--privileged-in-userns \"true\": needs a user namespace"), "{error}");
    let private = Namespaces { network: NamespaceChoice::Private, ..Namespaces::default() };
    let spec = user(Request { namespaces: private, ..given.clone() });
    assert_eq!(spec["process"]["capabilities"]["bounding"].as_array().expect("array").len(), 41);
    assert_eq!(spec["process"]["noNewPrivileges"], false);
    for field in ["seccomp", "maskedPaths", "readonlyPaths"] {
        assert!(spec["linux"][field].is_null(), "{field}");
    }
    assert!(!mount_at(&spec, "/sys")["options"].to_string().contains("\"ro\""));
    let spec =
        user(Request { security_opt: strings(&["seccomp=default", "no-new-privileges"]), ..given.clone() });
    assert!(spec["linux"]["seccomp"].is_object());
    assert_eq!(spec["process"]["noNewPrivileges"], true);
    let rows = vec![mapping(0, 100_000, 65536)];
    let user = UserNamespace::Maps { uid: rows.clone(), gid: rows };
    let spec = root(Request { namespaces: Namespaces { user, ..Namespaces::default() }, ..given });
    assert!(spec["linux"]["maskedPaths"].is_null());
}
