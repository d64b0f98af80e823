use std::os::unix::fs::PermissionsExt;

use super::*;

const MINIMAL: &str =
    r#"{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"cwd":"/","args":["sh"],"user":{}}}"#;

fn load(json: &str) -> Result<Loaded, LoadError> {
    from_slice(Path::new("config.json"), json.as_bytes())
}

fn error(json: &str) -> String {
    load(json).expect_err(json).to_string()
}

fn process(body: &str) -> String {
    format!(r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"process":{{"cwd":"/","args":["sh"],{body}}}}}"#)
}

fn linux(body: &str) -> String {
    format!(r#"{{"ociVersion":"1.0.2","root":{{"path":"r"}},"linux":{{{body}}}}}"#)
}

#[test]
fn broken_json_is_reported_with_line_and_column() {
    assert_eq!(error("{\n  \"root\": {\n   ,\n}"), "config.json: line 3 column 4: key must be a string");
    assert_eq!(error(""), "config.json: line 1 column 0: EOF while parsing a value");
    assert!(error(&format!("{MINIMAL} x")).contains("trailing characters"));
}

#[test]
fn a_syntax_error_behind_a_type_error_is_the_one_reported() {
    assert!(error("{\"process\": 3, \n \"x\": }").starts_with("config.json: line 2 column 7: "));
}

#[test]
fn a_wrong_type_is_reported_with_the_path_of_its_field() {
    let json = r#"{"process":{"cwd":"/","user":{},"args":"x"}}"#;
    assert_eq!(error(json), r#"config.json: process.args: invalid type: string "x", expected a sequence"#);
    assert_eq!(
        error(r#"{"mounts":[{"destination":"/a"},{"destination":3}]}"#),
        "config.json: mounts[1].destination: invalid type: integer `3`, expected path string"
    );
    assert_eq!(error("null"), "config.json: invalid type: null, expected struct Spec");
}

#[test]
fn an_unknown_namespace_type_is_named() {
    let message = error(&linux(r#""namespaces":[{"type":"pid"},{"type":"flux"}]"#));
    assert!(
        message.starts_with("config.json: linux.namespaces[1].type: unknown variant `flux`"),
        "{message}"
    );
}

#[test]
fn unknown_capabilities_are_dropped_with_a_warning() {
    let caps = r#""capabilities":{"bounding":["CAP_KILL","CAP_FUTURE"],"effective":["CAP_FUTURE"]}"#;
    let loaded = load(&process(caps)).expect("tolerated");
    assert_eq!(
        loaded.warnings,
        [
            r#"process.capabilities.bounding: unknown capability "CAP_FUTURE" ignored"#,
            r#"process.capabilities.effective: unknown capability "CAP_FUTURE" ignored"#,
        ]
    );
    let process = loaded.spec.process().clone().expect("process");
    let caps = process.capabilities().clone().expect("capabilities");
    assert_eq!(caps.bounding().as_ref().map(std::collections::HashSet::len), Some(1));
    assert_eq!(caps.effective().as_ref().map(std::collections::HashSet::len), Some(0));
}

#[test]
fn what_gos_reader_lets_through_is_let_through() {
    for json in [
        MINIMAL.to_owned(),
        process(r#""noNewPrivileges":null"#),
        process(r#""user":null,"terminal":null"#),
        process(
            r#""scheduler":{"policy":"SCHED_DEADLINE","flags":["SCHED_FLAG_RESET_ON_FORK","SCHED_FLAG_DL_OVERRUN"]}"#,
        ),
        process(r#""execCPUAffinity":{"initial":"","final":"1"}"#),
        linux(r#""seccomp":{}"#),
        linux(r#""seccomp":{"defaultAction":"","syscalls":[]}"#),
        linux(
            r#""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_ERRNO","args":[{"op":"SCMP_CMP_EQ"}]}]}"#,
        ),
        linux(r#""resources":{"devices":[{"allow":false,"type":"","access":"rwm"}]}"#),
        linux(r#""futureField":{"a":1},"rootfsPropagation":null"#),
        r#"{"ociVersion":"1.0.2","hostname":"a","hostname":"b"}"#.to_owned(),
    ] {
        let loaded = load(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(loaded.warnings, [""; 0], "{json}");
    }
}

#[test]
fn an_empty_seccomp_object_means_no_seccomp() {
    let spec = load(&linux(r#""seccomp":{}"#)).expect("loads").spec;
    assert!(spec.linux().as_ref().expect("linux").seccomp().is_none());
}

#[test]
fn unknown_action_and_architecture_are_errors() {
    assert!(
        error(&linux(r#""seccomp":{"defaultAction":"SCMP_ACT_MAYBE"}"#))
            .contains("linux.seccomp.defaultAction")
    );
    let arch = linux(r#""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","architectures":["Z80"]}"#);
    assert!(error(&arch).contains("linux.seccomp.architectures[0]"));
}

#[test]
fn list_is_no_object() {
    let with = |part: &str| MINIMAL.replacen('{', &format!("{{{part},"), 1);
    for (json, part) in [
        (with(r#""hooks":[]"#), "hooks: invalid type: sequence"),
        (with(r#""mounts":[["/tmp"]]"#), "mounts[0]: invalid type: sequence"),
        (linux(r#""resources":[]"#), "linux.resources: invalid type: sequence"),
        (linux(r#""resources":{"cpu":[1]}"#), "linux.resources.cpu: invalid type: sequence"),
        ("[]".into(), "invalid type: sequence"),
    ] {
        let message = error(&json);
        assert!(message.contains(part), "{json}: {message}");
    }
    // Fields of other tools are not examined.
    assert!(load(&with(r#""x":[[1]]"#)).is_ok());
}

#[test]
fn bundle_errors_say_what_is_missing() {
    let dir = tempfile::tempdir().expect("tempdir");
    let gone = dir.path().join("gone");
    let message = bundle(&gone).unwrap_err().to_string();
    assert_eq!(message, format!("bundle {}: no such directory", gone.display()));

    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("write");
    assert_eq!(bundle(&file).unwrap_err().to_string(), format!("bundle {}: not a directory", file.display()));

    let message = bundle(dir.path()).unwrap_err().to_string();
    assert!(message.ends_with("no config.json; create one with `rootling spec`"), "{message}");

    std::fs::create_dir(dir.path().join(CONFIG_FILE)).expect("mkdir");
    let message = bundle(dir.path()).unwrap_err().to_string();
    assert!(message.contains("config.json: cannot be read: Is a directory"), "{message}");
}

#[test]
fn an_unreadable_config_is_reported_as_such() {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join(CONFIG_FILE);
    std::fs::write(&path, MINIMAL).expect("write");
    assert!(bundle(dir.path()).is_ok());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).expect("chmod");
    match bundle(dir.path()) {
        Err(LoadError::Unreadable { reason, .. }) => {
            assert_eq!(reason.kind(), io::ErrorKind::PermissionDenied);
        }
        // The superuser can read it nevertheless.
        other => assert!(other.is_ok()),
    }
}

#[test]
fn a_process_file_gets_the_same_tolerance() {
    let json = br#"{"cwd":"/","args":["id"],"capabilities":{"bounding":["CAP_X_Y"]}}"#;
    let (process, warnings) = process_from_slice(Path::new("p.json"), json).expect("parses");
    assert_eq!(process.user().uid(), 0);
    assert_eq!(warnings, [r#"capabilities.bounding: unknown capability "CAP_X_Y" ignored"#]);
    let error = process_from_slice(Path::new("p.json"), br#"{"cwd":1}"#).unwrap_err();
    assert_eq!(error.to_string(), "p.json: cwd: invalid type: integer `1`, expected path string");
}

#[test]
fn a_seccomp_rule_with_a_single_name_is_refused_however_it_is_written() {
    let rule = |members: &str| {
        linux(&format!(
            r#""seccomp":{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["a"],"action":"SCMP_ACT_ERRNO"}},
               {{"names":["b"],"action":"SCMP_ACT_ERRNO",{members}}}]}}"#
        ))
    };
    for members in [
        r#""name":"chmod""#,
        r#""name" : "chmod""#,
        r#""Name":"chmod""#,
        r#""n\u0061me":"chmod""#,
        r#""name":"chmod","x":"\ud800""#,
    ] {
        let error = error(&rule(members));
        assert!(
            error.starts_with("config.json: linux.seccomp.syscalls[1].name: is not in the specification"),
            "{error}"
        );
    }
    for members in [r#""name":"""#, r#""x":"name""#, r#""x":{"name":"chmod"}"#] {
        load(&rule(members)).expect(members);
    }
}
